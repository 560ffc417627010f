"""Error of one column in closed form: contribution of each source to the mean square error of a read, in counts."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.combined_error import group_mismatch, group_settling, group_weights
from amsim.circuits.charge.fault_error import stuck_moments
from amsim.circuits.charge.independent_sums import IndependentSums, sum_variance
from amsim.circuits.charge.joined_digits_error import accumulation_variances, row_dac_variance
from amsim.circuits.charge.layout_error import layout_moments, layout_variance
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.charge.offset_error import offset_variance
from amsim.circuits.charge.rounding_error import coarse_rounding, square_of_rounded
from amsim.circuits.charge.row_dac import mean_square
from amsim.circuits.charge.settling_error import settling_variance
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, number_between, one_of
from amsim.circuits.contract.bit_slicing import of_groups, places_of, swing_of
from amsim.noise.finite_slopes import ratio
from amsim.noise.mismatch import capacitor_mismatch_sigma

READOUTS = ("adc", "comparator")


@checked_arguments
def error_variances(
    macro: CapacitorArray, *, rows: int | None = None, activity: float = 0.5, readout: str | None = None
) -> dict[str, Float[Array, ""]]:
    r"""Contribution of each source to the mean square error of one read, counts^2.

    The sum runs over `rows` independent products, +1 with probability `activity`; the mean is over dies, reads and
    operands. With h high of `rows` cells, `H` high units on the line, `T` its total, `g` its gain; a line that its bias
    DAC shifts by c counts has `c / 2` more high (of a differential pair the second one as many less) and the gain of
    `S + c`:

    - thermal noise, driver noise, last value: variances on the line, `CapacitorArray.noise_variances`.
    - comparator noise: `(r sigma)^2` of one decision, referred to the line by `Converter.comparator_referral` r (so
      are offset and drift); of a conversion what its decisions make of that, `Converter.decision_variance`.
    - supply noise: `(sigma / supply)^2 E[(S + c + (1 - tracking) middle)^2]`, c the mean shift by a `readout_centre`.
    - capacitor mismatch: `4 s^2 g^2 (E H - 2 E H^2 / T + n E H^2 / T^2)`, n all units and bias capacitors on the line:
      each moves the line by itself and divides it as part of T. Of a differential pair a quarter of both lines' sum, of
      a replica the sum; with levels in between the first H is the sum of their squares.
    - layout: the same for correlated errors e of a column, whose sum is A over its rows in use and B over those of the
      banks that are on, `4 g^2 [p (1 - p) (sum e^2 - 2 A B / T + rows B^2 / T^2) + (p A - H B / T)^2]`; beside a
      second line, which has the same errors, `p - 1/2` and `rows (p - 1/2) + c / 2` in place of p and H
      (`amsim.circuits.charge.layout_error`).
    - comparator offset: residual after trim, of the spread of the reset switch and of the leakage too; where the trim
      states its conditions, with what their shifts have changed since.
    - offset drift: `(temperature_drift (T - T_0))^2 + (supply_drift (V - V_trim))^2`, where it states them.
    - settling: deviation of a nominal line's transfer from the ideal one, constant and slope: settling and droop, and
      the charges that all lines have in common where no trim removes them, or their change since the trim.
    - row DAC mismatch: `rows g^2 mismatch^2 (1 - E u^2) / (2^k - 1)` for levels u of k bits.
    - accumulation mismatch, accumulation ratio: with `D = sum_s A_s dw_s / d ln(C_a)` for sums of levels A_s and
      weights w_s of joined evaluations, `4 sigma_a^2 E D^2` and `4 sum_s (w_s - w_ideal)^2 Var A_s`; the line's own
      mismatch as part of T moves D too.
    - faults: stuck cells of all lines, at the lines' gain; dead columns are a matter of yield and are left out.
    - converter: static variance of its transitions (ADC only).
    - combination: weights of combined columns that are not powers of two, nominal capacitors beside ideal ones.
    - quantisation: the change that rounding and clipping make to the rest, so that the sum of all is the error of the
      read; negative where rounding removes noise (ADC only). For sums that are Gaussian it is exact, and `LSB^2 / 12`
      where the step is below their sigma and the range holds them
      (`amsim.circuits.adc.quantised_gaussian`); where the ADC resolves one cell, sums are whole numbers.

    Of combined columns the value is that of a group, `sum_j 2^j S_j`, in counts of the least significant one, with
    independent sums on its lines: errors of lines weigh `sum_j 4^j` or what their circuit makes of them, and capacitor
    mismatch has that of its own capacitors (`amsim.circuits.charge.combined_error`). Where columns wait for a converter
    that they share, leakage is the mean over turns.

    Args:
        macro: The array.
        rows: Products summed; None is all rows of the macro. Of its banks as few are on as hold them.
        activity: Probability of +1, between 0 and 1; of each product of digits where input bits share a conversion.
        readout: "adc" or "comparator"; None is the ADC where there is one. Half of the bias DAC is high for the
            comparator; for the ADC it is what makes the mean of the `readout_centre`, by which sums are moved.

    Returns:
        Variance of each source that the macro has; differentiable in every quantity of it.

    Raises:
        ValueError: An argument out of range, or a readout that the macro does not have.

    Validity: first order in static errors; Gaussian sums where a step is coarser than a cell, sums inside the range
    where it is not; a settling error below about 10 % (the spread of drivers on a line that settles less is left
    out), common charges well inside the trim's range. Sums are those of digits -1 and +1, whatever codings the array
    has. Of input bits that share a conversion sums are those of one, in counts of which a cell has two from its lowest
    to its highest level.
    Source: facts 1.3, 5; derived in the docstring.
    """
    driven = _check(macro, rows, activity, readout)
    macro = macro.for_rows(driven)
    chosen = readout or ("adc" if macro.adc is not None else "comparator")
    if macro.turns == 1 or macro.leakage is None:
        return _of_one_turn(macro, driven, activity, chosen)
    each = jax.vmap(lambda wait: _of_one_turn(macro.after_waiting(wait), driven, activity, chosen))(macro.waits)
    return {name: jnp.mean(values) for name, values in each.items()}


def _of_one_turn(macro: CapacitorArray, driven: int, activity: float, chosen: str) -> dict[str, Float[Array, ""]]:
    """Variances of what is read without waiting for another column."""
    bits = jnp.sum(macro.bias_dac.section_units()[:-1])
    moved = chosen == "comparator" or macro.readout_centre is not None
    bias_high = bits / 2 if moved else jnp.zeros_like(bits)
    # Once for all that follows from nominal capacitors.
    nominal = macro.nominal
    sums = IndependentSums(driven, activity, macro)
    shift = jnp.asarray(_mean_shift(macro) if chosen == "adc" else 0.0, bits.dtype)
    centre = shift / swing_of(macro.combined_columns)
    variances = _dynamic(macro, nominal, sums, 2 * bias_high, centre)
    variances |= _static(macro, nominal, sums, bias_high, centre)
    decided = macro.comparator_referral * macro.decision_noise_counts
    if chosen == "comparator":
        return variances | {"comparator noise": decided**2}
    adc = macro.adc
    assert adc is not None
    step = 2.0 / sums.steps
    lsb = step * adc.lsb(float(sums.cells * sums.steps))
    variances["converter"] = adc.static_variance() * lsb**2
    variances["comparator noise"] = adc.decision_variance(ratio(decided, lsb)) * lsb**2
    before = sum(variances.values(), start=jnp.zeros_like(nominal.gain))
    # A step of one cell, two counts, quantises values two counts apart: no error of its own without noise.
    coarse = coarse_rounding(adc, sums, before, shift)
    whole = jnp.where(lsb <= step, step**2 * square_of_rounded(before / step**2) - before, coarse)
    return variances | {"quantisation": whole}


def _mean_shift(macro: CapacitorArray) -> Array | float:
    """Mean shift of what is read as the bias DACs of its lines make it, counts; of groups `sum_j 2^j c_j`."""
    made, combined = macro.made_centre, macro.combined_columns
    if made is None:
        return 0.0
    if made.ndim == 0 or made.shape[-1] == 1:
        return jnp.mean(made) * swing_of(combined)
    places = jnp.broadcast_to(places_of(made.shape[-1], combined), made.shape)
    return jnp.mean(of_groups(made * places, combined))


def _check(macro: CapacitorArray, rows: int | None, activity: float, readout: str | None) -> int:
    if not isinstance(macro, CapacitorArray):
        raise ValueError(f"Argument `macro` must be a SwitchedCapacitor, but is of type {type(macro).__name__}.")
    driven = macro.line_rows if rows is None else rows
    integer_between("rows", driven, 1, macro.line_rows)
    number_between("activity", activity, 0.0, 1.0)
    if not 0 < activity < 1:
        raise ValueError(f"Argument `activity` must be between 0 and 1, but is {activity}.")
    if macro.joined is not None and readout == "comparator":
        raise ValueError("Argument `readout` must be 'adc' with `combining`: a comparator decides on single bits only.")
    if readout is not None:
        one_of("readout", readout, READOUTS)
        if getattr(macro, readout) is None:
            raise ValueError(f"Argument `readout` must be one that the macro has, but it has no {readout}.")
    return driven


def _dynamic(
    macro: CapacitorArray, nominal: NominalLine, sums: IndependentSums, bias: Array, centre: Array
) -> dict[str, Array]:
    variances = dict(macro.noise_variances(sums.rows, nominal))
    if macro.supply_noise is not None:
        relative = ratio(macro.supply_noise, macro.supply)
        mean = sums.rows * sums.product_mean + centre + (1.0 - macro.tracking) * (sums.rows + bias)
        mean = mean * swing_of(sums.combined)
        variances["supply noise"] = relative**2 * (sums.variance + mean**2)
    return variances


def _static(
    macro: CapacitorArray, nominal: NominalLine, sums: IndependentSums, bias_high: Array, centre: Array
) -> dict[str, Array]:
    """Variances that each die has, of lines whose bias DACs shift them by `centre` from half of their bits high."""
    if macro.joined is not None:
        return _static_of_group(macro, nominal, sums, bias_high, centre)
    rows, activity, gain = sums.rows, sums.activity, nominal.gain
    total, spread = macro.read_units, sums.variance / 4
    high = rows * activity + bias_high + centre / 2
    high_square = high**2 + spread
    # A quarter last: of one bit exactly the cells that are high.
    squares = rows * (sums.square_from(-1) / 4) + bias_high + centre / 2
    capacitors = macro.line_rows + jnp.sum(macro.bias_dac.section_units())
    sigma = capacitor_mismatch_sigma(macro.unit_capacitance, macro.mismatch_coefficient)

    def of_line(squares: Array | float, square_of_sum: Array | float) -> Array:
        """Squared deviations of all capacitors' shares, from the sums of the squares and of what goes high."""
        return squares - 2 * square_of_sum / total + capacitors * square_of_sum / total**2

    shared = of_line(squares, high_square)
    if macro.serial_accumulation is not None:
        return accumulation_variances(macro, nominal, sums, squares, sigma)
    if macro.second_line == "differential":
        # The second line's bias DAC goes the other way.
        other = rows * (1 - activity) + bias_high - centre / 2
        other_squares = rows * (sums.square_from(1) / 4) + bias_high - centre / 2
        shared = (shared + of_line(other_squares, other**2 + spread)) / 4
    elif macro.second_line == "replica":
        half = rows / 2 + bias_high
        shared = shared + of_line(rows / 4 + bias_high / 2, half**2)
    variances = {
        "capacitor mismatch": 4 * sigma**2 * gain**2 * shared,
        "comparator offset": offset_variance(macro, nominal),
    }
    if macro.at_trim is not None and macro.comparator is not None:
        drifts = jnp.stack(macro.comparator.drift_sigmas(macro.temperature, macro.supply))
        variances["offset drift"] = jnp.sum(drifts**2) * (macro.comparator_referral * macro.counts_per_volt) ** 2
    if macro.layout is not None:
        one = jnp.ones_like(gain)[None]
        variances["layout"] = _layout(macro, sums, (bias_high, centre), one, -one[None] / total) * gain**2
    if macro.has_common_effects:
        variances["settling"] = settling_variance(macro, nominal, sums, bias_high, centre)
    if macro.row_dac is not None:
        variances["row DAC mismatch"] = gain**2 * row_dac_variance(macro.row_dac, sums)
    if macro.faults is not None:
        mean, around = stuck_moments(macro, sums)
        variances["faults"] = gain**2 * (around + mean**2)
    return variances


