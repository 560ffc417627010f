"""Loop of a training: epochs of compiled steps, validation, early stop, checkpoints."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import PyTree

from amsim.datasets.inputs import network_arguments
from amsim.deployment.tracing.leaf_names import leaf_name
from amsim.evaluation.accuracy import accuracy_on_dies, plain_outputs
from amsim.evaluation.batches import batches, on_device
from amsim.noise.random import numbered_keys
from amsim.progress import COMPILING, Progress
from amsim.training.fine_tuning.checkpoint import TrainingState, read_checkpoint, write_checkpoint
from amsim.training.fine_tuning.plan import Plan
from amsim.training.fine_tuning.record import settings_of
from amsim.training.fine_tuning.step import Batch, TrainingDivergedError, training_step
from amsim.training.optimiser import initial_state

TEACHER_BATCH = 250
"""Items of which the ideal network computes the outputs at once."""


class TrainingLoop:
    """One training: what stays the same while its state goes from epoch to epoch.

    Attributes:
        plan: Plan of the training.
        path: File of the checkpoint, or None.
        settings: Record of the plan, by which a checkpoint is recognised.
    """

    def __init__(self, plan: Plan, path: Path | None):
        self.plan, self.path = plan, path
        self.step = training_step(plan)
        history: dict[str, list[float]] = {
            name: [] for name in ("loss", "training_accuracy", "noise_scale", "learning_rate")
        }
        optimiser_state = initial_state(plan.updates.optimiser, eqx.filter(plan.params, plan.updates.is_trained))
        self.start = TrainingState(plan.params, optimiser_state, plan.params, 0, 0, False, history, [])
        self.settings = settings_of(plan, self._step_program())

    def run(self, report: Progress) -> TrainingState:
        """The last state, of a training that starts anew or goes on from its checkpoint."""
        plan, now = self.plan, self.start
        if self.path is not None and self.path.exists():
            now = read_checkpoint(self.path, self.settings, self.start)
        teacher = None if now.stopped or not plan.objective.weight else self._teacher()
        if not now.stopped and plan.items.validation is not None and not now.validation:
            now.validation.append(self._validate(now.params))
        if not now.stopped:
            report(COMPILING, now.epoch * plan.items.steps_per_epoch, len(plan.exposure.scales))
        while not now.stopped:
            now = self._run_epoch(now, teacher, report)
            if self.path is not None:
                write_checkpoint(self.path, self.settings, now)
        return now

    def _run_epoch(self, now: TrainingState, teacher: np.ndarray | None, report: Progress) -> TrainingState:
        items, scales, updates = self.plan.items, self.plan.exposure.scales, self.plan.updates
        trained, others = eqx.partition(now.params, updates.is_trained)
        state, history = now.optimiser_state, {name: list(values) for name, values in now.history.items()}
        for index, chosen in enumerate(items.order(now.epoch)):
            number = now.epoch * items.steps_per_epoch + index
            batch = self._batch(number, chosen, teacher)
            done = self.step(trained, others, state, self.plan.exposure.of_steps, batch)
            if not bool(done.finite):
                kept = _kept_state(self.path, now.epoch)
                raise _divergence(number, float(done.loss), self.plan, kept, eqx.combine(trained, others))
            trained, state = done.trained, done.state
            numbers = (float(done.loss), float(done.accuracy), float(scales[number]), _learning_rate(state))
            for values, value in zip(history.values(), numbers, strict=True):
                values.append(value)
            report(f"loss {numbers[0]:.3f}", number + 1, len(scales))
        params = eqx.combine(trained, others)
        if updates.each_epoch is not None:
            params = updates.each_epoch(params)
        if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(params) if eqx.is_inexact_array(leaf)):
            raise TrainingDivergedError(
                f"Parameters are not finite after epoch {now.epoch + 1}. {_kept_state(self.path, now.epoch)}",
                now.params,
            )
        return self._choose_best(now, params, state, history)

    def _step_program(self) -> ClosedJaxpr:
        """Program of a step; the first step is not traced again."""
        plan = self.plan
        trained, others = eqx.partition(plan.params, plan.updates.is_trained)
        batch = self._batch(0, plan.items.order(0)[0], None)
        if plan.objective.weight:
            batch = batch._replace(
                teacher=eqx.filter_eval_shape(plan.network, plan.params, *network_arguments(batch.inputs))
            )
        arguments = trained, others, self.start.optimiser_state, plan.exposure.of_steps, batch
        return eqx.filter_make_jaxpr(self.step)(*arguments)[0]

    def _batch(self, number: int, items: np.ndarray, teacher: np.ndarray | None) -> Batch:
        chosen = self.plan.items.train[items]
        return Batch(
            jnp.asarray(number),
            jnp.asarray(self.plan.exposure.scales[number], float),
            on_device(chosen.inputs),
            jnp.asarray(chosen.labels),
            None if teacher is None else jnp.asarray(teacher[items]),
        )

    def _choose_best(
        self, now: TrainingState, params: PyTree, optimiser_state: PyTree, history: dict[str, list[float]]
    ) -> TrainingState:
        """State after an epoch: the best epoch so far, and whether to stop."""
        patience, epoch, validation = self.plan.held_out.patience, now.epoch + 1, list(now.validation)
        best, best_epoch = params, epoch
        if self.plan.items.validation is not None:
            validation.append(self._validate(params))
            if validation[-1] <= max(validation[:-1]):
                best, best_epoch = now.best, now.best_epoch
        waited = patience is not None and epoch - best_epoch >= patience
        stopped = waited or epoch == self.plan.items.epochs
        return TrainingState(params, optimiser_state, best, best_epoch, epoch, stopped, history, validation)

    def _validate(self, params: PyTree) -> float:
        """Mean accuracy on the items held out and the dies of validation."""
        plan, exposure = self.plan, self.plan.exposure
        assert plan.items.validation is not None
        dies = exposure.dies.for_validation(plan.held_out.dies)
        reads = numbered_keys(jax.random.fold_in(exposure.dies.fresh, 2), len(dies)).reshape(-1, 1)
        accuracy = accuracy_on_dies(
            plan.network, params, exposure.accelerator, plan.items.validation, dies, reads,
            calibration=exposure.calibration,
        )  # fmt: skip
        return float(np.mean(accuracy))

    def _teacher(self) -> np.ndarray:
        """Outputs of the ideal network for all training items."""
        network, params = self.plan.network, self.plan.params
        parts = batches(self.plan.items.train.inputs, TEACHER_BATCH)
        return np.concatenate([np.asarray(plain_outputs(network, params, network_arguments(part))) for part in parts])


def _divergence(number: int, loss: float, plan: Plan, kept: str, params: PyTree) -> TrainingDivergedError:
    reason = "its gradient is not finite" if np.isfinite(loss) else "not finite"
    labels, check = plan.items.train.labels, ""
    if not plan.objective.of_classes:
        check = f", or check that `loss` takes the labels of `data`, from {np.min(labels):g} to {np.max(labels):g}"
    return TrainingDivergedError(
        f"The loss is {loss}, {reason}, at step {number}; lower the learning rate{check}. {kept}", params
    )


def _kept_state(path: Path | None, epoch: int) -> str:
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
