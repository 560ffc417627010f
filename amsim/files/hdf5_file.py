"""HDF5 files that are safe to load: all that they show lies inside them and was written."""

import math
from pathlib import Path
from typing import Any

from amsim.files.regular_file import open_regular_file

LARGEST_CONTENT = 2**30
LARGEST_RATIO = 64
"""Most bytes that arrays may unpack to: `LARGEST_CONTENT`, or `LARGEST_RATIO` times the file if that is more."""

_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def check_hdf5_file(path: Path) -> None:
    """Raise for a file whose arrays lie elsewhere, or would take memory out of proportion to its size.

    Raises:
        ValueError: It is no HDF5 file, links to another place, or has an array that lies in another file, is put
            together from others, was not written in full, or is too large.
    """
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError(_what_it_is(path))
    with h5py.File(path, "r") as file:
        size = _checked_size(file)
    largest = max(LARGEST_CONTENT, LARGEST_RATIO * path.stat().st_size)
    if size > largest:
        raise ValueError(f"its arrays unpack to {size} bytes, more than {largest}")


def _what_it_is(path: Path) -> str:
    """What a file that is not HDF5 has in its place."""
    with open_regular_file(path) as file:
        begin = file.read(8)
    is_netcdf3 = begin[:3] == b"CDF" and begin[3:4] in (b"\x01", b"\x02", b"\x05")
    found = "it is empty" if not begin else f"it begins with {begin!r}" + (", so it is netCDF-3" if is_netcdf3 else "")
    return f"{found}; results of amsim are netCDF-4, which is HDF5"


def _checked_size(group: Any) -> int:
    """Bytes that the arrays of a group and of those in it unpack to."""
    import h5py

    size = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} links to another place")
        found = group[name]
        if isinstance(found, h5py.Group):
            raise ValueError(f"{name!r} is a group, which no result has")
        if isinstance(found, h5py.Dataset) and not bytes(found.attrs.get("NAME", b"")).startswith(_NO_VARIABLE):
            size += _checked_bytes(found)
    return size


def _checked_bytes(array: Any) -> int:
    if array.external or array.is_virtual:
        raise ValueError(f"array {array.name!r} lies in another file, which is never read")
    size = math.prod(array.shape or ()) * array.dtype.itemsize
    if array.chunks is not None:
        pieces = math.prod(-(-length // piece) for length, piece in zip(array.shape, array.chunks, strict=True))
        whole = array.id.get_num_chunks() == pieces
        size = max(size, math.prod(array.chunks) * array.dtype.itemsize)
    else:
        whole = array.shape is None or array.id.get_storage_size() >= size
    if not whole:
        raise ValueError(f"array {array.name!r} was not written in full")
    return size
