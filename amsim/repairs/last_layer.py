"""Training of a network's last layer for one die, whose errors it thereby knows."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.circuits.checks import integer_between, number_between
from amsim.datasets.inputs import Inputs, network_arguments
from amsim.deployment.chip import Chip
from amsim.deployment.compilation import compiled
from amsim.evaluation.batches import on_device
from amsim.repairs.bench import Bench, Effort
from amsim.training.losses import cross_entropy
from amsim.training.optimiser import initial_state, update
from amsim.training.parameters import Trainable, check_trainable, trained_leaves


@dataclasses.dataclass(frozen=True)
class LastLayer:
    """Trains some parameters, such as those of the last layer, through the die with Adam on the cross entropy.

    Each step reads the next batch of samples, with its own noise. Only the forward pass runs on the die; the cost of
    the gradient is not counted.

    Attributes:
        trainable: Pattern of the parameters, such as `dense.*`, as in `amsim.Optimiser`.
        epochs: Passes over the samples.
        learning_rate: Learning rate of Adam.
        word: Bits per stored parameter.
    """

    trainable: Trainable
    epochs: int = 5
    learning_rate: float = 3e-3
    word: int = 8

    def __post_init__(self) -> None:
        """Check all of them."""
        integer_between("epochs", self.epochs, 1)
        integer_between("word", self.word, 1, 32)
        number_between("learning_rate", self.learning_rate, 0.0, float("inf"))
        check_trainable(self.trainable)

    def __call__(self, chip: Chip, bench: Bench) -> tuple[Chip, Effort]:
        """Chip with its own parameters."""
        mask, _ = trained_leaves(chip.params, self.trainable)
        trained, others = eqx.partition(chip.params, mask)
        optimiser = optax.adam(self.learning_rate)
        state = initial_state(optimiser, trained)
        constrain = getattr(getattr(chip.function, "func", chip.function), "constrained", lambda params: params)
        starts = range(0, len(bench.samples), bench.batch)
        for number in range(self.epochs * len(starts)):
            start = starts[number % len(starts)]
            part = bench.samples[start : start + bench.batch]
            key = jax.random.fold_in(bench.key, number)
            trained, state = _step(
                optimiser, chip, trained, others, state, on_device(part.inputs), jnp.asarray(part.labels), key
            )
        params = eqx.combine(trained, others)
        stored = self.word * sum(leaf.size for leaf in jax.tree.leaves(trained))
        effort = bench.inferences(chip, self.epochs, float(stored))
        return dataclasses.replace(chip, params=constrain(params)), effort


@compiled(lambda optimiser, chip, *_: chip.function)
def _step(
    optimiser: optax.GradientTransformation,
    chip: Chip,
    trained: PyTree,
    others: PyTree,
    state: PyTree,
    inputs: Inputs,
    labels: Array,
    key: PRNGKeyArray,
) -> tuple[PyTree, Any]:
    def loss_of(trained: PyTree) -> Array:
        changed = dataclasses.replace(chip, params=eqx.combine(trained, others))
        return cross_entropy(changed(*network_arguments(inputs), key=key), labels)

    return update(optimiser, jax.grad(loss_of)(trained), state, trained)
