"""Work of one network site on a macro per inference, and its cost."""

import dataclasses
import math

import equinox as eqx
from jaxtyping import Array, Float

from amsim.circuits.contract.dataflow import Unrolling
from amsim.circuits.contract.products import Product

SHARED_BY = {"output channels": "inputs", "pixels": "weights", "input channels": "sums"}
"""Ways to split a site over several equal macros, and the operand that they then share."""


class Work(eqx.Module):
    """Work of one network site on a macro per inference; counts only.

    Attributes:
        product: Rows, columns and how they tile.
        positions: Output vectors per inference (pixels of a feature map, 1 for a dense layer).
        input_words: Elements of the site's input that it reads, per inference; all groups of channels together.
        window_fetches: Fetches of each of them while the window slides over the map once.
        weight_columns: Columns that one weight takes side by side where its coding is known; None is the macro's own
            number (static).
        unrolling: Loops that fill the units, one of the macro's `unrollings`; None is the first of them.
    """

    product: Product
    positions: int = eqx.field(static=True)
    input_words: int = eqx.field(static=True)
    window_fetches: float = eqx.field(static=True)
    weight_columns: int | None = eqx.field(static=True, default=None, kw_only=True)
    unrolling: Unrolling | None = eqx.field(static=True, default=None, kw_only=True)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return self.positions * self.product.rows * self.product.columns

    def fetched_bits(self, word: int, passes: int) -> float:
        """Input bits fetched when each group of channels takes its share of the passes over the columns.

        Args:
            word: Bits of an input.
            passes: Passes of all groups, from `Product.passes`; each fetches the inputs of its group.
        """
        return float(self.input_words * word * (passes // self.product.input_groups)) * self.window_fetches

    def part(self, over: str, ways: int) -> "Work":
        """Largest part of the work when it is split; over output channels, the filters of each group are.

        Args:
            over: One of `SHARED_BY`.
            ways: Number of parts.
        """
        if over == "pixels":
            parts = {name: -(-getattr(self, name) // ways) for name in ("positions", "input_words")}
            return dataclasses.replace(self, **parts)
        if over == "output channels":
            groups = self.product.input_groups
            columns = groups * -(-self.product.columns // (groups * ways))
            return dataclasses.replace(self, product=self.product.part(columns=columns))
        product = self.product.part(blocks=-(-self.product.blocks // ways))
        words = -(-self.input_words * product.blocks // self.product.blocks)
        return dataclasses.replace(self, product=product, input_words=words)


class MacroCost(eqx.Module):
    """Cost of one site on a macro per inference.

    Attributes:
        energy: Energy of the multiply-accumulates with drivers and readout, J.
        compute_cycles: Clock cycles of computing.
        load_cycles: Clock cycles of loading weights.
        clock: Frequency of those cycles, Hz.
        unclocked_time: Time on top of the clock cycles, as for a slow converter, s.
        weight_bits: Bits fetched from the weight memory.
        input_bits: Bits fetched from the activation memory.
        output_bits: Bits written to the activation memory.
        stored_bits: Weight bits that the site keeps somewhere.
        additions: Partial sums of tiles and bit slices that are added after the readout, words.
        occupancy: Share of the macro's cells that its weights occupy, 1; above 1 they are reloaded at each inference,
            and infinite where weights stream through.
        peak_macs: Multiply-accumulates per cycle with all cells in use.
        passes: Passes of the data through the cells, each with other weights.
        filled: Share of the cells that have work while they compute, 1.
        weight_sharing: Cells side by side that use one weight read from a register, on average.
        input_sharing: Cells side by side that use one input read from a register, on average.
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
    filled: float = 1.0
    weight_sharing: float = math.inf
    input_sharing: float = math.inf

    @property
    def cycles(self) -> Float[Array, ""]:
        """Clock cycles of loading and computing, one after the other."""
        return self.compute_cycles + self.load_cycles

    @property
    def seconds(self) -> Float[Array, ""]:
        """Time of loading and computing, one after the other, s."""
        return self.cycles / self.clock + self.unclocked_time
