"""Stores of studies: killed and resumed, refused, full."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
import zarr

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.studies import program as programs
from amsim.studies import store as stores

MACRO = circuits.SwitchedCapacitor(rows=8, columns=4)
KEY = jax.random.key(5)
AXES = {"macro.unit_capacitance": np.linspace(1e-15, 3e-15, 6)}

KILLED = """
import os, sys, time
import jax, numpy as np
import amsim
from amsim import circuits
from amsim.studies import program, store

store.WRITE_EVERY = 0.0
program.CACHE_BYTES = 1

def measure(hardware, die_key):
    jax.debug.callback(lambda: time.sleep(float(sys.argv[2])))
    return {"error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key) / hardware.adc.levels}

axes = {"macro.unit_capacitance": np.linspace(1e-15, 3e-15, 6), "macro.adc.bits": [4, 6]}
macro = circuits.SwitchedCapacitor(rows=8, columns=4)
progress = lambda phase, done, total: print(done, flush=True)
result = amsim.sweep(
    measure, axes, hardware=macro, key=jax.random.key(5), dies=3, store=sys.argv[1], progress=progress
)
result.to_netcdf(sys.argv[3], engine="h5netcdf")
"""


def measure(hardware, die_key):
    return {"error": hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key) / hardware.adc.levels}


def run(path: Path, axes=AXES, **options):
    return amsim.sweep(measure, axes, hardware=MACRO, **({"key": KEY, "dies": 3, "store": path} | options))


def started(script: Path, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, str(script), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow  # three processes, one of them killed; below, studies are stopped in this process and go on
def test_a_killed_study_goes_on_with_the_same_bits(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    whole = started(script, tmp_path / "whole.zarr", 0.0, tmp_path / "whole.nc")
    killed = started(script, tmp_path / "killed.zarr", 0.05, tmp_path / "killed.nc")
    for line in killed.stdout:
        if int(line) >= 10:
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    held = len(list((tmp_path / "killed.zarr" / "study" / "parts").glob("[0-9]*")))
    assert held >= 4
    with xr.open_zarr(tmp_path / "killed.zarr") as so_far:
        assert so_far.sizes["macro.unit_capacitance"] == 6
    again = started(script, tmp_path / "killed.zarr", 0.0, tmp_path / "killed.nc")
    counts = [int(line) for line in again.communicate()[0].split()]
    assert again.returncode == 0
    # What was stored is not computed again.
    assert counts[0] >= 10
    assert counts[-1] == 36
    whole.communicate()
    assert whole.returncode == 0
    expected = xr.load_dataset(tmp_path / "whole.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "killed.nc", engine="h5netcdf"), expected)
    assert np.all(np.isfinite(expected["error"]))


def test_the_store_opens_without_amsim_and_is_not_computed_again(tmp_path):
    result = run(tmp_path / "study.zarr")
    with xr.open_zarr(tmp_path / "study.zarr") as opened:
        xr.testing.assert_identical(opened.load(), result)
    assert not (tmp_path / "study.zarr" / "study" / "parts").exists()
    said = []
    xr.testing.assert_identical(run(tmp_path / "study.zarr", progress=lambda *one: said.append(one)), result)
    assert said == []


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    path = tmp_path_factory.mktemp("ended") / "study.zarr"
    run(path)
    return path


def other(hardware, die_key):
    return {"error": 2 * hardware.unit_capacitance / 1e-15 * jax.random.normal(die_key) / hardware.adc.levels}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": jax.random.key(6)}, r"key is \[0, 5\] there and \[0, 6\] here"),
        ({"dies": 4}, "dies is 3 there and 4 here"),
        ({"axes": {"macro.unit_capacitance": [1e-15, 2e-15]}}, r"axes is .* there and .* here"),
        ({"hardware": circuits.SwitchedCapacitor(rows=9, columns=4)}, "hardware is"),
        ({"function": other}, "program_and_data is"),
    ],
)
def test_a_store_of_another_study_is_refused(ended, change, message):
    given = {"function": measure, "axes": AXES, "hardware": MACRO, "key": KEY, "dies": 3, "store": ended}
    with pytest.raises(ValueError, match=message):
        amsim.sweep(**given | change)


def in_jit(held):
    return jax.jit(lambda hardware: {"total": jnp.sum(hardware.matmul(np.ones((1, 8)), held))})


def in_network(held):
    data = Split(np.ones((4, 2), np.float32), np.arange(4) % 2)
    return amsim.study(lambda p, x: (x - held[-1:]) @ p, np.eye(2), MACRO, data, quantities=["accuracy"], cost_items=1)


def in_callback(held):
    def measure(hardware):
        return {"total": jax.pure_callback(lambda: held.sum(), jax.ShapeDtypeStruct((), held.dtype))}

    return measure


@pytest.mark.parametrize("made", [in_jit, in_network, in_callback])
def test_data_of_the_measured_function_are_part_of_the_study(tmp_path, made):
    def found(held):
        hardware = {} if made is in_network else {"hardware": MACRO}
        options = {"key": KEY, "dies": 1, "store": tmp_path / "study.zarr"}
        return amsim.sweep(made(held), {"macro.unit_capacitance": [1e-15, 2e-15]}, **hardware, **options)

    held = np.sign(np.random.default_rng(0).standard_normal((8, 2))).astype(np.float32)
    changed = held.copy()
    changed[-1, -1] = np.nextafter(changed[-1, -1], np.float32(9))
    first = found(held)
    xr.testing.assert_identical(found(held.copy()), first)
    with pytest.raises(ValueError, match="holds another one: program_and_data is"):
        found(changed)


def test_values_behind_names_are_part_of_the_study(tmp_path):
    def found(large):
        axes = {"macro.unit_capacitance": {"small": 1e-15, "large": large}}
        return run(tmp_path / "study.zarr", axes=axes)

    first = found(2e-15)
    xr.testing.assert_identical(found(2e-15), first)
    with pytest.raises(ValueError, match="holds another one: groups is"):
        found(np.nextafter(2e-15, 1))


def test_a_store_of_another_version_is_refused(ended, tmp_path):
    path = shutil.copytree(ended, tmp_path / "study.zarr")
    header = json.loads((path / "study" / ".zattrs").read_text())
    header["fingerprint"]["amsim_version"] = "0.0.1"
    (path / "study" / ".zattrs").write_text(json.dumps(header))
    with pytest.raises(ValueError, match=r'amsim_version is "0.0.1" there'):
        run(path)


def test_something_else_is_no_store(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="`store` must be a new path or the store of a study"):
        run(tmp_path)
    with pytest.raises(ValueError, match="is something else"):
        run(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "study.zarr"
    monkeypatch.setattr(stores, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)
    written = []
    plain = stores.Store._write_part

    def full(self, run):
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(run)
        plain(self, run)

    with monkeypatch.context() as patch:
        patch.setattr(stores.Store, "_write_part", full)
        with pytest.raises(OSError, match=r"store cannot be written .No space left on device.*goes on from there"):
            run(path)
    assert len(list((path / "study" / "parts").glob("[0-9]*"))) == 4
    said = []
    resumed = run(path, progress=lambda phase, done, total: said.append(done))
    assert said[0] == sum(len(one) for one in written)
    xr.testing.assert_identical(resumed, run(tmp_path / "other.zarr"))


@pytest.fixture(scope="module")
def uninterrupted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "CACHE_BYTES", 1)
        return run(None)


@contextmanager
def files_of_at_most(size: int | None):
    """The system itself refuses to write more into any file, as on a full disk; None changes nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# The largest files are the consolidated metadata and the header (4 to 6 kB); chunks are of some hundred bytes.
@pytest.mark.parametrize(("after", "size"), [(0, 0), (0, 3000), (7, 0), (7, 250), (18, 600), (18, 4500)])
def test_what_the_system_refuses_to_write_loses_nothing(uninterrupted, tmp_path, monkeypatch, after, size):
    path = tmp_path / "study.zarr"
    monkeypatch.setattr(stores, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(phase, done, total):
        if done >= after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    with (
        files_of_at_most(size if after == 0 else None),
        pytest.raises(OSError, match=r"the store cannot be written .File too large.*goes on from there") as refused,
    ):
        run(path, progress=fill)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == (soft, hard)
    assert refused.value.filename == str(path)
    said = []
    resumed = run(path, progress=lambda phase, done, total: said.append(done))
    assert said[0] >= after
    xr.testing.assert_identical(resumed, uninterrupted)
    with xr.open_zarr(path) as stored:
        xr.testing.assert_identical(stored.load(), resumed)


def test_a_disk_that_turns_read_only_inside_a_part_loses_nothing(uninterrupted, tmp_path, monkeypatch):
    path = tmp_path / "study.zarr"
    monkeypatch.setattr(stores, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)
    plain, chunks = zarr.storage.LocalStore.set, []

    async def read_only(self, key, value):
        if ".part" in str(self.root) and key.startswith("error/") and not key.endswith((".zarray", ".zattrs")):
            chunks.append(key)
            if len(chunks) > 5:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        await plain(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.storage.LocalStore, "set", read_only)
        with pytest.raises(OSError, match=r"the store cannot be written .Read-only file system") as refused:
            run(path)
    assert refused.value.errno == errno.EROFS
    # Of the sixth there is only a beginning.
    assert sorted(one.suffix for one in (path / "study" / "parts").glob("[0-9]*")) == ["", "", "", "", "", ".part"]
    assert stores.stored_items(path) == (5, 18)
    said = []
    resumed = run(path, progress=lambda phase, done, total: said.append(done))
    assert said[0] == 5
    xr.testing.assert_identical(resumed, uninterrupted)
    assert stores.stored_items(path) == (18, 18)


def test_two_studies_do_not_write_one_store_at_once(tmp_path):
    refused = []

    def second(phase, done, total):
        with pytest.raises(ValueError, match="`store` must be written by one study at a time"):
            run(tmp_path / "study")
        refused.append(done)

    first = run(tmp_path / "study", progress=second)
    assert refused[-1] == 18
    with pytest.raises(RuntimeError, match="stopped"):
        run(tmp_path / "other", progress=lambda phase, done, total: (_ for _ in ()).throw(RuntimeError("stopped")))
    # A study that has ended, or was stopped, leaves its store to the next.
    xr.testing.assert_identical(run(tmp_path / "study"), first)
    xr.testing.assert_identical(run(tmp_path / "other"), first)


def test_an_interrupted_study_shows_what_has_come(tmp_path, monkeypatch):
    path = tmp_path / "study.zarr"
    monkeypatch.setattr(programs, "CACHE_BYTES", 1)

    def interrupt(phase, done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, progress=interrupt)
    assert stores.stored_items(path) == (7, 18)
    with xr.open_zarr(path) as so_far:
        assert int(so_far["error"].notnull().sum()) == 7


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    start = time.monotonic()
    with pytest.raises(OSError, match="the store cannot be written"):
        run(tmp_path / "file" / "study.zarr")
    assert time.monotonic() - start < 60
