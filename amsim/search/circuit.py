"""Circuit design by gradient: settings of the hardware that need the least energy at an accuracy."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, one_of, some_items
from amsim.datasets.load import Split
from amsim.deployment.chip import check_key
from amsim.deployment.front_door import check_deployable, deploy
from amsim.evaluation.accuracy import evaluate
from amsim.evaluation.fixed_reads import FixedReads
from amsim.results.labelled import described, key_words, labelled, versions
from amsim.search.choices import Choices, Trial, best_trial, check_choices, labelled_trials, searched
from amsim.search.estimate import Estimate, at_logs
from amsim.search.gradient_search import DesignPoint, DesignSearch, Progress
from amsim.system.accelerator import COMPONENTS, Accelerator
from amsim.system.settings import continuous_setting, continuous_settings, spelled, with_settings
from amsim.training.fine_tuning.plan import Trainable

Variables = Mapping[str, tuple[float, float]]


class InfeasibleError(ValueError):
    """No design in the bounds reaches the accuracy."""


@dataclasses.dataclass(frozen=True)
class CircuitDesign:
    """A design that was found.

    Attributes:
        accelerator: The hardware.
        params: Parameters of the network, trained or as given.
        settings: Value of each variable in the SI unit of its setting, and of each choice.
        energy: Energy an inference of the components that count, J.
        accuracy: On the dies, reads and data of the search.
        feasible: Whether that reaches the limit and the check does not contradict it: `check.accuracy_high` is at least
            the limit.
        history: Dataset over `step` of `setting_value` (by setting), `energy`, `accuracy`, `smooth_accuracy` and
            `multiplier`, of the best choice.
        check: Result of `amsim.evaluate` on dies that the search never saw; attributes `limit` and `feasible`.
        evaluations: Passes over all dies and data of the search; a backward pass counts as two.
        trials: Dataset over `trial` of the choices tried, their `energy`, `accuracy` and `feasible`; None without.
    """

    accelerator: Accelerator
    params: PyTree
    settings: dict[str, Any]
    energy: float
    accuracy: float
    feasible: bool
    history: xr.Dataset
    check: xr.Dataset
    evaluations: int
    trials: xr.Dataset | None = None


def design_circuit(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    *,
    key: PRNGKeyArray,
    variables: Variables,
    accuracy: float,
    choices: Choices | None = None,
    per_site: bool = False,
    components: Sequence[str] = COMPONENTS,
    steps: int = 25,
    dies: int = 4,
    batch: int = 250,
    weight_learning_rate: float = 0.0,
    trainable: Trainable = None,
    check_data: Split | None = None,
    check_dies: int = 16,
    activity_items: int = 16,
    must_reach: bool = False,
    progress: Progress | None = None,
) -> CircuitDesign:
    r"""Find the settings that need the least energy an inference at an accuracy.

    Minimises `log E(x)` over `x = ln(values)` subject to `A(x) >= accuracy`, A being the fraction of right answers on
    fixed dies, reads and data (common random numbers), which has no derivative. Its smooth stand-in is
    `S = mean sigmoid((logit of the label - largest other logit) / w)`, differentiated through the chip with the
    physical rule. Two corrections by measured values keep the search on the real limit: the limit of S moves with the
    gap, `S >= accuracy + (S - A)`, and the slope of S is scaled and shifted so that it explains the values of S at the
    points before (`amsim.search.steps.Points.slope`). Each step minimises `g_E d + |d|^2 / (2 STEP)` subject to the
    limit with these slopes, inside a trust radius that shrinks; its Lagrange multiplier is known in closed form. At the
    end a bisection along the direction of less energy puts the design on the limit of A.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules; the search starts there, inside the bounds.
        data: What the search measures the accuracy on, all of it at every step.
        key: Draws the dies and reads of the search, and those of the check.
        variables: Lowest and highest value of each setting, by its path as in `amsim.system.settings.setting`.
        accuracy: Least accuracy, above 0 and below 1.
        choices: Values of each static setting, such as `{"macro.adc.bits": [4, 5, 6]}`; every combination has a search
            of its own, or, where there are more than `amsim.search.choices.EXHAUSTIVE`, those that Optuna picks.
        per_site: Give each site a macro of its own before the search; a variable `macro...` then is one for each site.
            Energy, leakage and area are those of all these macros.
        components: Components of energy that count, of `amsim.system.accelerator.COMPONENTS`.
        steps: Steps of the search.
        dies: Dies of the search.
        batch: Items computed at once; bounds the memory.
        weight_learning_rate: Of a step of Adam on the mean cross-entropy of the parameters at every step of the search;
            0 keeps them.
        trainable: Which parameters are trained then, as in `amsim.fine_tune`.
        check_data: Data of the check; None takes `data`, which flatters trained parameters.
        check_dies: Dies of the check.
        activity_items: Items, the first of `data`, whose activity the energy is taken at.
        must_reach: Raise if the limit is not reached, instead of reporting it.
        progress: Called with (steps done, steps) of each search.

    Returns:
        The design; of those seen, the one of least energy that reaches the limit, or of the highest accuracy if none.

    Raises:
        ValueError: No data, no variables, a path that is no continuous setting or, in `choices`, no static one, bounds
            that are not above 0 or not in order, an accuracy outside 0..1, or a count below 1.
        InfeasibleError: `must_reach` and no design reaches the accuracy.
        amsim.search.gradient_search.DesignDivergedError: A value is not finite; it holds the last design that was.

    Validity: the surrogate's slope is exact behind the last decision only, and an approximation before; settings with
    rounding behind them (ADC range, trim) have the slopes of their straight-through rules. On `n` answers the accuracy
    has a standard error of about `sqrt(A (1 - A) / n)` besides that of the dies, and the cheapest point that passes is
    more often a lucky one than not: the check tells.
    """
    _check(data, variables, accuracy, components, weight_learning_rate)
    at_least_one(steps=steps, dies=dies, batch=batch, check_dies=check_dies, activity_items=activity_items)
    check_key("key", key)
    accelerator = Accelerator.of(hardware)
    if per_site:
        accelerator, variables = _by_site(fn, params, accelerator, data, variables)
    check_choices(accelerator, choices, variables)
    _log_bounds(accelerator, variables)
    check_deployable(fn, params, accelerator)
    search_key, fresh_key = jax.random.split(key)
    reads, activity = FixedReads.of(data, batch, search_key, dies), data.inputs[:activity_items]

    def search(choice: Mapping[str, Any]) -> Trial:
        chosen = with_settings(accelerator, choice)
        bounds, trained = _log_bounds(chosen, variables), weight_learning_rate > 0
        estimate = Estimate(fn, chosen, tuple(variables), reads, tuple(components), activity, trained)
        found = DesignSearch(estimate, params, bounds, accuracy, weight_learning_rate, trainable)
        found.run(steps, progress)
        return Trial(dict(choice), found, found.finish())

    trials = searched(search, choices or {}, accuracy, search_key)
    best = best_trial(trials, accuracy)
    if must_reach and best.point.accuracy < accuracy:
        raise InfeasibleError(_unreached(accuracy, best.point))
    found = at_logs(best.search.estimate.accelerator, tuple(variables), jnp.asarray(best.point.logs, float))
    checked = data if check_data is None else check_data
    check = evaluate(fn, best.search.params, found, checked, key=fresh_key, dies=check_dies, batch=batch)
    table = labelled_trials(trials, accuracy) if choices else None
    evaluations = sum(trial.search.estimate.evaluations for trial in trials)
    return _design_of(best, found, check, accuracy, key, evaluations, table)


def _design_of(
    best: Trial,
    found: Accelerator,
    check: xr.Dataset,
    limit: float,
    key: PRNGKeyArray,
    evaluations: int,
    trials: xr.Dataset | None,
) -> CircuitDesign:
    feasible = best.point.accuracy >= limit and _highest(check) >= limit
    values = dict(zip(best.search.estimate.paths, np.exp(best.point.logs).tolist(), strict=True))
    return CircuitDesign(
        found,
        best.search.params,
        values | best.choice,
        best.point.energy,
        best.point.accuracy,
        feasible,
        best.search.history(key),
        check.assign_attrs(limit=limit, feasible=int(feasible)),
        evaluations,
        trials,
    )


def pareto_curve(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    accuracies: Sequence[float],
    *,
    key: PRNGKeyArray,
    variables: Variables,
    per_site: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Least energy against the accuracy asked for: one design for each limit, from the design of the limit above.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: What the search measures the accuracy on.
        accuracies: Limits, all different.
        key: Draws dies and reads, the same for all limits.
        variables: As in `design_circuit`.
        per_site: As in `design_circuit`.
        **options: Further arguments of `design_circuit`, which knows no others.

    Returns:
        Dataset over rising `limit`: `energy` (J), `accuracy` of the search, `accuracy_mean`, `accuracy_low` and
        `accuracy_high` on fresh dies, `feasible`, `evaluations` and `setting_value` (by setting).

    Raises:
        ValueError: Fewer than two limits, equal ones, or as in `design_circuit`.
    """
    limits = sorted(accuracies)
    if len(limits) < 2 or len(set(limits)) != len(limits):
        raise ValueError(f"Argument `accuracies` must have two or more different limits, but is {list(accuracies)}.")
    for limit in limits:
        _check(data, variables, limit, COMPONENTS, 0.0)
    accelerator = Accelerator.of(hardware)
    if per_site:
        accelerator, variables = _by_site(fn, params, accelerator, data, variables)
    designs: list[CircuitDesign] = []
    for limit in reversed(limits):
        start = designs[-1].accelerator if designs else accelerator
        designs.append(design_circuit(fn, params, start, data, key=key, variables=variables, accuracy=limit, **options))
    designs.reverse()
    names = [f"accuracy_{name}" for name in ("mean", "low", "high")]
    return labelled(
        {
            "energy": (("limit",), [one.energy for one in designs]),
            "accuracy": (("limit",), [one.accuracy for one in designs]),
            "feasible": (("limit",), [one.feasible for one in designs]),
            "evaluations": (("limit",), [one.evaluations for one in designs]),
            "setting_value": (("limit", "setting"), [[one.settings[path] for path in variables] for one in designs]),
        }
        | {name: (("limit",), [float(one.check[name]) for one in designs]) for name in names},
        {"limit": limits, "setting": list(variables)},
        {
            "items": len(data),
            "components": list(options.get("components", COMPONENTS)),
            "key": key_words(key),
            "accelerator": described(accelerator),
            **versions(),
        },
    )


