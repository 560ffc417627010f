"""Faults on the lines of a die: cells that are stuck, and conversions that are dead."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.die import CapacitorDie, LineDraws
from amsim.circuits.charge.folded_line import CapacitorLine
from amsim.circuits.contract.bit_slicing import swing_of


def with_stuck_cells(
    macro: CapacitorArray, draws: LineDraws, cells: Float[Array, "rows columns"], die: CapacitorDie
) -> tuple[Float[Array, "rows columns"], Float[Array, " columns"]]:
    """Weights of cells of which stuck ones and those of dead conversions have none, and what those stuck high add."""
    assert macro.faults is not None
    assert draws.faults is not None
    stuck = macro.faults.cell_states(draws.faults)[: macro.line_rows]
    dead = jnp.repeat(dead_conversions(macro, die), macro.combined_columns, total_repeat_length=macro.columns)
    working = jnp.where((stuck == 0) & (dead[None, :] == 0), cells, 0.0)
    # A cell stuck high goes from low in reset to high in every evaluation: two counts, on spare rows too.
    return working, 2.0 * jnp.sum(jnp.where(stuck > 0, cells, 0.0), axis=0)


def without_dead_columns(macro: CapacitorArray, die: CapacitorDie, line: CapacitorLine) -> CapacitorLine:
    """The lines with the offsets of dead conversions so large that these always decide the same."""
    dead = dead_conversions(macro, die)
    # More than every cell and bias capacitor together: no input changes the decision of a dead column.
    far = 4.0 * macro.read_units * swing_of(macro.combined_columns)
    return eqx.tree_at(lambda parts: parts.offset, line, jnp.where(dead == 0, line.offset, far * dead))


def dead_conversions(macro: CapacitorArray, die: CapacitorDie) -> Float[Array, " conversions"]:
    """State of the readout of each conversion, a column or a group of combined ones; see `Faults.column_states`."""
    assert macro.faults is not None
    assert die.faults is not None
    return macro.of_readouts(macro.faults.column_states(die.faults))
