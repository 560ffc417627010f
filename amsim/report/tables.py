"""Results as text: their origin, their axes, and tables of their numbers."""

import json
import math
import tomllib
from typing import Any

import numpy as np
import xarray as xr
from rich.table import Table

from amsim.report.cascade import cascade_tables
from amsim.report.columns import right_aligned
from amsim.report.comparison import comparison_tables
from amsim.report.exploration import EXPLORED, exploration_tables
from amsim.report.result_file import printable
from amsim.report.scope import macro_types
from amsim.report.summaries import INNER, Summary, summary_of
from amsim.results.fitting_table import FittingTable
from amsim.results.metrics import metric_of
from amsim.results.units import PREFIXED, scale_of, with_prefix
from amsim.statistics.intervals import interval_names
from amsim.validation.tables import level_tables

HARDWARE = ("hardware", "macro", "accelerator", "accelerators")
"""Attributes of a result that describe its hardware, as `amsim.results.provenance.described` does."""

COMPARED = {"design", "die", "component", "energy", "latency", "area"}
"""Dimensions and variables of a comparison of designs, beside those of its metric."""

CASCADE = {"stage", "part", "power", "average_power", "overload", "miss_rate"}
"""Dimensions and variables of a cascade over a stream."""

ROWS = 60
"""Most points in a table."""


def provenance_lines(result: xr.Dataset) -> list[str]:
    """Lines on the origin of a result and its axes."""
    attributes, study, file = result.attrs, _json(result.attrs.get("study")), _toml(result.attrs.get("study_file"))
    origin = {
        "network": file.get("network") or study.get("network") or attributes.get("network"),
        "data": file.get("data") or attributes.get("data"),
        "items": study.get("items", attributes.get("images")),
        "hardware": ", ".join(macro_types(described_hardware(result))),
        "dies": attributes.get("dies", result.sizes.get("die")),
        "reads": attributes.get("reads", result.sizes.get("read")),
        "seed": attributes.get("seed"),
        "key": attributes.get("key"),
        "precision": attributes.get("precision"),
        "version": f"amsim {attributes['amsim_version']}, jax {attributes.get('jax_version', 'unknown')}",
    }
    lines = [result_kind(result)]
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
    has = {*map(str, result.dims), *map(str, result.data_vars)}
    if quantity is None and has >= COMPARED | set(interval_names(metric_of(result).name)):
        return comparison_tables(result)
    if quantity is None and has >= EXPLORED:
        return exploration_tables(result)
    if quantity is None and has >= CASCADE:
        return list(cascade_tables(result))
    if quantity is None and "rung" in result.dims:
        return level_tables(result)
    return [_overview(result[[quantity]] if quantity else result)]


def _study_table(result: xr.Dataset, quantities: list[str]) -> Table:
    axes = [dim for dim in result.dims if dim not in INNER and any(dim in result[one].dims for one in quantities)]
    columns = [str(name) for dim in axes for name, one in result.coords.items() if one.dims == (dim,)]
    columns = [name for name in columns if name not in ("point", "sample")] or [str(dim) for dim in axes]
    summaries = {name: summary_of(result, name, tuple(map(str, axes))) for name in quantities}
    scales = {name: _scale(one) for name, one in summaries.items()}
    headings = [
        word
        for name, one in summaries.items()
        for word in (f"{_text(name)} {scales[name][1]}".strip(), *([] if one.low is None else ["95 %"]))
    ]
    first, *others = [_text(result[name].attrs.get("long_name", name)) for name in columns] or ["point"]
    shape = [result.sizes[dim] for dim in axes]
    points = [place for place in np.ndindex(*shape) if not all(np.isnan(one.mean[place]) for one in summaries.values())]
    missing = math.prod(shape) - len(points)
    title = "1 point" if len(points) == 1 else f"{len(points)} points"
    title += f"; {missing} have no result yet" if missing else ""
    if len(points) > ROWS:
        title += f"; the first {ROWS}"
    table = right_aligned(title, first, *others, *headings)
    for place in points[:ROWS]:
        at = dict(zip(axes, place, strict=True))
        cells = [_value_text(result[name][at[result[name].dims[0]]].item(), _unit(result[name])) for name in columns]
        for name, one in summaries.items():
            factor, _, form = scales[name]
            cells.append(_number(float(factor * one.mean[place]), form))
            if one.low is not None and one.high is not None:
                half = (one.high[place] - one.low[place]) / 2
                cells.append("one die" if np.isnan(half) else f"+- {_number(float(factor * half), form)}")
        table.add_row(*cells)
    return table


