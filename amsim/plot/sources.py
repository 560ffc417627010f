"""Picture of the cost of each source of error, alone and among all others."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from amsim.circuits.checks import text
from amsim.plot import axes, style
from amsim.statistics.dies import paired_difference

PARTS = (
    ("lost by this source alone", style.BLUE, ""),
    ("gained when only this one is off", style.ORANGE, "//"),
)


def plot_switched_sources(result: xr.Dataset, *, quantity: str = "accuracy", ax: Axes | None = None) -> Axes:
    """Draw the loss due to each source of error alone, and the gain when it alone is off, the largest on top.

    Means of the differences on the same dies with their 95 % intervals. Where sources mask one another, the second bar
    of each is shorter than the first; where together they cost more than their sum, longer.

    Args:
        result: Result of `amsim.switched_sources`.
        quantity: Variable that errors make smaller; reads of a die are averaged first, components of energy added.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, not of switched sources, or further axes, of which one value each must be selected.
    """
    text(quantity=quantity)
    names = (quantity, f"{quantity}_all", f"{quantity}_none")
    style.check_dataset("result", result, names, ("source", "state"))
    values, everything, nothing = (axes.by_die("result", result, name) for name in names)
    axes.check_axes("result", values, ("source", "state"))
    lost = _difference(nothing, values.sel(state="this alone"))
    back = _difference(values.sel(state="all but this"), everything)
    whole = _difference(nothing, everything)
    size = np.fmax(np.abs(lost[0]), np.abs(back[0]))
    order = np.argsort(np.where(np.isfinite(size), size, -1.0))

    ax = style.own_axes(ax, (7.0, 1.4 + 0.5 * len(order)))
    place = np.arange(len(order))
    for (label, colour, hatch), found, shift in zip(PARTS, (lost, back), (0.19, -0.19), strict=True):
        mean, low, high = (one[order] for one in found)
        bars = ax.barh(place + shift, mean, 0.36, color=colour, label=label, zorder=2)
        for bar in bars:
            assert isinstance(bar, Rectangle)
            bar.set(hatch=hatch, edgecolor=style.BLACK, linewidth=0.6)
        known = high > low
        ends = np.stack([mean - low, high - mean])[:, known]
        ax.errorbar(mean[known], (place + shift)[known], xerr=ends, fmt="none", ecolor=style.BLACK, capsize=3, zorder=3)
    unit = str(values.attrs.get("units", "1"))
    total = f"all sources together, {axes.with_unit(float(f'{float(whole[0]):.3g}'), unit)}"
    ax.axvline(float(whole[0]), color=style.VERMILLION, linestyle="--", linewidth=1.2, label=total)
    ax.axvline(0.0, color=style.BLACK, linewidth=0.8)
    ax.set_yticks(place, [str(name) for name in result["source"].values[order]])
    axes.prefixed_ticks(ax.xaxis, values)
    style.finish(ax, f"lost {axes.axis_label(values)}", "", grid="x", columns=2)
    return ax


def _difference(values: xr.DataArray, reference: xr.DataArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference and its interval; without dies, or with one, the difference alone."""
    if values.sizes.get("die", 0) < 2:
        dies = [dim for dim in ("die",) if dim in values.dims]
        alone = (values - reference).mean(dies, skipna=False).values
        return alone, alone, alone
    found = paired_difference(values, reference)
    return found["difference"].values, found["low"].values, found["high"].values
