"""`amsim validate`: the ladder of trust."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from amsim.command_line.output import print_json, print_written, shows_progress
from amsim.files.whole_file import check_writable


def validate(
    out: Annotated[Path | None, typer.Option(help="Folder for validate.nc; by default nothing is written.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the published chips: .png, .pdf or .svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Validate the model against closed forms, circuit simulations, standard tests and published chips.

    Misses are results: they are marked and listed, and the exit status is 0.
    """
    from amsim.report.picture import result_picture
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import write_result
    from amsim.validation.ladder import validate as run_validation

    if out is not None:
        check_writable(out, "--out", "validate.nc")
    if plot is not None:
        check_picture(plot)
    result = run_validation(progress=shows_progress())
    # Before the file: a full disk then costs no result.
    if as_json:
        print_json(result)
    else:
        _print_tables(result)
    if out is not None:
        write_result(out / "validate.nc", result)
        if not as_json:
            print_written(out / "validate.nc")
    if plot is not None:
        write_picture(plot, result_picture(result))
        if not as_json:
            print_written(plot)


def _print_tables(result: Any) -> None:
    from amsim.validation.tables import level_tables, misses, summary

    console = Console()
    for table in level_tables(result):
        console.print(table)
        console.print()
    missed = misses(result)
    if missed:
        _print_list(console, "Misses", missed)
    if result.attrs["absent"]:
        _print_list(console, "Left out", [result.attrs["absent"]])
    console.print(summary(result), markup=False, highlight=False)


def _print_list(console: Console, heading: str, lines: list[str]) -> None:
    console.print(f"{heading}:", markup=False)
    for line in lines:
        console.print(f"- {line}", markup=False, highlight=False)
    console.print()
