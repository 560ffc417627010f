"""Files that appear whole or not at all, and folders that are tried before the work."""

import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: The file.
            A link stays, and the file that it leads to is replaced; a file that exists keeps its mode.
        write: Called with the path of an empty temporary file beside it, which then takes its place.

    Raises:
        ValueError: There is something else than a file, such as a device or a pipe.
        OSError: It cannot be written, such as on a full disk.
    """
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        raise ValueError(f"Path {path} must be a file or free, but is a folder, a device or a pipe.")
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        write(temporary)
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        _flush(temporary)
        temporary.replace(target)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_whole_text(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Write text as a file that appears whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding=encoding))


def _flush(path: Path) -> None:
    """Wait until a file is on the disk, so that its name never stands for less than its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(folder: Path, argument: str, *names: str) -> None:
    """Make a folder and write to it, to find out before the work and not after it whether its results can be stored.

    Args:
        folder: Where results will go.
        argument: Name of the argument that gives it, for the error.
        names: Names of the files that will be written there.

    Raises:
        ValueError: The folder cannot be made or written to, or something else than a file has such a name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"Argument `{argument}` must be a folder that can be written, but {folder} is not: {error}."
        ) from None
    for name in names:
        check_replaceable(folder / name, argument)


def check_replaceable(path: Path, argument: str) -> None:
    """Find out before the work and not after it whether `write_whole` can write a file.

    Args:
        path: The file, or where it will be.
        argument: Name of the argument that gives it, for the error.

    Raises:
        ValueError: There is something else than a file, or nothing can be written beside it or to that name.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise OSError("there is a folder, a device or a pipe")
        # A name as long as the target's, for only the file system knows how long one may be.
        probe = target.with_name(f".{secrets.token_hex(128)}"[: max(len(os.fsencode(target.name)), 20)])
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"Argument `{argument}` must be a file that can be written, but {path} is not: {error}."
        ) from None
