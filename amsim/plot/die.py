"""Pictures of one die of a switched-capacitor array: errors of its cells by place, faults, and offsets of columns."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.die import CapacitorDie, check_die, mismatch_errors
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.charge.faulty_lines import dead_conversions
from amsim.circuits.checks import one_of
from amsim.plot import style

PARTS = {
    "unit_capacitance": "relative error of a unit capacitor",
    "mismatch": "random relative error of a unit capacitor",
    "layout": "systematic relative error of a unit capacitor",
    "driver_resistance": "relative error of a driver's resistance",
    "comparator_offset": "offset of a column's decision (V)",
}
"""Parts of a die that can be drawn, with their labels."""

COLOURS = "cividis"
"""Colour map that rises in brightness, so that signs differ in grey print too."""


def plot_die_map(macro: Any, die: Any, *, part: str = "unit_capacitance", ax: Axes | None = None) -> Axes:
    """Draw a die as a map of its rows and columns, with its faults; or the offsets of its columns as bars.

    Args:
        macro: A switched-capacitor array.
        die: One of its dies, from `fabricate`.
        part: "unit_capacitance" is the error of each unit capacitor, random and by place; "mismatch" and "layout" are
            its two parts; "driver_resistance" the error of each cell's driver; "comparator_offset" the shift of each
            column's decision, charges of switch and leakage included, after trim where there is one.
        ax: Where to draw; None makes a figure. The colour bar takes part of its area.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: Another kind of macro, a die of another macro, an unknown part, or one that the macro does not have.
    """
    if not isinstance(macro, CapacitorArray):
        raise ValueError(f"Argument `macro` must be a switched-capacitor array, but is {type(macro).__name__}.")
    one_of("part", part, tuple(PARTS))
    needed = {"layout": "layout", "driver_resistance": "drivers"}.get(part)
    if needed is not None and getattr(macro, needed) is None:
        raise ValueError(f"Argument `part` must be one that the macro has, but {part!r} needs its `{needed}`.")
    checked = check_die(macro, die)
    if part == "comparator_offset":
        return _offsets(macro, checked, ax)
    errors = np.asarray(_errors(macro, checked, part))
    largest = float(np.abs(errors).max()) or 0.01

    ax = style.own_axes(ax, (6.4, 5.0))
    image = ax.imshow(errors, cmap=COLOURS, norm=Normalize(-largest, largest), aspect="auto")
    bar = ax.figure.figure.colorbar(image, ax=ax, pad=0.02, format=PercentFormatter(1.0))
    bar.set_label(PARTS[part], fontsize=style.title_size())
    bar.ax.tick_params(labelsize=style.font_size())
    bar.outline.set_visible(False)
    _mark_faults(ax, macro, checked)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
    style.finish(ax, "column", "row", grid="both", columns=3)
    ax.grid(visible=False)
    return ax


@eqx.filter_jit
def _errors(macro: CapacitorArray, die: CapacitorDie, part: str) -> Float[Array, "rows columns"]:
    """Relative error of every cell."""
    if part == "driver_resistance":
        assert macro.drivers is not None
        assert die.unit_drivers is not None
        return macro.drivers.spread * die.unit_drivers
    errors = jnp.zeros_like(die.units)
    if part in ("unit_capacitance", "mismatch"):
        errors = errors + mismatch_errors(macro, die)[0]
    if part in ("unit_capacitance", "layout") and macro.layout is not None:
        assert die.layout is not None
        errors = errors + macro.layout.errors(die.layout, macro.rows, macro.columns)
    return errors


@eqx.filter_jit
def _shifts(macro: CapacitorArray, die: CapacitorDie) -> Float[Array, " columns"]:
    """Shift of each column's decision, V; combined columns have one."""
    shifts = fold_die(macro, die).offset / macro.counts_per_volt
    return jnp.repeat(shifts, macro.combined_columns, total_repeat_length=macro.columns)


def _mark_faults(ax: Axes, macro: CapacitorArray, die: CapacitorDie) -> None:
    if macro.faults is None or die.faults is None:
        return
    stuck = np.asarray(macro.faults.cell_states(die.faults))
    look: dict[str, Any] = {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.6, "markersize": 6}
    for state, marker, colour, name in ((1, "^", style.VERMILLION, "high"), (-1, "v", style.BLACK, "low")):
        rows, columns = np.nonzero(stuck == state)
        if rows.size:
            ax.plot(
                columns, rows, marker=marker, color=colour, label=f"{_counted(rows.size, 'cell')} stuck {name}", **look
            )
    dead = _dead(macro, die)
    if dead.any():
        for column in np.flatnonzero(dead):
            ax.axvspan(column - 0.5, column + 0.5, facecolor="none", edgecolor="white", hatch="xxx", linewidth=0.0)
        shown: dict[str, Any] = {"facecolor": style.GREY, "edgecolor": "white", "hatch": "xxx", "linewidth": 0.0}
        ax.fill_between([], [], label=_counted(int(dead.sum()), "dead column"), **shown)
    limits = (-0.5, macro.columns - 0.5), (macro.rows - 0.5, -0.5)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])


def _dead(macro: CapacitorArray, die: CapacitorDie) -> np.ndarray:
    if macro.faults is None or die.faults is None:
        return np.zeros(macro.columns, bool)
    return np.repeat(np.asarray(dead_conversions(macro, die)), macro.combined_columns) != 0


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _offsets(macro: CapacitorArray, die: CapacitorDie, ax: Axes | None) -> Axes:
    """Bars of the shift of each column's decision."""
    comparator = macro.comparator
    assert comparator is not None
    shift = np.asarray(_shifts(macro, die), float)
    dead, columns = _dead(macro, die), np.arange(macro.columns)
    ax = style.own_axes(ax, (6.4, 3.4))
    trimmed = "" if comparator.trim is None else " after trim"
    if not dead.all():
        rms = float(np.sqrt(np.mean(shift[~dead] ** 2)))
        label = f"columns{trimmed}, root mean square {EngFormatter('V')(float(f'{rms:.3g}'))}"
        ax.bar(columns[~dead], shift[~dead], 0.8, color=style.BLUE, label=label, zorder=2)
    sigma = float(comparator.offset_sigma)
    if comparator.trim is not None:
        # Far outside what trim leaves.
        ax.plot([], [], " ", label=f"comparator's sigma before trim {EngFormatter('V')(float(f'{sigma:.3g}'))}")
    else:
        for end in (-sigma, sigma):
            name = "comparator's sigma" if end > 0 else "_"
            ax.axhline(end, color=style.VERMILLION, linestyle="--", linewidth=1.2, label=name)
    if dead.any():
        ax.plot(
            columns[dead],
            np.zeros(dead.sum()),
            "X",
            color=style.BLACK,
            label=_counted(int(dead.sum()), "dead column"),
            zorder=3,
        )
    ax.axhline(0.0, color=style.BLACK, linewidth=0.8)
    ax.set_xlim(-0.5, macro.columns - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.yaxis.set_major_formatter(EngFormatter("V"))
    style.finish(ax, "column", PARTS["comparator_offset"], grid="y", columns=2)
    return ax
