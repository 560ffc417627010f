"""`amsim compare`: the circuit families side by side."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from amsim.command_line.output import plain
from amsim.files.whole_file import check_writable
from amsim.progress import progress_bar


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
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png, .pdf or .svg); by default compare.png beside the result.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Compare the circuit families: accuracy against total energy per inference."""
    from amsim.comparison.equal_accuracy import verdict
    from amsim.comparison.families import compare as run_comparison
    from amsim.plot import plot_comparison
    from amsim.report.comparison import comparison_tables
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import write_result

    picture = plot or out / "compare.png"
    check_writable(out, "--out", "compare.nc")
    check_picture(picture, "--out" if plot is None else "--plot")
    names = None if designs is None else [name.strip() for name in designs.split(",") if name.strip()]
    with progress_bar() as report:
        result = run_comparison(names, network=network, data=data, dies=dies, seed=seed, progress=report)
    # Before the files: a full disk then costs no result.
    console = Console()
    if as_json:
        print(json.dumps(plain(result), indent=1))
    else:
        for table in comparison_tables(result):
            console.print(table)
        console.print(verdict(result), soft_wrap=True)
    write_result(out / "compare.nc", result)
    write_picture(picture, plot_comparison(result))
    if not as_json:
        console.print(f"Written: {out / 'compare.nc'}, {picture}", soft_wrap=True)
