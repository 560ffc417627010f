"""Transfer curves and errors of a characterised macro."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator
from scipy import stats

from amsim.plot import style

CURVES = 64
"""Most single columns that are drawn."""

BINS = 60
"""Approximate number of bins of a histogram."""


def plot_transfer_curve(characteristic: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the transfer curve of a macro: the value read, or the probability of +1, against the ideal sum of products.

    Thin lines are single columns of single dies, averaged over reads; sums that the readout clips are shaded.

    Args:
        characteristic: Result of `amsim.characterise`.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, or neither `count_read` nor `decided_up` in it.
    """
    decides = isinstance(characteristic, xr.Dataset) and "decided_up" in characteristic
    name = "decided_up" if decides else "count_read"
    style.check_dataset("characteristic", characteristic, (name,), ("die", "column", "count"))
    counts = characteristic["count"].values
    curves = characteristic[name].transpose("die", "column", "count").values.reshape(-1, len(counts))
    curves = 100 * curves if decides else curves
    some = curves[np.unique(np.linspace(0, len(curves) - 1, min(CURVES, len(curves))).astype(int))]

    ax = style.own_axes(ax, (6.0, 4.5))
    lines = [np.column_stack([counts, curve]) for curve in some]
    single = f"{len(some)} of {len(curves)} columns on {characteristic.sizes['die']} dies"
    ax.add_collection(LineCollection(lines, colors=style.SKY_BLUE, linewidths=0.7, alpha=0.7, label=single))
    mean = ax.plot(counts, curves.mean(axis=0), color=style.BLUE, linewidth=1.8, label="mean of all columns")[0]
    if decides:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ideal = np.where(counts >= 0, 100.0, 0.0)
        ax.step(counts, ideal, where="mid", color=style.BLACK, linewidth=1, linestyle="--", label="ideal")
        mean.set(marker="o", markersize=3.5)
        undecided = counts[(curves > 0).any(axis=0) & (curves < 100).any(axis=0)]
        reach = 1.3 * max(np.abs(undecided).max(initial=0), 4)
        ax.set_xlim(max(-reach, counts[0]), min(reach, counts[-1]))
        quantity = "probability of the decision +1 (%)"
    else:
        ax.plot(counts, counts, color=style.BLACK, linewidth=1, linestyle="--", label="ideal")
        _shade_clipped(ax, characteristic)
        ax.set_xlim(counts[0], counts[-1])
        quantity = "sum of products read (counts)"
    style.finish(ax, "ideal sum of products (counts)", quantity, grid="both", columns=2)
    return ax


def plot_error_histogram(characteristic: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the distribution of the errors of single reads over dies, columns and the sums that do not clip.

    Args:
        characteristic: Result of `amsim.characterise` for a macro that reads numbers.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset, no `error` in it, or every sum clips.
    """
    style.check_dataset("characteristic", characteristic, ("error",), ("die", "read", "column", "count"))
    clipped = _clipped(characteristic)
    if clipped.all():
        raise ValueError("Argument `characteristic` must have sums inside the readout's range, but every one clips.")
    errors = characteristic["error"].transpose(..., "count").values[..., ~clipped].ravel().astype(float)
    mean, sigma = float(errors.mean()), float(errors.std())
    edges = _edges(errors)
    width = edges[1] - edges[0]

    ax = style.own_axes(ax, (6.0, 4.5))
    share = np.full(errors.shape, 100 / len(errors))
    text = f"reads: mean {mean:.3g}, sigma {sigma:.3g} counts"
    ax.hist(
        errors, edges.tolist(), weights=share, color=style.SKY_BLUE, edgecolor=style.BLACK, linewidth=0.5, label=text
    )
    low, high = edges[0] - 1.5 * width, edges[-1] + 1.5 * width
    if sigma > 0:
        # Probability of a bin around x: comparable with the bars where errors are whole steps too.
        x = np.linspace(low, high, 401)
        normal = stats.norm(mean, sigma)
        expected = 100 * (normal.cdf(x + width / 2) - normal.cdf(x - width / 2))
        ax.plot(x, expected, color=style.VERMILLION, linewidth=1.8, label="Gaussian of the same mean and sigma")
    if clipped.any():
        ax.plot([], [], " ", label=f"{clipped.sum()} of {clipped.size} sums clip and are left out")
    ax.set_xlim(low, high)
    style.finish(
        ax, "sum read minus ideal sum (counts)", f"reads per bin of {width:.3g} counts (%)", grid="y", columns=2
    )
    return ax


def _clipped(characteristic: xr.Dataset) -> np.ndarray:
    if "out_of_range" not in characteristic:
        return np.zeros(characteristic.sizes["count"], bool)
    return characteristic["out_of_range"].values > 0


def _shade_clipped(ax: Axes, characteristic: xr.Dataset) -> None:
    counts, clipped = characteristic["count"].values, _clipped(characteristic)
    label: str | None = "outside the readout's range"
    for side in (counts < 0, counts > 0):
        region = counts[clipped & side]
        if region.size:
            ax.axvspan(region.min(), region.max(), color=style.PALEST, zorder=0, label=label)
            label = None


def _edges(errors: np.ndarray) -> np.ndarray:
    """Edges of equal bins centred on the values that occur, so that whole steps fall into the middle of a bin."""
    low, high = float(errors.min()), float(errors.max())
    if high - low < 1e-6:
        return np.array([low - 0.5, low + 0.5])
    gaps = np.diff(np.unique(errors))
    # Closer ones differ in the last bits only, or there are more than a histogram can show.
    apart = gaps[gaps > 1e-5 * (high - low)]
    step = float(apart.min()) if apart.size else (high - low) / BINS
    width = step * max(1, np.ceil((high - low) / step / BINS))
    return low - width / 2 + width * np.arange(np.ceil((high - low) / width + 0.5) + 1)
