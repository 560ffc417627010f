"""How the loops of a product are spread over the cells of a macro."""

from typing import NamedTuple

DATAFLOWS = ("weight-stationary", "output-stationary")
"""Weights stay in the cells and rows are summed on a line, or sums stay and rows of units take output positions."""

DIMENSIONS = ("pixels", "output channels", "input channels")
"""Loops of a product that units side by side can share out among them."""


class Dataflow(NamedTuple):
    """Loops that a macro does at once.

    Attributes:
        kind: One of `DATAFLOWS`.
        columns: Output channels side by side.
        rows: Rows summed at once, or output positions at once where outputs are stationary.
    """

    kind: str
    columns: int
    rows: int


class Unrolling(NamedTuple):
    """Loop that fills each side of an array of units; each is one of `DIMENSIONS`.

    Units on pixels share a weight, units on output channels an input, and the sums of units on input channels are added
    at the end.

    Attributes:
        rows: Loop on the rows of units.
        columns: Loop on the columns of units.
        subwords: Loop on the subwords inside a unit.
    """

    rows: str
    columns: str
    subwords: str

    @property
    def name(self) -> str:
        """Loops on rows and columns, such as "pixels x output channels"."""
        return f"{self.rows} x {self.columns}"

    @property
    def label(self) -> str:
        """The same, with the loop on subwords where it is not that of the rows."""
        return self.name if self.subwords == self.rows else f"{self.name}, subwords on {self.subwords}"

    def side_by_side(self, rows: int, columns: int, subwords: int = 1) -> dict[str, int]:
        """Steps of each loop that an array of this size does at once.

        Args:
            rows: Rows of units.
            columns: Columns of units.
            subwords: Products of one unit per cycle.
        """
        found = dict.fromkeys(DIMENSIONS, 1)
        for loop, size in zip(self, (rows, columns, subwords), strict=True):
            found[loop] *= size
        return found
