"""Unit capacitors and a bias DAC on the lines of an array: the static errors of a die, folded into weights once.

Values are counts: sums of -1 and +1, so that one cell going high moves the line by two counts, `supply * C_u / C_tot`
volts. Every formula is that of one explicit line (`amsim.circuits.charge.charge_line`), in units of one capacitor.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.die import CapacitorDie, LineDraws, mismatch_errors
from amsim.circuits.charge.rc_line import step_response
from amsim.circuits.contract.bit_slicing import Places
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
        difference: Weight of each cell of a column when it stands half way on all its lines, which a second line takes
            away again but for mismatch; None where the line is read against a level.
        places: Place values of input digits that share a conversion; None are nominal ones.
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
    difference: Float[Array, "line_rows slices"] | None = None
    places: Places | None = None

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
            lines(self.difference, 1),
            None if self.places is None else self.places._replace(columns=lines(self.places.columns, 1)),
        )

    def in_steps(self, steps: int) -> "CapacitorLine":
        """The same lines in counts of which a cell has two for each of so many steps; but for the weights of cells."""
        if steps == 1:
            return self
        scaled = self.held, self.bias, self.bias_middle, self.offset
        changed = jax.tree.map(lambda values: steps * values, scaled)
        return eqx.tree_at(
            lambda line: (line.held, line.bias, line.bias_middle, line.offset),
            self,
            changed,
            is_leaf=lambda leaf: leaf is None,
        )

    def middle(self, driven: Float[Array, "... rows"], *, with_bias: bool) -> Float[Array, "... slices"]:
        """Counts by which each line lies above its reference when the rows marked 1 in `driven` stand half way.

        A cell goes high or stays low, two states around a middle: the middle carries half of its mismatch as offset.
        """
        halves = self.cells if self.difference is None else self.difference
        above = jnp.matmul(driven, halves[: driven.shape[-1]], precision=jax.lax.Precision.HIGHEST)
        if self.difference is None:
            above = above - self.reference_gain * jnp.sum(driven, axis=-1, keepdims=True)
        own = jnp.zeros_like(self.offset) if self.held is None else self.held
        own = own + self.bias_middle if with_bias else own
        return above + own.reshape((1,) * (above.ndim - 1) + own.shape)

    def bias_error(self, bias_dac: BiasDac, levels: Float[Array, "... neurons sections"]) -> Float[Array, "... slices"]:
        """Deviation of the bias DAC's shift from its nominal one, counts."""
        error = self.bias - bias_dac.section_units()[None, :]
        return jnp.sum(levels * error.reshape((1,) * (levels.ndim - 2) + error.shape), axis=-1)


class _Folded(NamedTuple):
    """One line of each column: weights of cells and bias capacitors, counts of stuck cells, size, charges added, V."""

    cells: Float[Array, "rows columns"]
    bias: Float[Array, "columns sections"]
    held: Float[Array, " columns"] | None
    size: Float[Array, " columns"]
    added: Float[Array, " columns"]

    def minus(self, other: "_Folded") -> "_Folded":
        """What two lines differ by."""
        return jax.tree.map(jnp.subtract, self, other)

    def mean(self, other: "_Folded") -> "_Folded":
        """What they have on average."""
        return jax.tree.map(lambda one, two: (one + two) / 2, self, other)


