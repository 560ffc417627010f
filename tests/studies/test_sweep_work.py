"""Work of a study, counted in calls of Python, against the number of values of an axis."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np

import amsim
from amsim import circuits
from amsim.studies import plan

MACRO = circuits.SwitchedCapacitor(rows=4, columns=2)
OPTIONS: dict[str, Any] = {"hardware": MACRO, "key": jax.random.key(0), "dies": 1}


def supply_seen(hardware: Any, die_key: Any) -> dict[str, jax.Array]:
    return {"mean": hardware.supply}


def swept(count: int) -> np.ndarray:
    axes = {"macro.supply": np.linspace(0.5, 0.9, count)}
    return amsim.sweep(supply_seen, axes, **OPTIONS)["mean"].values


def calls_of_sweep(count: int) -> int:
    """Calls of functions of the package while an axis of so many values is swept."""
    folder, calls = str(Path(amsim.__file__).parent), 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(folder)

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        swept(count)
    finally:
        sys.setprofile(before)
    return calls


def test_an_axis_of_ten_times_the_values_is_at_most_ten_times_the_work(monkeypatch):
    changes: list[int] = []
    plain = plan.with_settings
    monkeypatch.setattr(plan, "with_settings", lambda *given: changes.append(1) or plain(*given))
    swept(2)  # what is done once for a process
    counts, settings = [], []
    for count in (100, 1000):
        changes.clear()
        counts.append(calls_of_sweep(count))
        settings.append(len(changes))
    assert counts[0] >= 100  # each value is looked at
    assert counts[1] <= 10.5 * counts[0]
    assert settings[1] <= 10.5 * settings[0]
