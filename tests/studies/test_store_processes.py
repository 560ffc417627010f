"""Stores and processes: killed at events of the disk, two at once, read while they are written, oldest libraries."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from stored_numbers import JOB, VALUES, dataset, study

from amsim.report import result_file
from amsim.studies import store as stores
from amsim.studies.store_header import read_header

ROOT = Path(__file__).parents[2]

FORKED = """
import os, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from stored_numbers import VALUES, dataset, study

study(Path(sys.argv[1], "first"))  # imports what takes time; Zarr starts anew in each child

def forked(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except ValueError as error:
            print(error, flush=True)
            os._exit(3)
        except BaseException as error:
            print(type(error), error, flush=True)
            os._exit(4)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

KILLS = """
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}

def killing(number, path):
    # What a process does to the folder is counted; at one event it ends, with a file opened for writing left empty.
    count = iter(range(10**6))
    def hook(event, given):
        if event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR):
            file = given[0]
        elif event in CHANGES:
            file = given[0]
        else:
            return
        if str(path) in str(file) and next(count) == number:
            if event == "open" and given[2] & os.O_CREAT:
                os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC))
            os._exit(9)
    sys.addaudithook(hook)

def whole(path):
    assert study(path).identical(dataset(VALUES))
    assert study(path).identical(dataset(VALUES))

number, step = 0, int(sys.argv[2])
while True:
    path = Path(sys.argv[1], str(number))
    status = ended(forked(lambda: (killing(number, path), study(path))))
    assert ended(forked(lambda: whole(path))) == 0, number
    if status == 0:
        break
    assert status == 9, status
    number += step
assert number > 60
"""

TOGETHER = """
for number in range(int(sys.argv[3])):
    path = Path(sys.argv[1], f"together {number}")
    start = time.monotonic() + 0.02
    def work():
        while time.monotonic() < start:
            pass
        assert study(path).identical(dataset(VALUES))
    statuses = [ended(one) for one in [forked(work), forked(work)]]
    assert 0 in statuses and set(statuses) <= {0, 3}, statuses
    assert ended(forked(work)) == 0
"""

OLDEST = """
import json, pickle, sys
from pathlib import Path
import numcodecs, xarray, zarr
from amsim.report import open_result
from stored_numbers import VALUES, dataset, study
assert [zarr.__version__, numcodecs.__version__, xarray.__version__] == sys.argv[2:]
folder = Path(sys.argv[1])
study(folder / "begun", stop=2)
study(folder / "goes on", stop=2)
for name in ("whole", "goes on"):
    assert study(folder / name).identical(dataset(VALUES))
    assert study(folder / name).identical(dataset(VALUES))
    assert open_result(folder / name).identical(dataset(VALUES))
ran = folder / "ran"
class Evil:
    def __reduce__(self):
        return open, (str(ran), "w")
for file in [*folder.rglob(".zarray"), *folder.rglob(".zmetadata")]:
    held = json.loads(file.read_text())
    for name, one in held.get("metadata", {".zarray": held}).items():
        if name.endswith(".zarray"):
            one |= {"filters": None, "compressor": {"id": "pickle", "protocol": 4}}
    file.write_text(json.dumps(held))
    for chunk in file.parent.glob("[0-9]*") if file.name == ".zarray" else ():
        chunk.write_bytes(pickle.dumps(Evil()))
for name in ("begun", "whole"):
    (folder / ("link to " + name)).symlink_to(folder / name)
    for path in (folder / name, folder / ("link to " + name)):
        for use in (study, open_result):
            try:
                use(path)
            except ValueError as error:
                assert "codec 'pickle'" in str(error), error
            else:
                raise AssertionError((use, path))
            assert not ran.exists(), (use, path)
"""


def run(script: str, *arguments: object, first: tuple[Path, ...] = ()) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*first, ROOT, *sys.path]))}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_kills_and_two_studies_at_once(tmp_path):
    run(FORKED + KILLS + TOGETHER, tmp_path, 53, 1)


@pytest.mark.slow  # two processes for each of more than a hundred events; above, some of them
def test_a_study_goes_on_whenever_it_was_killed_and_two_at_once_delete_nothing(tmp_path):
    run(FORKED + KILLS + TOGETHER, tmp_path, 1, 30)


@pytest.mark.slow  # installs the oldest versions that are allowed; test_store_damage.py has the same with those of here
def test_the_oldest_libraries_store_and_run_no_code(tmp_path):
    versions = {"zarr": "3.0.10", "numcodecs": "0.15.1", "xarray": "2025.1.2"}
    wanted = [*(f"{name}=={version}" for name, version in versions.items()), "pandas==2.2.3"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "old")]
    installed = subprocess.run([*command, *wanted, "pytz", "crc32c", "deprecated", "wrapt"], capture_output=True)
    if installed.returncode:
        pytest.skip("pip cannot install here")
    run(OLDEST, tmp_path, *versions.values(), first=(tmp_path / "old",))


def test_a_store_is_shown_while_its_arrays_are_replaced(tmp_path, monkeypatch):
    path = tmp_path / "store"
    study(path, stop=2)
    store = stores.Store(path)
    store.begin({"key": 1}, [JOB], dataset(VALUES))
    checksums = path / "study" / "checksums.json"
    held = checksums.read_bytes()
    checksums.unlink()
    try:
        threading.Timer(0.5, lambda: checksums.write_bytes(held)).start()
        assert int(result_file.open_result(path)["error"].notnull().sum()) == 2
        checksums.unlink()
        monkeypatch.setattr(result_file, "UNTIL", 0.3)
        with pytest.raises(ValueError, match=r"checksums.json is missing or damaged"):
            result_file.open_result(path)
    finally:
        store.close()


def test_a_store_without_checksums_gets_them_when_it_goes_on(tmp_path):
    path = tmp_path / "store"
    study(path, stop=2)
    header = read_header(path)
    assert header is not None
    for name in ("format", "sha256"):
        del header[name]
    (path / "study" / ".zattrs").write_text(json.dumps(header))
    for file in path.rglob("checksums.json"):
        file.unlink()
    study(path, stop=1)
    held = read_header(path)
    assert held is not None
    assert held["earlier_parts"] == ["0-0-1", "0-1-1"]
    np.testing.assert_array_equal(result_file.open_result(path)["error"][:3], VALUES[:3])
    xr.testing.assert_identical(study(path), dataset(VALUES))
    xr.testing.assert_identical(result_file.open_result(path), dataset(VALUES))
