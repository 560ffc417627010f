"""A study on a cluster: the same bits, with a worker killed in the middle; and over several devices of one host."""

import ast
import os
import runpy
import subprocess
import sys
import threading
import time

import distributed
import jax
import numpy as np
import pytest
import xarray as xr

import amsim
from amsim import circuits
from amsim.studies import cluster as clusters
from amsim.studies import program as programs

MACRO = circuits.SwitchedCapacitor(rows=8, columns=4)
AXES = {"macro.unit_capacitance": np.linspace(1e-15, 3e-15, 8)}


def make_measure():
    """A function that workers get by value, since they cannot import this file."""
    sleep = time.sleep

    def measure(hardware, die_key):
        import jax

        jax.debug.callback(lambda: sleep(0.05))
        return {"error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key)}

    return measure


@pytest.mark.filterwarnings("ignore")  # of the cluster's own, when it ends
def test_a_cluster_gives_the_bits_of_this_process(tmp_path, monkeypatch):
    """On threads of this process, which start at once."""
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)
    monkeypatch.setattr(clusters, "LARGEST_PIECE", 2)
    options = {"hardware": MACRO, "key": jax.random.key(5), "dies": 2}
    measure, other, done = make_measure(), {"macro.supply": [0.5, 0.7]}, []
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        result = amsim.sweep(
            measure, AXES, **options, client=client, store=tmp_path / "study.zarr",
            progress=lambda phase, count, total: done.append((count, total)),
        )  # fmt: skip
        again = amsim.sweep(measure, other, **options, client=client)
    assert done[-1] == (16, 16)
    xr.testing.assert_identical(result, amsim.sweep(measure, AXES, **options))
    xr.testing.assert_identical(again, amsim.sweep(measure, other, **options))


@pytest.mark.slow  # processes, one of them killed; above, the same on threads
@pytest.mark.filterwarnings("ignore")  # of the cluster's own, when a worker dies
def test_a_worker_that_dies_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)
    monkeypatch.setattr(clusters, "LARGEST_PIECE", 2)
    options = {"hardware": MACRO, "key": jax.random.key(5), "dies": 4}
    expected = amsim.sweep(make_measure(), AXES, **options)
    with (
        distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        first = next(iter(cluster.workers.values()))
        killed = threading.Event()

        def kill(phase: str, done: int, total: int) -> None:
            if done >= 6 and not killed.is_set():
                killed.set()
                os.kill(first.pid, 9)

        result = amsim.sweep(
            make_measure(), AXES, **options, client=client, store=tmp_path / "study.zarr", progress=kill
        )
        again = amsim.sweep(make_measure(), {"macro.supply": [0.5, 0.7]}, **options, client=client)
    assert killed.is_set()
    xr.testing.assert_identical(result, expected)
    xr.testing.assert_identical(again, amsim.sweep(make_measure(), {"macro.supply": [0.5, 0.7]}, **options))


DEVICES = """
import jax, numpy as np, sys
import amsim
from amsim import circuits

def study():
    def measure(hardware, die_key, read_key):
        return {"error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key) + jax.random.normal(read_key)}

    axes = {"macro.unit_capacitance": np.linspace(1e-15, 3e-15, 3)}
    macro = circuits.SwitchedCapacitor(rows=8, columns=4)
    result = amsim.sweep(measure, axes, hardware=macro, key=jax.random.key(5), dies=5, reads=2)
    return jax.local_device_count(), result["error"].values.ravel().tolist()

if __name__ == "__main__":
    print(study())
"""


@pytest.mark.slow  # a process with several devices
def test_several_devices_share_the_dies(tmp_path):
    (tmp_path / "script.py").write_text(DEVICES)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": flags}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    command = [sys.executable, str(tmp_path / "script.py")]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    devices, shared = ast.literal_eval(printed)
    here, alone = runpy.run_path(str(tmp_path / "script.py"))["study"]()
    assert (here, devices) == (1, 2)
    np.testing.assert_allclose(shared, alone, rtol=1e-6)
