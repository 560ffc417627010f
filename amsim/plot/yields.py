"""Pictures of yield: the share of dies on the good side of a limit, against the limit or along an axis."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from amsim.circuits.checks import finite_number, one_of
from amsim.plot import axes, style
from amsim.statistics.dies import DIRECTIONS, yield_at
from amsim.statistics.intervals import CONFIDENCE, proportion_interval

BAND = 0.14
"""Opacity of an interval."""

NAMES = 50
"""Approximate number of letters that fit side by side below an axis."""


def plot_yield(
    result: xr.Dataset,
    *,
    limit: float | None = None,
    quantity: str = "accuracy",
    along: str | None = None,
    hue: str | None = None,
    good: str = "at least",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of dies that reach a limit, with its exact 95 % interval.

    Without a limit, against all limits: a survival curve for each design. With one, along an axis of the study; a
    result without axes, as of `amsim.evaluate`, keeps its curve, on which the limit is marked with its yield.

    Args:
        result: Result of `amsim.sweep` or `amsim.evaluate`; reads of a die are averaged first.
        limit: In the unit of the quantity; None draws against the limit.
        quantity: Variable over dies.
        along: Axis from left to right, of numbers or words, where a limit is given; None takes the first one.
        hue: Axis with a curve for each value, at most seven; None takes the axis that is left, if any.
        good: "at least" or "at most" the limit.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, an unknown variable or axis, no dies, `along` without a limit, further axes, of which
            one value each must be selected first, or no point with all of its dies.
    """
    one_of("good", good, DIRECTIONS)
    if limit is not None:
        finite_number("limit", limit)
    values = axes.by_die("result", result, quantity)
    if "die" not in values.dims or not values.sizes["die"]:
        raise ValueError(f"Argument `result` must have {quantity!r} over 'die', but has it over {list(values.dims)}.")
    if limit is None and along is not None:
        raise ValueError(f"Argument `along` must be None without a `limit`, but is {along!r}; curves are by `hue`.")
    found = axes.own_axes_of(values)
    if limit is not None and along is None:
        along = next((name for name in found if name != hue), None)
    at_one_point = limit is not None and along is None and not found
    if limit is not None and along not in found and not at_one_point:
        raise ValueError(f"Argument `along` must be an axis of {quantity!r}, of {found}, but is {along!r}.")
    if hue is None:
        hue = next((name for name in found if name != along), None)
    elif hue not in found or hue == along:
        raise ValueError(f"Argument `hue` must be another axis of {quantity!r}, of {found}, but is {hue!r}.")
    axes.check_axes("result", values, [name for name in (along, hue) if name is not None])
    curves = _curves(values, hue)

    ax = style.own_axes(ax, (6.0, 4.0))
    dies = values.sizes["die"]
    if limit is None or at_one_point:
        everything = np.concatenate([one.values.ravel() for _, one in curves])
        for number, (label, curve) in enumerate(curves):
            _survival(ax, curve.values, everything, good, number, label)
        x, y = axes.axis_label(values), f"yield: {good} this limit"
        axes.number_axis(ax.xaxis, values, logarithmic=False)
        if limit is not None:
            _mark_limit(ax, values, limit, good)
    else:
        for number, (label, curve) in enumerate(curves):
            _along(ax, curve, limit, str(along), good, number, label)
        x = axes.axis_label(result[along])
        y = f"yield: {values.attrs.get('long_name', quantity)} {good} {axes.with_unit(limit, _unit(values))}"
    interval = f"95 % interval of {dies} dies"
    if along is None or axes.is_numeric(values[along]):
        ax.fill_between([], [], color=style.GREY, alpha=2 * BAND, linewidth=0, label=interval)
    else:
        ax.errorbar([], [], [], fmt="none", ecolor=style.GREY, capsize=4, label=interval)
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    style.finish(ax, x, y, grid="both", columns=3)
    return ax


