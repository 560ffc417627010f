"""Pictures of a whole system: roofline, utilisation of the cells, and energy against a swept quantity."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator, PercentFormatter

from amsim.circuits.checks import text, truth_values
from amsim.plot import style
from amsim.plot.label_placement import place_labels

ROOF_LINES = ("-", "--", ":", "-.")
"""Line styles of roofs that differ from site to site."""

MARKERS = "os^DvPX*"
"""Markers of components that are drawn as lines."""

SAME_PLACE = 0.03
"""Sites closer than this along both axes, in decades, share a label."""

LOG_SPAN = 20.0
"""Ratio of the ends of a swept quantity from which its axis is logarithmic."""


def plot_roofline(cost: xr.Dataset, *, memory: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the speed of each site against its multiply-accumulates per bit of a memory, under the roofs of both.

    `MACs / s <= min(peak, bandwidth * MACs / bit)`; the distance of a site from its roof is what stalls, other
    memories and idle cells cost it. Sites that move no bit of that memory are named in the legend.

    Args:
        cost: Result of `chip.cost` or `Accelerator.cost`.
        memory: Memory whose bits count, read and written; None takes the one that needs most time in total.
        ax: Where to draw; None makes a figure. Labels are placed for the size that the axes now have.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a Dataset, an unknown memory, or no site that moves bits of it.
    """
    needed = ("macs", "latency", "clock", "peak_macs", "bits_read", "bits_written", "bandwidth")
    style.check_dataset("cost", cost, needed, ("site", "memory"))
    working = cost.isel(site=np.flatnonzero((cost["macs"].values > 0) & (cost["latency"].values > 0)))
    level = working.sel(memory=_memory(working, memory))
    bits = (level["bits_read"] + level["bits_written"]).values
    if not np.any(bits > 0):
        raise ValueError(f"Argument `memory` must be one that sites move bits of, but is {memory!r}, of which none do.")
    name = style.component_name(str(level["memory"].values))
    moving = level.isel(site=np.flatnonzero(bits > 0))
    intensity = moving["macs"].values / bits[bits > 0]
    speed = moving["macs"].values / moving["latency"].values
    roofs = list(dict.fromkeys(zip(_peaks(moving), moving["bandwidth"].values.tolist(), strict=True)))

    ax = style.own_axes(ax, (7.0, 4.8))
    ax.set_xscale("log")
    ax.set_yscale("log")
    corners = [peak / band for peak, band in roofs if np.isfinite(band)]
    x = np.geomspace(min([*intensity, *corners]) / 4, max([*intensity, *corners]) * 4, 200)
    for index, (peak, band) in enumerate(roofs):
        text = f"peak {_per_second(peak, 'MAC')}"
        text += f", {name} {_per_second(band, 'bit')}" if np.isfinite(band) else ""
        look = ROOF_LINES[index % len(ROOF_LINES)]
        ax.plot(x, np.minimum(peak, band * x), color=style.BLACK, linewidth=1.4, linestyle=look, label=text)
    ax.plot(intensity, speed, "o", color=style.BLUE, markersize=6, label="site")
    if moving.sizes["site"] < working.sizes["site"]:
        others = [str(site) for site in working["site"].values if site not in moving["site"].values]
        ax.plot([], [], " ", label=f"no bits of it moved: {', '.join(others)}")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(speed.min() / 4, max(peak for peak, _ in roofs) * 3)
    ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    ax.yaxis.set_minor_formatter(NullFormatter())
    labels = _site_labels(ax, [str(site) for site in moving["site"].values], intensity, speed)
    x_name, y_name = f"multiply-accumulates per bit of the {name}", "multiply-accumulates per second"
    style.finish(ax, x_name, y_name, grid="both", columns=1)
    dots = np.stack([intensity, speed, intensity, speed], axis=1)
    place_labels(ax, labels, dots, np.concatenate([_boxes(x, np.minimum(peak, band * x)) for peak, band in roofs]))
    return ax


