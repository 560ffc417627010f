"""Write `docs/results/minimum_energy.md` and its pictures from the results that ship: the talk's claims, measured.

python docs/make_minimum_energy_page.py  # from the root of the repository; a minute or two
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from minimum_energy_claims import across, claims
from minimum_energy_dots import DRAM, MEMORIES, PLATFORMS, TASKS, Dots, dots_of, word_lengths
from minimum_energy_pictures import (
    CAPACITIES,
    COPIES,
    draw_cloud,
    draw_families,
    draw_iso,
    draw_memory,
    draw_split,
    memory_points,
)

from amsim import chips, workloads
from amsim.exploration.dots import would_be_on_front
from amsim.exploration.members import configuration_of
from amsim.exploration.shipped_results import shipped_data, shipped_results
from amsim.report.picture_file import write_picture
from amsim.system.hardware import KILOBYTE

FOLDER = Path(__file__).parent / "results"
PUBLISHED = (
    ("1x64-1x64-1x64", (1, 1, 1), (64, 64, 64), {1: "70.3 %", 4: "79.2 %"}),
    ("2x64-3x128-3x128", (2, 3, 3), (64, 128, 128), {4: "88.3 %"}),
    ("3x256-3x256-3x256", (3, 3, 3), (256, 256, 256), {1: "89.2 %", 4: "90.0 %"}),
)
"""Topologies with logged CIFAR-10 validation accuracies, the best of each log, by word length (facts 4.1)."""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    return ["| " + " | ".join(one) + " |" for one in (headings, ["---"] * len(headings), *rows)]


def published() -> list[str]:
    """The published CIFAR-10 topologies on the generic platform, which needs no training."""
    rows = []
    for name, layers, filters, accuracies in PUBLISHED:
        workload = workloads.quantised_image_network(layers, filters)
        for bits in (1, 2, 4, 8, 16):
            energy = chips.asilomar2017(bits).cost(workload)["energy"].sum("site")
            memories = float(energy.sel(component=list(MEMORIES)).sum() / energy.sum())
            stored = workload.weight_words * bits / KILOBYTE
            sizes = [str(bits), f"{workload.macs / 1e6:.4g}", f"{stored:.4g}", f"{1e6 * float(energy.sum()):.3g}"]
            rows.append([name, *sizes, f"{100 * memories:.0f} %", accuracies.get(bits, "")])
    return table(
        ["blocks", "bits", "MMAC", "weights, kB", "energy, uJ", "of it memories", "published validation accuracy"], rows
    )


def counted(dots: Dots) -> str:
    """What was trained, and where it is deployed."""
    held, result = shipped_results(dots.name), dots.result
    analog = set(map(str, result["network"].values[result["circuit_family"].values == "switched-capacitor"]))
    topologies = sorted({configuration_of(str(text)).topology for text in set(result["configuration"].values)})
    settings = held.attrs
    return (
        f"- {TASKS[dots.name]}: {settings['networks_trained']} of {settings['networks_planned']} planned networks, "
        f"{', '.join(topologies)}, {', '.join(map(str, word_lengths(dots)))} bit, of {settings['steps']} steps of Adam "
        f"at {settings['learning_rate']:g} with batches of {settings['batch']}, one seed each; {result.sizes['dot']} "
        f"dots. On switched-capacitor arrays: {len(analog)} networks, on {int(result['dies'].values.max())} dies each."
    )


def resident(dots: Dots) -> list[str]:
    """Networks that lie in a digital binary array as a whole, and load no weights."""
    one = dots.result
    digital = one["circuit_family"].values == "digital-binary"
    none = one["energy"].sel(component="weight_memory").values < 1e-3 * one["energy"].sum("component").values
    names = [f"`{name}`" for name in one["network"].values[digital & none]]
    if not names:
        return []
    return [
        "",
        f"On the digital binary array {', '.join(names)} load no weights:",
        "all of them stay in its cells from one inference to the next, which saves reads and the time of loading.",
        "That step, not the word length alone, makes them cheap; the platform with DRAM reads every weight.",
    ]


def least(points: dict[str, tuple[str, xr.Dataset]]) -> list[str]:
    """Optimum weight memory of each datapath, and the optimum datapath."""
    rows, said = [], []
    for task, (name, cost) in points.items():
        total, short = cost["energy"].sum("component"), TASKS[task].split(",")[0]
        for copies in COPIES:
            one = total.sel(copies=copies).values
            best = int(np.argmin(one))
            latency = float(cost["latency"].sel(copies=copies)[best])
            sizes = [str(copies), f"{CAPACITIES[best] / KILOBYTE:g} kB", f"{1e9 * one[best]:.4g} nJ"]
            rows.append([short, name, *sizes, f"{1e6 * latency:.4g} us"])
        by_copies = total.min("point").values
        more = np.ptp(by_copies) / by_copies.min()
        said.append(f"{COPIES[int(np.argmin(by_copies))]} for {short} (the worst number takes {100 * more:.0f} % more)")
    headings = ["task", "network", "copies", "optimum weight memory", "energy there", "latency"]
    return [*table(headings, rows), "", f"Optimum parallelism, copies of the macro: {'; '.join(said)}."]


def without_loss(dots: Dots) -> str:
    """How many networks on analog arrays fine-tuning could bring to the front, at best to their accuracy without it."""
    energy, plain = dots.energy[PLATFORMS[0]].sum(axis=1), dots.result["plain_accuracy"].values
    accuracy = dots.result["accuracy_mean"].values
    others = list(zip(energy, accuracy, strict=True))
    lossy = np.flatnonzero((dots.result["circuit_family"].values == "switched-capacitor") & (accuracy < plain))
    could = sum(would_be_on_front(energy[one], plain[one], others) for one in lossy)
    return (
        f"- Fine-tuning through circuits, {dots.name}: of {len(lossy)} dots on switched-capacitor arrays that lose "
        f"accuracy, {could} would be on the front of all families if they lost nothing. The families are compared "
        "without it."
    )


def main() -> None:
    """Compute everything and write the page."""
    tasks = [dots_of(name) for name in TASKS if name in shipped_data()]
    points = {dots.name: memory_points(dots) for dots in tasks}
    for name, figure in (
        ("cloud", draw_cloud(tasks)),
        ("iso", draw_iso(tasks)),
        ("split", draw_split(tasks)),
        ("families", draw_families(tasks)),
        ("memory", draw_memory(points)),
    ):
        write_picture(FOLDER / f"minimum_energy_{name}.png", figure)
    lines = [
        "# Minimum-energy networks: what holds",
        "",
        "`python docs/make_minimum_energy_page.py` writes this page from the results that ship;",
        "`python docs/make_minimum_energy.py train STORE`, then `ship STORE`, trains the networks and makes those.",
        "Verhelst's talk (slides 12 to 18) and Moons et al. (Asilomar 2017) say how energy at equal accuracy depends",
        "on the word length. Here every claim is put to trained networks of two tasks, each on the three circuit",
        "families of the default design space at the design point of least energy. Networks are small and their",
        "training short, so that accuracies are below what the tasks allow, and one seed each: a difference of two",
        "networks within their intervals is none. Weights and activations have the same word length. Networks of one",
        "bit read four maps of each input, of two bits two. A ratio's interval is from the ends of the 95 % intervals",
        "of the accuracies: the least energy of networks whose upper, or lower, end reaches the accuracy. The least",
        "energy of a word length is that of the networks that there are: more of them can only lower it, and move an",
        "optimum.",
        "",
        *map(counted, tasks),
        "",
        "The two platforms: weights on chip, as the design points have them; and weights read from DRAM at every",
        f"inference, which adds {1e12 * DRAM:g} pJ for each bit of weights (facts 7.1).",
    ]
    for dots in tasks:
        rows = [one.row for one in claims(dots)]
        lines += ["", f"## {TASKS[dots.name]}", "", *table(["claim", "", "measured"], rows), *resident(dots)]
    lines += [
        "", "## Across tasks", "", *table(["claim", "", "measured"], [one.row for one in across(tasks)]), "",
        "## Pictures", "",
        "Every network on every circuit, with the front of each word length:", "",
        "![Accuracy against energy](minimum_energy_cloud.png)", "",
        "Least energy at an accuracy against bits, for both platforms:", "",
        "![Energy at equal accuracy](minimum_energy_iso.png)", "",
        "Where that energy goes (bars of one accuracy, by word length and platform):", "",
        "![Shares of energy](minimum_energy_split.png)", "",
        "The three families, full with weights on chip, open and dashed with weights from DRAM:", "",
        "![Three families](minimum_energy_families.png)", "",
        "Weight memory against datapath, of the most accurate 4-bit network on the multi-precision family at its",
        "nominal supply, DRAM behind the memory; circles are the least of each number of copies:", "",
        "![Memory against datapath](minimum_energy_memory.png)", "",
        *least(points), "",
        "## The published CIFAR-10 topologies", "",
        "On the generic platform of Asilomar'17 (`chips.asilomar2017`), from shapes alone. Accuracies are those of the",
        "authors' logs (facts 4.1), of validation images; none was trained here.", "",
        *published(), "",
        "## Left out", "",
        *map(without_loss, tasks),
        "- The full Fashion-MNIST set: images are the embedded ones.",
        "- CIFAR-10 accuracies: no copy of the set can be had here.",
        "- Several seeds of a network: the intervals are of items and dies, not of trainings.",
        "",
    ]  # fmt: skip
    (FOLDER / "minimum_energy.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
