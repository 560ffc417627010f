"""Design by gradient: its steps against closed forms, its designs against a grid, and what it reports and refuses."""

import dataclasses
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from amsim import circuits
from amsim.datasets import Split
from amsim.deployment.per_site import one_macro_per_site
from amsim.evaluation.fixed_reads import FixedReads
from amsim.noise.gradients import decision
from amsim.progress import nothing
from amsim.search.choices import EXHAUSTIVE, Trial, best_trial, check_choices, search_choices, trial_table
from amsim.search.circuit import _by_site, design_circuit, pareto_curve
from amsim.search.designed import DesignedCircuit, InfeasibleError
from amsim.search.estimate import Estimate, Slopes
from amsim.search.gradient_search import GradientSearch, SearchDivergedError, SearchPoint
from amsim.search.parts import CountedEnergy, FinalCheck, WeightTraining
from amsim.search.space import SearchSpace, log_bounds
from amsim.search.steps import STEP, Points, step
from amsim.system.accelerator import Accelerator

KEYS = jax.random.split(jax.random.key(5), 4)
ROWS, HIDDEN, CLASSES, ITEMS = 23, 31, 4, 240
ARRAY = circuits.SwitchedCapacitor(rows=32, columns=8, adc=None)
MACRO = {"first": ARRAY, ".*": circuits.Exact()}
VARIABLES = {"macro.unit_capacitance": (0.02e-15, 5e-15), "macro.comparator.noise": (0.3e-3, 30e-3)}
COMPONENTS = ("mac",)


def network(params: dict[str, Any], inputs: Any) -> jax.Array:
    values = jnp.asarray(inputs, jnp.result_type(float))
    hidden = decision(values @ decision(params["first"]["w"], "straight-through"), "clipped")
    return hidden @ decision(params["second"]["w"], "straight-through")


PARAMS = {
    "first": {"w": jax.random.normal(KEYS[0], (ROWS, HIDDEN))},
    "second": {"w": jax.random.normal(KEYS[1], (HIDDEN, CLASSES))},
}


