"""Yields of studies against limits and along axes: against counting and the exact interval, and what is refused."""

import itertools

import numpy as np
import pytest
import xarray as xr
from drawings import legend
from plotted_studies import MAP, NOISE, errorbars, families, two_axes
from scipy import stats

from amsim.plot import plot_yield

pytestmark = pytest.mark.usefixtures("only_drawn")


def exact(passing, dies):
    interval = stats.binomtest(passing, dies).proportion_ci(method="exact")
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
                assert band_ends(band, limit) == pytest.approx(exact(passing, 5), rel=1e-6, abs=1e-9)
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
            assert (shown.min(), shown.max()) == pytest.approx(exact(int(good), 8), rel=1e-6, abs=1e-9)
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
