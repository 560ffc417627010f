"""What a network may be judged by in a comparison: names, direction and range of each metric."""

import re
from typing import Any, NamedTuple

import xarray as xr

from amsim.results.quantities import QUANTITIES


class Metric(NamedTuple):
    """A number by which outputs are judged, a mean over items.

    Attributes:
        name: Name of its variable in results.
        words: The metric in words.
        higher_is_better: Its direction.
        high: Largest value that it can have, or None; the smallest is 0.
        plain: Name of the variable of its value without circuits.
        items: Name of the variable of its values by item.
        percent: Whether it is shown in percent.
    """

    name: str
    words: str
    higher_is_better: bool
    high: float | None
    plain: str = "plain_value"
    items: str = "item_value"
    percent: bool = False

    @property
    def noun(self) -> str:
        """The metric with its article."""
        return f"{'an' if self.words[0] in 'aeiou' else 'a'} {self.words}"

    @property
    def shown_in(self) -> str:
        """Unit that it is shown in, behind its number."""
        return " %" if self.percent else ""

    def shown(self, value: float, digits: int) -> str:
        """A value as text without its unit: so many digits behind the point in percent, else as many as that says."""
        return f"{100 * value:.{digits}f}" if self.percent else f"{value:.{digits + 2}g}"

    def order(self, values: Any) -> Any:
        """The values such that more is better."""
        return values if self.higher_is_better else -values


METRICS = {
    "accuracy": Metric("accuracy", "accuracy", True, 1.0, "plain_accuracy", "item_accuracy", True),
    "auc": Metric("auc", QUANTITIES["auc"][1], True, 1.0),
    "mean-squared-error": Metric("mean_squared_error", "mean squared error", False, None),
    "relative-error": Metric("relative_error", "relative error", False, None),
}
"""Metrics by the name that `amsim.compare(metric=...)` takes."""


def family_of(design: str) -> str:
    """Family of a design's name such as `multi-precision-4b`; a name without a word length is its own family."""
    return re.sub(r"-\d+b$", "", design) or design


def metric_of(result: xr.Dataset) -> Metric:
    """Metric of a comparison; those of earlier versions are of accuracy."""
    return METRICS.get(str(result.attrs.get("metric", "accuracy")), METRICS["accuracy"])
