"""One step of training through a chip: loss, distillation, gradient and update, compiled once for the whole run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped

from amsim.deployment.front_door import deploy
from amsim.deployment.site_ranges import Calibration
from amsim.system.accelerator import Accelerator
from amsim.training.fine_tuning.dies import TrainingDies
from amsim.training.optimiser import updated

Loss = Callable[[Any, Array], Float[Array, ""]]


class TrainingDivergedError(FloatingPointError):
    """The loss or its gradient is not finite; the text says at which step.

    Attributes:
        params: Parameters before that step.
    """

    def __init__(self, text: str, params: PyTree):
        super().__init__(text)
        self.params = params


class Stepped(NamedTuple):
    """What a step gives.

    Attributes:
        trained: Trained leaves after the step.
        state: Of the optimiser.
        loss: Of the batch before the step.
        accuracy: Of the batch before the step; NaN where outputs are no scores of classes.
        finite: Whether loss and gradient are.
    """

    trained: PyTree
    state: PyTree
    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    finite: Bool[Array, ""]


class Batch(NamedTuple):
    """What a step meets.

    Attributes:
        number: Of the step, from 0; it draws die and read.
        scale: Of static errors and dynamic noise.
        inputs: Of the network.
        labels: What the loss compares with.
        teacher: Outputs of the ideal network, or None.
    """

    number: Int[Array, ""]
    scale: Float[Array, ""]
    inputs: Shaped[Array, "batch ..."]
    labels: Shaped[Array, "batch ..."]
    teacher: Float[Array, "batch ..."] | None


class Objective(NamedTuple):
    """What is minimised.

    Attributes:
        loss: `loss(outputs, labels)`.
        distil: Weight of the distillation term, 0 to 1; the loss has the rest.
        temperature: Of the distillation.
    """

    loss: Loss
    distil: float
    temperature: float

    def __call__(self, outputs: Any, batch: Batch) -> Float[Array, ""]:
        """Value for the outputs of a batch."""
        own = self.loss(outputs, batch.labels)
        if batch.teacher is None:
            return own
        distance = distillation(outputs, batch.teacher, self.temperature)
        return (1.0 - self.distil) * own + self.distil * distance


def cross_entropy(outputs: Any, labels: Array) -> Float[Array, ""]:
    """Mean cross entropy of scores of classes, shape (batch, classes), and class numbers, shape (batch,)."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, labels))


def distillation(
    outputs: Float[Array, "batch classes"], teacher: Float[Array, "batch classes"], temperature: float
) -> Float[Array, ""]:
    """Mean divergence of softened scores from the teacher's: `T**2 KL(softmax(teacher / T) | softmax(outputs / T))`.

    The factor `T**2` keeps its gradient as large as that of a loss on labels.
    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531.
    """
    soft, target = jax.nn.log_softmax(outputs / temperature), jax.nn.log_softmax(teacher / temperature)
    return temperature**2 * jnp.mean(jnp.sum(jnp.exp(target) * (target - soft), axis=-1))


def with_error_scale(accelerator: Accelerator, scale: Float[Array, ""]) -> Accelerator:
    """An accelerator whose macros have errors `scale` times as large."""
    macros = tuple(macro.with_error_scale(scale) for macro in accelerator.macros)
    return eqx.tree_at(lambda one: one.macros, accelerator, macros)


def training_step(
    fn: Callable[..., Any],
    objective: Objective,
    optimiser: optax.GradientTransformation,
    constrain: Callable[[PyTree], PyTree],
    is_trained: PyTree,
    dies: TrainingDies,
    read_key: PRNGKeyArray,
    decision_rule: str | None,
    calibration: Calibration | None,
) -> Callable[[PyTree, PyTree, PyTree, Accelerator, Batch], Stepped]:
    """The compiled step `(trained leaves, other leaves, optimiser state, accelerator, batch) -> Stepped`."""

    @eqx.filter_jit
    def step(trained: PyTree, others: PyTree, state: PyTree, accelerator: Accelerator, batch: Batch) -> Stepped:
        hardware = with_error_scale(accelerator, batch.scale)

        def loss_of(trained: PyTree) -> tuple[Array, Any]:
            params, die_key = eqx.combine(trained, others), dies.at(batch.number)
            chip = deploy(fn, params, hardware, key=die_key, decision_rule=decision_rule, calibration=calibration)
            outputs = chip(batch.inputs, key=jax.random.fold_in(read_key, batch.number))
            return objective(outputs, batch), outputs

        (loss, outputs), gradient = jax.value_and_grad(loss_of, has_aux=True)(trained)
        after, state = updated(optimiser, gradient, state, trained)
        changed = constrain(eqx.combine(after, others))
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves((loss, gradient))]))
        return Stepped(eqx.filter(changed, is_trained), state, loss, _accuracy(outputs, batch.labels), finite)

    return step


def _accuracy(outputs: Any, labels: Array) -> Float[Array, ""]:
    scores = isinstance(outputs, jax.Array) and outputs.ndim == labels.ndim + 1
    if not scores or not jnp.issubdtype(labels.dtype, jnp.integer):
        return jnp.full((), jnp.nan)
    return jnp.mean(jnp.argmax(outputs, axis=-1) == labels)
