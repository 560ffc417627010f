"""The training loop: epochs of compiled steps, validation, early stop, checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray, PyTree

from amsim.datasets.load import Split
from amsim.deployment.front_door import check_deployable
from amsim.deployment.site_ranges import Calibration
from amsim.deployment.tracing.leaf_names import leaf_name
from amsim.evaluation.accuracy import accuracy_on_dies
from amsim.noise.random import numbered_keys
from amsim.progress import progress_bar
from amsim.training.fine_tuning.checkpoint import Progress, load_progress, save_progress
from amsim.training.fine_tuning.plan import Plan, Trainable, make_plan
from amsim.training.fine_tuning.result import FineTuned, result_of
from amsim.training.fine_tuning.step import Batch, Loss, TrainingDivergedError, cross_entropy, training_step
from amsim.training.optimiser import first_state, optimiser_digest

Report = Callable[[int, int, float], Any]


def fine_tune(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    *,
    key: PRNGKeyArray,
    epochs: int = 5,
    batch: int = 64,
    learning_rate: float = 1e-3,
    optimiser: optax.GradientTransformation | None = None,
    loss: Loss = cross_entropy,
    dies: Any = "redrawn",
    noise: optax.Schedule | float = 1.0,
    distil: float = 0.0,
    temperature: float = 4.0,
    trainable: Trainable = None,
    constrain: Callable[[PyTree], PyTree] | None = None,
    decision_rule: str | None = None,
    calibration: Calibration | None = None,
    validation: Split | float | None = None,
    validation_dies: int = 2,
    patience: int | None = None,
    each_epoch: Callable[[PyTree], PyTree] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Report = False,
) -> FineTuned:
    """Train a network through the errors of the hardware it will run on.

    Each step deploys the network on a die, reads it once with fresh dynamic noise, and follows the gradient of
    `(1 - distil) loss(outputs, labels) + distil T**2 KL(teacher | outputs)`. Order, dies and noise are functions of
    `key` and the step alone, so that a training which goes on from a checkpoint gives the same parameters to the bit
    as one that was never interrupted (on one machine, with one version of JAX).

    Args:
        fn: Network `fn(params, inputs) -> outputs` of any framework.
        params: Where training starts.
        hardware: A macro, an `Accelerator` or rules.
        data: What to train on, such as `dataset.train`.
        key: Draws order, dies, noise and validation items.
        epochs: Passes over the data.
        batch: Items a step; the last incomplete batch of an epoch is left out.
        learning_rate: Of the default optimiser, Adam with a cosine schedule to 0, at the start.
        optimiser: Any optax transformation instead. To average over several dies before each update, wrap it in
            `optax.MultiSteps`.
        loss: `loss(outputs, labels) -> scalar`. Default: mean cross entropy of class numbers.
        dies: "redrawn": a new die at each step. A number: an ensemble of so many dies, met in turn. A key, as
            `amsim.deploy` takes it: that one die, whose errors training thereby knows. "nominal": the nominal macros,
            for training that knows no die but meets the dynamic noise.
        noise: Size of static errors and dynamic noise against the hardware's, 1: a number or a schedule `step -> size`.
        distil: Weight of the distillation from the ideal network's outputs (`params` in plain JAX), 0 to 1.
        temperature: Of the distillation.
        trainable: Pattern or patterns of the parameters to train (a whole name such as `dense.kernel`), or a function
            of the name. Default: what the network names itself (`fn.trainable`), or all.
        constrain: Applied to all parameters after each step. Default: `fn.constrained` if the network has it.
        decision_rule: Derivative of the decisions of fused neurons, as in `amsim.deploy`.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`.
        validation: Items to choose the best epoch by: a split, or the part of `data` to set aside. None: the last
            epoch counts.
        validation_dies: Dies for that, which training does not meet; a held die or the nominal macros if those are
            trained on.
        patience: Epochs without a better validation after which training stops.
        each_epoch: Applied to all parameters at the end of each epoch, for instance to estimate batch statistics anew.
        checkpoint: File for the state at the end of each epoch; where it exists, training goes on from it.
        progress: True shows a bar; a function is called with (steps done, steps, loss).

    Returns:
        Parameters, history, record, and by `result.report(test)` the accuracy on dies and items never met.

    Raises:
        ValueError: An argument is not as above, or the checkpoint is damaged or of another training; the text names
            the difference.
        TrainingDivergedError: Loss or gradient is not finite. The last checkpoint stays as it is.
        amsim.DeploymentError: The network does not fit the hardware.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, params)
    constrain = getattr(fn, "constrained", None) if constrain is None else constrain
    plan = make_plan(
        fn, params, hardware, data, key, loss=loss, epochs=epochs, batch=batch, dies=dies, noise=noise, distil=distil,
        temperature=temperature, trainable=trainable, validation=validation, validation_dies=validation_dies,
        patience=patience, decision_rule=decision_rule, calibration=calibration,
        functions={"loss": loss, "constrain": constrain, "each_epoch": each_epoch},
        learning_rate=None if optimiser is not None else learning_rate,
    )  # fmt: skip
    check_deployable(fn, params, plan.accelerator, calibration=calibration)
    if optimiser is None:
        schedule = optax.cosine_decay_schedule(learning_rate, len(plan.scales))
        optimiser = optax.inject_hyperparams(optax.adam)(learning_rate=schedule)
    plan.settings["optimiser"] = optimiser_digest(optimiser, eqx.filter(params, plan.is_trained))
    run = _Run(plan, params, optimiser, constrain or (lambda params: params), each_epoch, _checked_path(checkpoint))
    if progress is True:
        with progress_bar() as bar:
            return run.to_the_end(lambda done, total, value: bar(f"loss {value:.3f}", done, total))
    return run.to_the_end(progress or None)


class _Run:
    """One training: what stays the same while its state goes from epoch to epoch."""

    def __init__(
        self,
        plan: Plan,
        params: PyTree,
        optimiser: optax.GradientTransformation,
        constrain: Callable[[PyTree], PyTree],
        each_epoch: Callable[[PyTree], PyTree] | None,
        path: Path | None,
    ):
        self.plan, self.each_epoch, self.path = plan, each_epoch, path
        self.step = training_step(
            plan.fn, plan.objective, optimiser, constrain, plan.is_trained, plan.dies, plan.read_key,
            plan.settings["decision_rule"], plan.calibration,
        )  # fmt: skip
        history: dict[str, list[float]] = {
            name: [] for name in ("loss", "training_accuracy", "noise_scale", "learning_rate")
        }
        state = first_state(optimiser, eqx.filter(params, plan.is_trained))
        self.start = Progress(params, state, params, 0, 0, False, history, [])

    def to_the_end(self, report: Report | None) -> FineTuned:
        """Run what is left of the training."""
        plan, now = self.plan, self.start
        if self.path is not None and self.path.exists():
            now = load_progress(self.path, plan.settings, self.start)
        teacher = None if now.stopped or not plan.objective.distil else self._teacher()
        if not now.stopped and plan.validation is not None and not now.validation:
            now.validation.append(self._validated(now.params))
        while not now.stopped:
            now = self._after_epoch(now, teacher, report)
            if self.path is not None:
                save_progress(self.path, plan.settings, now)
        return result_of(plan, now)

    def _after_epoch(self, now: Progress, teacher: np.ndarray | None, report: Report | None) -> Progress:
        plan = self.plan
        trained, others = eqx.partition(now.params, plan.is_trained)
        state, history = now.state, {name: list(values) for name, values in now.history.items()}
        for index, items in enumerate(plan.order(now.epoch)):
            number = now.epoch * plan.steps_per_epoch + index
            chosen = plan.train[items]
            met = Batch(
                jnp.asarray(number),
                jnp.asarray(plan.scales[number], float),
                jnp.asarray(chosen.inputs),
                jnp.asarray(chosen.labels),
                None if teacher is None else jnp.asarray(teacher[items]),
            )
            done = self.step(trained, others, state, plan.accelerator, met)
            if not bool(done.finite):
                raise _diverged(number, float(done.loss), self.path, now.epoch, eqx.combine(trained, others))
            trained, state = done.trained, done.state
            numbers = (float(done.loss), float(done.accuracy), float(plan.scales[number]), _learning_rate(state))
            for values, value in zip(history.values(), numbers, strict=True):
                values.append(value)
            if report is not None:
                report(number + 1, len(plan.scales), numbers[0])
        params = eqx.combine(trained, others)
        if self.each_epoch is not None:
            params = self.each_epoch(params)
        if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(params) if eqx.is_inexact_array(leaf)):
            raise TrainingDivergedError(
                f"Parameters are not finite after epoch {now.epoch + 1}. {_kept(self.path, now.epoch)}", now.params
            )
        return self._judged(now, params, state, history)

    def _judged(self, now: Progress, params: PyTree, state: PyTree, history: dict[str, list[float]]) -> Progress:
        """The state after an epoch: the best epoch so far, and whether to stop."""
        plan, epoch, validation = self.plan, now.epoch + 1, list(now.validation)
        best, best_epoch = params, epoch
        if plan.validation is not None:
            validation.append(self._validated(params))
            if validation[-1] <= max(validation[:-1]):
                best, best_epoch = now.best, now.best_epoch
        waited = plan.patience is not None and epoch - best_epoch >= plan.patience
        return Progress(params, state, best, best_epoch, epoch, waited or epoch == plan.epochs, history, validation)

    def _validated(self, params: PyTree) -> float:
        plan = self.plan
        assert plan.validation is not None
        dies = plan.dies.for_validation(plan.validation_dies)
        reads = numbered_keys(jax.random.fold_in(plan.dies.fresh, 2), len(dies)).reshape(-1, 1)
        accuracy = accuracy_on_dies(
            plan.fn, params, plan.accelerator, plan.validation, dies, reads, calibration=plan.calibration
        )
        return float(np.mean(accuracy))

    def _teacher(self, items: int = 250) -> np.ndarray:
        """Outputs of the ideal network for all training items."""
        network, inputs = eqx.filter_jit(self.plan.fn), self.plan.train.inputs
        starts = range(0, len(inputs), items)
        found = [np.asarray(network(self.start.params, jnp.asarray(inputs[at : at + items]))) for at in starts]
        return np.concatenate(found)


def _diverged(number: int, loss: float, path: Path | None, epoch: int, params: PyTree) -> TrainingDivergedError:
    what = "its gradient is not finite" if np.isfinite(loss) else "not finite"
    text = f"The loss is {loss}, {what}, at step {number}; lower `learning_rate`. {_kept(path, epoch)}"
    return TrainingDivergedError(text, params)


def _kept(path: Path | None, epoch: int) -> str:
    if path is None:
        return "No checkpoint was asked for."
    return f"{path} keeps the state after epoch {epoch}." if epoch else f"There is no epoch to keep in {path} yet."


def _learning_rate(state: PyTree) -> float:
    """Learning rate where the optimiser's state holds it (`optax.inject_hyperparams`), else NaN."""
    found = [
        float(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if leaf_name(path).endswith("hyperparams.learning_rate") and jnp.shape(leaf) == ()
    ]
    return found[0] if found else float("nan")


def _checked_path(path: str | Path | None) -> Path | None:
    if path is None:
        return None
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"Argument `checkpoint` must be a file in a folder that exists, but is {path}.")
    return path
