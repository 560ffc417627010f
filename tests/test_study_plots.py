"""Pictures of studies: what is drawn, labels, and what is refused."""

import inspect
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.container import ErrorbarContainer
from matplotlib.contour import ContourSet

from amsim.pareto_front import pareto_front
from amsim.plot import plot_pareto, plot_sweep, plot_sweep_map
from amsim.population_statistics import summary

SUPPLY = np.array([0.6, 0.5, 0.7])
VALUES = 0.8 + 0.1 * SUPPLY[:, None, None] + np.array([0.0, 0.02])[None, :, None] + np.linspace(0, 0.01, 4)
STUDY = xr.Dataset(
    {"accuracy": (("macro.supply", "macro.adc.bits", "die"), VALUES, {"units": "1", "long_name": "accuracy"})},
    coords={
        "macro.supply": ("macro.supply", SUPPLY, {"units": "V", "long_name": "supply"}),
        "macro.adc.bits": ("macro.adc.bits", [4, 6], {"units": "bit", "long_name": "adc bits"}),
    },
)


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def errorbars(ax) -> list[Any]:
    return [one for one in ax.containers if isinstance(one, ErrorbarContainer)]


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


def test_refusals():
    with pytest.raises(ValueError, match="`x` must be an axis of numbers"):
        plot_sweep(STUDY, x="macro.clock")
    with pytest.raises(ValueError, match=r"has it over macro[.]rows too"):
        plot_sweep(STUDY.expand_dims({"macro.rows": [8]}), x="macro.supply", hue="macro.adc.bits")
    with pytest.raises(ValueError, match="lacks energy"):
        plot_sweep(STUDY, "energy")


CAPACITANCE, NOISE = np.geomspace(1e-16, 1e-14, 5), np.geomspace(1e-4, 1e-2, 4)


def two_axes(dies=3):
    """Accuracy `log10(capacitance / noise^2) / 10` and energy `noise^-1`, exactly even in logarithms."""
    accuracy = (np.log10(CAPACITANCE)[:, None] - 2 * np.log10(NOISE)[None, :]) / 10
    spread = np.linspace(-0.1, 0.1, dies)
    return xr.Dataset(
        {
            "accuracy": (
                ("macro.unit_capacitance", "macro.comparator.noise", "die", "read"),
                (accuracy[..., None] + spread)[..., None] + np.array([-0.3, 0.3]),
                {"units": "1", "long_name": "accuracy"},
            ),
            "energy": (
                ("macro.unit_capacitance", "macro.comparator.noise", "component"),
                np.broadcast_to((1 / NOISE)[:, None] * np.array([1e-12, 2e-12]), (5, 4, 2)),
                {"units": "J", "long_name": "energy"},
            ),
        },
        coords={
            "macro.unit_capacitance": CAPACITANCE,
            "macro.comparator.noise": ("macro.comparator.noise", NOISE, {"units": "V", "long_name": "noise"}),
            "component": ["mac", "dram"],
        },
    )


MAP: dict[str, Any] = {"x": "macro.comparator.noise", "y": "macro.unit_capacitance"}


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


def families(dies=4):
    """Three families x three settings with noise, one point not computed, another twice the same."""
    generator = np.random.default_rng(3)
    energy = generator.uniform(1, 20, (3, 3)) * 1e-9
    accuracy = generator.uniform(0.5, 0.9, (3, 3))[..., None] + generator.normal(0, 0.02, (3, 3, dies))
    accuracy[0, 1, 0] = np.nan
    energy[2, 2], accuracy[2, 2] = energy[1, 0], accuracy[1, 0]
    dims = ("hardware", "macro.adc.bits")
    return xr.Dataset(
        {
            "accuracy": ((*dims, "die"), accuracy, {"units": "1", "long_name": "accuracy"}),
            "energy": (dims, energy, {"units": "J", "long_name": "energy"}),
        },
        coords={
            "hardware": ["analog", "digital", "mixed"],
            "macro.adc.bits": ("macro.adc.bits", [4, 6, 8], {"units": "bit", "long_name": "adc bits"}),
        },
    )


