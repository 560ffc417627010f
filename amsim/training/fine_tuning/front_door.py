"""Fine-tuning of a network through the errors of its hardware: from the arguments to the result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import optax
from jaxtyping import PRNGKeyArray, PyTree

from amsim.circuits.checks import one_key
from amsim.datasets.check import LabelledData
from amsim.deployment.front_door import check_deployable, params_on_device
from amsim.evaluation.answers import check_answers
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import check_replaceable
from amsim.progress import Progress, check_progress, reporting
from amsim.training.fine_tuning.loop import TrainingLoop
from amsim.training.fine_tuning.parts import HeldOut, Optimiser, TrainingDies
from amsim.training.fine_tuning.plan import Plan, plan_exposure, plan_items, plan_updates
from amsim.training.fine_tuning.result import FineTuned, result_of
from amsim.training.losses import Distillation, Loss, cross_entropy


def fine_tune(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: LabelledData,
    *,
    key: PRNGKeyArray,
    epochs: int = 5,
    batch: int = 64,
    optimiser: float | optax.GradientTransformation | Optimiser | None = None,
    loss: Loss | Distillation = cross_entropy,
    dies: str | int | PRNGKeyArray | TrainingDies = "redrawn",
    decision_rule: str | None = None,
    reading: str | None = None,
    validation: LabelledData | float | HeldOut | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> FineTuned:
    """Train a network through the errors of the hardware it will run on.

    Each step deploys the network on a die, reads it once with fresh dynamic noise, and follows the gradient of the
    loss. Order, dies and noise are functions of `key` and the step alone, so that a training which goes on from a
    checkpoint gives bit for bit the parameters of one that was never interrupted (on one machine, with one version of
    JAX). `optimiser`, `loss`, `dies` and `validation` take a plain value, or a part where more is to be said.

    Args:
        fn: Network `fn(params, inputs) -> outputs` of any framework.
        params: Parameters before training. Those of fewer than 32 bits, as bfloat16, are trained by float32 copies and
            rounded for each step.
        hardware: A macro, an `Accelerator` or rules.
        data: Items to train on, such as `dataset.train`: a `Split` or a tuple (inputs, labels), inputs as in
            `amsim.evaluate`. Labels are what the loss takes; those of the default one are numbers of classes.
        key: Draws order, dies, noise and validation items.
        epochs: Passes over the data.
        batch: Items per step; the last incomplete batch of an epoch is left out.
        optimiser: Learning rate at the start, of Adam with a cosine schedule to 0; any optax transformation; or an
            `amsim.Optimiser`, which also chooses the parameters that are trained. None: Adam with steps of 1.5 % of the
            size of each parameter at the start (`amsim.Optimiser`).
        loss: `loss(outputs, labels) -> scalar`, by default the mean cross entropy of class numbers, where one logit per
            item is that of a sigmoid; or an `amsim.Distillation`, which adds the outputs of the ideal network
            (`params` in plain JAX) as a teacher.
        dies: "redrawn": a new die at each step; a number: an ensemble of so many dies, met in turn; a key: that one
            die; "nominal": the nominal macros; or an `amsim.TrainingDies`, which also scales their errors.
        decision_rule: Derivative of the decisions of fused neurons, as in `amsim.deploy`.
        reading: Reading that the steps take: "lumped", all slices of a product in one (`Macro.lumped`), or "exact";
            validation and `report` are then on the hardware as given. None: that of the hardware everywhere.
        validation: Items to choose the best epoch by: a split, or the fraction of `data` to set aside; or an
            `amsim.HeldOut`, which also stops early. None: the last epoch counts.
        checkpoint: File for the state at the end of each epoch; where it exists, training goes on from it.
        progress: True shows a bar with the loss and the time left; a function is called with (phase, steps done,
            steps), where the phase has the loss of the last step.

    Returns:
        Parameters, history, record, and by `result.report(test)` the accuracy on dies and items never met.

    Raises:
        ValueError: An argument is not as above, or the checkpoint is damaged or of another training; the text names
            the difference.
        TrainingDivergedError: Loss or gradient is not finite. The last checkpoint stays as it is.
        amsim.DeploymentError: The network does not fit the hardware.

    Validity: the defaults are a short training. Of the accuracy that a comparator of 1.7 mV costs `binary-fashion` they
    give back 64 % on unseen dies, from the 4000 embedded images; `batch=32, decision_rule="physical"` 69 %; and four
    times the steps on shifted copies of the images, with `amsim.Distillation(0.9, temperature=1.5)`, 80 %
    (`docs/results/fine_tuning.md`).
    """
    one_key("key", key)
    check_progress(progress)
    params = params_on_device(params)
    met, held_out, path = TrainingDies.of(dies), HeldOut.of(validation), _checkpoint_path(checkpoint)
    order_key, read_key, die_key, split_key = jax.random.split(key, 4)
    objective = Distillation.of(loss)
    items = plan_items(data, held_out, objective, epochs, batch, order_key, split_key)
    exposure = plan_exposure(hardware, met, decision_rule, items.steps, die_key, read_key, reading)
    updates = plan_updates(fn, params, Optimiser.of(optimiser), items.steps)
    plan = Plan(fn, params, key, items, exposure, objective, updates, held_out)
    check_deployable(fn, params, exposure.accelerator, calibration=exposure.calibration)
    if objective.of_classes:
        check_answers(fn, params, batch, data=items.train)
    if items.validation is not None:
        check_answers(fn, params, batch, validation=items.validation)
    training = TrainingLoop(plan, path)
    with reporting(progress) as report:
        state = training.run(report)
    return result_of(plan, training.settings, state)


def _checkpoint_path(checkpoint: str | Path | None) -> Path | None:
    if checkpoint is None:
        return None
    path = checked_path("checkpoint", checkpoint)
    try:
        there = path.parent.is_dir()
    except OSError:  # too long a path, for instance
        there = False
    if not there:
        raise ValueError(f"Argument `checkpoint` must be a file in a folder that exists, but is {path}.")
    check_replaceable(path, "checkpoint")
    return path
