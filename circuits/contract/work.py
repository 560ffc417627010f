"""What one site of a network asks of a macro in an inference, and what that costs."""

import dataclasses
import math

import equinox as eqx
from jaxtyping import Array, Float

from amsim.circuits.contract.products import Product

SHARED_BY = {"output channels": "inputs", "pixels": "weights", "input channels": "sums"}
"""Ways to split a site over several equal macros, and what all of them then have in common."""


class Work(eqx.Module):
    """What one site of a network asks of a macro in one inference; counts only.

    Attributes:
        product: Rows, columns and how they tile.
        positions: Output vectors an inference (pixels of a feature map, 1 for a dense layer).
        input_words: Elements of the site's input an inference.
        window_fetches: Times each input element is fetched while the window slides over the map once.
    """

    product: Product
    positions: int = eqx.field(static=True)
    input_words: int = eqx.field(static=True)
    window_fetches: float = eqx.field(static=True)

    @property
    def macs(self) -> int:
        """Multiply-accumulates an inference."""
        return self.positions * self.product.rows * self.product.columns

    def part(self, over: str, ways: int) -> "Work":
        """Largest part of the work when it is split.

        Args:
            over: One of `SHARED_BY`.
            ways: Number of parts.
        """
        if over == "pixels":
            parts = {name: -(-getattr(self, name) // ways) for name in ("positions", "input_words")}
            return dataclasses.replace(self, **parts)
        if over == "output channels":
            return dataclasses.replace(self, product=self.product.part(columns=-(-self.product.columns // ways)))
        product = self.product.part(blocks=-(-self.product.blocks // ways))
        words = -(-self.input_words * product.blocks // self.product.blocks)
        return dataclasses.replace(self, product=product, input_words=words)


class MacroCost(eqx.Module):
    """Cost of one site on a macro, an inference.

    Attributes:
        energy: Energy of the multiply-accumulates with drivers and readout, J.
        compute_cycles: Clock cycles of computing.
        load_cycles: Clock cycles in which the macro takes up weights.
        clock: Of those cycles, Hz.
        unclocked_time: Time that no clock counts, as for a slow converter, s.
        weight_bits: Bits fetched from the weight memory.
        input_bits: Bits fetched from the activation memory.
        output_bits: Bits written to the activation memory.
        stored_bits: Weight bits that the site keeps somewhere.
        additions: Partial sums of tiles and bit slices that are added after the readout, words.
        occupancy: Fraction of the macro's cells that its weights occupy, 1; above 1 they are loaded again at each
            inference, and infinite where weights stream through.
        peak_macs: Multiply-accumulates a cycle with all cells in use.
        passes: Times that data flow through the cells, each time on other weights.
    """

    energy: Float[Array, ""]
    compute_cycles: Float[Array, ""]
    clock: Float[Array, ""]
    weight_bits: float
    input_bits: float
    output_bits: float
    stored_bits: float
    load_cycles: Float[Array, ""] | float = 0.0
    unclocked_time: Float[Array, ""] | float = 0.0
    additions: float = 0.0
    occupancy: float = math.inf
    peak_macs: Float[Array, ""] | float = 1.0
    passes: float = 1.0

    @property
    def cycles(self) -> Float[Array, ""]:
        """Clock cycles of loading and computing, one after the other."""
        return self.compute_cycles + self.load_cycles

    @property
    def seconds(self) -> Float[Array, ""]:
        """Time of loading and computing, one after the other, s."""
        return self.cycles / self.clock + self.unclocked_time
