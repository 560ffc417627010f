"""Results in files, written whole and opened without trust: nothing in them is run, damage is told in one line."""

import io
import time
from pathlib import Path

import h5netcdf
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from amsim.files.hdf5_file import check_hdf5_file
from amsim.files.library_error import first_line
from amsim.files.whole_file import write_whole
from amsim.studies.store import stored_items
from amsim.studies.store_header import check_contents, read_header
from amsim.studies.store_lock import writer_at_work

UNTIL, AGAIN = 2.0, 0.2
"""Seconds for which a store that a study writes is read again, since its arrays may be replaced just then; and between
two tries."""


def open_result(path: Path) -> xr.Dataset:
    """Result in a netCDF file or Zarr store of amsim, in memory.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or is not a result of amsim.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    until = time.monotonic() + UNTIL
    while True:
        written = _is_written(path)
        try:
            return _open(path)
        except ValueError:
            if time.monotonic() > until or not (written or _is_written(path)):
                raise
            time.sleep(AGAIN)


def write_result(path: Path, result: xr.Dataset) -> None:
    """Write a result as netCDF-4 that appears whole or not at all.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    # In memory first: HDF5 that meets a full disk prints tracebacks and crashes when the process ends.
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        result.dump_to_store(H5NetCDFStore(file))
    write_whole(path, lambda temporary: temporary.write_bytes(content.getvalue()))


def store_progress(path: Path) -> list[str]:
    """Lines on how much of a study its store holds; none for a file."""
    counts = stored_items(path) if path.is_dir() else None
    if counts is None:
        return []
    done, total = counts
    if done == total:
        return [f"complete: all {total} items"]
    rest = "the same command resumes from there; the last minute of results may be missing below"
    return [f"complete: {done} of {total} items ({100 * done // total} %); {rest}"]


def printable(text: str) -> str:
    """Text without characters that could control a terminal; line breaks stay."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def printable_result(result: xr.Dataset) -> xr.Dataset:
    """The same result with printable text only."""
    found = {}
    for name, one in result.variables.items():
        if one.dtype.kind in "OU":
            clean = [printable(str(word)) for word in one.values.ravel()]
            found[name] = (one.dims, np.array(clean, str).reshape(one.shape), one.attrs)
    coordinates = {name: one for name, one in found.items() if name in result.coords}
    result = result.assign_coords(coordinates).assign({name: found[name] for name in found if name not in coordinates})
    words = {name: printable(value) for name, value in result.attrs.items() if isinstance(value, str)}
    return result.assign_attrs(words)


def _is_written(path: Path) -> bool:
    """Whether a study is at work on a store."""
    try:
        header = read_header(path) if path.is_dir() else None
    except (ValueError, OSError):
        return False
    return header is not None and not header["complete"] and writer_at_work(path)


def _open(path: Path) -> xr.Dataset:
    try:
        if path.is_dir():
            check_contents(path)
            opened = xr.open_zarr(path, zarr_format=2, consolidated=(path / ".zmetadata").is_file())
        elif not path.is_file():
            raise ValueError("it is a device or a pipe")
        else:
            check_hdf5_file(path)
            opened = xr.open_dataset(path, engine="h5netcdf")
        with opened:
            found = printable_result(opened.load())
    except ImportError:
        raise ValueError(f"{path} needs Zarr to be read: pip install 'amsim[studies]'.") from None
    # What damaged files make the libraries raise is not documented.
    except Exception as error:
        raise ValueError(f"{path} cannot be read as netCDF or Zarr: {first_line(error)}.") from None
    if "amsim_version" not in found.attrs:
        raise ValueError(f"{path} is not a result of amsim: it has no attribute `amsim_version`.")
    return found
