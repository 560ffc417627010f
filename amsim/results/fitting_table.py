"""Tables that a narrow terminal shows row by row, so that no number is broken and no column is lost."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDE = 10_000
"""Columns of a terminal in which any table has room."""


class FittingTable(Table):
    """A table that is printed as blocks of `heading: value`, one for each row, where its words do not fit."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Any]:
        """What is printed: the table, or its rows one below the other."""
        needed = Measurement.get(console, options.update(width=WIDE), self).minimum
        if needed <= options.max_width:
            if self.width is None:
                self._keep_words_whole(console, options)
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(one_line(str(self.title)), style="italic")
        for number, row in enumerate(self.rows):
            yield from self._block([list(column.cells)[number] for column in self.columns], row.style or "")

    def _keep_words_whole(self, console: Console, options: ConsoleOptions) -> None:
        """Give each column the room of its longest word, which the layout would else break beside wider columns."""
        wide = options.update(width=WIDE)
        for column in self.columns:
            cells = [console.render_str(one) if isinstance(one, str) else one for one in (column.header, *column.cells)]
            column.min_width = max(Measurement.get(console, wide, one).minimum for one in cells)

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
