"""Files that are read whole: ordinary ones of bounded size, never a device or a pipe, which may have no end."""

import os
import stat
from pathlib import Path


def read_regular_file(path: Path, largest: int) -> bytes:
    """Content of an ordinary file.

    Args:
        path: The file, or a link to it.
        largest: Most bytes that it may have.

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
        if found.st_size > largest:
            raise ValueError(f"File {path} must have at most {largest} bytes, but has {found.st_size}.")
        with open(handle, "rb", closefd=False) as file:
            return file.read(largest)
    finally:
        os.close(handle)
