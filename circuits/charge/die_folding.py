"""A die folded into lines: its static errors as one weight for each capacitor, once for many reads.

Every formula is that of one explicit line (`amsim.circuits.charge.charge_line`), in units of one capacitor.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.combined_lines import joined_shares, load_errors, own_capacitors
from amsim.circuits.charge.decision_offset import added_steps, decision_offset
from amsim.circuits.charge.die import CapacitorDie, LineDraws, mismatch_errors
from amsim.circuits.charge.faulty_lines import with_stuck_cells, without_dead_columns
from amsim.circuits.charge.folded_line import CapacitorLine
from amsim.circuits.charge.line_at_decision import track_reference
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.charge.rc_line import step_response
from amsim.circuits.contract.bit_slicing import Places, of_groups, places_of
from amsim.noise.finite_slopes import ratio


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
    offset = decision_offset(macro, (nominal, at_trim), die, *added, nominal.total * read.size)
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
    return line if macro.faults is None or die.faults is None else without_dead_columns(macro, die, line)


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
        cells, held = with_stuck_cells(macro, draws, cells, die)
    added = added_steps(macro, nominal, draws, totals)
    trimmed = None if at_trim is None else added_steps(macro, at_trim, draws, totals)
    if own is None:
        return _Folded(cells, bias, held, size, added, trimmed)
    shares, weights = joined_shares(macro, own, totals)
    held = None if held is None else held * weights
    added = of_groups(shares * added, macro.combined_columns)
    return _Folded(cells * weights[None], bias * weights[:, None], held, size, added, trimmed)


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
