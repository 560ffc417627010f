"""Circuit design by gradient: settings of the hardware that need the least energy at an accuracy."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, function, one_key, real_numbers
from amsim.datasets.check import LabelledData, class_items
from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Split
from amsim.deployment.front_door import check_deployable
from amsim.deployment.per_site import one_macro_per_site
from amsim.evaluation.accuracy import evaluate
from amsim.evaluation.answers import check_answers
from amsim.evaluation.fixed_reads import FixedReads
from amsim.progress import Progress
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.search.choices import (
    Trial,
    best_trial,
    check_choices,
    search_choices,
    trial_table,
)
from amsim.search.estimate import Estimate, at_logs
from amsim.search.gradient_search import GradientSearch, SearchPoint
from amsim.search.parts import CountedEnergy, FinalCheck, WeightTraining, check_accuracy
from amsim.search.quantities import LABELS
from amsim.search.space import SearchSpace, Variables, log_bounds
from amsim.statistics.intervals import interval_names
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import COMPONENTS
from amsim.system.settings import continuous_settings, literal_name, with_settings


class InfeasibleError(ValueError):
    """No circuit inside the bounds reaches the accuracy."""


@dataclasses.dataclass(frozen=True)
class DesignedCircuit:
    """Circuit that a search has found.

    Attributes:
        accelerator: The hardware.
        params: Parameters of the network, trained or as given.
        settings: Value of each variable in the SI unit of its setting, and of each choice.
        energy: Energy per inference of the components that count, J.
        accuracy: Accuracy on the dies, reads and data of the search.
        feasible: Whether that reaches the limit and the check does not contradict it: `check.accuracy_high` is at least
            the limit.
        history: Dataset over `step` of `setting_value` (by setting), `energy`, `accuracy`, `smooth_accuracy` and
            `multiplier`, of the best choice.
        check: Result of `amsim.evaluate` on dies that the search never saw; attributes `limit` and `feasible`.
        evaluations: Passes over all dies and data of the search; a backward pass counts as two.
        trials: Dataset over `trial` of the choices tried, with their `energy`, `accuracy` and `feasible`; None without
            choices.
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
    data: LabelledData,
    *,
    key: PRNGKeyArray,
    variables: Variables | SearchSpace,
    accuracy: float,
    components: Sequence[str] | CountedEnergy = COMPONENTS,
    steps: int = 25,
    dies: int = 4,
    batch: int = 250,
    weights: WeightTraining | None = None,
    check: LabelledData | FinalCheck | None = None,
    progress: Progress | None = None,
) -> DesignedCircuit:
    """Find the settings that need the least energy per inference at an accuracy.

    Minimises `log E(x)` over `x = ln(values)` subject to `A(x) >= accuracy`, A being the fraction of right answers on
    fixed dies, reads and data (common random numbers), by the steps of `amsim.search.gradient_search.GradientSearch`.
    At the end a bisection along the direction of less energy puts the circuit on the limit of A.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules; the search starts there, inside the bounds.
        data: Labelled items that the search measures the accuracy on, all of them at every step, as `amsim.evaluate`
            takes them.
        key: Draws the dies and reads of the search, and those of the check.
        variables: Lowest and highest value of each setting, by its path as in `amsim.setting`; or an
            `amsim.SearchSpace`, which also has discrete choices and macros per site.
        accuracy: Least accuracy, above 0 and below 1.
        components: Components of energy that count, of `amsim.system.hardware.COMPONENTS`; or an
            `amsim.CountedEnergy`.
        steps: Steps of the search.
        dies: Dies of the search.
        batch: Items computed at once; bounds the memory and changes nothing else, as in `amsim.evaluate`.
        weights: Training of the parameters at every step of the search; None keeps them.
        check: Items to check the circuit on, on fresh dies; or an `amsim.FinalCheck`. None takes those of the search,
            which flatters trained parameters.
        progress: Called with (steps done, steps) of each search.

    Returns:
        The circuit; of those seen, the one of least energy that reaches the limit, or of the highest accuracy if none.

    Raises:
        ValueError: No data or others than `amsim.evaluate` takes, no variables, a path that is not a continuous setting
            or, among choices, not a static one, bounds that are not above 0 or not in order, an accuracy outside 0..1,
            or a count below 1.
        InfeasibleError: `check.must_reach` and no circuit reaches the accuracy.
        amsim.search.gradient_search.SearchDivergedError: A value is not finite; it holds the last circuit that was.

    Validity: on `n` answers the accuracy has a standard error of about `sqrt(A (1 - A) / n)` besides that of the dies,
    and the cheapest point that passes is more often a lucky one than not: the check shows how far.
    """
    space, counted, final = SearchSpace.of(variables), CountedEnergy.of(components), FinalCheck.of(check)
    training = WeightTraining() if weights is None else weights
    data = class_items("data", data)
    check_accuracy("accuracy", accuracy)
    at_least_one(steps=steps, dies=dies, batch=batch)
    one_key("key", key)
    function("fn", fn, "(params, *inputs)")
    function("progress", progress, "(steps done, steps)", optional=True)
    accelerator, bounded = _place(fn, params, hardware, data, space)
    check_choices(accelerator, space.choices, bounded)
    log_bounds(accelerator, bounded)
    check_deployable(fn, params, accelerator)
    checked = data if final.data is None else class_items("check", final.data)
    check_answers(fn, params, batch, data=data, check=checked)
    search_key, fresh_key = jax.random.split(key)
    reads, activity = FixedReads.of(data, batch, search_key, dies), first_arguments(data.inputs, counted.activity_items)

    def search(choice: Mapping[str, Any]) -> Trial:
        chosen = with_settings(accelerator, choice)
        bounds, trained = log_bounds(chosen, bounded), training.learning_rate > 0
        estimate = Estimate(fn, chosen, tuple(bounded), reads, tuple(counted.components), activity, trained)
        found = GradientSearch(estimate, params, bounds, accuracy, training)
        found.run(steps, progress)
        return Trial(dict(choice), found, found.finish())

    trials = search_choices(search, space.choices or {}, accuracy, search_key)
    best = best_trial(trials, accuracy)
    if final.must_reach and best.point.accuracy < accuracy:
        raise InfeasibleError(_infeasible_message(accuracy, best.point))
    found = at_logs(best.search.estimate.accelerator, tuple(bounded), jnp.asarray(best.point.logs, float))
    fresh = evaluate(fn, best.search.params, found, checked, key=fresh_key, dies=final.dies, batch=batch)
    table = trial_table(trials, accuracy) if space.choices else None
    evaluations = sum(trial.search.estimate.evaluations for trial in trials)
    return _designed_circuit(best, found, fresh, accuracy, key, evaluations, table)


