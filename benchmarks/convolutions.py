"""Convolutional networks on hardware against the same networks in plain float32 JAX: inference and a training step.

`lenet` has 28x28x1 inputs (5x5x16, pool, 5x5x32, pool, 128, 10), `vgg` 32x32x3 (2 times 3x3x32, pool, 2 times 3x3x64,
pool, 2 times 3x3x128, pool, 128, 10), all convolutions padded to keep the size. Prints ratios of medians; both sides of
a ratio are measured in this run, in turn, after compilation. With `--by-hand` also what plain JAX takes that rounds
the operands of every layer to 8 bits by the largest magnitude of each sample, which the 8-bit unit does too.

    python benchmarks/convolutions.py [--rounds 7] [--batch 128] [--networks lenet vgg] [--by-hand]
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from speed import ratio

import amsim
from amsim import circuits

MACROS: dict[str, circuits.Macro] = {
    "one-bit array": circuits.SwitchedCapacitor(),
    "8-bit digital": circuits.MultiPrecision(),
}
SHAPES = {"lenet": ((28, 28, 1), 5, ((16,), (32,))), "vgg": ((32, 32, 3), 3, ((32, 32), (64, 64), (128, 128)))}
AIMS = {
    ("lenet", "inference"): {"one-bit array": 1.4, "8-bit digital": 1.2},
    ("vgg", "inference"): {"one-bit array": 1.8, "8-bit digital": 1.4},
    ("lenet", "training step"): {"one-bit array": 1.4, "8-bit digital": 1.2},
    ("vgg", "training step"): {"one-bit array": 1.4, "8-bit digital": 1.2},
}


def unchanged(values: jax.Array) -> jax.Array:
    return values


def eight_bits(values: jax.Array) -> jax.Array:
    """Values rounded to 8 bits by the largest magnitude of each sample."""
    largest = jnp.max(jnp.abs(values), axis=tuple(range(1, values.ndim)), keepdims=True)
    step = jnp.where(largest > 0, largest, 1.0) / 127
    return values + jax.lax.stop_gradient(jnp.clip(jnp.round(values / step), -128, 127) * step - values)


def network(name: str, rounded: Callable[[jax.Array], jax.Array] = unchanged) -> tuple[Callable[..., Any], Any]:
    """A network and its parameters."""
    (height, width, channels), side, stages = SHAPES[name]
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> dict[str, jax.Array]:
        values = rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
        return {"w": jnp.asarray(values, jnp.float32), "b": jnp.zeros(shape[-1])}

    params: dict[str, Any] = {"stages": []}
    for stage in stages:
        own = []
        for filters in stage:
            own.append(weight(side, side, channels, filters))
            channels = filters
        params["stages"].append(own)
        height, width = height // 2, width // 2
    params["dense"] = [weight(height * width * channels, 128), weight(128, 10)]

    def apply(own: Any, maps: jax.Array) -> jax.Array:
        for stage in own["stages"]:
            for layer in stage:
                numbers = ("NHWC", "HWIO", "NHWC")
                sums = jax.lax.conv_general_dilated(
                    rounded(maps), layer["w"], (1, 1), "SAME", dimension_numbers=numbers
                )
                maps = jax.nn.relu(sums + layer["b"])
            batch, rows, columns, depth = maps.shape
            maps = maps.reshape(batch, rows // 2, 2, columns // 2, 2, depth).max((2, 4))
        hidden, last = own["dense"]
        values = jax.nn.relu(rounded(maps.reshape(len(maps), -1)) @ hidden["w"] + hidden["b"])
        return rounded(values) @ last["w"] + last["b"]

    return apply, params


def step(apply: Callable[..., Any], params: Any, images: Any, labels: Any) -> Any:
    def loss(params: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, images), labels).mean()

    return jax.tree.map(lambda value, slope: value - 1e-3 * slope, params, jax.grad(loss)(params))


def through_chip(net: Any, macro: Any, dies: jax.Array, reads: jax.Array, params: Any, images: Any) -> Any:
    return amsim.deploy(net, params, macro, key=dies)(images, key=reads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--networks", nargs="*", default=list(SHAPES))
    parser.add_argument("--work", nargs="*", default=["inference", "training step"])
    parser.add_argument("--by-hand", action="store_true")
    options = parser.parse_args()
    dies, reads = jax.random.split(jax.random.key(0))
    for name in options.networks:
        rng = np.random.default_rng(1)
        images = jnp.asarray(rng.normal(size=(options.batch, *SHAPES[name][0])), jnp.float32)
        labels = jnp.asarray(rng.integers(0, 10, options.batch))
        net, params = network(name)
        plain = partial(jax.jit(net), params, images)
        half = options.batch // 2
        plain_step = partial(jax.jit(partial(step, net)), params, images[:half], labels[:half])
        sides: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}
        for title, macro in MACROS.items():
            chip = amsim.deploy(net, params, macro, key=dies).prepared()
            simulated = partial(through_chip, net, macro, dies, reads)
            one = partial(jax.jit(partial(step, simulated)), params, images[:half], labels[:half])
            sides[title] = partial(chip, images, key=reads), one
        if options.by_hand:
            by_hand = network(name, eight_bits)[0]
            one = partial(jax.jit(partial(step, by_hand)), params, images[:half], labels[:half])
            sides["rounded by hand"] = partial(jax.jit(by_hand), params, images), one
        for work, index in (("inference", 0), ("training step", 1)):
            for title, pair in sides.items() if work in options.work else ():
                found, simulated, own = ratio(pair[index], (plain, plain_step)[index], options.rounds)
                aim = AIMS[name, work].get(title)
                verdict = "" if aim is None else f"aim {aim:.1f} {'met' if found <= aim else 'missed'}"
                print(
                    f"{name:<6} {work:<14} {title:<16}{found:6.2f}  {verdict:<16}"
                    f"{1e3 * simulated:8.1f} / {1e3 * own:.1f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    main()
