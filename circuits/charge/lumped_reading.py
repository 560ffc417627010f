"""Reading of a product on a switched-capacitor array as one product: static errors, levels and noise of its lines."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.adc import Converter
from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.folded_line import CapacitorLine, centre_shifts
from amsim.circuits.charge.readout_range import finest_step
from amsim.circuits.charge.rounding_error import square_of_rounded
from amsim.circuits.charge.row_dac import mean_square
from amsim.circuits.charge.sliced_reading import joining_of
from amsim.circuits.contract.bit_slicing import of_groups, places_of, swing_of
from amsim.circuits.contract.lumped import EqualTiles, equal_tiles, lumped_product
from amsim.circuits.contract.operands import Coded
from amsim.circuits.contract.products import Product, over_columns

COARSEST = 2.0
"""Largest step of a converter, in standard deviations of what it reads, whose rounding is as good as noise.

The variance of its error differs from a twelfth of a step by a factor of `exp(-2 pi**2 / 2**2)`, 0.7 %, at most.
"""

NARROWEST = 3.0
"""Least standard deviations of what is read between the middle and an end of the range: 0.3 % clip."""

FEWEST_LEVELS = 3
"""Levels of a converter whose results are numbers; of two each result is a decision."""


def check_lumped(array: CapacitorArray) -> None:
    """Raise ValueError, naming the part, for an array whose reading is not a weighted sum and noise."""
    if array.adc is None:
        raise ValueError(
            "Argument `adc` must be given for a lumped `reading`: the decision of a comparator is no sum with noise; a "
            "fused neuron is one product as it is."
        )
    if array.adc.levels < FEWEST_LEVELS:
        raise ValueError(
            f"Argument `adc` must have {FEWEST_LEVELS} levels at least for a lumped `reading`, but has "
            f"{array.adc.levels}: its one bit is a decision, no sum with noise."
        )
    if array.has_rail:
        raise ValueError(
            "Argument `drivers` must have no `supply_resistance` for a lumped `reading`: what a rail takes from a line "
            "depends on its value."
        )
    if array.supply_noise is not None:
        raise ValueError(
            "Argument `supply_noise` must be None for a lumped `reading`: it scales the value of every line."
        )


def read_lumped(
    array: CapacitorArray, line: CapacitorLine | None, coded: Coded, key: PRNGKeyArray | None
) -> Float[Array, "..."]:
    """Integer product of the codes as one product, with the errors of all conversions in it.

    Mismatch, gains, settling, droop, faults, offsets and what middles carry are those of the lines, to rounding. Noise
    of the line and of the comparator, the converter's rounding and the spread of its transitions are one Gaussian;
    their mean shift near the middle is static. Nothing clips, but that a dead column stays at an end of the range.
    Without a key there is no rounding either.

    Args:
        array: The array as the product uses it.
        line: Lines behind the slices; None where they are nominal and ideal.
        coded: The operands.
        key: Draws the noise; None is no noise.
    """
    check_lumped(array)
    product, combined, steps = coded.product, array.combined_columns, array.cell_steps
    kinds = equal_tiles(product, array.line_rows)
    finest = finest_step(coded, combined)
    slices = product.columns * coded.w_code.digit_count
    stepped = None if line is None else line.in_steps(steps)
    shifts, errors = centre_shifts(array, stepped, product.tiles(array.line_rows), slices)
    levels: Any = _over(jnp.sum(errors, axis=0) if isinstance(errors, Array) else 0.0, finest)
    variance: Any = 0.0
    first = 0
    for kind in kinds:
        shift: Any = 0.0 if shifts is None else jnp.mean(shifts[first : first + kind.number], axis=0)
        level, spread = _conversion(array, stepped, kind, finest, shift)
        levels, variance = levels + kind.number * level, variance + kind.number * spread
        first += kind.number
    return lumped_product(
        coded,
        array.line_rows,
        cells=None if line is None else line.cells,
        levels=levels,
        variance=variance,
        combined=combined,
        joining=joining_of(array, line),
        key=key,
    )


def _conversion(
    array: CapacitorArray, line: CapacitorLine | None, kind: EqualTiles, finest: Array, shift: Array | float
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """What a conversion of a tile adds, counts in steps of a cell, and the variance of its error."""
    adc, steps, combined = array.adc, array.cell_steps, array.combined_columns
    assert adc is not None
    swing = float(steps * kind.rows * swing_of(combined))
    lsb, centre = adc.scale(swing, finest)
    nominal = None if array.drivers is None else array.nominal
    static = adc.linearised(None if line is None else line.adc, _spread(array, kind.rows) / jnp.max(lsb))
    sampled = steps * array.sampled_noise(float(kind.rows), nominal) / 2
    decided = adc.comparator_referral * steps * array.decision_noise_counts / 2
    noise = adc.conversion_variance(sampled / lsb, decided / lsb)
    level = -2.0 * lsb * _over(static.shift, lsb)
    inside: Any = 1.0
    wrong: Any = 0.0
    if line is not None:
        with_bias = array.readout_centre is not None
        own = line.middle(jnp.full((kind.rows,), float(steps), lsb.dtype), with_bias=with_bias) + line.offset
        wrong, own = _static_square(line, kind.rows, steps) + own**2, _over(own, lsb)
        level = level + own
        if array.faults is not None:
            low, high = (2.0 * (centre + lsb * end) - swing for end in (adc.lowest_code, adc.highest_code))
            dead = jnp.abs(own) > 2.0 * steps * array.read_units * swing_of(combined)
            level = jnp.where(dead, jnp.where(own > 0, high, low) - _over(shift, lsb), level)
            inside, wrong = jnp.where(dead, 0.0, 1.0), jnp.where(dead, 0.0, _over(wrong, lsb))
        wrong = jnp.mean(wrong)
    # Sums lie on the levels of a converter that resolves them, so that rounding takes errors below half a step away.
    on_levels = _rounded(adc, sampled, decided, wrong / 4, lsb)
    square = jnp.where(lsb <= finest, on_levels, noise) + _over(static.variance, lsb)
    return level, inside * 4.0 * lsb**2 * square


def _rounded(adc: Converter, sampled: Array, decided: Array, wrong: Array | float, lsb: Array) -> Float[Array, "..."]:
    """Variance that rounding leaves of noise on values that lie on levels one or half a cell apart, LSB^2."""

    def left(step: float) -> Array:
        noise = adc.conversion_variance(sampled / step, decided / step) - adc.quantisation_variance()
        static = wrong / step**2
        return jnp.maximum(square_of_rounded(jnp.maximum(noise, 0.0) + static) - static, 0.0)

    return jnp.where(lsb < 0.75, left(0.5), left(1.0))


def _over(values: Array | float, results: Array) -> Float[Array, "..."]:
    """A number, or one for each conversion, shaped to broadcast against results."""
    return over_columns(jnp.asarray(values, results.dtype), results.ndim)


def _static_square(line: CapacitorLine, rows: int, steps: int) -> Float[Array, " conversions"]:
    """Mean square that the weights of a line's cells add to sums of independent digits, counts^2 in steps of a cell."""
    places = places_of(line.cells.shape[1], line.combined).astype(line.cells.dtype)
    return of_groups(steps**2 * jnp.sum((line.cells[:rows] - places[None]) ** 2, axis=0), line.combined)


