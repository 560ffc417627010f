"""Pictures of what is best: each point of a study against its price, and the front that no other one beats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from amsim.circuits.checks import one_of, truth_values
from amsim.plot import axes, style
from amsim.plot.label_placement import place_labels
from amsim.statistics.dies import summary
from amsim.statistics.pareto import pareto_front

LABELS = 10
"""Most points of a front that are labelled."""


def plot_pareto(
    result: xr.Dataset,
    *,
    x: str = "energy",
    y: str = "accuracy",
    hue: str | None = None,
    logarithmic: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every point of a study, with less of `x` and more of `y` better, and the front that no other point beats.

    Points are means over dies and reads with their 95 % interval over dies; dominated ones are pale. Points of the
    front are joined by steps and labelled by their settings, in the order that the legend gives, at most ten of them.

    Args:
        result: Result of `amsim.sweep`, over any axes.
        x: Variable to keep small; components of energy are added.
        y: Variable to make large.
        hue: Axis or setting that colours and markers tell apart; None takes the first axis of words.
        logarithmic: Whether the horizontal axis is; None decides so for values above 0 that span a factor of 10.
        ax: Where to draw; None makes a figure. Labels are placed for the size that the axes now have.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, an unknown variable or axis, no point with both quantities, or dimensions that
            are not settings.
    """
    if logarithmic is not None:
        truth_values(logarithmic=logarithmic)
    spots = _spots(result, x, y)
    settings = _settings(spots)
    families = _families(spots, settings, hue)
    styles = style.FAMILY_STYLES
    price, value = spots["price"].values, spots["value"].values
    log = bool(price.min() > 0 and price.max() >= axes.WIDE * price.min()) if logarithmic is None else logarithmic
    if log and price.min() <= 0:
        raise ValueError(f"Argument `logarithmic` must be False where {x!r} is not above 0, but is True.")

    ax = style.own_axes(ax, (7.0, 5.0))
    axes.set_scale(ax, "x", spots["price"], logarithmic=log)
    axes.prefixed_ticks(ax.yaxis, spots["value"])
    steps = draw_front(ax, price, value, "no other point beats these")
    front = pareto_front(spots["price"], spots["value"]).values
    for number, (name, members) in enumerate(families.items()):
        colour, marker = styles[number]
        for part, alpha, size in ((members & ~front, 0.35, 4.5), (members & front, 1.0, 7.0)):
            look: dict[str, Any] = {"fmt": marker, "color": colour, "alpha": alpha, "markersize": size, "capsize": 3}
            chosen = spots.isel(spot=part)
            ax.errorbar(price[part], value[part], _whiskers(chosen, "value"), _whiskers(chosen, "price"), **look)
        if name:
            ax.plot([], [], marker, color=colour, markersize=6, label=name)
    ax.errorbar([], [], [], fmt="o", color=style.GREY, markersize=4, capsize=3, label="mean of dies, 95 % interval")
    # What exists nowhere on the front says nothing there.
    others = [name for name in settings if name != _hue(spots, settings, hue)]
    shown = [name for name in others if any(_exists(one) for one in spots[name].values[front])]
    if shown:
        named = ", ".join(str(spots[name].attrs.get("long_name", name)) for name in shown)
        ax.plot([], [], " ", label=f"labels: {named}")
    # Room for labels beside the points at the ends.
    ax.margins(x=0.15, y=0.15)
    style.finish(ax, axes.axis_label(spots["price"]), axes.axis_label(spots["value"]), grid="both", columns=3)

    labels = []
    for index in _some(np.flatnonzero(front)[np.argsort(price[front])]):
        number = next(n for n, members in enumerate(families.values()) if members[index])
        place, text = (float(price[index]), float(value[index])), _setting_text(spots.isel(spot=index), shown)
        if text:
            labels.append(point_label(ax, text, place, styles[number][0]))
    ends = ("price_low", "value_low", "price_high", "value_high")
    place_labels(ax, labels, np.stack([spots[name].values for name in ends], axis=1), steps)
    return ax


def _spots(result: xr.Dataset, x: str, y: str) -> xr.Dataset:
    """Means and intervals of both quantities, and all settings, over one dimension `spot` with every known point."""
    found: dict[str, xr.DataArray] = {}
    for argument, name, quantity in (("x", "price", x), ("y", "value", y)):
        values = axes.by_die("result", result, quantity, argument=argument)
        if "die" in values.dims:
            over_dies = summary(values)
            # A single die has no interval.
            parts = [over_dies["mean"], *(over_dies[end].fillna(over_dies["mean"]) for end in ("low", "high"))]
        else:
            parts = [values, values, values]
        found |= {name + end: part for end, part in zip(("", "_low", "_high"), parts, strict=True)}
        found[name] = found[name].assign_attrs(values.attrs)
    spots = xr.broadcast(xr.Dataset(found))[0]
    dims = list(spots.sizes)
    coordinates = {name: one for name, one in result.coords.items() if one.dims and set(one.dims) <= set(dims)}
    missing = [dim for dim in dims if dim not in coordinates]
    coordinates |= {dim: xr.DataArray(np.arange(spots.sizes[dim]), dims=[dim]) for dim in missing}
    spots = spots.reset_coords(drop=True).assign_coords(coordinates)
    spots = spots.stack(spot=dims, create_index=False) if dims else spots.expand_dims("spot")
    known = np.isfinite(spots["price"].values) & np.isfinite(spots["value"].values)
    if not known.any():
        raise ValueError(f"Argument `result` must have a point with both {x!r} and {y!r}, but has none.")
    return spots.isel(spot=known)


