"""A study on a cluster: the same bits, with a worker killed in the middle; and over several devices of one host."""

import os
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

        def kill(done: int, total: int) -> None:
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

def measure(hardware, die_key, read_key):
    return {"error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key) + jax.random.normal(read_key)}

axes = {"macro.unit_capacitance": np.linspace(1e-15, 3e-15, 3)}
macro = circuits.SwitchedCapacitor(rows=8, columns=4)
result = amsim.sweep(measure, axes, hardware=macro, key=jax.random.key(5), dies=5, reads=2)
print(jax.local_device_count(), *map(repr, map(float, result["error"].values.ravel())))
"""


def test_several_devices_share_the_dies(tmp_path):
    (tmp_path / "script.py").write_text(DEVICES)
    found = []
    for devices in (1, 2):
        flags = f"--xla_force_host_platform_device_count={devices}"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XLA_FLAGS": flags}
        command = [sys.executable, str(tmp_path / "script.py")]
        found.append(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        )
    assert [one[0] for one in found] == ["1", "2"]
    np.testing.assert_allclose(np.array(found[1][1:], float), np.array(found[0][1:], float), rtol=1e-6)
