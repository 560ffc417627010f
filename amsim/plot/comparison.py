"""Designs side by side: energy by component, and accuracy against energy."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from amsim.plot import style
from amsim.plot.pareto import plot_accuracy_energy


def plot_energy_breakdown(comparison: xr.Dataset, *, share: bool = False, ax: Axes | None = None) -> Axes:
    """Draw the energy of each design, or of each site of a chip, as a bar stacked by component.

    Every bar carries its total. Where totals differ so much that small bars vanish, `share` draws each component as a
    share of its own bar.

    Args:
        comparison: Result of `amsim.compare`, or of `chip.cost` with its sites.
        share: Draw percentages instead of joules.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes that it is drawn on.

    Raises:
        ValueError: No Dataset, or no variable `energy` over `component` and one of `design` and `site`.
    """
    bar = "site" if isinstance(comparison, xr.Dataset) and "site" in comparison.dims else "design"
    style.check_dataset("comparison", comparison, ("energy",), (bar, "component"))
    energy = comparison["energy"].transpose(bar, "component").values
    total = energy.sum(axis=1)
    shown = 100 * energy / np.where(total > 0, total, 1)[:, None] if share else energy

    ax = style.own_axes(ax, (7.0, 1.4 + 0.45 * len(energy)))
    position, left = np.arange(len(energy)), np.zeros(len(energy))
    for index, component in enumerate(comparison["component"].values):
        colour, hatch = style.COMPONENT_STYLES[index % len(style.COMPONENT_STYLES)]
        name = style.component_name(str(component))
        bars = ax.barh(position, shown[:, index], 0.7, left=left, color=colour, label=name)
        for one in bars:
            one.set(hatch=hatch, edgecolor=style.BLACK, linewidth=0.6)
        left = left + shown[:, index]
    for place, end, energy_sum in zip(position, left, total, strict=True):
        text = ax.annotate(style.joules(energy_sum), (end, place), (4, 0), textcoords="offset points", va="center")
        text.set_fontsize(style.FONT_SIZE)
    longest = 100.0 if share else float(left.max()) or 1.0
    ax.set_xlim(0, 1.18 * longest)
    ax.spines["bottom"].set_bounds(0, longest)
    if share:
        ax.xaxis.set_major_locator(FixedLocator(list(range(0, 101, 20))))
        ax.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(style.JOULE)
    ax.set_yticks(position, [str(name) for name in comparison[bar].values])
    ax.set_ylim(len(energy) - 0.5, -0.5)
    quantity = "share of the energy per inference (%)" if share else "energy per inference (J)"
    style.finish(ax, quantity, "", grid="x", columns=3)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_comparison(comparison: xr.Dataset) -> Figure:
    """Draw accuracy against energy beside where each design's energy goes.

    The figure is not one of pyplot's: it needs no closing, and a notebook shows it as the value of a cell.

    Args:
        comparison: Result of `amsim.compare`.

    Returns:
        The figure.

    Raises:
        ValueError: As `plot_accuracy_energy` and `plot_energy_breakdown`.
    """
    style.check_dataset("comparison", comparison, (), ())
    figure = Figure(figsize=(12.0, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    plot_energy_breakdown(comparison, share=True, ax=right)
    attributes = comparison.attrs
    facts = [str(attributes["data"])] if attributes.get("data") else []
    facts += [f"{attributes['images']} images"] if "images" in attributes else []
    facts += [f"network {attributes['network']}"] if attributes.get("network") else []
    facts += [f"{comparison.sizes['die']} dies a design"] if "die" in comparison.sizes else []
    figure.suptitle(", ".join(facts), fontsize=style.FONT_SIZE + 3)
    # Last, because labels are placed for the final layout.
    plot_accuracy_energy(comparison, ax=left)
    return figure
