"""Errors of reads by converters of all families: their mean square, their noise and their gradients."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from converters_with_errors import COLUMNS, FINE, ROUGH, SIGMAS, convert, in_codes, named

from amsim.circuits.adc import Adc, FlashAdc, SarAdc, SingleSlopeAdc


def mean_square(adc, key, noisy, columns=4000, points=16, **sigmas):
    """Mean square error in LSB over dies, reads and values spread over the inner codes."""
    adc, rows, middle = in_codes(adc)
    places, dies, reads = jax.random.split(key, 3)
    inner = adc.levels / 2 - 3
    cells = middle + jax.random.uniform(places, (points, columns), minval=-inner, maxval=inner)
    read = adc.convert(cells, rows, die=adc.fabricate(dies, columns), key=reads if noisy else None, **sigmas)
    return jnp.mean((read - cells) ** 2)


@named({name: adc for name, adc in FINE.items() if name != "single-slope"})
def test_mean_square_error_and_its_gradient_by_mismatch(adc):
    """The sum of the two variances; half of the gradient by a sigma times the sigma is its variance."""
    name = SIGMAS[type(adc)]

    def error(value):
        changed = eqx.tree_at(lambda one: getattr(one, name), adc, value)
        return mean_square(changed, jax.random.key(2), noisy=False), changed.static_variance()

    value = getattr(adc, name)
    (found, wanted), (slope, wanted_slope) = jax.jit(lambda v: jax.jvp(error, (v,), (jnp.ones_like(v),)))(value)
    # The outer codes, left out here, have smaller shifts in a bottom-plate array.
    assert float(found) == pytest.approx(1 / 12 + float(wanted), rel=0.15)
    assert float(slope * value) == pytest.approx(float(wanted_slope * value), rel=0.2)
    reverse = jax.jit(jax.grad(lambda v: error(v)[0]))(value)
    assert float(reverse) == pytest.approx(float(slope), rel=1e-3)


@named(FINE | {"ideal": Adc(bits=5)})
@pytest.mark.parametrize("name", ["sampled_noise", "decision_noise"])
def test_noise_adds_its_variance_and_so_does_its_gradient(adc, name):
    adc = adc.ideal()

    def error(sigma):
        return mean_square(adc, jax.random.key(4), noisy=True, **{name: sigma})

    measured = jax.jit(jax.value_and_grad(error))
    found, slope = measured(jnp.asarray(0.2))
    assert float(found) == pytest.approx(1 / 12 + 0.04, rel=0.05)
    assert float(slope) == pytest.approx(2 * 0.2, rel=0.1)
    still = measured(jnp.asarray(0.0))
    assert float(still[0]) == pytest.approx(1 / 12, rel=0.05)
    assert np.isfinite(float(still[1]))


def test_both_noises_of_one_decision_add_in_power():
    """At an ideal transition plus 0.3 LSB the upper code has the probability of a normal law of both variances."""
    sigmas = {"sampled_noise": 0.3, "decision_noise": 0.4}
    for adc in (Adc(bits=4), FINE["single-slope"].ideal(), SarAdc(bits=4).ideal(), FlashAdc(levels=16).ideal()):
        one, rows, middle = in_codes(adc)
        cells = jnp.full((40000, 1), middle + 0.8)
        read = convert(one, cells, rows, key=jax.random.key(8), **sigmas)
        upper = 0.5 * (1 + math.erf(0.3 / 0.5 / math.sqrt(2)))
        assert float(jnp.mean(read >= middle + 1)) == pytest.approx(upper, abs=4 * 0.5 / 200), type(adc)
        again = convert(one, cells, rows, key=jax.random.key(8), **sigmas)
        np.testing.assert_array_equal(read, again)


def test_comparators_of_a_flash_are_independent():
    """Between two thresholds, 1/2 LSB from each: two errors of opposite sign, which cancel often."""
    flash, rows, middle = in_codes(FlashAdc(levels=16).ideal())
    cells = jnp.full((40000, 1), middle)
    sigma = {"decision_noise": 0.5}
    codes = np.asarray(convert(flash, cells, rows, key=jax.random.key(0), **sigma)) - middle
    fires = [0.5 * (1 + math.erf(-threshold / 0.5 / math.sqrt(2))) for threshold in np.arange(-7, 8) - 0.5]
    variance = sum(p * (1 - p) for p in fires)
    assert codes.var() == pytest.approx(variance, rel=0.05)
    assert codes.mean() == pytest.approx(sum(fires) - 8, abs=4 * math.sqrt(variance / 40000))


@named(ROUGH | {"ideal": Adc(bits=5)})
def test_gradient_goes_straight_through_inside_the_range(adc):
    adc, rows, middle = in_codes(adc)
    die = adc.fabricate(jax.random.key(0), COLUMNS)
    far = 2.0 * adc.levels
    cells = middle + jnp.asarray([-far, -1.2, 0.3, 2.1, far])[:, None] * jnp.ones((1, COLUMNS))

    def total(cells, offset):
        read = adc.convert(
            cells, rows, die=die, offset=offset, key=jax.random.key(1), sampled_noise=0.1, decision_noise=0.1
        )
        return jnp.sum(read)

    by_cells, by_offset = jax.jit(jax.grad(total, argnums=(0, 1)))(cells, jnp.zeros((COLUMNS,)))
    # A ramp of the wrong slope has that slope's derivative; an offset at a comparator weighs more behind a divider.
    ramp = isinstance(adc, SingleSlopeAdc)
    np.testing.assert_allclose(by_cells[:, 0], [0, 1, 1, 1, 0], rtol=0.15 if ramp else 1e-6)
    wanted = 3 * float(adc.comparator_referral) * np.ones(COLUMNS)
    np.testing.assert_allclose(by_offset, wanted, rtol=0.15 if ramp else 1e-6)


@pytest.mark.sampled(2)
@named(FINE)
def test_every_gradient_is_finite_without_errors_and_under_vmap(adc):
    adc, rows, middle = in_codes(adc.ideal())
    cells = middle + jnp.linspace(-20.0, 20.0, 41)[:, None] * jnp.ones((1, COLUMNS))

    def total(adc, key):
        die = adc.fabricate(key, COLUMNS)
        read = adc.convert(cells, rows, die=die, key=key, sampled_noise=0.0, decision_noise=0.0)
        return jnp.mean((read - cells) ** 2) + adc.static_variance() + adc.energy(jnp.asarray(0.6), 1e-14) / 1e-12

    slopes = jax.jit(jax.vmap(jax.grad(total), in_axes=(None, 0)))(adc, jax.random.split(jax.random.key(0), 3))
    for leaf in jax.tree.leaves(slopes):
        assert np.all(np.isfinite(leaf))


def test_offsets_shift_the_line_of_their_column():
    adc, rows, middle = in_codes(SarAdc(bits=6, parasitic=32e-15))
    cells = jnp.full((3, 2), middle)
    read = convert(adc, cells, rows, offset=jnp.asarray([2.0, -4.0])) - middle
    # A parasitic of half the array: the comparator's volts weigh half as much again.
    np.testing.assert_array_equal(read, [[3.0, -6.0]] * 3)
