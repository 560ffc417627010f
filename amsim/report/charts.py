"""Interactive charts of a result as figures of plotly, chosen by what the result declares about itself."""

import html
from typing import Any

import numpy as np
import xarray as xr

from amsim.circuits.units import NOT_GIVEN, is_unit
from amsim.plot import style
from amsim.plot.axes import is_logarithmic, is_numeric
from amsim.report.summaries import Summary, axes_of, point_names, settings_over, summaries, summary_of
from amsim.results.metrics import family_of, metric_of
from amsim.results.units import PREFIXED, with_prefix
from amsim.statistics.pareto import pareto_front

POINTS = 400
"""Most points of a chart: more hide one another, and the file has them all."""

BARS, NAMED, TICKS = 40, 10, 8
"""Most bars of a breakdown, or groups of dies; most points of a front whose names are beside them; most values of an
axis that each have a tick."""

SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
}
PATTERNS = {"": "", "//": "/", "..": ".", "\\\\": "\\", "xx": "x", "++": "+", "oo": "."}
"""Markers and hatches of Matplotlib in the words of plotly."""

Chart = dict[str, Any]
"""`title`, `note`, the axis (`x` or `y`) that may be logarithmic, or None, and `choices`: figures by name."""


def charts_of(result: xr.Dataset) -> list[Chart]:
    """Charts of a result: accuracy against energy, parts of the energy, dies, and each quantity over its axis."""
    # What has another unit in each row, such as the rungs of a ladder, has no common axis.
    known = [one for one in summaries(result, POINTS) if is_unit(one.unit) or one.unit == NOT_GIVEN]
    found = (_plane(result), _breakdown(result), _dies(result, known), _profiles(result, known))
    return [one for one in found if one is not None]


def _plane(result: xr.Dataset) -> Chart | None:
    """Accuracy, or another metric, against energy of each point, with the front that no other point beats."""
    metric = metric_of(result)
    if not {metric.name, "energy"} <= set(result.data_vars):
        return None
    axes = tuple(dict.fromkeys((*axes_of(result[metric.name]), *axes_of(result["energy"]))))
    if np.prod([result.sizes[dim] for dim in axes], dtype=int) > POINTS:
        return None
    value, price = (summary_of(result, name, axes) for name in (metric.name, "energy"))
    x, y = price.mean.ravel(), (100 if value.is_share else 1) * value.mean.ravel()
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(known) < 2:
        return None
    names, short = point_names(result, axes), point_names(result, axes, short=True)
    wide = _is_wide(x[known])
    front = known[
        pareto_front(xr.DataArray(x[known], dims="spot"), xr.DataArray(metric.order(y[known]), dims="spot")).values
    ]
    front = front[np.argsort(x[front])]
    steps = {
        "mode": "lines",
        "name": "best up to this energy",
        "line": {"shape": "hv", "color": style.GREY, "width": 1},
    }
    data: list[Any] = [
        {"type": "scatter", "x": x[front].tolist(), "y": y[front].tolist(), "hoverinfo": "skip", **steps}
    ]
    shown = set(front[:NAMED].tolist())
    for number, (family, members) in enumerate(_families(result, axes).items()):
        colour, marker = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)]
        own = [index for index in members if index in set(known.tolist())]
        data.append(
            {
                "type": "scatter", "mode": "markers+text", "name": _safe(family),
                "x": x[own].tolist(), "y": y[own].tolist(),
                "text": [_safe(short[index]) if index in shown else "" for index in own],
                "textposition": [_label_side(x[index], x[known], logarithmic=wide) for index in own],
                "marker": {"color": colour, "symbol": SYMBOLS[marker], "size": 10},
                "error_y": _whiskers(value, own), "error_x": _whiskers(price, own),
                "hoverinfo": "text",
                "hovertext": [_hover(names[index], index, value, price) for index in own],
            }
        )  # fmt: skip
    better = {} if metric.higher_is_better else {"autorange": "reversed"}
    layout = {"xaxis": _axis(price, logarithmic=wide), "yaxis": _axis(value) | better, "showlegend": True}
    note = (
        "A click on a name in the legend hides it, a double click shows it alone. Drag to zoom, double click to go "
        "back. The best points have their names, the others show them when pointed at."
    )
    figure = {"data": data, "layout": layout, "ticks": _decade_ticks(x[known], price)}
    return _chart(f"{metric.words.capitalize()} against energy", note, "x", {"": figure})


