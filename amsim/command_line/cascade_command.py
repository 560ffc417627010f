"""`amsim cascade`: wake-up stages over a stream, of the package or of a file."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from amsim.command_line.output import print_json, print_written
from amsim.files.whole_file import check_writable

LIMITS = {"face": 1e-3, "voice": 20e-6}
"""Average powers that the talk claims for its two systems, W."""


def cascade(
    system: Annotated[str, typer.Argument(help="face, voice, or TOML file of a cascade.")],
    limit: Annotated[
        float | None, typer.Option(help="Limit on the average power in W; of face and voice, what the talk claims.")
    ] = None,
    always_leaking: Annotated[
        bool, typer.Option("--always-leaking", help="face and voice: the last stage keeps its supply asleep.")
    ] = False,
    simulate: Annotated[
        float | None, typer.Option(help="Check one event rate by events, one by one, over so many seconds.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the result (.nc) and its picture (.png).")] = Path(),
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png, .pdf or .svg); by default a .png beside the result.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Average power of a wake-up cascade against the rate of true events, and the rate up to which a limit holds."""
    _check(system, limit, simulate, seed)
    from amsim.plot import plot_cascade
    from amsim.report.cascade import cascade_lines
    from amsim.report.picture_file import check_picture, write_picture
    from amsim.report.result_file import write_result
    from amsim.report.tables import result_tables

    name = f"cascade-{system}" if system in LIMITS else Path(system).stem
    result_path, picture_path = out / f"{name}.nc", plot or out / f"{name}.png"
    check_writable(out, "--out", result_path.name)
    check_picture(picture_path, "--out" if plot is None else "--plot")
    result, power = _evaluated(system, limit, always_leaking, simulate)
    console = Console(markup=False, emoji=False, highlight=False)
    if as_json:
        print_json(result)
    else:
        for table in result_tables(result):
            console.print(table)
            console.print()
        for line in cascade_lines(result, {} if power is None else _limits(result, power)):
            console.print(line, soft_wrap=True)
        if simulate is not None:
            console.print(_simulated(result, simulate, seed), soft_wrap=True)
    write_result(result_path, result)
    written = [result_path]
    if "event_rate" in result.dims and "die" not in result.dims:
        write_picture(picture_path, plot_cascade(result, limit=power).figure)
        written.append(picture_path)
    if not as_json:
        print_written(*written)


def _check(system: str, limit: float | None, simulate: float | None, seed: int) -> None:
    """Raise ValueError for an argument or option that no cascade takes."""
    from amsim.circuits.checks import integer_between, number_between
    from amsim.files.path_argument import checked_path

    if system not in LIMITS and not system.endswith(".toml"):
        raise ValueError(f"Argument `system` must be face, voice or a file that ends in .toml, but is {system!r}.")
    checked_path("system", system)
    for name, value in (("limit", limit), ("simulate", simulate)):
        if value is not None:
            number_between(name, value, 1e-15, float("inf"))
    integer_between("seed", seed, 0, 2**32 - 1)


def _evaluated(
    system: str, limit: float | None, always_leaking: bool, simulate: float | None
) -> tuple[Any, float | None]:
    """Result of a system or file, and the limit on its power; seconds that cannot be simulated are refused before."""
    import numpy as np

    from amsim.cascade import evaluate_cascade, face_cascade, voice_cascade
    from amsim.cascade.discrete_events import check_duration
    from amsim.studies.cascade_file import read_cascade

    def check(cascade: Any) -> None:
        if simulate is not None:
            check_duration("--simulate", simulate, cascade.watch_rate)

    if system in LIMITS:
        make = {"face": face_cascade, "voice": voice_cascade}[system]
        chosen = make(gated=not always_leaking)
        check(chosen)
        rates = np.geomspace(1e-5, 1.0, 41) * chosen.watch_rate
        return evaluate_cascade(chosen, event_rate=rates), LIMITS[system] if limit is None else limit
    if always_leaking:
        raise ValueError("Argument `--always-leaking` is for face and voice; a file says `keeps_memory` of each stage.")
    file = read_cascade(system)
    check(file.cascade)
    return file.run(), file.power_limit if limit is None else limit


def _limits(result: Any, power: float) -> dict[str, float]:
    from amsim.cascade import highest_event_rate
    from amsim.results.units import with_prefix

    if "die" in result.dims:
        return {}
    text = f"Below {with_prefix(power, 'W')} on average"
    found = {text: highest_event_rate(result, power)}
    if "other" in result.coords:
        others = " and ".join(map(str, result["other"].values))
        found[f"{text}, without {others}"] = highest_event_rate(result, power, others=False)
    return found


def _simulated(result: Any, seconds: float, seed: int) -> str:
    """Sentence that sets the simulation beside the closed form, at the middle event rate."""
    import jax

    from amsim.cascade import simulate_cascade
    from amsim.results.units import with_prefix
    from amsim.statistics.intervals import mean_interval

    one = result.isel(die=0) if "die" in result.dims else result
    one = one.isel(event_rate=one.sizes["event_rate"] // 2) if "event_rate" in one.dims else one
    found = simulate_cascade(one, duration=seconds, key=jax.random.key(seed))["average_power"].values
    interval = mean_interval(found)
    low, high = (with_prefix(end, "W", 4) for end in (interval.low, interval.high))
    expected, rate = with_prefix(float(one["average_power"]), "W", 4), 3600 * float(one["event_rate"])
    return (
        f"Simulated item by item at {rate:.3g} events per hour, {len(found)} runs of {seconds:g} s: "
        f"{with_prefix(interval.mean, 'W', 4)} ({low} .. {high}); closed form {expected}."
    )
