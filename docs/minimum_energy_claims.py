"""Claims of the talk and of Moons et al. (Asilomar 2017), each put to the results that ship of a task."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from minimum_energy_dots import MEMORIES, PLATFORMS, TARGETS, TASKS, Dots, iso, middle_target

from amsim.system.hardware import COMPONENTS

ORDER = 10.0
"""Ratio from which energies differ by an order of magnitude."""


class Claim(NamedTuple):
    """A claim with what was found on one task.

    Attributes:
        text: The claim.
        holds: Whether it holds; None where it cannot be tested.
        numbers: Numbers and reason.
    """

    text: str
    holds: bool | None
    numbers: str

    @property
    def row(self) -> list[str]:
        """Row of the table."""
        said = {True: "**confirmed**", False: "**not confirmed**", None: "**untestable here**"}[self.holds]
        return [self.text, said, self.numbers]


def tested(dots: Dots) -> list[float]:
    """Accuracies that at least two word lengths reach."""
    return [one for one in TARGETS[dots.name] if len(iso(dots, one, PLATFORMS[0])) > 1]


def cheapest(dots: Dots, target: float, platform: str) -> int:
    """Word length of least energy at an accuracy."""
    found = iso(dots, target, platform)
    return min(found, key=lambda bits: found[bits][0])


def interval(found: dict[int, tuple[float, float, float]], more: int, less: int) -> str:
    """Ratio of two word lengths with that of the ends of their intervals."""
    low = found[more][1] / found[less][2]
    high = found[more][2] / found[less][1]
    ends = (f"{one:.2g}" if np.isfinite(one) else "not reached" for one in (low, high))
    return f"{found[more][0] / found[less][0]:.3g} ({' .. '.join(ends)})"


def claims(dots: Dots) -> list[Claim]:
    """Every claim on one task."""
    targets = tested(dots)
    names = {
        "spread": "energy at iso-accuracy varies by orders of magnitude with bits",
        "low": "the minimum is at binary to 4 bit",
        "int8": "int8 costs 2 to 10 times more than the best",
        "moves": "the optimum moves with accuracy",
        "platform": "the optimum moves with the platform",
        "operations": "low precision needs more operations",
        "memory": "memory dominates at low precision",
    }
    if not targets:
        return [Claim(one, None, "fewer than two word lengths reach any of the accuracies") for one in names.values()]
    at = {target: iso(dots, target, PLATFORMS[0]) for target in targets}
    best = {platform: {one: cheapest(dots, one, platform) for one in targets} for platform in PLATFORMS}
    inside, outside = best.values()
    ends = {one: (max(found, key=lambda b: found[b][0]), inside[one]) for one, found in at.items()}
    ratios = {one: at[one][dear][0] / at[one][cheap][0] for one, (dear, cheap) in ends.items()}
    said = [
        f"{_percent(one)}: {ends[one][0]} bit over {ends[one][1]} bit {interval(at[one], *ends[one])}"
        for one in targets
    ]
    found = [
        Claim(names["spread"], max(ratios.values()) >= ORDER, "; ".join(said)),
        Claim(names["low"], all(one <= 4 for one in inside.values()), "; ".join(_optima(best))),
        _int8(names["int8"], at, inside),
        Claim(names["moves"], len(set(inside.values())) > 1, "; ".join(_optima({PLATFORMS[0]: inside}))),
        Claim(names["platform"], inside != outside, "; ".join(_optima(best))),
    ]
    return [*found, _operations(names["operations"], dots, targets), _memory(names["memory"], dots)]


def _percent(target: float) -> str:
    return f"at {100 * target:g} %"


def _optima(best: dict[str, dict[float, int]]) -> list[str]:
    return [
        f"{platform}: " + ", ".join(f"{bits} bit {_percent(one)}" for one, bits in found.items())
        for platform, found in best.items()
    ]


def _int8(text: str, at: dict[float, dict[int, tuple[float, float, float]]], best: dict[float, int]) -> Claim:
    reached = {one: found for one, found in at.items() if 8 in found}
    if not reached:
        return Claim(text, None, "no 8-bit network reaches the accuracies")
    ratios = [found[8][0] / found[best[one]][0] for one, found in reached.items()]
    said = [f"{_percent(one)}: {interval(found, 8, best[one])} times {best[one]} bit" for one, found in reached.items()]
    return Claim(text, all(2 <= one <= 10 for one in ratios), "; ".join(said))


def _operations(text: str, dots: Dots, targets: Sequence[float]) -> Claim:
    """Fewest multiply-accumulates at an accuracy, of the fewest bits and of the most."""
    macs, accuracy = dots.result["macs"].values, dots.result["accuracy_mean"].values
    said, holds = [], []
    for target in targets:
        fewest = {
            bits: int(macs[(dots.bits == bits) & (accuracy >= target)].min(initial=np.iinfo(int).max))
            for bits in iso(dots, target, PLATFORMS[0])
        }
        low, high = min(fewest), max(fewest)
        holds.append(fewest[low] > fewest[high])
        said.append(
            f"{_percent(target)}: {fewest[low] / 1e3:.4g} kMAC at {low} bit, {fewest[high] / 1e3:.4g} at {high} bit"
        )
    return Claim(text, all(holds), "; ".join(said))


def _memory(text: str, dots: Dots) -> Claim:
    """Share of all memories in the energy of the best network of each word length."""
    target, said, shares = middle_target(dots), [], {}
    for platform in PLATFORMS:
        found = {}
        for bits in iso(dots, target, platform):
            one = dots.least(target, bits, platform)
            energy = dots.energy[platform][one]
            found[bits] = float(sum(energy[COMPONENTS.index(name)] for name in MEMORIES) / energy.sum())
        shares[platform] = found
        said.append(f"{platform}: " + ", ".join(f"{100 * share:.0f} % at {bits} bit" for bits, share in found.items()))
    fewest = min(shares[PLATFORMS[0]])
    return Claim(text, shares[PLATFORMS[0]][fewest] > 0.5, f"{_percent(target)}, memories' share: " + "; ".join(said))


def across(tasks: Sequence[Dots]) -> list[Claim]:
    """Claims across tasks."""
    text = "the optimum moves with the application"
    if len(tasks) < 2:
        return [Claim(text, None, "one task only")]
    best = [sorted({cheapest(dots, one, PLATFORMS[0]) for one in tested(dots)}) for dots in tasks]
    said = "; ".join(
        f"{TASKS[dots.name].split(',')[0]}: {', '.join(map(str, one))} bit"
        for dots, one in zip(tasks, best, strict=True)
    )
    return [Claim(text, best[0] != best[1], said)]
