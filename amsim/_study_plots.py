"""Pictures of studies: a measured quantity against an axis, with the spread of the dies."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from amsim import _plot_style as style

COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.BLACK, style.ORANGE, style.SKY_BLUE)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

PREFIXED = ("F", "V", "A", "s", "Hz", "J", "W", "Ohm")
"""Units that take an SI prefix."""


def plot_sweep(
    study: xr.Dataset,
    quantity: str = "accuracy",
    *,
    x: str | None = None,
    hue: str | None = None,
    logarithmic: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity of a study against one of its axes: the mean over dies, and a band from the worst to the best.

    Args:
        study: Result of `amsim.sweep`.
        quantity: Variable to draw; reads of a die are averaged first.
        x: Numeric axis; None takes the first one.
        hue: Axis with a curve for each value; None takes the other one, if there is one.
        logarithmic: Whether the horizontal axis is.
        ax: Where to draw; None makes a figure.

    Raises:
        ValueError: No Dataset, an unknown variable or axis, an axis of words as `x`, or further axes, of which one
            value each must be selected first.
    """
    style.check_dataset("study", study, (quantity,), ())
    values = study[quantity]
    values = values.mean("read", skipna=False) if "read" in values.dims else values
    axes = [str(dim) for dim in values.dims if dim != "die"]
    x = next((dim for dim in axes if dim != hue and study[dim].dtype.kind in "if"), None) if x is None else x
    hue = next((dim for dim in axes if dim != x), None) if hue is None else hue
    if x not in axes or study[x].dtype.kind not in "if":
        raise ValueError(
            f"Argument `x` must be an axis of numbers of {quantity!r}, which is over {axes}, but is {x!r}."
        )
    if set(axes) != {x} | ({hue} if hue else set()):
        raise ValueError(
            f"Argument `study` must have {quantity!r} over {x!r} and at most one other axis, but has {axes}; select "
            "one value of each other axis first, as in study.sel(...)."
        )
    ax = style.own_axes(ax, (6.0, 4.0))
    curves = (
        [(None, values)] if hue is None else [(one, values.isel({hue: i})) for i, one in enumerate(study[hue].values)]
    )
    drawn = 0
    for label, curve in curves:
        if curve.isnull().all():
            continue
        _curve(ax, curve, x, drawn, None if label is None else _said(study[str(hue)], label))
        drawn += 1
    if logarithmic:
        ax.set_xscale("log")
    unit = study[x].attrs.get("units", "1")
    if unit in PREFIXED:
        ax.xaxis.set_major_formatter(EngFormatter(unit))
    ax.margins(x=0.03)
    style.finish(ax, _axis_label(study[x]), _axis_label(values), grid="both", columns=3)
    return ax


def _curve(ax: Axes, curve: xr.DataArray, x: str, number: int, label: str | None) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    ordered = curve.sortby(x)
    at = ordered[x].values
    by_die = ordered.transpose("die", x).values if "die" in ordered.dims else ordered.values[None]
    known = np.isfinite(at) & np.all(np.isfinite(by_die), axis=0)
    at, by_die = at[known], by_die[:, known]
    options: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5, "zorder": 3}
    dies = len(by_die)
    name = label if dies == 1 else f"{label + ', ' if label else ''}mean and range of {dies} dies"
    ax.plot(at, by_die.mean(axis=0), label=name, **options)
    if dies > 1:
        ax.fill_between(at, by_die.min(axis=0), by_die.max(axis=0), color=colour, alpha=0.2, linewidth=0, zorder=2)


def _said(axis: xr.DataArray, value: Any) -> str:
    name, unit = axis.attrs.get("long_name", axis.name), axis.attrs.get("units", "1")
    if isinstance(value, str):
        return value or f"without {name}"
    if np.isnan(value):
        return f"without {name}"
    if unit in PREFIXED:
        return f"{name} {EngFormatter(unit)(float(value))}"
    return f"{name} {value:g}" + ("" if unit == "1" else f" {unit}")


def _axis_label(values: xr.DataArray) -> str:
    unit = values.attrs.get("units", "1")
    name = values.attrs.get("long_name", values.name)
    return f"{name}" if unit == "1" else f"{name} ({unit})"
