"""`amsim show`: a stored result in words, numbers and a picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from amsim.command_line.output import print_written


def show(
    result: Annotated[Path, typer.Argument(help="Result of any command (.nc), or store of a study (.zarr).")],
    plot: Annotated[Path | None, typer.Option(help="Picture to draw: .png, .pdf or .svg.")] = None,
    quantity: Annotated[str | None, typer.Option(help="Quantity to show, such as accuracy; all by default.")] = None,
    along: Annotated[
        str | None, typer.Option(help="Horizontal axis of the picture; the first numeric one by default.")
    ] = None,
    width: Annotated[str | None, typer.Option(help="Width of the picture: single or double column, or inches.")] = None,
    style: Annotated[Path | None, typer.Option(help="Matplotlib style sheet with changes of the picture.")] = None,
) -> None:
    """Print a stored result: its origin, its axes, and means with intervals; draw it if asked."""
    from amsim.plot import paper_style
    from amsim.report.picture import result_picture
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import open_result, store_progress
    from amsim.report.tables import provenance_lines, result_tables

    for name, given in (("along", along), ("width", width), ("style", style)):
        if given is not None and plot is None:
            raise ValueError(f"Argument `--{name}` needs `--plot`, since it is about the picture.")
    opened = open_result(result)
    if plot is not None:
        check_picture(plot)
    tables = result_tables(opened, quantity)
    with paper_style(width, style=style):
        figure = None if plot is None else result_picture(opened, quantity, along)
    console = Console(markup=False, emoji=False, highlight=False)
    for line in [*provenance_lines(opened), *store_progress(result)]:
        console.print(line, soft_wrap=True)
    for table in tables:
        console.print()
        console.print(table)
    if plot is not None:
        with paper_style(width, style=style):
            write_picture(plot, figure)
        print_written(plot)
