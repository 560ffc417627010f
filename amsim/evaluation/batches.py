"""Batches of items: equal ones for a compiled loop, labelled ones for scores, or as they come."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from amsim.datasets.check import class_labels
from amsim.datasets.inputs import Inputs, count_items, items_at, map_arrays
from amsim.datasets.split import Split
from amsim.noise.item_keys import item_key


class LabelledBatches(NamedTuple):
    """Items in equal batches, the last one filled up with items that are never right.

    Attributes:
        inputs: Inputs, each array of shape (batches, batch, ...).
        labels: Classes, shape (batches, batch), -1 for padding.
        highest: Highest label.
    """

    inputs: Inputs
    labels: np.ndarray
    highest: int


def labelled_batches(data: Split, batch: int) -> LabelledBatches:
    """Inputs and labels in equal batches.

    Args:
        data: Inputs with one label each.
        batch: Items per batch.

    Raises:
        ValueError: An item has several labels, or labels are not numbers of classes.
    """
    labels = class_labels("data", data.labels)
    inputs = equal_batches(data.inputs, batch)
    size = min(batch, len(data))
    padded = np.concatenate([labels, np.full(-len(data) % size, -1, np.int32)])
    return LabelledBatches(inputs, padded.reshape(-1, size), int(labels.max()))


def equal_batches(inputs: Inputs, batch: int) -> Inputs:
    """Items in batches of at most `batch`, the last one filled up with the last item; shape (batches, batch, ...)."""
    size = min(batch, count_items(inputs))

    def divided(array: np.ndarray) -> np.ndarray:
        padded = np.concatenate([array, np.repeat(array[-1:], -len(array) % size, axis=0)])
        return padded.reshape(-1, size, *array.shape[1:])

    return map_arrays(divided, inputs)


def batches(inputs: Inputs, batch: int) -> Iterator[Inputs]:
    """Inputs one batch at a time; the last batch may be shorter."""
    for start in range(0, count_items(inputs), batch):
        yield on_device(items_at(inputs, slice(start, start + batch)))


def batch_key(key: PRNGKeyArray | None, first: Any, items: int, of: int) -> PRNGKeyArray | None:
    """Key of one batch of a read, with which each item has the noise that it has in any other division into batches.

    Args:
        key: Key of the read; None is no noise.
        first: Number of the first item of the batch.
        items: Items of the batch.
        of: Items of all batches, padding included.
    """
    return None if key is None else item_key(jax.random.fold_in(key, 0), first, items, of=of)


def on_device(inputs: Inputs) -> Inputs:
    """Inputs as arrays of JAX."""
    return map_arrays(jnp.asarray, inputs)
