"""Intervals over dies and items: coverage by simulation, and the limits of one of the two."""

import numpy as np
import pytest
from scipy import stats

from amsim.statistics.crossed_interval import crossed_interval
from amsim.statistics.intervals import mean_interval


@pytest.mark.parametrize(("dies", "of_dies", "of_items"), [(4, 0.3, 1.0), (16, 1.0, 0.3), (3, 0.05, 1.5)])
def test_it_covers_the_mean_of_new_dies_and_new_items(dies, of_dies, of_items):
    """Right answers by a latent score of die and item: the interval holds the mean over all of both."""
    generator = np.random.default_rng(1)
    true = stats.norm.cdf(1.2 / np.sqrt(1 + of_dies**2 + of_items**2))
    held, dies_alone = 0, 0
    for _ in range(400):
        score = 1.2 + of_dies * generator.normal(size=(dies, 1)) + of_items * generator.normal(size=(1, 200))
        right = (score + generator.normal(size=(dies, 200)) > 0).astype(float)
        found, alone = crossed_interval(right), mean_interval(right.mean(axis=1))
        held += found.low <= true <= found.high
        dies_alone += alone.low <= true <= alone.high
    # Three standard errors of 400 draws below 0.95, and what Satterthwaite's freedom gives away above.
    assert 0.917 <= held / 400 <= 0.995
    if dies == 16:
        assert held >= dies_alone


def test_limits():
    generator = np.random.default_rng(2)
    right = np.broadcast_to((generator.random(500) < 0.8).astype(float), (3, 500))
    alone = crossed_interval(right, deterministic=True)
    half = stats.t.ppf(0.975, 499) * right[0].std(ddof=1) / np.sqrt(500)
    assert alone.high - alone.mean == pytest.approx(half, rel=1e-12)
    # Dies that turn out equal add nothing.
    assert crossed_interval(right).high == pytest.approx(alone.high, rel=1e-3)
    # Items that are all alike leave the dies' own interval.
    dies = np.repeat(generator.random((6, 1)), 300, axis=1)
    assert crossed_interval(dies).high == pytest.approx(mean_interval(dies[:, 0]).high, rel=1e-6)
    assert np.isnan(crossed_interval(right[:1]).low)
    assert np.isnan(crossed_interval(right[:, :1]).low)
    with pytest.raises(ValueError, match="`values`"):
        crossed_interval(np.zeros((0, 3)))
