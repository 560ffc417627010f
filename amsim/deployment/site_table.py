"""The site table: what landed where, and what did not and why."""

import io
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
    """What landed where, and what did not and why; prints as a table."""

    def __str__(self) -> str:
        """The table as text."""
        console = Console(width=160, record=True, file=io.StringIO(), force_jupyter=False)
        table = Table(box=None)
        for field in SiteRow._fields:
            table.add_column(field.replace("_", " "), overflow="fold")
        for row in self:
            table.add_row(*map(str, row))
        console.print(table)
        return console.export_text().rstrip()

    __repr__ = __str__
