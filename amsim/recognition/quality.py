"""How well each stage of a trained cascade does its own part, alone, on the test items: ideal and on dies."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int, PRNGKeyArray

from amsim.cascade.evaluating import populations
from amsim.cascade.gating import all_scores
from amsim.circuits.checks import at_least_one, integer_between, one_key, part_of
from amsim.recognition.recogniser import Recogniser
from amsim.results.labelled import labelled
from amsim.results.provenance import described, key_words, versions
from amsim.statistics.intervals import MeanInterval, mean_interval, proportion_interval, roc_area, roc_area_error

LABELS = {
    "recall": ("1", "fraction of a stage's own events that it passes"),
    "recall_low": ("1", "lower end of the 95 % interval from the number of items"),
    "recall_high": ("1", "upper end of the 95 % interval from the number of items"),
    "false_positive_rate": ("1", "fraction of the other items that a stage passes"),
    "false_positive_low": ("1", "lower end of the 95 % interval from the number of items"),
    "false_positive_high": ("1", "upper end of the 95 % interval from the number of items"),
    "threshold": ("1", "threshold of the score"),
    "own_label": ("1", "1 for what a stage alone is to pass"),
}


def stage_quality(
    recogniser: Recogniser, *, dies: int | None = None, key: PRNGKeyArray | None = None, batch: int = 250
) -> xr.Dataset:
    """Area under the ROC curve, recall and false positives of every stage alone, on all test items.

    A stage of the cascade only sees what stages before pass; here each sees everything, and is judged by what it alone
    is to pass.

    Args:
        recogniser: A trained cascade.
        dies: Dies that are drawn with `key`; None takes each chip as it is deployed.
        key: Draws dies and reads; None is no dynamic noise.
        batch: Items computed at once.

    Returns:
        Dataset over `stage` and, with dies, `die`: `auc`, `auc_error`, `recall` and `false_positive_rate` with their
        intervals; `score` (stage, item), `own_label`, `threshold`.

    Raises:
        ValueError: No recogniser, a count below 1, or dies without a key.
    """
    part_of("recogniser", recogniser, Recogniser)
    at_least_one(batch=batch)
    if dies is not None:
        at_least_one(dies=dies)
        one_key("key", key)
    elif key is not None:
        one_key("key", key)
    cascade = recogniser.cascade
    scores = np.stack([
        all_scores(one, recogniser.test.inputs, key=read, batch=batch) for one, read in populations(cascade, dies, key)
    ])  # fmt: skip
    labels = np.stack([np.asarray(recogniser.test_stages[name]) for name in cascade.names])
    passed = scores > np.asarray(cascade.thresholds)[:, None]
    events, others = labels.sum(axis=1), (1 - labels).sum(axis=1)
    recall = (passed & (labels == 1)).sum(-1) / events
    false = (passed & (labels == 0)).sum(-1) / others
    area = np.array([[roc_area(one, own) for one, own in zip(row, labels, strict=True)] for row in scores])
    counts = list(zip(events.tolist(), others.tolist(), strict=True))
    error = np.array([[roc_area_error(one, *count) for one, count in zip(row, counts, strict=True)] for row in area])
    each = ("die", "stage")
    ends = {
        name: [np.stack([proportion_interval(share[:, k], int(count[k]))[end] for k in range(len(counts))], axis=1)
               for end in (0, 1)]
        for name, share, count in (("recall", recall, events), ("false_positive", false, others))
    }  # fmt: skip
    result = labelled(
        {
            "score": (("die", "stage", "item"), scores),
            "own_label": (("stage", "item"), labels),
            "threshold": (("stage",), np.asarray(cascade.thresholds, float)),
            "auc": (each, area),
            "auc_error": (each, error),
            "recall": (each, recall),
            "false_positive_rate": (each, false),
            **{
                f"{name}_{end}": (each, ends[name][place]) for name in ends for place, end in enumerate(("low", "high"))
            },
        },
        {"die": np.arange(len(scores)), "stage": cascade.names, "item": np.arange(labels.shape[1])},
        {
            **({} if key is None else {"key": key_words(key)}),
            "hardware": described([stage.accelerator for stage in cascade.stages]),
            **versions(),
        },
        labels=LABELS,
    )
    return result if dies is not None else result.isel(die=0, drop=True)


class Difference(NamedTuple):
    """How much better one population of dies tells items apart than another, on the same items.

    Attributes:
        interval: Mean difference of the areas under the ROC curve with its 95 % interval.
        resolved: Whether the interval leaves out 0.
    """

    interval: MeanInterval
    resolved: bool


def auc_difference(
    first: Float[np.ndarray, "dies items"],
    second: Float[np.ndarray, "others items"],
    labels: Int[np.ndarray, " items"],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Difference:
    """Area of the first less that of the second, with an interval over items and dies by the bootstrap.

    Each draw takes items of either label anew, the same for both, and dies of each; the interval is from the 2.5 % to
    the 97.5 % quantile of the difference of the mean areas.

    Args:
        first: Scores of each die.
        second: Scores of each die of the other; one row where all are alike.
        labels: 1 for an event, 0 for another item.
        draws: Of the bootstrap.
        seed: Of the draws.

    Raises:
        ValueError: Fewer than one draw.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    integer_between("draws", draws, 1)
    generator = np.random.default_rng(seed)
    wins = [np.stack([_wins(one, labels) for one in scores]) for scores in (first, second)]
    mean = float(wins[0].mean() - wins[1].mean())
    events, others = wins[0].shape[1:]
    found = []
    for _ in range(draws):
        # How often each item and die is drawn, as weights.
        up, down = (generator.multinomial(count, np.full(count, 1 / count)) / count for count in (events, others))
        dies = [generator.multinomial(len(one), np.full(len(one), 1 / len(one))) / len(one) for one in wins]
        found.append(
            sum(sign * float(share @ (one @ down @ up)) for sign, share, one in zip((1, -1), dies, wins, strict=True))
        )
    low, high = np.quantile(found, [0.025, 0.975])
    return Difference(MeanInterval(mean, float(low), float(high)), bool(low > 0 or high < 0))


def _wins(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether an event scores above another item, half where they are equal; shape (events, others)."""
    events, others = scores[labels == 1, None], scores[None, labels == 0]
    return ((events > others) + 0.5 * (events == others)).astype(np.float32)


def mean_over_dies(values: Any) -> MeanInterval:
    """Mean over dies with its interval; the value itself where there is one die or all are alike."""
    numbers = np.atleast_1d(np.asarray(values, float))
    return mean_interval(numbers, deterministic=bool(np.ptp(numbers) == 0))
