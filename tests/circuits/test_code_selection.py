"""Codes chosen from data against closed forms, tables and searches of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from amsim.circuits import ValueRange
from amsim.circuits.adc import select_range
from amsim.circuits.selection.ranges import select_input_code, select_weight_code, value_counts

GAUSS = np.random.default_rng(0).normal(size=200_000).astype(np.float32)


def select(values, bits=4, **options):
    values = jnp.asarray(values, jnp.float32)
    return select_input_code(value_counts(values), jnp.min(values), jnp.max(values), bits, **options)


def gaussian_error(scale, lowest, highest):
    """Mean square error of a uniform code of a standard normal value, by integration."""
    edges = np.concatenate([[-12], (np.arange(lowest, highest) + 0.5) * scale, [12]])
    levels = np.arange(lowest, highest + 1) * scale
    total = 0.0
    for low, high, level in zip(edges[:-1], edges[1:], levels, strict=True):
        total += integrate.quad(lambda x, level=level: (x - level) ** 2 * stats.norm.pdf(x), low, high)[0]
    return total


def test_least_error_of_a_gaussian_is_the_optimum():
    best = optimize.minimize_scalar(lambda s: gaussian_error(s, -8, 7), bounds=(0.2, 0.5), method="bounded")
    code = select(GAUSS)
    assert code.signed
    assert code.zero is None
    # The search has 64 steps up to the largest of all values.
    assert float(code.scale) == pytest.approx(best.x, abs=float(np.abs(GAUSS).max()) / 64 / 7)
    assert gaussian_error(float(code.scale), -8, 7) == pytest.approx(best.fun, rel=0.01)
    # Max (1960), table II: 16 levels 0.3352 sigma apart, which clip at 2.7 sigma; there none of them is 0.
    assert float(code.scale) == pytest.approx(0.3352, rel=0.05)


def test_min_max_and_percentile_are_closed_forms():
    assert float(select(GAUSS, method="min-max").scale) == pytest.approx(float(np.abs(GAUSS).max()) / 7, rel=1e-6)
    covered = select(GAUSS, method="percentile", coverage=0.99)
    assert float(covered.scale) == pytest.approx(stats.norm.ppf(0.995) / 7, rel=0.01)
    one_sided = select(np.abs(GAUSS), method="percentile", coverage=0.99)
    assert not one_sided.signed
    assert float(one_sided.scale) == pytest.approx(stats.norm.ppf(0.995) / 15, rel=0.01)


def test_zero_points_are_closed_forms():
    values = np.linspace(-0.5, 2.5, 3001)
    code = select(values, method="min-max", symmetric=False)
    assert (float(code.scale), float(code.zero)) == pytest.approx((3 / 15, 2))
    covered = select(values, 8, method="percentile", coverage=0.9, symmetric=False)
    assert float(covered.scale) == pytest.approx(2.7 / 255, rel=0.01)
    assert float(covered.zero) == round(0.35 / (2.7 / 255))
    below = select(-np.abs(GAUSS), method="percentile", coverage=0.99, symmetric=False)
    assert float(below.zero) == 15
    assert float(below.scale) == pytest.approx(stats.norm.ppf(0.995) / 15, rel=0.01)
    # All positive needs none, and neither does one signed bit.
    assert select(np.abs(GAUSS), symmetric=False).zero is None
    assert select(np.sign(GAUSS), 1, symmetric=False).signed


def test_a_zero_point_is_no_worse_than_a_search_of_its_own():
    values = np.random.default_rng(3).gamma(2.0, size=20_000) - 0.7

    def error(scale, zero):
        return np.mean((np.clip(np.round(values / scale), -zero, 15 - zero) * scale - values) ** 2)

    code = select(values, symmetric=False)
    grid = [error(scale, zero) for scale in np.linspace(0.2, 0.8, 121) for zero in range(4)]
    assert error(float(code.scale), float(code.zero)) < 1.05 * min(grid)
    symmetric = select(values)
    assert error(float(code.scale), float(code.zero)) < error(float(symmetric.scale), 8)


def test_a_grid_that_the_program_fixes_is_kept():
    # Values on the grid of a clip to 0..1, of which the data never reach the end.
    values = np.random.default_rng(1).integers(0, 13, 5000) / 15
    assert float(select(values, known=ValueRange(0.0, 1.0)).scale) == pytest.approx(1 / 15, rel=1e-6)
    weights = jnp.asarray(np.random.default_rng(2).integers(-5, 6, (40, 3)) / 7, jnp.float32)
    code = select_weight_code(weights, 4, known=ValueRange(-1.0, 1.0))
    np.testing.assert_allclose(code.scale, np.full((1, 3), 1 / 7), rtol=1e-6)


def test_weights_by_column_and_by_tensor():
    random = np.random.default_rng(4)
    weights = random.normal(size=(300, 3)).astype(np.float32) * np.array([1.0, 0.1, 0.0], np.float32)
    largest = np.abs(weights).max(axis=0)
    code = select_weight_code(jnp.asarray(weights), 4, method="min-max")
    np.testing.assert_allclose(code.scale[0], [largest[0] / 7, largest[1] / 7, 1 / 7], rtol=1e-6)
    whole = select_weight_code(jnp.asarray(weights), 4, method="min-max", per="tensor")
    np.testing.assert_allclose(whole.scale, [[largest[0] / 7]], rtol=1e-6)
    covered = select_weight_code(jnp.asarray(weights), 4, method="percentile", coverage=0.9)
    want = np.quantile(np.abs(weights[:, :2]), 0.9, axis=0, method="inverted_cdf") / 7
    np.testing.assert_allclose(covered.scale[0, :2], want, rtol=1e-6)
    best = np.asarray(select_weight_code(jnp.asarray(weights), 4).scale)[0, 0]
    column = weights[:, 0]

    def error(scale):
        return np.mean((np.clip(np.round(column / scale), -8, 7) * scale - column) ** 2)

    assert error(best) <= 1.02 * min(error(scale) for scale in np.linspace(0.1, 1, 400) * largest[0] / 7)
    # One signed bit: the best of -s, +s is the mean magnitude.
    one = select_weight_code(jnp.asarray(weights[:, :1]), 1)
    assert float(one.scale[0, 0]) == pytest.approx(np.abs(column).mean(), abs=float(largest[0]) / 64)


def test_counts_of_parts_add_up_to_those_of_the_whole():
    values = jnp.asarray(np.concatenate([GAUSS[:1000], [0.0, 1e-30, -1e20, 1e20, 1.0]]).astype(np.float32))
    counts = value_counts(values)
    np.testing.assert_array_equal(counts, value_counts(values[:300]) + value_counts(values[300:]))
    assert int(jnp.sum(counts)) == 1005
    assert int(counts[-1]) == 2
    jitted = jax.jit(value_counts)(values)
    np.testing.assert_array_equal(jitted, counts)


def test_values_may_be_as_small_as_si_quantities():
    small, unit = select(GAUSS[:5000] * np.float32(2.0**-40)), select(GAUSS[:5000])
    assert float(small.scale) * 2.0**40 == pytest.approx(float(unit.scale), rel=1e-5)


@pytest.mark.parametrize("method", ["min-max", "percentile", "minimum-error"])
def test_a_counted_sample_gives_the_range_of_its_values(method):
    cells = np.round(np.random.default_rng(5).normal(32, 4, 3000)).astype(np.float32)
    found, counts = np.unique(cells, return_counts=True)
    options = {"method": method, "coverage": 0.98}
    each = select_range(jnp.asarray(cells), 64.0, 4, **options)
    counted = select_range(jnp.asarray(found), 64.0, 4, counts=jnp.asarray(counts, jnp.float32), **options)
    assert float(counted) == pytest.approx(float(each), rel=1e-5)
    with pytest.raises(ValueError, match="`counts` must have shape"):
        select_range(jnp.asarray(found), 64.0, 4, counts=jnp.ones(3))


def test_wrong_methods_are_refused():
    with pytest.raises(ValueError, match="`method` must be one of"):
        select(GAUSS[:9], method="best")
    with pytest.raises(ValueError, match="`coverage` must be above 0"):
        select_weight_code(jnp.ones((2, 2)), 4, coverage=1.5)
