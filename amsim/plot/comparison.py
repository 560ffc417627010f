"""Designs side by side: energy by component, and accuracy against energy."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from amsim.circuits.checks import truth_values
from amsim.plot import style
from amsim.plot.label_placement import place_labels
from amsim.plot.pareto import draw_front, point_label
from amsim.results.metrics import METRICS, family_of, metric_of
from amsim.statistics.intervals import interval_names

BESIDE = 10.0
"""Inches from which two pictures have room beside one another."""


def plot_energy_breakdown(comparison: xr.Dataset, *, share: bool = False, ax: Axes | None = None) -> Axes:
    """Draw the energy of each design, or of each site of a chip, as a bar stacked by component.

    Every bar carries its total. Where totals differ so much that small bars vanish, `share` draws each component as a
    share of its own bar.

    Args:
        comparison: Result of `amsim.compare`, or of `chip.cost` with its sites.
        share: Draw percentages instead of joules.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, or no variable `energy` over `component` and one of `design` and `site`.
    """
    truth_values(share=share)
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
        text.set_fontsize(style.font_size())
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
    """Draw accuracy against energy beside the energy breakdown of each design.

    The figure is not managed by pyplot: it needs no closing, and a notebook shows it as the value of a cell.

    Args:
        comparison: Result of `amsim.compare`.

    Returns:
        The figure.

    Raises:
        ValueError: As `plot_accuracy_energy` and `plot_energy_breakdown`.
    """
    style.check_dataset("comparison", comparison, (), ())
    attributes = comparison.attrs
    facts = [str(attributes["data"])] if attributes.get("data") else []
    facts += [f"{attributes['images']} test items"] if "images" in attributes else []
    facts += [f"network {attributes['network']}"] if attributes.get("network") else []
    facts += [f"{comparison.sizes['die']} dies per design"] if "die" in comparison.sizes else []
    figure = Figure(figsize=style.figure_size((12.0, 5.0)), layout="constrained")
    width, height = figure.get_size_inches()
    if width < BESIDE:
        figure.set_size_inches(width, 2 * height)
        left, right = figure.subplots(2, 1)
    else:
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    plot_energy_breakdown(comparison, share=True, ax=right)
    figure.suptitle(
        (",\n" if width < style.NARROW else ", ").join(facts), fontsize=style.settings()["figure.titlesize"]
    )
    # Last, since labels are placed for the final layout.
    plot_accuracy_energy(comparison, ax=left)
    return figure


def plot_accuracy_energy(comparison: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each design, or its other metric, against its total energy per inference.

    Large markers are means over dies with their 95 % interval, dots are single dies. Designs that no other
    beats in both accuracy and energy are joined by steps.

    Args:
        comparison: Result of `amsim.compare`.
        ax: Where to draw; None makes a figure. Labels are placed for the size that the axes now have.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, a missing variable, or an energy that is not above 0, which a log axis cannot show.
    """
    metric = metric_of(comparison) if isinstance(comparison, xr.Dataset) else METRICS["accuracy"]
    needed = (metric.name, *interval_names(metric.name), "energy")
    style.check_dataset("comparison", comparison, needed, ("design", "die", "component"))
    energy = comparison["energy"].sum("component").values
    if not np.all(energy > 0):
        raise ValueError("Argument `comparison` must have an energy above 0 for every design, but one has not.")
    scale = 100 if metric.percent else 1
    dies = scale * comparison[metric.name].transpose("design", "die").values
    mean, low, high = (scale * comparison[name].values for name in interval_names(metric.name))
    names = [str(name) for name in comparison["design"].values]
    styles = _family_styles(names)

    ax = style.own_axes(ax, (7.0, 5.0))
    ax.set_xscale("log")
    if not metric.higher_is_better:
        ax.yaxis.set_inverted(True)
    steps = draw_front(ax, energy, mean, "best up to this energy", higher_is_better=metric.higher_is_better)
    labels = []
    for index, name in enumerate(names):
        colour, marker = styles[family_of(name)]
        at = np.full(dies.shape[1], energy[index])
        ax.plot(at, dies[index], "o", color=colour, alpha=0.35, markersize=3.5, markeredgewidth=0, zorder=2)
        # A single die has no interval, and dies that do not differ need none.
        spread = [[mean[index] - low[index]], [high[index] - mean[index]]] if high[index] > low[index] else None
        ax.errorbar(energy[index], mean[index], spread, fmt=marker, color=colour, markersize=7, capsize=4, zorder=3)
        labels.append(point_label(ax, name, (energy[index], mean[index]), colour))
    ax.plot([], [], "o", color=style.GREY, alpha=0.6, markersize=3.5, markeredgewidth=0, label="single die")
    ax.errorbar([], [], [], fmt="D", color=style.GREY, markersize=4, capsize=3, label="mean of dies, 95 % interval")
    ax.set_xlim(energy.min() / 2, energy.max() * 2)
    few = energy.max() < 300 * energy.min() and ax.figure.figure.get_figwidth() >= style.NARROW
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    ax.xaxis.set_major_formatter(style.JOULE)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(y=0.12)
    unit = " (%)" if metric.percent else ""
    style.finish(ax, "energy per inference (J)", f"{metric.words}{unit}", grid="both", columns=3)

    whiskers = np.stack([energy, np.fmin(low, mean), energy, np.fmax(high, mean)], axis=1)
    dots = np.stack([energy, dies.min(axis=1), energy, dies.max(axis=1)], axis=1)
    place_labels(ax, labels, np.concatenate([whiskers, dots]), steps)
    return ax


def _family_styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    families = dict.fromkeys(map(family_of, names))
    return {family: style.FAMILY_STYLES[n % len(style.FAMILY_STYLES)] for n, family in enumerate(families)}
