"""`amsim compare`: the circuit families side by side."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from amsim.command_line.output import plain, print_written, shows_progress
from amsim.files.whole_file import check_writable, write_whole


def compare(
    designs: Annotated[
        str | None, typer.Option(help="Designs FAMILY-Nb, separated by commas, such as switched-capacitor-1b.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="One reference network or .npz file for all designs; by default one for each word length."),
    ] = None,
    data: Annotated[str, typer.Option(help="Data set: fashion-mnist-mini, fashion-mnist or cifar-10.")] = (
        "fashion-mnist-mini"
    ),
    dies: Annotated[int, typer.Option(help="Dies per design.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of dies and reads.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for compare.nc and compare.png.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Compare the circuit families: accuracy against total energy per inference."""
    from amsim.comparison.equal_accuracy import verdict
    from amsim.comparison.families import compare as run_comparison
    from amsim.plot import plot_comparison
    from amsim.report.comparison import comparison_tables
    from amsim.report.result_file import write_result

    check_writable(out, "--out", "compare.nc", "compare.png")
    names = None if designs is None else [name.strip() for name in designs.split(",") if name.strip()]
    result = run_comparison(names, network=network, data=data, dies=dies, seed=seed, progress=shows_progress())
    # Before the files: a full disk then costs no result.
    console = Console()
    if as_json:
        print(json.dumps(plain(result), indent=1))
    else:
        for table in comparison_tables(result):
            console.print(table)
        console.print(verdict(result), soft_wrap=True)
    write_result(out / "compare.nc", result)
    figure = plot_comparison(result)
    write_whole(out / "compare.png", lambda path: figure.savefig(path, format="png", dpi=150))
    if not as_json:
        print_written(out / "compare.nc", out / "compare.png")
