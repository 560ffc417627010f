"""Values of a metric by item: of the plain network, and on dies, one program for any number of items and dies."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.datasets.inputs import Inputs, map_arrays, network_arguments
from amsim.datasets.split import Split
from amsim.deployment.compilation import compiled
from amsim.deployment.front_door import deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.accuracy import DIES, plain_outputs, population_keys
from amsim.evaluation.batches import batch_key, batches, equal_batches
from amsim.progress import COMPILING, Progress, nothing
from amsim.system.accelerator import Accelerator

OfItems = Callable[[Any, Array], Array]
"""Value of each item, shape (batch,), from the outputs of a network and the labels of a batch."""


LEAST_BATCHES = 8
"""Batches that noise is drawn for at least: few items and many then share a program, and have the same noise."""


def values_on_dies(
    of_items: OfItems,
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    data: Split,
    key: PRNGKeyArray,
    dies: int,
    *,
    batch: int = 250,
    calibration: Calibration | None = None,
    report: Progress = nothing,
) -> np.ndarray:
    """Value of each item on each die, shape (dies, items), one read each: the dies and reads of `evaluate`.

    One program serves any number of items, dies and values of the hardware's settings. Arguments are already checked.
    """
    die_keys, read_keys = population_keys(key, dies, 1)
    inputs, labels = equal_batches(data.inputs, batch), equal_batches(np.asarray(data.labels), batch)
    count, size = labels.shape[:2]
    of = size * max(count, LEAST_BATCHES)
    found, same = [], accelerator.deterministic
    report(COMPILING, 0, dies)
    for die in range(1 if same else dies):
        rows = []
        for number in range(count):
            own = map_arrays(lambda one, number=number: jnp.asarray(one[number]), inputs)
            read = batch_key(read_keys[die, 0], number * size, size, of)
            rows.append(
                _item_values(fn, of_items, params, accelerator, calibration, die_keys[die], read, own, labels[number])
            )
        found.append(np.concatenate([np.asarray(row) for row in rows])[: len(data)])
        report(DIES, dies if same else die + 1, dies)
    return np.broadcast_to(np.stack(found), (dies, len(data)))


@compiled(lambda fn, *_: fn)
def _item_values(
    fn: Callable[..., Any],
    of_items: OfItems,
    params: PyTree,
    accelerator: Accelerator,
    calibration: Calibration | None,
    die_key: PRNGKeyArray,
    read_key: Any,
    inputs: Inputs,
    labels: Any,
) -> Array:
    chip = deploy(fn, params, accelerator, key=die_key, calibration=calibration)
    return of_items(chip(*network_arguments(inputs), key=read_key), jnp.asarray(labels))


def plain_item_values(
    of_items: OfItems, fn: Callable[..., Any], params: PyTree, data: Split, batch: int = 500
) -> np.ndarray:
    """Value of each item of the plain network, without any circuit, shape (items,)."""
    labels, found = np.asarray(data.labels), []
    for number, part in enumerate(batches(data.inputs, batch)):
        own = jnp.asarray(labels[number * batch : (number + 1) * batch])
        found.append(np.asarray(of_items(plain_outputs(fn, params, network_arguments(part)), own)))
    return np.concatenate(found)