def one_macro_a_site(fn: Callable[..., Any], params: PyTree, hardware: Any, *inputs: Any) -> Accelerator:
    """The accelerator with a macro of its own for each site that lands on one, in place of shared ones.

    Args:
        fn: The network.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        *inputs: Inputs of the network, which tell its sites.
    """
    accelerator = Accelerator.of(hardware)
    names = [row.name for row in deploy(fn, params, accelerator).sites(*inputs) if row.on_macro]
    indices = [index for index in map(accelerator.macro_for, names) if index is not None]
    return dataclasses.replace(
        accelerator,
        patterns=tuple(map(re.escape, names)),
        macros=tuple(accelerator.macros[index] for index in indices),
        spreads=tuple(accelerator.spreads[index] for index in indices),
    )


def _by_site(
    fn: Callable[..., Any], params: PyTree, accelerator: Accelerator, data: Split, variables: Variables
) -> tuple[Accelerator, dict[str, tuple[float, float]]]:
    expanded = one_macro_a_site(fn, params, accelerator, data.inputs[:1])
    known = continuous_settings(expanded)
    found: dict[str, tuple[float, float]] = {}
    for path, pair in variables.items():
        ending = path.removeprefix("macro")
        sites = [one for name in expanded.patterns if (one := f"macros.{spelled(name)}{ending}") in known]
        several = path.startswith("macro.") and bool(sites)
        found |= dict.fromkeys(sites, pair) if several else {path: pair}
    return expanded, found


