"""`amsim show`: a stored result in words, numbers and a picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from amsim.command_line.output import print_written
from amsim.files.whole_file import check_writable, write_whole


def show(
    result: Annotated[Path, typer.Argument(help="Result of any command (.nc), or store of a study (.zarr).")],
    plot: Annotated[Path | None, typer.Option(help="Picture (.png) to draw of a study.")] = None,
    quantity: Annotated[str | None, typer.Option(help="Quantity to show, such as accuracy; all by default.")] = None,
    along: Annotated[
        str | None, typer.Option(help="Horizontal axis of the picture; the first numeric one by default.")
    ] = None,
) -> None:
    """Print a stored result: its origin, its axes, and means with intervals; draw it if asked."""
    from amsim.report.picture import result_picture
    from amsim.report.result_file import open_result, store_progress
    from amsim.report.tables import provenance_lines, result_tables

    if along is not None and plot is None:
        raise ValueError("Argument `--along` needs `--plot`, since it names the axis of the picture.")
    if plot is not None and plot.suffix != ".png":
        raise ValueError(f"Argument `--plot` must end in .png, but is {plot}.")
    opened = open_result(result)
    if plot is not None:
        check_writable(plot.parent, "--plot", plot.name)
    tables = result_tables(opened, quantity)
    figure = None if plot is None else result_picture(opened, quantity, along)
    console = Console(markup=False, emoji=False, highlight=False)
    for line in [*provenance_lines(opened), *store_progress(result)]:
        console.print(line, soft_wrap=True)
    for table in tables:
        console.print()
        console.print(table)
    if plot is not None and figure is not None:
        write_whole(plot, lambda path: figure.savefig(path, format="png", dpi=150))
        print_written(plot)
