"""Accuracy of a network over a population of dies and reads, compiled once, in memory that grows with neither."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree, Shaped

from amsim.circuits.checks import at_least_one, one_key, some_items
from amsim.datasets.split import Split
from amsim.deployment.chip import Chip
from amsim.deployment.compilation import compiled
from amsim.deployment.front_door import check_deployable, deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.batches import labelled_batches
from amsim.noise.random import numbered_keys
from amsim.progress import Progress
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.statistics.intervals import interval_variables, mean_interval
from amsim.system.accelerator import Accelerator


def evaluate(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Split,
    *,
    key: PRNGKeyArray,
    dies: int = 16,
    reads: int = 1,
    batch: int = 250,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Accuracy of a network on many dies, each read several times.

    Dies and reads are computed one after another, so memory is that of one batch on one die. Where
    neither the dies nor the reads of the hardware differ, one is computed and stands for all.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Labelled inputs, such as `dataset.test`.
        key: Draws dies and reads; die `n` is the same for any number of dies and any other setting.
        dies: Number of dies.
        reads: Passes over the data on each die, each with its own dynamic noise.
        batch: Inputs computed at once; bounds the memory.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`: `amsim.calibrate(...).calibration`.
        progress: Called with (dies done, dies) after each die.

    Returns:
        Dataset with `accuracy` (die, read), its mean over dies and the 95 % interval of that mean.

    Raises:
        ValueError: No data, a count below 1, a key that is not typed, hardware of another type, or a network that does
            not give logits of shape (items, classes).
        amsim.DeploymentError: The network does not fit the hardware.
    """
    at_least_one(dies=dies, reads=reads, batch=batch)
    some_items(data=data)
    one_key("key", key)
    accelerator = check_deployable(fn, params, hardware, calibration=calibration)
    accuracy = accuracy_on_dies(
        fn, params, accelerator, data, *population_keys(key, dies, reads),
        batch=batch, calibration=calibration, progress=progress,
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
    progress: Progress | None = None,
) -> Float[np.ndarray, "dies reads"]:
    """Accuracy on the dies of these keys (None: the nominal macros), arguments already checked.

    Where neither dies nor reads differ, one is computed and stands for all.
    """
    dies, reads = read_keys.shape
    deterministic = accelerator.deterministic
    inputs, labels = labelled_batches(data, batch)
    accuracy = np.zeros((dies, reads))
    for die in range(1 if deterministic else dies):
        drawn = die_keys[die], read_keys[die]
        correct = correct_reads(fn, params, accelerator, calibration, *drawn, inputs, labels)
        accuracy[die] = np.asarray(correct) / len(data)
        if progress is not None:
            progress(die + 1, dies)
    if deterministic:
        accuracy[:] = accuracy[0, 0]
        if progress is not None:
            progress(dies, dies)
    return accuracy


def plain_accuracy(network: Callable[..., Array], params: PyTree, split: Split, batch: int = 500) -> float:
    """Accuracy of the plain network, without any circuit."""
    answers = [
        np.asarray(jnp.argmax(plain_outputs(network, params, split.inputs[start : start + batch]), axis=-1))
        for start in range(0, len(split), batch)
    ]
    return float(np.mean(np.concatenate(answers) == split.labels))


@compiled(lambda network, *_: network)
def plain_outputs(network: Callable[..., Any], params: PyTree, inputs: ArrayLike) -> Any:
    """Outputs of the plain network, without any circuit."""
    return network(params, inputs)


@compiled(lambda fn, *_: fn)
def correct_reads(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    calibration: Calibration | None,
    die_key: PRNGKeyArray | None,
    read_keys: Key[Array, " reads"] | None,
    inputs: Shaped[ArrayLike, "batches batch ..."],
    labels: Shaped[ArrayLike, "batches batch"],
) -> Array:
    """Right answers in each read of one die, shape (reads,); without keys those of the nominal die without noise."""
    return right_answers(
        deploy(fn, params, accelerator, key=die_key, calibration=calibration), read_keys, inputs, labels
    )


@compiled(lambda chip, *_: chip.function)
def right_answers(
    chip: Chip,
    read_keys: Key[Array, " reads"] | None,
    inputs: Shaped[ArrayLike, "batches batch ..."],
    labels: Shaped[ArrayLike, "batches batch"],
) -> Array:
    """Right answers in each read of a chip, shape (reads,); without keys those of one read without noise."""
    chip = chip.prepared()

    def one_read(key: PRNGKeyArray | None) -> Array:
        def one_batch(item: tuple[Array, Array, Array]) -> Array:
            number, batch_inputs, batch_labels = item
            logits = chip(batch_inputs, key=None if key is None else jax.random.fold_in(key, number))
            _check_logits(logits, batch_labels.shape[0])
            return jnp.sum(jnp.argmax(logits, axis=-1) == batch_labels)

        counts = jax.lax.map(one_batch, (jnp.arange(np.shape(inputs)[0]), jnp.asarray(inputs), jnp.asarray(labels)))
        return jnp.sum(counts)

    return one_read(None).reshape(1) if read_keys is None else jax.lax.map(one_read, read_keys)


def _check_logits(logits: Any, items: int) -> None:
    """Raise ValueError unless there is one row of logits per item, whose largest entry is the class."""
    shape = getattr(logits, "shape", type(logits).__name__)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != items:
        raise ValueError(
            f"Argument `fn` must give logits of shape ({items}, classes) for {items} items, but gives {shape}."
        )
