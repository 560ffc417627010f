"""Picture of a study from its data alone."""

from typing import Any

import xarray as xr

from amsim.plot import plot_pareto, plot_sweep
from amsim.plot.axes import is_logarithmic, is_numeric, own_axes_of


def result_picture(result: xr.Dataset, quantity: str | None = None, along: str | None = None) -> Any:
    """Figure of a quantity of a study along an axis, or of accuracy against energy where no axis is suitable.

    Args:
        result: Result of a study.
        quantity: Variable; None takes the accuracy, or the first variable where accuracy was not measured.
        along: Horizontal axis; None takes the first numeric one.

    Raises:
        ValueError: Not a study, an unknown quantity or axis, or more axes than a picture shows.
    """
    if "axes" not in result.attrs or not result.data_vars:
        raise ValueError("only studies of `amsim sweep` are drawn here.")
    chosen = quantity or ("accuracy" if "accuracy" in result else str(next(iter(result.data_vars))))
    if chosen not in result:
        raise ValueError(
            f"Argument `quantity` must be one of {', '.join(map(str, result.data_vars))}, but is {chosen!r}."
        )
    axes = own_axes_of(result[chosen])
    unnamed = [dim for dim in ("point", "sample") if dim in axes]
    numeric = [dim for dim in axes if is_numeric(result[dim])]
    fit = not unnamed and numeric and len(axes) <= 2
    if not fit and quantity is None and along is None and {"accuracy", "energy"} <= set(result.data_vars):
        return plot_pareto(result).figure
    if unnamed:
        raise ValueError(f"the values of {chosen!r} are a list over {unnamed[0]!r}, not along an axis.")
    if along is not None and along not in numeric:
        raise ValueError(
            f"Argument `along` must be an axis of numbers, of {', '.join(numeric) or 'none'}, but is {along!r}."
        )
    x = along or next(iter(numeric), None)
    if x is None:
        raise ValueError(f"{chosen!r} has no axis of numbers.")
    return plot_sweep(result, chosen, x=x, logarithmic=is_logarithmic(result[x])).figure
