"""Time to deploy and compile a 50-layer residual network, against compiling it plain.

Tracing, lowering and compiling from cold caches; both sides of a ratio are measured in turn in this run.

    python benchmarks/deploy_time.py [--rounds 5] [--blocks 16] [--channels 16] [--scan]

With `--scan` the chip's network has its equal blocks stacked in one `jax.lax.scan`; it is held against the plain one
with its blocks written out, which a user would otherwise compile, and against the plain scan. "Rounded by hand" is
plain JAX that rounds operands to a fixed step and does nothing else of a chip: what simulating integers costs at least;
with noise it adds a normal draw to each sum, from keys that cost nothing, and rounds again, as an ADC does. Rows
"calibrated" have ranges that `amsim.calibrate` has fixed before; the others find them in the weights and each batch.
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

import amsim
from amsim import circuits
from amsim.deployment.chip import run_deployed_chip

AIM = 2.0
MACROS: dict[str, circuits.Macro] = {
    "digital binary, 1 bit": circuits.DigitalBinary(),
    "digital binary, 8 bit": circuits.DigitalBinary(weight_bits=8, input_bits=8),
    "multi-precision, 8 bit": circuits.MultiPrecision(),
    "switched-capacitor, 1 bit": circuits.SwitchedCapacitor(),
    "switched-capacitor, 4 bit": circuits.SwitchedCapacitor(weight_bits=4, input_bits=4),
}


def on_grid(values: jax.Array) -> jax.Array:
    """Round to 8 bits of a fixed step: the least that any simulation of integer hardware has to do."""
    return jnp.clip(jnp.round(values * 16.0), -128, 127) / 16.0


def residual_network(
    blocks: int, channels: int, scanned: bool = False, rounded: bool = False, noisy: bool = False
) -> tuple[Callable[..., Any], Any]:
    """A stem, blocks of three convolutions with a shortcut, and a classifier; plain JAX."""
    rng = np.random.default_rng(0)

    def convolution(*shape: int) -> dict[str, jax.Array]:
        weight = rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
        key = {"key": jax.random.key(0)} if noisy else {}
        return {"w": jnp.asarray(weight, jnp.float32), "b": jnp.zeros(shape[-1])} | key

    params = {
        "stem": convolution(3, 3, 3, 4 * channels),
        "blocks": [
            [
                convolution(1, 1, 4 * channels, channels),
                convolution(3, 3, channels, channels),
                convolution(1, 1, channels, 4 * channels),
            ]
            for _ in range(blocks)
        ],
        "head": {"w": jnp.asarray(rng.normal(0, 0.1, (4 * channels, 10)), jnp.float32), "b": jnp.zeros(10)},
    }

    def apply(own: Any, maps: jax.Array) -> jax.Array:
        left, right = (on_grid(maps), on_grid(own["w"])) if rounded else (maps, own["w"])
        sums = jax.lax.conv_general_dilated(left, right, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if noisy:
            sums = on_grid(sums + jax.random.normal(own["key"], sums.shape))
        return sums + own["b"]

    def block(maps: jax.Array, own: Any) -> tuple[jax.Array, None]:
        first, second, third = own
        inner = jax.nn.relu(apply(second, jax.nn.relu(apply(first, maps))))
        return jax.nn.relu(maps + apply(third, inner)), None

    def network(params: Any, images: jax.Array) -> jax.Array:
        maps = jax.nn.relu(apply(params["stem"], images))
        if scanned:
            maps, _ = jax.lax.scan(block, maps, params["blocks"])
        else:
            for own in params["blocks"]:
                maps, _ = block(maps, own)
        return jnp.mean(maps, (1, 2)) @ params["head"]["w"] + params["head"]["b"]

    if scanned:
        params["blocks"] = jax.tree.map(lambda *members: jnp.stack(members), *params["blocks"])
    return network, params


def compile_plain(network: Callable[..., Any], params: Any, images: jax.Array) -> tuple[float, float]:
    """Seconds of tracing and lowering, and of compiling."""
    jax.clear_caches()
    start = time.perf_counter()
    lowered = jax.jit(network).lower(params, images)
    middle = time.perf_counter()
    lowered.compile()
    return middle - start, time.perf_counter() - middle


def compile_chip(
    network: Callable[..., Any],
    params: Any,
    macro: circuits.Macro,
    noisy: bool,
    calibration: amsim.Calibration | None,
    images: jax.Array,
) -> tuple[float, float]:
    """Seconds of deploying on a die, tracing and lowering, and of compiling."""
    jax.clear_caches()
    eqx.clear_caches()
    die_key, read_key = jax.random.split(jax.random.key(0))
    start = time.perf_counter()
    chip = amsim.deploy(network, params, macro, key=die_key, calibration=calibration)
    lowered = eqx.filter_jit(run_deployed_chip.__wrapped__).lower(chip, (images,), read_key if noisy else None)
    middle = time.perf_counter()
    lowered.compile()
    return middle - start, time.perf_counter() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--only", default="", help="part of a row's name")
    options = parser.parse_args()
    written_out = residual_network(options.blocks, options.channels)
    deployed = residual_network(options.blocks, options.channels, options.scan)
    images = jnp.zeros((options.batch, 16, 16, 3))
    plain, plain_same = (partial(compile_plain, *network, images) for network in (written_out, deployed))
    sides: dict[str, Callable[[], tuple[float, float]]] = {}
    for name, noisy in (("no chip, rounded by hand", False), ("no chip, rounded by hand, noise", True)):
        by_hand = residual_network(options.blocks, options.channels, options.scan, True, noisy)
        sides[name] = partial(compile_plain, *by_hand, images)
    samples = jax.random.normal(jax.random.key(1), images.shape)
    for name, macro in MACROS.items():
        fixed = amsim.calibrate(*deployed, macro, samples).calibration
        for noisy in (False, True) if not macro.deterministic else (False,):
            for ranges, calibration in (("", None), (", calibrated", fixed)):
                side = partial(compile_chip, *deployed, macro, noisy, calibration, images)
                sides[name + ranges + (", noise" if noisy else "")] = side
    for name, chip in sides.items():
        if options.only not in name:
            continue
        plain(), plain_same(), chip()
        rounds = [(plain(), plain_same(), chip()) for _ in range(options.rounds)]
        (plain_trace, plain_compile), same, (trace, compiling) = np.median(np.array(rounds), axis=0)
        value = (trace + compiling) / (plain_trace + plain_compile)
        beside_scan = f", {(trace + compiling) / same.sum():.1f} times the plain scan" if options.scan else ""
        verdict = "met" if value <= AIM else "missed"
        print(
            f"{name:<46}{value:6.2f}   aim {AIM:.1f} {verdict:<7}"
            f" deploy and trace {trace:.2f} s, compile {compiling:.2f} s;"
            f" plain {plain_trace:.2f} s, {plain_compile:.2f} s{beside_scan}",
            flush=True,
        )


if __name__ == "__main__":
    main()
