"""`amsim report`: results as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from amsim.command_line.output import print_written
from amsim.files.whole_file import check_writable


def report(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Results of any command (.nc), or stores of studies (.zarr)."),
    ],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Title of the page; the names of the results by default.")] = None,
) -> None:
    """Write stored results as one HTML page that opens without a network, also on a phone, and prints on A4."""
    from amsim.report.page import write_report

    if out.suffix != ".html":
        raise ValueError(f"Argument `--out` must end in .html, but is {out}.")
    check_writable(out.parent, "--out", out.name)
    try:
        write_report(results, out, title=title)
    except ImportError as error:
        raise ValueError(str(error)) from None
    print_written(out)
