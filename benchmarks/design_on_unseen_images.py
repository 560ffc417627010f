"""Circuits that `amsim.design_circuit` calls feasible, on images and dies that its search never saw.

Writes `docs/results/design_on_unseen_images.md`.

    python benchmarks/design_on_unseen_images.py [--images 400] [--dies 2] [--limits 0.86 0.88] [--steps 12]
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax

import amsim
from amsim import circuits, networks
from amsim.evaluation.accuracy import plain_accuracy
from amsim.search import DesignedCircuit

VARIABLES = {
    "macro.unit_capacitance": (0.1e-15, 3e-15),
    "macro.comparator.noise": (0.2e-3, 3e-3),
    "macro.supply": (0.5, 0.8),
}
RESULT = Path(__file__).parents[1] / "docs" / "results" / "design_on_unseen_images.md"
HEADING = """# Designed circuits on images and dies that the search never saw

`python benchmarks/design_on_unseen_images.py`: the switched-capacitor array with the network `binary-fashion`, energy
of the array alone. The search has {images} test images and {dies} dies; circuits are tested on the other {unseen} test
images and {fresh} other dies, from the safest down to the first of which the limit is not sure (bound of 95 %,
one-sided, over dies and images). The chosen one is the last that passes. The network alone has {plain:.2f} % there.

| limit | circuit | unit capacitance | comparator noise | supply | array energy | search | unseen | bound | |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def rows(limit: float, design: DesignedCircuit) -> list[str]:
    """One row per circuit tested; settings of the chosen one."""
    found, lines = design.tested, []
    capacitance, noise, supply = (design.settings[name] for name in VARIABLES)
    for number in found["circuit"].values:
        one = found.sel(circuit=number)
        chosen = float(one["energy"]) == design.energy
        what = "chosen" if chosen and design.feasible else "passes" if one["feasible"] else "fails"
        settings = f"{1e15 * capacitance:.3f} fF | {1e3 * noise:.3f} mV | {supply:.3f} V" if chosen else " | | "
        reached = (100 * float(one[name]) for name in ("accuracy", "accuracy_mean", "accuracy_bound"))
        accuracies = " | ".join(f"{value:.2f} %" for value in reached)
        cells = f"{100 * limit:g} %", f"{number}", settings, f"{1e9 * float(one['energy']):.3f} nJ", accuracies, what
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--dies", type=int, default=2)
    parser.add_argument("--fresh", type=int, default=6)
    parser.add_argument("--limits", type=float, nargs="+", default=[0.86, 0.88])
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    data: Any = amsim.load_dataset("fashion-mnist-mini").test
    seen, unseen = data[: arguments.images], data[arguments.images :]
    network, params = networks.load("binary-fashion")
    text = HEADING.format(
        images=len(seen), dies=arguments.dies, unseen=len(unseen), fresh=arguments.fresh,
        plain=100 * plain_accuracy(network, params, unseen),
    )  # fmt: skip
    for limit in arguments.limits:
        start = time.perf_counter()
        design = amsim.design_circuit(
            network, params, circuits.SwitchedCapacitor(), seen, key=jax.random.key(0), variables=VARIABLES,
            accuracy=limit, components=("mac",), steps=arguments.steps, dies=arguments.dies,
            check=amsim.FinalCheck(unseen, dies=arguments.fresh),
        )  # fmt: skip
        text += "\n".join(rows(limit, design)) + "\n"
        print(
            text.splitlines()[-1], f"{design.evaluations} evaluations, {time.perf_counter() - start:.0f} s", flush=True
        )
    RESULT.write_text(text)


if __name__ == "__main__":
    main()
