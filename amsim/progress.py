"""Progress of long work: the one form in which it is told, and a bar in terminals and notebooks that shows it."""

import inspect
import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

Progress = Callable[[str, int, int], Any]
"""Called with (phase, done, total): what is being done, such as "compiling" or "dies", and how far the call is.

`total` belongs to the whole call and `done` never falls, so that the time left can be told from them.
"""

COMPILING = "compiling"
"""Phase in which programs are traced and compiled, before the first result."""


@contextmanager
def reporting(progress: bool | Progress | None) -> Iterator[Progress]:
    """Function to tell progress to while the context lasts, for an argument `progress` of a long call.

    Args:
        progress: True shows a bar with the phase and the time left, in a terminal or a notebook; a function is called
            with (phase, done, total); False and None do nothing.

    Raises:
        ValueError: `progress` is none of these, or a function that does not take three arguments.
    """
    check_progress(progress)
    if progress is True:
        with progress_bar() as report:
            yield report
    else:
        yield progress or nothing


def check_progress(progress: Any) -> None:
    """Raise ValueError unless this is what an argument `progress` may be."""
    if progress is None or isinstance(progress, bool):
        return
    try:
        if callable(progress):
            inspect.signature(progress).bind("phase", 0, 1)
            return
    except TypeError:
        pass
    except ValueError:  # a built-in without a signature
        return
    raise ValueError(
        f"Argument `progress` must be True, False or a function (phase, done, total), but is {reprlib.repr(progress)}."
    )


def in_part(report: Progress, name: str, start: int, total: int) -> Progress:
    """Progress of a part, told as that of the whole, which has `total` and of them `start` before the part."""
    return lambda phase, done, _: report(f"{name}, {phase}" if name else phase, start + done, total)


def in_share(report: Progress, name: str, number: int, parts: int) -> Progress:
    """Progress of one of `parts` equal parts, told as that of the whole, which has as many times the part's total."""
    return lambda phase, done, total: report(f"{name}, {phase}", number * total + done, parts * total)


def nothing(phase: str, done: int, total: int) -> None:
    """Progress that is told to nobody."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Bar on a terminal or in a notebook while the context lasts; report to it by (phase, done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    console = Console(stderr=True)
    seen = console.is_terminal or console.is_jupyter
    times = (TimeElapsedColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with Bars(*columns, *times, console=console, transient=True, disable=not seen) as bars:
        task = bars.add_task("starting", total=None)
        yield lambda phase, done, total: bars.update(task, description=phase, completed=done, total=total)
