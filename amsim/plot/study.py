"""Pictures of studies: a measured quantity against an axis, with the spread of the dies."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from amsim.plot import axes, style


def plot_sweep(
    study: xr.Dataset,
    quantity: str = "accuracy",
    *,
    x: str | None = None,
    hue: str | None = None,
    logarithmic: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity of a study against one of its axes: the mean over dies, and a band from the worst to the best.

    Args:
        study: Result of `amsim.sweep`.
        quantity: Variable to draw; reads of a die are averaged first.
        x: Numeric axis; None takes the first one.
        hue: Axis with a curve for each value; None takes the other axis, if any.
        logarithmic: Whether the horizontal axis is; None decides by the spacing of its values.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, an unknown variable or axis, an axis of words as `x`, or further axes, of which one
            value each must be selected first, or nothing but missing values.
    """
    values = axes.by_die("study", study, quantity)
    found = axes.own_axes_of(values)
    x = next((dim for dim in found if dim != hue and axes.is_numeric(study[dim])), None) if x is None else x
    hue = next((dim for dim in found if dim != x), None) if hue is None else hue
    x = str(axes.numeric_axis("x", values, x).name)
    if hue is not None and hue not in found:
        raise ValueError(f"Argument `hue` must be an axis of {quantity!r}, of {found}, but is {hue!r}.")
    axes.check_axes("study", values, (x, hue) if hue else (x,))
    ax = style.own_axes(ax, (6.0, 4.0))
    curves = (
        [(None, values)] if hue is None else [(one, values.isel({hue: i})) for i, one in enumerate(study[hue].values)]
    )
    drawn = 0
    for label, curve in curves:
        if curve.isnull().all():
            continue
        _curve(ax, curve, x, drawn, None if label is None else axes.value_text(study[str(hue)], label))
        drawn += 1
    if not drawn:
        raise ValueError(f"Argument `study` must have values of {quantity!r}, but all of them are missing.")
    axes.set_scale(ax, "x", study[x], logarithmic=axes.is_logarithmic(study[x], logarithmic))
    axes.prefixed_ticks(ax.yaxis, values)
    ax.margins(x=0.03)
    style.finish(ax, axes.axis_label(study[x]), axes.axis_label(values), grid="both", columns=3)
    return ax


def _curve(ax: Axes, curve: xr.DataArray, x: str, number: int, label: str | None) -> None:
    colour, marker = axes.COLOURS[number % len(axes.COLOURS)], axes.MARKERS[number % len(axes.MARKERS)]
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
