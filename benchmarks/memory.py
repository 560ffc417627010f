"""Peak memory of a network on hardware against the same network in plain float32 JAX, by XLA's own account.

Evaluating images of the 4-bit network on one die of a 4-bit switched-capacitor array with noise, in batches as
`amsim.evaluate` makes them and all at once, and one step of Adam through a freshly drawn die. Nothing is run, so that
the figures are the same on a busy machine; arguments and results count.

    python benchmarks/memory.py [--images 1000] [--batch 250] [--training-batch 64] [--designs ...]
"""

import argparse
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from training_step import bytes_of, step

import amsim
from amsim import networks

AIM = 2.0


def on_chip(static: Any, arrays: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    return eqx.combine(arrays, static)(images, key=key)


def report(label: str, simulated: int, plain: int) -> None:
    ratio = simulated / plain
    verdict = "met" if ratio <= AIM else "missed"
    print(
        f"{label:<54}{ratio:6.2f}   aim {AIM:.1f} {verdict:<7}{simulated / 2**20:8.1f} / {plain / 2**20:.1f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--training-batch", type=int, default=64)
    parser.add_argument("--designs", nargs="*", default=["switched-capacitor-4b", "multi-precision-4b"])
    options = parser.parse_args()
    data = amsim.load_dataset()
    key = jax.random.key(0)
    for name in options.designs:
        one = amsim.design(name)
        net, params = networks.load(one.network)
        chip = amsim.deploy(net, params, one.accelerator(), key=key).prepared()
        arrays, static = eqx.partition(chip, eqx.is_array)
        for count in (options.batch, options.images):
            images = jnp.asarray(data.test.inputs[:count])
            simulated = jax.jit(partial(on_chip, static)).lower(arrays, images, key).compile()
            plain = jax.jit(net).lower(params, images).compile()
            report(f"evaluating {count} images at once, {name}", bytes_of(simulated), bytes_of(plain))
        some = options.training_batch
        arguments = params, jnp.asarray(data.train.inputs[:some]), jnp.asarray(data.train.labels[:some]), key
        simulated = jax.jit(partial(step, net, one.accelerator())).lower(*arguments).compile()
        plain = jax.jit(partial(step, net, None)).lower(*arguments).compile()
        report(f"training step of {some} images, {name}", bytes_of(simulated), bytes_of(plain))


if __name__ == "__main__":
    main()
