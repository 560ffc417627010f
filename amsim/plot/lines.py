"""Picture of the values of lines before readout, with the range or the thresholds of the readout."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from amsim.plot import axes, style

BINS = 60
"""Approximate number of bars of a histogram."""

KEPT, CLIPPED = (style.SKY_BLUE, ""), (style.VERMILLION, "xx")
"""Colour and hatch of values inside and outside the range."""


def plot_line_values(values: xr.Dataset, *, tile: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the values of nominal lines, with the converter's range or the comparators' thresholds.

    Bars are whole steps of the converter where there are not too many; clipped values are hatched, their share written.

    Args:
        values: Result of `amsim.line_values` or `site_line_values`.
        tile: Tile of the rows; None takes all tiles that have as many rows as the first.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: No Dataset of line values, no value in it, or a tile that it does not have.
    """
    needed = ("occurrences", "driven_rows", "clipped", "cell_voltage", "read_noise")
    style.check_dataset("values", values, needed, ("tile", "high_cells"))
    count = values.sizes["tile"]
    if tile is not None and tile not in range(count):
        raise ValueError(f"Argument `tile` must be from 0 to {count - 1}, but is {tile!r}.")
    driven = values["driven_rows"].values
    chosen = np.flatnonzero(driven == driven[0]) if tile is None else np.array([tile])
    occurrences = values["occurrences"].transpose("tile", "high_cells").values[chosen].sum(axis=0).astype(float)
    if not occurrences.any():
        raise ValueError("Argument `values` must have an occurrence, but these tiles have none.")
    cells = values["high_cells"].values
    part = values.isel(tile=int(chosen[0]))

    ax = style.own_axes(ax, (6.6, 4.2))
    taken = cells[occurrences > 0]
    edges = _edges(taken, part)
    share = 100 * occurrences / occurrences.sum()
    _bars(ax, cells, share, edges, part)
    if "lsb" in values:
        _range(ax, part, float(share[_outside(cells, part)].sum()))
    if "threshold" in values:
        _thresholds(ax, values)
    voltage, noise = float(values["cell_voltage"]), float(part["read_noise"])
    ax.plot([], [], " ", label=f"noise per read {noise:.2g} cells; 1 cell = {axes.with_unit(voltage, 'V')}")
    ax.set_ylim(0, 1.08 * ax.dataLim.y1)
    left, right = ax.get_xlim()
    ax.set_xlim(max(left, -0.05 * driven[0]), min(right, 1.05 * driven[0]))
    ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    which = "" if count == 1 else f" in {len(chosen)} of {count} tiles" if tile is None else f" in tile {tile}"
    site = f", site {values.attrs['site']}" if values.attrs.get("site") else ""
    width = edges[1] - edges[0]
    style.finish(
        ax, f"cells high of {part['driven_rows'].item():g}{which}{site}",
        f"line values per bin of {width:.3g} cell{'s' if width != 1 else ''} (%)", grid="y", columns=2,
    )  # fmt: skip
    return ax


def _edges(taken: np.ndarray, part: xr.Dataset) -> np.ndarray:
    """Equal bins over all values that occur: steps of the converter from its lowest level, or whole cells."""
    finest = 0.5 if np.any(taken % 1) else 1.0
    step = float(part["lsb"]) if "lsb" in part else finest
    start = float(part["range_low"]) if "lsb" in part else -finest / 2
    width = step * max(1.0, np.ceil((taken[-1] - taken[0] + step) / step / BINS))
    first = start + width * np.floor((taken[0] - start) / width)
    return first + width * np.arange(np.floor((taken[-1] - first) / width) + 2)


def _outside(cells: np.ndarray, part: xr.Dataset) -> np.ndarray:
    if "lsb" not in part:
        return np.zeros(cells.shape, bool)
    return (cells < float(part["range_low"])) | (cells > float(part["range_high"]))


def _bars(ax: Axes, cells: np.ndarray, share: np.ndarray, edges: np.ndarray, part: xr.Dataset) -> None:
    clipped = _outside(cells, part)
    parts = [("line values", share * ~clipped, KEPT), ("clipped", share * clipped, CLIPPED)]
    below = np.zeros(len(edges) - 1)
    for label, shown, (colour, hatch) in parts:
        if not shown.any():
            continue
        # A value at an edge belongs to the bin above, as in the histogram of NumPy but for its last bin.
        place = np.clip(np.searchsorted(edges, cells, side="right") - 1, 0, len(edges) - 2)
        heights = np.bincount(place, shown, minlength=len(edges) - 1)
        ax.bar(
            edges[:-1], heights, np.diff(edges), bottom=below, align="edge", color=colour, hatch=hatch,
            edgecolor=style.BLACK, linewidth=0.4, label=label, zorder=2,
        )  # fmt: skip
        below += heights


def _range(ax: Axes, part: xr.Dataset, clipped: float) -> None:
    low, high, lsb = (float(part[name]) for name in ("range_low", "range_high", "lsb"))
    label = f"range of the converter: {(high - low) / lsb:.0f} codes of {lsb:.3g} cells, clips {clipped:.2g} %"
    for end in (low, high):
        ax.axvline(end, color=style.BLACK, linestyle="--", linewidth=1.2, label=label)
        label = "_"


def _thresholds(ax: Axes, values: xr.Dataset) -> None:
    thresholds = values["threshold"].values
    missed = 100 * float(values["clipped"])
    label = f"thresholds of {len(thresholds)} neurons, {missed:.2g} % beyond the range of the bias DAC"
    left, right = ax.get_xlim()
    shown = thresholds[(thresholds >= left) & (thresholds <= right)]
    for at in shown:
        ax.axvline(at, 0.0, 0.06, color=style.VERMILLION, linewidth=1.0, zorder=3)
    ax.plot([], [], "|", color=style.VERMILLION, markersize=8, markeredgewidth=1.5, label=label)
    if len(shown) < len(thresholds):
        ax.plot([], [], " ", label=f"{len(thresholds) - len(shown)} thresholds are outside the picture")
