"""Speed of the cost model: one design point, and ten thousand of them at once.

Prints medians, and their ratio to the aims: 2 ms for one point of a 10-layer network once compiled, 10 s for 10 000
points by `vmap` on two cores.

    python benchmarks/system_cost.py [--rounds 15] [--points 10000]
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim import Accelerator, chips, workloads
from amsim.circuits import Dram
from amsim.system import system_cost

POINT_AIM, POPULATION_AIM = 2e-3, 10.0
"""Seconds."""


def median(function: Callable[[], Any], rounds: int) -> float:
    jax.block_until_ready(function())
    spans = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function())
        spans.append(time.perf_counter() - start)
    return float(np.median(spans))


def ten_layers() -> workloads.Workload:
    layers = [workloads.convolution(f"conv{index}", 16, 16, 64, 64, 3) for index in range(9)]
    return workloads.Workload("ten-layers", (*layers, workloads.dense("dense", 4096, 10)))


def varied(accelerator: Accelerator, points: int) -> Accelerator:
    """All continuous parameters of the accelerator, each up to 10 % lower, on a leading axis."""
    generator = np.random.default_rng(0)

    def spread(leaf: Any) -> Any:
        factors = generator.uniform(0.9, 1.0, (points,)).astype(np.float32)
        return jnp.asarray(leaf)[None] * jnp.asarray(factors)

    return jax.tree.map(spread, accelerator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--points", type=int, default=10000)
    arguments = parser.parse_args()
    accelerator = dataclasses.replace(chips.bankman2018(), dram=Dram())
    workload = ten_layers()

    def total(accelerator: Accelerator) -> Any:
        return jnp.sum(system_cost(accelerator, workload.layers).energy)

    energy, population, slope = jax.jit(total), jax.jit(jax.vmap(total)), jax.jit(jax.grad(total))
    many = varied(accelerator, arguments.points)
    one = median(lambda: energy(accelerator), arguments.rounds)
    dataset = median(lambda: accelerator.cost(workload), arguments.rounds)
    gradient = median(lambda: slope(accelerator), arguments.rounds)
    all_points = median(lambda: population(many), arguments.rounds)
    parameters = len(jax.tree.leaves(accelerator))
    each = all_points / arguments.points
    lines = {
        "one design point, compiled": (one, f"{one / POINT_AIM:.4f} of the aim"),
        "one design point as a Dataset": (dataset, f"{dataset / one:.0f} times the point"),
        f"gradient in all {parameters} parameters": (gradient, f"{gradient / one:.1f} times the point"),
        f"{arguments.points} points by vmap": (all_points, f"{all_points / POPULATION_AIM:.5f} of the aim"),
        "a point of those": (each, f"{each / one:.5f} times the point"),
    }
    for name, (span, remark) in lines.items():
        print(f"{name:36s} {1e3 * span:9.4f} ms   {remark}")


if __name__ == "__main__":
    main()