def _spread(array: CapacitorArray, rows: int) -> float:
    """Standard deviation of what is read of sums of independent products, steps of a cell."""
    groups = (4**array.combined_columns - 1) // 3
    return array.cell_steps * math.sqrt(rows * mean_square(array.digits_together) * groups) / 2


def lumped_note(array: CapacitorArray, product: Product) -> str:
    """Where the lumped reading of a product does not stand for the exact one, for sums of independent products."""
    adc = array.adc
    assert adc is not None
    notes = []
    kinds = equal_tiles(product, array.line_rows)
    shortest = min(kind.rows for kind in kinds)
    for rows in dict.fromkeys(kind.rows for kind in kinds):
        swing = float(array.cell_steps * rows * swing_of(array.combined_columns))
        lsb, centre = (float(one) for one in adc.scale(swing, 0.5 if _half_cells(array) else 1.0))
        noise = array.cell_steps * float(array.sampled_noise(float(rows))) / 2
        spread = math.hypot(_spread(array, rows), noise)
        if lsb > COARSEST * spread and rows == shortest:
            notes.append(f"a step of the converter is {lsb / spread:.2g} times the spread of the sums")
        ends = (centre + lsb * adc.highest_code - swing / 2, swing / 2 - centre - lsb * adc.lowest_code)
        if min(ends) < min(NARROWEST * spread, swing / 2 - lsb) and rows == shortest:
            notes.append(f"the range ends {min(ends) / spread:.2g} standard deviations of the sums from the middle")
    if not notes:
        return ""
    return (
        f"Not sound where it is read lumped: {' and '.join(notes)}; read it exactly, or give the converter more bits."
    )


def _half_cells(array: CapacitorArray) -> bool:
    """Whether lines stop at half cells, as those of digits 0 do."""
    return array.weight_coding != "bipolar" or array.input_coding != "bipolar"
