"""What a result says in a few sentences, by the variables that it has."""

import numpy as np
import xarray as xr

from amsim.comparison.equal_accuracy import verdict
from amsim.report.exploration import EXPLORED, answer
from amsim.report.summaries import Summary, axes_of, point_names, summary_of
from amsim.results.metrics import metric_of
from amsim.results.units import with_prefix
from amsim.validation.tables import misses, summary


def verdict_lines(result: xr.Dataset) -> list[str]:
    """Sentences on a result: what wins, what was missed, or its best accuracy and least energy; none otherwise."""
    has = set(map(str, result.data_vars))
    metric = metric_of(result)
    if {metric.name, f"{metric.name}_mean", metric.items, "energy"} <= has and "design" in result.dims:
        return [verdict(result)]
    if has | set(map(str, result.dims)) >= EXPLORED:
        return [answer(result)]
    if {"model", "within", "kind", "held_out"} <= has:
        return [summary(result), *(f"Missed: {line}" for line in misses(result))]
    return [
        *_best(result, "accuracy", "Highest accuracy", 1),
        *_best(result, "energy", "Least energy", -1),
    ]


def _best(result: xr.Dataset, name: str, words: str, sign: int) -> list[str]:
    if name not in result or result[name].dtype.kind not in "fiu":
        return []
    one = summary_of(result, name)
    means = one.mean.ravel()
    if not np.isfinite(means).any():
        return []
    index = int(np.nanargmax(sign * means))
    value = _text(one, means[index])
    if one.low is not None and one.high is not None and np.isfinite(one.low.ravel()[index]):
        low, high = (_text(one, ends.ravel()[index]) for ends in (one.low, one.high))
        value += f" (95 % interval {low} .. {high})" if low != high else ""
    where = f" at {point_names(result, axes_of(result[name]))[index]}" if len(means) > 1 else ""
    return [f"{words}: {value}{where}."]


def _text(one: Summary, value: float) -> str:
    return f"{100 * value:.2f} %" if one.is_share else with_prefix(float(value), one.unit)