def beaten(price, value):
    """Plain double loop over points, NaN being beaten by anything."""
    found = np.zeros(len(price), bool)
    for one in range(len(price)):
        found[one] = not np.isfinite(price[one] + value[one])
        for other in range(len(price)):
            no_worse = price[other] <= price[one] and value[other] >= value[one]
            better = price[other] < price[one] or value[other] > value[one]
            found[one] |= no_worse and better
    return found


def test_the_front_is_that_of_a_plain_loop():
    study = families()
    price, value = (array.values.ravel() for array in (study["energy"], study["accuracy"].mean("die", skipna=False)))
    front = pareto_front(study["energy"], study["accuracy"])
    np.testing.assert_array_equal(front.values.ravel(), ~beaten(price, value))
    generator = np.random.default_rng(0)
    for _ in range(20):
        rough = xr.DataArray(generator.integers(0, 6, (2, 30)).astype(float), dims=("which", "spot"))
        rough[0, 3] = np.nan
        mask = pareto_front(rough[0], rough[1]).values
        np.testing.assert_array_equal(mask, ~beaten(rough[0].values, rough[1].values))
    with pytest.raises(ValueError, match="`value` must be a DataArray, but is of type float"):
        inspect.unwrap(pareto_front)(rough[0], 1.0)


def test_pareto_draws_every_point_and_labels_the_front():
    study = families()
    ax = plot_pareto(study)
    groups = [one for one in errorbars(ax) if np.size(one.lines[0].get_xdata())]
    drawn = np.concatenate([np.asarray(one.lines[0].get_xydata()) for one in groups])
    mean = study["accuracy"].mean("die", skipna=False).values
    known = np.isfinite(mean)
    expected = np.stack([study["energy"].values[known], mean[known]], axis=1)
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    intervals = summary(study["accuracy"])
    segments = np.concatenate([one.lines[2][0].get_segments() for one in groups if one.has_yerr])
    np.testing.assert_allclose(np.sort(segments[:, 0, 1]), np.sort(intervals["low"].values[known]))
    np.testing.assert_allclose(np.sort(segments[:, 1, 1]), np.sort(intervals["high"].values[known]))
    front = pareto_front(study["energy"], study["accuracy"]).values
    rows, columns = np.nonzero(front)
    assert sorted(text.get_text() for text in ax.texts) == sorted(f"{4 + 2 * column} bit" for column in columns)
    names = [study["hardware"].values[row] for row in set(rows)]
    assert set(names) <= set(legend(ax))
    assert "labels: adc bits" in legend(ax)
    steps = next(line for line in ax.lines if line.get_label() == "no other point beats these")
    np.testing.assert_allclose(np.asarray(steps.get_xdata()), np.sort(study["energy"].values[front]))


def test_pareto_of_points_and_of_one_die():
    study = two_axes(dies=1)
    listed = study.stack(point=(MAP["x"], MAP["y"]), create_index=False).assign_coords(point=np.arange(20))
    ax = plot_pareto(listed, hue=MAP["x"])
    assert [text for text in legend(ax) if text.startswith("noise")] == [
        "noise 100 µV", "noise 464 µV", "noise 2.15 mV", "noise 10 mV",
    ]  # fmt: skip
    assert "labels: macro.unit_capacitance" in legend(ax)
    assert not any(one.has_yerr for one in errorbars(ax) if np.size(one.lines[0].get_xdata()))
    with pytest.raises(ValueError, match=r"`hue` must be one of .* but is 'rows'"):
        plot_pareto(listed, hue="rows")
    with pytest.raises(ValueError, match="`hue` must have at most 7 values, but 'point' has 20"):
        plot_pareto(listed, hue="point")
    with pytest.raises(ValueError, match="must have a point with both"):
        plot_pareto(study * np.nan)
    with pytest.raises(ValueError, match="`logarithmic` must be False where 'accuracy'"):
        plot_pareto(study, x="accuracy", y="energy", logarithmic=True)
