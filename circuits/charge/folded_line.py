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
from amsim.circuits.charge.combined_lines import joined_shares, load_errors, own_capacitors
from amsim.circuits.charge.common_rail import rail_gains
from amsim.circuits.charge.die import CapacitorDie, LineDraws, mismatch_errors
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.charge.rc_line import step_response
from amsim.circuits.contract.bit_slicing import Places, of_groups, places_of, shared_columns, swing_of
from amsim.circuits.contract.products import over_columns
from amsim.noise.finite_slopes import quotient, ratio
from amsim.noise.random import normal

SUPPLY_DRAW = 2**31 - 1
"""Number of the key that draws the supply's noise, beyond those of slices."""


class CapacitorLine(eqx.Module):
    """Lines of an array with the static errors of a die folded into weights, so that no read computes them again.

    Of combined columns a count is one of the least significant of a group: cells and held charges have the weight of
    their column in them, and what is said of slices below, cells apart, is said of groups.

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
        combined: Columns of a group (static).
        places: Place values of input digits that share a conversion; None are nominal ones.
    """

    cells: Float[Array, "line_rows slices"]
    held: Float[Array, " slices"] | None
    bias: Float[Array, "slices sections"]
    bias_middle: Float[Array, " conversions"]
    offset: Float[Array, " conversions"]
    size: Float[Array, " slices"]
    gain: Float[Array, "..."]
    reference_gain: Float[Array, "..."]
    adc: Any
    difference: Float[Array, "line_rows slices"] | None = None
    combined: int = eqx.field(static=True, default=1)
    places: Places | None = None

    def behind(self, slices: int) -> "CapacitorLine":
        """Lines behind the slices of a site: slice `j` is on physical column `j mod columns`."""
        columns = self.cells.shape[1]

        def lines(parts: Any, axis: int = 0) -> Any:
            def behind(values: Array) -> Array:
                return shared_columns(values, slices, axis=axis, each=columns // values.shape[axis])

            return jax.tree.map(behind, parts)

        return CapacitorLine(
            lines(self.cells, 1),
            lines(self.held),
            lines(self.bias),
            lines(self.bias_middle),
            lines(self.offset),
            lines(self.size),
            lines(self.gain) if self.gain.ndim else self.gain,
            lines(self.reference_gain) if self.reference_gain.ndim else self.reference_gain,
            lines(self.adc),
            lines(self.difference, 1),
            self.combined,
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
        halves = of_groups(self.cells if self.difference is None else self.difference, self.combined)
        above = jnp.matmul(driven, halves[: driven.shape[-1]], precision=jax.lax.Precision.HIGHEST)
        if self.difference is None:
            reference = over_columns(self.reference_gain, driven.ndim) * swing_of(self.combined)
            above = above - reference * jnp.sum(driven, axis=-1, keepdims=True)
        own = jnp.zeros_like(self.offset) if self.held is None else of_groups(self.held, self.combined)
        own = own + self.bias_middle if with_bias else own
        return above + own.reshape((1,) * (above.ndim - 1) + own.shape)

    def bias_error(self, bias_dac: BiasDac, levels: Float[Array, "... neurons sections"]) -> Float[Array, "... slices"]:
        """Deviation of the bias DAC's shift from its nominal one, counts."""
        nominal = places_of(self.bias.shape[0], self.combined)[:, None] * bias_dac.section_units()[None, :]
        error = self.bias - nominal
        return of_groups(
            jnp.sum(levels * error.reshape((1,) * (levels.ndim - 2) + error.shape), axis=-1), self.combined
        )


def line_shifts(macro: CapacitorArray, tiles: int, slices: int) -> Float[Array, "tiles slices"] | None:
    """Shift of each line as its bias DAC makes it for `readout_centre`, counts of that line; None without one."""
    if macro.readout_centre is None:
        return None
    return macro.bias_dac.code(jnp.broadcast_to(macro.readout_centre, (tiles, slices))) * macro.bias_dac.lsb


def centre_shifts(
    macro: CapacitorArray, line: CapacitorLine | None, tiles: int, slices: int
) -> tuple[Float[Array, "tiles conversions"] | None, Float[Array, "tiles conversions"] | float]:
    """Shifts of what converters read, as the bias DACs make them, and the errors of those, counts.

    Of combined columns each is that of a group, `sum_j 2^j shift_j` in counts of the least significant one.

    Args:
        macro: The array; without a `readout_centre` there is no shift.
        line: Static errors; None for nominal lines.
        tiles: Tiles of the rows.
        slices: Lines side by side.
    """
    shifts = line_shifts(macro, tiles, slices)
    if shifts is None:
        return None, 0.0
    assert macro.readout_centre is not None
    code = macro.bias_dac.code(jnp.broadcast_to(macro.readout_centre, (tiles, slices)))
    error = 0.0 if line is None else line.bias_error(macro.bias_dac, macro.bias_dac.levels(code))
    combined = macro.combined_columns
    return of_groups(shifts * places_of(slices, combined)[None].astype(shifts.dtype), combined), error


class _Folded(NamedTuple):
    """One line of each column: weights of cells and bias capacitors, counts of stuck cells, size, charges added, V.

    `trimmed` is what was added when the comparators were trimmed; None where that was under the conditions of use.
    """

    cells: Float[Array, "rows columns"]
    bias: Float[Array, "columns sections"]
    held: Float[Array, " columns"] | None
    size: Float[Array, " columns"]
    added: Float[Array, " columns"]
    trimmed: Float[Array, " columns"] | None

    def minus(self, other: "_Folded") -> "_Folded":
        """What two lines differ by."""
        return jax.tree.map(jnp.subtract, self, other)

    def mean(self, other: "_Folded") -> "_Folded":
        """What they have on average."""
        return jax.tree.map(lambda one, two: (one + two) / 2, self, other)


def fold_die(macro: CapacitorArray, die: CapacitorDie) -> CapacitorLine:
    """The physical lines of a die: mismatch, settling, droop, offsets and faults as one weight per capacitor.

    The first banks are those that are on. Of a differential pair P, N a cell is worth `(P + N) / 2` and the middle
    carries `(P - N) / 2`; beside a replica R it is worth `P` and the middle carries `P - R`. Lines that wait for their
    turn at a converter leak for so much longer.
    """
    if macro.turns == 1 or macro.leakage is None:
        return _fold_together(macro, die)
    # One turn after another, each with all columns, of which its own are kept.
    folded = jax.lax.map(lambda wait: _fold_together(macro.after_waiting(wait), die), macro.waits)

    def own_turn(values: Array) -> Array:
        """Values (turns, ..., columns or conversions) of each one's own turn."""
        conversions = macro.columns // macro.combined_columns
        each = values.shape[-1] // conversions
        turn = jnp.arange(values.shape[-1]) // each % macro.turns
        return jnp.take_along_axis(values, turn.reshape((1,) * (values.ndim - 1) + (-1,)), axis=0)[0]

    def own_turn_first(values: Array) -> Array:
        """The same where columns are the first axis of a turn."""
        return jnp.moveaxis(own_turn(jnp.moveaxis(values, 1, -1)), -1, 0)

    conversions, places = (macro.columns // macro.combined_columns,), folded.places
    if places is not None:
        # Rows have the same in all turns.
        rows = None if places.rows is None else places.rows[0]
        places = Places(rows, None if places.columns is None else own_turn(places.columns))
    gain, reference_gain = (
        own_turn(jnp.broadcast_to(one[:, None], (macro.turns, *conversions)))
        for one in (folded.gain, folded.reference_gain)
    )
    return CapacitorLine(
        own_turn(folded.cells),
        None if folded.held is None else own_turn(folded.held),
        own_turn_first(folded.bias),
        own_turn(folded.bias_middle),
        own_turn(folded.offset),
        own_turn(folded.size),
        gain,
        reference_gain,
        macro.of_readouts(die.adc),
        None if folded.difference is None else own_turn(folded.difference),
        folded.combined,
        places,
    )


def _fold_together(macro: CapacitorArray, die: CapacitorDie) -> CapacitorLine:
    """The lines when all are read at once."""
    bias_units = macro.bias_dac.section_units()
    # Once for all that follows from nominal capacitors, now and at the trim.
    then = macro.at_trim
    nominal, at_trim = macro.nominal, None if then is None else then.nominal
    gain = macro.read_gain(nominal)
    reference_gain = track_reference(gain, macro.tracking)
    read = _fold_line(macro, (nominal, at_trim), die.first, die)
    combined = macro.combined_columns
    nominal_bias = places_of(macro.columns, combined)[:, None] * bias_units[None, :-1]
    bias_above, held, difference = read.bias[:, :-1] - reference_gain * nominal_bias, read.held, None
    against = None if die.second is None else _fold_line(macro, (nominal, at_trim), die.second, die)
    added = read.added, read.trimmed
    if against is not None:
        apart = read.minus(against)
        added = apart.added, apart.trimmed
        if macro.second_line == "differential":
            read, apart = read.mean(against), jax.tree.map(lambda one: one / 2, apart)
        bias_above, held, difference = apart.bias[:, :-1], apart.held, apart.cells
    offset = _offset(macro, (nominal, at_trim), die, *added, nominal.total * read.size)
    line = CapacitorLine(
        read.cells,
        held,
        read.bias,
        of_groups(jnp.sum(bias_above, axis=1), combined),
        offset,
        read.size,
        gain,
        reference_gain,
        macro.of_readouts(die.adc),
        difference,
        combined,
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


def _fold_line(
    macro: CapacitorArray, nominal_lines: tuple[NominalLine, NominalLine | None], draws: LineDraws, die: CapacitorDie
) -> _Folded:
    """One line of each column; both lines of a pair lie beside each other, in the same layout.

    Args:
        macro: The array.
        nominal_lines: Its nominal line, in use and when the comparators were trimmed where that was not in use.
        draws: Of the line.
        die: Of what both lines have in common.
    """
    nominal, at_trim = nominal_lines
    bias_units = macro.bias_dac.section_units()
    unit_errors, bias_errors = mismatch_errors(macro, draws)
    if macro.layout is not None and die.layout is not None:
        unit_errors = unit_errors + macro.layout.errors(die.layout, macro.rows, macro.columns)
    unit_errors = unit_errors[: macro.line_rows]
    total_error = jnp.sum(unit_errors, axis=0) + jnp.sum(bias_errors, axis=1)
    own = None if macro.joined is None else own_capacitors(macro, draws)
    if own is not None:
        total_error = total_error + load_errors(macro, own)
    size = 1.0 + ratio(total_error, nominal.total_units)
    totals = nominal.total * size
    if macro.drivers is None:
        # From the deviations, so that the gain of a die without mismatch is exactly 1.
        share = ratio(nominal.total_units, nominal.total_units + total_error)
        cells, bias = (1.0 + unit_errors) * share[None, :], (bias_units[None, :] + bias_errors) * share[:, None]
    else:
        cells, bias = _settling(macro, nominal, draws, 1.0 + unit_errors, bias_units[None, :] + bias_errors)
    if macro.leakage is not None:
        drivers = nominal.alike_drivers(totals)
        kept = macro.leakage.kept_fraction(totals, macro.temperature, drivers)
        if drivers is not None:
            kept = ratio(kept, drivers.settled(macro.leakage.hold_time))
        cells, bias = cells * kept[None, :], bias * kept[:, None]
    if macro.sampling_capacitance is not None:
        # The converter knows what a nominal line loses to it.
        sampled = ratio(macro.sampled_fraction(totals), macro.sampled_fraction(nominal.total))
        cells, bias = cells * sampled[None, :], bias * sampled[:, None]
    held = None
    if macro.faults is not None and draws.faults is not None:
        cells, held = _with_stuck_cells(macro, draws, cells, die)
    added = _added(macro, nominal, draws, totals)
    trimmed = None if at_trim is None else _added(macro, at_trim, draws, totals)
    if own is None:
        return _Folded(cells, bias, held, size, added, trimmed)
    shares, weights = joined_shares(macro, own, totals)
    held = None if held is None else held * weights
    added = of_groups(shares * added, macro.combined_columns)
    return _Folded(cells * weights[None], bias * weights[:, None], held, size, added, trimmed)


def track_reference(gain: Float[Array, "..."], tracking: Float[Array, ""]) -> Float[Array, "..."]:
    """Gain of the half-way level that the readout compares with, from that of nominal lines: `1 + tracking (g - 1)`."""
    return 1.0 + tracking * (gain - 1.0)


def counts_at_decision(
    macro: CapacitorArray,
    line: CapacitorLine | None,
    counts: Float[Array, "..."],
    middle: Float[Array, ""] | float,
    key: PRNGKeyArray | None,
    nominal: NominalLine | None = None,
) -> Float[Array, "..."]:
    """Counts of lines above their reference at the decision, from their settled values behind an ideal supply.

    Args:
        macro: The array.
        line: Its static errors, or None for nominal and ideal lines.
        counts: Settled values above the reference, columns last.
        middle: Counts between no cell high and half of them high, the level that the reference stands for.
        key: Draws the supply's noise; None is no noise.
        nominal: The nominal line, where it is at hand.
    """
    gain = jnp.ones_like(macro.supply) if line is None else line.gain
    gain = over_columns(gain, counts.ndim) if gain.ndim else gain
    own, in_common = track_reference(gain, macro.tracking), macro.tracking * gain
    if macro.has_rail:
        nominal = macro.nominal if nominal is None else nominal
        size = 1.0 if line is None else over_columns(line.size, counts.ndim)
        # The capacitors that rise, whatever part of their step the line has made.
        high, half = quotient(counts + own * middle, 2 * gain), jnp.asarray(middle, counts.dtype) / 2
        if macro.second_line == "differential":
            settled, other = rail_gains(
                macro, nominal, jnp.stack([high, quotient(own * middle - counts, 2 * gain)]), size
            )
            counts = (counts * (settled + other) + own * middle * (settled - other)) / 2
        else:
            # The reference is a line too, with half of its cells high; beside a level, on a rail of such lines.
            lines = [high] if macro.second_line == "none" else [high, jnp.broadcast_to(half, high.shape)]
            settled = rail_gains(macro, nominal, jnp.stack(lines), size)[0]
            at_middle = nominal.rail_gain(half) if macro.lines == 1 or macro.has_own_rails else settled
            counts = counts * settled + middle * (own * settled - own + in_common * (1.0 - at_middle))
    if macro.supply_noise is not None and key is not None:
        swing = ratio(macro.supply_noise, macro.supply)
        shape = (*counts.shape[:-1], 1)
        relative = swing * normal(jax.random.fold_in(key, SUPPLY_DRAW), shape, counts.dtype)
        counts = counts + relative * (counts + (own - in_common) * middle)
    return counts if line is None else counts + over_columns(line.offset, counts.ndim)


def _settling(
    macro: CapacitorArray,
    nominal: NominalLine,
    die: LineDraws,
    units: Float[Array, "rows columns"],
    bias: Float[Array, "columns sections"],
) -> tuple[Float[Array, "rows columns"], Float[Array, "columns sections"]]:
    """Step response of every capacitor at the decision, relative to a settled nominal unit; what leaks is left out."""
    drivers = nominal.drivers
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
        nominal.parasitic,
        nominal.settling_time,
    )
    weights = responses * nominal.total_units
    return weights[:, : macro.line_rows].T, weights[:, macro.line_rows :]


def _added(
    macro: CapacitorArray, nominal: NominalLine, draws: LineDraws, totals: Float[Array, " columns"]
) -> Float[Array, " columns"]:
    """Charges of each line's switch and leakage during an evaluation, as a step of what is read, V."""
    added = jnp.zeros_like(totals)
    if macro.reset is not None:
        assert draws.switch is not None
        added = nominal.switch_step(totals) * (1.0 + macro.reset.spread * draws.switch)
    if macro.leakage is not None:
        assert draws.leakage is not None
        added = added - nominal.leaked_drop(totals) * (1.0 + macro.leakage.spread * draws.leakage)
    return added if macro.sampling_capacitance is None else added * macro.sampled_fraction(totals)


def _offset(
    macro: CapacitorArray,
    nominal_lines: tuple[NominalLine, NominalLine | None],
    die: CapacitorDie,
    added: Float[Array, " conversions"],
    trimmed: Float[Array, " conversions"] | None,
    totals: Float[Array, " columns"],
) -> Float[Array, " conversions"]:
    """Shift of each conversion's decisions in counts, after the trim has seen all of it, then or now.

    A comparator that takes turns has a code of its own for each of them.
    """
    comparator, then, (nominal, at_trim) = macro.deciding_comparator, macro.at_trim, nominal_lines
    assert comparator is not None
    shift, code = _shift(macro, nominal, die, added, totals), die.trim[:: macro.combined_columns]
    # The trim acts at the comparator's input, which sees a part of what the line shifts.
    referral = macro.comparator_referral
    if then is None:
        return comparator.residual_offset(shift / referral, code) * (referral * macro.counts_per_volt)
    assert trimmed is not None
    assert die.drift is not None
    assert at_trim is not None
    deciding = then.deciding_comparator
    assert deciding is not None
    seen = _shift(then, at_trim, die, trimmed, totals)
    moved = (shift - seen) / referral + comparator.drift(macro.of_readouts(die.drift), macro.temperature, macro.supply)
    return (deciding.residual_offset(seen / referral, code) + moved) * (referral * macro.counts_per_volt)


def _shift(
    macro: CapacitorArray,
    nominal: NominalLine,
    die: CapacitorDie,
    added: Float[Array, " conversions"],
    totals: Float[Array, " columns"],
) -> Float[Array, " conversions"]:
    """Shift of each conversion's decision without trim, V on the line, from what its lines add."""
    assert macro.comparator is not None
    shift = macro.comparator_referral * macro.comparator.offset(macro.of_readouts(die.comparator))
    if macro.second_line != "none":
        return shift + added
    shift, share = shift + macro.kickback_step(totals[:: macro.combined_columns]), macro.common_share(totals)
    shift = shift + share * nominal.drive_shift + (added + share * nominal.droop_shift)
    return shift - macro.tracking * macro.common_shift(nominal)


def _with_stuck_cells(
    macro: CapacitorArray, draws: LineDraws, cells: Float[Array, "rows columns"], die: CapacitorDie
) -> tuple[Float[Array, "rows columns"], Float[Array, " columns"]]:
    assert macro.faults is not None
    assert draws.faults is not None
    stuck = macro.faults.cell_states(draws.faults)[: macro.line_rows]
    dead = jnp.repeat(dead_conversions(macro, die), macro.combined_columns, total_repeat_length=macro.columns)
    working = jnp.where((stuck == 0) & (dead[None, :] == 0), cells, 0.0)
    # A cell stuck high goes from low in reset to high in every evaluation: two counts, on spare rows too.
    return working, 2.0 * jnp.sum(jnp.where(stuck > 0, cells, 0.0), axis=0)


def _without_dead_columns(macro: CapacitorArray, die: CapacitorDie, line: CapacitorLine) -> CapacitorLine:
    dead = dead_conversions(macro, die)
    # More than every cell and bias capacitor together: no input changes the decision of a dead column.
    far = 4.0 * macro.read_units * swing_of(macro.combined_columns)
    return eqx.tree_at(lambda parts: parts.offset, line, jnp.where(dead == 0, line.offset, far * dead))


def dead_conversions(macro: CapacitorArray, die: CapacitorDie) -> Float[Array, " conversions"]:
    """State of the readout of each conversion, a column or a group of combined ones; see `Faults.column_states`."""
    assert macro.faults is not None
    assert die.faults is not None
    return macro.of_readouts(macro.faults.column_states(die.faults))
