"""Results as text: their origin, their axes, and tables of their numbers."""

import json
import math
import tomllib
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.ticker import EngFormatter
from rich.table import Table

from amsim.plot.axes import PREFIXED, with_unit
from amsim.report.columns import right_aligned
from amsim.report.comparison import comparison_tables
from amsim.report.result_file import printable
from amsim.results.metrics import metric_of
from amsim.statistics.intervals import student_half_width
from amsim.validation.tables import level_tables

SQUARE_MILLIMETRES = 1e6
ROWS = 60
"""Most points in a table."""

INNER = ("die", "read", "component")
"""Dimensions of a study that are not axes."""


def provenance_lines(result: xr.Dataset) -> list[str]:
    """Lines on the origin of a result and its axes."""
    attributes, study, file = result.attrs, _json(result.attrs.get("study")), _toml(result.attrs.get("study_file"))
    origin = {
        "network": file.get("network") or study.get("network") or attributes.get("network"),
        "data": file.get("data") or attributes.get("data"),
        "items": study.get("items", attributes.get("images")),
        "hardware": ", ".join(dict.fromkeys(_macros(_json(_first(attributes, "hardware", "macro", "accelerators"))))),
        "dies": attributes.get("dies", result.sizes.get("die")),
        "reads": attributes.get("reads", result.sizes.get("read")),
        "seed": attributes.get("seed"),
        "key": attributes.get("key"),
        "precision": attributes.get("precision"),
        "version": f"amsim {attributes['amsim_version']}, jax {attributes.get('jax_version', 'unknown')}",
    }
    lines = [_kind(result)]
    lines += [f"{name}: {_text(value)}" for name, value in origin.items() if value is not None and _text(value)]
    for dim, size in result.sizes.items():
        held = [str(name) for name, one in result.coords.items() if dim in one.dims]
        lines += [f"axis {_text(name)}: {_values(result[name])}" for name in held] or [f"axis {_text(dim)}: {size}"]
    return lines


def result_tables(result: xr.Dataset, quantity: str | None = None) -> list[Table]:
    """Tables of a result; that of a study has one row per point.

    Raises:
        ValueError: The result has no such quantity.
    """
    if quantity is not None and quantity not in result.data_vars:
        names = ", ".join(map(str, result.data_vars))
        raise ValueError(f"Argument `quantity` must be one of {names}, but is {quantity!r}.")
    if "axes" in result.attrs:
        return [_study_table(result, [quantity] if quantity else [str(name) for name in result.data_vars])]
    if quantity is None and {"design", "component"} <= set(result.dims) and f"{metric_of(result).name}_mean" in result:
        return comparison_tables(result)
    if quantity is None and "rung" in result.dims:
        return level_tables(result)
    return [_overview(result[[quantity]] if quantity else result)]


def _study_table(result: xr.Dataset, quantities: list[str]) -> Table:
    axes = [dim for dim in result.dims if dim not in INNER and any(dim in result[one].dims for one in quantities)]
    columns = [str(name) for dim in axes for name, one in result.coords.items() if one.dims == (dim,)]
    columns = [name for name in columns if name not in ("point", "sample")] or [str(dim) for dim in axes]
    summaries = {name: _summary(result[name], axes) for name in quantities}
    scales = {name: _scale(name, mean, unit) for name, (mean, unit, _) in summaries.items()}
    headings = [
        word
        for name, (_, _, half) in summaries.items()
        for word in (f"{_text(name)} {scales[name][1]}".strip(), *([] if half is None else ["95 %"]))
    ]
    first, *others = [_text(result[name].attrs.get("long_name", name)) for name in columns] or ["point"]
    shape = [result.sizes[dim] for dim in axes]
    points = [place for place in np.ndindex(*shape) if not all(np.isnan(m[place]) for m, _, _ in summaries.values())]
    missing = math.prod(shape) - len(points)
    title = "1 point" if len(points) == 1 else f"{len(points)} points"
    title += f"; {missing} have no result yet" if missing else ""
    if len(points) > ROWS:
        title += f"; the first {ROWS}"
    table = right_aligned(title, first, *others, *headings)
    for place in points[:ROWS]:
        at = dict(zip(axes, place, strict=True))
        cells = [_value_text(result[name][at[result[name].dims[0]]].item(), _unit(result[name])) for name in columns]
        for name, (mean, _, half) in summaries.items():
            factor, _, form = scales[name]
            cells.append(_number(float(factor * mean[place]), form))
            if half is not None:
                cells.append("one die" if np.isnan(half[place]) else f"+- {_number(float(factor * half[place]), form)}")
        table.add_row(*cells)
    return table


