"""A cascade trained on real data, with the items that chose its thresholds and those that test it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from amsim.cascade.chain import Cascade
from amsim.cascade.gating import all_scores
from amsim.circuits.checks import number_between
from amsim.datasets.inputs import Inputs
from amsim.datasets.split import Split

StageLabels = Mapping[str, Int[np.ndarray, " items"]]
"""What each stage alone is to pass, by its name: 1 and 0 for each item."""


class Recogniser(NamedTuple):
    """A trained cascade and its data.

    Attributes:
        cascade: The stages, each a deployed chip with a threshold.
        choosing: Items that trained nothing and chose the thresholds, labelled for the cascade as a whole.
        test: Items that neither trained nor chose anything, labelled likewise.
        choosing_stages: What each stage alone is to pass of the choosing items.
        test_stages: The same of the test items.
    """

    cascade: Cascade
    choosing: Split
    test: Split
    choosing_stages: StageLabels
    test_stages: StageLabels


def thresholds_for_recall(
    cascade: Cascade, inputs: Inputs, labels: StageLabels, recall: float, *, batch: int = 250
) -> list[float]:
    """Threshold of each stage that passes this fraction of its own events, at least.

    Each lies just below the score of the last event that is to pass, of all items, whatever stages before decided.

    Args:
        cascade: Stages with chips.
        inputs: Items.
        labels: By stage, 1 for what it is to pass.
        recall: Fraction of them, above 0 and at most 1.
        batch: Items computed at once.

    Raises:
        ValueError: A fraction out of range.
    """
    number_between("recall", recall, 1e-9, 1.0)
    scores = all_scores(cascade, inputs, batch=batch)
    return [_below(one[labels[name] == 1], recall) for name, one in zip(cascade.names, scores, strict=True)]


def _below(scores: Sequence[float] | np.ndarray, recall: float) -> float:
    ordered = np.sort(np.asarray(scores, float))
    kept = ordered[len(ordered) - int(np.ceil(recall * len(ordered) - 1e-9))]
    # A score passes above its threshold, and chips compute in 32 bits.
    return float(kept - 1e-5 * max(1.0, abs(kept)))
