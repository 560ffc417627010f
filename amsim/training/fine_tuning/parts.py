"""Parts of a fine-tuning that take several settings: the optimiser, the dies, the items held out."""

import dataclasses
from collections.abc import Callable
from typing import Any

import optax
from jaxtyping import PRNGKeyArray, PyTree

from amsim.circuits.checks import (
    at_least_one,
    function,
    integer_between,
    is_real_number,
    number_between,
    part_of,
    shown,
)
from amsim.datasets.check import LabelledData, class_items
from amsim.deployment.site_ranges import Calibration
from amsim.training.fine_tuning.dies import check_dies
from amsim.training.optimiser import adam_by_size, adam_with_cosine
from amsim.training.parameters import Trainable, check_trainable

RELATIVE_RATE = 0.015
"""First step of the default optimiser over the size of a parameter; chosen on `binary-fashion` at 1.7 mV."""


@dataclasses.dataclass(frozen=True, eq=False)
class Optimiser:
    """Updates of the parameters: by which rule, of which of them, and what is applied to them afterwards.

    Attributes:
        rule: Learning rate at the start, of Adam with a cosine schedule to 0; or any optax transformation. To average
            over several dies before each update, wrap one in `optax.MultiSteps`. None: Adam with steps of 1.5 % of the
            root mean square of each parameter, counted as 0.1 at least, at the start of that schedule.
        trainable: Pattern or patterns of the parameters to train (a whole name such as `dense.kernel`), or a function
            of the name. None: those that the network names itself (`fn.trainable`), or all.
        constrain: Applied to all parameters after each step. None: `fn.constrained` if the network has it.
        each_epoch: Applied to all parameters at the end of each epoch, for instance to re-estimate batch statistics.

    Raises:
        ValueError: The rule is neither a learning rate of at least 0 nor an optax transformation.
    """

    rule: Any = None
    trainable: Trainable = None
    constrain: Callable[[PyTree], PyTree] | None = None
    each_epoch: Callable[[PyTree], PyTree] | None = None

    def __post_init__(self) -> None:
        """Check the rule."""
        if self.rule is not None:
            check_rule("rule", self.rule)
        check_trainable(self.trainable)
        function("constrain", self.constrain, "(params)", optional=True)
        function("each_epoch", self.each_epoch, "(params)", optional=True)

    @staticmethod
    def of(optimiser: Any) -> "Optimiser":
        """The same optimiser as a part, where a rule alone is given; the default one for None."""
        if optimiser is None:
            return Optimiser()
        if isinstance(optimiser, Optimiser):
            return optimiser
        check_rule("optimiser", optimiser)
        return Optimiser(optimiser)

    @property
    def learning_rate(self) -> float | None:
        """Learning rate at the start; None for an optax transformation and for steps by the size of parameters."""
        return None if hasattr(self.rule, "update") else self.rule

    def transformation(self, steps: int) -> optax.GradientTransformation:
        """The rule as an optax transformation for a training of so many steps."""
        if self.rule is None:
            return adam_by_size(RELATIVE_RATE, steps)
        return self.rule if hasattr(self.rule, "update") else adam_with_cosine(self.rule, steps)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingDies:
    """Dies that a training meets, and how large their errors are.

    Attributes:
        which: "redrawn": a new die at each step. A number: an ensemble of so many dies, met in turn. A key, as
            `amsim.deploy` takes it: that one die, whose errors training thereby knows. "nominal": the nominal macros,
            for training that knows no die but meets the dynamic noise.
        noise: Size of static errors and dynamic noise relative to the hardware's own: a number or a schedule
            `step -> size`.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`.
    """

    which: str | int | PRNGKeyArray = "redrawn"
    noise: optax.Schedule | float = 1.0
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        """Check the dies and the calibration."""
        check_dies("which", self.which)
        part_of("calibration", self.calibration, Calibration, optional=True)

    @staticmethod
    def of(dies: Any) -> "TrainingDies":
        """The same dies as a part, where only which they are is given."""
        if isinstance(dies, TrainingDies):
            return dies
        check_dies("dies", dies)
        return TrainingDies(dies)


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """Items held out of the training, by whose accuracy the best epoch is chosen.

    Attributes:
        items: Labelled items as `amsim.evaluate` takes them, or the fraction of the training data to set aside. None:
            the last epoch counts.
        dies: Number of dies that they are evaluated on, which training does not meet; with a held die or the nominal
            macros, those are used.
        patience: Epochs without a better validation after which training stops; None is never.

    Raises:
        ValueError: No items, labels that are not whole numbers from 0, or a count below 1.
    """

    items: LabelledData | float | None = None
    dies: int = 2
    patience: int | None = None

    def __post_init__(self) -> None:
        """Check the counts."""
        at_least_one(dies=self.dies)
        if self.items is not None:
            check_held_out("items", self.items)
        if self.patience is not None:
            integer_between("patience", self.patience, 1)
            if self.items is None:
                raise ValueError(f"Argument `items` must be given for `patience`={self.patience}, but is None.")

    @staticmethod
    def of(validation: Any) -> "HeldOut":
        """The same items as a part, where they alone are given."""
        if isinstance(validation, HeldOut):
            return validation
        if validation is not None:
            check_held_out("validation", validation)
        return HeldOut(validation)


def check_rule(name: str, rule: Any) -> None:
    """Raise ValueError unless a rule of updates is a learning rate or an optax transformation."""
    if not (hasattr(rule, "init") and hasattr(rule, "update")):
        number_between(name, rule, 0.0, float("inf"))


def check_held_out(name: str, items: Any) -> None:
    """Raise ValueError unless items are labelled with classes or a fraction of others."""
    if is_real_number(items):
        if not 0 < items < 1:
            raise ValueError(f"Argument `{name}` must leave items on both sides, but is {shown(items)}.")
    else:
        class_items(name, items)