def plot_utilisation(cost: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the use of the cells at each site: computing, idle, stalled, or waiting for a readout.

    The four add up to the capacity of all cells during the site, whose time is written behind its bar.

    Args:
        cost: Result of `chip.cost` or `Accelerator.cost`.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a Dataset, or no site that takes time.
    """
    style.check_dataset("cost", cost, ("utilisation", "latency", "cycles", "stalls", "clock"), ("site",))
    # The idle time between inferences has no clock.
    sites = cost.isel(site=np.flatnonzero((cost["clock"].values > 0) & (cost["latency"].values > 0)))
    if not sites.sizes["site"]:
        raise ValueError("Argument `cost` must have a site that takes time, but none does.")
    seconds = sites["latency"].values
    ax = style.own_axes(ax, (7.0, 1.4 + 0.35 * len(seconds)))
    position, left = np.arange(len(seconds)), np.zeros(len(seconds))
    edge: dict[str, Any] = {"edgecolor": style.BLACK, "linewidth": 0.6}
    for label, share, colour, hatch in _capacity_shares(sites):
        ax.barh(position, share, 0.7, left=left, color=colour, hatch=hatch, label=label, **edge)
        left = left + share
    time = EngFormatter(unit="s")
    for place, each in zip(position, seconds, strict=True):
        ax.annotate(
            time(float(f"{each:.3g}")), (100, place), (4, 0), textcoords="offset points", va="center",
            fontsize=style.font_size(),
        )  # fmt: skip
    ax.set_xlim(0, 118)
    ax.spines["bottom"].set_bounds(0, 100)
    ax.set_xticks(range(0, 101, 20))
    ax.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    ax.set_yticks(position, [str(site) for site in sites["site"].values])
    ax.set_ylim(len(seconds) - 0.5, -0.5)
    style.finish(ax, "share of the capacity of all cells (%)", "", grid="x", columns=4)
    ax.tick_params(axis="y", length=0)
    return ax


def _capacity_shares(sites: xr.Dataset) -> list[tuple[str, np.ndarray, str, str]]:
    """Uses of the capacity of each site: label, percent, colour, hatch; no slow readout where none waits."""
    seconds, clock = sites["latency"].values, sites["clock"].values
    computing = 100 * sites["utilisation"].values
    stalled = 100 * sites["stalls"].values / clock / seconds
    waiting = 100 * np.clip(1 - sites["cycles"].values / clock / seconds, 0, None)
    waiting[waiting < 1e-3] = 0.0  # rounding
    idle = np.clip(100 - computing - stalled - waiting, 0, None)
    shares = [
        ("cells compute", computing, style.BLUE, ""),
        ("cells idle", idle, style.PALE, ""),
        ("stalls", stalled, style.ORANGE, "//"),
    ]
    return [*shares, ("slow readout", waiting, style.PURPLE, "++")] if np.any(waiting > 0) else shares


def plot_energy_sweep(dataset: xr.Dataset, x: str, *, stacked: bool = True, ax: Axes | None = None) -> Axes:
    """Draw energy by component against a swept quantity, its minimum marked.

    The minimum is the least of the points, or given by the attributes `minimum_<x>` and `minimum_energy`. A quantity
    that spans more than a factor of 20 has a logarithmic axis. Components that are 0 everywhere are left out.

    Args:
        dataset: `energy` over `x` and `component`, as from `amsim.system.minimum_energy_supply`.
        x: The swept dimension, a coordinate of rising numbers.
        stacked: Areas stacked on one another; else lines on a logarithmic axis, with their sum.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a Dataset, fewer than two points, numbers that do not rise, or infinite energies.
    """
    truth_values(stacked=stacked)
    text(x=x)
    style.check_dataset("dataset", dataset, ("energy",), (x, "component"))
    values, energy = np.asarray(dataset[x].values), dataset["energy"].transpose(x, "component").values
    if not np.issubdtype(values.dtype, np.number) or len(values) < 2 or np.any(np.diff(values) <= 0):
        raise ValueError(f"Argument `dataset` must have two or more rising numbers along {x!r}, but has {values}.")
    if not np.all(np.isfinite(energy)) or np.any(energy < 0):
        raise ValueError("Argument `dataset` must have finite energies of at least 0, but has others.")
    total = energy.sum(axis=1)
    least = int(np.argmin(total))
    where = float(dataset.attrs.get(f"minimum_{x}", values[least]))
    lowest = float(dataset.attrs.get("minimum_energy", total[least]))

    ax = style.own_axes(ax, (7.0, 4.2))
    bottom = np.zeros(len(values))
    for index, component in enumerate(dataset["component"].values):
        one, (colour, hatch) = energy[:, index], style.COMPONENT_STYLES[index % len(style.COMPONENT_STYLES)]
        name = style.component_name(str(component))
        if not np.any(one > 0):
            continue
        if stacked:
            look: dict[str, Any] = {"facecolor": colour, "hatch": hatch, "edgecolor": style.BLACK, "linewidth": 0.6}
            ax.fill_between(values, bottom, bottom + one, label=name, **look)
        else:
            colour = style.GREY if colour == style.YELLOW else colour  # too pale for a line
            marker = MARKERS[index % len(MARKERS)]
            shown = np.where(one > 0, one, np.nan)
            every = max(1, len(values) // 8)
            ax.plot(
                values, shown, color=colour, marker=marker, markevery=every, markersize=5, linewidth=1.3, label=name
            )
        bottom = bottom + one
    if not stacked:
        ax.set_yscale("log")
        ax.plot(values, total, color=style.BLACK, linewidth=2.2, label="total")
    _mark_minimum(ax, dataset[x], where, lowest, 1.25 * float(total.max()))
    _swept_axis(ax, dataset[x])
    ax.set_xlim(values[0], values[-1])
    if stacked:
        ax.set_ylim(0, 1.12 * float(total.max()) or 1.0)
    ax.yaxis.set_major_formatter(style.JOULE)
    style.finish(ax, _axis_name(dataset[x]), "energy per inference (J)", grid="both", columns=4)
    return ax


def _mark_minimum(ax: Axes, swept: xr.DataArray, where: float, lowest: float, top: float) -> None:
    unit = _unit(swept)
    text = EngFormatter(unit=unit)(float(f"{where:.3g}")) if unit else f"{where:.4g}"
    ax.plot([where, where], [0, lowest], color=style.BLACK, linewidth=1, linestyle="--")
    ax.plot(
        where, lowest, "v", markersize=9, color=style.YELLOW, markeredgecolor=style.BLACK, clip_on=False, zorder=5,
        label=f"minimum: {style.joules(lowest)} at {text}",
    )  # fmt: skip


def _swept_axis(ax: Axes, swept: xr.DataArray) -> None:
    low, high = float(swept.values[0]), float(swept.values[-1])
    unit = _unit(swept)
    if low > 0 and high > LOG_SPAN * low:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(EngFormatter(unit=unit))
    elif unit and not 0.1 <= high < 1000:
        ax.xaxis.set_major_formatter(EngFormatter(unit=unit))


def _unit(swept: xr.DataArray) -> str:
    unit = str(swept.attrs.get("units", "1"))
    return "" if unit == "1" else unit


def _axis_name(swept: xr.DataArray) -> str:
    unit, name = _unit(swept), str(swept.attrs.get("long_name", swept.name))
    return f"{name} ({unit})" if unit else name


def _memory(cost: xr.Dataset, memory: str | None) -> str:
    names = [str(name) for name in cost["memory"].values]
    if memory is None:
        seconds = ((cost["bits_read"] + cost["bits_written"]) / cost["bandwidth"]).sum("site")
        return names[int(seconds.argmax("memory"))]
    if memory not in names:
        raise ValueError(f"Argument `memory` must be one of {', '.join(names)}, but is {memory!r}.")
    return memory


def _peaks(cost: xr.Dataset) -> list[float]:
    return (cost["peak_macs"] * cost["clock"]).values.tolist()


def _per_second(value: float, unit: str) -> str:
    return EngFormatter(unit=f"{unit}/s")(float(f"{value:.3g}"))


def _site_labels(ax: Axes, sites: list[str], x: np.ndarray, y: np.ndarray) -> list[Any]:
    """A label for each site, or for several in one place."""
    together: list[list[int]] = []
    for index in range(len(sites)):
        for group in together:
            apart = np.log10([x[index] / x[group[0]], y[index] / y[group[0]]])
            if np.all(np.abs(apart) < SAME_PLACE):
                group.append(index)
                break
        else:
            together.append([index])
    line = {"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6}
    return [
        ax.annotate(
            ", ".join(sites[index] for index in group), (x[group[0]], y[group[0]]), (0, 0), ha="center", va="center",
            textcoords="offset points", fontsize=style.font_size(), color=style.BLUE, arrowprops=line,
        )
        for group in together
    ]  # fmt: skip


def _boxes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Boxes around the pieces of a rising line, shape (pieces, 4)."""
    return np.stack([x[:-1], y[:-1], x[1:], y[1:]], axis=1)
