"""Table of sites: where each product landed, or why it stays digital."""

import io
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from amsim.deployment.site_ranges import Calibration

FROM_DATA = "from data"
"""Range of inputs that each vector of them chooses for itself."""


class SiteRow(NamedTuple):
    """One line of the site table: a product on a macro, or one that stays digital.

    Attributes:
        name: Name of the site.
        operation: JAX's name of the product.
        rows: Rows of the product; this and what follows is None for what stays digital.
        columns: Columns of the product.
        tiles: Tiles of the macro's rows that it takes.
        macro: Class of the macro.
        readout: "comparator" or "number".
        weight_bits: Bits of a weight.
        input_bits: Bits of an input.
        input_range: Range of the inputs that the program or a calibration fixes, or "from data".
        inside: Loops and branches around it, the outermost first.
        reason: Why it stays digital; empty on a macro.
    """

    name: str
    operation: str
    rows: int | None = None
    columns: int | None = None
    tiles: int | None = None
    macro: str | None = None
    readout: str | None = None
    weight_bits: int | None = None
    input_bits: int | None = None
    input_range: str | None = None
    inside: str = ""
    reason: str = ""

    @property
    def on_macro(self) -> bool:
        """Whether the product is on a macro."""
        return self.macro is not None


class SiteTable(tuple[SiteRow, ...]):
    """Where each product landed, or why it stays digital; prints as a table.

    Attributes:
        others: Number of operations without a row, by kind: above all products that have no weight.
    """

    others: dict[str, int]

    def __new__(cls, rows: Iterable[SiteRow] = (), others: Mapping[str, int] | None = None) -> "SiteTable":
        """Table of these rows, with the numbers of other products."""
        table = super().__new__(cls, rows)
        table.others = {kind: count for kind, count in (others or {}).items() if count}
        return table

    def calibrated(self, calibration: Calibration) -> "SiteTable":
        """The table with the ranges of inputs that a calibration chose."""
        codes = {row.name: calibration.of(row.name).inputs for row in self if row.on_macro}
        ranges = {name: f"{code.low:.3g} to {code.high:.3g}" for name, code in codes.items() if code is not None}
        rows = (row._replace(input_range=ranges.get(row.name, row.input_range)) for row in self)
        return SiteTable(rows, self.others)

    def __str__(self) -> str:
        """The table as text."""
        console = Console(width=160, record=True, file=io.StringIO(), force_jupyter=False)
        table = Table(box=None)
        for field in SiteRow._fields:
            table.add_column(field.replace("_", " "), overflow="fold")
        for row in self:
            table.add_row(*("-" if value is None else str(value) for value in row))
        console.print(table)
        lines = [f"{count} x {kind}" for kind, count in self.others.items()]
        return "\n".join([console.export_text().rstrip(), *lines])

    __repr__ = __str__
