"""Main functions in float64, each a tiny case in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REST = ("evaluate", "sweep", "calibrate", "fine_tune", "sensitivity", "repair")


def printed(*names: str) -> str:
    environment = os.environ | {"JAX_ENABLE_X64": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-m", "tests.shared.double_precision", *names]
    folder = Path(__file__).parent.parent
    return subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_design_circuit() -> None:
    assert printed("design_circuit").split() == ["design_circuit"]


def test_a_yield_at_an_exact_limit() -> None:
    assert printed("yields").split() == ["yields"]


@pytest.mark.slow  # half a minute of compilation
def test_all_others() -> None:
    assert tuple(printed(*REST).split()) == REST
