"""One step of training through a chip: loss, gradient and update, compiled once for the whole run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from amsim.datasets.inputs import Inputs, network_arguments
from amsim.deployment.front_door import deploy
from amsim.evaluation.answers import are_right
from amsim.system.accelerator import Accelerator
from amsim.training.fine_tuning.plan import Exposure, Plan
from amsim.training.optimiser import update


class TrainingDivergedError(FloatingPointError):
    """The loss or its gradient is not finite; the text says at which step.

    Attributes:
        params: Parameters before that step.
    """

    def __init__(self, text: str, params: PyTree):
        super().__init__(text)
        self.params = params


class Stepped(NamedTuple):
    """Result of a step.

    Attributes:
        trained: Trained leaves after the step.
        state: State of the optimiser.
        loss: Loss of the batch before the step.
        accuracy: Accuracy on the batch before the step; NaN where outputs are not class scores.
        finite: Whether loss and gradient are finite.
    """

    trained: PyTree
    state: PyTree
    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    finite: Bool[Array, ""]


class Batch(NamedTuple):
    """Items of a step, with its number and the size of its errors.

    Attributes:
        number: Number of the step, from 0; it draws die and read.
        scale: Factor on static errors and dynamic noise.
        inputs: Inputs of the network.
        labels: Labels of the loss.
        teacher: Outputs of the ideal network, or None.
    """

    number: Int[Array, ""]
    scale: Float[Array, ""]
    inputs: Inputs
    labels: Shaped[Array, "batch ..."]
    teacher: Float[Array, "batch ..."] | None


def with_error_scale(accelerator: Accelerator, scale: Float[Array, ""]) -> Accelerator:
    """An accelerator whose macros have errors `scale` times as large."""
    macros = tuple(macro.with_error_scale(scale) for macro in accelerator.macros)
    return eqx.tree_at(lambda one: one.macros, accelerator, macros)


def training_step(plan: Plan) -> Callable[[PyTree, PyTree, PyTree, Accelerator, Batch], Stepped]:
    """The compiled step `(trained leaves, other leaves, optimiser state, accelerator, batch) -> Stepped`."""
    network, objective, updates = plan.network, plan.objective, plan.updates

    @eqx.filter_jit
    def step(trained: PyTree, others: PyTree, state: PyTree, accelerator: Accelerator, batch: Batch) -> Stepped:
        hardware = with_error_scale(accelerator, batch.scale)

        def loss_of(trained: PyTree) -> tuple[Array, Any]:
            outputs = _read(network, eqx.combine(trained, others), hardware, plan.exposure, batch)
            return objective(outputs, batch.labels, batch.teacher), outputs

        (loss, outputs), gradient = jax.value_and_grad(loss_of, has_aux=True)(trained)
        after, state = update(updates.optimiser, gradient, state, trained)
        changed = updates.constrained(eqx.combine(after, others))
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves((loss, gradient))]))
        accuracy = _accuracy(outputs, batch.labels)
        return Stepped(eqx.filter(changed, updates.is_trained), state, loss, accuracy, finite)

    return step


def _read(network: Callable[..., Any], params: PyTree, hardware: Accelerator, exposure: Exposure, batch: Batch) -> Any:
    """Outputs of the network for a batch, on the die and with the noise of its step."""
    chip = deploy(
        network, params, hardware, key=exposure.dies.at(batch.number), decision_rule=exposure.decision_rule,
        calibration=exposure.calibration,
    )  # fmt: skip
    return chip(*network_arguments(batch.inputs), key=jax.random.fold_in(exposure.read_key, batch.number))


def _accuracy(outputs: Any, labels: Array) -> Float[Array, ""]:
    scores = isinstance(outputs, jax.Array) and outputs.ndim == labels.ndim + 1
    if not scores or not jnp.issubdtype(labels.dtype, jnp.integer):
        return jnp.full((), jnp.nan)
    return jnp.mean(are_right(outputs, labels))
