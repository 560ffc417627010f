"""Quantities, axes and labels of pictures of studies, from the units and names of a Dataset."""

from collections.abc import Collection, Hashable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, NullLocator

from amsim.circuits.checks import some_items
from amsim.plot import style
from amsim.results.units import PREFIXED, SQUARE_MILLIMETRES

COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.BLACK, style.ORANGE, style.SKY_BLUE)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

POPULATION = ("die", "read")

WHOLE = 8
"""Most whole numbers on an axis that each get a tick."""

EVEN = 1e-3
"""Relative spread of the steps of a series below which they count as equal: the rounding of float32."""

WIDE = 10.0
"""Ratio of largest to smallest value from which an axis is logarithmic, unless its values are evenly spaced."""


def by_die(name: str, study: Any, quantity: str, *, argument: str = "quantity") -> xr.DataArray:
    """Quantity of a study over its axes and `die`: reads are averaged, components of energy added.

    Args:
        name: Name of the argument that holds the study, for errors.
        study: Result of a study.
        quantity: Variable.
        argument: Name of the argument that names the variable, for errors.

    Raises:
        ValueError: Not a Dataset, no such variable, or one that is not of numbers.
    """
    style.check_dataset(name, study, (), ())
    some_items(**{name: study.data_vars})
    style.check_variable(argument, quantity, study)
    values = study[quantity]
    if values.dtype.kind not in "fiub":
        raise ValueError(f"Argument `{name}` must have numbers as {quantity!r}, but has {values.dtype}.")
    if "read" in values.dims:
        values = values.mean("read", skipna=False, keep_attrs=True)
    if "component" in values.dims:
        values = values.sum("component", skipna=False, keep_attrs=True)
    return values


def own_axes_of(values: xr.DataArray) -> list[str]:
    """Dimensions that are settings, not dies or reads."""
    return [str(dim) for dim in values.dims if dim not in POPULATION]


def is_numeric(values: xr.DataArray) -> bool:
    """Whether an axis has numbers."""
    return values.dtype.kind in "if"


def axis_label(values: xr.DataArray) -> str:
    """Name and unit of a variable or coordinate; an SI prefix is on the ticks."""
    unit = values.attrs.get("units", "1")
    name = values.attrs.get("long_name", values.name)
    return f"{name}" if unit == "1" else f"{name} ({'mm2' if unit == 'm2' else unit})"


def value_text(axis: xr.DataArray, value: Any, *, name: bool = True) -> str:
    """Value of an axis as text, such as "comparator noise 1 mV", or without the name of the axis."""
    long_name, unit = axis.attrs.get("long_name", axis.name), axis.attrs.get("units", "1")
    if isinstance(value, str):
        return value or f"without {long_name}"
    if np.isnan(value):
        return f"without {long_name}"
    text = with_unit(value, unit)
    return f"{long_name} {text}" if name else text


def with_unit(value: Any, unit: str) -> str:
    """Number with three digits and its unit, with an SI prefix where that is usual."""
    if unit in PREFIXED:
        return EngFormatter(unit)(float(f"{float(value):.3g}"))
    if unit == "m2":
        return f"{SQUARE_MILLIMETRES * value:.3g} mm2"
    return f"{value:g}" + ("" if unit == "1" else f" {unit}")


def number_axis(axis: Axis, values: xr.DataArray, *, logarithmic: bool) -> None:
    """Set the ticks of an axis of numbers: SI prefixes, and no more than there is room for."""
    spread = np.abs(values.values[np.isfinite(values.values)])
    if values.dtype.kind == "i" and len(np.unique(spread)) <= WHOLE:
        axis.set_major_locator(FixedLocator([float(value) for value in np.unique(values.values)]))
        axis.set_minor_locator(NullLocator())
    elif logarithmic:
        decades = np.log10(spread.max() / spread.min()) if spread.size else 1.0
        subs = (1.0, 2.0, 5.0) if decades <= 1.2 else (1.0, 3.0) if decades <= 2.5 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_minor_locator(NullLocator() if len(subs) == 3 else LogLocator(subs=tuple(range(2, 10))))
    if logarithmic:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    prefixed_ticks(axis, values)


def prefixed_ticks(axis: Axis, values: xr.DataArray) -> None:
    """Set ticks with SI prefixes, such as 30 fF, where the unit takes them, and areas in mm2."""
    unit = values.attrs.get("units", "1")
    if unit in PREFIXED:
        axis.set_major_formatter(EngFormatter(unit))
    if unit == "m2":
        axis.set_major_formatter(lambda value, _: f"{SQUARE_MILLIMETRES * value:.4g}")


def set_scale(ax: Axes, which: str, values: xr.DataArray, *, logarithmic: bool) -> None:
    """Set the scale and the ticks of the x or y axis."""
    if logarithmic:
        (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    number_axis(ax.xaxis if which == "x" else ax.yaxis, values, logarithmic=logarithmic)


def is_logarithmic(values: xr.DataArray, chosen: bool | Collection[str] | None = None) -> bool:
    """Whether an axis of numbers is logarithmic: as chosen, else for a geometric series or a decade of uneven steps.

    Raises:
        ValueError: A logarithmic axis with values that are not above 0.
    """
    numbers = np.unique(values.values[np.isfinite(values.values)].astype(float))
    if chosen is not None:
        wanted = chosen if isinstance(chosen, bool) else values.name in chosen
        if wanted and not np.all(numbers > 0):
            raise ValueError(
                f"Argument `logarithmic` must name axes above 0, but {values.name!r} has {numbers.min():g}."
            )
        return wanted
    if len(numbers) < 2 or numbers[0] <= 0:
        return False
    wide = bool(numbers[-1] >= WIDE * numbers[0])
    if len(numbers) == 2:
        return wide
    steps, ratios = (float(np.std(gaps) / np.mean(gaps)) for gaps in (np.diff(numbers), np.diff(np.log(numbers))))
    return ratios < min(steps, np.inf if wide else EVEN)


def numeric_axis(argument: str, values: xr.DataArray, name: Hashable) -> xr.DataArray:
    """Axis of numbers of that name.

    Raises:
        ValueError: There is none, naming those that there are.
    """
    axes = [dim for dim in own_axes_of(values) if is_numeric(values[dim])]
    if name not in axes:
        raise ValueError(
            f"Argument `{argument}` must be an axis of numbers of {values.name!r}, of {axes}, but is {name!r}."
        )
    return values[name]


def check_axes(argument: str, values: xr.DataArray, drawn: Collection[str]) -> None:
    """Raise ValueError unless the quantity is over dies and the drawn axes only."""
    more = [dim for dim in own_axes_of(values) if dim not in drawn]
    if more:
        listed = " and ".join(repr(one) for one in drawn) or "no axis"
        raise ValueError(
            f"Argument `{argument}` must have {values.name!r} over {listed}, but has it over {', '.join(more)} too; "
            f"select one value first, as in {argument}.sel(...)."
        )
