"""Plots of characteristics: transfer curves, decisions and histograms of errors."""

import numpy as np
import pytest
from drawings import bars, large_enough, legend, line
from matplotlib.collections import LineCollection
from plotted_results import make_characteristic, make_decisions

from amsim import plot
from amsim.plot.characteristic import BINS, CURVES

pytestmark = pytest.mark.usefixtures("only_drawn")


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
    assert ax.get_ylabel() == "sum of products read (counts)"
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
    assert len(curves.get_segments()) == CURVES
    assert legend(ax)[0] == f"{CURVES} of 120 columns on 40 dies"


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
    assert ax.get_xlabel() == "sum read minus ideal sum (counts)"
    assert ax.get_ylabel() == "reads per bin of 2 counts (%)"
    assert large_enough(ax)


def test_the_gaussian_has_the_moments_of_the_errors():
    data = make_characteristic(clipped_from=64)
    ax = plot.plot_error_histogram(data)
    x, y = line(ax, "Gaussian of the same mean and sigma").get_data()
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
    assert 20 < len(bars(ax)) <= BINS + 2
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
    assert 20 < len(bars(ax)) <= BINS + 2
