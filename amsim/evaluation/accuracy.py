"""Accuracy of a network over a population of dies and reads, compiled once, in memory that grows with neither."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree, Shaped

from amsim.circuits.checks import at_least_one, one_key
from amsim.datasets.check import LabelledData, class_items
from amsim.datasets.inputs import Inputs, network_arguments
from amsim.datasets.split import Split
from amsim.deployment.chip import Chip
from amsim.deployment.compilation import compiled
from amsim.deployment.front_door import check_deployable, deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.answers import are_right, check_logits
from amsim.evaluation.batches import batch_key, batches, labelled_batches, on_device
from amsim.noise.random import numbered_keys
from amsim.progress import COMPILING, Progress, check_progress, nothing, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.statistics.intervals import interval_variables, mean_interval
from amsim.system.accelerator import Accelerator

DIES = "dies"
"""Phase in which a network runs on one die after another."""


def evaluate(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: LabelledData,
    *,
    key: PRNGKeyArray,
    dies: int = 16,
    reads: int = 1,
    batch: int = 250,
    calibration: Calibration | None = None,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Accuracy of a network on many dies, each read several times.

    Dies and reads are computed one after another, so memory is that of one batch on one die. Where
    neither the dies nor the reads of the hardware differ, one is computed and stands for all.

    Args:
        fn: Network `fn(params, inputs) -> logits`, one row per item. An answer is right where the label has the first
            largest logit, none of them NaN; one logit per item is that of a sigmoid, above 0 for class 1.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Labelled inputs, such as `dataset.test`: a `Split` or a tuple (inputs, labels). Labels are numbers of
            classes, shape (items,). Inputs are an array; a dict of arrays, which is one argument of `fn`; or, in a
            `Split`, a tuple of arrays, each an argument.
        key: Draws dies and reads; die `n` is the same for any number of dies and any other setting.
        dies: Number of dies.
        reads: Passes over the data on each die, each with its own dynamic noise.
        batch: Inputs computed at once; bounds the memory and changes nothing else, since noise is drawn by item.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`: `amsim.calibrate(...).calibration`.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies).

    Returns:
        Dataset with `accuracy` (die, read), its mean over dies and the 95 % interval of that mean.

    Raises:
        ValueError: No data, inputs that are not finite, labels that are not whole numbers from 0 or have no logit, a
            count below 1, a key that is not typed, hardware of another type, or a network that does not give logits of
            shape (items, classes).
        amsim.DeploymentError: The network does not fit the hardware.

    Validity: a network that computes each item on its own, with the items along the first axis of what it multiplies.
    Where it moves them to another axis, or goes through them in a loop, noise is drawn anew for another `batch`.
    """
    at_least_one(dies=dies, reads=reads, batch=batch)
    data = class_items("data", data)
    one_key("key", key)
    check_progress(progress)
    accelerator = check_deployable(fn, params, hardware, calibration=calibration)
    with reporting(progress) as report:
        accuracy = accuracy_on_dies(
            fn, params, accelerator, data, *population_keys(key, dies, reads),
            batch=batch, calibration=calibration, report=report,
        )  # fmt: skip
    deterministic = accelerator.deterministic
    interval = mean_interval(accuracy.mean(axis=1), deterministic=deterministic)
    return labelled(
        {
            "accuracy": (("die", "read"), accuracy),
            **interval_variables("accuracy", interval),
        },
        {"die": np.arange(dies), "read": np.arange(reads)},
        {
            "items": len(data),
            "remarks": "\n".join(accelerator.remarks),
            **provenance(key=key, accelerator=accelerator, calibration=calibration),
        },
    )


def population_keys(key: PRNGKeyArray, dies: int, reads: int) -> tuple[Key[Array, " dies"], Key[Array, "dies reads"]]:
    """Keys of dies and of their reads, the same for any number of them."""
    die_key, read_key = jax.random.split(key)
    read_keys = jax.vmap(lambda one: numbered_keys(one, reads))(numbered_keys(read_key, dies))
    return numbered_keys(die_key, dies), read_keys


