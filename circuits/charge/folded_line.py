"""Unit capacitors and a bias DAC on the lines of an array: the static errors of a die, folded into weights once.

Values are counts: sums of -1 and +1, so that one cell going high moves the line by two counts, `supply * C_u / C_tot`
volts. Every formula is that of one explicit line (`amsim.circuits.charge.charge_line`), in units of one capacitor.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.die import CapacitorDie, mismatch_errors
from amsim.circuits.charge.faults import FaultsDie
from amsim.circuits.charge.rc_line import step_response
from amsim.circuits.contract.products import over_columns
from amsim.noise.finite_slopes import quotient, ratio
from amsim.noise.random import normal

SUPPLY_DRAW = 2**31 - 1
"""Number of the key that draws the supply's noise, beyond those of slices."""


class CapacitorLine(eqx.Module):
    """Lines of an array with the static errors of a die folded into weights, so that no read computes them again.

    Attributes:
        cells: Weight of each working cell in counts, gain included; 0 for a stuck one.
        held: Contribution of a line's stuck cells, counts; None without faults.
        bias: Weight of each bias capacitor in counts, gain included.
        bias_middle: Contribution of the bias DAC's bits half way, beyond what the reference tracks, counts.
        offset: Shift of the decision, counts: the comparator's trimmed offset and the charges of switch and leakage.
        size: Total capacitance relative to the nominal one.
        gain: Gain of a line of nominal capacitors; 1 when it settles and holds.
        reference_gain: Gain of the level half way between high and low that the readout compares with.
        adc: Standard draws of the converters.
    """

    cells: Float[Array, "line_rows slices"]
    held: Float[Array, " slices"] | None
    bias: Float[Array, "slices sections"]
    bias_middle: Float[Array, " slices"]
    offset: Float[Array, " slices"]
    size: Float[Array, " slices"]
    gain: Float[Array, ""]
    reference_gain: Float[Array, ""]
    adc: Any

    def behind(self, slices: int) -> "CapacitorLine":
        """Lines behind the slices of a site: slice `j` is on physical column `j mod columns`."""
        copies = -(-slices // self.offset.shape[0])

        def repeat_columns(values: Array, axis: int) -> Array:
            # Copies side by side: picking columns by number costs as much as the product.
            repeated = values if copies == 1 else jnp.concatenate([values] * copies, axis)
            return jax.lax.slice_in_dim(repeated, 0, slices, axis=axis)

        def lines(parts: Any, axis: int = 0) -> Any:
            return jax.tree.map(lambda values: repeat_columns(values, axis), parts)

        return CapacitorLine(
            lines(self.cells, 1),
            lines(self.held),
            lines(self.bias),
            lines(self.bias_middle),
            lines(self.offset),
            lines(self.size),
            self.gain,
            self.reference_gain,
            lines(self.adc),
        )

    def middle(self, driven: Float[Array, "... rows"], *, with_bias: bool) -> Float[Array, "... slices"]:
        """Counts by which each line lies above its reference when the rows marked 1 in `driven` stand half way.

        A cell goes high or stays low, two states around a middle: the middle carries half of its mismatch as offset.
        """
        high = jnp.matmul(driven, self.cells[: driven.shape[-1]], precision=jax.lax.Precision.HIGHEST)
        above = high - self.reference_gain * jnp.sum(driven, axis=-1, keepdims=True)
        own = jnp.zeros_like(self.offset) if self.held is None else self.held
        own = own + self.bias_middle if with_bias else own
        return above + own.reshape((1,) * (above.ndim - 1) + own.shape)

    def bias_error(self, bias_dac: BiasDac, levels: Float[Array, "... neurons sections"]) -> Float[Array, "... slices"]:
        """Deviation of the bias DAC's shift from its nominal one, counts."""
        error = self.bias - bias_dac.section_units()[None, :]
        return jnp.sum(levels * error.reshape((1,) * (levels.ndim - 2) + error.shape), axis=-1)


def fold_die(macro: CapacitorArray, die: CapacitorDie) -> CapacitorLine:
    """The physical lines of a die: mismatch, settling, droop, offsets and faults as one weight per capacitor."""
    bias_units = macro.bias_dac.section_units()
    unit_errors, bias_errors = mismatch_errors(macro, die)
    if macro.layout is not None and die.layout is not None:
        unit_errors = unit_errors + macro.layout.errors(die.layout, macro.rows, macro.columns)
    total_error = jnp.sum(unit_errors, axis=0) + jnp.sum(bias_errors, axis=1)
    size = 1.0 + ratio(total_error, macro.total_units)
    totals = macro.total_capacitance * size
    if macro.drivers is None:
        # From the deviations, so that the gain of a die without mismatch is exactly 1.
        share = ratio(macro.total_units, macro.total_units + total_error)
        cells, bias = (1.0 + unit_errors) * share[None, :], (bias_units[None, :] + bias_errors) * share[:, None]
    else:
        cells, bias = _settling(macro, die, 1.0 + unit_errors, bias_units[None, :] + bias_errors)
    if macro.leakage is not None:
        drivers = macro.alike_drivers(totals)
        kept = macro.leakage.kept_fraction(totals, macro.temperature, drivers)
        if drivers is not None:
            kept = ratio(kept, drivers.settled(macro.leakage.hold_time))
        cells, bias = cells * kept[None, :], bias * kept[:, None]
    reference_gain = track_reference(macro.nominal_gain, macro.reference_tracking)
    bias_middle = jnp.sum(bias[:, :-1] - reference_gain * bias_units[None, :-1], axis=1)
    offset = _offset(macro, die, totals)
    line = CapacitorLine(cells, None, bias, bias_middle, offset, size, macro.nominal_gain, reference_gain, die.adc)
    return line if macro.faults is None or die.faults is None else _with_faults(macro, die.faults, line)


def track_reference(gain: Float[Array, ""], tracking: Float[Array, ""]) -> Float[Array, ""]:
    """Gain of the half-way level that the readout compares with, from that of nominal lines: `1 + tracking (g - 1)`."""
    return 1.0 + tracking * (gain - 1.0)


def counts_at_decision(
    macro: CapacitorArray,
    line: CapacitorLine | None,
    counts: Float[Array, "..."],
    middle: Float[Array, ""] | float,
    key: PRNGKeyArray | None,
) -> Float[Array, "..."]:
    """Counts of lines above their reference at the decision, from their settled values behind an ideal supply.

    Args:
        macro: The array.
        line: Its static errors, or None for nominal and ideal lines.
        counts: Settled values above the reference, columns last.
        middle: Counts between no cell high and half of them high, the level that the reference stands for.
        key: Draws the supply's noise; None is no noise.
    """
    gain = jnp.ones_like(macro.supply) if line is None else line.gain
    own, in_common = track_reference(gain, macro.reference_tracking), macro.reference_tracking * gain
    if macro.has_rail:
        size = 1.0 if line is None else over_columns(line.size, counts.ndim)
        # The capacitors that rise, whatever part of their step the line has made.
        settled = macro.rail_gain(quotient(counts + own * middle, 2 * gain), size)
        at_middle = macro.rail_gain(jnp.asarray(middle, counts.dtype) / 2)
        # The reference is a line too, with half of its cells high.
        counts = counts * settled + middle * (own * settled - own + in_common * (1.0 - at_middle))
    if macro.supply_noise is not None and key is not None:
        swing = ratio(macro.supply_noise, macro.supply)
        shape = (*counts.shape[:-1], 1)
        relative = swing * normal(jax.random.fold_in(key, SUPPLY_DRAW), shape, counts.dtype)
        counts = counts + relative * (counts + (own - in_common) * middle)
    return counts if line is None else counts + over_columns(line.offset, counts.ndim)


def _settling(
    macro: CapacitorArray,
    die: CapacitorDie,
    units: Float[Array, "rows columns"],
    bias: Float[Array, "columns sections"],
) -> tuple[Float[Array, "rows columns"], Float[Array, "columns sections"]]:
    """Step response of every capacitor at the decision, relative to a settled nominal unit; what leaks is left out."""
    drivers = macro.working_drivers
    assert drivers is not None
    assert die.unit_drivers is not None
    assert die.bias_drivers is not None
    unit_resistances = drivers.resistance * (1.0 + drivers.spread * die.unit_drivers)
    bias_resistances = ratio(drivers.resistance, macro.bias_dac.section_units()[None, :]) * (
        1.0 + drivers.spread * die.bias_drivers
    )
    responses = jax.vmap(step_response, in_axes=(0, 0, None, None))(
        jnp.concatenate([unit_resistances.T, bias_resistances], axis=1),
        macro.unit_capacitance * jnp.concatenate([units.T, bias], axis=1),
        macro.parasitic_capacitance,
        macro.settling_time,
    )
    weights = responses * macro.total_units
    return weights[:, : macro.rows].T, weights[:, macro.rows :]


def _offset(macro: CapacitorArray, die: CapacitorDie, totals: Float[Array, " columns"]) -> Float[Array, " columns"]:
    """Shift of each column's decision in counts, after the trim has seen all of it."""
    comparator = macro.deciding_comparator
    assert comparator is not None
    shift = comparator.offset(die.comparator) + comparator.kickback_step(totals)
    added = jnp.zeros_like(totals)
    if macro.reset is not None:
        assert die.switch is not None
        added = macro.switch_step(totals) * (1.0 + macro.reset.spread * die.switch)
    if macro.leakage is not None:
        assert die.leakage is not None
        added = added - macro.leaked_drop(totals) * (1.0 + macro.leakage.spread * die.leakage)
    shift = shift + macro.drive_shift + (added + macro.droop_shift)
    shift = shift - macro.reference_tracking * macro.common_shift
    return comparator.residual_offset(shift, die.trim) * macro.counts_per_volt


def _with_faults(macro: CapacitorArray, faults: FaultsDie, line: CapacitorLine) -> CapacitorLine:
    assert macro.faults is not None
    stuck, dead = macro.faults.cell_states(faults), macro.faults.column_states(faults)
    # More than every cell and bias capacitor together: no input changes the decision of a dead column.
    far = 4.0 * macro.total_units
    return eqx.tree_at(
        lambda parts: (parts.cells, parts.held, parts.offset),
        line,
        (
            jnp.where((stuck == 0) & (dead[None, :] == 0), line.cells, 0.0),
            # A cell stuck high goes from low in reset to high in every evaluation: two counts, on spare rows too.
            2.0 * jnp.sum(jnp.where(stuck > 0, line.cells, 0.0), axis=0),
            jnp.where(dead == 0, line.offset, far * dead),
        ),
        is_leaf=lambda part: part is None,
    )
