"""`amsim compare`: the circuit families side by side."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from amsim.command_line.output import check_writable, plain, right_aligned, write_whole
from amsim.progress import progress_bar


def compare(
    designs: Annotated[
        str | None, typer.Option(help="Designs FAMILY-Nb, separated by commas, such as switched-capacitor-1b.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="One reference network or .npz file for every design, instead of its own.")
    ] = None,
    data: Annotated[str, typer.Option(help="Data set: fashion-mnist-mini, fashion-mnist or cifar-10.")] = (
        "fashion-mnist-mini"
    ),
    dies: Annotated[int, typer.Option(help="Dies of each design.")] = 16,
    seed: Annotated[int, typer.Option(help="Fixes dies and reads.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for compare.nc and compare.png.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Compare the circuit families: which reaches which accuracy at which total energy."""
    from amsim.comparison.families import compare as run_comparison
    from amsim.comparison.families import verdict
    from amsim.plot import plot_comparison

    check_writable(out)
    names = None if designs is None else [name.strip() for name in designs.split(",") if name.strip()]
    with progress_bar() as report:
        result = run_comparison(names, network=network, data=data, dies=dies, seed=seed, progress=report)
    write_whole(out / "compare.nc", lambda path: result.to_netcdf(path, engine="h5netcdf"))
    figure = plot_comparison(result)
    write_whole(out / "compare.png", lambda path: figure.savefig(path, format="png", dpi=150))
    if as_json:
        print(json.dumps(plain(result), indent=1))
        return
    console = Console()
    for table in comparison_tables(result):
        console.print(table)
    console.print(verdict(result), soft_wrap=True)
    console.print(f"Written: {out / 'compare.nc'}, {out / 'compare.png'}", soft_wrap=True)


def comparison_tables(result: Any) -> list[Table]:
    """Two tables that fit 80 columns: the designs, and where their energy goes."""
    from amsim.statistics.intervals import interval_names

    title = f"{result.attrs['data']}, {result.attrs['images']} images, {result.sizes['die']} dies"
    designs = right_aligned(title, "design", "accuracy %", "95 % interval", "energy uJ", "latency ms", "area mm2")
    split = right_aligned(
        "share of the energy, %", "design", *(_narrow(str(name)) for name in result["component"].values)
    )
    for index, name in enumerate(result["design"].values):
        row = result.isel(design=index)
        mean, low, high = (100 * float(row[name]) for name in interval_names("accuracy"))
        energies = np.asarray(row["energy"].values, float)
        designs.add_row(
            str(name),
            f"{mean:.2f}",
            "one die" if math.isnan(low) else f"{low:.2f} .. {high:.2f}",
            f"{1e6 * energies.sum():.3g}",
            f"{1e3 * float(row['latency']):.3g}",
            f"{1e6 * float(row['area']):.3g}",
        )
        split.add_row(str(name), *(_percent(value / energies.sum()) for value in energies))
    return [designs, split]


def _narrow(component: str) -> str:
    """Heading of a component on short lines, so that all columns fit 80 characters."""
    return component.replace("_", "\n").replace("activation", "acti-\nvation").replace("registers", "regi-\nsters")


def _percent(share: float) -> str:
    """Share in percent, with a decimal where it is small; 0 only for none at all."""
    return f"{100 * share:.0f}" if share >= 0.1 or share == 0 else f"{100 * share:.1f}"
