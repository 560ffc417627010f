"""Colours, fonts, units, legends and checks of arguments that all pictures share."""

import functools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib import RcParams, rc_context, rc_params_from_file
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from amsim.circuits.checks import part_of, shown
from amsim.files.library_error import first_line
from amsim.files.path_argument import checked_path
from amsim.results.dataset_check import check_dataset as check_dataset

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

SHEET = Path(__file__).with_name("amsim.mplstyle")
"""Style sheet of all pictures: sizes of text, and how files hold their fonts."""

WIDTHS = {"single": 3.5, "double": 7.16}
"""Inches of a column, and of a page of two columns, of IEEE journals and conferences."""

NARROW = 5.0
"""Inches below which a picture has smaller text."""

SMALL = {
    "font.size": 7.0, "axes.labelsize": 8.0, "xtick.labelsize": 7.0, "ytick.labelsize": 7.0, "legend.fontsize": 7.0,
    "figure.titlesize": 8.0,
}  # fmt: skip
"""Sizes of text in a narrow picture, points."""

SMALLEST, LARGEST = 2.0, 30.0
"""Inches that a picture may be wide."""

JOULE = EngFormatter(unit="J")


def joules(energy: float) -> str:
    """Energy in J with three digits and an SI prefix, such as 2.35 µJ."""
    return JOULE(float(f"{energy:.3g}"))


def component_name(component: str) -> str:
    """Name of a component of energy as readers know it."""
    return COMPONENT_NAMES.get(component, component.replace("_", " "))


@functools.cache
def _sheet() -> Any:  # Matplotlib names each setting in its types
    return rc_params_from_file(SHEET, use_default_template=False)


_settings: ContextVar[Mapping[str, Any] | None] = ContextVar(
    "settings of Matplotlib inside `paper_style`", default=None
)
_width: ContextVar[float | None] = ContextVar("width of new figures inside `paper_style`, inches", default=None)


def settings() -> Any:
    """Settings of Matplotlib that pictures are drawn and written with: the style sheet, or those of `paper_style`."""
    return _settings.get() or _sheet()


def font_size() -> float:
    """Size of labels, points."""
    return float(settings()["xtick.labelsize"])


def title_size() -> float:
    """Size of the titles of axes, points."""
    return float(settings()["axes.labelsize"])


@contextmanager
def paper_style(
    width: str | float | int | None = None, *, style: str | Path | Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Draw the pictures inside of `with` as wide as a column, or with other settings of Matplotlib.

    Outside, pictures have the sizes of notebooks and the package's own style sheet. Heights follow the square root of
    the width, since text keeps its size; below 5 in it is smaller, 7 and 8 points.

    Args:
        width: "single" (3.5 in) or "double" (7.16 in), columns of the IEEE, or inches from 2 to 30; None leaves widths.
        style: Changes of the style sheet `amsim/plot/amsim.mplstyle`: a file of the same form, or a dict of
            settings of Matplotlib such as `{"font.family": "serif", "xtick.labelsize": 7}`.

    Raises:
        ValueError: Another width, a file that is no style sheet, or a setting that Matplotlib does not know.
    """
    inches = _inches(width)
    small = SMALL if inches is not None and inches < NARROW else {}
    changed: Any = {**_sheet(), **small, **_changes(style)}
    tokens = _settings.set(changed), _width.set(inches)
    try:
        with rc_context(changed):
            yield
    finally:
        _settings.reset(tokens[0])
        _width.reset(tokens[1])


def _inches(width: Any) -> float | None:
    if width is None or (isinstance(width, str) and width in WIDTHS):
        return WIDTHS.get(str(width))
    try:
        inches = float(width)
    except (TypeError, ValueError):
        inches = math.nan
    if not SMALLEST <= inches <= LARGEST:
        raise ValueError(
            f"Argument `width` must be single, double or inches from {SMALLEST:g} to {LARGEST:g}, but is "
            f"{shown(width)}."
        )
    return inches


def _changes(style: Any) -> dict[str, Any]:
    if style is None:
        return {}
    try:
        if isinstance(style, Mapping):
            return {str(name): value for name, value in RcParams(style).items()}
        path = checked_path("style", style, "a style sheet or a dict of settings")
        with _complaints() as said:
            changes: Any = dict(rc_params_from_file(path, use_default_template=False))
        if said:
            raise ValueError(said[0])
        return changes
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"Argument `style` must be settings that Matplotlib knows, but is not: {first_line(error)}."
        ) from None


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What Matplotlib says of a style sheet, which it writes to its log and goes on."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage().strip())  # type: ignore[method-assign]
    log = logging.getLogger("matplotlib")
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.propagate = before


def figure_size(size: tuple[float, float]) -> tuple[float, float]:
    """Size of a new figure in inches: the one given, or that of `paper_style`."""
    width = _width.get()
    return size if width is None else (width, size[1] * math.sqrt(width / size[0]))


def own_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    part_of("ax", ax, Axes, optional=True)
    return plt.subplots(figsize=figure_size(size), layout="constrained")[1] if ax is None else ax


def finish(ax: Axes, x: str, y: str, *, grid: str, columns: int, legend: Sequence[Artist] | None = None) -> None:
    """Label the axes, put a legend of at most `columns` columns above them, and draw a faint grid behind the data.

    The legend lists every artist with a label, unless its entries are given.
    """
    ax.set_xlabel(x, fontsize=title_size())
    ax.set_ylabel(y, fontsize=title_size())
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "frameon": False}
    ax.figure.figure.draw_without_rendering()
    room, in_column = ax.get_window_extent().width, _width.get() is not None
    drawn_box = ax.get_tightbbox() if in_column else None
    whole = room if drawn_box is None else ax.get_window_extent().x1 - drawn_box.x0
    entries = ax.get_legend_handles_labels()[0] if legend is None else legend
    for number in range(columns if entries else 0, 0, -1):
        drawn = ax.legend(handles=entries, ncols=number, fontsize=float(settings()["legend.fontsize"]), **place)
        # A legend wider than the axes would make a layout engine shrink them.
        if drawn.get_window_extent().width <= room:
            break
        if in_column and drawn.get_window_extent().width <= whole:
            # Above the names on the vertical axis too, where a column has no room to lose.
            drawn.set_loc("lower right")
            drawn.set_bbox_to_anchor((1.0, 1.0), ax.transAxes)
            break
    if in_column and ax.xaxis.label.get_window_extent().width > room:
        ax.set_xlabel(x, fontsize=title_size(), loc="right")
    ax.tick_params(labelsize=font_size())
    ax.grid(visible=True, axis=grid, color=PALE, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def check_variable(argument: str, variable: Any, data: xr.Dataset) -> None:
    """Raise ValueError unless an argument names a variable of a Dataset."""
    if not isinstance(variable, str) or variable not in data.data_vars:
        lacking = variable if isinstance(variable, str) else f"a variable that is {shown(variable)}"
        known = ", ".join(map(str, data.data_vars))
        raise ValueError(f"Argument `{argument}` must be one of {known}, but the Dataset lacks {lacking}.")
