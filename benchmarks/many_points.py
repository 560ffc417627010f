"""Cost of one network's hardware at very many points: `python benchmarks/many_points.py [POINTS]`.

Prints the time of `amsim.system.cost_at_points` with compilation and without, against one `Accelerator.cost` per point.
"""

import sys
import time

import jax
import numpy as np

import amsim
from amsim import chips, networks
from amsim.system import cost_at_points, with_settings

SETTINGS = {"macro.supply": (0.55, 0.8), "weight_memory.capacity": (2e6, 8e6), "activation_memory.capacity": (5e5, 4e6)}
PRESENT = 20
"""Points that are also computed one by one."""


def workload():
    """The binary reference network from its shapes."""
    network = networks.NETWORKS["binary-fashion"]
    params = jax.eval_shape(network.initial_params, jax.random.key(0))
    return amsim.network_workload(network, params, jax.ShapeDtypeStruct((2, 28, 28), "uint8"))


def main(points: int) -> None:
    """Print the times."""
    hardware, network = chips.binareye2018(), workload()
    generator = np.random.default_rng(0)
    values = {path: generator.uniform(*ends, points) for path, ends in SETTINGS.items()}
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        found = cost_at_points(hardware, network, values)
        seconds.append(time.perf_counter() - start)
    print(f"{points} points: {seconds[0]:.1f} s with compilation, {seconds[1]:.1f} s without")
    few = [with_settings(hardware, {path: float(one[i]) for path, one in values.items()}) for i in range(PRESENT)]
    few[0].cost(network)
    start = time.perf_counter()
    energies = [float(one.cost(network)["energy"].sum()) for one in few]
    each = (time.perf_counter() - start) / PRESENT
    worst = np.max(np.abs(found["energy"].sum("component").values[:PRESENT] / energies - 1))
    longer = each * points / seconds[1]
    print(f"one by one: {1e3 * each:.1f} ms each, {longer:.0f} times as long; largest difference {worst:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10**6)
