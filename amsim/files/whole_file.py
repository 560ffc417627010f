"""Files that appear whole or not at all, and folders that are tried before the work."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: The file.
        write: Called with the path of a temporary file beside it, which then takes its place.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path, argument: str) -> None:
    """Make a folder and write to it, to find out before the work and not after it whether its results can be stored.

    Args:
        folder: Where results will go.
        argument: Name of the argument that gives it, for the error.

    Raises:
        ValueError: The folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"Argument `{argument}` must be a folder that can be written, but {folder} is not: {error}."
        ) from None