def _settings(spots: xr.Dataset) -> list[str]:
    """Coordinates that differ between points, without numbers of points that have settings of their own."""
    names = [str(name) for name in spots.coords if len(np.unique(spots[name].values)) > 1]
    plain = [name for name in names if "." in name or not _counts_up(spots[name])]
    return plain or names


def _counts_up(values: xr.DataArray) -> bool:
    return values.dtype.kind == "i" and values.attrs.get("long_name") in (None, "point")


def _hue(spots: xr.Dataset, settings: Sequence[str], hue: str | None) -> str | None:
    if hue is None:
        words = [name for name in settings if not axes.is_numeric(spots[name])]
        return next((name for name in words if len(np.unique(spots[name].values)) <= len(style.FAMILY_STYLES)), None)
    one_of("hue", hue, map(str, spots.coords))
    count = len(np.unique(spots[hue].values))
    if count > len(style.FAMILY_STYLES):
        raise ValueError(
            f"Argument `hue` must have at most {len(style.FAMILY_STYLES)} values, but {hue!r} has {count}; select some."
        )
    return hue


def _families(spots: xr.Dataset, settings: Sequence[str], hue: str | None) -> dict[str, np.ndarray]:
    """Points of each value of the hue, by its name."""
    name = _hue(spots, settings, hue)
    if name is None:
        return {"": np.ones(spots.sizes["spot"], bool)}
    values = spots[name].values
    # In the order of the study; where a conditional setting does not exist, its NaN are one value.
    places = np.unique(values, return_index=True, return_inverse=True)[1:]
    order = np.argsort(places[0])
    return {axes.value_text(spots[name], values[places[0][one]].item()): places[1] == one for one in order}


def _whiskers(spots: xr.Dataset, name: str) -> np.ndarray | None:
    """Lengths below and above the means; None where all are 0."""
    lengths = np.stack([spots[name] - spots[f"{name}_low"], spots[f"{name}_high"] - spots[name]])
    return lengths if np.any(lengths > 0) else None


def _setting_text(spot: xr.Dataset, names: Sequence[str]) -> str:
    """Values of the settings, a dash for a conditional one that does not exist here; nothing where none exists."""
    values = {name: spot[name].values.item() for name in names}
    if not any(map(_exists, values.values())):
        return ""
    texts = [
        axes.value_text(spot[name], one, name=False) if _exists(one) else "\N{EN DASH}" for name, one in values.items()
    ]
    return ", ".join(texts)


def _exists(value: Any) -> bool:
    """Whether a setting has a value: where a conditional one does not exist it is NaN or an empty name."""
    return value != "" if isinstance(value, str) else not bool(np.isnan(value))


def _some(indices: np.ndarray) -> np.ndarray:
    """At most `LABELS` of them, evenly spread, with both ends."""
    return indices[np.unique(np.linspace(0, len(indices) - 1, min(LABELS, len(indices))).round().astype(int))]


def draw_front(
    ax: Axes, price: np.ndarray, value: np.ndarray, label: str, *, higher_is_better: bool = True
) -> np.ndarray:
    """Join the front by steps; boxes of its lines, shape (boxes, 4), which labels leave free if they can."""
    better = value if higher_is_better else -value
    front = np.flatnonzero(pareto_front(xr.DataArray(price, dims="spot"), xr.DataArray(better, dims="spot")).values)
    front = front[np.argsort(price[front])]
    x, y = price[front], value[front]
    ax.step(x, y, where="post", color=style.GREY, linewidth=1, zorder=1, label=label)
    flat = np.stack([x[:-1], y[:-1], x[1:], y[:-1]], axis=1)
    upright = np.stack([x[1:], y[:-1], x[1:], y[1:]], axis=1)
    return np.concatenate([flat, upright])


def point_label(ax: Axes, text: str, place: tuple[float, float], colour: str) -> Annotation:
    """Label of a point, joined to it by a thin line, before labels are placed."""
    line = {"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6}
    return ax.annotate(
        text, place, (0, 0), textcoords="offset points", ha="center", va="center", fontsize=style.font_size(),
        color=colour, arrowprops=line,
    )  # fmt: skip
