"""What the commands have in common: files that appear whole, JSON and tables."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table


def check_writable(folder: Path, option: str = "--out") -> None:
    """Find out before the work, not after it, whether its results can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"Argument `{option}` must be a folder that can be written, but {folder} is not: {error}."
        ) from None


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file that appears whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(result: Any) -> dict[str, Any]:
    """A result as what JSON can hold."""

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


def right_aligned(title: str, first: str, *headings: str) -> Table:
    """A table with a column of names and columns of numbers; what a line has no room for goes on below."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table
