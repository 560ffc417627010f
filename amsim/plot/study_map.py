"""Picture of a study over two of its axes, with lines of equal value."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import MaxNLocator

from amsim.plot import axes, style

COLOURS = ListedColormap(colormaps["cividis"](np.linspace(0.3, 1.0, 256)))
"""Colour map that rises in brightness and is nowhere so dark that a black line vanishes."""

PIECES = 16
"""Pieces of a line between two edges of the grid."""

LINES = 6
"""Approximate number of lines of equal value."""


def plot_sweep_map(
    result: xr.Dataset,
    *,
    x: str,
    y: str,
    quantity: str = "accuracy",
    levels: Sequence[float] | None = None,
    lines: str | None = None,
    logarithmic: bool | Collection[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity over two axes of a study as a colour map, with labelled lines of equal value.

    Means over dies and reads; the colour of a cell is that of the point in it, lines are interpolated between points,
    in the logarithm of a logarithmic axis. Points that are not computed are hatched, and no line crosses them.

    Args:
        result: Result of `amsim.sweep`.
        x: Axis of numbers from left to right.
        y: Axis of numbers upwards.
        quantity: Variable of the colours and of the solid lines; components of energy are added.
        levels: Values of the solid lines; None takes round ones.
        lines: Further variable, drawn as dashed lines, such as "energy" over a map of the accuracy.
        logarithmic: Whether axes are, both or those named; None decides by the spacing of their values.
        ax: Where to draw; None makes a figure. The colour bar takes part of its area.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, an unknown variable, axes that are not two different ones of numbers, further axes,
            of which one value each must be selected first, or levels that do not increase.
    """
    field = _field("quantity", result, quantity, x, y)
    second = None if lines is None else _field("lines", result, lines, x, y)
    scales = [axes.is_logarithmic(field[name], logarithmic) for name in (x, y)]
    known = field.values[np.isfinite(field.values)]
    if not known.size:
        raise ValueError(f"Argument `result` must have a computed point of {quantity!r}, but all are NaN.")
    wanted = _levels(field) if levels is None else _check_levels(levels)

    ax = style.own_axes(ax, (6.4, 4.6))
    for which, name, scale in zip("xy", (x, y), scales, strict=True):
        axes.set_scale(ax, which, field[name], logarithmic=scale)
    edges = [_edges(field[name].values.astype(float), scale) for name, scale in zip((x, y), scales, strict=True)]
    norm = Normalize(known.min(), known.max())
    ax.pcolormesh(*edges, np.ma.masked_invalid(field.values), cmap=COLOURS, norm=norm, zorder=1)
    handles: list[Artist] = [_hatch_missing(ax, field.values, edges)] if known.size < field.size else []
    ax.set_xlim(edges[0][0], edges[0][-1])
    ax.set_ylim(edges[1][0], edges[1][-1])

    _colour_bar(ax, norm, field)
    if second is not None and _draw_lines(ax, second, scales, _levels(second), colour=style.VERMILLION, dashed=True):
        handles.insert(0, Line2D([], [], color=style.VERMILLION, linestyle="--", label=_name(second)))
    if _draw_lines(ax, field, scales, wanted, colour=style.BLACK, dashed=False):
        handles.insert(0, Line2D([], [], color=style.BLACK, label=_name(field)))
    style.finish(ax, axes.axis_label(result[x]), axes.axis_label(result[y]), grid="both", columns=3, legend=handles)
    ax.grid(visible=False)
    return ax


def _field(argument: str, result: xr.Dataset, quantity: str, x: str, y: str) -> xr.DataArray:
    """Means over (y, x), both rising, without the entry where a conditional axis does not apply."""
    values = axes.by_die("result", result, quantity, argument=argument)
    axes.numeric_axis("x", values, x)
    axes.numeric_axis("y", values, y)
    if x == y:
        raise ValueError(f"Argument `y` must be another axis than `x`, but both are {x!r}.")
    axes.check_axes("result", values, (x, y))
    if "die" in values.dims:
        values = values.mean("die", skipna=False, keep_attrs=True)
    for name in (x, y):
        values = values.isel({name: np.isfinite(values[name].values)}).sortby(name)
        if not values.sizes[name]:
            raise ValueError(f"Argument `result` must not be empty, but has no {name}.")
    return values.transpose(y, x).rename(quantity)