def accuracy_on_dies(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    data: Split,
    die_keys: Sequence[PRNGKeyArray | None] | Key[Array, " dies"],
    read_keys: Key[Array, "dies reads"],
    *,
    batch: int = 250,
    calibration: Calibration | None = None,
    report: Progress = nothing,
) -> Float[np.ndarray, "dies reads"]:
    """Accuracy on the dies of these keys (None: the nominal macros), arguments already checked.

    Where neither dies nor reads differ, one is computed and stands for all.
    """
    dies, reads = read_keys.shape
    deterministic = accelerator.deterministic
    divided = labelled_batches(data, batch)
    accuracy = np.zeros((dies, reads))
    report(COMPILING, 0, dies)
    for die in range(1 if deterministic else dies):
        correct = correct_reads(fn, params, accelerator, calibration, die_keys[die], read_keys[die], *divided)
        accuracy[die] = np.asarray(correct) / len(data)
        report(DIES, die + 1, dies)
    if deterministic:
        accuracy[:] = accuracy[0, 0]
        report(DIES, dies, dies)
    return accuracy


def plain_accuracy(network: Callable[..., Array], params: PyTree, split: Split, batch: int = 500) -> float:
    """Accuracy of the plain network, without any circuit."""
    right, highest = 0, int(np.max(split.labels))
    for number, part in enumerate(batches(split.inputs, batch)):
        labels = jnp.asarray(split.labels[number * batch : (number + 1) * batch], jnp.int32)
        found = plain_outputs(network, params, network_arguments(part))
        check_logits(found, len(labels), highest)
        right += int(jnp.sum(are_right(found, labels)))
    return right / len(split)


@compiled(lambda network, *_: network)
def plain_outputs(network: Callable[..., Any], params: PyTree, inputs: tuple[Any, ...]) -> Any:
    """Outputs of the plain network for its arguments, without any circuit."""
    return network(params, *inputs)


@compiled(lambda fn, *_: fn)
def correct_reads(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    calibration: Calibration | None,
    die_key: PRNGKeyArray | None,
    read_keys: Key[Array, " reads"] | None,
    inputs: Inputs,
    labels: Shaped[ArrayLike, "batches batch"],
    highest: int | None = None,
) -> Array:
    """Right answers in each read of one die, shape (reads,); without keys those of the nominal die without noise."""
    chip = deploy(fn, params, accelerator, key=die_key, calibration=calibration)
    return right_answers(chip, read_keys, inputs, labels, highest)


@compiled(lambda chip, *_: chip.function)
def right_answers(
    chip: Chip,
    read_keys: Key[Array, " reads"] | None,
    inputs: Inputs,
    labels: Shaped[ArrayLike, "batches batch"],
    highest: int | None = None,
) -> Array:
    """Right answers in each read of a chip, shape (reads,); without keys those of one read without noise.

    Args:
        chip: The chip.
        read_keys: Draws the noise of each read; None is no noise.
        inputs: As in `LabelledBatches`.
        labels: As in `LabelledBatches`.
        highest: Highest label; None leaves it unchecked.

    Raises:
        ValueError: The network gives no logits, or none for the highest label.
    """
    chip, items = chip.prepared(), np.shape(labels)[1]

    def one_read(key: PRNGKeyArray | None) -> Array:
        def one_batch(batch: tuple[Array, Inputs, Array]) -> Array:
            number, batch_inputs, batch_labels = batch
            logits = chip(*network_arguments(batch_inputs), key=batch_key(key, number * items, items, np.size(labels)))
            check_logits(logits, items, highest)
            return jnp.sum(are_right(logits, batch_labels))

        counts = jax.lax.map(one_batch, (jnp.arange(np.shape(labels)[0]), on_device(inputs), jnp.asarray(labels)))
        return jnp.sum(counts)

    return one_read(None).reshape(1) if read_keys is None else jax.lax.map(one_read, read_keys)
