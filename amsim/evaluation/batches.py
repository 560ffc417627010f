"""Batches of samples: equal ones for a compiled loop, labelled ones for scores, or as they come."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.circuits.checks import finite
from amsim.datasets.load import Split


def labelled_batches(data: Split, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels in equal batches, the last one filled up with items that are never right.

    Args:
        data: Inputs with one label each.
        batch: Items per batch.

    Returns:
        Inputs, shape (batches, batch, ...), and labels, shape (batches, batch), -1 for padding.

    Raises:
        ValueError: An item has several labels.
    """
    if np.ndim(data.labels) != 1:
        raise ValueError(
            f"Argument `data` must have one label for each item, but its labels have shape {np.shape(data.labels)}; "
            "places inside items are scored by `amsim.evaluate_detector`."
        )
    inputs = equal_batches(data.inputs, batch)
    missing = inputs.shape[0] * inputs.shape[1] - len(data)
    labels = np.concatenate([np.asarray(data.labels, np.int32), np.full(missing, -1, np.int32)])
    return inputs, labels.reshape(inputs.shape[:2])


def equal_batches(inputs: np.ndarray, batch: int) -> np.ndarray:
    """Items in batches of at most `batch`, the last one filled up with the last item; shape (batches, batch, ...)."""
    batch = min(batch, len(inputs))
    padded = np.concatenate([inputs, np.repeat(inputs[-1:], -len(inputs) % batch, axis=0)])
    return padded.reshape(-1, batch, *inputs.shape[1:])


def batches(inputs: np.ndarray, batch: int) -> Iterator[Array]:
    """Inputs one batch at a time; the last batch may be shorter."""
    for start in range(0, len(inputs), batch):
        yield jnp.asarray(inputs[start : start + batch])


def sample_inputs(data: Any) -> np.ndarray:
    """Inputs of a split, or an array of inputs, unchanged.

    Raises:
        ValueError: There are none, or not all are finite.
    """
    inputs = np.asarray(getattr(data, "inputs", data))
    if inputs.ndim < 1 or len(inputs) == 0:
        raise ValueError("Argument `data` must have at least one item, but is empty.")
    if inputs.dtype.kind not in "biuf":
        raise ValueError(f"Argument `data` must be inputs or a split with `.inputs`, but is of type {inputs.dtype}.")
    if inputs.dtype.kind == "f":
        finite("data", jnp.asarray(inputs))
    return inputs
