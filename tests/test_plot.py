import inspect
import io
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Annotation, Text
from scipy import stats

from amsim import plot
from amsim.results import labelled

DESIGNS = {
    "switched-capacitor-1b": (0.872, 1.0e-7),
    "digital-binary-1b": (0.8745, 2.3e-7),
    "switched-capacitor-2b": (0.890, 3.4e-7),
    "multi-precision-2b": (0.889, 1.2e-6),
    "multi-precision-4b": (0.906, 2.1e-6),
    "multi-precision-8b": (0.909, 5.0e-6),
}
COMPONENTS = ["mac", "weight_memory", "activation_memory", "dram", "control"]


def make_comparison(designs=DESIGNS, dies=16):
    generator = np.random.default_rng(0)
    names, mean, total = list(designs), *np.array(list(designs.values())).T
    spread = np.array([[0.003 if name.startswith("switched") else 0.0] for name in names])
    accuracy = mean[:, None] + spread * generator.normal(size=(len(names), dies))
    half = 2 * accuracy.std(axis=1) / np.sqrt(dies) if dies > 1 else np.where(spread[:, 0] > 0, np.nan, 0)
    share = generator.dirichlet([3, 3, 2, 1, 1.5], size=len(names))
    variables = {
        "accuracy": (("design", "die"), accuracy),
        "accuracy_mean": (("design",), accuracy.mean(axis=1)),
        "accuracy_low": (("design",), accuracy.mean(axis=1) - half),
        "accuracy_high": (("design",), accuracy.mean(axis=1) + half),
        "energy": (("design", "component"), share * total[:, None]),
    }
    coordinates = {"design": names, "die": np.arange(dies), "component": COMPONENTS}
    return labelled(variables, coordinates, {"network": "", "data": "fashion-mnist-mini", "images": 2000})


