"""Tables of a column of names and columns of numbers."""

from amsim.results.fitting_table import FittingTable


def right_aligned(title: str, first: str, *headings: str) -> FittingTable:
    """Table with a column of names and right-aligned columns of numbers; its rows are blocks where words do not fit."""
    table = FittingTable(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table
