"""How outputs and labels become values of a metric, one for each item, whose mean is the metric."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy import stats

from amsim.datasets.check import class_items, labelled_items
from amsim.datasets.split import Split
from amsim.evaluation.answers import are_right, check_logits
from amsim.results.metrics import METRICS, Metric


@dataclasses.dataclass(frozen=True)
class Scoring:
    """A metric with what computes it.

    Attributes:
        metric: Name, direction and range.
        of_items: Traceable function of outputs and labels of a batch to a number for each item.
        settle: From these numbers on dies, shape (dies, items), and all labels to values whose mean over the items is
            the metric of the die.
        checked: Items as the metric takes them, from the name of an argument and the items; raises ValueError.
        check_outputs: Raises ValueError where outputs of these shapes do not suit the items; with the name of the
            argument that holds them.
        loss: Loss to fine-tune by, from outputs and labels; None is the cross entropy of classes.
        trainable: Whether a network can be fine-tuned for the metric.
    """

    metric: Metric
    of_items: Callable[[Any, Array], Array]
    settle: Callable[[np.ndarray, np.ndarray], np.ndarray]
    checked: Callable[[str, Any], Split]
    check_outputs: Callable[[Any, Split, str], None]
    loss: Callable[[Any, Array], Array] | None = None
    trainable: bool = True


def _as_they_are(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return values


# --- Accuracy -------------------------------------------------------------------------------------------------------


def right_items(logits: Any, labels: Array) -> Array:
    """Which answers of a classifier are right."""
    check_logits(logits, np.size(labels), None)
    return are_right(logits, labels)


def _check_classes(outputs: Any, items: Split, argument: str) -> None:
    shape = getattr(outputs, "shape", ())
    check_logits(outputs, shape[0] if shape else 0, int(np.max(items.labels)), argument)


# --- Area under the ROC curve ---------------------------------------------------------------------------------------


def scores(outputs: Any, labels: Array) -> Array:
    """Score of each item: its one output, or how much its second of two exceeds the first."""
    single = outputs.reshape(len(labels), -1)
    return single[:, 0] if single.shape[1] == 1 else single[:, 1] - single[:, 0]


def roc_pseudo_values(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Values by item whose mean is the area under the ROC curve, and whose spread is that of the area.

    With P positives and N negatives, n in all, and the share `v_i` of the other class that an item is on the right side
    of, `A + (v_i - A) n / P` for a positive and `A + (v_i - A) n / N` for a negative: then `s^2 / n` is the variance of
    DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), `s_P^2 / P + s_N^2 / N`.

    Args:
        values: Scores, shape (dies, items).
        labels: 1 for positive and 0 for negative items.

    Returns:
        Shape (dies, items); a die with a score that is NaN is NaN.
    """
    positive = labels == 1
    count, others = int(positive.sum()), int((~positive).sum())
    found = np.empty(values.shape, float)
    for row, one in zip(found, values, strict=True):
        if not np.all(np.isfinite(one)):
            row[:] = math.nan
            continue
        ranks = stats.rankdata(one)
        row[positive] = (ranks[positive] - stats.rankdata(one[positive])) / others
        row[~positive] = 1 - (ranks[~positive] - stats.rankdata(one[~positive])) / count
        area = row[positive].mean()
        row[:] = area + (row - area) * np.where(positive, len(one) / count, len(one) / others)
    return found


def _two_classes(argument: str, data: Any) -> Split:
    items = class_items(argument, data)
    found = sorted(set(items.labels.tolist()))
    if found != [0, 1]:
        shown = ", ".join(map(str, found[:5])) + (" ..." if len(found) > 5 else "")
        raise ValueError(
            f"Argument `{argument}` must have labels of 1 and of 0, some of each, for the metric auc, but has {shown}."
        )
    return items


def _check_scores(outputs: Any, items: Split, argument: str) -> None:
    shape = getattr(outputs, "shape", None)
    if shape is None or not shape or math.prod(shape[1:]) not in (1, 2):
        raise ValueError(
            f"Argument `network` must give one or two outputs per item for the metric auc, but gives "
            f"{type(outputs).__name__ if shape is None else shape[1:]}."
        )


# --- Errors of numbers ----------------------------------------------------------------------------------------------


def squared_errors(outputs: Any, labels: Array) -> Array:
    """Mean squared difference of the outputs of each item from its labels."""
    return jnp.mean(_differences(outputs, labels) ** 2, axis=1)


def error_norms(outputs: Any, labels: Array) -> Array:
    """Root of the sum of squared differences of the outputs of each item from its labels."""
    return jnp.sqrt(jnp.sum(_differences(outputs, labels) ** 2, axis=1))


def _differences(outputs: Any, labels: Array) -> Array:
    rows = len(labels)
    dtype = jnp.result_type(float)
    return outputs.reshape(rows, -1).astype(dtype) - labels.reshape(rows, -1).astype(dtype)


def _over_labels(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Error of each item over the root mean square of the labels."""
    sizes = np.sum(labels.reshape(len(labels), -1).astype(float) ** 2, axis=1)
    return values / math.sqrt(float(sizes.mean()))


def _not_all_zero(argument: str, data: Any) -> Split:
    items = labelled_items(argument, data)
    if not np.any(items.labels):
        raise ValueError(f"Argument `{argument}` must have labels other than 0 for the metric relative-error.")
    return items


def _check_numbers(outputs: Any, items: Split, argument: str) -> None:
    shape, wanted = getattr(outputs, "shape", None), np.shape(items.labels)[1:]
    if shape is None or not shape or math.prod(shape[1:]) != math.prod(wanted):
        given = type(outputs).__name__ if shape is None else f"{shape[1:]}"
        raise ValueError(
            f"Argument `{argument}` must have labels of the shape of the network's outputs, which is {given} per item, "
            f"but they have {wanted}."
        )


def _mean_squared_error(outputs: Any, labels: Array) -> Array:
    return jnp.mean(squared_errors(outputs, labels))


SCORINGS = {
    "accuracy": Scoring(METRICS["accuracy"], right_items, _as_they_are, class_items, _check_classes),
    "auc": Scoring(METRICS["auc"], scores, roc_pseudo_values, _two_classes, _check_scores, trainable=False),
    "mean-squared-error": Scoring(
        METRICS["mean-squared-error"],
        squared_errors,
        _as_they_are,
        labelled_items,
        _check_numbers,
        _mean_squared_error,
    ),
    "relative-error": Scoring(
        METRICS["relative-error"], error_norms, _over_labels, _not_all_zero, _check_numbers, _mean_squared_error
    ),
}
"""Metrics by name, with what computes them."""
