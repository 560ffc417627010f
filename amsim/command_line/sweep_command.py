"""`amsim sweep`: the study that a file describes."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from amsim.command_line.output import print_json, print_written, shows_progress
from amsim.command_line.workers import dask_client
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import check_writable

LARGEST_WORKERS = 1024
"""Most worker processes: each holds a JAX of its own, and more are a slip of the keyboard."""


def _print_schema(wanted: bool) -> bool:
    if wanted:
        from amsim.studies.study_file.layout import json_schema

        print(json.dumps(json_schema(), indent=1))
        raise typer.Exit
    return wanted


def sweep(
    study: Annotated[Path, typer.Argument(help="TOML file of the study.")],
    out: Annotated[Path, typer.Option(help="Folder for the result (.nc) and its picture (.png), or an .nc file.")] = (
        Path()
    ),
    store: Annotated[
        Path | None,
        typer.Option(help="Zarr store of results as they come; the same command resumes from it."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png, .pdf or .svg); by default a .png beside the result.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes on this machine.", min=1, max=LARGEST_WORKERS)
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler with workers.")] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Class my_module:MyMacro that the file may name as a macro; may be given several times."),
    ] = None,
    dies: Annotated[int | None, typer.Option(help="Number of dies; overrides the file.")] = None,
    images: Annotated[int | None, typer.Option(help="Number of images; overrides the file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON schema of study files.", callback=_print_schema, is_eager=True),
    ] = False,
) -> None:
    """Measure accuracy and cost over settings, dies and reads, as described by a TOML file.

    Example files are in docs/studies. The whole file is checked before anything runs.
    """
    from amsim.command_line.families import import_family
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import write_result
    from amsim.report.tables import result_tables
    from amsim.studies.study_file.study import read_study

    if workers is not None and scheduler is not None:
        raise ValueError("Arguments `--workers` and `--scheduler` exclude each other; give only one.")
    for one in family or ():
        import_family("--family", one)
    given = read_study(study, dies=dies, images=images)
    result_path = out if out.suffix == ".nc" else out / f"{study.stem}.nc"
    picture_path = plot or result_path.with_suffix(".png")
    check_writable(result_path.parent, "--out", result_path.name)
    check_picture(picture_path, "--out" if plot is None else "--plot")
    if store is not None and not checked_path("store", store).exists():
        check_writable(store.parent, "--store")
    with dask_client(workers, scheduler) as client:
        result = given.run(store=store, client=client, progress=shows_progress())
    # Before the files: a full disk then costs no result.
    console = Console(markup=False, emoji=False, highlight=False)
    if as_json:
        print_json(result)
    else:
        for table in result_tables(result):
            console.print(table)
        if idle := result.attrs.get("without_effect"):
            console.print(f"Nothing that was measured changes along {idle}.", soft_wrap=True)
    write_result(result_path, result)
    written = [result_path]
    picture, reason = _picture(result)
    if picture is not None:
        write_picture(picture_path, picture)
        written.append(picture_path)
    if as_json:
        return
    if reason:
        console.print(f"No picture: {reason}", soft_wrap=True)
    print_written(*written)


def _picture(result: Any) -> tuple[Any, str]:
    from amsim.report.picture import result_picture

    try:
        return result_picture(result), ""
    except ValueError as error:
        return None, str(error)
