"""How often intervals over dies hold the truth: by sums over the binomial distribution, and by simulation."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from amsim.statistics import bootstrap_interval, proportion_interval, yield_at

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
@pytest.mark.parametrize(("dies", "stated"), [(4, 0.74), (8, 0.78), (16, 0.88), (32, 0.88)])
def test_bootstrap_of_the_mean_of_skewed_dies_covers_as_stated(dies, stated):
    loss = np.random.default_rng(1).lognormal(0, 1, (400, dies))
    found = bootstrap_interval(xr.DataArray(loss, dims=("case", "die")), resamples=499)
    held = np.mean((found["low"].values <= np.exp(0.5)) & (np.exp(0.5) <= found["high"].values))
    assert held == pytest.approx(stated, abs=0.06)
