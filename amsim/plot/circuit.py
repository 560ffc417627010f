"""Pictures of circuit blocks: the noise budget of a column and the linearity of a converter."""

import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from amsim.circuits.adc import linearity
from amsim.circuits.checks import real_numbers
from amsim.plot import style


def plot_noise_budget(budget: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the root mean square error of each source, the largest on top, and that of all together.

    Args:
        budget: Result of `amsim.noise_budget`. A source that reduces the error, as rounding may, is drawn to the left.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, or no variable `variance` over `source`.
    """
    style.check_dataset("budget", budget, ("variance", "error_sigma"), ("source",))
    variance = budget["variance"].values
    order = np.argsort(np.abs(variance))
    sigma = (np.sign(variance) * np.sqrt(np.abs(variance)))[order]
    names = [str(name) for name in budget["source"].values[order]]
    total = float(budget["error_sigma"])

    ax = style.own_axes(ax, (7.0, 1.2 + 0.32 * len(names)))
    ax.barh(np.arange(len(names)), sigma, 0.7, color=style.BLUE, edgecolor=style.BLACK, linewidth=0.6)
    ax.axvline(total, color=style.VERMILLION, linestyle="--", linewidth=1.2, label=f"all together, {total:.3g} counts")
    for place, value in enumerate(sigma):
        text = ax.annotate(f"{value:.2g}", (max(value, 0.0), place), (4, 0), textcoords="offset points", va="center")
        text.set_fontsize(style.font_size())
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_xlim(min(0.0, 1.2 * sigma.min()), 1.15 * max(total, sigma.max(), 1e-12))
    read = {"adc": "ADC read", "comparator": "decision"}.get(str(budget.attrs.get("readout")), "read")
    style.finish(ax, f"root mean square error per {read} (counts)", "", grid="x", columns=1)
    return ax


def plot_linearity(transitions: ArrayLike, *, quantity: str = "inl", ax: Axes | None = None) -> Axes:
    """Draw INL or DNL of converters over their codes.

    Args:
        transitions: Transition levels in rising order, shape (transitions,) or (columns, transitions), any unit.
        quantity: "inl" or "dnl", in LSB of the end-point fit.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Another quantity, or transitions of another shape.
    """
    if quantity not in ("inl", "dnl"):
        raise ValueError(f"Argument `quantity` must be inl or dnl, but is {quantity!r}.")
    levels = np.atleast_2d(real_numbers("transitions", transitions, (1, 2)))
    if levels.shape[1] < 2:
        raise ValueError(
            "Argument `transitions` must have shape (transitions,) or (columns, transitions), two at least, but has "
            f"shape {np.shape(transitions)}."
        )
    if not np.all(np.isfinite(levels)) or np.any(levels[:, -1] <= levels[:, 0]):
        raise ValueError("Argument `transitions` must be finite and rise from the first to the last.")
    values = np.stack([np.asarray(getattr(linearity(jnp.asarray(one, float)), quantity)) for one in levels])
    codes = np.arange(1, values.shape[1] + 1)
    ax = style.own_axes(ax, (7.0, 3.2))
    for index, one in enumerate(values):
        label = "single converter" if index == 0 else None
        ax.step(codes, one, where="mid", color=style.BLUE, alpha=max(0.15, 1 / len(values)), linewidth=1, label=label)
    if len(values) > 1:
        rms = np.sqrt(np.mean(values**2, axis=0))
        ax.step(codes, rms, where="mid", color=style.VERMILLION, linewidth=1.6, label="root mean square")
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    style.finish(ax, "output code", f"{quantity.upper()} (LSB)", grid="y", columns=2)
    return ax