def new_data(key: jax.Array, items: int) -> Split:
    """Inputs that the network without circuits answers as their labels say, and 5 % wrong labels."""
    inputs = np.where(np.asarray(jax.random.normal(key, (items, ROWS))) >= 0, 1, -1).astype(np.int8)
    labels = np.argmax(np.asarray(network(PARAMS, inputs)), axis=1).astype(np.int32)
    labels[: items // 20] = (labels[: items // 20] + 1) % CLASSES
    return Split(inputs, labels)


DATA, UNSEEN = new_data(KEYS[2], ITEMS), new_data(KEYS[3], 480)


def designed(accuracy: float, **options: Any) -> DesignedCircuit:
    settings: dict[str, Any] = {
        "variables": VARIABLES,
        "components": COMPONENTS,
        "steps": 15,
        "dies": 3,
        "check": FinalCheck(UNSEEN, dies=4),
    }
    return design_circuit(
        network, PARAMS, MACRO, DATA, key=jax.random.key(1), accuracy=accuracy, **(settings | options)
    )


def test_step_solves_its_problem() -> None:
    energy, accuracy = np.array([0.8, 0.3, -0.2]), np.array([0.2, -0.4, 0.1])
    bounds = np.full(3, -10.0), np.full(3, 10.0)
    for missing in (0.1, -0.05, -2.0):
        got, weight = step(np.zeros(3), energy, accuracy, missing, bounds, 100.0)
        found = optimize.minimize(
            lambda d: float(energy @ d + d @ d / 2 / STEP),
            np.zeros(3),
            constraints={"type": "ineq", "fun": lambda d, missing=missing: float(accuracy @ d - missing)},
            tol=1e-12,
        )
        np.testing.assert_allclose(got, found.x, atol=1e-5)
        assert (weight > 0) == (float(accuracy @ got) < missing + 1e-9)
    short, _ = step(np.zeros(3), energy, accuracy, 0.1, bounds, 0.01)
    assert np.linalg.norm(short) == pytest.approx(0.01)


def test_step_keeps_the_limit_along_a_bound() -> None:
    low, high = np.array([0.0, -10.0]), np.array([10.0, 10.0])
    got, _ = step(np.zeros(2), np.array([1.0, 1.0]), np.array([0.3, 0.5]), 0.05, (low, high), 100.0)
    np.testing.assert_allclose(got, [0.0, 0.1], atol=1e-12)


def test_measured_values_correct_a_wrong_slope() -> None:
    true, wrong = np.array([0.5, -0.3, 0.1]), np.array([0.1, -0.03, 0.04])
    points = Points(answers=10**9)
    for logs in np.random.default_rng(0).normal(0, 0.2, (8, 3)):
        points.add(logs, float(true @ logs), wrong)
    np.testing.assert_allclose(points.slope(), true, rtol=1e-3)
    few = Points(answers=10**9)
    few.add(np.zeros(3), 0.0, wrong)
    few.add(wrong, float(4 * wrong @ wrong), wrong)
    np.testing.assert_allclose(few.slope(), 4 * wrong, rtol=1e-6)


class ClosedForm(Estimate):
    """Energy `sum_i c_i x_i` and accuracy `1 - sum_i a_i / x_i` of a circuit that needs no simulation.

    At the limit `1 - e` the least energy is `(sum_i sqrt(a_i c_i))^2 / e` at `x_i = sqrt(a_i / c_i) sum / e`.
    """

    costs = np.array([1.0, 3.0, 0.2])
    errors = np.array([0.01, 0.02, 0.04])
    surrogate = np.array([0.1, 0.25, 0.3])
    broken_after = 10**9

    def energy(self, logs: np.ndarray, params: Any) -> tuple[float, np.ndarray]:
        parts = self.costs * np.exp(logs)
        return float(parts.sum()), parts / parts.sum()

    def accuracy(self, logs: np.ndarray, params: Any) -> Slopes:
        self.evaluations += 1
        value = 1 - float(np.sum(self.errors / np.exp(logs)))
        return Slopes(value, value - 0.1)

    def slopes(self, logs: np.ndarray, params: Any) -> Slopes:
        found = self.accuracy(logs, params)
        broken = np.nan if self.evaluations > self.broken_after else 1.0
        return found._replace(by_log=broken * self.surrogate * self.errors / np.exp(logs))

    def set_softness(self, logs: np.ndarray, params: Any, share: float) -> None: ...


PATHS = ("macro.supply", "macro.unit_capacitance", "macro.temperature")


def closed_form_search(limit: float) -> GradientSearch:
    reads = dataclasses.replace(FixedReads.of(DATA, ITEMS, jax.random.key(0), 1), items=10**6)
    estimate = ClosedForm(network, Accelerator(ARRAY), PATHS, reads, ("mac",), DATA.inputs)
    return GradientSearch(estimate, PARAMS, (np.full(3, -9.0), np.full(3, 9.0)), limit, WeightTraining(0.0, ".*"))


@pytest.mark.parametrize("start", [1.0, -2.0])
def test_search_finds_the_least_energy_though_its_slopes_are_wrong(start: float) -> None:
    search = closed_form_search(0.9)
    search.logs = np.full(3, start)
    search.run(25, nothing)
    best = search.finish()
    least = np.sum(np.sqrt(ClosedForm.costs * ClosedForm.errors)) ** 2 / 0.1
    assert best.accuracy >= 0.9
    assert least <= best.energy < 1.01 * least
    # Slopes that are 3 to 10 times too small, and not in proportion.
    values = np.exp(best.logs) / np.sqrt(ClosedForm.errors / ClosedForm.costs)
    np.testing.assert_allclose(values / values.mean(), 1.0, atol=0.15)


def test_an_unreachable_limit_gives_the_most_accurate_design_seen() -> None:
    search = closed_form_search(0.9999999)
    search.bounds, search.logs = (np.full(3, -9.0), np.full(3, 1.0)), np.zeros(3)
    search.run(25, nothing)
    best = search.finish()
    assert best.accuracy == pytest.approx(1 - ClosedForm.errors.sum() / math.e, rel=1e-6)


def test_a_value_that_is_not_finite_ends_the_search_with_the_last_good_design(monkeypatch: Any) -> None:
    monkeypatch.setattr(ClosedForm, "broken_after", 3)
    search = closed_form_search(0.9)
    with pytest.raises(SearchDivergedError, match="not finite at step 4") as caught:
        search.run(25, nothing)
    third = search.history(jax.random.key(0))["setting_value"].values[2]
    assert float(caught.value.accelerator.macros[0].supply) == pytest.approx(third[0], rel=1e-5)


def test_outer_search_of_choices() -> None:
    looked: list[dict[str, Any]] = []

    def search(choice: Any) -> Trial:
        looked.append(dict(choice))
        energy, accuracy = 1.0 + choice["a"] + choice["b"], 0.3 + 0.1 * choice["a"] + 0.1 * choice["b"]
        return Trial(dict(choice), closed_form_search(0.5), SearchPoint(np.zeros(1), energy, accuracy))

    trials = search_choices(search, {"a": [0, 1, 2], "b": [0, 3]}, 0.55, jax.random.key(0))
    assert len(looked) == 6
    assert best_trial(trials, 0.55).choice == {"a": 0, "b": 3}
    assert best_trial(trials, 0.95).choice == {"a": 2, "b": 3}
    table = trial_table(trials, 0.55)
    assert table["choice"].values[1].tolist() == ["0", "3"]
    assert table["feasible"].values.sum() == 3


def test_a_count_that_a_part_finds_itself_is_a_choice() -> None:
    """None before it is chosen, and a whole number after."""
    units = Accelerator(circuits.MultiPrecision())
    check_choices(units, {"macro.accumulator_bits": [16, 24]}, {})
    with pytest.raises(ValueError, match="must name static settings"):
        check_choices(units, {"macro.accumulator_bits": [16, None]}, {})
    with pytest.raises(ValueError, match="must name static settings"):
        check_choices(Accelerator(circuits.SwitchedCapacitor()), {"macro.supply_noise": [1e-3]}, {})


def test_many_choices_need_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"more than 16 combinations.*amsim\[optuna\]"):
        search_choices(lambda _: pytest.fail("searched"), {"a": range(5), "b": range(4)}, 0.5, jax.random.key(0))


