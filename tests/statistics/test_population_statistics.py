"""Statistics over dies against SciPy and closed forms."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from amsim.statistics import (
    bootstrap_interval,
    dies_for_mean,
    dies_for_yield,
    iso_crossing,
    paired_difference,
    proportion_interval,
    summary,
    yield_at,
)

RNG = np.random.default_rng(0)
VALUES = xr.DataArray(
    RNG.normal(0.9, 0.02, (2, 12, 3)),
    dims=("macro.supply", "die", "read"),
    coords={"macro.supply": ("macro.supply", [0.5, 0.6], {"units": "V", "long_name": "supply"}), "die": np.arange(12)},
    attrs={"units": "1", "long_name": "accuracy"},
    name="accuracy",
)
BY_DIE = VALUES.mean("read").values


def test_summary():
    found = summary(VALUES, quantiles=(0.1, 0.5))
    np.testing.assert_allclose(found["mean"], BY_DIE.mean(axis=1))
    np.testing.assert_allclose(found["spread"], BY_DIE.std(axis=1, ddof=1))
    expected = np.quantile(BY_DIE, [0.1, 0.5], axis=1)
    np.testing.assert_allclose(found["value_at"].transpose("quantile", ...), expected)
    low, high = stats.t.interval(0.95, 11, loc=BY_DIE[0].mean(), scale=stats.sem(BY_DIE[0]))
    assert (float(found["low"][0]), float(found["high"][0])) == pytest.approx((low, high))
    assert found["mean"].attrs == {"units": "1", "long_name": "mean over dies of accuracy"}
    assert found["macro.supply"].attrs["units"] == "V"


def test_interval_of_a_proportion_is_that_of_scipy():
    for passed, count in ((0, 7), (3, 7), (7, 7), (450, 1000)):
        expected = stats.binomtest(passed, count).proportion_ci(confidence_level=0.9, method="exact")
        assert proportion_interval(passed / count, count, 0.9) == pytest.approx(
            (expected.low, expected.high), abs=1e-12
        )


def test_yield():
    found = yield_at(VALUES, 0.9)
    passed = (BY_DIE >= 0.9).sum(axis=1)
    np.testing.assert_allclose(found["yield"], passed / 12)
    expected = stats.binomtest(int(passed[1]), 12).proportion_ci(method="exact")
    assert float(found["yield_low"][1]) == pytest.approx(expected.low)
    assert float(found["yield_high"][1]) == pytest.approx(expected.high)
    np.testing.assert_allclose(yield_at(VALUES, 0.9, good="at most")["yield"], (BY_DIE <= 0.9).mean(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limit", [0.9, 0.3])  # float32 rounds the one down, the other up
@pytest.mark.parametrize("good", ["at least", "at most"])
def test_a_die_at_the_limit_is_good_whatever_its_precision(dtype, limit, good):
    assert float(yield_at(xr.DataArray(np.full(4, limit, dtype), dims="die"), limit, good=good)["yield"]) == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reads", [2, 3, 7])
def test_a_die_whose_reads_average_to_the_limit_is_good(dtype, reads):
    """Reads that count right answers of 10 or 12 items; the same as a comparison of whole numbers."""
    for items in (10, 12):
        right = np.random.default_rng(reads).integers(0, items + 1, (40, reads))
        values = xr.DataArray((right / items).astype(dtype), dims=("die", "read"))
        for total in np.unique(right.sum(axis=1)):
            limit = float(total / (items * reads))
            assert float(yield_at(values, limit)["yield"]) == np.mean(right.sum(axis=1) >= total)
            assert float(yield_at(values, limit, good="at most")["yield"]) == np.mean(right.sum(axis=1) <= total)


def test_bootstrap_is_that_of_scipy():
    found = bootstrap_interval(VALUES, np.median, resamples=200, seed=3)
    rng = np.random.default_rng(3)
    expected = stats.bootstrap((BY_DIE[0],), np.median, n_resamples=200, rng=rng).confidence_interval
    assert float(found["value"][0]) == np.median(BY_DIE[0])
    assert (float(found["low"][0]), float(found["high"][0])) == pytest.approx((expected.low, expected.high))
    equal = bootstrap_interval(0.9 * xr.ones_like(VALUES), resamples=10)
    assert float(equal["low"][0]) == float(equal["high"][0]) == 0.9


def test_bootstrap_of_passed_and_failed_dies_is_the_exact_interval():
    for good in (12, 11, 0):
        passed = xr.DataArray(np.arange(12) < good, dims="die")
        expected = stats.binomtest(good, 12).proportion_ci(method="exact")
        found = bootstrap_interval(passed)
        assert (float(found["low"]), float(found["high"])) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_paired_difference_is_scipys():
    other = VALUES - 0.01 + 0.001 * RNG.normal(size=VALUES.shape)
    found = paired_difference(VALUES, other)
    expected = stats.ttest_rel(BY_DIE[0], other.mean("read").values[0])
    interval = expected.confidence_interval()
    assert float(found["p_value"][0]) == pytest.approx(expected.pvalue, rel=1e-6, abs=0)
    assert (float(found["low"][0]), float(found["high"][0])) == pytest.approx((interval.low, interval.high))
    # Far narrower than from two separate means.
    apart = summary(VALUES)
    assert float(found["high"][0] - found["low"][0]) < 0.2 * float(apart["high"][0] - apart["low"][0])
    assert float(paired_difference(VALUES, VALUES)["p_value"][0]) == 1.0


def test_dies_needed():
    for spread, half in ((0.02, 0.01), (0.02, 0.001), (0.0, 0.1)):
        count = dies_for_mean(spread, half)
        widths = [stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n) for n in (count - 1, count) if n > 1]
        assert widths[-1] <= half
        assert count == 2 or widths[0] > half
    for share, half in ((0.5, 0.05), (0.99, 0.02)):
        count = dies_for_yield(share, half)
        widths = [np.subtract(*proportion_interval(share, n)[::-1]) for n in (count - 1, count)]
        assert widths[1] <= 2 * half < widths[0]


def test_iso_crossing_on_a_line():
    supply = np.linspace(0.4, 0.8, 9)
    offset = RNG.normal(0, 0.01, 40)
    curves = xr.DataArray(
        0.5 + supply[:, None] + offset[None],
        dims=("macro.supply", "die"),
        coords={"macro.supply": ("macro.supply", supply, {"units": "V"})},
    )
    found = iso_crossing(curves, 1.07, "macro.supply")
    crossings = 0.57 - offset
    assert float(found["crossing"]) == pytest.approx(crossings.mean(), rel=1e-9)
    assert found["crossing"].attrs["units"] == "V"
    half = 1.96 * crossings.std() / np.sqrt(40)
    assert float(found["high"] - found["low"]) / 2 == pytest.approx(half, rel=0.15)
    falling = iso_crossing(-curves, -1.07, "macro.supply")
    assert float(falling["crossing"]) == pytest.approx(crossings.mean(), rel=1e-9)
    assert np.isnan(float(iso_crossing(curves, 3.0, "macro.supply")["crossing"]))
    decades = xr.DataArray([[1.0, 1.0], [2.0, 2.0]], dims=("c", "die"), coords={"c": [1.0, 100.0]})
    assert float(iso_crossing(decades, 1.5, "c", logarithmic=True)["crossing"]) == pytest.approx(10.0)


def test_errors():
    with pytest.raises(ValueError, match="`values` must be a DataArray over 'die'"):
        summary(VALUES.mean("die"))
    with pytest.raises(ValueError, match="`good` must be one of"):
        yield_at(VALUES, 0.9, good="above")
    with pytest.raises(ValueError, match="the same dies"):
        paired_difference(VALUES, VALUES.isel(die=slice(5)))
    with pytest.raises(ValueError, match="alone"):
        iso_crossing(VALUES.expand_dims("other"), 0.9, "macro.supply")
    with pytest.raises(ValueError, match="`half_width` must be above 0"):
        dies_for_mean(0.1, 0.0)
