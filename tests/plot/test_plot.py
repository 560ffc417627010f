"""Plots of comparisons and costs: what they show, their labels and legends, and the data that they refuse."""

import inspect
import io
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import annotations, bars, large_enough, legend, line, means
from matplotlib.colors import same_color
from matplotlib.text import Text
from plotted_results import DESIGNS, make_characteristic, make_comparison, make_cost, make_decisions

from amsim import plot

pytestmark = pytest.mark.usefixtures("only_drawn")


def test_accuracy_energy_shows_the_data():
    data = make_comparison()
    ax = plot.plot_accuracy_energy(data)
    energy, mean = data["energy"].sum("component").values, 100 * data["accuracy_mean"].values
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "energy per inference (J)"
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
    assert ax.get_xlabel() == ("share of the energy per inference (%)" if share else "energy per inference (J)")
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
    assert figure.get_suptitle() == "fashion-mnist-mini, 2000 test items, 16 dies per design"
    left, right = figure.axes
    assert left.get_ylabel() == "accuracy (%)"
    assert right.get_xlabel() == "share of the energy per inference (%)"
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=50)
    assert target.getvalue().startswith(b"\x89PNG")
    named = plot.plot_comparison(data.assign_attrs(network="binary-fashion"))
    assert "network binary-fashion" in named.get_suptitle()


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
