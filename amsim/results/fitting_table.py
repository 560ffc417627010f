"""Tables that a narrow terminal shows row by row, so that no number is broken and no column is lost."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

WIDE = 10_000
"""Columns of a terminal in which any table has room."""


class FittingTable(Table):
    """A table that is printed as blocks of `heading: value`, one for each row, where its words do not fit."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Any]:
        """What is printed: the table, or its rows one below the other."""
        if self._fits(console, options):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(one_line(str(self.title)), style="italic")
        for number, row in enumerate(self.rows):
            yield from self._block([list(column.cells)[number] for column in self.columns], row.style or "")

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        """Whether no word is broken; columns then get widths, since the layout would break words beside wide ones."""
        if self.width is not None:
            return self.width <= options.max_width
        least, most = np.transpose([self._widths(column, console, options) for column in self.columns])
        gap = 1 if self.collapse_padding else 2
        surplus = options.max_width - gap * (len(least) - 1) - int(least.sum())
        if surplus < 0:
            return False
        # Those that need least come first, so that as few as possible wrap.
        for index in np.argsort(most - least, kind="stable"):
            given = min(surplus, int(most[index] - least[index]))
            self.columns[index].width, surplus = int(least[index]) + given, surplus - given
        return True

    def _widths(self, column: Column, console: Console, options: ConsoleOptions) -> tuple[int, int]:
        wide = options.update(width=WIDE)
        cells = [console.render_str(one) if isinstance(one, str) else one for one in (column.header, *column.cells)]
        found = [Measurement.get(console, wide, one) for one in cells]
        most = max(one.maximum for one in found)
        return (most if column.no_wrap else max(one.minimum for one in found)), most

    def _block(self, cells: list[Any], style: Any) -> Iterator[Any]:
        yield Text(plain_cell(cells[0]), style=style)
        for column, cell in zip(self.columns[1:], cells[1:], strict=True):
            text = one_line(plain_cell(cell))
            if text:
                yield Padding(Text(f"{one_line(str(column.header))}: {text}", style=style), (0, 0, 0, 2))


def one_line(text: str) -> str:
    """Text that was broken into short lines for a narrow column."""
    return text.replace("-\n", "").replace("\n", " ")


def plain_cell(cell: Any) -> str:
    """Text of a cell of a table, with its lines."""
    if isinstance(cell, Group):
        return "\n".join(map(plain_cell, cell.renderables))
    if isinstance(cell, Padding):
        return plain_cell(cell.renderable)
    return cell.plain if isinstance(cell, Text) else str(cell)
