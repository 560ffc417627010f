"""Plan of a fine-tuning: the arguments, checked, with all that follows from them before anything is compiled."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float, PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, integer_between, number_between, one_of
from amsim.circuits.contract.macro import READINGS
from amsim.datasets.check import LabelledData, class_items, class_numbers, has_labels, labelled_items
from amsim.datasets.division import set_aside
from amsim.datasets.split import Split
from amsim.deployment.site_ranges import Calibration
from amsim.noise.gradients import NOISY_DECISION_RULES
from amsim.results.notices import warn_once
from amsim.system.accelerator import Accelerator
from amsim.training.fine_tuning.dies import DieStream
from amsim.training.fine_tuning.parts import HeldOut, Optimiser, TrainingDies
from amsim.training.losses import Distillation
from amsim.training.optimiser import schedule_values
from amsim.training.parameters import trained_leaves


@dataclasses.dataclass(frozen=True, eq=False)
class Items:
    """Items of a training and of its validation.

    Attributes:
        train: Items to train on.
        validation: Items that the best epoch is chosen by, or None.
        epochs: Passes over the training items.
        batch: Items per step.
        order_key: Draws the order of the items.
    """

    train: Split
    validation: Split | None
    epochs: int
    batch: int
    order_key: PRNGKeyArray

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches per epoch; the items left over differ from epoch to epoch."""
        return len(self.train) // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def order(self, epoch: int) -> np.ndarray:
        """Items of an epoch (from 0), one row per step."""
        drawn = jax.random.permutation(jax.random.fold_in(self.order_key, epoch), len(self.train))
        return np.asarray(drawn)[: self.steps_per_epoch * self.batch].reshape(-1, self.batch)


@dataclasses.dataclass(frozen=True, eq=False)
class Exposure:
    """Hardware as the steps of a training meet it.

    Attributes:
        accelerator: The hardware with errors of their own size, on which results are validated.
        of_steps: The same as the steps read it.
        dies: Dies of the steps.
        read_key: Draws the dynamic noise of the steps.
        scales: Factor on the errors at each step.
        decision_rule: Derivative of the decisions of fused neurons, as in `amsim.deploy`.
        calibration: Codes and readout ranges by site, or None.
    """

    accelerator: Accelerator
    of_steps: Accelerator
    dies: DieStream
    read_key: PRNGKeyArray
    scales: Float[np.ndarray, " steps"]
    decision_rule: str | None
    calibration: Calibration | None


@dataclasses.dataclass(frozen=True, eq=False)
class Updates:
    """Changes that a training makes to the parameters.

    Attributes:
        optimiser: Transformation of gradients.
        learning_rate: Learning rate at the start of the default optimiser, None for another one.
        constrain: Applied to all parameters after each step, or None.
        each_epoch: Applied to all parameters after each epoch, or None.
        is_trained: Tree of the parameters' structure, True at leaves that are trained.
        names: Names of these leaves.
    """

    optimiser: optax.GradientTransformation
    learning_rate: float | None
    constrain: Callable[[PyTree], PyTree] | None
    each_epoch: Callable[[PyTree], PyTree] | None
    is_trained: PyTree
    names: list[str]

    def constrained(self, params: PyTree) -> PyTree:
        """Parameters as they are used after a step."""
        return params if self.constrain is None else self.constrain(params)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """One training, which with its record can be run again.

    Attributes:
        network: Network `fn(params, inputs) -> outputs`.
        params: Parameters before training.
        key: Key that order, dies, noise and validation items are drawn from.
        items: Items of training and validation.
        exposure: Hardware as the steps meet it.
        objective: Loss with its distillation.
        updates: Changes of the parameters.
        held_out: How the best epoch is chosen.
    """

    network: Callable[..., Any]
    params: PyTree
    key: PRNGKeyArray
    items: Items
    exposure: Exposure
    objective: Distillation
    updates: Updates
    held_out: HeldOut


def plan_items(
    data: LabelledData,
    held_out: HeldOut,
    objective: Distillation,
    epochs: int,
    batch: int,
    order_key: PRNGKeyArray,
    split_key: PRNGKeyArray,
) -> Items:
    """Items of training and validation; `split_key` draws which are set aside.

    Raises:
        ValueError: No items on one side, labels that the objective does not take, or a count out of range.
    """
    labelled = labelled_items("data", data)
    if objective.of_classes:
        class_numbers("data", labelled.labels)
    train, validation = _divide(labelled, held_out.items, split_key)
    at_least_one(epochs=epochs, batch=batch)
    integer_between("batch", batch, 1, len(train))
    return Items(train, validation, epochs, batch, order_key)


def plan_exposure(
    hardware: Any,
    dies: TrainingDies,
    decision_rule: str | None,
    steps: int,
    die_key: PRNGKeyArray,
    read_key: PRNGKeyArray,
    reading: str | None = None,
) -> Exposure:
    """Hardware as so many steps meet it.

    Raises:
        ValueError: Unknown dies, rule or reading, a macro without that reading, or a size of errors below 0.
    """
    if reading is not None:
        one_of("reading", reading, READINGS)
    if decision_rule is not None:
        one_of("decision_rule", decision_rule, NOISY_DECISION_RULES)
    accelerator, stream = Accelerator.of(hardware), DieStream.of(dies.which, die_key)
    scales = _scales(dies.noise, steps)
    if np.any(scales != 1.0) and not _has_errors(accelerator):
        warn_once("Argument `noise` changes nothing: no macro of this hardware has a source of error with a size.")
    if decision_rule is not None and not any(macro.decides for macro in accelerator.macros):
        warn_once(
            f"Argument `decision_rule` changes nothing: no macro decides, so that {decision_rule!r} has no place."
        )
    of_steps = accelerator if reading is None else accelerator.exact() if reading == "exact" else accelerator.lumped()
    return Exposure(accelerator, of_steps, stream, read_key, scales, decision_rule, dies.calibration)


def _has_errors(accelerator: Accelerator) -> bool:
    placed = (one for macro in accelerator.macros for one in macro.all_error_sources())
    return any(one.source.scalable and one.switches for one in placed)


def plan_updates(network: Callable[..., Any], params: PyTree, optimiser: Optimiser, steps: int) -> Updates:
    """Changes of the parameters in so many steps, by the settings given or else those of the network itself.

    Raises:
        ValueError: No parameters are trained.
    """
    named = getattr(network, "trainable", None) if optimiser.trainable is None else optimiser.trainable
    constrain = getattr(network, "constrained", None) if optimiser.constrain is None else optimiser.constrain
    is_trained, names = trained_leaves(params, named)
    transformation = optimiser.transformation(steps)
    return Updates(transformation, optimiser.learning_rate, constrain, optimiser.each_epoch, is_trained, names)


def _divide(data: Split, validation: Any, key: PRNGKeyArray) -> tuple[Split, Split | None]:
    """Items to train on and items to validate with."""
    if validation is None:
        return data, None
    if has_labels(validation):
        return data, class_items("validation", validation)
    number_between("validation", validation, 0.0, 1.0)
    return set_aside("validation", validation, data, key)


def _scales(noise: optax.Schedule | float, steps: int) -> Float[np.ndarray, " steps"]:
    schedule = noise if callable(noise) else optax.constant_schedule(noise)
    scales = schedule_values(schedule, steps)
    if scales.shape != (steps,) or not np.all(np.isfinite(scales)) or np.any(scales < 0):
        raise ValueError("Argument `noise` must be a number or a schedule of numbers, finite and at least 0.")
    return scales