def _check(
    data: Split, variables: Variables, accuracy: float, components: Sequence[str], weight_learning_rate: float
) -> None:
    some_items(data=data)
    if not variables:
        raise ValueError("Argument `variables` must have a setting at least, but is empty.")
    if not 0 < accuracy < 1:
        raise ValueError(f"Argument `accuracy` must be above 0 and below 1, but is {accuracy}.")
    if not 0 <= weight_learning_rate < np.inf:
        raise ValueError(
            f"Argument `weight_learning_rate` must be finite and at least 0, but is {weight_learning_rate}."
        )
    if not components:
        raise ValueError("Argument `components` must have one at least, but is empty.")
    for name in components:
        one_of("components", name, COMPONENTS)


def _log_bounds(accelerator: Accelerator, variables: Variables) -> tuple[np.ndarray, np.ndarray]:
    for path, pair in variables.items():
        continuous_setting(accelerator, "variables", path)
        if len(pair) != 2 or not 0 < pair[0] < pair[1] < np.inf:
            raise ValueError(
                "Argument `variables` must have finite bounds (low, high) with 0 < low < high, but "
                f"{path!r} has {pair}."
            )
        for value in pair:
            with_settings(accelerator, {path: value})
    low, high = np.log(np.array(list(variables.values()), float)).T
    return low, high


def _unreached(accuracy: float, point: DesignPoint) -> str:
    return (
        f"Argument `accuracy` of {accuracy:g} is not reached inside the bounds: the best design has "
        f"{point.accuracy:.4g} at {point.energy:.4g} J."
    )


def _highest(check: xr.Dataset) -> float:
    """Upper end of the interval; one die has none, and then its own accuracy must do."""
    high = float(check["accuracy_high"])
    return high if np.isfinite(high) else float(check["accuracy_mean"])
