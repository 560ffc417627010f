"""One form of progress in every long call: phases, counts that rise to one total, a bar where it is asked for."""

import inspect
import io

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

import amsim
from amsim import circuits, progress
from amsim.datasets import Split

KEY = jax.random.key(2)
INPUTS = np.asarray(jax.random.normal(jax.random.key(0), (24, 6)), np.float32)
WEIGHTS = {"first": jax.random.normal(jax.random.key(1), (6, 4))}
LABELLED = Split(INPUTS, np.argmax(INPUTS @ np.asarray(WEIGHTS["first"]), axis=1).astype(np.int32))
MACRO = circuits.SwitchedCapacitor(rows=8, columns=4, weight_bits=2, input_bits=2)


def network(params, inputs):
    return inputs @ params["first"]


def detector(params, inputs):
    return (inputs @ params["first"])[:, 0]


DETECTED = Split(INPUTS, (np.arange(24) % 2).astype(np.int32))
DESIGN = {"variables": {"macro.comparator.noise": (1e-4, 1e-2)}, "steps": 2, "dies": 2, "check": LABELLED}
ON_DIES = {"key": KEY, "dies": 2}
CALLS = {
    "evaluate": lambda told: amsim.evaluate(network, WEIGHTS, MACRO, LABELLED, **ON_DIES, progress=told),
    "evaluate_detector": lambda told: amsim.evaluate_detector(
        detector, WEIGHTS, MACRO, DETECTED, **ON_DIES, progress=told
    ),
    "unseen_dies_report": lambda told: amsim.unseen_dies_report(
        network, WEIGHTS, MACRO, LABELLED, train=LABELLED, seen=[KEY], **ON_DIES, progress=told
    ),
    "sensitivity": lambda told: amsim.sensitivity(
        network, WEIGHTS, MACRO, LABELLED, sources=["comparator noise"], **ON_DIES, progress=told
    ),
    "calibrate": lambda told: amsim.calibrate(network, WEIGHTS, MACRO, LABELLED, **ON_DIES, progress=told),
    "repair": lambda told: amsim.repair(network, WEIGHTS, MACRO, LABELLED, LABELLED, **ON_DIES, progress=told),
    "design_circuit": lambda told: amsim.design_circuit(
        network, WEIGHTS, MACRO, LABELLED, key=KEY, accuracy=0.3, **DESIGN, progress=told
    ),
    "pareto_curve": lambda told: amsim.pareto_curve(
        network, WEIGHTS, MACRO, LABELLED, accuracies=[0.3, 0.4], key=KEY, **DESIGN, progress=told
    ),
    "sweep": lambda told: amsim.sweep(
        lambda hardware: {"x": hardware.unit_capacitance},
        {"macro.unit_capacitance": [1e-15, 2e-15]},
        hardware=MACRO,
        progress=told,
    ),
    "fine_tune": lambda told: amsim.fine_tune(
        network, WEIGHTS, MACRO, LABELLED, key=KEY, epochs=2, batch=12, optimiser=optax.sgd(1e-3), progress=told
    ),
    "validate": lambda told: amsim.validate(amsim.validation.all_rungs()[:2], progress=told),
}
"""Long calls of the front door; `compare`, `circuit_table` and `train` are looked at where their results are."""


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", CALLS)
def test_every_long_call_tells_phases_and_counts_to_one_total(name):
    told = []
    CALLS[name](lambda *one: told.append(one))
    phases, done, totals = zip(*told, strict=True)
    assert all(isinstance(phase, str) and phase for phase in phases)
    assert done[0] == 0
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}


@pytest.mark.parametrize("wrong", ["bar", 3, lambda done, total: None])
@pytest.mark.parametrize("name", CALLS)
def test_what_cannot_be_told_is_refused_at_once(name, wrong, as_a_user_runs_it):
    with pytest.raises(ValueError, match=r"`progress` must be True, False or a function \(phase, done, total\)"):
        CALLS[name](wrong)


def test_no_long_call_is_without():
    found = {name: getattr(amsim, name) for name in amsim.__all__}
    taken = {name: inspect.signature(one).parameters for name, one in found.items() if inspect.isfunction(one)}
    without = {name for name, own in taken.items() if {"dies", "steps", "epochs"} & set(own) and "progress" not in own}
    # All dies in one compiled call.
    assert without == {"characterise"}


def test_true_shows_a_bar_and_false_does_not(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=shown, force_terminal=True, width=100))
    for silent in (False, None):
        CALLS["evaluate"](silent)
    assert not shown.getvalue()
    CALLS["evaluate"](True)
    assert "dies" in shown.getvalue()
    assert "2/2" in shown.getvalue()


def test_parts_are_told_as_parts_of_the_whole():
    told = []
    whole = progress.in_part(lambda *one: told.append(one), "b", 4, 12)
    share = progress.in_share(lambda *one: told.append(one), "c", 1, 3)
    whole("dies", 1, 4)
    share("search", 2, 5)
    assert told == [("b, dies", 5, 12), ("c, search", 7, 15)]
