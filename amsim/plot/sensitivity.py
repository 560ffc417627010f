"""Picture of the sensitivity of each site to each source of error."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm

from amsim.plot import style

DARK = 0.55
"""Fraction of the colour scale above which text is white."""


def plot_sensitivity(dataset: xr.Dataset, *, variable: str = "loss_increase", ax: Axes | None = None) -> Axes:
    """Draw a measure of each site and source as a colour map with its numbers.

    Args:
        dataset: Result of `amsim.sensitivity`.
        variable: One of its variables over (site, source).
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, or a variable that is not there or not over sites and sources.
    """
    style.check_dataset("dataset", dataset, (), ("site", "source"))
    style.check_variable("variable", variable, dataset)
    if set(dataset[variable].dims) != {"site", "source"}:
        raise ValueError(f"Argument `variable` must be one over site and source, but is {variable!r}.")
    values = dataset[variable].transpose("site", "source").values
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    # Sources differ by orders of magnitude, and noise may make small ones negative.
    norm = SymLogNorm(largest / 100, vmin=-largest if np.nanmin(values) < -largest / 100 else 0.0, vmax=largest)

    ax = style.own_axes(ax, (1.8 + 1.0 * values.shape[1], 1.2 + 0.42 * values.shape[0]))
    colours = "PuOr_r" if norm.vmin else "Oranges"
    ax.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else "0" if value == 0 else f"{value:.2g}"
        shade = 0.0 if np.isnan(value) else float(norm(value))
        dark = shade > DARK + 0.3 if not norm.vmin else abs(shade - 0.5) > DARK / 1.4
        ax.text(
            column, row, text, ha="center", va="center", fontsize=style.font_size(),
            color="white" if dark else style.BLACK,
        )  # fmt: skip
    ax.set_xticks(range(values.shape[1]), [str(name) for name in dataset["source"].values])
    ax.set_yticks(range(values.shape[0]), [str(name) for name in dataset["site"].values])
    ax.tick_params(length=0, labelsize=style.font_size())
    ax.spines[:].set_visible(False)
    ax.set_xlabel("source of the error", fontsize=style.title_size())
    ax.set_ylabel("site", fontsize=style.title_size())
    ax.set_title(str(dataset[variable].attrs.get("long_name", variable)), fontsize=style.title_size())
    return ax
