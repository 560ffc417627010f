"""Pictures of the model against its references."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from amsim.plot import style

BANDS = ((1.0, style.PALEST, "factor 2"), (0.3, style.PALE, "30 %"), (0.1, "#C4C4C4", "10 %"))
"""Tolerance, shade and name of the aims, the widest first."""


def plot_validation(report: xr.Dataset, *, level: str = "published chip", ax: Axes | None = None) -> Axes:
    """Draw the model over its reference for every rung of a level, with the aims as bands.

    Filled markers are calibrated on the figure, open ones predicted; squares were held out. A miss has a cross.

    Args:
        report: Result of `amsim.validate`.
        level: Level of the ladder.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a Dataset, or no rung of this level with a ratio above 0.
    """
    style.check_dataset("report", report, ("ratio", "level", "kind", "held_out", "within"), ("rung",))
    ratios = report["ratio"].values
    chosen = np.flatnonzero((report["level"].values == level) & np.isfinite(ratios) & (ratios > 0))
    if not chosen.size:
        known = ", ".join(sorted(set(map(str, report["level"].values))))
        raise ValueError(f"Argument `level` must have rungs with a ratio, such as those of {known}, but is {level!r}.")
    rungs = report.isel(rung=chosen)
    ratios = rungs["ratio"].values

    ax = style.own_axes(ax, (8.0, 1.4 + 0.24 * len(ratios)))
    ax.set_xscale("log")
    for tolerance, shade, name in BANDS:
        ax.axvspan(1 / (1 + tolerance), 1 + tolerance, color=shade, zorder=0, label=f"within {name}")
    ax.axvline(1, color=style.GREY, linewidth=0.8, zorder=1)
    for place, ratio in enumerate(ratios):
        rung = rungs.isel(rung=place)
        calibrated, held_out = "calibrated" in str(rung["kind"].values), bool(rung["held_out"])
        marker, colour = ("s", style.VERMILLION) if held_out else ("o", style.BLUE)
        face = colour if calibrated else "white"
        ax.plot(ratio, place, marker, color=colour, markerfacecolor=face, markersize=6, zorder=3)
        if not bool(rung["within"]):
            ax.plot(ratio, place, "x", color=style.BLACK, markersize=9, markeredgewidth=1.6, zorder=4)
    ax.plot([], [], "o", color=style.BLUE, label="calibrated on this figure")
    ax.plot([], [], "o", color=style.BLUE, markerfacecolor="white", label="predicted")
    ax.plot([], [], "s", color=style.VERMILLION, markerfacecolor="white", label="predicted, held out")
    ax.plot([], [], "x", color=style.BLACK, markeredgewidth=1.6, label="beyond its tolerance")
    ax.set_yticks(np.arange(len(ratios)), [str(name) for name in rungs["rung"].values])
    ax.set_ylim(len(ratios) - 0.5, -0.5)
    ax.set_xlim(min(0.3, 0.9 * ratios.min()), max(3.4, 1.1 * ratios.max()))
    _ratio_ticks(ax)
    style.finish(ax, "model over reference (1)", "", grid="x", columns=4)
    ax.tick_params(axis="y", length=0)
    return ax


def _ratio_ticks(ax: Axes) -> None:
    ax.xaxis.set_major_locator(FixedLocator([0.25, 0.5, 1 / 1.3, 1.0, 1.3, 2.0, 4.0]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
