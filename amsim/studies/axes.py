"""Axes of a study: settings on a grid, as a list of points or as a low-discrepancy sample, some of them conditional."""

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import qmc

from amsim.circuits.checks import integer_between, part_of

NETWORK, HARDWARE = "network", "hardware"
"""Axes other than settings: the network that is deployed, and the hardware."""

NONE = "none"
"""Label of a part or an effect that is left out."""

Choice = tuple[Any, Any]
"""Label of a value in the result, and the value."""


@dataclasses.dataclass(frozen=True)
class Points:
    """Settings that change together, point by point: one dimension of a study.

    Attributes:
        values: Values of each path, equally many.
        dim: Name of the dimension.
    """

    values: Mapping[str, Any]
    dim: str = "point"


@dataclasses.dataclass(frozen=True)
class Conditional:
    """Values of an axis that exists only where other axes have some of their values.

    Attributes:
        values: Values of the axis.
        where: Labels of other axes at which this one exists.
    """

    values: Any
    where: Mapping[str, Any]


def points(values: Mapping[str, Any], *, dim: str = "point") -> Points:
    """Settings that change together, given point by point.

    Args:
        values: Values of each path, one per point.
        dim: Name of the dimension in the result.

    Returns:
        One dimension, given to `amsim.sweep` as an axis.

    Raises:
        ValueError: No path, or paths with unequal or no values.
    """
    part_of("dim", dim, str)
    part_of("values", values, Mapping)
    if not values:
        raise ValueError("Argument `values` must have at least one path, but is empty.")
    counts = {path: len(_choices(path, given)) for path, given in values.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{path} has {count}" for path, count in counts.items())
        raise ValueError(f"Argument `values` must have equally many values for every path, but {listed}.")
    return Points(dict(values), dim)


def samples(
    ranges: Mapping[str, Any],
    count: int,
    *,
    logarithmic: bool | Collection[str] = False,
    seed: int = 0,
    dim: str = "sample",
) -> Points:
    """Points that fill ranges evenly: a Sobol sequence, shifted at random modulo 1 (Cranley-Patterson rotation).

    Args:
        ranges: For each path `(low, high)`, or a list of values to choose from.
        count: Number of points; a power of 2 is the most even.
        logarithmic: Whether ranges are even in the logarithm: all, none, or the paths named.
        seed: Fixes the shift; the first points of a longer sample are those of a shorter one.
        dim: Name of the dimension in the result.

    Returns:
        The points; the same for any version of the libraries.

    Raises:
        ValueError: A range that is not finite or not increasing, or one from 0 or below on a logarithmic axis.

    Source: Sobol, USSR Comput. Math. 7(4), 1967, with the directions of Joe and Kuo, as in `scipy.stats.qmc`; Cranley
    and Patterson, SIAM J. Numer. Anal. 13(6), 1976.
    """
    integer_between("count", count, 1)
    integer_between("seed", seed, 0, 2**128 - 1)
    part_of("ranges", ranges, Mapping)
    if not ranges:
        raise ValueError("Argument `ranges` must have at least one path, but is empty.")
    if isinstance(logarithmic, str):
        logarithmic = [logarithmic]
    logs = set(ranges) if logarithmic is True else set(logarithmic or ())
    if not logs <= set(ranges):
        raise ValueError(f"Argument `logarithmic` must name paths of `ranges`, but has {sorted(logs - set(ranges))}.")
    # The next power of 2 and its beginning: SciPy warns of other counts, whose beginning is the same.
    even = qmc.Sobol(len(ranges), scramble=False).random_base2(math.ceil(math.log2(count)))[:count]
    shifted = (even + np.random.default_rng(seed).random(len(ranges))) % 1.0
    columns = zip(ranges.items(), shifted.T, strict=True)
    return points({path: _spread(path, limits, unit, path in logs) for (path, limits), unit in columns}, dim=dim)


def only_where(values: Any, where: Mapping[str, Any]) -> Conditional:
    """Values of an axis that exists only where other axes have some of their values.

    In the result such an axis has one more entry, NaN or an empty name, for where it does not exist.

    Args:
        values: As for any axis.
        where: Label, or list of labels, of other axes at which this one exists.

    Returns:
        Values of an axis of `amsim.sweep`.

    Raises:
        ValueError: No condition.
    """
    part_of("where", where, Mapping)
    if not where:
        raise ValueError("Argument `where` must name at least one other axis, but is empty.")
    return Conditional(values, dict(where))


@dataclasses.dataclass(frozen=True)
class Block:
    """One dimension of a study.

    Attributes:
        dim: Its name.
        choices: Label and value of each entry, by path.
        where: Labels of other paths at which the dimension exists; empty where it always does.
    """

    dim: str
    choices: Mapping[str, Sequence[Choice]]
    where: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        """Entries where the dimension exists."""
        return len(next(iter(self.choices.values())))

    @property
    def size(self) -> int:
        """All entries, among them the one for where the dimension does not exist."""
        return self.count + bool(self.where)


def blocks(axes: Any) -> tuple[Block, ...]:
    """Dimensions of a study from what a user gives: a mapping, `Points`, or a sequence of these.

    Raises:
        ValueError: No axis, an empty one, a path or dimension named twice, values of the wrong kind, or a condition
            on something that is not an axis or not a value of one, or that comes later.
    """
    given = list(axes) if isinstance(axes, list | tuple) else [axes]
    found: list[Block] = []
    for one in given:
        if isinstance(one, Block):
            found.append(one)
        elif isinstance(one, Points):
            found.append(Block(one.dim, {path: _choices(path, values) for path, values in one.values.items()}))
        elif isinstance(one, Mapping):
            found.extend(_axis(path, values) for path, values in one.items())
        else:
            raise ValueError(
                "Argument `axes` must be a mapping of paths to values, `points`, `samples` or a list of these, but has "
                f"{one!r}."
            )
    if not found:
        raise ValueError("Argument `axes` must have at least one axis, but is empty.")
    names = [path for block in found for path in block.choices]
    names += [block.dim for block in found if block.dim not in block.choices]
    twice = _repeated(names)
    for name in names:
        if name in twice:
            raise ValueError(f"Argument `axes` must name nothing twice, but does so with {name!r}.")
        if name in ("die", "read"):
            raise ValueError(f"Argument `axes` must not name a dimension {name!r}, which is one of every study.")
    for number, block in enumerate(found):
        _check_condition(block, found[:number])
    return tuple(found)


def _axis(path: Any, values: Any) -> Block:
    part_of("axes", path, str)
    if isinstance(values, Conditional):
        where = {other: tuple(_listed(labels)) for other, labels in values.where.items()}
        return Block(path, {path: _different(path, values.values)}, where)
    return Block(path, {path: _different(path, values)})


def _check_condition(block: Block, before: Sequence[Block]) -> None:
    known = {path: [label for label, _ in choices] for one in before for path, choices in one.choices.items()}
    for other, labels in block.where.items():
        if other not in known:
            raise ValueError(
                f"Argument `axes` must have an axis {other!r} before {block.dim!r}, which exists only where that has "
                f"certain values; those before it are {', '.join(known) or 'none'}."
            )
        allowed = set(known[other])
        missing = [label for label in labels if not isinstance(label, Hashable) or label not in allowed]
        if missing or not labels:
            raise ValueError(
                f"Argument `axes` must have a condition of {block.dim!r} on values of {other!r}, which are "
                f"{known[other]}, but has {list(labels)}."
            )


def _different(path: str, values: Any) -> list[Choice]:
    """Choices of an axis, which select by their labels."""
    found = _choices(path, values)
    labels = [label for label, _ in found]
    twice = _repeated(labels)
    if twice:
        first = next(label for label in labels if label in twice)
        raise ValueError(f"Argument `axes` must have different values for {path!r}, but has {first!r} more than once.")
    return found


def _repeated(labels: Iterable[Any]) -> set[Any]:
    """Labels that are there more than once; in one pass, since an axis may be long."""
    return {label for label, count in Counter(labels).items() if count > 1}


def _choices(path: str, values: Any) -> list[Choice]:
    """Label and value of each entry: numbers, words and truth values label themselves, other things have names.

    None is `none`, and what stands beside it has the word for its label too.
    """
    if isinstance(values, Mapping):
        found = list(values.items())
        wrong = [label for label, _ in found if not isinstance(label, str) or not label]
    elif isinstance(values, list | tuple | range) or (hasattr(values, "ndim") and values.ndim == 1):
        # As a list, since taking numbers out of an array one by one is slow.
        listed = values.tolist() if type(values) is np.ndarray else values
        found = [_named(path, value) for value in listed]
        labels = [label for label, value in found if value is not None]
        kinds = {str if isinstance(label, str) else bool if isinstance(label, bool) else float for label in labels}
        left_out = len(labels) < len(found)
        wrong = labels if len(kinds) > 1 or (left_out and NONE in labels) else []
        found = [(str(label), value) for label, value in found] if left_out else found
    else:
        raise ValueError(f"Argument `axes` must have a list of values for {path!r}, but has {values!r}.")
    if not found:
        raise ValueError(f"Argument `axes` must have at least one value for {path!r}, but has none.")
    if wrong:
        raise ValueError(f"Argument `axes` must have labels of one kind for {path!r}, but has {wrong}.")
    return found


def _named(path: str, value: Any) -> Choice:
    if path == NETWORK and isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], str):
        return value[0], value[1:]
    if value is None:
        return NONE, None
    plain = value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value
    if isinstance(plain, str) and plain:
        return plain, plain
    if isinstance(plain, bool | int) or (isinstance(plain, float) and math.isfinite(plain)):
        return plain, plain
    raise ValueError(
        f"Argument `axes` must have finite numbers, words or None for {path!r}, or named values such as "
        f"{{'ideal': Adc()}}, but has {value!r}."
    )


def _listed(labels: Any) -> list[Any]:
    return list(labels) if isinstance(labels, list | tuple | set | range | np.ndarray) else [labels]


def _spread(path: str, limits: Any, unit: np.ndarray, logarithmic: bool) -> Any:
    if isinstance(limits, list):
        return [limits[int(place)] for place in np.minimum(unit * len(limits), len(limits) - 1)] if limits else []
    ok = isinstance(limits, tuple) and len(limits) == 2 and all(math.isfinite(limit) for limit in limits)
    if not ok or not limits[0] < limits[1] or (logarithmic and limits[0] <= 0):
        allowed = "(low, high) with low < high" + (" and above 0" if logarithmic else "") + ", or a list of values"
        raise ValueError(f"Argument `ranges` must have {allowed} for {path!r}, but has {limits!r}.")
    low, high = (math.log(limit) if logarithmic else float(limit) for limit in limits)
    spread = low + (high - low) * unit
    return np.exp(spread) if logarithmic else spread