def _curves(values: xr.DataArray, hue: str | None) -> list[tuple[str | None, xr.DataArray]]:
    """Computed designs with their names."""
    if hue is None:
        curves: list[tuple[str | None, xr.DataArray]] = [(None, values)]
    else:
        labels = values[hue].values
        curves = [(axes.value_text(values[hue], one.item()), values.isel({hue: n})) for n, one in enumerate(labels)]
    curves = [(label, one) for label, one in curves if one.notnull().all("die").any()]
    if not curves:
        raise ValueError(
            f"Argument `result` must have a point whose dies are all computed, but {values.name!r} is NaN."
        )
    if len(curves) > len(axes.COLOURS):
        raise ValueError(
            f"Argument `hue` must have at most {len(axes.COLOURS)} values, but {hue!r} has {len(curves)}; select some, "
            "or give a `limit` and draw `along` that axis."
        )
    return curves


def _survival(ax: Axes, dies: np.ndarray, everything: np.ndarray, good: str, number: int, label: str | None) -> None:
    """Draw the share of dies on the good side of every limit; it steps at each die."""
    at_least = good == "at least"
    room = 0.05 * (np.nanmax(everything) - np.nanmin(everything)) or 0.01 * abs(dies[0]) or 0.01
    places = np.unique(dies)
    limits = np.concatenate([[np.nanmin(everything) - room], places, [np.nanmax(everything) + room]])
    passed = dies[None, :] >= limits[:, None] if at_least else dies[None, :] <= limits[:, None]
    share = passed.mean(axis=1)
    low, high = proportion_interval(share, len(dies), CONFIDENCE)
    # A die at the limit is good: of "at least" the step down comes after it, of "at most" the step up is at it.
    look: dict[str, Any] = {"color": axes.COLOURS[number]}
    ax.step(
        limits,
        share,
        where="pre" if at_least else "post",
        label=label,
        linewidth=1.6,
        linestyle=_dashes(number),
        **look,
    )
    ax.fill_between(limits, low, high, step="pre" if at_least else "post", alpha=BAND, linewidth=0, **look)


def _mark_limit(ax: Axes, values: xr.DataArray, limit: float, good: str) -> None:
    """Mark the yield at one limit on a survival curve."""
    found = yield_at(values, limit, good=good)
    share, low, high = (100 * float(found[name]) for name in ("yield", "yield_low", "yield_high"))
    label = f"{share:.3g} % ({low:.3g} .. {high:.3g}) {good} {axes.with_unit(limit, _unit(values))}"
    ax.axvline(limit, color=style.VERMILLION, linestyle="--", linewidth=1.2, label=label)
    ax.plot([limit], [share / 100], "o", color=style.VERMILLION, markersize=5, zorder=4)


def _along(ax: Axes, curve: xr.DataArray, limit: float, along: str, good: str, number: int, label: str | None) -> None:
    """Draw the yield at a limit along an axis of numbers, or of words side by side."""
    numeric = axes.is_numeric(curve[along])
    if numeric:
        curve = curve.isel({along: np.isfinite(curve[along].values)}).sortby(along)
    found = yield_at(curve, limit, good=good)
    share, low, high = (found[name].values for name in ("yield", "yield_low", "yield_high"))
    known = np.isfinite(share)
    look: dict[str, Any] = {"color": axes.COLOURS[number], "marker": axes.MARKERS[number], "markersize": 5}
    if numeric:
        at = curve[along].values
        axes.set_scale(ax, "x", curve[along], logarithmic=axes.is_logarithmic(curve[along]))
        ax.plot(at[known], share[known], label=label, linewidth=1.5, **look)
        ax.fill_between(at[known], low[known], high[known], color=look["color"], alpha=BAND, linewidth=0)
        return
    at = np.arange(len(share)) + 0.12 * number
    ends = np.abs(np.stack([share - low, high - share]))[:, known]
    ax.errorbar(at[known], share[known], ends, label=label, linestyle="none", capsize=4, **look)
    names = [axes.value_text(curve[along], one.item()) for one in curve[along].values]
    ax.set_xticks(np.arange(len(share)), names)
    if sum(map(len, names)) > NAMES:
        for text in ax.get_xticklabels():
            text.set(rotation=25, horizontalalignment="right", rotation_mode="anchor")


def _dashes(number: int) -> str:
    return ("-", "--", "-.", ":")[number % 4]


def _unit(values: xr.DataArray) -> str:
    return str(values.attrs.get("units", "1"))
