"""Tables of a comparison of circuit families."""

import math

import numpy as np
import xarray as xr
from rich.table import Table

from amsim.report.columns import right_aligned
from amsim.statistics.intervals import interval_names


def comparison_tables(result: xr.Dataset) -> list[Table]:
    """Tables that fit 80 columns: the designs, the breakdown of their energy, and the settings that were chosen."""
    data, images = result.attrs.get("data", "data unknown"), result.attrs.get("images", "unknown")
    title = f"{data}, {images} images, {result.sizes['die']} dies"
    designs = right_aligned(title, "design", "accuracy %", "95 % interval", "energy uJ", "latency ms", "area mm2")
    split = right_aligned(
        "share of the energy, %", "design", *(_narrow(str(name)) for name in result["component"].values)
    )
    for index, name in enumerate(result["design"].values):
        row = result.isel(design=index)
        mean, low, high = (100 * float(row[name]) for name in interval_names("accuracy"))
        energies = np.asarray(row["energy"].values, float)
        designs.add_row(
            str(name),
            f"{mean:.2f}",
            "one die" if math.isnan(low) else f"{low:.2f} .. {high:.2f}",
            f"{1e6 * energies.sum():.3g}",
            f"{1e3 * float(row['latency']):.3g}",
            f"{1e6 * float(row['area']):.3g}",
        )
        split.add_row(str(name), *(_percent(value / energies.sum()) for value in energies))
    if "chosen_setting" not in result:
        return [designs, split]
    chosen = right_aligned("settings, chosen on training images", "design", "array and control")
    for name, setting in zip(result["design"].values, result["chosen_setting"].values, strict=True):
        chosen.add_row(str(name), str(setting))
    return [designs, split, chosen]


def _narrow(component: str) -> str:
    """Heading of a component broken into short lines, so that all columns fit 80 characters."""
    return component.replace("_", "\n").replace("activation", "acti-\nvation").replace("registers", "regi-\nsters")


def _percent(share: float) -> str:
    """Share in percent, with a decimal where it is small; "0" only for exactly none."""
    return f"{100 * share:.0f}" if share >= 0.1 or share == 0 else f"{100 * share:.1f}"
