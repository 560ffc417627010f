"""Pictures of the results that ship: clouds, fronts, energy at equal accuracy, its shares, memories and datapaths."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator
from minimum_energy_dots import PLATFORMS, TARGETS, TASKS, Dots, iso, middle_target, word_lengths

from amsim.chips.designs import FAMILIES
from amsim.exploration.hardware_points import family_hardware
from amsim.exploration.members import configuration_of, workload_of
from amsim.networks.families import network_of
from amsim.plot import style
from amsim.plot.pareto import draw_front
from amsim.system.hardware import COMPONENTS, KILOBYTE
from amsim.system.many_points import cost_at_points

LENGTHS = (1, 2, 3, 4, 8)
"""Word lengths, each with a colour and marker of its own."""

FEW_DECADES = 300.0
COPIES = (1, 2, 4, 8, 16)
CAPACITIES = tuple(2.0**power * KILOBYTE for power in range(-1, 9))


def panels(tasks: Sequence[Dots], height: float = 4.0, width: float = 5.2) -> tuple[Any, list[Axes]]:
    """A panel for each task side by side."""
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(width * len(tasks), height), layout="constrained", squeeze=False
    )
    for ax, dots in zip(axes[0], tasks, strict=True):
        ax.set_title(TASKS[dots.name].split(",")[0], fontsize=10, pad=38)
    return figure, list(axes[0])


def energy_axis(axis: Axis, values: Sequence[float] | np.ndarray) -> None:
    """A logarithmic axis of energies, with marks at 1, 2 and 5 of each decade where there are few."""
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    set_scale, set_limits = (
        (axis.axes.set_xscale, axis.axes.set_xlim)
        if axis.axis_name == "x"
        else (axis.axes.set_yscale, axis.axes.set_ylim)
    )
    set_scale("log")
    set_limits(least / 1.6, most * 1.6)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most < FEW_DECADES * least else (1.0,)))
    axis.set_major_formatter(style.JOULE)
    axis.set_minor_locator(NullLocator())


def draw_cloud(tasks: Sequence[Dots]) -> Any:
    """Every network on every circuit, with the front of each word length."""
    figure, axes = panels(tasks, 4.6)
    for ax, dots in zip(axes, tasks, strict=True):
        energy, accuracy = dots.energy[PLATFORMS[0]].sum(axis=1), 100 * dots.result["accuracy_mean"].values
        energy_axis(ax.xaxis, energy)
        for bits in word_lengths(dots):
            colour, marker = style.FAMILY_STYLES[LENGTHS.index(bits)]
            own = dots.bits == bits
            ax.plot(energy[own], accuracy[own], marker, color=colour, alpha=0.45, markersize=4.5)
            draw_front(ax, energy[own], accuracy[own], "")
            ax.lines[-1].set(color=colour, linewidth=1.4)
            ax.plot([], [], marker + "-", color=colour, label=f"{bits} bit")
        style.finish(ax, "energy per inference (J)", "accuracy, mean of dies (%)", grid="both", columns=5)
    return figure


def draw_iso(tasks: Sequence[Dots]) -> Any:
    """Energy at equal accuracy against word length, for several accuracies and both platforms."""
    figure, axes = panels(tasks, 4.6)
    for ax, dots in zip(axes, tasks, strict=True):
        for number, target in enumerate(TARGETS[dots.name]):
            colour, marker = style.FAMILY_STYLES[number]
            for platform, line in zip(PLATFORMS, ("-", "--"), strict=True):
                found = iso(dots, target, platform)
                if found:
                    label = f"{100 * target:g} %" if line == "-" else None
                    ax.plot(list(found), [one[0] for one in found.values()], marker + line, color=colour, label=label)
        ax.plot([], [], "-", color=style.GREY, label=PLATFORMS[0])
        ax.plot([], [], "--", color=style.GREY, label=PLATFORMS[1])
        ends = [
            one[0] for target in TARGETS[dots.name] for both in PLATFORMS for one in iso(dots, target, both).values()
        ]
        energy_axis(ax.yaxis, ends)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_locator(FixedLocator(word_lengths(dots)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        style.finish(ax, "bits of weights and activations", "least energy at this accuracy (J)", grid="both", columns=3)
    return figure


def draw_split(tasks: Sequence[Dots]) -> Any:
    """Shares of energy by component at one accuracy, against word length, on both platforms."""
    figure, axes = panels(tasks, 4.8)
    for ax, dots in zip(axes, tasks, strict=True):
        ax.set_title(ax.get_title(), fontsize=10, pad=68)
        target, names, bars = middle_target(dots), [], []
        for platform in PLATFORMS:
            for bits in iso(dots, target, platform):
                one = dots.least(target, bits, platform)
                assert one is not None
                bars.append(dots.energy[platform][one])
                names.append(f"{bits} bit" + ("\nDRAM" if platform == PLATFORMS[1] else ""))
        shares = 100 * np.asarray(bars) / np.sum(bars, axis=1, keepdims=True)
        bottom = np.zeros(len(bars))
        for number, component in enumerate(COMPONENTS):
            if shares[:, number].max() > 0.5:
                colour, hatch = style.COMPONENT_STYLES[number]
                look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.3}
                ax.bar(names, shares[:, number], bottom=bottom, label=style.component_name(component), **look)
            bottom += shares[:, number]
        style.finish(ax, f"least energy at {100 * target:g} %", "share of energy (%)", grid="y", columns=4)
    return figure


def draw_families(tasks: Sequence[Dots]) -> Any:
    """The three families on one plane, with weights on chip and from DRAM."""
    figure, axes = panels(tasks, 4.6)
    for ax, dots in zip(axes, tasks, strict=True):
        family, accuracy = dots.result["circuit_family"].values, 100 * dots.result["accuracy_mean"].values
        every = np.concatenate([one.sum(axis=1) for one in dots.energy.values()])
        energy_axis(ax.xaxis, every)
        for number, name in enumerate(FAMILIES):
            colour, marker = style.FAMILY_STYLES[number]
            for platform, line, fill in zip(PLATFORMS, ("-", "--"), ("full", "none"), strict=True):
                own, energy = family == name, dots.energy[platform].sum(axis=1)
                ax.plot(energy[own], accuracy[own], marker, color=colour, alpha=0.4, markersize=4, fillstyle=fill)
                draw_front(ax, energy[own], accuracy[own], "")
                ax.lines[-1].set(color=colour, linewidth=1.3, linestyle=line)
            ax.plot([], [], marker + "-", color=colour, label=name)
        ax.plot([], [], "--", color=style.GREY, label=PLATFORMS[1])
        style.finish(ax, "energy per inference (J)", "accuracy, mean of dies (%)", grid="both", columns=3)
    return figure


def memory_points(dots: Dots) -> tuple[str, xr.Dataset]:
    """Energy of the most accurate 4-bit network against copies of the macro and weight memory, with a DRAM behind."""
    own = np.flatnonzero(dots.bits == 4)
    best = int(own[np.argmax(dots.result["accuracy_mean"].values[own])])
    configuration = configuration_of(str(dots.result["configuration"].values[best]))
    hardware = family_hardware(network_of(configuration), "multi-precision")
    found = []
    for copies in COPIES:
        values = {"weight_memory.capacity": np.asarray(CAPACITIES)}
        spreads = tuple(dataclasses.replace(one, count=copies) for one in hardware.spreads)
        cost = cost_at_points(dataclasses.replace(hardware, spreads=spreads), workload_of(configuration), values)
        found.append(cost[["energy", "latency", "area"]].assign_coords(copies=copies))
    return configuration.name, xr.concat(found, "copies")


def draw_memory(points: dict[str, tuple[str, xr.Dataset]]) -> Any:
    """Energy against weight memory for each datapath, and the least of each against copies."""
    figure, axes = plt.subplots(1, len(points), figsize=(5.2 * len(points), 4.4), layout="constrained", squeeze=False)
    for ax, (task, (name, cost)) in zip(axes[0], points.items(), strict=True):
        total = cost["energy"].sum("component")
        for number, copies in enumerate(COPIES):
            colour, marker = style.FAMILY_STYLES[number]
            values = total.sel(copies=copies).values
            ax.plot(np.asarray(CAPACITIES) / KILOBYTE, values, marker + "-", color=colour, markersize=4,
                    label=f"{copies} cop{'y' if copies == 1 else 'ies'}")  # fmt: skip
            best = int(np.argmin(values))
            ax.plot(CAPACITIES[best] / KILOBYTE, values[best], marker, color=colour, markersize=10, fillstyle="none")
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
        energy_axis(ax.yaxis, total.values)
        ax.set_title(f"{TASKS[task].split(',')[0]}: {name}", fontsize=10, pad=38)
        style.finish(ax, "weight memory (kB), DRAM behind it", "energy per inference (J)", grid="both", columns=3)
    return figure
