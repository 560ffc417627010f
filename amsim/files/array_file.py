"""Array files, written whole or not at all and safe to read: no pickle, and a limit on the memory they take."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from amsim.files.regular_file import open_regular_file
from amsim.files.whole_file import write_whole

_Content = TypeVar("_Content")

LARGEST_CONTENT = 2**30
"""Most bytes that the arrays of a file may unpack to."""

LARGEST_EMPTY = 2**16
"""Most empty texts in an array, which take no bytes in a file but some in memory."""

_CHECKSUM = "checksum"
"""Array of the digest of all others, 32 bytes; files of earlier versions have none."""


def write_array_file(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and their checksum as a NumPy archive (.npz) that appears whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays, **{_CHECKSUM: _checksum(arrays)})
    write_whole(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))


def read_own_file(
    path: Path, content: Callable[[dict[str, np.ndarray]], _Content], largest: int | None = None
) -> _Content:
    """What a file of `write_array_file` holds.

    Args:
        path: The file.
        content: Makes it from the arrays by name, and may take them out.
        largest: As in `read_array_file`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: As `read_array_file`, or what it holds does not match its checksum.
    """
    arrays = read_array_file(path, largest)
    stored = arrays.pop(_CHECKSUM, None)
    own = _checksum(arrays)
    # Made first, for its errors say what is wrong.
    found = content(arrays)
    if stored is not None and not (stored.dtype == own.dtype and np.array_equal(stored, own)):
        raise ValueError("its content does not match its checksum, so that it was changed or damaged")
    return found


def _checksum(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """SHA-256 of names, types, shapes and contents."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        plain = np.asarray(array)
        sha.update(repr((name, plain.dtype.newbyteorder("<").str, plain.shape)).encode())
        sha.update(np.ascontiguousarray(plain, plain.dtype.newbyteorder("<")).tobytes())
    return np.frombuffer(sha.digest(), np.uint8)


def read_array_file(path: Path, largest: int | None = None) -> dict[str, np.ndarray]:
    """Arrays of a NumPy archive (.npz) by name.

    Args:
        path: The file.
        largest: Most bytes that its arrays may unpack to; None is `LARGEST_CONTENT`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, holds anything but arrays of numbers and text, or is larger than `largest`.
    """
    largest = LARGEST_CONTENT if largest is None else largest
    try:
        with open_regular_file(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > largest:
                raise ValueError(f"it unpacks to more than {largest} bytes")
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            if len(set(names)) != len(names):
                raise ValueError("it has an array twice")
            return {name: _array(archive, entry) for name, entry in zip(names, entries, strict=True)}
    except FileNotFoundError:
        raise FileNotFoundError(f"Array file {path} does not exist.") from None
    except (ValueError, KeyError, TypeError, EOFError, OSError, RuntimeError, NotImplementedError, SyntaxError,
            MemoryError, OverflowError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise ValueError(f"Array file {path} cannot be used: {str(error).rstrip('.')}.") from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise ValueError(f"array {entry.filename!r} is of version {version}")
        try:
            shape, in_columns, dtype = readers[version](file)
        except Exception as error:  # NumPy parses the header as Python literals, which fails in many ways
            raise ValueError(f"array {entry.filename!r} has a damaged header: {error}") from None
        if dtype.hasobject or dtype.kind not in "biufcU":
            raise ValueError(f"array {entry.filename!r} is of type {dtype}, not of numbers or text")
        data = file.read()
    elements = 1
    for size in shape:
        elements *= size
    if elements * dtype.itemsize != len(data) or min(shape, default=0) < 0:
        raise ValueError(f"array {entry.filename!r} of shape {shape} has {len(data)} bytes")
    if not dtype.itemsize:
        if elements > LARGEST_EMPTY:  # NumPy keeps a letter for each empty text
            raise ValueError(f"array {entry.filename!r} has {elements} empty texts, more than {LARGEST_EMPTY}")
        return np.zeros(shape, dtype)
    values = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    return values.reshape(shape, order="F" if in_columns else "C")
