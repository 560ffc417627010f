"""Losses of a training: cross entropy of class scores, and distillation from a teacher."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from amsim.circuits.checks import function, number_between
from amsim.evaluation.answers import class_scores

Loss = Callable[[Any, Array], Float[Array, ""]]
"""Scalar to minimise, from the outputs of a network and the labels of a batch."""


def cross_entropy(outputs: Any, labels: Array) -> Float[Array, ""]:
    """Mean cross entropy of class scores, shape (batch, classes), and class numbers, shape (batch,).

    One logit per item is that of a sigmoid, above 0 for class 1.
    """
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(class_scores(outputs), labels))


def distillation(
    outputs: Float[Array, "batch classes"], teacher: Float[Array, "batch classes"], temperature: float
) -> Float[Array, ""]:
    """Mean divergence of softened scores from the teacher's: `T**2 KL(softmax(teacher / T) | softmax(outputs / T))`.

    The factor `T**2` keeps its gradient as large as that of a loss on labels.
    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531.
    """
    softened = [class_scores(scores) / temperature for scores in (outputs, teacher)]
    soft, target = map(jax.nn.log_softmax, softened)
    return temperature**2 * jnp.mean(jnp.sum(jnp.exp(target) * (target - soft), axis=-1))


@dataclasses.dataclass(frozen=True)
class Distillation:
    """Loss on labels mixed with the divergence from a teacher's outputs.

    The value is `(1 - weight) loss(outputs, labels) + weight T**2 KL(softmax(teacher / T) | softmax(outputs / T))`.

    Attributes:
        weight: Weight of the teacher, 0 to 1; the loss on labels has the rest.
        temperature: Temperature T that softens both, 0.001 to 1000.
        loss: Loss on labels.

    Raises:
        ValueError: A number is out of range.
    """

    weight: float
    temperature: float = 4.0
    loss: Loss = cross_entropy

    def __post_init__(self) -> None:
        """Check the numbers."""
        number_between("weight", self.weight, 0.0, 1.0)
        number_between("temperature", self.temperature, 1e-3, 1e3)
        function("loss", self.loss, "(outputs, labels)")

    @staticmethod
    def of(loss: "Loss | Distillation") -> "Distillation":
        """The same loss as a distillation, of weight 0 where there is no teacher."""
        return loss if isinstance(loss, Distillation) else Distillation(0.0, loss=loss)

    @property
    def of_classes(self) -> bool:
        """Whether labels are numbers of classes, those of the outputs' last axis."""
        return self.loss is cross_entropy

    def __call__(
        self, outputs: Any, labels: Array, teacher: Float[Array, "batch classes"] | None = None
    ) -> Float[Array, ""]:
        """Loss of a batch; without a teacher's outputs the loss on labels alone."""
        own = self.loss(outputs, labels)
        if teacher is None:
            return own
        weight, distance = float(self.weight), distillation(outputs, teacher, float(self.temperature))
        return (1.0 - weight) * own + weight * distance