def _levels(field: xr.DataArray) -> np.ndarray:
    known = field.values[np.isfinite(field.values)]
    if not known.size:
        return known
    low, high = float(known.min()), float(known.max())
    if low > 0 and high > 30 * low:
        ends = np.floor(np.log10(low)), np.ceil(np.log10(high))
        decades = 10.0 ** np.arange(*ends)
        ticks = np.sort(np.concatenate([decades, 3 * decades] if len(decades) < LINES else [decades]))
    else:
        ticks = np.asarray(MaxNLocator(LINES, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    return ticks[(ticks > low) & (ticks < high)]


def _check_levels(levels: Sequence[float]) -> np.ndarray:
    found = np.asarray(levels, float)
    if found.ndim != 1 or not found.size or not np.all(np.isfinite(found)) or np.any(np.diff(found) <= 0):
        raise ValueError(f"Argument `levels` must be finite numbers that increase, but is {levels!r}.")
    return found


def _edges(places: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Ends of cells half way between points, in the scale of the axis."""
    at = np.log(places) if logarithmic else places
    if len(at) == 1:
        edges = at[0] + np.array([-0.5, 0.5]) * (1.0 if logarithmic or at[0] == 0 else 0.1 * abs(at[0]))
    else:
        middle = (at[1:] + at[:-1]) / 2
        edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.exp(edges) if logarithmic else edges


def _hatch_missing(ax: Axes, values: np.ndarray, edges: list[np.ndarray]) -> Patch:
    """Hatch cells without a value; returns the entry of the legend."""
    missing = np.where(np.isfinite(values), np.nan, 0.0)
    look: dict[str, Any] = {"facecolor": "white", "edgecolor": style.GREY, "hatch": "////", "linewidth": 0.0}
    for row, column in np.argwhere(np.isfinite(missing)):
        low, high = edges[0][column : column + 2]
        ax.fill_between([low, high], edges[1][row], edges[1][row + 1], zorder=1, **look)
    return Patch(label="not computed", **look)


def _draw_lines(
    ax: Axes, field: xr.DataArray, scales: list[bool], levels: np.ndarray, *, colour: str, dashed: bool
) -> bool:
    """Draw lines of equal value with their labels; returns whether there are any."""
    if min(field.shape) < 2 or not levels.size:
        return False
    places = [field[name].values.astype(float) for name in reversed(field.dims)]
    x, y = (np.log(at) if scale else at for at, scale in zip(places, scales, strict=True))
    # Lines are found where the axes are even, so that they are interpolated as the eye does it.
    scratch = Figure().add_subplot().contour(x, y, np.ma.masked_invalid(field.values), levels=levels)
    found = [[_in_data(line, scales) for line in segments if len(line) > 1] for segments in scratch.allsegs]
    drawn = [(level, lines) for level, lines in zip(levels, found, strict=True) if lines]
    if not drawn:
        return False
    contours = ContourSet(
        ax, [level for level, _ in drawn], [lines for _, lines in drawn], colors=colour,
        linewidths=1.6 if dashed else 1.2, linestyles="dashed" if dashed else "solid", zorder=3,
    )  # fmt: skip
    halo: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="white", alpha=0.6)]
    contours.set(path_effects=halo)
    unit = field.attrs.get("units", "1")
    names = {level: axes.with_unit(level, unit) for level, _ in drawn}
    for text in ax.clabel(contours, fontsize=style.font_size(), fmt=names, inline_spacing=3):
        text.set_path_effects(halo)
    return True


def _in_data(line: np.ndarray, scales: list[bool]) -> np.ndarray:
    # Closely spaced, since a label cuts its line straight in the data, not in their logarithm.
    line = np.asarray(Path(line).interpolated(PIECES).vertices)
    return np.stack([np.exp(line[:, n]) if scale else line[:, n] for n, scale in enumerate(scales)], axis=1)


def _colour_bar(ax: Axes, norm: Normalize, field: xr.DataArray) -> None:
    bar = ax.figure.figure.colorbar(ScalarMappable(norm, COLOURS), ax=ax, pad=0.02)
    axes.prefixed_ticks(bar.ax.yaxis, field)
    bar.set_label(axes.axis_label(field), fontsize=style.title_size())
    bar.ax.tick_params(labelsize=style.font_size())
    bar.outline.set_visible(False)


def _name(field: xr.DataArray) -> str:
    return f"equal {field.attrs.get('long_name', field.name)}"
