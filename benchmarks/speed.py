"""Cost of simulation: a deployed network against the same network in plain float32 JAX.

Prints ratios of medians; both sides of a ratio are measured in this run, in turn, after compilation.

    python benchmarks/speed.py [--rounds 15] [--batch 256] [--dies 64]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import amsim
from amsim import networks

FORWARD_AIM, TRAINING_AIM, POPULATION_AIM = 1.5, 2.0, 1.2
DESIGNS = (
    "switched-capacitor-1b",
    "digital-binary-1b",
    "multi-precision-2b",
    "multi-precision-4b",
    "multi-precision-8b",
    "switched-capacitor-2b",
)


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def ratio(simulated: Callable[[], Any], plain: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Ratio of medians, and both medians, from interleaved rounds."""
    seconds(simulated), seconds(plain)
    pairs = [(seconds(simulated), seconds(plain)) for _ in range(rounds)]
    first, second = np.median(np.array(pairs), axis=0)
    return first / second, first, second


def training_step(apply: Callable[..., Any], params: Any, images: Any, labels: Any, *rest: Any) -> Any:
    def loss(params: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, images, *rest), labels).mean()

    gradient = jax.grad(loss)(params)
    return jax.tree.map(lambda value, slope: value - 1e-3 * slope, params, gradient)


def through_chip(net: Any, accelerator: Any, params: Any, images: Any, die_key: Any, read_key: Any) -> Any:
    return amsim.deploy(net, params, accelerator, key=die_key)(images, key=read_key)


def report(label: str, measured: tuple[float, float, float], aim: float) -> None:
    value, simulated, plain = measured
    verdict = "met" if value <= aim else "missed"
    print(
        f"{label:<46}{value:6.2f}   aim {aim:.1f} {verdict:<7}{1e3 * simulated:9.1f} ms / {1e3 * plain:.1f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dies", type=int, default=64)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    data = amsim.load_dataset()
    images = jnp.asarray(data.test.inputs[: options.batch])
    labels = jnp.asarray(data.test.labels[: options.batch])
    die_key, read_key = jax.random.split(jax.random.key(0))
    for name in DESIGNS:
        one = amsim.design(name)
        net, params = networks.load(one.network)
        accelerator = one.accelerator()
        chip = amsim.deploy(net, params, accelerator, key=die_key)
        plain = jax.jit(net)
        forward = ratio(partial(chip, images, key=read_key), partial(plain, params, images), options.rounds)
        report(f"forward, {name}", forward, FORWARD_AIM)
        step = eqx.filter_jit(partial(training_step, partial(through_chip, net, accelerator)))
        plain_step = jax.jit(partial(training_step, net))
        training = ratio(
            partial(step, params, images, labels, die_key, read_key),
            partial(plain_step, params, images, labels),
            max(options.rounds // 2, 3),
        )
        report(f"training step, {name}", training, TRAINING_AIM)
    net, params = networks.load("binary-fashion")
    accelerator = amsim.design("switched-capacitor-1b").accelerator()
    some, plain = data.test[: options.images], jax.jit(net)
    batches = [some.inputs[start : start + 250] for start in range(0, options.images, 250)]
    population = ratio(
        lambda: amsim.evaluate(net, params, accelerator, some, dies=options.dies, key=die_key)["accuracy"].values,
        lambda: [plain(params, batch) for _ in range(options.dies) for batch in batches],
        3,
    )
    report(f"population of {options.dies}, per die", population, POPULATION_AIM)


if __name__ == "__main__":
    main()
