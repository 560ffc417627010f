"""Readers take ordinary files of bounded size, and memory in proportion to them."""

import io
import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from amsim.files.array_file import read_array_file
from amsim.files.hdf5_file import check_hdf5_file
from amsim.files.regular_file import read_regular_file
from amsim.networks.storage import CorruptNetworkError, load_network

HEADER = {"format": "amsim-network-1", "bits": 4, "input_maps": 1, "layers": [[3, 1, 4, 1]], "classes": 2}
HEADER["input_shape"] = [8, 8]


def test_devices_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match="must be an ordinary file"):
            read_regular_file(path, 10)


def test_size_is_bounded(tmp_path):
    (tmp_path / "x").write_bytes(bytes(11))
    assert len(read_regular_file(tmp_path / "x", 11)) == 11
    with pytest.raises(ValueError, match="at most 10 bytes, but has 11"):
        read_regular_file(tmp_path / "x", 10)


@pytest.mark.parametrize("kind", ["external", "unwritten", "virtual", "link"])
def test_netcdf_holds_its_own_numbers(tmp_path, kind):
    path = tmp_path / "x.nc"
    with h5py.File(path, "w") as file:
        if kind == "external":
            (tmp_path / "secret").write_bytes(b"12345678")
            file.create_dataset("a", (8,), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
        elif kind == "unwritten":
            file.create_dataset("a", (10**10,), "f8", chunks=(1000,))
        elif kind == "virtual":
            layout = h5py.VirtualLayout((8,), "u1")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.nc"), "a", (8,))
            file.create_virtual_dataset("a", layout)
        else:
            file["a"] = h5py.ExternalLink(str(tmp_path / "other.nc"), "/a")
    with pytest.raises(ValueError, match=r"another|not written"):
        check_hdf5_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": [[3, 1, 4, 1]] * 10**5},
        {"layers": [[3, 0, 4, 1]]},
        {"layers": [[3, 1, 10**12, 1]]},
        {"layers": [[3, 1, float("inf"), 1]]},
        {"input_shape": []},
        {"more": 1},
    ],
)
def test_network_headers(tmp_path, change):
    np.savez(tmp_path / "x.npz", header=np.asarray(json.dumps(HEADER | change)), other=np.zeros(1, np.float32))
    with pytest.raises(CorruptNetworkError, match="cannot be used: "):
        load_network(tmp_path / "x.npz")


def test_encrypted_entry(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, header=np.asarray(json.dumps(HEADER)))
    data = bytearray(buffer.getvalue())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(CorruptNetworkError, match="encrypted"):
        load_network(tmp_path / "x.npz")


def test_empty_texts_take_memory(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<U0", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue())
    with pytest.raises(ValueError, match="empty texts"):
        read_array_file(tmp_path / "x.npz")
