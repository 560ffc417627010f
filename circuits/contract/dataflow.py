"""How the loops of a product are spread over the cells of a macro, as tools that model dataflow ask."""

from typing import NamedTuple

DATAFLOWS = ("weight-stationary", "output-stationary")
"""Weights stay in the cells and rows are summed on a line, or sums stay and rows of units take output positions."""


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