def _breakdown(result: xr.Dataset) -> Chart | None:
    """Each quantity over components as stacked bars, one bar for each point."""
    choices = {}
    for name, values in result.data_vars.items():
        if "component" not in values.dims or values.dtype.kind not in "fiu":
            continue
        axes = axes_of(values)
        whole = summary_of(result, str(name))
        if not 0 < whole.mean.size <= BARS:
            continue
        rest = values.mean([dim for dim in values.dims if dim in ("die", "read")], skipna=False)
        parts = rest.transpose("component", *axes).values.reshape(values.sizes["component"], -1)
        choices[_heading(whole)] = _bars(whole, whole.on_axis[0] * parts, result, names=point_names(result, axes))
        total = np.where(whole.mean.ravel() > 0, whole.mean.ravel(), 1.0)
        choices[f"share of {_heading(whole)}"] = _bars(
            whole, 100 * parts / total, result, names=point_names(result, axes), share=True
        )
    note = "Each component has a colour and a hatch; the whole is below the name."
    return _chart("Breakdown by component", note, None, choices) if choices else None


def _bars(whole: Summary, parts: np.ndarray, result: xr.Dataset, *, names: list[str], share: bool = False) -> Any:
    data: list[Any] = []
    totals = [with_prefix(float(one), whole.unit) for one in whole.mean.ravel()]
    labels = [f"{_safe(name)}<br>{total}" for name, total in zip(names, totals, strict=True)]
    for number, (component, values) in enumerate(zip(result["component"].values, parts, strict=True)):
        colour, hatch = style.COMPONENT_STYLES[number % len(style.COMPONENT_STYLES)]
        called = _safe(style.component_name(str(component)))
        said = [f"{one:.3g} %" if share else with_prefix(float(one) / whole.on_axis[0], whole.unit) for one in values]
        data.append(
            {
                "type": "bar", "orientation": "h", "name": called, "y": labels, "x": _plain(values),
                "marker": {
                    "color": colour,
                    "line": {"color": style.BLACK, "width": 0.6},
                    # Its background is white unless it is given.
                    "pattern": {"shape": PATTERNS[hatch], "bgcolor": colour, "fgcolor": style.BLACK, "size": 6},
                },
                "hoverinfo": "text",
                "hovertext": [f"{_safe(name)}<br>{called}: {one}" for name, one in zip(names, said, strict=True)],
            }
        )  # fmt: skip
    axis = {"title": {"text": "share (%)"}, "range": [0, 100]} if share else _axis(whole)
    layout = {"barmode": "stack", "xaxis": axis, "yaxis": {"autorange": "reversed", "automargin": True}}
    whole_layout = {**layout, "height": 190 + 44 * len(names), "showlegend": True}
    return {"data": data, "layout": {**whole_layout, "legend": {"traceorder": "normal"}}}


def _dies(result: xr.Dataset, known: list[Summary]) -> Chart | None:
    """Every die as a dot beside the quartiles of its point."""
    choices: dict[str, Any] = {}
    for one in known:
        if one.dies is None or len(one.dies) < 2 or one.mean.size > BARS:
            continue
        names, by_die = point_names(result, one.axes), one.dies.reshape(len(one.dies), -1)
        factor, _ = one.on_axis
        data = [
            {
                "type": "box", "name": _safe(name), "x": _plain(factor * by_die[:, index]),
                "boxpoints": "all", "jitter": 0.6, "pointpos": 0, "fillcolor": style.PALEST,
                "marker": {"color": style.BLUE, "size": 4}, "line": {"color": style.GREY, "width": 1},
            }
            for index, name in enumerate(names)
        ]  # fmt: skip
        y = {"autorange": "reversed", "automargin": True}
        layout: dict[str, Any] = {"xaxis": _axis(one), "yaxis": y, "showlegend": False, "height": 150 + 40 * len(names)}
        choices[_heading(one)] = {"data": data, "layout": layout}
    note = "Each dot is a die, each box the middle half of them."
    return _chart("Dies", note, "x", choices) if choices else None


