"""Hostile files are refused in memory of the order of their size, in a process of its own."""

import json
import subprocess
import sys

import pytest

CHILD = """
import io, json, resource, struct, sys, zipfile
from pathlib import Path
import h5py, numpy as np
import amsim
from amsim.characterisation.table import read_table
from amsim.files.array_file import read_array_file
from amsim.networks.storage import load_network
from amsim.report.result_file import open_result

folder = Path(sys.argv[1])
HEADER = {"format": "amsim-network-1", "bits": 4, "input_maps": 1, "layers": [[3, 1, 4, 1]], "classes": 2}
HEADER |= {"input_shape": [8, 8]}


def archive(name, shape, descr="<f4", zeros=0):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("a.npy", "w", force_zip64=True) as entry:
            entry.write(head.getvalue())
            for _ in range(zeros):
                entry.write(bytes(2**24))
    return folder / name


def network(name, **change):
    np.savez(folder / name, header=np.asarray(json.dumps(HEADER | change)), other=np.zeros(1, np.float32))
    return folder / name


def safetensors(name, shape):
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 8]}}).encode()
    (folder / name).write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    return folder / name


def unwritten(name):
    with h5py.File(folder / name, "w") as file:
        file.create_dataset("a", (10**10,), "f8", chunks=(10**6,))
    return folder / name


hostile = {
    "shape": (read_array_file, archive("shape.npz", (10**12,))),
    "texts": (read_array_file, archive("texts.npz", (10**12,), "<U0")),
    "bomb": (read_array_file, archive("bomb.npz", (2**30,), zeros=65)),
    "layers": (load_network, network("layers.npz", layers=[[3, 1, 4, 1]] * 10**5)),
    "maps": (load_network, network("maps.npz", layers=[[3, 1, 10**12, 1]])),
    "safetensors": (amsim.load_weights, safetensors("x.safetensors", [10**12])),
    "netcdf": (open_result, unwritten("x.nc")),
    "table": (read_table, Path("/dev/zero")),
}
amsim.load_dataset()
found = {}
for name, (read, path) in hostile.items():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read(path)
        found[name] = "accepted"
    except ValueError:
        found[name] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps(found))
"""


@pytest.mark.slow  # a process of its own, which imports the package and writes an archive of 1 GiB of zeros
def test_hostile_files_take_little_memory(tmp_path):
    ran = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    grown = json.loads(ran.stdout)
    assert {name: size for name, size in grown.items() if size == "accepted" or size > 64} == {}  # MiB
