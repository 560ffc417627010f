"""Explorations: every trained network on every circuit, accuracy against energy, and the front that no other beats."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from amsim.plot import style
from amsim.plot.label_placement import place_labels
from amsim.plot.pareto import draw_front, point_label
from amsim.results.best_dots import NONE, check_best_dots, winner

FEW_DECADES = 300
"""Ratio of energies up to which an axis, wider by a factor of 4, has room for marks at 1, 2 and 5 of each decade."""


def plot_exploration(result: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each dot against its energy, with the accuracies that were asked for.

    Dots without an accuracy, or without a design point within the limits, are left out. Those of the front are full and
    joined by steps; others are pale. The design of least energy at each accuracy bears the name of its network.

    Args:
        result: Result of `amsim.explore`.
        ax: Where to draw; None makes a figure. Labels are placed for the size that the axes now have.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a result, or no dot with an accuracy and an energy above 0.
    """
    variables = ("energy", "accuracy_mean", "accuracy_low", "accuracy_high", "allowed_points", "best_dot")
    needed = (*variables, "on_front", "circuit_family", "network")
    style.check_dataset("result", result, needed, ("dot", "component", "accuracy_target", "family"))
    check_best_dots(result)
    energy = result["energy"].sum("component").values
    mean, low, high = (100 * result[f"accuracy_{name}"].values for name in ("mean", "low", "high"))
    known = np.isfinite(mean) & (result["allowed_points"].values > 0) & (energy > 0)
    if not known.any():
        raise ValueError("Argument `result` must have a dot with an accuracy within the limits, but has none.")
    front, own = result["on_front"].values, result["circuit_family"].values
    ax = style.own_axes(ax, (7.0, 5.0))
    ax.set_xscale("log")
    steps = draw_front(ax, energy[known], mean[known], "best up to this energy")
    labels = []
    for number, family in enumerate(map(str, result["family"].values)):
        colour, marker = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)]
        ax.plot([], [], marker, color=colour, markersize=6, label=family)
        for best, alpha, size in ((False, 0.4, 4.5), (True, 1.0, 7.0)):
            part = known & (own == family) & (front == best)
            spread = np.stack([mean - np.fmin(low, mean), np.fmax(high, mean) - mean])[:, part]
            look: dict[str, Any] = {"fmt": marker, "color": colour, "alpha": alpha, "markersize": size, "capsize": 2}
            ax.errorbar(energy[part], mean[part], spread, elinewidth=0.7, zorder=2 + best, **look)
    winners = [winner(result, row) for row in range(result.sizes["accuracy_target"])]
    for one in dict.fromkeys(one for one in winners if one != NONE):
        number = [str(name) for name in result["family"].values].index(str(own[one]))
        colour = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)][0]
        labels.append(point_label(ax, str(result["network"].values[one]), (energy[one], mean[one]), colour))
    for target in result["accuracy_target"].values:
        ax.axhline(100 * target, color=style.GREY, linewidth=0.8, linestyle=":", zorder=1)
    ax.plot([], [], ":", color=style.GREY, linewidth=0.8, label="asked for")
    ax.set_xlim(energy[known].min() / 2, energy[known].max() * 2)
    few = energy[known].max() < FEW_DECADES * energy[known].min()
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    ax.xaxis.set_major_formatter(style.JOULE)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(y=0.12)
    style.finish(ax, "energy per inference (J)", "accuracy, mean of dies (%)", grid="both", columns=3)
    whiskers = np.stack([energy, np.fmin(low, mean), energy, np.fmax(high, mean)], axis=1)[known]
    place_labels(ax, labels, whiskers, steps)
    return ax
