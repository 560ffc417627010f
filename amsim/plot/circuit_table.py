"""Pictures of the circuit families by word length."""

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from amsim.plot import style


def plot_circuit_table(table: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the energy per operation of the array and of the whole system against the word length.

    Args:
        table: Result of `amsim.circuit_table`.
        ax: Where to draw; None makes a figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Not a Dataset with these energies over family and bits.
    """
    style.check_dataset("table", table, ("array_energy", "operation_energy"), ("family", "bits"))
    rows = table.sortby("bits")
    bits = rows["bits"].values

    ax = style.own_axes(ax, (7.0, 4.8))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    for index, family in enumerate(rows["family"].values):
        colour, marker = style.FAMILY_STYLES[index % len(style.FAMILY_STYLES)]
        row = rows.sel(family=family)
        ax.plot(bits, row["operation_energy"], marker=marker, color=colour, label=f"{family}, system")
        ax.plot(
            bits, row["array_energy"], marker=marker, color=colour, linestyle="--", markerfacecolor="white",
            label=f"{family}, array",
        )  # fmt: skip
    ax.xaxis.set_major_locator(FixedLocator([float(one) for one in bits]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_formatter(style.JOULE)
    style.finish(ax, "word length of weights and inputs (bit)", "energy per operation (J)", grid="both", columns=3)
    return ax
