"""Training of reference networks and members of their families from scratch, reproducible on any machine with JAX."""

import dataclasses
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from amsim.circuits.checks import at_least_one, integer_between, number_between, part_of
from amsim.datasets.check import class_items
from amsim.datasets.split import Dataset
from amsim.evaluation.accuracy import plain_accuracy
from amsim.evaluation.answers import are_right, check_answers
from amsim.networks.quantised import Params, plain_convolution
from amsim.networks.sequence_network import SequenceNetwork
from amsim.networks.storage import Network, check_network
from amsim.progress import COMPILING, Progress, check_progress, reporting
from amsim.training.losses import cross_entropy
from amsim.training.optimiser import initial_state, update

STATISTICS_MOMENTUM = 0.97
"""Share of the old value in the running batch statistics."""


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Attributes:
        params: Trained parameters.
        record: Settings, loss and training accuracy of each epoch, and test accuracy after the last one.
    """

    params: Params
    record: dict[str, Any]


def train(
    network: Network,
    data: Dataset,
    *,
    epochs: int = 20,
    batch: int = 128,
    learning_rate: float = 5e-3,
    seed: int = 0,
    progress: bool | Progress | None = None,
) -> TrainingResult:
    """Train a network of a family with Adam, a cosine schedule and its augmentation: mirrored images, noisy features.

    Latent weights are clipped to -1..1 after each step, since a quantised weight does not change beyond. The test
    split is used once, after the last epoch: nothing is selected by it.

    Args:
        network: Network to train.
        data: Training and test items.
        epochs: Passes over the training split.
        batch: Items per step; the last incomplete batch of an epoch is left out.
        learning_rate: Learning rate of Adam at the start.
        seed: Fixes initial weights, order and augmentation; the same seed, machine and versions give the same weights.
        progress: True shows a bar with the loss and the time left; a function is called with (phase, steps done, steps)
            about once a second.

    Raises:
        ValueError: Something else than such a network or data set, a count that is not positive, a seed beyond
            0..2^32 - 1, labels that are no classes of the network, or fewer training items than one batch.
        FloatingPointError: The loss is no longer finite.
    """
    check_progress(progress)
    check_network("network", network)
    part_of("data", data, Dataset)
    at_least_one(epochs=epochs, batch=batch)
    integer_between("seed", seed, 0, 2**32 - 1)
    number_between("learning_rate", learning_rate, 0.0, float("inf"))
    integer_between("batch", batch, 1, len(data.train))
    items, test = class_items("data.train", data.train), class_items("data.test", data.test)
    if isinstance(network, SequenceNetwork) and not jnp.issubdtype(np.asarray(items.inputs).dtype, jnp.floating):
        raise ValueError(
            "Argument `data` must have features in floating point for a network of sequences, but they are of type "
            f"{np.asarray(items.inputs).dtype}."
        )
    steps = len(items) // batch
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, epochs * steps))
    initial, shuffle, mirror = jax.random.split(jax.random.key(seed), 3)
    params = network.initial_params(initial)
    check_answers(network, params, batch, **{"data.train": items, "data.test": test})
    state = initial_state(optimiser, _latent(params))
    step = jax.jit(partial(_step, network, optimiser), donate_argnums=(0, 1))
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    start, last_report = time.monotonic(), 0.0
    with reporting(progress) as report:
        report(COMPILING, 0, epochs * steps)
        for epoch in range(epochs):
            order = np.asarray(jax.random.permutation(jax.random.fold_in(shuffle, epoch), len(items)))
            losses, hits = [], []
            for index in range(steps):
                chosen = items[order[index * batch : (index + 1) * batch]]
                number = epoch * steps + index
                key = jax.random.fold_in(mirror, number)
                params, state, loss, hit = step(params, state, chosen.inputs, chosen.labels, key)
                losses.append(loss)
                hits.append(hit)
                if time.monotonic() - last_report > 1:
                    report(f"loss {float(loss):.3f}", number + 1, epochs * steps)
                    last_report = time.monotonic()
            history["loss"].append(round(float(jnp.mean(jnp.stack(losses))), 5))
            history["accuracy"].append(round(float(jnp.mean(jnp.stack(hits))), 5))
            if not np.isfinite(history["loss"][-1]):
                raise FloatingPointError(
                    f"The loss is {history['loss'][-1]} after epoch {epoch + 1}; lower learning_rate."
                )
    record = {
        "network": dataclasses.asdict(network),
        "data": data.name,
        "settings": {"epochs": epochs, "batch": batch, "learning_rate": learning_rate, "seed": seed},
        "history": history,
        "test_accuracy": plain_accuracy(network, params, test),
        "test_images": len(test),
        "seconds": round(time.monotonic() - start, 1),
        "versions": {"jax": jax.__version__, "optax": optax.__version__},
    }
    return TrainingResult(params, record)


def _latent(params: Params) -> Params:
    return {
        name: {part: value for part, value in layer.items() if part not in ("mean", "variance")}
        for name, layer in params.items()
    }


def _step(
    network: Network,
    optimiser: optax.GradientTransformation,
    params: Params,
    state: optax.OptState,
    images: Array,
    labels: Array,
    key: PRNGKeyArray,
) -> tuple[Params, optax.OptState, Array, Array]:
    images = network.augmented(images, key)

    def loss_of(latent: Params) -> tuple[Array, Any]:
        whole = {name: params[name] | layer for name, layer in latent.items()}
        logits, used = network.forward(whole, images, batch_statistics=True, convolution=patch_convolution)
        return cross_entropy(logits, labels), (logits, used)

    latent = _latent(params)
    (loss, (logits, used)), gradient = jax.value_and_grad(loss_of, has_aux=True)(latent)
    latent, state = update(optimiser, gradient, state, latent)
    old = STATISTICS_MOMENTUM
    params = {
        name: layer | {part: old * params[name][part] + (1 - old) * value for part, value in used.get(name, {}).items()}
        for name, layer in network.constrained(latent).items()
    }
    return params, state, loss, jnp.mean(are_right(logits, labels))


def patch_convolution(inputs: Array, kernel: Array, stride: int, same: bool = False, groups: int = 1) -> Array:
    """Convolution as patches times a matrix, whose gradient on CPU takes half the time of XLA's own convolution.

    One filter per group and input map, as in a depthwise convolution, is a sum of shifted maps.
    """
    height, width, per_group, filters = kernel.shape
    if groups > 1 and not (per_group == 1 and filters == groups):
        return plain_convolution(inputs, kernel, stride, same, groups)
    if same:
        sides = [
            max((-(-size // stride) - 1) * stride + side - size, 0)
            for size, side in zip(inputs.shape[1:3], (height, width), strict=True)
        ]
        around = [(total // 2, total - total // 2) for total in sides]
        inputs = jnp.pad(inputs, ((0, 0), *around, (0, 0)))
    down, along = inputs.shape[1] - height + 1, inputs.shape[2] - width + 1
    shifts = [inputs[:, i : i + down : stride, j : j + along : stride] for i in range(height) for j in range(width)]
    if groups > 1:
        taps = kernel.reshape(-1, 1, 1, 1, filters)
        return jnp.sum(jnp.stack(shifts) * taps, axis=0)
    patches = jnp.concatenate(shifts, axis=-1)
    return jnp.matmul(patches, kernel.reshape(-1, filters))