def _profiles(result: xr.Dataset, known: list[Summary]) -> Chart | None:
    """Each quantity against its first axis of numbers, else point by point."""
    choices = {_heading(one): _profile(result, one) for one in known if one.axes and one.mean.size > 1}
    note = "Means with their 95 % intervals, where there are any."
    return _chart("Every quantity", note, "y", choices) if choices else None


def _profile(result: xr.Dataset, one: Summary) -> Any:
    factor, _ = one.on_axis
    along = next((dim for dim in one.axes if dim in settings_over(result, dim) and is_numeric(result[dim])), None)
    others = tuple(dim for dim in one.axes if dim != along)
    if along is None:
        return _named_profile(result, one)
    order = (along, *others)
    arranged = summary_of(result, one.name, order)
    names, points = point_names(result, others), point_names(result, order)
    at = result[along].values.astype(float)
    data = []
    for number, name in enumerate(names):
        colour, marker = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)]
        places = [index * len(names) + number for index in range(len(at))]
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": _safe(name), "x": _plain(at),
                "y": _plain(factor * arranged.mean.ravel()[places]), "error_y": _whiskers(arranged, places),
                "marker": {"color": colour, "symbol": SYMBOLS[marker], "size": 8}, "line": {"color": colour},
                "hoverinfo": "text",
                "hovertext": [
                    _hover(points[place], place, arranged) for place in places
                ],
            }
        )  # fmt: skip
    words, unit = str(result[along].attrs.get("long_name", along)), str(result[along].attrs.get("units", "1"))
    x = _axis(Summary(along, words, unit, (), at, None, None, None), logarithmic=is_logarithmic(result[along]))
    known = np.unique(at[np.isfinite(at)])
    x |= {"tickvals": known.tolist(), "ticktext": _tick_texts(known, unit)} if len(known) <= TICKS else {}
    return {"data": data, "layout": {"xaxis": x, "yaxis": _axis(one), "showlegend": len(names) > 1}, "values": "y"}


def _named_profile(result: xr.Dataset, one: Summary) -> Any:
    """A quantity point by point; names stand on the vertical axis, where long ones have room."""
    names, values = point_names(result, one.axes), one.on_axis[0] * one.mean.ravel()
    data = []
    for number, (family, members) in enumerate(_families(result, one.axes).items()):
        colour, marker = style.FAMILY_STYLES[number % len(style.FAMILY_STYLES)]
        spots = {"x": _plain(values[members]), "y": [_safe(names[index]) for index in members]}
        look = {"mode": "markers", "marker": {"color": colour, "symbol": SYMBOLS[marker], "size": 8}}
        hover = {"hoverinfo": "text", "hovertext": [_hover(names[index], index, one) for index in members]}
        whiskers = {"error_x": _whiskers(one, members)}
        data.append({"type": "scatter", "name": _safe(family), **spots, **whiskers, **look, **hover})
    known = values[np.isfinite(values)]
    logarithmic = bool(known.size) and not one.is_share and _is_wide(known)
    order = {"type": "category", "categoryorder": "array", "categoryarray": [_safe(name) for name in names]}
    y = {**order, "automargin": True, "range": [len(names) - 0.5, -0.5]}
    layout = {"xaxis": _axis(one, logarithmic=logarithmic), "yaxis": y, "showlegend": len(data) > 1}
    ticks = _decade_ticks(known, one) if known.size else None
    return {"data": data, "layout": {**layout, "height": 170 + 26 * len(names)}, "values": "x", "ticks": ticks}


def _families(result: xr.Dataset, axes: tuple[str, ...]) -> dict[str, list[int]]:
    """Points by family: a variable of this name, else the names of designs, else the words that tell most apart."""
    places = list(np.ndindex(*[result.sizes[dim] for dim in axes]))
    for name in ("family", "design", *_words(result, axes)):
        if name in result.variables and result[name].ndim == 1 and result[name].dims[0] in axes:
            number = axes.index(str(result[name].dims[0]))
            words = [str(result[name].values[place[number]]) for place in places]
            words = [family_of(word) for word in words] if name == "design" else words
            found: dict[str, list[int]] = {word: [] for word in words}
            for index, word in enumerate(words):
                found[word].append(index)
            return found
    return {"points": list(range(len(places)))}


