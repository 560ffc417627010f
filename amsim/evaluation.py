"""Accuracy of a network over a population of dies and reads, in one compiled call whose memory does not grow."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from jaxtyping import Array, Key, PRNGKeyArray, PyTree, Shaped

from amsim.accelerator import Accelerator
from amsim.circuits.checks import integer_between
from amsim.datasets import Split
from amsim.deployment.chip import check_key, deploy
from amsim.noise.random import numbered_keys
from amsim.results import described, labelled
from amsim.statistics import mean_interval

Progress = Callable[[int, int], None]


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
    progress: Progress | None = None,
) -> xr.Dataset:
    """Accuracy of a network on many dies, each read several times.

    Dies and reads follow one another inside one compiled function, so memory is that of one batch on one die. Where
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
        progress: Called with (dies done, dies) as they come.

    Returns:
        Dataset with `accuracy` (die, read), its mean over dies and the 95 % interval of that mean.

    Raises:
        ValueError: No data, a count below 1, a key that is not typed, or hardware that is none.
        amsim.DeploymentError: The network does not fit the hardware.
    """
    for name, value in (("dies", dies), ("reads", reads), ("batch", batch)):
        integer_between(name, value, 1)
    if len(data) == 0:
        raise ValueError("Argument `data` must have at least one item, but is empty.")
    check_key("key", key)
    accelerator = Accelerator.of(hardware)
    deploy(fn, params, accelerator)  # raises for parameters that are not finite, before anything is compiled
    die_key, read_key = jax.random.split(key)
    die_keys = numbered_keys(die_key, dies)
    read_keys = jax.vmap(lambda one: numbered_keys(one, reads))(numbered_keys(read_key, dies))
    deterministic = all(macro.deterministic for macro in accelerator.macros)
    inputs, labels = batched(data, batch)
    accuracy = np.zeros((dies, reads))
    for die in range(1 if deterministic else dies):
        correct = _correct_reads(fn, params, accelerator, die_keys[die], read_keys[die], inputs, labels)
        accuracy[die] = np.asarray(correct) / len(data)
        if progress is not None:
            progress(die + 1, dies)
    if deterministic:
        accuracy[:] = accuracy[0, 0]
        if progress is not None:
            progress(dies, dies)
    interval = mean_interval(accuracy.mean(axis=1), deterministic=deterministic)
    return labelled(
        {
            "accuracy": (("die", "read"), accuracy),
            "accuracy_mean": ((), interval.mean),
            "accuracy_low": ((), interval.low),
            "accuracy_high": ((), interval.high),
        },
        {"die": np.arange(dies), "read": np.arange(reads)},
        {
            "items": len(data),
            "key": [int(word) for word in np.ravel(jax.random.key_data(key))],
            "accelerator": described(accelerator),
            "amsim_version": importlib.metadata.version("amsim"),
            "jax_version": jax.__version__,
        },
    )


def batched(data: Split, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels in equal batches, shape (batches, batch, ...); padding has the label -1: it is never right."""
    batch = min(batch, len(data))
    missing = -len(data) % batch
    padded = np.concatenate([data.inputs, np.repeat(data.inputs[-1:], missing, axis=0)])
    labels = np.concatenate([data.labels, np.full(missing, -1, data.labels.dtype)])
    return padded.reshape(-1, batch, *data.inputs.shape[1:]), labels.reshape(-1, batch)


@eqx.filter_jit
def _correct_reads(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    die_key: PRNGKeyArray,
    read_keys: Key[Array, " reads"],
    inputs: Shaped[ArrayLike, "batches batch ..."],
    labels: Shaped[ArrayLike, "batches batch"],
) -> Array:
    chip = deploy(fn, params, accelerator, key=die_key).prepared()

    def one_read(key: PRNGKeyArray) -> Array:
        def one_batch(item: tuple[Array, Array, Array]) -> Array:
            number, batch_inputs, batch_labels = item
            logits = chip(batch_inputs, key=jax.random.fold_in(key, number))
            return jnp.sum(jnp.argmax(logits, axis=-1) == batch_labels)

        counts = jax.lax.map(one_batch, (jnp.arange(np.shape(inputs)[0]), jnp.asarray(inputs), jnp.asarray(labels)))
        return jnp.sum(counts)

    return jax.lax.map(one_read, read_keys)
