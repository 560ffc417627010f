"""Tables of a column of names and columns of numbers."""

from rich.table import Table


def right_aligned(title: str, first: str, *headings: str) -> Table:
    """Table with a column of names and right-aligned columns of numbers; cells that are too wide wrap."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table