def test_many_choices_are_searched_by_optuna() -> None:
    def search(choice: Any) -> Trial:
        energy, accuracy = 10.0 - choice["a"] + choice["b"], 1.0 - 0.05 * choice["a"]
        return Trial(dict(choice), closed_form_search(0.5), SearchPoint(np.zeros(1), energy, accuracy))

    choices = {"a": range(8), "b": range(6)}
    runs = [search_choices(search, choices, 0.75, jax.random.key(seed)) for seed in (0, 0, 1, 2, 3, 4, 5)]
    tried = [[tuple(trial.choice.values()) for trial in trials] for trials in runs]
    assert tried[0] == tried[1] != tried[2]
    assert all(len(set(one)) == len(one) <= EXHAUSTIVE for one in tried)
    best = [best_trial(trials, 0.75).point for trials in runs[1:]]
    assert min(point.accuracy for point in best) >= 0.75
    # The cheapest of the 48 costs 5, and that of 16 at random 6.04 on average (20 000 draws).
    assert np.mean([point.energy for point in best]) < 5.7


@pytest.mark.slow  # two whole searches
def test_search_for_an_array_finds_no_more_energy_than_a_grid() -> None:
    limit = 0.8
    reads = FixedReads.of(DATA, ITEMS, jax.random.key(1), 3)
    setup = Accelerator(MACRO), tuple(VARIABLES), reads, COMPONENTS, DATA.inputs[:16]
    estimate = Estimate(network, *setup)
    search = GradientSearch(estimate, PARAMS, log_bounds(setup[0], VARIABLES), limit, WeightTraining())
    search.run(15, nothing)
    found = search.finish()
    evaluations, best = estimate.evaluations, np.inf
    axes = [np.linspace(*np.log(pair), 24) for pair in VARIABLES.values()]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    for energy, logs in sorted((estimate.energy(logs, PARAMS)[0], tuple(logs)) for logs in points):
        # The cheapest first: what follows the first that passes need not be looked at.
        if estimate.accuracy(np.array(logs), PARAMS).accuracy >= limit:
            best = energy
            break
    assert found.accuracy >= limit
    assert found.energy <= 1.05 * best
    assert evaluations <= len(points) / 10
    assert search.history(jax.random.key(1)).sizes["step"] == 15


