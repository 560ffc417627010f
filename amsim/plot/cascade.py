"""Pictures of cascades: average power against the rate of events, and against the limit on misses."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from amsim.circuits.checks import finite_number, number_between
from amsim.plot import axes, style


def plot_cascade(result: xr.Dataset, *, limit: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the average power of each stage and of the whole against the rate of true events.

    Constant powers beside the chips are one dotted line; an overloaded stage is marked by crosses, since events are
    lost there. Rates of 0 have no place on the logarithmic axis and are left out.

    Args:
        result: Result of `amsim.evaluate_cascade` over several event rates, on one die.
        limit: A power to draw as a line, W.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a Dataset, over dies, fewer than two rates above 0, or a limit that is not above 0.
    """
    style.check_dataset("result", result, ("power", "average_power", "overload"), ("event_rate", "stage", "part"))
    if limit is not None:
        number_between("limit", limit, 1e-30, float("inf"))
    if "die" in result.dims:
        raise ValueError("Argument `result` must be for one die, such as `result.isel(die=0)`.")
    shown = result.isel(event_rate=np.flatnonzero(result["event_rate"].values > 0))
    if shown.sizes["event_rate"] < 2:
        raise ValueError("Argument `result` must have at least two event rates above 0.")
    rates, by_stage = shown["event_rate"].values, shown["power"].sum("part")
    ax = style.own_axes(ax, (7.0, 4.6))
    axes.set_scale(ax, "x", shown["event_rate"], logarithmic=True)
    axes.set_scale(ax, "y", shown["average_power"], logarithmic=True)
    ax.plot(rates, shown["average_power"], color=style.BLACK, linewidth=2.2, label="all together")
    for number, stage in enumerate(map(str, shown["stage"].values)):
        colour, marker = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)]
        power = by_stage.sel(stage=stage).values
        every = max(len(rates) // 8, 1)
        ax.plot(rates, power, color=colour, marker=marker, markevery=(number % every, every), markersize=5, label=stage)
        over = shown["overload"].sel(stage=stage).values.astype(bool)
        if over.any():
            ax.plot(rates[over], power[over], "x", color=colour, markersize=9, label=f"{stage} overloaded")
    if "other_power" in shown:
        names = " and ".join(map(str, shown["other"].values))
        constant = float(shown["other_power"].sum())
        ax.axhline(constant, color=style.GREY, linestyle=":", linewidth=1.4, label=names)
    if limit is not None:
        ax.axhline(
            limit, color=style.VERMILLION, linestyle="--", linewidth=1.2, label=f"limit {axes.with_unit(limit, 'W')}"
        )
    style.finish(ax, axes.axis_label(shown["event_rate"]), "average power", grid="both", columns=3)
    return ax


def plot_power_curve(curve: xr.Dataset, *, event_rate: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw average power against the fraction of events that is missed, on held-out items, for each arrangement.

    Open markers are points whose limits could not be met on the items that chose the thresholds.

    Args:
        curve: Result of `amsim.cascade.power_curve`.
        event_rate: Which of several event rates, 1/s; None takes the only one.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not such a Dataset, several event rates of which none is chosen, or an unknown one.
    """
    names = ("average_power", "miss_rate", "met")
    style.check_dataset("curve", curve, names, ("arrangement", "event_rate", "miss_limit"))
    if event_rate is not None:
        finite_number("event_rate", event_rate)
    rates = curve["event_rate"].values
    if event_rate is None and len(rates) > 1:
        raise ValueError(f"Argument `event_rate` must be one of {', '.join(f'{one:g}' for one in rates)}, but is None.")
    chosen = rates[0] if event_rate is None else event_rate
    if not np.any(np.isclose(rates, chosen)):
        raise ValueError(
            f"Argument `event_rate` must be one of {', '.join(f'{one:g}' for one in rates)}, but is {chosen}."
        )
    here = curve.sel(event_rate=chosen, method="nearest")
    ax = style.own_axes(ax, (7.0, 4.4))
    axes.set_scale(ax, "y", here["average_power"], logarithmic=True)
    for number, arrangement in enumerate(map(str, here["arrangement"].values)):
        colour, marker = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)]
        one = here.sel(arrangement=arrangement).sortby("miss_rate")
        misses, power, met = 100 * one["miss_rate"].values, one["average_power"].values, one["met"].values.astype(bool)
        ax.plot(misses, power, color=colour, linewidth=1.2)
        ax.plot(misses[met], power[met], marker, color=colour, markersize=6, label=arrangement)
        if not met.all():
            empty: dict[str, Any] = {
                "markerfacecolor": "none",
                "linestyle": "none",
                "label": f"{arrangement}, limits not met",
            }
            ax.plot(misses[~met], power[~met], marker, color=colour, markersize=6, **empty)
    style.finish(ax, "true events missed (%)", "average power", grid="both", columns=2)
    return ax
