"""Runs ngspice on a deck and reads its output; every failure is a `SpiceError` that says what went wrong."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
from jaxtyping import Float

from amsim.files.regular_file import read_regular_file

PROGRAM = "ngspice"

LARGEST_OUTPUT = 2**30
"""Most bytes of its output that are read."""

INSTALL = (
    "install it (Debian and Ubuntu: `apt install ngspice`, macOS: `brew install ngspice`, or ngspice.sourceforge.io)"
)


class SpiceError(RuntimeError):
    """The circuit simulator is missing, failed, or wrote no complete result."""


def simulator() -> str:
    """Path of ngspice.

    Raises:
        SpiceError: It is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise SpiceError(f"The program `{PROGRAM}` must be installed and on the PATH, but is not: {INSTALL}.")
    return found


def simulate(deck: Path, output: str, stop: float, vectors: int, timeout: float) -> Float[np.ndarray, "points values"]:
    """Run a deck in its own folder and read the file that it writes.

    Args:
        deck: The deck.
        output: Name of the file that it writes beside itself; an older one is removed first.
        stop: Time at which the simulation must end, s.
        vectors: Number of vectors that it writes.
        timeout: s, after which the simulator and all it has started are ended.

    Returns:
        Time (s) and the vectors at each point.

    Raises:
        SpiceError: No simulator, an error in the deck, a simulation that stopped early, an output that is missing,
            short or not finite, or too long a run.
    """
    program = simulator()
    written = deck.parent / output
    written.unlink(missing_ok=True)
    said = _run([program, "-n", "-b", deck.name], deck.parent, timeout)
    return _read(written, stop, vectors, said)


def version() -> str:
    """Version of ngspice as it states it, such as "ngspice-39"; "unknown" where it states none."""
    said = _run([simulator(), "--version"], Path.cwd(), timeout=30.0)
    found = re.search(r"ngspice-[\w.+-]+", said)
    return "unknown" if found is None else found.group()


def _run(command: list[str], folder: Path, timeout: float) -> str:
    """Everything that a program says; its process group is ended when it takes too long or the caller is stopped."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise SpiceError(f"The program {command[0]} cannot be run: {error.strerror}.") from None
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise SpiceError(
            f"The simulator must end within {timeout:g} s, but did not: give it more by `timeout`, or simulate fewer "
            "columns or evaluations."
        ) from None
    finally:
        _end(process)
    if process.returncode != 0:
        raise SpiceError(f"The simulator ended with status {process.returncode}: {_first_error(said)}")
    return said


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    words = ("error", "fatal", "too small", "singular", "can't find", "cannot", "unknown")
    telling = [line for line in lines if any(word in line.lower() for word in words)]
    return (telling or lines[-1:] or ["it said nothing"])[0][:300]


def _read(written: Path, stop: float, vectors: int, said: str) -> Float[np.ndarray, "points values"]:
    try:
        text = read_regular_file(written, LARGEST_OUTPUT).decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    except ValueError as error:
        raise SpiceError(f"The simulator's {written.name} cannot be read: {error}") from None
    if not text:
        raise SpiceError(f"The simulator wrote no {written.name}: {_first_error(said)}")
    try:
        values = np.loadtxt(text.splitlines(), skiprows=1, ndmin=2)
    except ValueError as error:
        raise SpiceError(f"The simulator's {written.name} must hold numbers only, but: {error}") from None
    if values.shape[0] < 2 or values.shape[1] != vectors + 1:
        raise SpiceError(
            f"The simulator's {written.name} must have 2 lines of {vectors + 1} numbers at least, but has "
            f"{values.shape[0]} of {values.shape[1]}: {_first_error(said)}"
        )
    if not np.all(np.isfinite(values)):
        raise SpiceError(f"The simulator's {written.name} must have finite numbers only, but has others.")
    if values[-1, 0] < stop * (1 - 1e-9):
        raise SpiceError(
            f"The simulation must reach {stop:g} s, but stopped at {values[-1, 0]:g} s: {_first_error(said)}"
        )
    return values
