"""Curves and maps of studies: what is drawn, labels, and what is refused."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawings import legend
from matplotlib.contour import ContourSet
from plotted_studies import CAPACITANCE, MAP, NOISE, two_axes

from amsim.plot import plot_sweep, plot_sweep_map

pytestmark = pytest.mark.usefixtures("only_drawn")

SUPPLY = np.array([0.6, 0.5, 0.7])
VALUES = 0.8 + 0.1 * SUPPLY[:, None, None] + np.array([0.0, 0.02])[None, :, None] + np.linspace(0, 0.01, 4)
STUDY = xr.Dataset(
    {"accuracy": (("macro.supply", "macro.adc.bits", "die"), VALUES, {"units": "1", "long_name": "accuracy"})},
    coords={
        "macro.supply": ("macro.supply", SUPPLY, {"units": "V", "long_name": "supply"}),
        "macro.adc.bits": ("macro.adc.bits", [4, 6], {"units": "bit", "long_name": "adc bits"}),
    },
)


def test_means_and_bands():
    ax = plot_sweep(STUDY)
    assert len(ax.lines) == len(ax.collections) == 2
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_xdata()), np.sort(SUPPLY))
    np.testing.assert_allclose(np.asarray(ax.lines[1].get_ydata()), np.sort(VALUES.mean(axis=2)[:, 1]))
    band = np.asarray(ax.collections[0].get_paths()[0].vertices)[:, 1]
    assert (band.min(), band.max()) == pytest.approx((VALUES[:, 0].min(), VALUES[:, 0].max()))
    assert ax.get_xlabel() == "supply (V)"
    assert ax.get_ylabel() == "accuracy"
    texts = legend(ax)
    assert texts[0].startswith("adc bits 4 bit, mean and range of 4 dies")


def test_one_curve_on_given_axes():
    _, ax = plt.subplots()
    assert plot_sweep(STUDY.isel({"macro.adc.bits": 0}), x="macro.supply", ax=ax) is ax
    assert len(ax.lines) == 1


def test_energy_is_added_up_and_has_prefixes():
    ax = plot_sweep(two_axes(), "energy", x=MAP["x"])
    assert ax.get_xscale() == "log"
    assert plot_sweep(two_axes(), "energy", x=MAP["x"], logarithmic=False).get_xscale() == "linear"
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata()), 3e-12 / NOISE)
    ax.figure.canvas.draw()
    assert "10 nJ" in [text.get_text() for text in ax.get_yticklabels()]
    assert "300 µV" in [text.get_text() for text in ax.get_xticklabels()]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.geomspace(0.5e-15, 4e-15, 4).astype(np.float32), "log"),
        ([512.0, 640.0, 1024.0], "linear"),
        ([256.0, 512.0, 1024.0], "log"),
        ([1.0, 2.0, 3.0, 4.0], "linear"),
        ([1.0, 3.0], "linear"),
        ([1.0, 30.0], "log"),
        ([1.0, 3.0, 12.0, 25.0], "log"),
        ([0.0, 1.0, 10.0], "linear"),
    ],
)
def test_the_scale_follows_from_how_values_are_spread(values, scale):
    accuracy = ("macro.rows", np.linspace(0.5, 0.9, len(values)), {"units": "1", "long_name": "accuracy"})
    rows = ("macro.rows", values, {"units": "1", "long_name": "rows"})
    ax = plot_sweep(xr.Dataset({"accuracy": accuracy}, {"macro.rows": rows}))
    assert ax.get_xscale() == scale


def test_refusals():
    with pytest.raises(ValueError, match="all of them are missing"):
        plot_sweep(two_axes() * np.nan, x=MAP["x"])
    with pytest.raises(ValueError, match="`x` must be an axis of numbers"):
        plot_sweep(STUDY, x="macro.clock")
    with pytest.raises(ValueError, match="`hue` must be an axis of 'accuracy'"):
        plot_sweep(STUDY, x="macro.supply", hue="macro.clock")
    with pytest.raises(ValueError, match=r"has it over macro[.]rows too"):
        plot_sweep(STUDY.expand_dims({"macro.rows": [8]}), x="macro.supply", hue="macro.adc.bits")
    with pytest.raises(ValueError, match="lacks energy"):
        plot_sweep(STUDY, "energy")
    with pytest.raises(ValueError, match="numbers as 'accuracy'"):
        plot_sweep(STUDY.astype(str))


def contours(ax):
    return [one for one in ax.collections if isinstance(one, ContourSet)]


def test_lines_of_a_map_lie_where_the_closed_form_has_them():
    ax = plot_sweep_map(two_axes(), **MAP, levels=[-0.9, -0.8], lines="energy")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    dashed, solid = contours(ax)
    for level, path in zip((-0.9, -0.8), solid.get_paths(), strict=True):
        noise, capacitance = np.asarray(path.vertices).T
        np.testing.assert_allclose(np.log10(capacitance) - 2 * np.log10(noise), 10 * level, rtol=3e-5)
    energies = dashed.levels
    assert len(energies) >= 2
    for energy, path in zip(energies, dashed.get_paths(), strict=True):
        # Between two points the line is where the energy is, linear in it, on an axis even in the logarithm.
        logs = np.interp(energy, 3e-12 / NOISE[::-1], np.log10(NOISE[::-1]))
        np.testing.assert_allclose(np.log10(np.asarray(path.vertices)[:, 0]), logs, rtol=3e-5)
    texts = [text.get_text() for text in ax.texts]
    assert {"-0.9", "-0.8"} <= set(texts)
    assert any(text.endswith("nJ") for text in texts)


def test_cells_of_a_map_are_means_around_their_points():
    study = two_axes()
    ax = plot_sweep_map(study, **MAP)
    mesh: Any = ax.collections[0]
    mean = study["accuracy"].mean(["die", "read"]).transpose(MAP["y"], MAP["x"]).values
    np.testing.assert_allclose(np.asarray(mesh.get_array()), mean)
    edges = mesh.get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges[1:-1] ** 2, NOISE[1:] * NOISE[:-1])
    np.testing.assert_allclose(ax.get_xlim(), edges[[0, -1]])
    assert ax.get_xlabel() == "noise (V)"
    assert ax.figure.axes[1].get_ylabel() == "accuracy"


def test_a_map_shows_what_is_not_computed():
    study = two_axes()
    study["accuracy"][1, 2, 0, 0] = np.nan
    study = study.isel({MAP["y"]: [1, 0, 2, 3, 4]})
    ax = plot_sweep_map(study, **MAP)
    shown = np.ma.getmaskarray(np.ma.asarray(ax.collections[0].get_array()))
    assert np.argwhere(shown).tolist() == [[1, 2]]
    hatched = [one for one in ax.collections if one.get_hatch()]
    corners = hatched[0].get_paths()[0].get_extents()
    assert len(hatched) == 1
    assert corners.x0 < NOISE[2] < corners.x1
    assert corners.y0 < CAPACITANCE[1] < corners.y1
    assert "not computed" in legend(ax)


def test_a_legend_names_only_lines_that_are_drawn():
    """Of one column of points there are none."""
    ax = plot_sweep_map(two_axes().isel({MAP["x"]: [0]}), **MAP, lines="energy")
    assert ax.get_legend() is None
    ax = plot_sweep_map(two_axes().assign(energy=two_axes()["energy"] * np.nan), **MAP, lines="energy")
    assert legend(ax) == ["equal accuracy"]


def test_maps_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="`y` must be an axis of numbers"):
        plot_sweep_map(two_axes(), x=MAP["x"], y="component")
    with pytest.raises(ValueError, match="`y` must be another axis"):
        plot_sweep_map(two_axes(), x=MAP["x"], y=MAP["x"])
    with pytest.raises(ValueError, match=r"over macro[.]rows too"):
        plot_sweep_map(two_axes().expand_dims({"macro.rows": [8, 16]}), **MAP)
    with pytest.raises(ValueError, match="`levels` must be finite numbers that increase"):
        plot_sweep_map(two_axes(), **MAP, levels=[0.2, 0.1])
    with pytest.raises(ValueError, match="all are NaN"):
        plot_sweep_map(two_axes() * np.nan, **MAP)
    with pytest.raises(ValueError, match="`logarithmic` must name axes above 0"):
        plot_sweep_map(two_axes().assign_coords({MAP["x"]: NOISE - 1}), **MAP, logarithmic=True)
