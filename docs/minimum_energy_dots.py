"""Dots of the results that ship, on two platforms, and the least energy of each word length at an accuracy."""

from typing import NamedTuple

import numpy as np
import xarray as xr

import amsim
from amsim.circuits.technology.dram import Dram
from amsim.system.hardware import COMPONENTS

TASKS = {"spoken-digits": "spoken digits", "fashion-mnist-mini": "Fashion-MNIST, the embedded 4000 + 1000 images"}
TARGETS = {"spoken-digits": (0.80, 0.90, 0.93, 0.95), "fashion-mnist-mini": (0.70, 0.75, 0.80, 0.83)}
PLATFORMS = ("weights on chip", "weights from DRAM")
MEMORIES = ("weight_memory", "activation_memory", "global_memory", "dram")
DRAM = float(Dram().access_energy)


class Dots(NamedTuple):
    """Dots of a task whose accuracy is known.

    Attributes:
        name: Of the data.
        result: Answer of `amsim.explore`.
        bits: Word length of each dot.
        energy: With weights on chip, or from DRAM, of each dot by component, J, by platform.
    """

    name: str
    result: xr.Dataset
    bits: np.ndarray
    energy: dict[str, np.ndarray]

    def least(self, target: float, bits: int, platform: str, end: str = "mean") -> int | None:
        """Dot of least energy of a word length whose accuracy, or the end of its interval, reaches a target."""
        accuracy = self.result[f"accuracy_{end}"].values
        reaching = np.flatnonzero((self.bits == bits) & (accuracy >= target))
        energy = self.energy[platform].sum(axis=1)
        return int(reaching[np.argmin(energy[reaching])]) if len(reaching) else None


def dots_of(name: str) -> Dots:
    """Dots of a task."""
    found = amsim.explore(0.0, data=name)
    known = np.isfinite(found["accuracy_mean"].values) & (found["allowed_points"].values > 0)
    found = found.isel(dot=known)
    on_chip = found["energy"].values
    outside = on_chip.copy()
    outside[:, COMPONENTS.index("dram")] += DRAM * found["weight_bits"].values
    return Dots(name, found, found["network_bits"].values, dict(zip(PLATFORMS, (on_chip, outside), strict=True)))


def word_lengths(dots: Dots) -> list[int]:
    """Word lengths of a task."""
    return sorted(set(map(int, dots.bits)))


def iso(dots: Dots, target: float, platform: str) -> dict[int, tuple[float, float, float]]:
    """Least energy at an accuracy by word length, J, with that for the upper and the lower ends of the intervals."""
    found = {}
    for bits in word_lengths(dots):
        each = [dots.least(target, bits, platform, end) for end in ("mean", "high", "low")]
        if each[0] is not None:
            energy = dots.energy[platform].sum(axis=1)
            found[bits] = tuple(np.nan if one is None else float(energy[one]) for one in each)
    return found


def middle_target(dots: Dots) -> float:
    """Accuracy that most word lengths reach, the highest of these."""
    return max(TARGETS[dots.name], key=lambda one: (len(iso(dots, one, PLATFORMS[0])), one))
