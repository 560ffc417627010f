"""Points of a study in groups that share one compiled program: static settings differ between groups only."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from amsim.studies.axes import HARDWARE, NETWORK, Block
from amsim.system.accelerator import Accelerator
from amsim.system.settings import setting, with_settings


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Points that one compiled program serves.

    Attributes:
        hardware: Hardware with the static settings of all its points.
        network: Value of the axis `network`, or None without one.
        names: Labels of its static settings.
        places: Index of each point in the study, counted in row-major order of the dimensions.
        values: Continuous settings of each point by path, shape (points,).
    """

    hardware: Any
    network: Any
    names: Mapping[str, Any]
    places: np.ndarray
    values: Mapping[str, np.ndarray]


def groups(dims: Sequence[Block], hardware: Any, *, networks: bool) -> tuple[Group, ...]:
    """All points of a study in groups, each setting checked.

    Args:
        dims: Dimensions of the study.
        hardware: Hardware that the settings belong to, unless an axis `hardware` gives it.
        networks: Whether the study takes an axis `network`.

    Raises:
        ValueError: An unknown path or a value that its setting does not allow, named; no hardware.
    """
    paths = [path for block in dims for path in block.choices]
    if NETWORK in paths and not networks:
        raise ValueError("Argument `axes` must name settings; an axis `network` needs a study of networks.")
    places = _points(dims)
    continuous = {path for path in paths if path not in (NETWORK, HARDWARE) and _continuous(places, path, hardware)}
    members: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
    for place, point in places:
        static = tuple((path, label) for path, (label, _) in point.items() if path not in continuous)
        present = tuple(path for path in point if path in continuous)
        members.setdefault((static, present), []).append((place, point))
    return tuple(_group(held, continuous, hardware) for held in members.values())


def _points(dims: Sequence[Block]) -> list[tuple[int, dict[str, Any]]]:
    """Every point that exists: its place, and label and value per path that it sets."""
    shape = tuple(block.size for block in dims)
    conditions = [{path: frozenset(labels) for path, labels in block.where.items()} for block in dims]
    found = []
    for place, indices in enumerate(itertools.product(*map(range, shape))):
        point: dict[str, Any] = {}
        for block, where, index in zip(dims, conditions, indices, strict=True):
            exists = all(path in point and point[path][0] in labels for path, labels in where.items())
            if exists != (index < block.count):
                break
            if exists:
                point |= {path: choices[index] for path, choices in block.choices.items()}
        else:
            found.append((place, point))
    return found


def _continuous(places: Sequence[tuple[int, dict[str, Any]]], path: str, hardware: Any) -> bool:
    """Whether a path leads to a continuous setting, so that its values can be traced."""
    points = [point for _, point in places if path in point]
    if not all(_is_number(point[path][1]) for point in points):
        return False
    changed = _changed(_base(points[0], hardware), {path: one[1] for path, one in points[0].items()})
    value = setting(changed, path)
    return bool(eqx.is_inexact_array(value)) and value.shape == ()


def _group(held: Sequence[tuple[int, dict[str, Any]]], continuous: set[str], hardware: Any) -> Group:
    first = held[0][1]
    static = {path: choice for path, choice in first.items() if path not in continuous}
    values = {path: np.array([point[path][1] for _, point in held], float) for path in first if path in continuous}
    settings = {path: value for path, (_, value) in static.items()}
    base = _base(first, hardware)
    # Allowed values form an interval, so checking the smallest and largest is enough.
    for ends in (np.min, np.max):
        for path in values:
            _changed(base, settings | {other: many[0] for other, many in values.items()} | {path: ends(values[path])})
    network = first[NETWORK][1] if NETWORK in first else None
    labels = {path: label for path, (label, _) in static.items()}
    # With a value at every path, so that a part that is None by default can be replaced.
    first_values = {path: many[0] for path, many in values.items()}
    return Group(
        _changed(base, settings | first_values), network, labels, np.array([place for place, _ in held]), values
    )


def _base(point: Mapping[str, Any], hardware: Any) -> Any:
    found = point[HARDWARE][1] if HARDWARE in point else hardware
    if found is None:
        raise ValueError("Argument `hardware` must be given, since `axes` sets something of it.")
    Accelerator.of(found)  # raises unless it is hardware
    return found


def _changed(hardware: Any, values: Mapping[str, Any]) -> Any:
    """The hardware with settings changed one after the other, whole parts before settings inside them."""
    for path in sorted(values, key=lambda name: name.count(".")):
        if path not in (NETWORK, HARDWARE):
            try:
                hardware = with_settings(hardware, {path: values[path]})
            except ValueError as error:
                if repr(path) in str(error):
                    raise
                raise ValueError(f"Argument `axes` must have values that {path!r} allows. {error}") from error
    return hardware


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
