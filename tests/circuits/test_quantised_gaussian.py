"""Error of a clipping quantiser for Gaussian sums: against SciPy's quadrature and against reads of an array."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from amsim.circuits import Adc, Comparator, FlashAdc, SwitchedCapacitor
from amsim.circuits.adc.quantised_gaussian import quantised_gaussian_error


def by_quadrature(variance, noise, mean, codes):
    """Mean square of (code nearest to value and noise, less value) less the noise, one integral for each code."""
    total = variance + noise
    known, spread = variance / total, math.sqrt(total)
    edges = [-np.inf, *((codes[1:] + codes[:-1]) / 2), np.inf]
    found = variance * noise / total - noise
    for code, low, high in zip(codes, edges[:-1], edges[1:], strict=True):

        def square(y, code=code):
            return (code - mean - known * (y - mean)) ** 2 * stats.norm.pdf(y, mean, spread)

        ends = np.clip([low, high], mean - 12 * spread, mean + 12 * spread)
        found += integrate.quad(square, *ends, epsabs=0, epsrel=1e-10)[0]
    return found


@pytest.mark.sampled
@pytest.mark.parametrize("step", [30.0, 12.0, 1.0])
@pytest.mark.parametrize("levels", [2, 4, 32])
@pytest.mark.parametrize(("mean", "noise"), [(0.0, 0.0), (7.0, 3.0), (0.0, 40.0)])
def test_error_is_that_of_the_integral(levels, step, mean, noise):
    codes = (np.arange(levels) - levels // 2) * step + (step / 2 if levels == 2 else 0.0)
    expected = by_quadrature(96.0, noise, mean, codes)
    for double, tolerance in ((True, 2e-8), (False, 1e-5)):
        with jax.enable_x64(double):
            given = (jnp.asarray(value, float) for value in (96.0, noise, mean, step))
            found = quantised_gaussian_error(*given, tuple(jnp.asarray(end, float) for end in codes[[0, -1]]))
        assert float(found) == pytest.approx(expected, rel=tolerance, abs=tolerance * 96)


def test_many_codes_that_clip_are_close_to_the_integral():
    """Too many to be summed over: what the ends clip is exact, and rounding to fourth order in the step."""
    codes = (np.arange(256) - 128) * 0.1
    with jax.enable_x64(True):
        given = (jnp.asarray(value, float) for value in (96.0, 40.0, 3.0, 0.1))
        found = quantised_gaussian_error(*given, tuple(jnp.asarray(end, float) for end in codes[[0, -1]]))
    assert float(found) == pytest.approx(by_quadrature(96.0, 40.0, 3.0, codes), rel=1e-6)


def test_many_codes_that_hold_the_sum_add_a_twelfth_to_the_bit():
    for bits in (6, 8, 12):
        macro = SwitchedCapacitor(rows=1024, adc=Adc(bits=bits), comparator=Comparator(noise=1e-3))
        lsb = 2 * macro.adc.lsb(1024.0)
        if float(lsb) > 2:
            assert float(macro.error_variances()["quantisation"]) == float(lsb**2 / 12)


@pytest.mark.parametrize(
    "adc", [Adc(bits=1), Adc(bits=2), Adc(bits=3), FlashAdc(levels=5).ideal(), Adc(bits=4, range=0.2)]
)
def test_reads_through_a_few_codes_have_the_predicted_error(adc):
    """One and two bits: the twelfth of a step was 2.4 times too low, since the sum lies within few codes and clips."""
    rows = 256
    macro = SwitchedCapacitor(
        rows=rows, columns=64, adc=adc, comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=None),
        temperature=0.0, mismatch_coefficient=0.0,
    )  # fmt: skip
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (400, rows))
    weights = np.random.default_rng(1).choice([-1.0, 1.0], (rows, 64))
    error = np.asarray(macro.matmul(signs, weights)) - signs @ weights
    total = float(sum(macro.error_variances().values()))
    assert np.mean(error**2) == pytest.approx(total, rel=0.03)