def make_cost():
    energy = np.array([[3, 2, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]) * 1e-9
    return labelled({"energy": (("site", "component"), energy)}, {"site": ["a", "b", "c"], "component": COMPONENTS}, {})


def make_characteristic(sigma=2.0, clipped_from=40):
    """Reads in steps of 2 counts that clip beyond `clipped_from`."""
    counts = np.arange(-64, 65, 2)
    noise = np.random.default_rng(1).normal(0, sigma, (2, 5, 3, len(counts)))
    read = np.clip(counts + 2 * np.round(noise / 2), -clipped_from, clipped_from)
    per_column = ("die", "column", "count")
    variables = {
        "count_read": (per_column, read.mean(axis=1)),
        "count_sigma": (per_column, read.std(axis=1)),
        "error": (("die", "read", "column", "count"), read - counts),
        "out_of_range": (("count",), (abs(counts) > clipped_from).astype(float)),
    }
    coordinates = {"die": range(2), "read": range(5), "column": range(3), "count": counts}
    return labelled(variables, coordinates, {})


def make_decisions():
    counts = np.arange(-64, 65, 2)
    offset = np.array([[-2.0, 0.0, 1.0], [0.5, -1.0, 3.0]])[..., None]
    probability = np.round(stats.norm.cdf(counts + 1, offset, 3), 3)
    coordinates = {"die": range(2), "column": range(3), "count": counts}
    return labelled({"decided_up": (("die", "column", "count"), probability)}, coordinates, {})


@pytest.fixture(autouse=True)
def no_side_effects(monkeypatch):
    def show(*args, **kwargs):
        raise AssertionError("A plot must not be shown.")

    monkeypatch.setattr(plt, "show", show)
    assert plt.get_fignums() == []
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def large_enough(ax):
    texts = [text for text in ax.findobj(Text) if text.get_text() and text.get_visible()]
    return texts and all(text.get_fontsize() >= 8 for text in texts)


def line(ax, label) -> Any:
    return next(one for one in ax.lines if one.get_label() == label)


def means(ax) -> list[Any]:
    """Points with or without error bars, without those that are there for the legend alone."""
    return [one for one in ax.containers if isinstance(one, ErrorbarContainer) and np.size(one.lines[0].get_xdata())]


def bars(ax) -> list[Any]:
    return list(ax.patches)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def annotations(ax):
    return [text for text in ax.texts if isinstance(text, Annotation)]


def test_accuracy_energy_shows_the_data():
    data = make_comparison()
    ax = plot.plot_accuracy_energy(data)
    energy, mean = data["energy"].sum("component").values, 100 * data["accuracy_mean"].values
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "energy an inference (J)"
    assert ax.get_ylabel() == "accuracy (%)"
    assert len(means(ax)) == 6
    for index, bar in enumerate(means(ax)):
        np.testing.assert_allclose(bar.lines[0].get_xydata(), [[energy[index], mean[index]]])
        random = str(data["design"].values[index]).startswith("switched")
        assert bar.has_yerr == random
        if random:
            ends = 100 * np.array([data["accuracy_low"].values[index], data["accuracy_high"].values[index]])
            np.testing.assert_allclose(bar.lines[2][0].get_segments()[0][:, 1], ends)
    clouds = [np.asarray(one.get_xydata()) for one in ax.lines if one.get_alpha() == 0.35]
    assert len(clouds) == 6
    for index, cloud in enumerate(clouds):
        np.testing.assert_allclose(cloud[:, 0], energy[index])
        np.testing.assert_allclose(cloud[:, 1], 100 * data["accuracy"].values[index])
    assert [label.get_text() for label in annotations(ax)] == list(DESIGNS)
    assert large_enough(ax)


def test_the_frontier_joins_the_designs_that_none_beats():
    data = make_comparison()
    steps = line(plot.plot_accuracy_energy(data), "best up to this energy")
    assert steps.get_drawstyle() == "steps-post"
    energy, mean = data["energy"].sum("component").values, 100 * data["accuracy_mean"].values
    best = [n for n in range(6) if not any(energy[n] > energy[m] and mean[n] < mean[m] for m in range(6))]
    assert [list(DESIGNS)[n] for n in range(6) if n not in best] == ["multi-precision-2b"]
    np.testing.assert_allclose(steps.get_xydata(), np.column_stack([energy[best], mean[best]]))


def test_a_family_has_one_colour_and_marker_and_ticks_have_prefixes():
    ax = plot.plot_accuracy_energy(make_comparison())
    style: dict[str, set[tuple[Any, Any]]] = {}
    for name, bar, label in zip(DESIGNS, means(ax), annotations(ax), strict=True):
        point = bar.lines[0]
        style.setdefault(name.rpartition("-")[0], set()).add((point.get_color(), point.get_marker()))
        assert same_color(label.get_color(), point.get_color())
    assert all(len(found) == 1 for found in style.values())
    assert len(set.union(*style.values())) == 3
    assert len({marker for found in style.values() for _, marker in found}) == 3
    ax.figure.canvas.draw()
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert {"100 nJ", "200 nJ", "1 µJ", "5 µJ"} <= set(ticks)


CROWDED = {
    f"{family}-{bits}b": (0.87 + 0.01 * index + 0.002 * bits, 1e-7 * 1.5**bits * (1 + 0.2 * index))
    for index, family in enumerate(("switched-capacitor", "digital-binary", "multi-precision"))
    for bits in (1, 2, 4, 8)
}


@pytest.mark.parametrize("size", [(5.0, 4.0), (7.0, 5.0)])
@pytest.mark.parametrize("designs", [DESIGNS, CROWDED], ids=["default", "crowded"])
def test_labels_keep_clear_of_one_another_and_of_the_data(designs, size):
    _, ax = plt.subplots(figsize=size, layout="constrained")
    data = make_comparison(designs)
    plot.plot_accuracy_energy(data, ax=ax)
    check_labels(ax, data)


def test_labels_keep_clear_in_the_whole_figure_too():
    data = make_comparison()
    figure = plot.plot_comparison(data)
    check_labels(figure.axes[0], data)


def check_labels(ax, data):
    ax.figure.savefig(io.BytesIO(), format="png")  # whatever drawing moves has moved
    boxes = [Text.get_window_extent(label) for label in annotations(ax)]
    frame = ax.get_window_extent()
    dies = 100 * data["accuracy"].values
    energy = np.broadcast_to(data["energy"].sum("component").values[:, None], dies.shape)
    points = ax.transData.transform(np.column_stack([energy.ravel(), dies.ravel()]))
    anchors = ax.transData.transform([label.xy for label in annotations(ax)])
    for index, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
        assert box.count_contains(points) == 0
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        if annotations(ax)[index].arrow_patch.get_visible():
            continue  # a line says whose label it is
        corners = np.array([[box.x0, box.y0], [box.x1, box.y1]])
        away = np.linalg.norm(anchors - np.clip(anchors, *corners), axis=1)
        assert np.argmin(away) == index


@pytest.mark.parametrize("width", [4.5, 7.0])
def test_a_legend_does_not_squeeze_the_axes(width):
    for function, make in PLOTS:
        _, ax = plt.subplots(figsize=(width, 4.0), layout="constrained")
        function(make(), ax=ax)
        ax.figure.canvas.draw()
        legend = ax.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= 100 * width
        assert ax.get_window_extent().width > 50 * width


def test_a_single_die_has_no_interval():
    data = make_comparison(dies=1)
    assert np.isnan(data["accuracy_low"].values[0])
    ax = plot.plot_accuracy_energy(data)
    ax.figure.canvas.draw()
    assert [one.has_yerr for one in means(ax)] == [False] * 6


def test_one_design_alone_is_drawn():
    figure = plot.plot_comparison(make_comparison({"digital-binary-1b": (0.87, 1e-7)}))
    figure.canvas.draw()
    assert [label.get_text() for label in annotations(figure.axes[0])] == ["digital-binary-1b"]


@pytest.mark.parametrize(("make", "bar"), [(make_comparison, "design"), (make_cost, "site")])
@pytest.mark.parametrize("share", [False, True])
def test_energy_breakdown_shows_the_data(make, bar, share):
    data = make()
    ax = plot.plot_energy_breakdown(data, share=share)
    energy = data["energy"].values
    total = energy.sum(axis=1, keepdims=True)
    expected = 100 * energy / np.where(total > 0, total, 1) if share else energy
    assert len(ax.containers) == 5
    widths = np.array([[one.get_width() for one in container] for container in ax.containers]).T
    starts = np.array([[one.get_x() for one in container] for container in ax.containers]).T
    np.testing.assert_allclose(widths, expected, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(starts, np.cumsum(expected, axis=1) - expected, rtol=1e-6, atol=1e-13)
    assert [label.get_text() for label in ax.get_yticklabels()] == data[bar].values.tolist()
    assert ax.yaxis_inverted()
    assert legend(ax) == ["MAC array", "weight memory", "activation memory", "DRAM", "control"]
    assert ax.get_xlabel() == ("share of the energy an inference (%)" if share else "energy an inference (J)")
    assert large_enough(ax)


def test_bars_carry_their_totals_and_look_different_in_grey():
    ax = plot.plot_energy_breakdown(make_comparison())
    assert [text.get_text() for text in ax.texts] == ["100 nJ", "230 nJ", "340 nJ", "1.2 µJ", "2.1 µJ", "5 µJ"]
    patches = bars(ax)[::6]
    luminance = [np.dot(patch.get_facecolor()[:3], [0.299, 0.587, 0.114]) for patch in patches]
    looks = list(zip([patch.get_hatch() for patch in patches], luminance, strict=True))
    for index, (hatch, grey) in enumerate(looks):
        assert all(hatch != other or abs(grey - shade) > 0.25 for other, shade in looks[:index])


def test_totals_have_three_digits():
    ax = plot.plot_energy_breakdown(make_comparison({"a-1b": (0.8, 1.23456e-7), "b-1b": (0.8, 9.87654e-4)}))
    assert [text.get_text() for text in ax.texts] == ["123 nJ", "988 µJ"]


def test_the_comparison_is_one_figure_with_its_facts():
    data = make_comparison()
    figure = plot.plot_comparison(data)
    assert plt.get_fignums() == []
    assert tuple(figure.get_size_inches()) == (12.0, 5.0)
    assert figure.get_suptitle() == "fashion-mnist-mini, 2000 images, 16 dies a design"
    left, right = figure.axes
    assert left.get_ylabel() == "accuracy (%)"
    assert right.get_xlabel() == "share of the energy an inference (%)"
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=50)
    assert target.getvalue().startswith(b"\x89PNG")
    named = plot.plot_comparison(data.assign_attrs(network="binary-fashion"))
    assert "network binary-fashion" in named.get_suptitle()


def test_transfer_curve_shows_the_data():
    data = make_characteristic()
    ax = plot.plot_transfer_curve(data)
    mean = line(ax, "mean of all columns")
    np.testing.assert_allclose(mean.get_xdata(), data["count"])
    np.testing.assert_allclose(mean.get_ydata(), data["count_read"].mean(["die", "column"]))
    ideal = line(ax, "ideal")
    np.testing.assert_allclose(ideal.get_xdata(), ideal.get_ydata())
    (curves,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    expected = data["count_read"].values.reshape(6, -1)
    np.testing.assert_allclose([segment[:, 1] for segment in curves.get_segments()], expected)
    assert legend(ax)[0] == "6 of 6 columns on 2 dies"
    assert ax.get_xlabel() == "ideal sum of products (counts)"
    assert ax.get_ylabel() == "sum of products as read (counts)"
    assert large_enough(ax)


def test_transfer_curve_shades_what_clips():
    def regions(data):
        ax = plot.plot_transfer_curve(data)
        return sorted(
            (float(patch.get_extents().x0), float(patch.get_extents().x1))
            for patch in (one.get_path().transformed(one.get_patch_transform()) for one in bars(ax))
        ), legend(ax)

    shaded, names = regions(make_characteristic())
    assert shaded == [(-64.0, -42.0), (42.0, 64.0)]
    assert names.count("outside the readout's range") == 1
    assert regions(make_characteristic(clipped_from=64))[0] == []
    assert regions(make_characteristic().drop_vars("out_of_range"))[0] == []


def test_transfer_curve_of_many_columns_draws_some():
    data = make_characteristic().isel(die=[0] * 40)
    ax = plot.plot_transfer_curve(data)
    (curves,) = [one for one in ax.collections if isinstance(one, LineCollection)]
    assert len(curves.get_segments()) == plot.CURVES
    assert legend(ax)[0] == f"{plot.CURVES} of 120 columns on 40 dies"


def test_decisions_are_drawn_as_probabilities():
    data = make_decisions()
    ax = plot.plot_transfer_curve(data)
    np.testing.assert_allclose(
        line(ax, "mean of all columns").get_ydata(), 100 * data["decided_up"].mean(["die", "column"])
    )
    ideal = line(ax, "ideal")
    np.testing.assert_array_equal(ideal.get_ydata() == 100, data["count"] >= 0)
    assert ax.get_ylabel() == "probability of the decision +1 (%)"
    low, high = ax.get_xlim()
    decided = data["count"].values[(data["decided_up"] == 0).all(["die", "column"]).values].max()
    assert -40 < low <= decided < 0 < high < 40
    assert large_enough(ax)


def test_error_histogram_shows_the_unclipped_errors():
    data = make_characteristic()
    ax = plot.plot_error_histogram(data)
    errors = data["error"].values[..., abs(data["count"].values) <= 40].ravel()
    values, numbers = np.unique(errors, return_counts=True)
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars(ax)}
    assert {round(bar.get_width(), 9) for bar in bars(ax)} == {2.0}
    for value, number in zip(values, numbers, strict=True):
        assert heights[round(value)] == pytest.approx(100 * number / errors.size)
    assert sum(heights.values()) == pytest.approx(100)
    assert legend(ax)[0] == f"reads: mean {errors.mean():.3g}, sigma {errors.std():.3g} counts"
    assert "24 of 65 sums clip and are left out" in legend(ax)
    assert ax.get_xlabel() == "sum as read less ideal sum (counts)"
    assert ax.get_ylabel() == "reads in a bin of 2 counts (%)"
    assert large_enough(ax)


def test_the_gaussian_has_the_moments_of_the_errors():
    data = make_characteristic(clipped_from=64)
    ax = plot.plot_error_histogram(data)
    x, y = line(ax, "Gaussian of this mean and sigma").get_data()
    errors = data["error"].values
    # Averaging over a bin of 2 counts adds 2**2 / 12 to the variance, and the bin's width to the area.
    area = np.trapezoid(y, x)
    assert area == pytest.approx(200, rel=1e-3)
    mean = np.trapezoid(x * y, x) / area
    assert mean == pytest.approx(errors.mean(), abs=1e-2)
    assert np.trapezoid((x - mean) ** 2 * y, x) / area == pytest.approx(errors.var() + 4 / 12, rel=2e-2)
    assert not any("clip" in text for text in legend(ax))


def test_error_histogram_of_an_exact_macro_is_one_bar():
    data = make_characteristic(sigma=0.0, clipped_from=64)
    ax = plot.plot_error_histogram(data)
    assert [bar.get_height() for bar in bars(ax)] == pytest.approx([100])
    assert legend(ax) == ["reads: mean 0, sigma 0 counts"]


def test_error_histogram_of_fine_steps_has_few_bins_that_hold_everything():
    data = make_characteristic(clipped_from=64)
    data["error"] = data["error"] + np.random.default_rng(2).normal(size=data["error"].shape)
    ax = plot.plot_error_histogram(data)
    assert 20 < len(bars(ax)) <= plot.BINS + 2
    assert sum(bar.get_height() for bar in bars(ax)) == pytest.approx(100)


def test_error_histogram_keeps_whole_steps_in_the_middle_of_their_bins():
    data = make_characteristic(clipped_from=64)
    # Rounding errors, and one value far out.
    data["error"] = data["error"] * (1 + 1e-9 * np.random.default_rng(2).normal(size=data["error"].shape))
    data["error"][0, 0, 0, 0] = 90.0
    ax = plot.plot_error_histogram(data)
    middles = np.array([bar.get_x() + bar.get_width() / 2 for bar in bars(ax)])
    np.testing.assert_allclose(middles, 2 * np.round(middles / 2), atol=1e-5)


def test_error_histogram_of_very_many_values():
    data = make_characteristic(clipped_from=64).isel(read=[0] * 500)
    data["error"][:] = np.linspace(-1, 1, data["error"].size).reshape(data["error"].shape)
    ax = plot.plot_error_histogram(data)
    assert 20 < len(bars(ax)) <= plot.BINS + 2


PLOTS = [
    (plot.plot_accuracy_energy, make_comparison),
    (plot.plot_energy_breakdown, make_comparison),
    (plot.plot_transfer_curve, make_characteristic),
    (plot.plot_transfer_curve, make_decisions),
    (plot.plot_error_histogram, make_characteristic),
]


@pytest.mark.parametrize(("function", "make"), PLOTS)
def test_a_plot_draws_where_it_is_told(function, make):
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    assert function(make(), ax=left) is left
    assert plt.get_fignums() == [figure.number]
    assert not right.has_data()
    assert function(make()).figure is not figure
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize(
    ("function", "data", "message"),
    [
        (
            plot.plot_accuracy_energy,
            make_comparison().drop_vars(["accuracy_low", "energy"]),
            "`comparison` must have variables .* but lacks accuracy_low, energy",
        ),
        (plot.plot_accuracy_energy, make_comparison().isel(die=0), "must have dims .* but lacks die"),
        (plot.plot_accuracy_energy, make_comparison().isel(design=[]), "must not be empty, but has no design"),
        (plot.plot_accuracy_energy, 0 * make_comparison(), "must have an energy above 0"),
        (
            plot.plot_energy_breakdown,
            make_comparison().drop_vars("energy"),
            "must have variables energy, but lacks energy",
        ),
        (plot.plot_energy_breakdown, make_comparison().sum("component"), "dims design, component, but lacks component"),
        (plot.plot_energy_breakdown, make_cost().sum("site"), "dims design, component, but lacks design"),
        (plot.plot_comparison, make_cost(), "`comparison` must have variables accuracy, .* but lacks accuracy,"),
        (plot.plot_transfer_curve, make_comparison(), "`characteristic` must have .* but lacks count_read"),
        (plot.plot_error_histogram, make_decisions(), "`characteristic` must have .* but lacks error"),
        (plot.plot_error_histogram, make_characteristic(clipped_from=-1), "but every one clips"),
        (plot.plot_accuracy_energy, make_comparison()["energy"], "must be an xarray.Dataset, but is of type DataArray"),
        (plot.plot_energy_breakdown, None, "`comparison` must be an xarray.Dataset, but is of type NoneType"),
        (plot.plot_comparison, {}, "`comparison` must be an xarray.Dataset, but is of type dict"),
        (plot.plot_transfer_curve, [1, 2], "`characteristic` must be an xarray.Dataset, but is of type list"),
        (plot.plot_error_histogram, 1.0, "`characteristic` must be an xarray.Dataset, but is of type float"),
    ],
)
def test_data_that_cannot_be_drawn(function, data, message):
    # As users without run-time type checks call it.
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(function)(data)
    assert plt.get_fignums() == []
