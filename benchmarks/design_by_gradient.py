"""Search for a circuit by gradient against a dense grid search, on the same dies, reads and images.

What comes of such a search on images that it never saw: `benchmarks/design_on_unseen_images.py`.

Writes `docs/results/design_by_gradient.md`. Evaluations are passes over all dies and images, of which the backward pass
of a gradient counts as two.

    python benchmarks/design_by_gradient.py [--images 200] [--dies 4] [--limit 0.88] [--points 14 14 6]
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import amsim
from amsim import Accelerator, circuits, networks
from amsim.evaluation.fixed_reads import FixedReads
from amsim.progress import nothing
from amsim.search import WeightTraining
from amsim.search.estimate import Estimate, at_logs
from amsim.search.gradient_search import GradientSearch, SearchPoint
from amsim.search.space import log_bounds

VARIABLES = {
    "macro.unit_capacitance": (0.1e-15, 3e-15),
    "macro.comparator.noise": (0.2e-3, 3e-3),
    "macro.supply": (0.5, 0.8),
}
COMPONENTS = ("mac",)
RESULT = Path(__file__).parents[1] / "docs" / "results" / "design_by_gradient.md"
ENERGY_AIM, EVALUATIONS_AIM = 1.05, 0.1


def grid_search(estimate: Estimate, params: Any, points: list[int], limit: float) -> tuple[np.ndarray, float, float]:
    """Logarithms, energy and accuracy of the best feasible point of a grid that is even in logarithms."""
    axes = [np.linspace(*np.log(pair), count) for pair, count in zip(VARIABLES.values(), points, strict=True)]
    best = (np.zeros(len(axes)), np.inf, 0.0)
    for logs in np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)):
        energy, accuracy = estimate.energy(logs, params)[0], estimate.accuracy(logs, params).accuracy
        if accuracy >= limit and energy < best[1]:
            best = (logs, energy, accuracy)
    return best


def gradient_search(estimate: Estimate, params: Any, limit: float, steps: int) -> tuple[GradientSearch, SearchPoint]:
    """The search that `amsim.design_circuit` makes, and its best point."""
    bounds = log_bounds(estimate.accelerator, VARIABLES)
    search = GradientSearch(estimate, params, bounds, limit, WeightTraining())
    search.run(steps, nothing)
    return search, search.finish()


def fresh(network: Any, params: Any, accelerator: Any, data: Any) -> str:
    """Accuracy on dies that neither search saw."""
    found = amsim.evaluate(network, params, accelerator, data, dies=16, key=jax.random.key(99))
    mean, low, high = (100 * float(found[f"accuracy_{name}"]) for name in ("mean", "low", "high"))
    return f"{mean:.2f} % ({low:.2f} .. {high:.2f})"


def row(name: str, logs: np.ndarray, energy: float, accuracy: float, check: str, evaluations: int, text: str) -> str:
    capacitance, noise, supply = np.exp(logs)
    return (
        f"| {name} | {1e15 * capacitance:.3f} fF | {1e3 * noise:.3f} mV | {supply:.3f} V | {1e9 * energy:.3f} nJ | "
        f"{100 * accuracy:.2f} % | {check} | {evaluations} | {text} |"
    )


HEADING = """# Circuit design by gradient against a grid search

`python benchmarks/design_by_gradient.py`: the switched-capacitor array with the network `binary-fashion`, energy of the
array alone (component `mac`), which these settings can change, at an accuracy of {limit:g} % on {images} test images
and {dies} dies, the same dies, reads and images for both searches. The gradient starts at the package's defaults.

| search | unit capacitance | comparator noise | supply | array energy | accuracy | fresh dies | evaluations | time |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

Energy of the gradient's design relative to the grid's: {energy:.3f} (aim: at most {energy_aim}). Evaluations:
{evaluations:.3f} of the grid's (aim: at most {evaluations_aim}). An evaluation is one pass over all dies and images;
each step's gradient counts as three. Fresh dies: mean and 95 % interval of 16 dies that neither search saw, on the
same images. Both searches keep the cheapest point that passes on their own dies, so that either may lie below the
limit on fresh dies: `amsim.design_circuit` tests what a search finds (`docs/results/design_on_unseen_images.md`).

The steps of the search, before the bisection at its end:

| step | unit capacitance | comparator noise | supply | array energy | accuracy |
| --- | --- | --- | --- | --- | --- |
{steps}
"""


def report(arguments: Any, history: Any, rows: list[str], energy: float, evaluations: float) -> str:
    columns = (history[name].values for name in ("step", "setting_value", "energy", "accuracy"))
    steps = [
        f"| {n} | {1e15 * value[0]:.3f} fF | {1e3 * value[1]:.3f} mV | {value[2]:.3f} V | {1e9 * joule:.3f} nJ | "
        f"{100 * reached:.2f} % |"
        for n, value, joule, reached in zip(*columns, strict=True)
    ]
    return HEADING.format(
        limit=100 * arguments.limit,
        images=arguments.images,
        dies=arguments.dies,
        rows="\n".join(rows),
        energy=energy,
        energy_aim=ENERGY_AIM,
        evaluations=evaluations,
        evaluations_aim=EVALUATIONS_AIM,
        steps="\n".join(steps),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--dies", type=int, default=4)
    parser.add_argument("--limit", type=float, default=0.88)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--points", type=int, nargs=3, default=[14, 14, 6])
    arguments = parser.parse_args()
    data = amsim.load_dataset("fashion-mnist-mini").test
    some = data[: arguments.images]
    network, params = networks.load("binary-fashion")
    macro, key = circuits.SwitchedCapacitor(), jax.random.key(0)

    reads = FixedReads.of(some, len(some), jax.random.split(key)[0], arguments.dies)
    setup = Accelerator(macro), tuple(VARIABLES), reads, COMPONENTS, some.inputs[:16]

    start = time.perf_counter()
    estimate = Estimate(network, *setup)
    search, found = gradient_search(estimate, params, arguments.limit, arguments.steps)
    seconds, evaluations = time.perf_counter() - start, estimate.evaluations
    check = fresh(network, params, at_logs(estimate.accelerator, estimate.paths, jnp.asarray(found.logs, float)), some)
    rows = [row("gradient", found.logs, found.energy, found.accuracy, check, evaluations, f"{seconds:.0f} s")]
    print(rows[0], flush=True)

    estimate = Estimate(network, *setup)
    start = time.perf_counter()
    logs, energy, accuracy = grid_search(estimate, params, arguments.points, arguments.limit)
    grid_seconds = time.perf_counter() - start
    check = fresh(network, params, at_logs(estimate.accelerator, estimate.paths, jnp.asarray(logs, float)), some)
    rows.append(row("grid", logs, energy, accuracy, check, estimate.evaluations, f"{grid_seconds:.0f} s"))
    print(rows[1], flush=True)

    ratios = found.energy / energy, evaluations / estimate.evaluations
    partial = RESULT.with_name(RESULT.name + ".part")
    partial.write_text(report(arguments, search.history(key), rows, *ratios))
    partial.replace(RESULT)
    print(f"energy {ratios[0]:.3f}, evaluations {ratios[1]:.3f}: {RESULT}")


if __name__ == "__main__":
    main()