def test_choice_limit_and_curve_of_an_array() -> None:
    curve = pareto_curve(
        network, PARAMS, MACRO, DATA, [0.99, 0.6, 0.8], key=jax.random.key(1),
        variables=SearchSpace(VARIABLES, {"macro.bias_dac.bits": [ARRAY.bias_dac.bits]}),
        components=COMPONENTS, steps=8, dies=3, check=FinalCheck(UNSEEN, dies=4),
    )  # fmt: skip
    assert curve["limit"].values.tolist() == [0.6, 0.8, 0.99]
    assert np.all(np.diff(curve["energy"].values) > 0)
    # The labels are 95 % right without circuits.
    assert curve["feasible"].values.tolist() == [True, True, False]
    assert curve["setting_value"].dims == ("limit", "setting")
    with pytest.raises(InfeasibleError, match=r"0\.99 is not reached inside the bounds: the best circuit has 0\.[789]"):
        designed(0.99, steps=1, check=FinalCheck(UNSEEN, dies=4, must_reach=True))


def test_curve_needs_two_limits() -> None:
    with pytest.raises(ValueError, match="two or more different limits"):
        pareto_curve(network, PARAMS, MACRO, DATA, [0.9], key=jax.random.key(1), variables=VARIABLES)


def test_each_site_can_have_a_macro_of_its_own() -> None:
    expanded = one_macro_per_site(network, PARAMS, circuits.SwitchedCapacitor(rows=32, columns=8), DATA.inputs[:1])
    assert expanded.patterns == ("first", "second")
    assert float(expanded.macros[1].supply) == float(ARRAY.supply)


def test_a_variable_at_each_site_is_that_of_the_array_and_not_of_its_parts() -> None:
    array = circuits.SwitchedCapacitor(rows=32, columns=8, adc=circuits.SarAdc(bits=4))
    variables = {"macro.unit_capacitance": (1e-16, 1e-14)}
    found = _by_site(network, PARAMS, Accelerator(array), DATA, variables)[1]
    assert set(found) == {"macros.first.unit_capacitance", "macros.second.unit_capacitance"}


def test_weights_are_trained_where_asked_for() -> None:
    design = designed(0.8, steps=2, weights=WeightTraining(0.01, r"second\.w"))
    assert np.any(design.params["second"]["w"] != PARAMS["second"]["w"])
    np.testing.assert_array_equal(design.params["first"]["w"], PARAMS["first"]["w"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variables": {}}, "`variables` must have a setting"),
        ({"variables": {"macro.unit_capacitence": (1e-16, 1e-15)}}, r"Did you mean 'macro\.unit_capacitance'"),
        ({"variables": {"macro.bias_dac.bits": (1.0, 8.0)}}, "is of type int"),
        ({"variables": {"macro.supply_noise": (1e-3, 1e-2)}}, "'macro.supply_noise' is None"),
        ({"variables": {"macro.supply": (0.9, 0.5)}}, "0 < low < high"),
        ({"variables": {"macro.supply": (0.0, 0.5)}}, "0 < low < high"),
        ({"accuracy": 1.5}, "`accuracy` must be above 0 and below 1"),
        ({"components": ("macs",)}, "`components` must be one of"),
        ({"components": ()}, "`components` must have one"),
        ({"data": DATA[:0]}, "`data` must have at least one item"),
        ({"steps": 0}, "`steps` must be an integer"),
        ({"variables": SearchSpace(VARIABLES, {"macro.supply": [0.5, 0.6]})}, "must name static settings"),
        ({"variables": SearchSpace(VARIABLES, {"macro.bias_dac.bits": [4, 4]})}, "different values"),
        (
            {"variables": SearchSpace(VARIABLES, {"macro.bias_dac.bits": [4, 40]})},
            "`bits` must be an integer from 1 to 16",
        ),
    ],
)
def test_bad_arguments_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"data": DATA, "variables": VARIABLES, "accuracy": 0.9}
    with pytest.raises(ValueError, match=message):
        design_circuit(network, PARAMS, MACRO, key=jax.random.key(1), **(settings | options))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda: SearchSpace({}), "`variables` must have a setting"),
        (lambda: CountedEnergy(activity_items=0), "`activity_items` must be an integer of at least 1"),
        (lambda: WeightTraining(-1.0), "`learning_rate` must be finite"),
        (lambda: WeightTraining(np.inf), "`learning_rate` must be finite"),
        (lambda: FinalCheck(dies=0), "`dies` must be an integer of at least 1"),
    ],
)
def test_bad_parts_are_refused_at_once(part: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part()
