"""The site table: what landed where, and what did not and why."""

import io
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class SiteRow(NamedTuple):
    """One line of the site table.

    `readout` is comparator, number or - for what stays digital; `inside` names the loops and branches around the site.
    """

    name: str
    operation: str
    rows: int
    columns: int
    tiles: int
    macro: str
    readout: str
    weight_bits: int
    input_bits: int
    input_range: str
    inside: str
    reason: str


class SiteTable(tuple[SiteRow, ...]):
    """What landed where, and what did not and why; prints as a table.

    Attributes:
        others: What no row is about, products without a weight above all: how many operations there are of each kind.
    """

    others: dict[str, int]

    def __new__(cls, rows: Iterable[SiteRow] = (), others: Mapping[str, int] | None = None) -> "SiteTable":
        """A table of these rows, beside which there are these other products."""
        table = super().__new__(cls, rows)
        table.others = {kind: count for kind, count in (others or {}).items() if count}
        return table

    def __str__(self) -> str:
        """The table as text."""
        console = Console(width=160, record=True, file=io.StringIO(), force_jupyter=False)
        table = Table(box=None)
        for field in SiteRow._fields:
            table.add_column(field.replace("_", " "), overflow="fold")
        for row in self:
            table.add_row(*map(str, row))
        console.print(table)
        lines = [f"{count} x {kind}" for kind, count in self.others.items()]
        return "\n".join([console.export_text().rstrip(), *lines])

    __repr__ = __str__
