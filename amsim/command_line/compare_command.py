"""`amsim compare`: designs side by side, on the networks of the package or on one's own."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from amsim.command_line.option_values import numbers_between_commas
from amsim.command_line.output import print_json, print_written, shows_progress
from amsim.files.whole_file import check_writable


def compare(
    designs: Annotated[
        str | None,
        typer.Option(
            help="Designs FAMILY-Nb, such as switched-capacitor-1b, and published chips, by commas; a class of "
            "your own is my_module:MyMacro-1b."
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Reference network, .onnx or .npz file for all designs; else one for each word length."),
    ] = None,
    data: Annotated[str, typer.Option(help="Data set, .npz file or folder of pictures by class.")] = (
        "fashion-mnist-mini"
    ),
    metric: Annotated[
        str, typer.Option(help="What is judged: accuracy, auc, mean-squared-error or relative-error.")
    ] = "accuracy",
    accuracy: Annotated[
        float | None, typer.Option(help="Limit of the metric; prints what reaches it at the least energy.")
    ] = None,
    calibrate: Annotated[
        bool | None,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Choose words from training items; by default where the network leaves them open.",
        ),
    ] = None,
    fine_tune: Annotated[int, typer.Option(help="Epochs of fine-tuning through each design's hardware.")] = 0,
    mean: Annotated[
        str | None, typer.Option(help="Mean of the inputs of an .onnx file, by channel, by commas.")
    ] = None,
    deviation: Annotated[
        str | None, typer.Option(help="Deviation of the inputs of an .onnx file, by channel, by commas.")
    ] = None,
    full_scale: Annotated[
        float | None, typer.Option(help="Number of the data that is 1 for an .onnx file; 255 for bytes, else 1.")
    ] = None,
    dies: Annotated[int, typer.Option(help="Dies per design.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of dies and reads.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for compare.nc and compare.png.")] = Path(),
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png, .pdf or .svg); by default compare.png beside the result.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Compare designs: accuracy against total energy per inference, of your own network on your own data too."""
    from amsim.command_line.families import import_families
    from amsim.comparison.equal_accuracy import least_energy, verdict
    from amsim.comparison.families import compare as run_comparison
    from amsim.plot import plot_comparison
    from amsim.report.comparison import comparison_tables
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import write_result

    picture = plot or out / "compare.png"
    check_writable(out, "--out", "compare.nc")
    check_picture(picture, "--out" if plot is None else "--plot")
    given = None if designs is None else [name.strip() for name in designs.split(",") if name.strip()]
    names = None if given is None else import_families("--designs", given)
    numbers = _numbers(mean, deviation, full_scale)
    result = run_comparison(
        names,
        network=network,
        data=data,
        dies=dies,
        seed=seed,
        metric=metric,
        accuracy=accuracy,
        calibrate=calibrate,
        fine_tune=fine_tune,
        numbers=numbers,
        progress=shows_progress(),
    )
    # Before the files: a full disk then costs no result.
    console = Console()
    if as_json:
        print_json(result)
    else:
        for table in comparison_tables(result):
            console.print(table)
        console.print(verdict(result), soft_wrap=True)
        for line in result.attrs.get("left_out", []):
            console.print(f"Left out: {line}", soft_wrap=True, markup=False, highlight=False)
    write_result(out / "compare.nc", result)
    write_picture(picture, plot_comparison(result))
    if not as_json:
        print_written(out / "compare.nc", picture)
    if accuracy is not None:
        try:
            least_energy(result, accuracy)
        except ValueError as error:
            raise ValueError(f"Argument `accuracy` is not reached: {error}") from None


def _numbers(mean: str | None, deviation: str | None, full_scale: float | None) -> Any:
    """Numbers of the inputs of a network file; None where none are given."""
    from amsim.foreign.item_inputs import ItemNumbers

    given = {"mean": _by_channel("mean", mean), "deviation": _by_channel("deviation", deviation)}
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if full_scale is not None:
        found["full_scale"] = full_scale
    return ItemNumbers(**found) if found else None


def _by_channel(name: str, given: str | None) -> list[float] | float | None:
    if given is None:
        return None
    found = numbers_between_commas(name, given)
    return found[0] if len(found) == 1 else found
