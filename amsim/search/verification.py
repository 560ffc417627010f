"""Circuits of a search on dies and items that it never saw: the cheapest of which the accuracy is still sure.

Circuits are tested in an order that was fixed before, from the safest one down to that on the limit, each on the same
fresh dies and unseen items, and the tests end with the first that fails. So the last one that passes misses the
limit with no more than `1 - confidence`, however many were tested (fixed-sequence testing: Angelopoulos, Bates, Candes,
Jordan and Lei, "Learn then Test", arXiv 2110.01052).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from amsim.results.labelled import labelled
from amsim.search.gradient_search import GradientSearch, SearchPoint
from amsim.search.quantities import LABELS
from amsim.statistics.intervals import lower_bound, proportion_interval
from amsim.system.accelerator import Accelerator

MARGINS = (2.5, 1.5, 1.0, 0.5, 0.0)
"""Accuracies above the limit that circuits are found for, in units of the least margin that a check can have."""

FINENESS = 1.2
"""Ratio of energies above which a circuit between two is tested too."""


class Tested(NamedTuple):
    """A circuit that was tested.

    Attributes:
        point: What the search knows of it.
        accelerator: The circuit.
        check: Result of `amsim.evaluate` on fresh dies and unseen items.
        bound: Accuracy that it surely has there.
    """

    point: SearchPoint
    accelerator: Accelerator
    check: xr.Dataset
    bound: float


def least_margin(limit: float, items: int, confidence: float) -> float:
    """Accuracy above a limit that a check on so many items needs to be sure of it, whatever the dies are."""
    return limit - float(proportion_interval(limit, items, max(2 * confidence - 1, 1e-9))[0])


def candidates(search: GradientSearch, limit: float, margin: float) -> Iterator[SearchPoint]:
    """Different points of a search: the safest one first, then ever cheaper ones down to that on the limit itself."""
    search.reach(limit + MARGINS[0] * margin)
    before = search.safest
    yield before
    for share in MARGINS:
        point = search.reach(limit + share * margin)
        if point.energy < before.energy:
            yield from _between(search, before, point)
            yield point
            before = point


def _between(search: GradientSearch, start: SearchPoint, end: SearchPoint) -> Iterator[SearchPoint]:
    """Points on the way from one to a much cheaper one, each about `FINENESS` cheaper than that before."""
    parts = 1 + int(np.log(start.energy / end.energy) / np.log(FINENESS))
    for number in range(1, parts):
        yield search.probe(start.logs + (end.logs - start.logs) * number / parts)


def passing_circuits(
    points: Iterator[SearchPoint],
    limit: float,
    confidence: float,
    check: Callable[[SearchPoint], tuple[Accelerator, xr.Dataset]],
) -> list[Tested]:
    """Circuits tested one after the other, up to the first whose bound is below the limit."""
    tested: list[Tested] = []
    for point in points:
        accelerator, found = check(point)
        bound = lower_bound(
            found["accuracy"].mean("read").values, int(found.attrs["items"]), confidence=confidence,
            deterministic=accelerator.deterministic,
        )  # fmt: skip
        tested.append(Tested(point, accelerator, found, bound))
        if not bound >= limit:
            break
    return tested


def chosen(tested: Sequence[Tested], limit: float) -> Tested:
    """The last circuit that passes, or the first if none does."""
    passing = [one for one in tested if one.bound >= limit]
    return passing[-1] if passing else tested[0]


def tested_table(tested: Sequence[Tested], limit: float, confidence: float) -> xr.Dataset:
    """Circuits tested, with what the search measured and what the check did."""
    columns = {
        "energy": [one.point.energy for one in tested],
        "accuracy": [one.point.accuracy for one in tested],
        "accuracy_mean": [float(one.check["accuracy_mean"]) for one in tested],
        "accuracy_bound": [one.bound for one in tested],
        "feasible": [one.bound >= limit for one in tested],
    }
    return labelled(
        {name: (("circuit",), values) for name, values in columns.items()},
        {"circuit": np.arange(len(tested))},
        {"limit": limit, "confidence": confidence},
        labels=LABELS,
    )
