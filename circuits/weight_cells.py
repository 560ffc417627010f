"""Weight cells of a digital array below their safe supply: the failing cells of a die, and the weights then read."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from amsim.circuits.contract.bit_slicing import place_value, shared_cells, weight_digits
from amsim.circuits.contract.operands import Coded
from amsim.circuits.technology.sram import SramCell


class WeightCellsDie(eqx.Module):
    """Draws of the weight cells of one die.

    Attributes:
        minimum_supply: Standard draws (mean 0, sigma 1) of each cell's lowest working supply.
        state: Value that a failing cell holds, -1 or +1.
    """

    minimum_supply: Float[Array, "rows columns"]
    state: Float[Array, "rows columns"]

    def failing(self, cell: SramCell, supply: Float[Array, ""]) -> Bool[Array, "rows columns"]:
        """Cells whose lowest working supply is above `supply` (V); a cell that fails also fails at lower supplies."""
        return cell.mean + cell.sigma * self.minimum_supply > supply


def draw_weight_cells(key: PRNGKeyArray, rows: int, columns: int) -> WeightCellsDie:
    """Draws of one die; a failing cell reads 0 or 1 with equal probability (facts 7.5)."""
    supply, state = jax.random.split(key)
    shape = (rows, columns)
    return WeightCellsDie(jax.random.normal(supply, shape), jax.random.rademacher(state, shape, float))


def weights_as_read(
    coded: Coded,
    failing: Bool[Array, "line_rows line_columns"],
    state: Float[Array, "line_rows line_columns"],
) -> Float[Array, "rows columns"]:
    """Integer weights with the bits that failing cells give in place of theirs.

    All sites share the cells (`shared_cells`). A weight bit in a failing cell has the gradient 0.

    Args:
        coded: The operands.
        failing: Where a cell of the array fails.
        state: Value that it then holds, -1 or +1.
    """
    code, digits = coded.w_code, weight_digits(coded)
    read = jnp.where(shared_cells(failing, coded), shared_cells(state, coded).astype(digits.dtype), digits)
    places = place_value(jnp.arange(code.digit_count), digits.dtype)
    words = jnp.matmul(read.reshape(*coded.w.shape, code.digit_count), places, precision=jax.lax.Precision.HIGHEST)
    return code.digit_gain * words + code.digit_offset
