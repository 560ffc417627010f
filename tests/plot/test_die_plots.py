"""Picture of a die: what is drawn where, and what is refused."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from drawings import legend

from amsim import circuits
from amsim.circuits.charge.faults import Faults
from amsim.circuits.charge.layout import Layout
from amsim.plot import plot_die_map

pytestmark = pytest.mark.usefixtures("only_drawn")

MACRO = circuits.SwitchedCapacitor(
    rows=24, columns=10, layout=Layout(linear_gradient=0.03), faults=Faults(0.05, 0.08, 0.3)
)
COMPARATOR = circuits.Comparator(trim=None)
UNTRIMMED = dataclasses.replace(MACRO, comparator=COMPARATOR)


@pytest.fixture(scope="module")
def die():
    return eqx.filter_jit(MACRO.fabricate)(jax.random.key(3))


def drawn(ax) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def marks(ax, marker) -> set[tuple[int, int]]:
    """Rows and columns of the marks of a kind."""
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return {(int(row), int(column)) for line in lines for column, row in np.asarray(line.get_xydata())}


def test_errors_of_cells_are_mismatch_and_gradient(die):
    sigma = float(MACRO.mismatch_coefficient) / np.sqrt(float(MACRO.unit_capacitance))
    mismatch = sigma * np.asarray(die.units)
    down, across = 0.03 * np.asarray(die.layout.linear)
    gradient = down * np.linspace(-1, 1, 24)[:, None] + across * np.linspace(-1, 1, 10)
    axes: dict[str, Any] = {
        part: plot_die_map(MACRO, die, part=part) for part in ("unit_capacitance", "mismatch", "layout")
    }
    np.testing.assert_allclose(drawn(axes["mismatch"]), mismatch, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(drawn(axes["layout"]), gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(drawn(axes["unit_capacitance"]), mismatch + gradient, rtol=1e-4, atol=1e-6)
    ax = axes["unit_capacitance"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column", "row")
    assert ax.figure.axes[1].get_ylabel() == "relative error of a unit capacitor"
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert high == pytest.approx(np.abs(mismatch + gradient).max(), rel=1e-4)


def test_faults_are_marked_where_they_are(die):
    ax = plot_die_map(MACRO, die)
    draws = np.asarray(die.faults.cells)
    high = {(int(row), int(column)) for row, column in np.argwhere(draws < 0.05)}
    low = {(int(row), int(column)) for row, column in np.argwhere(draws >= 1 - 0.08)}
    assert marks(ax, "^") == high
    assert marks(ax, "v") == low
    columns = np.asarray(die.faults.columns)
    dead = np.flatnonzero((columns < 0.15) | (columns >= 0.85))
    patches: list[Any] = list(ax.patches)
    hatched = sorted(patch.get_x() + 0.5 for patch in patches if patch.get_hatch())
    assert hatched == pytest.approx(dead.tolist())
    assert len(dead) > 0
    assert f"{len(high)} cells stuck high" in legend(ax)


def test_offsets_of_columns(die):
    ax = plot_die_map(UNTRIMMED, die, part="comparator_offset")
    columns = np.asarray(die.faults.columns)
    working = np.flatnonzero((columns >= 0.15) & (columns < 0.85))
    offsets = float(COMPARATOR.offset_sigma) * np.asarray(die.comparator)[working]
    bars: list[Any] = list(ax.patches)
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx(working.tolist())
    np.testing.assert_allclose([bar.get_height() for bar in bars], offsets, rtol=1e-4)
    assert "comparator's sigma" in legend(ax)
    trimmed = plot_die_map(MACRO, die, part="comparator_offset")
    assert any(text.startswith("columns after trim") for text in legend(trimmed))
    heights = [abs(bar.get_height()) for bar in list[Any](trimmed.patches)]
    assert max(heights) < np.abs(offsets).max()


def test_dies_that_cannot_be_drawn(die):
    with pytest.raises(ValueError, match="`macro` must be a switched-capacitor array, but is DigitalBinary"):
        plot_die_map(circuits.DigitalBinary(), die)
    with pytest.raises(ValueError, match="`part` must be one of"):
        plot_die_map(MACRO, die, part="area")
    with pytest.raises(ValueError, match="'driver_resistance' needs its `drivers`"):
        plot_die_map(MACRO, die, part="driver_resistance")
    with pytest.raises(
        ValueError, match="`die` must be a die of this macro, from `fabricate`, but is of type NoneType"
    ):
        plot_die_map(MACRO, None)
