"""Windows that slide over a map: where they stand, which elements of the map they cover, and how often each is fetched.

A window keeps what it shares with the place before while it slides along the last axis on which it has several places,
so that it fetches each element there once; along the axes before that one it starts again at every place.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class WindowAxis(NamedTuple):
    """One axis of a map with the windows along it; all counts are in elements.

    Attributes:
        size: Elements of the map along the axis.
        kernel: Elements that a window takes.
        stride: Step from one window to the next.
        dilation: Step from one element of a window to the next.
        padding: Zeros before and behind the map; negative where elements are cut off.
        spacing: Step from one element of the map to the next, with zeros between them (transposed convolutions).
    """

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    spacing: int = 1

    @property
    def spaced_size(self) -> int:
        """Size of the map with the zeros between its elements, before padding."""
        return (self.size - 1) * self.spacing + 1

    @property
    def places(self) -> int:
        """Places of the window, which are the outputs along the axis."""
        reach = (self.kernel - 1) * self.dilation + 1
        return max((self.spaced_size + sum(self.padding) - reach) // self.stride + 1, 0)

    @property
    def read(self) -> int:
        """Elements of the map that some window covers."""
        padded = np.zeros(max(self.spaced_size + sum(self.padding), 0), bool)
        # The shorter loop: over the elements of a window at all places, or over the places.
        steps = (self.kernel, self.dilation), (self.places, self.stride)
        (turns, step), (others, other_step) = sorted(steps, key=lambda one: one[0])
        for start in range(0, turns * step, step):
            padded[start : start + others * other_step : other_step] = True
        places = self.padding[0] + self.spacing * np.arange(self.size)
        return int(np.count_nonzero(padded[places[(places >= 0) & (places < padded.size)]]))

    @property
    def fetches(self) -> float:
        """Windows that cover an element, on average, those at the border not counted apart: `kernel / stride`, or 1."""
        # Dilated windows meet only those that stand a multiple of the dilation apart.
        stride = self.stride // math.gcd(self.stride, self.dilation)
        return max(1.0, min(self.kernel / stride, float(self.places)))


def words_read(axes: Sequence[WindowAxis]) -> int:
    """Elements of one map that some window covers."""
    return math.prod(axis.read for axis in axes)


def window_fetches(axes: Sequence[WindowAxis]) -> float:
    """Fetches of each of those elements while the window slides over the map once."""
    sliding = [axis for axis in axes if axis.places > 1]
    return math.prod((axis.fetches for axis in sliding[:-1]), start=1.0)
