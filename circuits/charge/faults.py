"""Hard faults of an array: cells whose XNOR output is stuck, and columns whose readout is."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, quantity


class FaultsDie(eqx.Module):
    """Uniform draws in [0, 1) of the faults of one die; `Faults` turns them into faults.

    Attributes:
        cells: One draw per cell.
        columns: One draw per column.
    """

    cells: Float[Array, "rows columns"]
    columns: Float[Array, " columns"]


class Faults(eqx.Module):
    """Independent faults of cells and columns.

    A cell whose draw is below `stuck_high` is stuck high, one in the uppermost `stuck_low` is stuck low: a cell that is
    faulty at one probability stays so at a larger one. A dead column is stuck at its highest or lowest value, both
    equally likely.

    Attributes:
        stuck_high: Probability that a cell goes high in every evaluation, 0 to 1; reset still takes its bottom plate
            low.
        stuck_low: Probability that it stays low in every evaluation, 0 to 1.
        dead_column: Probability that a column's readout is stuck, 0 to 1.

    Raises:
        ValueError: A probability outside 0..1, or `stuck_high + stuck_low` above 1.

    Validity: permanent faults without clusters; probabilities are resolved to 1e-7 in float32. Faults have no
    derivative with respect to the probabilities: differentiate an expectation over dies by finite differences.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "faults",
            "static",
            "Stuck cells and dead columns.",
            sizes=("stuck_high", "stuck_low", "dead_column"),
            left_out=True,
        ),
    )

    stuck_high: Quantity = quantity("stuck_high", unit="1", at_most=1.0, default=0.0)
    stuck_low: Quantity = quantity("stuck_low", unit="1", at_most=1.0, default=0.0)
    dead_column: Quantity = quantity("dead_column", unit="1", at_most=1.0, default=0.0)

    def __check_init__(self) -> None:
        """Check that a cell is not more than certain to fail; traced probabilities are checked where used."""
        # By NumPy, since `jit` traces operations on numbers too.
        if not self._traced and _too_many(np.asarray(self.stuck_high), np.asarray(self.stuck_low)):
            raise ValueError(
                "Arguments `stuck_high` and `stuck_low` must be at most 1 together, "
                f"but are {float(self.stuck_high):g} and {float(self.stuck_low):g}."
            )

    @property
    def _traced(self) -> bool:
        return any(isinstance(value, jax.core.Tracer) for value in (self.stuck_high, self.stuck_low))

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, rows: int, columns: int) -> FaultsDie:
        """Uniform draws of one die; the same key gives the same die whatever the probabilities."""
        integer_between("rows", rows, 1)
        integer_between("columns", columns, 1)
        cells, readouts = jax.random.split(key)
        return FaultsDie(jax.random.uniform(cells, (rows, columns)), jax.random.uniform(readouts, (columns,)))

    def cell_states(self, die: FaultsDie) -> Float[Array, "rows columns"]:
        """State of each cell: -1 bottom plate always low, 0 working, +1 always high."""
        high = self.stuck_high
        if self._traced:
            bad = _too_many(high, self.stuck_low)
            high = eqx.error_if(high, bad, "Arguments `stuck_high` and `stuck_low` must be at most 1 together.")
        return _state(die.cells, high, self.stuck_low)

    def column_states(self, die: FaultsDie) -> Float[Array, " columns"]:
        """State of each column's readout: -1 stuck at its lowest value, 0 working, +1 stuck at its highest."""
        return _state(die.columns, self.dead_column / 2, self.dead_column / 2)


def _too_many(high: Any, low: Any) -> Any:
    # Room for the rounding of 0.7 + 0.3 in float32.
    return high + low > 1.0 + 1e-6


def _state(draws: Float[Array, "..."], high: Float[Array, ""], low: Float[Array, ""]) -> Float[Array, "..."]:
    return jnp.where(draws < high, 1.0, jnp.where(draws >= 1.0 - low, -1.0, 0.0)).astype(draws.dtype)
