"""Cost of a training step through each circuit family against the plain float32 step of the same network.

Time: ratio of medians, both sides measured in turn in this run, after compilation. Memory: what XLA sets aside for
temporaries, arguments and results of the compiled step, which does not depend on the machine's load.

    python benchmarks/training_step.py [--rounds 7] [--batch 128] [--designs switched-capacitor-1b ...]
"""

import argparse
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from speed import DESIGNS, TRAINING_AIM, ratio

import amsim
from amsim import Accelerator, networks

MEMORY_AIM = 2.0


def step(net: Any, accelerator: Accelerator | None, params: Any, images: Any, labels: Any, key: Any) -> Any:
    """Adam's first step, through a freshly drawn die with noise, or plain."""

    def loss(params: Any) -> Any:
        if accelerator is None:
            logits = net(params, images)
        else:
            die_key, read_key = jax.random.split(key)
            logits = amsim.deploy(net, params, accelerator, key=die_key)(images, key=read_key)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    optimiser = optax.adam(1e-3)
    gradient = jax.grad(loss)(params)
    updates, state = optimiser.update(gradient, optimiser.init(params), params)
    return optax.apply_updates(params, updates), state


def bytes_of(compiled: Any) -> int:
    """Peak of a compiled step by XLA's own account."""
    found = compiled.memory_analysis()
    return found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS))
    options = parser.parse_args()
    data = amsim.load_dataset()
    images = jnp.asarray(data.train.inputs[: options.batch])
    labels = jnp.asarray(data.train.labels[: options.batch])
    print(f"{'training step through':<26}{'time':>7}{'aim':>5}{'':>8}{'memory':>8}{'aim':>5}")
    for name in options.designs:
        one = amsim.design(name)
        net, params = networks.load(one.network)
        arguments = params, images, labels, jax.random.key(0)
        plain = jax.jit(partial(step, net, None)).lower(*arguments).compile()
        chip = jax.jit(partial(step, net, one.accelerator())).lower(*arguments).compile()
        time, simulated, own = ratio(partial(chip, *arguments), partial(plain, *arguments), options.rounds)
        memory = bytes_of(chip) / bytes_of(plain)
        verdicts = ["met" if value <= aim else "missed" for value, aim in ((time, TRAINING_AIM), (memory, MEMORY_AIM))]
        sizes = " / ".join(f"{bytes_of(one) / 2**20:.0f}" for one in (chip, plain))
        print(
            f"{name:<26}{time:7.2f}{TRAINING_AIM:5.1f} {verdicts[0]:<7}{memory:8.2f}{MEMORY_AIM:5.1f} {verdicts[1]:<7}"
            f"{1e3 * simulated:8.0f} / {1e3 * own:.0f} ms, {sizes} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