def fold_die(macro: CapacitorArray, die: CapacitorDie) -> CapacitorLine:
    """The physical lines of a die: mismatch, settling, droop, offsets and faults as one weight per capacitor.

    The first banks are those that are on. Of a differential pair P, N a cell is worth `(P + N) / 2` and the middle
    carries `(P - N) / 2`; beside a replica R it is worth `P` and the middle carries `P - R`.
    """
    bias_units = macro.bias_dac.section_units()
    reference_gain = track_reference(macro.nominal_gain, macro.tracking)
    read = _fold_line(macro, die.first, die)
    bias_above, held, difference = read.bias[:, :-1] - reference_gain * bias_units[None, :-1], read.held, None
    against = None if die.second is None else _fold_line(macro, die.second, die)
    added = read.added
    if against is not None:
        apart = read.minus(against)
        added = apart.added
        if macro.second_line == "differential":
            read, apart = read.mean(against), jax.tree.map(lambda one: one / 2, apart)
        bias_above, held, difference = apart.bias[:, :-1], apart.held, apart.cells
    offset = _offset(macro, die, added, macro.total_capacitance * read.size)
    line = CapacitorLine(
        read.cells,
        held,
        read.bias,
        jnp.sum(bias_above, axis=1),
        offset,
        read.size,
        macro.nominal_gain,
        reference_gain,
        die.adc,
        difference,
    )
    line = _with_joined_digits(macro, die, line)
    return line if macro.faults is None or die.faults is None else _without_dead_columns(macro, die, line)


def _with_joined_digits(macro: CapacitorArray, die: CapacitorDie, line: CapacitorLine) -> CapacitorLine:
    """Place values of input digits on this die; what all of them have in common on a column is a gain of its cells."""
    rows = columns = None
    if macro.row_dac is not None and macro.row_dac.bits > 1:
        assert die.row_dac is not None
        rows = macro.row_dac.steps * macro.row_dac.shares(die.row_dac)[: macro.line_rows]
    if macro.serial_accumulation is not None:
        assert die.accumulation is not None
        sigma = macro.serial_accumulation.relative_sigma(macro.accumulation_capacitance)
        columns = macro.accumulation_places(ratio(1.0 + sigma * die.accumulation, line.size))
        whole = jnp.sum(columns, axis=0) * ((2**macro.digit_bits - 1) / macro.cell_steps)
        columns = ratio(columns, whole[None])
        held = None if line.held is None else line.held * whole
        line = eqx.tree_at(lambda one: one.cells, line, line.cells * whole[None])
        line = eqx.tree_at(lambda one: one.held, line, held, is_leaf=lambda leaf: leaf is None)
    if rows is None and columns is None:
        return line
    return eqx.tree_at(lambda one: one.places, line, Places(rows, columns), is_leaf=lambda leaf: leaf is None)


def _fold_line(macro: CapacitorArray, draws: LineDraws, die: CapacitorDie) -> _Folded:
    """One line of each column; both lines of a pair lie beside each other, in the same layout."""
    bias_units = macro.bias_dac.section_units()
    unit_errors, bias_errors = mismatch_errors(macro, draws)
    if macro.layout is not None and die.layout is not None:
        unit_errors = unit_errors + macro.layout.errors(die.layout, macro.rows, macro.columns)
    unit_errors = unit_errors[: macro.line_rows]
    total_error = jnp.sum(unit_errors, axis=0) + jnp.sum(bias_errors, axis=1)
    size = 1.0 + ratio(total_error, macro.total_units)
    totals = macro.total_capacitance * size
    if macro.drivers is None:
        # From the deviations, so that the gain of a die without mismatch is exactly 1.
        share = ratio(macro.total_units, macro.total_units + total_error)
        cells, bias = (1.0 + unit_errors) * share[None, :], (bias_units[None, :] + bias_errors) * share[:, None]
    else:
        cells, bias = _settling(macro, draws, 1.0 + unit_errors, bias_units[None, :] + bias_errors)
    if macro.leakage is not None:
        drivers = macro.alike_drivers(totals)
        kept = macro.leakage.kept_fraction(totals, macro.temperature, drivers)
        if drivers is not None:
            kept = ratio(kept, drivers.settled(macro.leakage.hold_time))
        cells, bias = cells * kept[None, :], bias * kept[:, None]
    held = None
    if macro.faults is not None and draws.faults is not None:
        cells, held = _with_stuck_cells(macro, draws, cells, die)
    return _Folded(cells, bias, held, size, _added(macro, draws, totals))


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
    own, in_common = track_reference(gain, macro.tracking), macro.tracking * gain
    if macro.has_rail:
        size = 1.0 if line is None else over_columns(line.size, counts.ndim)
        # The capacitors that rise, whatever part of their step the line has made.
        settled = macro.rail_gain(quotient(counts + own * middle, 2 * gain), size)
        at_middle = macro.rail_gain(jnp.asarray(middle, counts.dtype) / 2)
        if macro.second_line == "differential":
            other = macro.rail_gain(quotient(own * middle - counts, 2 * gain), size)
            counts = (counts * (settled + other) + own * middle * (settled - other)) / 2
        else:
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
    die: LineDraws,
    units: Float[Array, "rows columns"],
    bias: Float[Array, "columns sections"],
) -> tuple[Float[Array, "rows columns"], Float[Array, "columns sections"]]:
    """Step response of every capacitor at the decision, relative to a settled nominal unit; what leaks is left out."""
    drivers = macro.working_drivers
    assert drivers is not None
    assert die.unit_drivers is not None
    assert die.bias_drivers is not None
    unit_resistances = drivers.resistance * (1.0 + drivers.spread * die.unit_drivers[: macro.line_rows])
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
    return weights[:, : macro.line_rows].T, weights[:, macro.line_rows :]


