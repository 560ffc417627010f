"""Cells of a macro: their rows and columns, their word lengths, and how a product lies on them."""

from typing import ClassVar, TypeVar

import equinox as eqx

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.dataflow import Dataflow, Unrolling
from amsim.circuits.contract.products import Product

AnyCells = TypeVar("AnyCells", bound="Cells")


class Cells(eqx.Module):
    """`rows` x `columns` cells for weights and inputs of some bits; the fields are those of `Macro`."""

    digit_cells: ClassVar[bool] = True

    rows: eqx.AbstractVar[int]
    columns: eqx.AbstractVar[int]
    weight_bits: eqx.AbstractVar[int]
    input_bits: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        """Check sizes and word lengths."""
        integer_between("rows", self.rows, 1)
        integer_between("columns", self.columns, 1)
        integer_between("weight_bits", self.weight_bits, 1, 16)
        integer_between("input_bits", self.input_bits, 1, 16)

    @property
    def line_rows(self) -> int:
        """Rows that one evaluation sums; here all."""
        return self.rows

    @property
    def weight_columns(self) -> int:
        """Columns side by side of a weight whose range is not known; here one for each bit."""
        return self.weight_bits

    @property
    def combined_columns(self) -> int:
        """Neighbouring columns that are read as one value; here each by itself."""
        return 1

    @property
    def input_slices(self) -> int:
        """Reads of a column for one input, one after another; here one for each bit."""
        return self.input_bits

    @checked_arguments
    def for_product(self: AnyCells, product: Product) -> AnyCells:
        """The macro as a product uses it, with what its circuits leave to each product chosen; here as it is.

        Operations choose it by themselves. One that has chosen stays as it is, and its dies are those of the macro.
        """
        return self

    @checked_arguments
    def tiles(self, product: Product) -> int:
        """Number of tiles that the rows of a product are split into.

        Raises:
            ValueError: Rows that cannot be separated do not fit.
        """
        return product.tiles(self.for_product(product).line_rows)

    @checked_arguments
    def mapping_note(self, product: Product) -> str:
        """What putting a product on this macro wastes, and what would help; empty where nothing."""
        return ""

    @checked_arguments
    def column_share(self, product: Product) -> float:
        """Share of a column's cells that one tile of a product keeps from other weights, 1."""
        return self.for_product(product).line_rows / self.rows

    @property
    def dataflow(self) -> Dataflow:
        """Loops that the cells do at once; here weights stay, the bits of each in neighbouring columns."""
        return Dataflow("weight-stationary", columns=max(self.columns // self.weight_columns, 1), rows=self.rows)

    @property
    def unrollings(self) -> tuple[Unrolling, ...]:
        """Ways to fill its units from which a programmable processor chooses, its own first; here there is no choice.

        `cost` does as `work.unrolling` says, which is one of them.
        """
        return ()

    @checked_arguments
    def sum_bits(self, rows: int) -> int:
        """Bits of a sum over so many rows before it is rounded to an activation; here those that hold every sum."""
        return self.weight_bits + self.input_bits + (rows - 1).bit_length()
