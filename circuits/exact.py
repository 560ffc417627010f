"""The float reference: a product that stays as the network wrote it."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.fields import count


class Exact(Macro):
    """Products in floating point, unchanged; without cost, because it is not a circuit.

    Attributes:
        rows: Rows of a product, which do not limit it (static).
        columns: Columns, which do not limit it (static).
        weight_bits: Of no effect (static).
        input_bits: Of no effect (static).
    """

    digit_cells: ClassVar[bool] = False

    rows: int = count(default=1)
    columns: int = count(default=1)
    weight_bits: int = count(unit="bit", symbol="b_w", default=16)
    input_bits: int = count(unit="bit", symbol="b_x", default=16)

    @property
    def keeps_product(self) -> bool:
        """The product stays as written."""
        return True

    @property
    def deterministic(self) -> bool:
        """Every die computes the same."""
        return True

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """0: there is no circuit."""
        return jnp.zeros(())

    @property
    def area(self) -> Float[Array, ""]:
        """0: there is no circuit."""
        return jnp.zeros(())

    @checked_arguments
    def tiles(self, product: Product) -> int:
        """1: there is no line."""
        return 1

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray) -> Die:
        """None: nothing is manufactured."""
        return None

    def multiply(self, operands: Operands, *, die: Die = None, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """The product."""
        return operands.product.sums(operands.inputs, operands.matrix)

    def report(self, operands: Operands, *, neuron: Neuron | None = None) -> dict[str, Array]:
        """Nothing clips."""
        return {}

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Nothing is spent."""
        zero = jnp.zeros(())
        return MacroCost(zero, zero, jnp.ones(()), 0.0, 0.0, 0.0, 0.0)

    def ideal(self) -> "Exact":
        """Itself."""
        return self
