"""Parts of a circuit design that take several settings: energy that counts, training of weights, final check."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxtyping import PRNGKeyArray

from amsim.circuits.checks import at_least_one, is_real_number, number_between, one_of, shown, truth_values, words
from amsim.datasets.check import LabelledData, class_items
from amsim.datasets.division import set_aside
from amsim.datasets.split import Split
from amsim.statistics.intervals import CONFIDENCE, check_confidence
from amsim.system.hardware import COMPONENTS
from amsim.training.parameters import Trainable, check_trainable


@dataclasses.dataclass(frozen=True)
class CountedEnergy:
    """Energy that a search minimises.

    Attributes:
        components: Components of energy that count, of `amsim.system.accelerator.COMPONENTS`.
        activity_items: Number of items, the first of the data, whose activity determines the energy.

    Raises:
        ValueError: No component, an unknown one, or a count below 1.
    """

    components: Sequence[str] = COMPONENTS
    activity_items: int = 16

    def __post_init__(self) -> None:
        """Check both."""
        at_least_one(activity_items=self.activity_items)
        names = words("components", self.components)
        if not names:
            raise ValueError("Argument `components` must have one at least, but is empty.")
        for name in names:
            one_of("components", name, COMPONENTS)

    @staticmethod
    def of(components: Any) -> "CountedEnergy":
        """The same energy as a part, where its components alone are given."""
        return components if isinstance(components, CountedEnergy) else CountedEnergy(components)


@dataclasses.dataclass(frozen=True)
class WeightTraining:
    """Training of the network's parameters beside the search: one step of Adam at every step of the search.

    Attributes:
        learning_rate: Learning rate of Adam on the mean cross-entropy; 0 keeps the parameters.
        trainable: Parameters that are trained, as in `amsim.Optimiser`.

    Raises:
        ValueError: The learning rate is below 0 or not finite.
    """

    learning_rate: float = 0.0
    trainable: Trainable = None

    def __post_init__(self) -> None:
        """Check the learning rate."""
        number_between("learning_rate", self.learning_rate, 0.0, float("inf"))
        check_trainable(self.trainable)


HELD_OUT = 0.5
"""Share of the data that is set aside for the check where it has none of its own."""


@dataclasses.dataclass(frozen=True, eq=False)
class FinalCheck:
    """Check of circuits that were found, on dies and items that the search never saw.

    Attributes:
        data: Labelled items of the check, as `amsim.evaluate` takes them, none of which the search may have; or the
            share of the search's data to set aside for it, drawn at random. None: half of them.
        dies: Number of dies; of one die, which says nothing about others, no circuit passes.
        must_reach: Raise `InfeasibleError` if no circuit passes, instead of reporting it.
        confidence: Of the one-sided bound that has to reach the limit.

    Raises:
        ValueError: A count below 1, a share or a confidence that is not between 0 and 1, or no items or others than
            `amsim.evaluate` takes.
    """

    data: LabelledData | float | None = None
    dies: int = 16
    must_reach: bool = False
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        """Check items and numbers."""
        at_least_one(dies=self.dies)
        _check_items("data", self.data)
        truth_values(must_reach=self.must_reach)
        check_confidence(self.confidence)

    @staticmethod
    def of(check: Any) -> "FinalCheck":
        """The same check as a part, where its items alone are given."""
        if isinstance(check, FinalCheck) or check is None:
            return check or FinalCheck()
        _check_items("check", check)
        return FinalCheck(check)

    def divide(self, data: Split, key: PRNGKeyArray) -> tuple[Split, Split]:
        """Items of the search and items of the check; the key draws which are set aside."""
        if self.data is None or is_real_number(self.data):
            return set_aside("check", HELD_OUT if self.data is None else self.data, data, key)
        return data, class_items("check", self.data)


def _check_items(name: str, items: Any) -> None:
    if is_real_number(items):
        if not 0 < items < 1:
            raise ValueError(f"Argument `{name}` must leave items on both sides, but is {shown(items)}.")
    elif items is not None:
        class_items(name, items)


def check_accuracy(name: str, accuracy: Any) -> None:
    """Raise ValueError unless it is a number between 0 and 1."""
    if not is_real_number(accuracy) or not 0 < accuracy < 1:
        raise ValueError(f"Argument `{name}` must be above 0 and below 1, but is {shown(accuracy)}.")
