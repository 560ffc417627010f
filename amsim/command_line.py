"""The `amsim` command: the main job, the training of the reference networks and the ladder of trust."""

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from amsim._progress_bar import progress_bar

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
errors = Console(stderr=True)

USER_ERRORS = (ValueError, OSError, FloatingPointError)


@app.callback()
def _application() -> None:
    """Accuracy, energy, latency and area of neural networks on multiply-accumulate circuits."""


@app.command()
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
    from amsim.comparison import compare as run_comparison
    from amsim.comparison import verdict
    from amsim.plot import plot_comparison

    _check_writable(out)
    names = None if designs is None else [name.strip() for name in designs.split(",") if name.strip()]
    with progress_bar() as report:
        result = run_comparison(names, network=network, data=data, dies=dies, seed=seed, progress=report)
    _write_whole(out / "compare.nc", lambda path: result.to_netcdf(path, engine="h5netcdf"))
    figure = plot_comparison(result)
    _write_whole(out / "compare.png", lambda path: figure.savefig(path, format="png", dpi=150))
    if as_json:
        print(json.dumps(_plain(result), indent=1))
        return
    console = Console()
    for table in _comparison_tables(result):
        console.print(table)
    console.print(verdict(result), soft_wrap=True)
    console.print(f"Written: {out / 'compare.nc'}, {out / 'compare.png'}", soft_wrap=True)


@app.command()
def train(
    network: Annotated[str, typer.Argument(help="Reference network to train, such as binary-fashion.")],
    data: Annotated[str, typer.Option(help="Data set with 28 x 28 images.")] = "fashion-mnist",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 20,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, at the start.")] = 5e-3,
    batch: Annotated[int, typer.Option(help="Images a step.")] = 128,
    seed: Annotated[int, typer.Option(help="Fixes initial weights and order.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the weights (.npz) and the training record (.json).")] = Path(),
) -> None:
    """Train a reference network from scratch."""
    from amsim.circuits.checks import one_of
    from amsim.datasets import load_dataset
    from amsim.networks import NETWORKS, save_network
    from amsim.training import train as run_training

    one_of("network", network, NETWORKS)
    _check_writable(out)
    images = load_dataset(data)
    with progress_bar() as report:
        result = run_training(
            NETWORKS[network],
            images,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            seed=seed,
            progress=lambda step, steps, loss: report(f"{network}, loss {loss:.3f}", step, steps),
        )
    save_network(out / f"{network}.npz", NETWORKS[network], result.params)
    record = json.dumps(result.record, indent=1) + "\n"
    _write_whole(out / f"{network}.json", lambda path: Path(path).write_text(record))
    accuracy = f"{100 * result.record['test_accuracy']:.2f} % of {result.record['test_images']} test images"
    print(f"{network}: {accuracy}. Written: {out / f'{network}.npz'}, {out / f'{network}.json'}")


@app.command()
def validate(
    out: Annotated[Path | None, typer.Option(help="Folder for validate.nc; without it nothing is written.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Hold the model against references: closed forms, circuit simulations, standard tests, published chips.

    Misses are results: they are marked and listed, and the exit status is 0.
    """
    from amsim.validation.report import validate as run_validation
    from amsim.validation.tables import level_tables, misses, summary

    if out is not None:
        _check_writable(out)
    with progress_bar() as report:
        result = run_validation(progress=report)
    if out is not None:
        _write_whole(out / "validate.nc", lambda path: result.to_netcdf(path, engine="h5netcdf"))
    if as_json:
        print(json.dumps(_plain(result), indent=1))
        return
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
    if out is not None:
        console.print(f"Written: {out / 'validate.nc'}", soft_wrap=True)


def main() -> None:
    """Run the command; a user's mistake ends in one line and exit status 2."""
    try:
        app(standalone_mode=True)
    except USER_ERRORS as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("Interrupted; nothing was written.")
        sys.exit(130)


def _check_writable(folder: Path) -> None:
    """Find out before the work, not after it, whether its results can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"Argument `--out` must be a folder that can be written, but {folder} is not: {error}."
        ) from None


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file that appears whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(result: Any) -> dict[str, Any]:
    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(one) for one in value]
        # JSON has no NaN.
        return None if isinstance(value, float) and not math.isfinite(value) else value

    variables = {**result.coords, **result.data_vars}
    return {
        "attributes": dict(result.attrs),
        "variables": {
            name: {"dims": list(array.dims), "units": array.attrs["units"], "values": clean(array.values.tolist())}
            for name, array in variables.items()
        },
    }


def _print_list(console: Console, heading: str, lines: list[str]) -> None:
    console.print(f"{heading}:", markup=False)
    for line in lines:
        console.print(f"- {line}", markup=False, highlight=False)
    console.print()


def _comparison_tables(result: Any) -> list[Table]:
    """Two tables that fit 80 columns: the designs, and where their energy goes."""
    title = f"{result.attrs['data']}, {result.attrs['images']} images, {result.sizes['die']} dies"
    designs = _right_aligned(title, "accuracy %", "95 % interval", "energy uJ", "latency ms", "area mm2")
    split = _right_aligned("share of the energy, %", *(_narrow(str(name)) for name in result["component"].values))
    for index, name in enumerate(result["design"].values):
        row = result.isel(design=index)
        low, high = 100 * float(row["accuracy_low"]), 100 * float(row["accuracy_high"])
        energies = np.asarray(row["energy"].values, float)
        designs.add_row(
            str(name),
            f"{100 * float(row['accuracy_mean']):.2f}",
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


def _right_aligned(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column("design", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
