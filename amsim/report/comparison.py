"""Tables of a comparison of designs."""

import math

import numpy as np
import xarray as xr
from rich.table import Table

from amsim.report.columns import right_aligned
from amsim.results.metrics import metric_of
from amsim.statistics.intervals import interval_names


def comparison_tables(result: xr.Dataset) -> list[Table]:
    """Tables that fit 80 columns: the designs, the breakdown of their energy, and the settings that were chosen."""
    metric = metric_of(result)
    heading = f"{metric.words}{metric.shown_in}"
    designs = right_aligned(_title(result), "design", heading, "95 % interval", "energy uJ", "latency ms", "area mm2")
    split = right_aligned(
        "share of the energy, %", "design", *(narrow_component(str(name)) for name in result["component"].values)
    )
    for index, name in enumerate(result["design"].values):
        row = result.isel(design=index)
        mean, low, high = (float(row[name]) for name in interval_names(metric.name))
        energies = np.asarray(row["energy"].values, float)
        designs.add_row(
            str(name),
            metric.shown(mean, 2),
            "one die" if math.isnan(low) else f"{metric.shown(low, 2)} .. {metric.shown(high, 2)}",
            f"{1e6 * energies.sum():.3g}",
            f"{1e3 * float(row['latency']):.3g}",
            f"{1e6 * float(row['area']):.3g}",
        )
        split.add_row(str(name), *(_percent(value / energies.sum()) for value in energies))
    if "chosen_setting" not in result:
        return [designs, split]
    chosen = right_aligned("settings, chosen on training items", "design", "array and control")
    for name, setting in zip(result["design"].values, result["chosen_setting"].values, strict=True):
        chosen.add_row(str(name), str(setting))
    return [designs, split, chosen]


def _title(result: xr.Dataset) -> str:
    """Data, and of a network that all designs share also its name and its metric without circuits."""
    data, items = result.attrs.get("data", "data unknown"), result.attrs.get("images", "unknown")
    title = f"{data}, {items} test items, {result.sizes['die']} dies"
    metric = metric_of(result)
    if not result.attrs.get("network") or metric.plain not in result:
        return title
    plain = float(result[metric.plain].values[0])
    return f"{result.attrs['network']} on {title}; without circuits {metric.shown(plain, 2)}{metric.shown_in}"


def narrow_component(component: str) -> str:
    """Heading of a component broken into short lines, so that all columns fit 80 characters."""
    return component.replace("_", "\n").replace("activation", "acti-\nvation").replace("registers", "regi-\nsters")


def _percent(share: float) -> str:
    """Share in percent, with a decimal where it is small; "0" only for exactly none."""
    return f"{100 * share:.0f}" if share >= 0.1 or share == 0 else f"{100 * share:.1f}"
