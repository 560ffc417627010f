"""`amsim explore`: network, precision, circuit and memories of least energy at an accuracy, chosen together."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from amsim.command_line.network_settings import network_settings
from amsim.command_line.option_values import named_as_typed, numbers_between_commas
from amsim.command_line.output import print_json, print_written, shows_progress
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import check_writable

DEFAULT_DATA = {"images": "fashion-mnist-mini", "sequences": "spoken-digits"}
"""Data of each family of networks where neither an option nor a record names some."""

TYPED = {
    "training": "--steps",
    "fine_tuning": "--fine-tune",
    "networks": "--family",
    "weights": "--out",
    "records": "--records",
    "data": "--data",
    "limits.rate": "--rate",
}
"""Options by the names of arguments that errors speak of."""


def explore(
    accuracy: Annotated[str, typer.Option(help="Least accuracy, 0 to 1; several by commas.")],
    records: Annotated[
        list[Path] | None,
        typer.Option(help="Result of an earlier exploration, whose networks are not trained again; may be repeated."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Networks to choose among, images or sequences; else those of the records or of what ships."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Value of a network's setting, such as width=16; repeated ones make a grid."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of training, all together, for networks without a record.")
    ] = None,
    fine_tune: Annotated[
        int, typer.Option(help="Epochs of fine-tuning through each circuit whose dies differ, beyond the steps.")
    ] = 0,
    data: Annotated[
        str | None,
        typer.Option(help="Data set, .npz file or folder of pictures; by default that of the first record or family."),
    ] = None,
    max_latency: Annotated[float | None, typer.Option(help="Largest time of an inference, s.")] = None,
    max_area: Annotated[float | None, typer.Option(help="Largest chip area, m^2.")] = None,
    max_power: Annotated[float | None, typer.Option(help="Largest average power, W.")] = None,
    max_weights: Annotated[float | None, typer.Option(help="Most bits of weights.")] = None,
    rate: Annotated[float | None, typer.Option(help="Inferences per second; else they run back to back.")] = None,
    circuits: Annotated[
        str | None, typer.Option(help="Circuit families by commas; a class of your own is my_module:MyMacro.")
    ] = None,
    copies: Annotated[str | None, typer.Option(help="Copies of the macros side by side, by commas.")] = None,
    dies: Annotated[int, typer.Option(help="Dies of each circuit.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of weights, orders, dies and reads.")] = 0,
    store: Annotated[
        Path | None, typer.Option(help="Folder that keeps every training; the same command goes on from there.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for explore.nc, explore.png and the weights that are trained.")] = (
        Path()
    ),
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png, .pdf or .svg); by default explore.png beside the result.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Find network, precision, circuit, supply and memories of least energy at an accuracy, chosen together.

    Without --records, --family and --steps the answer is from results that ship, of the data fashion-mnist-mini (the
    default) and spoken-digits, within a minute; with --rate or --copies their costs are computed anew.
    """
    from amsim.command_line.families import import_families
    from amsim.exploration import DesignSpace, Limits, TrainingBudget
    from amsim.exploration import explore as run_exploration
    from amsim.plot import plot_exploration
    from amsim.report.exploration import answer, exploration_tables
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import write_result

    picture = plot or out / "explore.png"
    check_writable(out, "--out", "explore.nc")
    check_picture(picture, "--out" if plot is None else "--plot")
    if store is not None and not checked_path("store", store).exists():
        check_writable(store.parent, "--store")
    chosen: dict[str, Any] = {}
    if circuits is not None:
        chosen["families"] = import_families("--circuits", [one.strip() for one in circuits.split(",")])
    if copies is not None:
        chosen["copies"] = numbers_between_commas("copies", copies, int)
    if data is None:
        data = _data_of(records[0]) if records else DEFAULT_DATA.get(family or "", DEFAULT_DATA["images"])
    given = {"latency": max_latency, "area": max_area, "power": max_power, "weights": max_weights}
    with named_as_typed({name: f"--max-{name}" for name in given}):
        limits = Limits(**given, rate=rate)
    with named_as_typed({"families": "--circuits"}):
        space = DesignSpace(**chosen)
    networks, items = _networks(family, setting or [], data)
    if fine_tune and steps is None:
        raise ValueError(f"Option `--fine-tune` must be given with `--steps`, but is {fine_tune} without.")
    with named_as_typed(TYPED):
        result = run_exploration(
            numbers_between_commas("accuracy", accuracy),
            networks,
            data=data if steps is None or items is None else items,
            records=[str(one) for one in records or ()],
            space=space,
            limits=limits,
            training=None if steps is None else TrainingBudget(steps, fine_tuning=fine_tune),
            dies=dies,
            seed=seed,
            store=store,
            weights=None if steps is None else out,
            progress=shows_progress(),
        )
    console = Console()
    if as_json:
        print_json(result)
    else:
        for table in exploration_tables(result):
            console.print(table)
        console.print(answer(result), soft_wrap=True, markup=False, highlight=False)
    write_result(out / "explore.nc", result)
    write_picture(picture, plot_exploration(result).figure)
    if not as_json:
        print_written(out / "explore.nc", picture)


def _data_of(record: Path) -> str:
    """Name of the data of a record."""
    from amsim.exploration.records import opened_record

    name = opened_record("--records", str(record))[1].attrs.get("data")
    if not isinstance(name, str):
        raise ValueError(f"Argument `--data` must be given, since the first record, {record}, does not name its data.")
    return name


def _networks(family: str | None, settings: list[str], data: str) -> tuple[Any, Any]:
    """Grid of a family's settings for the items of the data, and the data; None for both without a family."""
    from amsim.circuits.checks import one_of
    from amsim.datasets.given_data import given_dataset
    from amsim.exploration import network_grid
    from amsim.networks.families import FAMILIES

    if family is None:
        if settings:
            raise ValueError("Option `--set` must be given with `--family`, but is without.")
        return None, None
    one_of("family", family, FAMILIES)
    grid: dict[str, list[Any]] = {}
    for name, value in network_settings(family, settings):
        grid.setdefault(name, []).append(value)
    items = given_dataset("data", data)
    classes = len(items.classes) or int(items.train.labels.max()) + 1
    return network_grid(family, grid, input_shape=tuple(items.train.inputs.shape[1:]), classes=classes), items
