"""Fixed dies, reads and data on which circuits are compared: common random numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree

from amsim.datasets.inputs import Inputs, map_arrays, network_arguments
from amsim.datasets.split import Split
from amsim.deployment.front_door import deploy
from amsim.evaluation.answers import are_right, check_logits, class_scores
from amsim.evaluation.batches import batch_key, labelled_batches
from amsim.noise.random import numbered_keys
from amsim.system.accelerator import Accelerator


class Reading(NamedTuple):
    """One read of one batch on one die.

    Attributes:
        inputs: Inputs of the network.
        labels: Class of each item, -1 for padding.
        die: Draws the die.
        read: Draws the dynamic noise.
        highest: Highest label of all data.
    """

    inputs: Inputs
    labels: Int[np.ndarray | Array, " batch"]
    die: Key[Array, ""]
    read: Key[Array, ""]
    highest: int

    def logits(
        self, fn: Callable[..., Any], params: PyTree, hardware: Accelerator, *, decision_rule: str | None = None
    ) -> Float[Array, "batch classes"]:
        """Scores of at least two classes: the outputs of a network on this hardware, one logit as two scores.

        Raises:
            ValueError: The network gives no logits, or none for the highest label.
        """
        chip = deploy(fn, params, hardware, key=self.die, decision_rule=decision_rule)
        found = chip(*network_arguments(self.inputs), key=self.read)
        check_logits(found, len(self.labels), self.highest)
        return class_scores(found)

    def right(self, logits: Float[Array, "batch classes"]) -> Array:
        """Which answers are right, as in `amsim.evaluate`; padding never is."""
        return are_right(logits, jnp.asarray(self.labels))

    def total(self, values: Float[Array, " batch"]) -> Float[Array, ""]:
        """Sum over the items that are not padding."""
        return jnp.sum(jnp.where(jnp.asarray(self.labels) >= 0, values, 0.0))

    def cross_entropy(self, logits: Float[Array, "batch classes"]) -> Float[Array, ""]:
        """Cross-entropy, summed over items."""
        classes = jnp.maximum(jnp.asarray(self.labels), 0)
        return self.total(optax.softmax_cross_entropy_with_integer_labels(logits, classes))


@dataclasses.dataclass(frozen=True)
class FixedReads:
    """Dies and data that are the same for all circuits, with one read per die.

    Attributes:
        inputs: Data in batches, each array of shape (batches, batch, ...).
        labels: Their labels, -1 for padding.
        highest: Highest label.
        items: Number of items.
        keys: One die key and one read key per die.
    """

    inputs: Inputs
    labels: np.ndarray
    highest: int
    items: int
    keys: list[tuple[PRNGKeyArray, PRNGKeyArray]]

    @classmethod
    def of(cls, data: Split, batch: int, key: PRNGKeyArray, dies: int) -> "FixedReads":
        """Reads of all items on so many dies."""
        dies_key, reads_key = jax.random.split(key)
        keys = list(zip(numbered_keys(dies_key, dies), numbered_keys(reads_key, dies), strict=True))
        return cls(*labelled_batches(data, batch), len(data), keys)

    @property
    def answers(self) -> int:
        """Number of answers that an accuracy is the mean of."""
        return self.items * len(self.keys)

    def one(self, die: int, batch: int) -> Reading:
        """One batch on one die."""
        die_key, read_key = self.keys[die]
        inputs, labels = map_arrays(lambda array: array[batch], self.inputs), self.labels[batch]
        key = batch_key(read_key, batch * len(labels), len(labels), self.labels.size)
        assert key is not None
        return Reading(inputs, labels, die_key, key, self.highest)

    def of_die(self, die: int) -> list[Reading]:
        """All batches on one die."""
        return [self.one(die, batch) for batch in range(len(self.labels))]

    def all(self) -> list[Reading]:
        """All batches on all dies, one die after another."""
        return [reading for die in range(len(self.keys)) for reading in self.of_die(die)]