def _summary(values: xr.DataArray, axes: list[Any]) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Mean over dies at each point, its unit, and half the width of its 95 % interval where there are dies."""
    unit = _unit(values)
    wide = values.astype(float)
    wide = wide.sum("component", skipna=False) if "component" in wide.dims else wide
    wide = wide.mean([dim for dim in wide.dims if dim not in (*axes, "die")], skipna=False)
    wide = wide.expand_dims({dim: values.sizes.get(dim, 1) for dim in axes if dim not in wide.dims})
    if "die" not in wide.dims:
        return wide.transpose(*axes).values, unit, None
    count = wide.sizes["die"]
    by_die = wide.transpose("die", *axes).values
    spread = by_die.std(axis=0, ddof=1) if count > 1 else np.full(by_die.shape[1:], np.nan)
    return by_die.mean(axis=0), unit, student_half_width(spread, count)


def _overview(result: xr.Dataset) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for heading in ("variable", "from", "to", "unit"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning, over")
    for name, values in result.data_vars.items():
        numbers = values.values[np.isfinite(values.values)] if values.dtype.kind in "fiub" else np.zeros(0)
        ends = [f"{numbers.min():.4g}", f"{numbers.max():.4g}"] if numbers.size else ["", ""]
        meaning = f"{values.attrs.get('long_name', '')}, over {', '.join(map(str, values.dims)) or 'nothing'}"
        table.add_row(*map(_text, (name, *ends, _unit(values), meaning)))
    return table


def _kind(result: xr.Dataset) -> str:
    if "axes" in result.attrs:
        return "study of settings, dies and reads (amsim sweep)"
    if {"design", "component"} <= set(result.dims):
        return "comparison of designs (amsim compare)"
    if "rung" in result.dims:
        return "ladder of trust (amsim validate)"
    if "macro" in result.attrs and "count" in result.dims:
        return "characterisation of a macro"
    return "result of amsim over " + ", ".join(_text(dim) for dim in result.dims)


def _scale(name: str, values: np.ndarray, unit: str) -> tuple[float, str, str]:
    """Factor of a column of numbers, its unit with that factor, and the format of a number."""
    if unit == "1":
        return (100.0, "%", ".2f") if name.startswith(("accuracy", "yield")) else (1.0, "", ".4g")
    if unit == "m2":
        return SQUARE_MILLIMETRES, "mm2", ".4g"
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    if unit not in PREFIXED or not 0 < largest < math.inf:
        return 1.0, _text(unit), ".4g"
    power = 3 * math.floor(math.log10(largest) / 3)
    prefix = EngFormatter.ENG_PREFIXES.get(power)
    return (1.0, unit, ".4g") if prefix is None else (10.0**-power, prefix.replace("µ", "u") + unit, ".4g")


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "none"


def _value_text(value: Any, unit: str) -> str:
    """Short text of a value with its unit."""
    if isinstance(value, str | bool):
        return _text(value) or "none"
    if not math.isfinite(value):
        return "none"
    if unit == "m2":
        return f"{SQUARE_MILLIMETRES * value:.3g} mm2"
    return _text(with_unit(value, unit)).replace("µ", "u").replace("\N{MINUS SIGN}", "-")


def _values(axis: xr.DataArray) -> str:
    unit = _unit(axis)
    held = [_value_text(one, unit) for one in axis.values.ravel().tolist()]
    listed = ", ".join(held) if len(held) <= 8 else f"{len(held)} values from {held[0]} to {held[-1]}"
    name = axis.attrs.get("long_name", axis.name)
    return listed if name == axis.name else f"{_text(name)}: {listed}"


def _unit(values: xr.DataArray) -> str:
    return str(values.attrs.get("units", "1"))


def _first(attributes: Any, *names: str) -> Any:
    return next((attributes[name] for name in names if name in attributes), None)


def _json(text: Any) -> Any:
    """Content of a JSON attribute, or nothing."""
    if isinstance(text, list | np.ndarray):
        return [_json(one) for one in text]
    try:
        return json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}


def _toml(text: Any) -> Any:
    """Table `study` of the file that a study was run from, or nothing."""
    try:
        return tomllib.loads(text).get("study", {}) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}


def _macros(content: Any) -> Iterator[str]:
    """Types of the macros in a description of hardware."""
    if isinstance(content, list):
        for one in content:
            yield from _macros(one)
    elif isinstance(content, dict):
        inside = content.get("macros")
        if isinstance(inside, list):
            yield from _macros(inside)
        elif isinstance(content.get("type"), str):
            yield content["type"]


def _text(value: Any) -> str:
    """Text of a file without characters that could control a terminal, at most 200 long."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    text = ", ".join(map(str, plain)) if isinstance(plain, list) else str(plain)
    text = printable(text).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= 200 else text[:197] + "..."
