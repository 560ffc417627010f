"""Picture of any result from its data alone, by the variables that it has."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from amsim import plot
from amsim.plot.axes import is_logarithmic, is_numeric, own_axes_of


class Kind(NamedTuple):
    """A kind of result: what it has, and how it is drawn.

    Attributes:
        variables: Names that it has.
        dims: Dimensions that it has.
        draw: Makes axes or a figure of it.
    """

    variables: tuple[str, ...]
    dims: tuple[str, ...]
    draw: Callable[[xr.Dataset], Any]


def result_picture(result: xr.Dataset, quantity: str | None = None, along: str | None = None) -> Any:
    """Figure of a result: of a study a quantity along an axis, or accuracy against energy where no axis is suitable.

    Args:
        result: Any result.
        quantity: Variable of a study; None takes the accuracy, or the first variable where accuracy was not measured.
        along: Horizontal axis of a study; None takes the first numeric one.

    Raises:
        ValueError: A result that has no picture, an unknown quantity or axis, or more axes than a picture shows.
    """
    if "axes" in result.attrs and result.data_vars and not _switched(result):
        return _study_picture(result, quantity, along)
    for argument, given in (("quantity", quantity), ("along", along)):
        if given is not None:
            raise ValueError(f"Argument `{argument}` is for pictures of studies, and this result is none.")
    for kind in KINDS:
        if set(kind.variables) <= set(result.data_vars) and set(kind.dims) <= set(result.dims):
            drawn = kind.draw(result)
            return getattr(drawn, "figure", drawn)
    raise ValueError(f"a result over {', '.join(map(str, result.dims)) or 'nothing'} has no picture.")


def _ladder(result: xr.Dataset) -> Any:
    """Its published chips, or the first level that has a ratio."""
    ratios = result["ratio"].values
    found = [str(level) for level in result["level"].values[np.isfinite(ratios) & (ratios > 0)]]
    level = next((one for one in ("published chip", *found) if one in found), "published chip")
    return plot.plot_validation(result, level=level)


def _switched(result: xr.Dataset) -> list[str]:
    """Quantities of a study of switched sources."""
    names = map(str, result.data_vars)
    over = {"source", "state"} <= set(result.dims)
    return [name for name in names if over and {f"{name}_all", f"{name}_none"} <= set(result.data_vars)]


def _switched_picture(result: xr.Dataset) -> Any:
    found = _switched(result)
    if not found:
        raise ValueError("a result over source and state needs a quantity with all and without any sources.")
    return plot.plot_switched_sources(result, quantity="accuracy" if "accuracy" in found else found[0])


KINDS = (
    Kind(
        ("power", "average_power", "overload", "wake_up_rate"),
        ("event_rate", "stage", "part"),
        lambda result: plot.plot_cascade(result),
    ),
    Kind(
        ("average_power", "miss_rate", "met"),
        ("arrangement", "event_rate", "miss_limit"),
        lambda result: plot.plot_power_curve(result),
    ),
    Kind(
        ("accuracy", "accuracy_mean", "accuracy_low", "accuracy_high", "energy"),
        ("design", "die", "component"),
        lambda result: plot.plot_comparison(result),
    ),
    Kind(
        ("accuracy_mean", "energy", "best_dot", "circuit_family", "network"),
        ("dot", "accuracy_target", "family", "component"),
        lambda result: plot.plot_exploration(result),
    ),
    Kind(("ratio", "level", "kind", "held_out", "within"), ("rung",), _ladder),
    Kind((), ("source", "state"), _switched_picture),
    Kind((), ("site", "source"), lambda result: plot.plot_sensitivity(result)),
    Kind(("count_read",), ("die", "column", "count"), lambda result: plot.plot_transfer_curve(result)),
    Kind(("decided_up",), ("die", "column", "count"), lambda result: plot.plot_transfer_curve(result)),
    Kind(("variance", "error_sigma"), ("source",), lambda result: plot.plot_noise_budget(result)),
    Kind(("array_energy", "operation_energy"), ("family", "bits"), lambda result: plot.plot_circuit_table(result)),
    Kind(
        ("occurrences", "driven_rows", "clipped", "cell_voltage", "read_noise"),
        ("tile", "high_cells"),
        lambda result: plot.plot_line_values(result),
    ),
    Kind(("energy",), ("site", "component"), lambda result: plot.plot_energy_breakdown(result)),
    Kind(("energy",), ("design", "component"), lambda result: plot.plot_energy_breakdown(result)),
    Kind(("accuracy",), ("die",), lambda result: plot.plot_yield(result)),
)
"""Kinds of results, of which the first that fits is drawn."""


def _study_picture(result: xr.Dataset, quantity: str | None, along: str | None) -> Any:
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
        return plot.plot_pareto(result).figure
    if unnamed:
        raise ValueError(f"the values of {chosen!r} are a list over {unnamed[0]!r}, not along an axis.")
    if along is not None and along not in numeric:
        raise ValueError(
            f"Argument `along` must be an axis of numbers, of {', '.join(numeric) or 'none'}, but is {along!r}."
        )
    x = along or next(iter(numeric), None)
    if x is None:
        raise ValueError(f"{chosen!r} has no axis of numbers.")
    return plot.plot_sweep(result, chosen, x=x, logarithmic=is_logarithmic(result[x])).figure
