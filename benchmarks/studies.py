"""Cost of studies: dies against as many plain passes, what a study adds to its compiled work, and a long axis.

Prints ratios; both sides of a ratio are measured in this run, after compilation.

    python benchmarks/studies.py [--dies 64] [--images 2000] [--points 1000] [--rounds 7]
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import amsim
from amsim import circuits, networks
from amsim.studies import jobs

POPULATION_AIM, OVERHEAD_AIM, AXIS_AIM = 1.3, 0.05, 10.5


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def population(dies: int, images: int) -> None:
    """Time of a die in a study of one design over that of a plain forward pass, taken in turn: ratio of medians."""
    net, params = networks.load("binary-fashion")
    hardware = amsim.design("switched-capacitor-1b").accelerator()
    data = amsim.load_dataset().test[:images]
    measure = amsim.study(net, params, hardware, data, quantities=("accuracy",))
    plain = jax.jit(net)
    batches = [jnp.asarray(data.inputs[start : start + 250]) for start in range(0, images, 250)]
    passes: list[float] = []

    def after_each(phase: str, done: int, total: int) -> None:
        passes.append(seconds(lambda: [plain(params, batch) for batch in batches]))

    with counted() as spent:
        result = amsim.sweep(measure, {"macro.supply": [0.6]}, key=jax.random.key(0), dies=dies, progress=after_each)
    one_die, one_pass = np.median(spent.each), np.median(passes[1:])  # the first one compiles
    ratio = one_die / one_pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    met = "met" if ratio <= POPULATION_AIM else "missed"
    print(f"{dies} dies, {images} images, over plain passes   {ratio:6.2f}   aim {POPULATION_AIM} {met}", flush=True)
    print(
        f"  {one_die:.2f} s / {one_pass:.2f} s a die, compilation {spent.compiling:.1f} s, peak memory {peak:.0f} MiB"
    )
    print(f"  accuracy {float(result['accuracy'].mean()):.4f}")


def overhead(points: int, rounds: int) -> None:
    """What a study of a small function adds to its compiled work and compilation: median of several studies."""
    macro = circuits.SwitchedCapacitor(rows=64, columns=16)
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(96, 96)), jnp.float32)

    def measure(hardware: Any, die_key: Any) -> dict[str, Any]:
        state = jax.random.normal(die_key, (96, 96)) * hardware.supply
        state = jax.lax.fori_loop(0, 200, lambda _, x: jnp.tanh(x @ matrix), state)
        return {"mean": jnp.mean(state)}

    axes = {"macro.supply": np.linspace(0.5, 0.9, points)}
    options: dict[str, Any] = {"hardware": macro, "key": jax.random.key(0), "dies": 1}
    amsim.sweep(measure, {"macro.supply": [0.5, 0.6]}, **options)  # keys and checks compile here
    measured = []
    for _ in range(rounds):
        with counted() as spent:
            whole = seconds(lambda: amsim.sweep(measure, axes, **options)["mean"].values)
        measured.append((whole, spent.calls, spent.compiling))
    shares = [(whole - calls - compiling) / calls for whole, calls, compiling in measured]
    added = np.median(shares)
    met = "met" if added <= OVERHEAD_AIM else "missed"
    print(f"{points} points, added to the compiled work     {100 * added:6.1f} %  aim {100 * OVERHEAD_AIM:.0f} % {met}")
    whole, calls, compiling = np.median(measured, axis=0)
    print(
        f"  {whole:.2f} s, of which calls {calls:.2f} s, compilation {compiling:.2f} s;"
        f" {100 * min(shares):.1f} .. {100 * max(shares):.1f} %"
    )


def axis(points: int, rounds: int) -> None:
    """Time of a study of ten times as many values over that of so many, without compilation: ratio of medians."""
    macro = circuits.SwitchedCapacitor(rows=64, columns=16)

    def measure(hardware: Any, die_key: Any) -> dict[str, Any]:
        return {"mean": hardware.supply}

    def taken(count: int) -> float:
        axes = {"macro.supply": np.linspace(0.5, 0.9, count)}
        options: dict[str, Any] = {"hardware": macro, "key": jax.random.key(0), "dies": 1}
        with counted() as spent:
            whole = seconds(lambda: amsim.sweep(measure, axes, **options)["mean"].values)
        return whole - spent.compiling

    taken(points)  # keys and checks compile here
    few, many = np.median([(taken(points), taken(10 * points)) for _ in range(rounds)], axis=0)
    met = "met" if many / few <= AXIS_AIM else "missed"
    print(f"{10 * points} values over {points}, time            {many / few:6.2f}   aim {AXIS_AIM} {met}")
    print(f"  {many:.2f} s / {few:.2f} s", flush=True)


class counted:  # noqa: N801 -- used as a function
    """Time that programs take to run and to compile, while the block runs."""

    def __enter__(self) -> "counted":
        self.calls = self.compiling = 0.0
        self.each: list[float] = []
        self._plain = jobs.Program.call

        def call(program: Any, number: int) -> Any:
            start = time.perf_counter()
            program.compiled()
            compiled = time.perf_counter()
            outputs = self._plain(program, number)
            self.compiling += compiled - start
            self.each.append(time.perf_counter() - compiled)
            self.calls += self.each[-1]
            return outputs

        jobs.Program.call = call  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        jobs.Program.call = self._plain  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dies", type=int, default=64)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    overhead(options.points, options.rounds)
    axis(options.points, 3)
    population(options.dies, options.images)


if __name__ == "__main__":
    main()