def _static_of_group(
    macro: CapacitorArray, nominal: NominalLine, sums: IndependentSums, bias_high: Array, centre: Array
) -> dict[str, Array]:
    """The same of combined columns."""
    group, bits, rows, activity = macro.group, sums.combined, sums.rows, sums.activity
    assert group is not None
    nominal_group = group_weights(macro)
    variances = {
        "capacitor mismatch": group_mismatch(macro, nominal_group, nominal.gain, rows, activity, bias_high, centre),
        "comparator offset": offset_variance(macro, nominal),
    }
    shift = jnp.zeros_like(macro.supply)
    if macro.comparator is not None and macro.comparator.trim is None:
        shift = (1.0 - macro.tracking) * macro.common_shift(nominal) * macro.counts_per_volt
    ideal = places_of(bits, bits)
    mean, around = group_settling(macro, rows, activity, ideal, nominal.gain, bias_high, centre)
    settling = (mean + shift) ** 2 + around
    if macro.has_common_effects:
        variances["settling"] = settling
    mean, around = group_settling(macro, rows, activity, group.weights, nominal.gain, bias_high, centre)
    variances["combination"] = (mean + shift) ** 2 + around - settling
    if macro.layout is not None:
        by_size = nominal_group.by_size / macro.total_units
        found = _layout(macro, sums, (bias_high, centre), nominal_group.weights, by_size)
        variances["layout"] = found * nominal.gain**2
    if macro.faults is not None:
        mean, around = stuck_moments(macro, sums)
        weights = nominal.gain * group.weights
        variances["faults"] = around * jnp.sum(weights**2) + (mean * jnp.sum(weights)) ** 2
    return variances


