"""Circuits that a search calls feasible, on dies and items that it never saw."""

import types
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats
from test_circuit_design import DATA, MACRO, PARAMS, VARIABLES, network, new_data

from amsim.evaluation.accuracy import evaluate
from amsim.search.circuit import design_circuit
from amsim.search.gradient_search import SearchPoint
from amsim.search.parts import FinalCheck
from amsim.search.verification import chosen, least_margin, passing_circuits

LIMIT, ITEMS = 0.8, 400


def simulated(generator: np.random.Generator, accuracy: float, dies: int) -> xr.Dataset:
    """Check of a circuit: items that are easy or hard, and dies that are good or bad, drawn anew."""
    easy = generator.beta(4 * accuracy, 4 * (1 - accuracy), ITEMS)
    right = generator.random((dies, ITEMS)) < np.clip(easy + generator.normal(0, 0.02, (dies, 1)), 0, 1)
    return xr.Dataset({"accuracy": (("die", "read"), right.mean(1)[:, None])}, attrs={"items": ITEMS})


def test_a_circuit_that_passes_misses_its_limit_in_5_of_100_cases_at_most() -> None:
    """However many are tested, since the order is fixed; four of the six are as good as no better than the limit."""
    generator, hardware = np.random.default_rng(0), types.SimpleNamespace(deterministic=False)
    truth = [0.88, 0.84, 0.799, 0.798, 0.797, 0.796]
    cases, wrong, passed = 400, 0, 0
    for _ in range(cases):
        points = [SearchPoint(np.array([accuracy]), 1.0, 1.0) for accuracy in truth]

        def check(point: SearchPoint) -> tuple[Any, xr.Dataset]:
            return hardware, simulated(generator, float(point.logs[0]), 8)

        tested = passing_circuits(iter(points), LIMIT, 0.95, check)
        one = chosen(tested, LIMIT)
        passed += one.bound >= LIMIT
        wrong += one.bound >= LIMIT and one.point.logs[0] < LIMIT
    assert wrong <= stats.binom.ppf(0.999, cases, 0.05)
    assert passed > 0.9 * cases


def test_margin_is_what_the_exact_interval_of_the_items_needs() -> None:
    expected = 0.8 - stats.binomtest(320, 400, alternative="greater").proportion_ci(0.95, method="exact").low
    assert least_margin(0.8, 400, 0.95) == pytest.approx(expected, abs=1e-12)


def test_a_feasible_circuit_reaches_its_limit_on_dies_and_items_that_nothing_saw() -> None:
    design = design_circuit(
        network, PARAMS, MACRO, DATA, key=jax.random.key(1), accuracy=LIMIT, variables=VARIABLES, components=("mac",),
        steps=8, dies=3, check=FinalCheck(new_data(jax.random.key(11), 480), dies=4),
    )  # fmt: skip
    assert design.feasible
    assert design.check.attrs["feasible"] == 1
    assert float(design.check["accuracy_bound"]) >= LIMIT
    table = design.tested
    assert np.all(np.diff(table["energy"]) < 0)
    # No gap that a cheaper circuit could be lost in.
    assert np.all(table["energy"].values[:-1] / table["energy"].values[1:] < 1.4)
    # The last that passes is the result, and the test that fails is the last.
    assert table["feasible"].values[:-1].all()
    assert design.energy == table["energy"].values[table["feasible"].values].min()
    many = new_data(jax.random.key(12), 2000)
    found = evaluate(network, PARAMS, design.accelerator, many, key=jax.random.key(13), dies=12)
    assert float(found["accuracy_mean"]) >= LIMIT


def test_half_of_the_data_is_set_aside_unless_told_otherwise() -> None:
    searched, checked = FinalCheck().divide(DATA, jax.random.key(0))
    assert (len(searched), len(checked)) == (len(DATA) // 2, len(DATA) // 2)
    rows = [{row.tobytes() for row in np.asarray(part.inputs)} for part in (searched, checked)]
    assert not rows[0] & rows[1]
    assert len(FinalCheck(0.25).divide(DATA, jax.random.key(0))[1]) == len(DATA) // 4
    with pytest.raises(ValueError, match=r"`data` must leave items on both sides, but is 1\.5"):
        FinalCheck(1.5)
    with pytest.raises(ValueError, match="`check` must leave items on both sides, but is 0"):
        FinalCheck.of(0.0)


def test_one_die_says_nothing_about_others() -> None:
    """No interval of a random population can be had from it, so no circuit passes."""
    hardware = types.SimpleNamespace(deterministic=False)
    tested = passing_circuits(
        iter([SearchPoint(np.zeros(1), 1.0, 1.0)]), 0.5, 0.95,
        lambda _: (hardware, simulated(np.random.default_rng(1), 0.9, 1)),
    )  # fmt: skip
    assert np.isnan(tested[0].bound)
    assert not chosen(tested, 0.5).bound >= 0.5