def _words(result: xr.Dataset, axes: tuple[str, ...]) -> list[str]:
    """Variables of words that have a colour for each of their values, those of most values first."""
    along = [(str(name), one) for name, one in result.variables.items() if one.ndim == 1 and one.dims[0] in axes]
    counts = {name: len(set(one.values.tolist())) for name, one in along if one.dtype.kind in "OU"}
    few = [name for name, count in counts.items() if 1 < count <= len(style.FAMILY_STYLES)]
    return sorted(few, key=lambda name: -counts[name])


def _axis(one: Summary, *, logarithmic: bool = False) -> dict[str, Any]:
    """Axis of a quantity: its words and unit, with prefixes on the numbers."""
    _, unit = one.on_axis
    prefixed = one.unit in PREFIXED
    title = _safe(f"{one.long_name} ({unit})" if unit else one.long_name)
    axis: dict[str, Any] = {"title": {"text": title}, "type": "log" if logarithmic else "linear", "automargin": True}
    axis["title"]["standoff"] = 12
    return axis | ({"tickformat": "~s", "ticksuffix": one.unit} if prefixed else {})


def _hover(name: str, index: int, *quantities: Summary) -> str:
    lines = [f"<b>{_safe(name)}</b>"]
    for one in quantities:
        mean = one.mean.ravel()[index]
        text = _value(one, float(mean))
        if one.low is not None and one.high is not None and np.isfinite(one.low.ravel()[index]):
            text += f" ({_value(one, float(one.low.ravel()[index]))} .. {_value(one, float(one.high.ravel()[index]))})"
        lines.append(f"{_safe(one.long_name)}: {text}")
    return "<br>".join(lines)


def _value(one: Summary, value: float) -> str:
    return f"{100 * value:.2f} %" if one.is_share else with_prefix(value, one.unit, 4)


def _whiskers(one: Summary, places: list[int] | None = None) -> dict[str, Any]:
    """Ends of intervals as lengths from the mean; none where there is no interval or it has no width."""
    if one.low is None or one.high is None:
        return {"visible": False}
    chosen = slice(None) if places is None else places
    mean, low, high = (part.ravel()[chosen] * one.on_axis[0] for part in (one.mean, one.low, one.high))
    upper, lower = _plain(high - mean), _plain(mean - low)
    visible = bool(np.any(np.nan_to_num(high - low) > 0))
    return {
        "type": "data",
        "symmetric": False,
        "array": upper,
        "arrayminus": lower,
        "thickness": 1.2,
        "visible": visible,
    }


def _chart(title: str, note: str, switched: str | None, choices: dict[str, Any]) -> Chart:
    return {"title": title, "note": note, "switched": switched, "choices": choices}


def _heading(one: Summary) -> str:
    return one.long_name


def _label_side(place: float, all_places: np.ndarray, *, logarithmic: bool) -> str:
    """Where the name of a point stands: towards the middle, so that none leaves the chart."""
    at, low, high = (float(np.log(one) if logarithmic else one) for one in (place, all_places.min(), all_places.max()))
    share = (at - low) / (high - low) if high > low else 0.5
    return f"top {'right' if share < 0.3 else 'left' if share > 0.7 else 'center'}"


def _decade_ticks(values: np.ndarray, one: Summary) -> dict[str, Any] | None:
    """Ticks at 1, 2 and 5 of each decade that a logarithmic axis spans, or at 1 where it spans many."""
    if not np.all(values > 0):
        return None
    low, high = np.log10(values.min()) - 0.2, np.log10(values.max()) + 0.2
    heads = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [head * 10.0**decade for decade in range(int(np.floor(low)), int(np.ceil(high)) + 1) for head in heads]
    kept = [tick for tick in ticks if low <= np.log10(tick) <= high]
    return {"tickvals": kept, "ticktext": _tick_texts(np.asarray(kept), one.unit)}


def _tick_texts(values: np.ndarray, unit: str) -> list[str]:
    return [with_prefix(float(value), unit) if unit in PREFIXED else f"{value:g}" for value in values]


def _is_wide(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() >= 10 * values.min())


def _plain(values: np.ndarray) -> list[float | None]:
    """Numbers as JSON can hold them, which has no NaN."""
    return [float(one) if np.isfinite(one) else None for one in np.ravel(values)]


def _safe(text: str) -> str:
    """Text of a result in a label of plotly, which takes some HTML there."""
    return html.escape(text, quote=False)
