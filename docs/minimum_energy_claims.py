"""Claims of the talk and of Moons et al. (Asilomar 2017), each put to the results that ship of a task."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from minimum_energy_dots import MEMORIES, PLATFORMS, TARGETS, TASKS, Dots, iso, middle_target

from amsim.system.hardware import COMPONENTS

ORDER = 10.0
"""Ratio from which energies differ by an order of magnitude."""


Found = dict[int, tuple[float, float, float]]
"""Least energy by word length, J: by means of accuracies, by upper and by lower ends of their intervals."""


class Claim(NamedTuple):
    """A claim with what was found on one task.

    Attributes:
        text: The claim.
        holds: Whether it holds by the means of accuracies; None where it cannot be tested.
        numbers: Numbers and reason.
        firm: Whether it holds for every value inside the intervals of the accuracies, too.
    """

    text: str
    holds: bool | None
    numbers: str
    firm: bool = True

    @property
    def row(self) -> list[str]:
        """Row of the table."""
        said = {True: "**confirmed**", False: "**not confirmed**", None: "**untestable here**"}[self.holds]
        by_means = "**confirmed by means**, open within the intervals"
        return [self.text, by_means if self.holds and not self.firm else said, self.numbers]


def tested(dots: Dots) -> list[float]:
    """Accuracies that at least two word lengths reach."""
    return [one for one in TARGETS[dots.name] if len(iso(dots, one, PLATFORMS[0])) > 1]


def cheapest(dots: Dots, target: float, platform: str) -> int:
    """Word length of least energy at an accuracy."""
    found = iso(dots, target, platform)
    return min(found, key=lambda bits: found[bits][0])


def interval(found: Found, more: int, less: int) -> str:
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
        Claim(names["spread"], max(ratios.values()) >= ORDER, "; ".join(said), _at_least(ORDER, at, ends)),
        Claim(names["low"], all(one <= 4 for one in inside.values()), "; ".join(_optima(best)), _low_is_firm(at)),
        _int8(names["int8"], at, inside),
        Claim(names["moves"], len(set(inside.values())) > 1, "; ".join(_optima({PLATFORMS[0]: inside})),
              _moves_firmly(at, inside)),
        Claim(names["platform"], inside != outside, "; ".join(_optima(best)), _differ_firmly(dots, best)),
    ]  # fmt: skip
    return [*found, _operations(names["operations"], dots, targets), *_memory(names["memory"], dots)]


def surely_less(found: Found, one: int, other: int) -> bool:
    """Whether a word length takes less energy than another one for all accuracies inside the intervals."""
    return found[one][2] < found[other][1]  # False where the lower ends do not reach the accuracy


def _at_least(ratio: float, at: dict[float, Found], ends: dict[float, tuple[int, int]]) -> bool:
    return any(at[one][more][1] >= ratio * at[one][less][2] for one, (more, less) in ends.items())


def _low_is_firm(at: dict[float, Found]) -> bool:
    """Whether some word length of at most 4 bits beats every longer one at each accuracy."""
    return all(
        any(all(surely_less(found, one, other) for other in found if other > 4) for one in found if one <= 4)
        for found in at.values()
    )


def _moves_firmly(at: dict[float, Found], best: dict[float, int]) -> bool:
    """Whether there are two accuracies whose best word lengths each beat the other's."""
    pairs = [(one, other) for one in at for other in at if best[one] != best[other] and best[other] in at[one]]
    return any(
        surely_less(at[one], best[one], best[other])
        and best[one] in at[other]
        and surely_less(at[other], best[other], best[one])
        for one, other in pairs
    )


def _differ_firmly(dots: Dots, best: dict[str, dict[float, int]]) -> bool:
    """Whether at some accuracy the best word length of each platform beats that of the other."""
    inside, outside = best.values()
    return any(
        surely_less(iso(dots, target, PLATFORMS[0]), inside[target], outside[target])
        and surely_less(iso(dots, target, PLATFORMS[1]), outside[target], inside[target])
        for target in inside
        if inside[target] != outside[target]
    )


def _percent(target: float) -> str:
    return f"at {100 * target:g} %"


def _optima(best: dict[str, dict[float, int]]) -> list[str]:
    return [
        f"{platform}: " + ", ".join(f"{bits} bit {_percent(one)}" for one, bits in found.items())
        for platform, found in best.items()
    ]


def _int8(text: str, at: dict[float, Found], best: dict[float, int]) -> Claim:
    reached = {one: found for one, found in at.items() if 8 in found}
    if not reached:
        return Claim(text, None, "no 8-bit network reaches the accuracies")
    ratios = [found[8][0] / found[best[one]][0] for one, found in reached.items()]
    said = [f"{_percent(one)}: {interval(found, 8, best[one])} times {best[one]} bit" for one, found in reached.items()]
    ends = [(found[8][1] / found[best[one]][2], found[8][2] / found[best[one]][1]) for one, found in reached.items()]
    firm = all(low >= 2 and high <= 10 for low, high in ends)
    return Claim(text, all(2 <= one <= 10 for one in ratios), "; ".join(said), firm)


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
    said.append("one and two bits read each input as four and two maps")
    return Claim(text, all(holds), "; ".join(said), firm=False)


def _memory(text: str, dots: Dots) -> list[Claim]:
    """Share of all memories in the energy of the best network of each word length, on each platform."""
    target, claims = middle_target(dots), []
    for platform in PLATFORMS:
        found = {}
        for bits in iso(dots, target, platform):
            one = dots.least(target, bits, platform)
            energy = dots.energy[platform][one]
            found[bits] = float(sum(energy[COMPONENTS.index(name)] for name in MEMORIES) / energy.sum())
        said = ", ".join(f"{100 * share:.0f} % at {bits} bit" for bits, share in found.items())
        numbers = f"share of all memories {_percent(target)}: {said}"
        claims.append(Claim(f"{text} ({platform})", found[min(found)] > 0.5, numbers))
    return claims


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
    return [Claim(text, best[0] != best[1], said, firm=False)]
