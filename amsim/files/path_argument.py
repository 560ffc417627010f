"""The one check of a path that a user names."""

import os
import reprlib
from pathlib import Path
from typing import Any

LONGEST_NAME = 255
"""Bytes of one name on the file systems in use (POSIX NAME_MAX)."""


def checked_path(name: str, given: Any, what: str = "a path, as text or pathlib.Path") -> Path:
    """The path.

    Args:
        name: Name of the argument, for messages.
        given: A text or a path.
        what: What it must be, for messages.

    Raises:
        ValueError: Another type, an empty text, or a text that no file can be named.
    """
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(path, str):
        kind = repr(given) if given is None or isinstance(given, int | float) else f"of type {type(given).__name__}"
        raise ValueError(f"Argument `{name}` must be {what}, but is {kind}.")
    too_long = any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(path).parts)
    if not path or "\0" in path or too_long:
        raise ValueError(
            f"Argument `{name}` must be a path with names of 1 to {LONGEST_NAME} bytes and without NUL, but is "
            f"{reprlib.repr(path)}."
        )
    return Path(path)
