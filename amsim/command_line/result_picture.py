"""A picture of a study from its data alone."""

from typing import Any

import numpy as np
import xarray as xr

from amsim.plot import plot_sweep

WIDE_RANGE = 8.0
"""Largest over smallest value from which an axis is drawn by its logarithm."""


def result_picture(result: xr.Dataset, quantity: str | None = None, along: str | None = None) -> Any:
    """Figure of a quantity of a study along an axis.

    Args:
        result: Result of a study.
        quantity: None is the accuracy, or the first one where that is not measured.
        along: Axis; None is the first one of numbers.

    Raises:
        ValueError: No study, no such quantity or axis, or more axes than a picture shows.
    """
    if "axes" not in result.attrs or not result.data_vars:
        raise ValueError("only studies of `amsim sweep` are drawn here.")
    chosen = quantity or ("accuracy" if "accuracy" in result else str(next(iter(result.data_vars))))
    if chosen not in result:
        raise ValueError(f"quantity must be one of {', '.join(map(str, result.data_vars))}, but is {chosen!r}.")
    drawn = result.sum("component", keep_attrs=True, skipna=False) if "component" in result[chosen].dims else result
    unnamed = [str(dim) for dim in ("point", "sample") if dim in drawn[chosen].dims]
    if unnamed:
        raise ValueError(f"the values of {chosen!r} are a list over {unnamed[0]!r}, not along an axis.")
    axis = plot_sweep(drawn, chosen, x=along)
    if _wide(axis.lines):
        axis.set_xscale("log")
    return axis.figure


def _wide(lines: Any) -> bool:
    values = np.concatenate([np.asarray(line.get_xdata(), float) for line in lines] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() >= WIDE_RANGE * values.min())
