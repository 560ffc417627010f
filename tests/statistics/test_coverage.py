"""How often intervals over dies hold the truth: by sums over the binomial distribution, and by simulation."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from amsim.statistics import bootstrap_interval, lower_bound, proportion_interval, yield_at

YIELDS = np.concatenate([np.geomspace(1e-3, 0.5, 60), 1 - np.geomspace(1e-3, 0.5, 60)])


@pytest.mark.parametrize("dies", [1, 2, 4, 8, 16, 64])
def test_interval_of_a_yield_covers_at_every_yield(dies):
    passing = np.arange(dies + 1)
    low, high = proportion_interval(passing / dies, dies)
    chance = stats.binom.pmf(passing, dies, YIELDS[:, None])
    held = np.sum(chance * ((low <= YIELDS[:, None]) & (YIELDS[:, None] <= high)), axis=1)
    assert np.all(held >= 0.95)
    # Wilson's, which it was before, does not.
    middle, z = (passing / dies + stats.norm.ppf(0.975) ** 2 / 2 / dies), stats.norm.ppf(0.975)
    half = z * np.sqrt(passing / dies * (1 - passing / dies) / dies + z**2 / 4 / dies**2)
    low, high = (middle - half) / (1 + z**2 / dies), (middle + half) / (1 + z**2 / dies)
    narrow = np.sum(chance * ((low <= YIELDS[:, None]) & (YIELDS[:, None] <= high)), axis=1)
    assert narrow.min() < 0.87


def test_interval_of_a_yield_at_a_limit_covers():
    """Accuracies of log-normal loss on 8 dies; the yield is 97.7 %."""
    loss = 0.02 * np.random.default_rng(0).lognormal(0, 1, (400, 8))
    found = yield_at(xr.DataArray(1 - loss, dims=("case", "die")), 1 - 0.02 * np.exp(2))
    true = stats.norm.cdf(2)
    held = np.sum((found["yield_low"].values <= true) & (true <= found["yield_high"].values))
    assert held >= stats.binom.ppf(1e-4, 400, 0.95)


@pytest.mark.slow("bootstraps of 400 samples each; measures what a docstring says")
@pytest.mark.parametrize(("dies", "stated"), [(4, 0.71), (8, 0.80), (16, 0.87), (32, 0.89)])
def test_bootstrap_of_the_mean_of_skewed_dies_covers_as_stated(dies, stated):
    loss = np.random.default_rng(1).lognormal(0, 1, (400, dies))
    found = bootstrap_interval(xr.DataArray(loss, dims=("case", "die")), resamples=499)
    held = np.mean((found["low"].values <= np.exp(0.5)) & (np.exp(0.5) <= found["high"].values))
    assert held == pytest.approx(stated, abs=0.06)


@pytest.mark.parametrize(("dies", "items"), [(4, 100), (16, 1000), (8, 300)])
def test_bound_on_dies_and_items_holds(dies, items):
    """Items that are easy or hard and dies that are good or bad, drawn anew; the mean of all of them is 0.9 or 0.98."""
    generator, cases = np.random.default_rng(dies), 500
    for true in (0.9, 0.98):
        held = 0
        for _ in range(cases):
            easy = generator.beta(2 * true, 2 * (1 - true), items)
            shift = 0.02 * generator.normal(size=(dies, 1)) if true < 0.95 else np.zeros((dies, 1))
            right = generator.random((dies, items)) < easy + shift
            held += lower_bound(right.mean(axis=1), items) <= true
        # Chances beyond 0 and 1 are cut off, which lowers the mean by 0.2 points at most.
        assert held >= stats.binom.ppf(1e-3, cases, 0.95)


def test_bound_of_dies_without_errors_is_that_of_the_items():
    low = stats.binomtest(90, 100, alternative="greater").proportion_ci(0.9, method="exact").low
    assert lower_bound(np.full(3, 0.9), 100, confidence=0.9, deterministic=True) == pytest.approx(low, abs=1e-12)
    assert np.isnan(lower_bound(np.array([0.9]), 100))
    # The spread of the dies counts as if items were without end.
    dies = np.array([0.8, 0.85, 0.9, 0.95])
    expected = dies.mean() - stats.t.ppf(0.95, 3) * dies.std(ddof=1) / 2
    assert lower_bound(dies, 10**9) == pytest.approx(expected, abs=1e-4)