def _layout(
    macro: CapacitorArray, sums: IndependentSums, bias: tuple[Array, Array], weights: Array, by_size: Array
) -> Array:
    """Mean square of layout errors at a gain of 1, counts^2; `bias_high` and `centre`, and as of `layout_variance`."""
    assert macro.layout is not None
    rows, activity, (bias_high, centre) = sums.rows, sums.activity, bias
    moments = layout_moments(macro.layout, (macro.rows, macro.columns), macro.line_rows, rows, sums.combined)
    # What both lines of a pair have in common: the errors of the layout, and half of every cell.
    level, units = (0.0, 0.0) if macro.second_line == "none" else (0.5, rows / 2 + bias_high)
    mean = (activity - level, rows * activity + bias_high + centre / 2 - units)
    return layout_variance(moments, weights, by_size, mean, (activity * (1 - activity) * sums.spread, rows))


def signal_to_noise(
    variances: dict[str, Float[Array, ""]], rows: int, activity: float = 0.5, combined: int = 1, together: int = 1
) -> Float[Array, ""]:
    """Signal-to-noise ratio, dB: variance of the sum itself over that of its error.

    Args:
        variances: As from `error_variances`.
        rows: Products summed.
        activity: Probability of +1.
        combined: Columns that are read as one value.
        together: Input bits that share a conversion.
    """
    error = jnp.sum(jnp.stack(list(variances.values())))
    return 10 / math.log(10) * jnp.log(sum_variance(rows, activity, combined) * mean_square(together) / error)
