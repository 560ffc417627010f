"""Pictures of studies: what is drawn, labels, and what is refused."""

import inspect
import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawings import legend
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.contour import ContourSet
from scipy import stats

from amsim.plot import plot_pareto, plot_sweep, plot_sweep_map, plot_switched_sources, plot_yield
from amsim.statistics.dies import summary
from amsim.statistics.pareto import pareto_front

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


def test_pareto_labels_leave_out_settings_that_do_not_exist():
    energy, accuracy = np.full((3, 2, 2), np.nan), np.full((3, 2, 2), np.nan)
    for place, point in {(0, 0, 1): (1.0, 0.5), (1, 1, 0): (3.0, 0.4), (2, 1, 1): (2.0, 0.9)}.items():
        energy[place], accuracy[place] = point
    dims = ("hardware", "macro.rows", "macro.adc.bits")
    coordinates = {"hardware": ["analog", "converted", "digital"], dims[1]: [640.0, np.nan], dims[2]: [6.0, np.nan]}
    study = xr.Dataset({"energy": (dims, energy), "accuracy": (dims, accuracy)}, coordinates)
    ax = plot_pareto(study)
    assert [text.get_text() for text in ax.texts] == ["640"]
    assert "labels: macro.rows" in legend(ax)


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


def wilson(passing, dies):
    interval = stats.binomtest(passing, dies).proportion_ci(method="wilson")
    return interval.low, interval.high


def band_ends(collection, x):
    """Lower and upper end of a band in the middle of a step at x."""
    points = np.asarray(collection.get_paths()[0].vertices)
    crossing = [(a[1] + b[1]) / 2 for a, b in itertools.pairwise(points) if (a[0] - x) * (b[0] - x) < 0]
    return min(crossing), max(crossing)


@pytest.mark.parametrize("good", ["at least", "at most"])
def test_yield_against_the_limit(good):
    study = two_axes(dies=5).isel({MAP["x"]: [0, 2], MAP["y"]: 1})
    ax = plot_yield(study, good=good)
    dies = study["accuracy"].mean("read").values
    for curve, band, own in zip(ax.lines, ax.collections, dies, strict=False):
        places, shares = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
        for limit in (np.sort(own)[1], np.sort(own)[2] + 1e-3, own.min() - 1e-3):
            passing = int(np.sum(own >= limit if good == "at least" else own <= limit))
            before = np.searchsorted(places, limit, side="left" if good == "at least" else "right")
            shown = shares[before] if good == "at least" else shares[before - 1]
            assert shown == pytest.approx(passing / 5)
            if limit not in own:
                assert band_ends(band, limit) == pytest.approx(wilson(passing, 5), rel=1e-6, abs=1e-9)
    assert legend(ax)[:2] == ["noise 100 µV", "noise 2.15 mV"]
    assert ax.get_xlabel() == "accuracy"


def test_yield_along_an_axis():
    study = two_axes(dies=8).isel({MAP["y"]: [0, 3]})
    ax = plot_yield(study, limit=-0.8, along=MAP["x"])
    dies = study["accuracy"].mean("read")
    assert ax.get_xscale() == "log"
    for number in range(2):
        passing = (dies.isel({MAP["y"]: number}) >= -0.8).sum("die").values
        np.testing.assert_allclose(np.asarray(ax.lines[number].get_ydata()), passing / 8)
        corners = np.asarray(ax.collections[number].get_paths()[0].vertices)
        for at, good in zip(NOISE, passing, strict=True):
            shown = corners[np.isclose(corners[:, 0], at, rtol=1e-9, atol=0), 1]
            assert (shown.min(), shown.max()) == pytest.approx(wilson(int(good), 8), rel=1e-6, abs=1e-9)
    assert ax.get_ylabel() == "yield: accuracy at least -0.8"


def test_yield_of_designs_with_names():
    study = families()[["accuracy"]].isel({"macro.adc.bits": 0})
    ax = plot_yield(study, limit=0.7)
    shown = np.asarray(errorbars(ax)[0].lines[0].get_ydata())
    np.testing.assert_allclose(shown, (study["accuracy"] >= 0.7).mean("die").values)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["analog", "digital", "mixed"]


def test_yields_that_cannot_be_drawn():
    study = two_axes()
    with pytest.raises(ValueError, match="`result` must have 'energy' over 'die'"):
        plot_yield(study, quantity="energy")
    with pytest.raises(ValueError, match="`along` must be None without a `limit`"):
        plot_yield(study, along=MAP["x"])
    with pytest.raises(ValueError, match="select one value first"):
        plot_yield(study)
    with pytest.raises(ValueError, match="`hue` must have at most 7 values, but 'x' has 9"):
        plot_yield(xr.Dataset({"accuracy": (("x", "die"), np.ones((9, 2)))}, coords={"x": range(9)}))
    with pytest.raises(ValueError, match="`along` must be an axis of 'accuracy'"):
        plot_yield(study, limit=1.0, along="rows")
    with pytest.raises(ValueError, match="`hue` must be another axis"):
        plot_yield(study, limit=1.0, along=MAP["x"], hue=MAP["x"])
    with pytest.raises(ValueError, match="whose dies are all computed"):
        plot_yield(study.isel({MAP["x"]: 0}) * np.nan)


def switched(dies):
    generator = np.random.default_rng(1)
    accuracy = generator.uniform(0.6, 0.8, (3, 2, dies))
    label = {"units": "1", "long_name": "accuracy"}
    return xr.Dataset(
        {
            "accuracy": (("source", "state", "die"), accuracy, label),
            "accuracy_all": (("die",), generator.uniform(0.5, 0.6, dies), label),
            "accuracy_none": (("die",), generator.uniform(0.8, 0.9, dies), label),
        },
        coords={"source": ["mismatch", "noise", "offset"], "state": ["all but this", "this alone"]},
    )


def test_switched_sources_are_differences_on_the_same_dies():
    study = switched(6)
    ax = plot_switched_sources(study)
    names = [text.get_text() for text in ax.get_yticklabels()]
    bars = [one for one in ax.containers if isinstance(one, BarContainer)]
    whiskers = errorbars(ax)
    alone = study["accuracy_none"] - study["accuracy"].sel(state="this alone")
    back = study["accuracy"].sel(state="all but this") - study["accuracy_all"]
    for shown, spread, expected in zip(bars, whiskers, (alone, back), strict=True):
        each = expected.transpose("source", "die").sel(source=names).values
        np.testing.assert_allclose([bar.get_width() for bar in shown], each.mean(axis=1))
        interval = stats.t.interval(0.95, 5, each.mean(axis=1), stats.sem(each, axis=1))
        ends = np.array(spread.lines[2][0].get_segments())[:, :, 0]
        np.testing.assert_allclose(ends.T, interval)
    largest = [max(alone.mean("die").sel(source=name), back.mean("die").sel(source=name)) for name in names]
    assert largest == sorted(largest)
    whole = float((study["accuracy_none"] - study["accuracy_all"]).mean())
    assert legend(ax)[0] == f"all sources together, {whole:.3g}"


def test_switched_sources_of_one_die_and_of_something_else():
    ax = plot_switched_sources(switched(1))
    assert not any(np.size(one.lines[2][0].get_segments()) for one in errorbars(ax))
    with pytest.raises(ValueError, match="lacks accuracy_all, accuracy_none"):
        plot_switched_sources(switched(2)[["accuracy"]])
    with pytest.raises(ValueError, match=r"over macro[.]rows too"):
        plot_switched_sources(switched(2).expand_dims({"macro.rows": [8, 16]}))
