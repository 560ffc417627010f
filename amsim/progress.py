"""Progress of long work: how it is reported, and a bar on the terminal that shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

NamedProgress = Callable[[str, int, int], None]
"""Called with (name of the current part, done, total)."""

LossProgress = Callable[[int, int, float], Any]
"""Called with (steps done, steps, loss of the last step)."""


@contextmanager
def progress_bar() -> Iterator[NamedProgress]:
    """Bar on a terminal or in a notebook while the context lasts; report to it by (name, done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    console = Console(stderr=True)
    seen = console.is_terminal or console.is_jupyter
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, *times, console=console, transient=True, disable=not seen) as bars:
        task = bars.add_task("starting", total=None)
        yield lambda name, done, total: bars.update(task, description=name, completed=done, total=total)
