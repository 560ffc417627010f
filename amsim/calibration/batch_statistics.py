"""Batch statistics of a network, re-estimated on the chip that runs it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.circuits.checks import function, integer_between, part_of
from amsim.datasets.check import sample_inputs
from amsim.datasets.inputs import Inputs, count_items, first_arguments, network_arguments
from amsim.deployment.chip import Chip, check_key, chip_of, traced_chip
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.mapper import DeploymentError
from amsim.evaluation.batches import batch_key, batches
from amsim.statistics.precision import summing_dtype


def reestimate_statistics(
    chip: Chip,
    statistics: Callable[..., PyTree],
    data: Any,
    *,
    key: PRNGKeyArray | None = None,
    batch: int = 250,
) -> Chip:
    """Chip with its network's batch statistics re-estimated on it, die and ranges unchanged.

    `statistics` runs on the chip; what it returns is averaged over the batches, each weighted by its items. Means
    and variances are those of the sums as read on this die, so that batch normalisation absorbs its static errors.
    Fused neurons are read through the converter while they are measured, since a decision has no mean.

    Args:
        chip: The chip.
        statistics: `statistics(params, inputs)`, with the arguments of the network, runs the whole network in training
            mode and returns the parameters with the statistics of this batch in place of the stored ones: in Flax by
            `mutable=["batch_stats"]`.
        data: Sample inputs, shape (items, ...), a dict of such arrays, or a split with `.inputs`.
        key: Draws the dynamic noise of the measurement, the same for each item whatever the batch; None measures
            without it.
        batch: Inputs per batch.

    Returns:
        The chip with new parameters.

    Raises:
        ValueError: No data, values not finite, a batch below 1, a key that is not typed, or `statistics` returns
            anything else than parameters.
        amsim.DeploymentError: The hardware has no readout that gives numbers, or `statistics` is another network.
    """
    part_of("chip", chip, Chip)
    function("statistics", statistics, "(params, *inputs)")
    check_key("key", key)
    integer_between("batch", batch, 1)
    return with_statistics_of(chip, statistics, sample_inputs("data", data), key=key, batch=batch)


reestimated = reestimate_statistics
"""Another name of `reestimate_statistics`."""


def with_statistics_of(
    chip: Chip,
    statistics: Callable[..., PyTree],
    inputs: Inputs,
    *,
    key: PRNGKeyArray | None,
    batch: int,
) -> Chip:
    """`reestimate_statistics` of arguments already checked."""
    measuring = chip_of(_ArraysOf(statistics), chip.params, chip.accelerator, chip.dies, None)
    try:
        names = [one.site.name for one in traced_chip(measuring, shapes_of(first_arguments(inputs, batch))).sites]
    except DeploymentError as error:
        raise DeploymentError(
            f"Batch statistics cannot be measured on this hardware, since they need sums read as numbers: {error}"
        ) from None
    calibration = None if chip.calibration is None else chip.calibration.only(names)
    measuring = dataclasses.replace(measuring, calibration=calibration).prepared()
    start: PyTree = None
    moved: PyTree = None
    items = count_items(inputs)
    for number, part in enumerate(batches(inputs, batch)):
        size = count_items(part)
        found = measuring(*network_arguments(part), key=batch_key(key, number * batch, size, items))
        if number == 0:
            _check_params(found, eqx.filter(chip.params, eqx.is_array))
            start, moved = found, jax.tree.map(_no_change, found)
        # Differences from the first batch: leaves that no batch changes stay exactly the same.
        moved = jax.tree.map(partial(_shift, share=size / items), moved, found, start)
    params = jax.tree.map(_moved, start, moved)
    return dataclasses.replace(chip, params=eqx.combine(params, chip.params))


class _ArraysOf(eqx.Module):
    """Arrays among what a function returns, since a traced function can return nothing else."""

    function: Callable[[PyTree, Any], PyTree] = eqx.field(static=True)

    def __call__(self, params: PyTree, *inputs: Any) -> PyTree:
        return eqx.filter(self.function(params, *inputs), eqx.is_array)


def _no_change(found: Array) -> Array:
    """Zeros in which many small changes can be summed: in float32 at least."""
    return jnp.zeros_like(found, dtype=summing_dtype(found.dtype))


def _shift(moved: Array, found: Array, start: Array, *, share: float) -> Array:
    if not eqx.is_inexact_array(found):
        return moved
    change = found.astype(moved.dtype) - start.astype(moved.dtype)
    return moved + change * jnp.asarray(share, moved.dtype)


def _moved(start: Array, change: Array) -> Array:
    return (start.astype(change.dtype) + change).astype(start.dtype)


def _check_params(found: PyTree, params: PyTree) -> None:
    wanted: Any = jax.tree.structure(params)
    got: Any = jax.tree.structure(found)
    leaves = zip(jax.tree.leaves(params), jax.tree.leaves(found), strict=False)
    if wanted != got or any(own.shape != new.shape or own.dtype != new.dtype for own, new in leaves):
        raise ValueError(
            "Argument `statistics` must return parameters of the structure, shapes and types that it is given: "
            f"{wanted}, but returns {got}."
        )
