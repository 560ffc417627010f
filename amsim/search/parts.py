"""Parts of a circuit design that take several settings: energy that counts, training of weights, final check."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from amsim.circuits.checks import at_least_one, is_real_number, number_between, one_of, shown, truth_values, words
from amsim.datasets.check import LabelledData, class_items
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


@dataclasses.dataclass(frozen=True, eq=False)
class FinalCheck:
    """Check of a circuit that was found, on dies that the search never saw.

    Attributes:
        data: Labelled items of the check, as `amsim.evaluate` takes them; None takes those of the search, which
            flatters trained parameters.
        dies: Number of dies.
        must_reach: Raise `InfeasibleError` if the search does not reach the accuracy, instead of reporting it.

    Raises:
        ValueError: A count below 1, or no items or others than `amsim.evaluate` takes.
    """

    data: LabelledData | None = None
    dies: int = 16
    must_reach: bool = False

    def __post_init__(self) -> None:
        """Check items and count."""
        at_least_one(dies=self.dies)
        if self.data is not None:
            class_items("data", self.data)
        truth_values(must_reach=self.must_reach)

    @staticmethod
    def of(check: Any) -> "FinalCheck":
        """The same check as a part, where its items alone are given."""
        if isinstance(check, FinalCheck) or check is None:
            return check or FinalCheck()
        return FinalCheck(class_items("check", check))


def check_accuracy(name: str, accuracy: Any) -> None:
    """Raise ValueError unless it is a number between 0 and 1."""
    if not is_real_number(accuracy) or not 0 < accuracy < 1:
        raise ValueError(f"Argument `{name}` must be above 0 and below 1, but is {shown(accuracy)}.")
