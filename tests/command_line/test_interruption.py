"""Ctrl-C and SIGTERM at named moments of real processes: one line, its status, nothing half-written or left running."""

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import interrupted_command
import numpy as np
import pytest
import xarray as xr

from amsim.report.result_file import open_result
from amsim.studies.store import Store

ROOT = Path(__file__).parents[2]
ENOUGH = 300
"""Seconds until something hangs, on any machine."""

STUDY = """
[study]
network = "binary-fashion"
images = 20
dies = 2
quantities = ["accuracy"]
[hardware]
macro = "DigitalBinary"
[axes]
macro.rows = [512, 1024]
"""

COMMANDS = {
    "compare": ["compare", "--designs", "digital-binary-1b", "--dies", "1", "--out", "."],
    "sweep": ["sweep", "study.toml"],
    "stored": ["sweep", "study.toml", "--store", "study.zarr"],
    "workers": ["sweep", "study.toml", "--store", "study.zarr", "--workers", "2"],
    "train": ["train", "binary-fashion", "--data", "fashion-mnist-mini", "--epochs", "1"],
    "validate": ["validate", "--out", "."],
    "show": ["show", "shown.nc", "--plot", "shown.png"],
}
BEFORE_ANY_COMMAND = ("import typer", "import jax")
COMPILING = "backend_compile_and_load jax"
MOMENTS = {
    "compare": (COMPILING, "values_on_dies item_values", "write_result result_file", "savefig matplotlib", "exit"),
    "sweep": (COMPILING, "write_result result_file", "savefig matplotlib", "exit"),
    "stored": (COMPILING, "begin store", "_write_part store", "finish store", "savefig matplotlib", "exit"),
    "workers": ("import distributed", "sync distributed", "__next__ distributed", "finish store", "exit"),
    "train": ("load_dataset load", COMPILING, "train reference_networks", "save_network storage"),
    "validate": (COMPILING, "run subprocess"),
    "show": ("open_result result_file", "savefig matplotlib", "exit"),
}
GRID = [
    (command, moment, times)
    for command, own in MOMENTS.items()
    for moment, times in zip(
        (*(BEFORE_ANY_COMMAND if command == "compare" else ()), *own), itertools.cycle((1, 2)), strict=False
    )
]
"""Commands, moments, and how often Ctrl-C is pressed."""


def start(folder, command, moment, number, times=1, **pipes):
    (folder / "study.toml").write_text(STUDY)
    values = {"accuracy": (("macro.rows", "die"), np.ones((2, 2)))}
    shown = xr.Dataset(values, {"macro.rows": [16, 32], "die": [0, 1]}, {"amsim_version": "0.1", "axes": "{}"})
    shown.to_netcdf(folder / "shown.nc", engine="h5netcdf")
    script = [sys.executable, interrupted_command.__file__, moment, str(int(number)), str(times), *COMMANDS[command]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(script, cwd=folder, env=environment, start_new_session=True, text=True, **pipes)


def check_interrupted(folder, command, moment, number=signal.SIGINT, times=1):
    with start(folder, command, moment, number, times, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        _, said = running.communicate(timeout=ENOUGH)
    assert running.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], said
    # A busy machine takes longer to end its workers than dask.distributed expects.
    lines = [line for line in said.splitlines() if "distributed.nanny - WARNING" not in line]
    assert len(lines) == 1, said
    assert lines[0].startswith("Interrupted; "), said
    check_whole(folder)
    until = time.monotonic() + ENOUGH
    while still_running(running.pid):
        assert time.monotonic() < until, still_running(running.pid)
        time.sleep(0.1)


def check_whole(folder):
    """Raise unless every file there is one, as far as a reader sees."""
    for path in folder.iterdir():
        assert path.suffix in (".nc", ".png", ".npz", ".json", ".zarr", ".toml"), path
        if path.suffix == ".nc":
            open_result(path)
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".npz":
            np.load(path).close()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".zarr":
            Store(path)


def still_running(session):
    """Processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append((folder / "cmdline").read_text())
    return found


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("moment", "number"),
    [("import jax", signal.SIGINT), (COMPILING, signal.SIGINT), (COMPILING, signal.SIGTERM)],
)
def test_a_signal_ends_a_command_in_one_line(moment, number, tmp_path):
    check_interrupted(tmp_path, "compare", moment, number)
    assert {path.name for path in tmp_path.iterdir()} == {"shown.nc", "study.toml"}


@pytest.mark.sampled(6)
@pytest.mark.slow  # a process that imports and compiles for each; above, one command
@pytest.mark.parametrize(("command", "moment", "times"), GRID)
def test_ctrl_c_ends_every_command_at_every_moment(command, moment, times, tmp_path):
    check_interrupted(tmp_path, command, moment, times=times)


@pytest.mark.slow  # as above
@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_ends_every_command(command, tmp_path):
    check_interrupted(tmp_path, command, MOMENTS[command][0], signal.SIGTERM)


def test_a_reader_that_is_gone_does_not_keep_a_command_alive(tmp_path):
    reads, writes = os.pipe()
    os.close(reads)
    with start(
        tmp_path, "show", "savefig matplotlib", signal.SIGINT, stdout=subprocess.DEVNULL, stderr=writes
    ) as running:
        os.close(writes)
        assert running.wait(ENOUGH) == 130


@pytest.mark.slow  # as above; the terminal itself
def test_a_terminal_gets_its_cursor_back(tmp_path):
    main, other = pty.openpty()
    with start(tmp_path, "compare", COMPILING, signal.SIGINT, stdout=other, stderr=other) as running:
        os.close(other)
        shown = b""
        with suppress(OSError):  # how Linux says that the last writer is gone
            while more := os.read(main, 4096):
                shown += more
        assert running.wait(ENOUGH) == 130
    os.close(main)
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
    assert shown.rpartition(b"\x1b[2K\x1b[?25h")[2].startswith(b"Interrupted; ")
