"""Circuit design by gradient: settings of the hardware that need the least energy at an accuracy."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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
from amsim.progress import Progress, check_progress, in_part, in_share, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.search.choices import Trial, best_trial, check_choices, most_trials, search_choices, trial_table
from amsim.search.designed import DesignedCircuit, InfeasibleError, designed_circuit, infeasible_message
from amsim.search.estimate import Estimate, at_logs
from amsim.search.gradient_search import GradientSearch, SearchPoint
from amsim.search.parts import CountedEnergy, FinalCheck, WeightTraining, check_accuracy
from amsim.search.quantities import LABELS
from amsim.search.space import SearchSpace, Variables, log_bounds
from amsim.search.verification import candidates, least_margin, passing_circuits
from amsim.statistics.intervals import interval_names
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import COMPONENTS
from amsim.system.settings import continuous_settings, literal_name, with_settings


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
    progress: bool | Progress | None = None,
) -> DesignedCircuit:
    """Find the settings that need the least energy per inference at an accuracy.

    Minimises `log E(x)` over `x = ln(values)` subject to `A(x) >= accuracy + margin`, A being the fraction of right
    answers on fixed dies, reads and items (common random numbers), by the steps of
    `amsim.search.gradient_search.GradientSearch`. The cheapest point that passes there is more often a lucky one than
    not, so it is no proof. At the end bisections along the direction of less energy give circuits from the safest
    one down to that on the limit, which are tested in this order on fresh dies and unseen items until one
    fails (`amsim.search.verification`); the result is the last that passes.

    What is used for what: the items of the search, with `dies` dies, choose settings, discrete choices and weights; the
    items of the check, with other dies, choose only where the tests end. The bound of the check holds dies and the
    finite number of items, one-sided: `amsim.statistics.lower_bound`. The margin is what a check on so many items
    needs to be sure, 1.4 points on 1200 items at 90 %: limits nearer than that to the accuracy of the network cannot
    be met surely, with any circuit.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules; the search starts there, inside the bounds.
        data: Labelled items as `amsim.evaluate` takes them. The search measures the accuracy at every step on all of
            them but those that are set aside for the check.
        key: Draws the dies and reads of the search, and those of the check.
        variables: Lowest and highest value of each setting, by its path as in `amsim.setting`; or an
            `amsim.SearchSpace`, which also has discrete choices and macros per site.
        accuracy: Least accuracy on fresh dies and unseen items, above 0 and below 1.
        components: Components of energy that count, of `amsim.system.hardware.COMPONENTS`; or an
            `amsim.CountedEnergy`.
        steps: Steps of the search.
        dies: Dies of the search.
        batch: Items computed at once; bounds the memory and changes nothing else, as in `amsim.evaluate`.
        weights: Training of the parameters at every step of the search; None keeps them.
        check: Items to check circuits on, on fresh dies, none of them in `data`; or the share of `data` to set aside
            for that; or an `amsim.FinalCheck`. None sets half of `data` aside.
        progress: True shows a bar with the time left; a function is called with (phase, steps done, steps) over the
            searches of all choices.

    Returns:
        The circuit; of those tested, the one of least energy that passes, or the first if none does.

    Raises:
        ValueError: No data or others than `amsim.evaluate` takes, no variables, a path that is not a continuous setting
            or, among choices, not a static one, bounds that are not above 0 or not in order, an accuracy outside 0..1,
            or a count below 1.
        InfeasibleError: `check.must_reach` and no circuit passes the check.
        amsim.search.gradient_search.SearchDivergedError: A value is not finite; it holds the last circuit that was.

    Validity: the bound is that of items and dies drawn independently of the search, for the one circuit returned. Items
    that were seen by the training of the network flatter it, in search and check alike.
    """
    space, counted, final = SearchSpace.of(variables), CountedEnergy.of(components), FinalCheck.of(check)
    training = WeightTraining() if weights is None else weights
    data = class_items("data", data)
    check_accuracy("accuracy", accuracy)
    at_least_one(steps=steps, dies=dies, batch=batch)
    one_key("key", key)
    function("fn", fn, "(params, *inputs)")
    check_progress(progress)
    accelerator, bounded = _place(fn, params, hardware, data, space)
    check_choices(accelerator, space.choices, bounded)
    log_bounds(accelerator, bounded)
    check_deployable(fn, params, accelerator)
    search_key, fresh_key = jax.random.split(key)
    items, checked = final.divide(data, jax.random.fold_in(fresh_key, 1))
    check_answers(fn, params, batch, data=data, check=checked)
    reads, activity = (
        FixedReads.of(items, batch, search_key, dies),
        first_arguments(items.inputs, counted.activity_items),
    )
    margin = least_margin(accuracy, len(checked), final.confidence)
    aim = accuracy + margin

    choices = space.choices or {}
    total, starts = steps * most_trials(choices), itertools.count(0, steps)

    def search(choice: Mapping[str, Any], report: Progress) -> Trial:
        chosen = with_settings(accelerator, choice)
        bounds, trained = log_bounds(chosen, bounded), training.learning_rate > 0
        estimate = Estimate(fn, chosen, tuple(bounded), reads, tuple(counted.components), activity, trained)
        found = GradientSearch(estimate, params, bounds, aim, training)
        found.run(steps, in_part(report, ", ".join(map(str, choice.values())), next(starts), total))
        return Trial(dict(choice), found, found.finish())

    with reporting(progress) as report:
        trials = search_choices(lambda choice: search(choice, report), choices, aim, search_key)
        report("check", total, total)
    best = best_trial(trials, aim)

    def check_point(point: SearchPoint) -> tuple[Accelerator, xr.Dataset]:
        found = at_logs(best.search.estimate.accelerator, tuple(bounded), jnp.asarray(point.logs, float))
        return found, evaluate(fn, best.search.params, found, checked, key=fresh_key, dies=final.dies, batch=batch)

    points = candidates(best.search, accuracy, margin)
    tested = passing_circuits(points, accuracy, final.confidence, check_point)
    if final.must_reach and not tested[0].bound >= accuracy:
        raise InfeasibleError(infeasible_message(accuracy, tested[0]))
    table = trial_table(trials, aim) if space.choices else None
    evaluations = sum(trial.search.estimate.evaluations for trial in trials)
    return designed_circuit(best, tested, accuracy, final.confidence, key, evaluations, table)


def pareto_curve(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: LabelledData,
    accuracies: Sequence[float],
    *,
    key: PRNGKeyArray,
    variables: Variables | SearchSpace,
    progress: bool | Progress | None = None,
    **options: Any,
) -> xr.Dataset:
    """Least energy against the accuracy asked for: one circuit per limit, each starting from that of the limit above.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Items as in `design_circuit`, also those that it sets aside.
        accuracies: Limits, all different.
        key: Draws dies and reads, the same for all limits.
        variables: As in `design_circuit`.
        progress: As in `design_circuit`, over the searches of all limits.
        **options: Further arguments of `design_circuit`, which knows no others.

    Returns:
        Dataset over rising `limit`: `energy` (J), `accuracy` of the search, `accuracy_mean`, `accuracy_low`,
        `accuracy_high` (over dies) and `accuracy_bound` of the check, `feasible`, `evaluations` and `setting_value` (by
        setting). All limits have the same items and dies, and each bound is that of one circuit.

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
    with reporting(progress) as report:
        for number, limit in enumerate(reversed(limits)):
            start = found[-1].accelerator if found else accelerator
            part = in_share(report, f"limit {limit:g}", number, len(limits))
            found.append(
                design_circuit(
                    fn, params, start, data, key=key, variables=space, accuracy=limit, progress=part, **options
                )
            )
    found.reverse()
    checked = (*interval_names("accuracy"), "accuracy_bound")
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
        | {name: (("limit",), [float(one.check[name]) for one in found]) for name in checked},
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
