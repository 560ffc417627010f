"""Each quantity of a result at its points: mean, interval, and the single dies, as the result declares them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from amsim.plot.axes import value_text
from amsim.results.units import scale_of
from amsim.statistics.intervals import interval_names, student_half_width

INNER = ("die", "read", "component")
"""Dimensions of a result that are no axes: dies and reads are averaged, components added."""


@dataclass(frozen=True)
class Summary:
    """A quantity over the points of a result.

    Attributes:
        name: Name of the variable.
        long_name: Its words.
        unit: Its unit.
        axes: Dimensions that are settings, in order; the arrays below have one axis for each.
        mean: Mean over dies and reads, components added.
        low: Lower end of its 95 % interval, or None where there is none; NaN for a single die.
        high: Upper end.
        dies: The mean of each die, its first axis, or None where the quantity is not over dies.
    """

    name: str
    long_name: str
    unit: str
    axes: tuple[str, ...]
    mean: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    dies: np.ndarray | None

    @property
    def is_share(self) -> bool:
        """Whether the quantity is a share that readers know in percent."""
        return self.unit == "1" and self.name.startswith(("accuracy", "yield"))

    @property
    def on_axis(self) -> tuple[float, str]:
        """Factor and unit of the numbers on an axis, which writes prefixes itself."""
        if self.is_share:
            return 100.0, "%"
        return scale_of(1.0, self.unit) if self.unit == "m2" else (1.0, "" if self.unit == "1" else self.unit)


def summary_of(result: xr.Dataset, name: str, axes: tuple[str, ...] | None = None) -> Summary:
    """Summary of a variable, with the interval that the result has for it, else Student's over its dies.

    Args:
        result: Any result.
        name: A variable of numbers.
        axes: Dimensions of the summary; None takes those of the variable that are settings. Along another one the
            values are repeated.
    """
    values = result[name]
    chosen = axes_of(values) if axes is None else axes
    wide = values.astype(float)
    wide = wide.sum("component", skipna=False) if "component" in wide.dims else wide
    wide = wide.mean([dim for dim in wide.dims if dim not in (*chosen, "die")], skipna=False)
    wide = wide.expand_dims({dim: result.sizes[dim] for dim in chosen if dim not in wide.dims})
    dies = wide.transpose("die", *chosen).values if "die" in wide.dims else None
    mean = wide.transpose(*chosen).values if dies is None else dies.mean(axis=0)
    low, high = _interval(result, name, chosen, mean, dies)
    attributes = values.attrs
    long_name, unit = str(attributes.get("long_name", name)), str(attributes.get("units", "1"))
    return Summary(name, long_name, unit, chosen, mean, low, high, dies)


def summaries(result: xr.Dataset, most: int) -> Iterator[Summary]:
    """Summary of each variable of numbers over at most so many points, without the ends of intervals of others."""
    ends = {end for name in map(str, result.data_vars) for end in interval_names(name)} - set(result.dims)
    for name, values in result.data_vars.items():
        points = np.prod([result.sizes[dim] for dim in axes_of(values)], dtype=int)
        if values.dtype.kind in "fiu" and str(name) not in ends and 0 < points <= most:
            yield summary_of(result, str(name))


def axes_of(values: xr.DataArray) -> tuple[str, ...]:
    """Dimensions that are settings."""
    return tuple(str(dim) for dim in values.dims if dim not in INNER)


def point_names(result: xr.Dataset, axes: tuple[str, ...], *, short: bool = False) -> list[str]:
    """Each point of these axes in words, in the order of an array over them; "all" where there are no axes.

    Args:
        result: Any result.
        axes: Dimensions.
        short: Values alone, without the names of their settings.
    """
    shape = [result.sizes[dim] for dim in axes]
    return [", ".join(filter(None, _words(result, axes, place, short))) or "all" for place in np.ndindex(*shape)]


def settings_over(result: xr.Dataset, dim: str) -> list[str]:
    """Coordinates along an axis that say what its points are."""
    held = [str(name) for name, one in result.coords.items() if one.dims == (dim,)]
    return [name for name in held if name not in ("point", "sample")]


def _words(result: xr.Dataset, axes: tuple[str, ...], place: tuple[int, ...], short: bool) -> Iterator[str]:
    for dim, index in zip(axes, place, strict=True):
        held = settings_over(result, dim)
        for name in held:
            value: Any = result[name].values[index].item()
            missing = value == "" if isinstance(value, str) else not np.isfinite(value)
            text = value_text(result[name], value, name=not short and not isinstance(value, str))
            yield "" if missing and len(held) > 1 else text.replace("µ", "u")
        if not held:
            yield f"{dim} {index}"


def _interval(
    result: xr.Dataset, name: str, axes: tuple[str, ...], mean: np.ndarray, dies: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    _, *ends = interval_names(name)
    if all(end in result and axes_of(result[end]) == axes for end in ends):
        low, high = (result[end].values.astype(float) for end in ends)
        return low, high
    if dies is None:
        return None, None
    count = len(dies)
    spread = dies.std(axis=0, ddof=1) if count > 1 else np.full(mean.shape, np.nan)
    half = student_half_width(spread, count)
    return mean - half, mean + half