def _added(macro: CapacitorArray, draws: LineDraws, totals: Float[Array, " columns"]) -> Float[Array, " columns"]:
    """Charges of each line's switch and leakage during an evaluation, as a step of the line, V."""
    added = jnp.zeros_like(totals)
    if macro.reset is not None:
        assert draws.switch is not None
        added = macro.switch_step(totals) * (1.0 + macro.reset.spread * draws.switch)
    if macro.leakage is not None:
        assert draws.leakage is not None
        added = added - macro.leaked_drop(totals) * (1.0 + macro.leakage.spread * draws.leakage)
    return added


def _offset(
    macro: CapacitorArray, die: CapacitorDie, added: Float[Array, " columns"], totals: Float[Array, " columns"]
) -> Float[Array, " columns"]:
    """Shift of each column's decision in counts, after the trim has seen all of it."""
    comparator = macro.deciding_comparator
    assert comparator is not None
    shift = comparator.offset(die.comparator)
    if macro.second_line == "none":
        shift = shift + comparator.kickback_step(totals)
        shift = shift + macro.drive_shift + (added + macro.droop_shift)
        shift = shift - macro.tracking * macro.common_shift
    else:
        shift = shift + added
    return comparator.residual_offset(shift, die.trim) * macro.counts_per_volt


def _with_stuck_cells(
    macro: CapacitorArray, draws: LineDraws, cells: Float[Array, "rows columns"], die: CapacitorDie
) -> tuple[Float[Array, "rows columns"], Float[Array, " columns"]]:
    assert macro.faults is not None
    assert draws.faults is not None
    assert die.faults is not None
    stuck, dead = macro.faults.cell_states(draws.faults)[: macro.line_rows], macro.faults.column_states(die.faults)
    working = jnp.where((stuck == 0) & (dead[None, :] == 0), cells, 0.0)
    # A cell stuck high goes from low in reset to high in every evaluation: two counts, on spare rows too.
    return working, 2.0 * jnp.sum(jnp.where(stuck > 0, cells, 0.0), axis=0)


def _without_dead_columns(macro: CapacitorArray, die: CapacitorDie, line: CapacitorLine) -> CapacitorLine:
    assert macro.faults is not None
    assert die.faults is not None
    dead = macro.faults.column_states(die.faults)
    # More than every cell and bias capacitor together: no input changes the decision of a dead column.
    far = 4.0 * macro.total_units
    return eqx.tree_at(lambda parts: parts.offset, line, jnp.where(dead == 0, line.offset, far * dead))
