"""Colours, fonts, units, legends and checks of arguments that all pictures share."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from amsim.circuits.checks import part_of, shown

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
"""The colours of Okabe and Ito (jfly.uni-koeln.de/color), which colour-blind readers can tell apart."""

GREY, PALE, PALEST = "#767676", "#DDDDDD", "#EEEEEE"

FAMILY_STYLES = (
    (BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (PURPLE, "D"), (BLACK, "v"), (ORANGE, "P"), (SKY_BLUE, "X"),
)  # fmt: skip
"""Colour and marker of each circuit family."""

COMPONENT_STYLES = (
    (BLUE, ""), (ORANGE, "//"), (SKY_BLUE, ".."), (BLACK, ""), (YELLOW, "\\\\"), (GREEN, "xx"), (PURPLE, "++"),
    (VERMILLION, "oo"),
)  # fmt: skip
"""Colour and hatch of each component of energy; neighbours also differ in grey."""

COMPONENT_NAMES = {"mac": "MAC array", "dram": "DRAM"}
"""Names of components that are more than their words."""

FONT_SIZE, TITLE_SIZE = 8.5, 9.5
"""Sizes of labels and of axis titles, in points."""

JOULE = EngFormatter(unit="J")


def joules(energy: float) -> str:
    """Energy in J with three digits and an SI prefix, such as 2.35 µJ."""
    return JOULE(float(f"{energy:.3g}"))


def component_name(component: str) -> str:
    """Name of a component of energy as readers know it."""
    return COMPONENT_NAMES.get(component, component.replace("_", " "))


def design_family(design: str) -> str:
    """Family of a design by its name, `FAMILY-Nb`."""
    return design.rpartition("-")[0] or design


def own_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    part_of("ax", ax, Axes, optional=True)
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def finish(ax: Axes, x: str, y: str, *, grid: str, columns: int, legend: Sequence[Artist] | None = None) -> None:
    """Label the axes, put a legend of at most `columns` columns above them, and draw a faint grid behind the data.

    The legend lists every artist with a label, unless its entries are given.
    """
    ax.set_xlabel(x, fontsize=TITLE_SIZE)
    ax.set_ylabel(y, fontsize=TITLE_SIZE)
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "frameon": False}
    ax.figure.figure.draw_without_rendering()
    room = ax.get_window_extent().width
    entries = ax.get_legend_handles_labels()[0] if legend is None else legend
    for number in range(columns if entries else 0, 0, -1):
        drawn = ax.legend(handles=entries, ncols=number, fontsize=FONT_SIZE, **place)
        # A legend wider than the axes would make a layout engine shrink them.
        if drawn.get_window_extent().width <= room:
            break
    ax.tick_params(labelsize=FONT_SIZE)
    ax.grid(visible=True, axis=grid, color=PALE, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def check_variable(argument: str, variable: Any, data: xr.Dataset) -> None:
    """Raise ValueError unless an argument names a variable of a Dataset."""
    if not isinstance(variable, str) or variable not in data.data_vars:
        lacking = variable if isinstance(variable, str) else f"a variable that is {shown(variable)}"
        known = ", ".join(map(str, data.data_vars))
        raise ValueError(f"Argument `{argument}` must be one of {known}, but the Dataset lacks {lacking}.")


def check_dataset(name: str, data: Any, variables: Sequence[str], dims: Sequence[str]) -> None:
    """Raise ValueError, naming what is missing, unless data is a Dataset with these variables and dims."""
    if not isinstance(data, xr.Dataset):
        raise ValueError(f"Argument `{name}` must be an xarray.Dataset, but is of type {type(data).__name__}.")
    for kind, wanted, found in (("variables", variables, data.data_vars), ("dims", dims, data.sizes)):
        missing = [one for one in wanted if one not in found]
        if missing:
            raise ValueError(f"Argument `{name}` must have {kind} {', '.join(wanted)}, but lacks {', '.join(missing)}.")
    empty = [dim for dim in dims if not data.sizes[dim]]
    if empty:
        raise ValueError(f"Argument `{name}` must not be empty, but has no {', '.join(empty)}.")