def _designed_circuit(
    best: Trial,
    found: Accelerator,
    check: xr.Dataset,
    limit: float,
    key: PRNGKeyArray,
    evaluations: int,
    trials: xr.Dataset | None,
) -> DesignedCircuit:
    feasible = best.point.accuracy >= limit and _highest(check) >= limit
    values = dict(zip(best.search.estimate.paths, np.exp(best.point.logs).tolist(), strict=True))
    return DesignedCircuit(
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
    data: LabelledData,
    accuracies: Sequence[float],
    *,
    key: PRNGKeyArray,
    variables: Variables | SearchSpace,
    **options: Any,
) -> xr.Dataset:
    """Least energy against the accuracy asked for: one circuit per limit, each starting from that of the limit above.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Items that the search measures the accuracy on.
        accuracies: Limits, all different.
        key: Draws dies and reads, the same for all limits.
        variables: As in `design_circuit`.
        **options: Further arguments of `design_circuit`, which knows no others.

    Returns:
        Dataset over rising `limit`: `energy` (J), `accuracy` of the search, `accuracy_mean`, `accuracy_low` and
        `accuracy_high` on fresh dies, `feasible`, `evaluations` and `setting_value` (by setting).

    Raises:
        ValueError: Fewer than two limits, equal ones, or as in `design_circuit`.
    """
    one_key("key", key)
    function("fn", fn, "(params, *inputs)")
    data = class_items("data", data)
    for one in real_numbers("accuracies", accuracies, (1,)):
        check_accuracy("accuracies", one)
    limits = sorted(accuracies)
    if len(limits) < 2 or len(set(limits)) != len(limits):
        raise ValueError(f"Argument `accuracies` must have two or more different limits, but is {list(accuracies)}.")
    space, counted = SearchSpace.of(variables), CountedEnergy.of(options.get("components", COMPONENTS))
    accelerator, bounded = _place(fn, params, hardware, data, space)
    space = SearchSpace(bounded, space.choices)
    found: list[DesignedCircuit] = []
    for limit in reversed(limits):
        start = found[-1].accelerator if found else accelerator
        found.append(design_circuit(fn, params, start, data, key=key, variables=space, accuracy=limit, **options))
    found.reverse()
    return labelled(
        {
            "energy": (("limit",), [one.energy for one in found]),
            "accuracy": (("limit",), [one.accuracy for one in found]),
            "feasible": (("limit",), [one.feasible for one in found]),
            "evaluations": (("limit",), [one.evaluations for one in found]),
            "setting_value": (
                ("limit", "setting"),
                [[one.settings[path] for path in space.variables] for one in found],
            ),
        }
        | {name: (("limit",), [float(one.check[name]) for one in found]) for name in interval_names("accuracy")},
        {"limit": limits, "setting": list(space.variables)},
        {
            "items": len(data),
            "components": list(counted.components),
            **provenance(key=key, accelerator=accelerator),
        },
        labels=LABELS,
    )


def _place(
    fn: Callable[..., Any], params: PyTree, hardware: Any, data: Split, space: SearchSpace
) -> tuple[Accelerator, Variables]:
    """Hardware where the search starts, and its variables: those of each site where sites have macros of their own."""
    accelerator = Accelerator.of(hardware)
    if not space.per_site:
        return accelerator, space.variables
    return _by_site(fn, params, accelerator, data, space.variables)


def _by_site(
    fn: Callable[..., Any], params: PyTree, accelerator: Accelerator, data: Split, variables: Variables
) -> tuple[Accelerator, dict[str, tuple[float, float]]]:
    expanded = one_macro_per_site(fn, params, accelerator, *first_arguments(data.inputs, 1))
    known = continuous_settings(expanded)
    found: dict[str, tuple[float, float]] = {}
    for path, pair in variables.items():
        ending = path.removeprefix("macro")
        sites = [one for name in expanded.patterns if (one := f"macros.{literal_name(name)}{ending}") in known]
        several = path.startswith("macro.") and bool(sites)
        found |= dict.fromkeys(sites, pair) if several else {path: pair}
    return expanded, found


def _infeasible_message(accuracy: float, point: SearchPoint) -> str:
    return (
        f"Argument `accuracy` of {accuracy:g} is not reached inside the bounds: the best circuit has "
        f"{point.accuracy:.4g} at {point.energy:.4g} J."
    )


def _highest(check: xr.Dataset) -> float:
    """Upper end of the interval; with one die, which has no interval, its own accuracy."""
    high = float(check["accuracy_high"])
    return high if np.isfinite(high) else float(check["accuracy_mean"])