def _overview(result: xr.Dataset) -> Table:
    table = FittingTable(box=None, pad_edge=False, collapse_padding=True)
    for heading in ("variable", "from", "to", "unit"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning, over")
    for name, values in result.data_vars.items():
        numbers = values.values[np.isfinite(values.values)] if values.dtype.kind in "fiub" else np.zeros(0)
        factor, unit = scale_of(float(np.abs(numbers).max(initial=0.0)), _unit(values))
        ends = [f"{factor * one:.4g}" for one in (numbers.min(), numbers.max())] if numbers.size else ["", ""]
        meaning = f"{values.attrs.get('long_name', '')}, over {', '.join(map(str, values.dims)) or 'nothing'}"
        table.add_row(*map(_text, (name, *ends, unit or "1", meaning)))
    return table


def result_kind(result: xr.Dataset) -> str:
    """What a result is, by its dimensions and attributes."""
    if "axes" in result.attrs:
        return "study of settings, dies and reads (amsim sweep)"
    if {"design", "component"} <= set(result.dims):
        return "comparison of designs (amsim compare)"
    if {"dot", "accuracy_target"} <= set(result.dims):
        return "exploration of networks and hardware (amsim explore)"
    if {"stage", "part", "miss_rate"} <= {*result.dims, *result.data_vars}:
        return "cascade over a stream (amsim cascade)"
    if "rung" in result.dims:
        return "ladder of trust (amsim validate)"
    if "macro" in result.attrs and "count" in result.dims:
        return "characterisation of a macro"
    return "result of amsim over " + ", ".join(_text(dim) for dim in result.dims)


def _scale(one: Summary) -> tuple[float, str, str]:
    """Factor of a column of numbers, its unit with that factor, and the format of a number."""
    if one.is_share:
        return 100.0, "%", ".2f"
    factor, written = scale_of(float(np.nanmax(np.abs(one.mean), initial=0.0)), one.unit)
    return factor, _text(written), ".4g"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "none"


def _value_text(value: Any, unit: str) -> str:
    """Short text of a value with its unit."""
    if isinstance(value, str | bool):
        return _text(value) or "none"
    if not math.isfinite(value):
        return "none"
    if unit in PREFIXED or unit == "m2":
        return with_prefix(float(value), unit)
    return _text(f"{value:g}" if unit == "1" else f"{value:g} {unit}")


def _values(axis: xr.DataArray) -> str:
    unit = _unit(axis)
    held = [_value_text(one, unit) for one in axis.values.ravel().tolist()]
    listed = ", ".join(held) if len(held) <= 8 else f"{len(held)} values from {held[0]} to {held[-1]}"
    name = axis.attrs.get("long_name", axis.name)
    return listed if name == axis.name else f"{_text(name)}: {listed}"


def _unit(values: xr.DataArray) -> str:
    return str(values.attrs.get("units", "1"))


def described_hardware(result: xr.Dataset) -> Any:
    """Description of the hardware that a result states, or nothing."""
    return _json(next((result.attrs[name] for name in HARDWARE if name in result.attrs), None))


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


def _text(value: Any) -> str:
    """Text of a file without characters that could control a terminal, at most 200 long."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    text = ", ".join(map(str, plain)) if isinstance(plain, list) else str(plain)
    text = printable(text).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= 200 else text[:197] + "..."
