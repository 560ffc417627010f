"""Files that are read: ordinary ones of bounded size, never a device or a pipe, which may have no end."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_regular_file(path: Path, largest: int | None = None) -> Iterator[BinaryIO]:
    """An ordinary file, open for reading.

    Args:
        path: The file, or a link to it.
        largest: Most bytes that it may have; None where the reader bounds what it takes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, a device or a pipe, or larger.
    """
    # Opening a pipe would otherwise wait for its writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"File {path} must be an ordinary file, but is a folder, a device or a pipe.")
        if largest is not None and found.st_size > largest:
            raise ValueError(f"File {path} must have at most {largest} bytes, but has {found.st_size}.")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def read_regular_file(path: Path, largest: int) -> bytes:
    """Content of an ordinary file.

    Args:
        path: The file, or a link to it.
        largest: Most bytes that it may have.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, a device or a pipe, or larger.
    """
    with open_regular_file(path, largest) as file:
        return file.read(largest)


@contextmanager
def named_in_errors(path: Path | None) -> Iterator[None]:
    """Within it, an error about what a file holds names the file; None is no file."""
    try:
        yield
    except ValueError as error:
        if path is None or str(path) in str(error) or type(error) is not ValueError:
            raise
        raise ValueError(f"File {path} cannot be used: {error}") from None


@contextmanager
def argument_in_errors(argument: str) -> Iterator[None]:
    """Within it, an error about what an argument leads to names the argument, where it does not already."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"Argument `{argument}`: {error}") from None
    except (ValueError, OSError) as error:
        if f"Argument `{argument}" in str(error) or f"`{argument}`" in str(error):
            raise
        raise ValueError(f"Argument `{argument}` cannot be used: {error}") from None
