"""What a comparison says: designs that win at some accuracy, and each family's energy at an accuracy that all reach."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from amsim.circuits.checks import finite_number
from amsim.comparison.quantities import LABELS
from amsim.results.dataset_check import check_dataset
from amsim.results.labelled import labelled
from amsim.results.metrics import METRICS, Metric, family_of, metric_of
from amsim.statistics.intervals import interval_names, student_half_width


def verdict(comparison: xr.Dataset) -> str:
    """Sentences that name the design of least energy up to each accuracy, and each family's at the same accuracy.

    A more expensive design wins beyond the accuracy of a cheaper one only if the 95 % interval of the difference, over
    dies and the common items, lies above 0. Designs whose difference from the best has an interval around 0 are named
    as ones that cannot be told apart from it. With `amsim.compare(accuracy=...)` the design of least energy that
    reaches that limit is named too. No point is interpolated.

    Args:
        comparison: Result of `amsim.compare`.

    Returns:
        The sentences, with energies in uJ and accuracies in percent.

    Raises:
        ValueError: No such result.
    """
    _check_comparison(comparison, in_each=True)
    metric, energy, mean = metric_of(comparison), _energy(comparison), _means(comparison)
    better = metric.order(mean)
    winners: list[int] = []
    for index in np.lexsort((-better, energy)):
        if not winners or _difference(comparison, int(index), winners[-1])[0] > 0:
            winners.append(int(index))
    limits = [_shown(metric, mean[index]) for index in winners]
    names = [_priced(comparison, index) for index in winners]
    parts = [f"{'up' if metric.higher_is_better else 'down'} to {limits[0]} {names[0]}"]
    parts += [f"from there to {up_to} {name}" for up_to, name in zip(limits[1:], names[1:], strict=True)]
    sentences = [f"Least energy per inference{_of(metric)}: {', '.join(parts)}."]
    found = energy_at_accuracy(comparison)
    if found.sizes["family"] > 1:
        each = [
            f"{family} {1e6 * float(row):.3g} uJ ({name})"
            for family, row, name in zip(
                found["family"].values, found["family_energy"].values, found["family_design"].values, strict=True
            )
        ]
        common = _shown(metric, float(found["common_accuracy"]))
        sentences.append(f"At {common}, which all families reach: {', '.join(each)}.")
    return " ".join([*sentences, *_tied(comparison, better), *_limit(comparison)])


def energy_at_accuracy(comparison: xr.Dataset) -> xr.Dataset:
    """Energy of each family at the highest accuracy that all families reach.

    That accuracy is the smallest of the families' best mean accuracies. Each family is stated by its design of least
    energy whose mean accuracy is at least that: designs that were measured, none in between. Of a metric that is an
    error less is better.

    Args:
        comparison: Result of `amsim.compare`.

    Returns:
        Dataset over family: `family_energy` (J), `family_accuracy` and `family_design`, and `common_accuracy`.

    Raises:
        ValueError: No such result.
    """
    _check_comparison(comparison)
    names = [str(name) for name in comparison["design"].values]
    families = [family_of(name) for name in names]
    metric, energy, mean = metric_of(comparison), _energy(comparison), _means(comparison)
    better = metric.order(mean)
    distinct = list(dict.fromkeys(families))
    members = [np.array([family == one for one in families]) for family in distinct]
    common = min(float(better[own].max()) for own in members)
    chosen = [int(np.argmin(np.where(own & (better >= common), energy, math.inf))) for own in members]
    variables = {
        "family_energy": (("family",), energy[chosen]),
        "family_accuracy": (("family",), mean[chosen]),
        "family_design": (("family",), np.asarray([names[index] for index in chosen], str)),
        "common_accuracy": ((), np.asarray(metric.order(common))),
    }
    return labelled(variables, {"family": distinct}, {}, labels=LABELS)


def least_energy(comparison: xr.Dataset, limit: float) -> str:
    """Name of the design of least energy whose mean accuracy, or other metric, reaches a limit.

    Args:
        comparison: Result of `amsim.compare`.
        limit: Least accuracy; of a metric that is an error, the largest.

    Raises:
        ValueError: No such result, the limit is no number, or no design reaches it; the text names the best.
    """
    finite_number("limit", limit)
    _check_comparison(comparison)
    metric, energy, mean = metric_of(comparison), _energy(comparison), _means(comparison)
    reaching = metric.order(mean) >= metric.order(limit)
    if not reaching.any():
        best = int(np.argmax(metric.order(mean)))
        raise ValueError(
            f"No design reaches {metric.noun} {_bound(metric, limit)}; the best is {_priced(comparison, best)} with "
            f"{_with_interval(comparison, best)}."
        )
    return str(comparison["design"].values[int(np.argmin(np.where(reaching, energy, math.inf)))])


def _check_comparison(comparison: Any, *, in_each: bool = False) -> None:
    """Raise ValueError unless this is a comparison, with the accuracy of each die and item where that is needed."""
    metric = metric_of(comparison) if isinstance(comparison, xr.Dataset) else METRICS["accuracy"]
    each = (metric.name, metric.items) if in_each else ()
    dims = ("design", "component", *(("die", "item") if in_each else ()))
    check_dataset("comparison", comparison, ("energy", interval_names(metric.name)[0], *each), dims)


def _limit(comparison: xr.Dataset) -> list[str]:
    """What reaches the limit that was asked for, and whether its interval does; nothing without a limit."""
    if "accuracy_limit" not in comparison.attrs:
        return []
    metric, limit = metric_of(comparison), float(comparison.attrs["accuracy_limit"])
    try:
        name = least_energy(comparison, limit)
    except ValueError as error:
        return [str(error)]
    index = [str(one) for one in comparison["design"].values].index(name)
    text = f"Least energy at {metric.noun} {_bound(metric, limit)}: {_priced(comparison, index)}"
    worst = comparison[interval_names(metric.name)[1 if metric.higher_is_better else 2]].values
    surely = metric.order(worst) >= metric.order(limit)
    text += f" with {_with_interval(comparison, index)}"
    if math.isnan(worst[index]) or surely[index]:
        return [f"{text}."]
    found = np.where(surely, _energy(comparison), math.inf)
    other = int(np.argmin(found))
    rest = f"that of {_priced(comparison, other)} does" if np.isfinite(found[other]) else "nor does that of any other"
    return [f"{text}; its interval does not lie on that side of the limit as a whole, {rest}."]


def _tied(comparison: xr.Dataset, better: np.ndarray) -> list[str]:
    """Which designs cannot be told apart from the best by what was measured."""
    best, dies = int(np.argmax(better)), comparison.sizes["die"]
    names = [str(name) for name in comparison["design"].values]
    gaps = [_difference(comparison, best, index) for index in range(len(names))]
    tied = [name for index, name in enumerate(names) if index != best and gaps[index][0] <= 0 <= gaps[index][1]]
    if not tied:
        return []
    metric = metric_of(comparison)
    with_dies = "1 die" if dies == 1 else f"{dies} dies"
    return [f"In {metric.words}, {_listed([names[best], *tied])} cannot be told apart with {with_dies}."]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _energy(comparison: xr.Dataset) -> np.ndarray:
    return comparison["energy"].sum("component").values


def _means(comparison: xr.Dataset) -> np.ndarray:
    return comparison[interval_names(metric_of(comparison).name)[0]].values


def _priced(comparison: xr.Dataset, index: int) -> str:
    return f"{comparison['design'].values[index]} ({1e6 * _energy(comparison)[index]:.3g} uJ)"


def _shown(metric: Metric, value: float) -> str:
    return f"{metric.shown(float(value), 1)}{metric.shown_in}"


def _bound(metric: Metric, limit: float) -> str:
    return f"of at {'least' if metric.higher_is_better else 'most'} {metric.shown(limit, 2)}{metric.shown_in}"


def _with_interval(comparison: xr.Dataset, index: int) -> str:
    """Value of a design with its interval, where there is one."""
    metric = metric_of(comparison)
    mean, low, high = (float(comparison[name].values[index]) for name in interval_names(metric.name))
    text = f"{metric.shown(mean, 2)}{metric.shown_in}"
    return text if math.isnan(low) else f"{text} ({metric.shown(low, 2)} .. {metric.shown(high, 2)}{metric.shown_in})"


def _of(metric: Metric) -> str:
    return "" if metric.name == "accuracy" else f" by {metric.words}"


def _difference(comparison: xr.Dataset, one: int, other: int) -> tuple[float, float]:
    """95 % interval of how much better one design is than another, over their dies and the common items.

    Both see the same items, so that what these have in common cancels; their dies are independent.
    """
    metric = metric_of(comparison)
    items = metric.order(comparison[metric.items].transpose("design", "item").values)
    dies = comparison[metric.name].transpose("design", "die").values
    apart = items[one] - items[other]
    square = student_half_width(float(apart.std(ddof=1)), len(apart)) ** 2 if len(apart) > 1 else 0.0
    if dies.shape[1] > 1:
        spread = math.hypot(dies[one].std(ddof=1), dies[other].std(ddof=1))
        square += student_half_width(spread, dies.shape[1]) ** 2
    half = math.sqrt(square)
    return float(apart.mean()) - half, float(apart.mean()) + half
