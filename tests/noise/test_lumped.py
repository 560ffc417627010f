"""Lumped models against published figures, identities and sampled sums."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from amsim.noise import lumped

FEMTO = 1e-15


def test_effective_bits():
    assert float(lumped.enob_of_sndr(62.0)) == pytest.approx((62 - 1.76) / 6.02, rel=1e-3)
    assert float(lumped.sndr_of_enob(lumped.enob_of_sndr(55.5))) == pytest.approx(55.5, rel=1e-6)
    # A full-scale sine over the rounding noise of an 8-bit converter.
    assert float(lumped.sndr_of_enob(8)) == pytest.approx(10 * math.log10(0.5 / ((2 / 256) ** 2 / 12)), rel=1e-6)


def test_jitter_against_a_sampled_sine():
    rng = np.random.default_rng(0)
    times, jitter = rng.random(200_000), 1e-3 * rng.standard_normal(200_000)
    error = np.sin(2 * np.pi * 3 * (times + jitter)) - np.sin(2 * np.pi * 3 * times)
    sampled = 10 * math.log10(0.5 / np.mean(error**2))
    assert float(lumped.jitter_snr(3.0, 1e-3)) == pytest.approx(sampled, abs=0.05)
    assert float(lumped.jitter_snr(1e9, 1e-12)) == pytest.approx(44.04, abs=0.01)


def test_figures_of_merit():
    fom = lumped.schreier_fom(1e-6, 60.0, 1e6)
    assert float(fom) == pytest.approx(60 + 10 * math.log10(1e6 / 2e-6), rel=1e-6)
    assert float(lumped.conversion_energy(60.0, fom)) == pytest.approx(1e-12, rel=1e-4, abs=0)
    assert float(lumped.walden_fom(1e-6, 10, 1e6)) == pytest.approx(1e-12 / 1024, rel=1e-6, abs=0)


def test_layer_error_against_digitised_groups():
    rng = np.random.default_rng(1)
    groups, group, enob = 16, 8, 7.0
    step = group * 2 ** -(enob - 1)
    sums = rng.uniform(-1, 1, (50_000, groups, group)).sum(axis=-1)
    error = (np.round(sums / step) * step - sums).sum(axis=1)
    assert float(lumped.layer_sigma(groups * group, group, enob)) == pytest.approx(error.std(), rel=0.02)


def test_energy_of_a_layers_converter():
    energy = np.asarray(lumped.layer_conversion_energy(jnp.array([4.0, 10.5, 10.51, 11.97])))
    np.testing.assert_allclose(energy, [0.3e-12, 0.3e-12, 0.3177e-12, 2.4e-12], rtol=3e-3)
    assert float(lumped.layer_conversion_energy(jnp.array(11.97))) / 8 == pytest.approx(300 * FEMTO, rel=3e-3)


def test_moments_of_uniform_operands():
    """Every pair of integers, counted."""
    x = np.arange(2**3) / 2**3
    w = np.arange(-(2**4), 2**4) / 2**4
    found = lumped.uniform_operands(3, 5)
    assert float(found.input_square) == pytest.approx(np.mean(x**2), rel=1e-6)
    assert float(found.weight_variance) == pytest.approx(np.var(w), rel=1e-6)
    assert float(found.product_variance) == pytest.approx(np.var(np.outer(x, w)), rel=1e-6)


def test_quantisation_of_operands_against_samples():
    rng = np.random.default_rng(2)
    x, w = rng.random(400_000), rng.uniform(-1, 1, 400_000)
    error = (np.floor(x * 64) + 0.5) / 64 * (np.floor(w * 32) + 0.5) / 32 - x * w
    assert float(lumped.uniform_operands(6, 6).quantisation) == pytest.approx(np.var(error), rel=0.03)


@pytest.mark.parametrize(("capacitance", "whole", "without"), [(1, 12.2, 18.9), (3, 20.2, 23.7), (9, 26.9, 28.5)])
def test_published_charge_sharing_example(capacitance, whole, without):
    found = lumped.charge_sharing_snr(6, 6, capacitance * FEMTO, 1.0)
    assert float(found) == pytest.approx(whole, abs=0.051)
    assert float(lumped.charge_sharing_snr(6, 6, capacitance * FEMTO, 1.0, injecting_capacitance=0.0)) == pytest.approx(
        without, abs=0.051
    )
    noise = lumped.charge_sharing_noise(6, 6, capacitance * FEMTO, 1.0)
    assert 200 < float(noise.mismatch / noise.thermal) < 1000


def test_charge_sharing_mismatch_against_sampled_capacitors():
    """Bits of a weight on capacitors of their own, each with its error: the printed factor (2/3)(1 - 4^-B)."""
    rng = np.random.default_rng(3)
    bits, samples, kappa = 4, 200_000, 0.01
    x = np.floor(rng.random(samples) * 64) / 64
    on = rng.integers(0, 2, (samples, bits))
    place = 2.0 ** -np.arange(bits) * np.where(np.arange(bits) == 0, -1, 1)
    error = (x[:, None] * on * place * kappa * rng.standard_normal((samples, bits))).sum(axis=1)
    found = lumped.charge_sharing_noise(6, bits, 1.0, 1.0, mismatch_coefficient=kappa).mismatch
    assert float(found) == pytest.approx(np.var(error), rel=0.03)


def test_ratios_in_parallel():
    assert float(lumped.parallel_snr(30.0, 30.0)) == pytest.approx(30 - 10 * math.log10(2), rel=1e-6)
    assert float(lumped.parallel_snr(20.0, 30.0, 25)) == pytest.approx(
        -10 * math.log10(10**-2 + 10**-3 + 10**-2.5), rel=1e-6
    )
    assert float(lumped.parallel_snr(500.0)) == pytest.approx(500.0)
    np.testing.assert_allclose(lumped.parallel_snr(jnp.array([10, 20]), 900.0), [10, 20], rtol=1e-6)
    with pytest.raises(ValueError, match="at least one"):
        lumped.parallel_snr()


@pytest.mark.parametrize(("bits", "clip"), [(4, 4.0), (6, 4.0), (6, 2.5), (9, 4.0)])
def test_converter_of_a_gaussian_sum(bits, clip):
    """Against the integral of the squared error of an explicit converter, one step after another."""
    step = 2 * clip / 2**bits
    middles = (np.arange(2**bits) + 0.5) * step - clip
    edges = np.concatenate([[-12.0], middles[1:] - step / 2, [12.0]])

    def power(low, high, level):
        nodes, weights = np.polynomial.legendre.leggauss(40)
        x = (low + high) / 2 + (high - low) / 2 * nodes
        return (high - low) / 2 * np.sum(weights * (x - level) ** 2 * stats.norm.pdf(x))

    error = sum(power(*one) for one in zip(edges[:-1], edges[1:], middles, strict=True))
    with jax.enable_x64(True):
        assert float(lumped.converter_sqnr(bits, clip)) == pytest.approx(-10 * math.log10(error), abs=0.1)
    if clip == 4 and bits < 8:
        assert float(lumped.converter_sqnr(bits)) == pytest.approx(6 * bits - 7.2, abs=0.15)


def test_overload_against_quadrature():
    with jax.enable_x64(True):
        beyond, _ = integrate.quad(lambda x: 2 * (x - 2.0) ** 2 * stats.norm.pdf(x), 2.0, 20.0)
        # So many bits that only clipping is left.
        assert float(lumped.converter_sqnr(24, 2.0)) == pytest.approx(-10 * math.log10(beyond), abs=1e-5)


def test_needed_bits():
    for snr in (12.0, 24.0, 36.0):
        bits = lumped.needed_converter_bits(snr)
        assert float(bits) == pytest.approx((snr + 16.2) / 6, abs=0.12)
        # The resolution found loses what it may: the two noises in parallel.
        sqnr = 20 * math.log10(2) * float(bits) - 10 * math.log10(16 / 3)
        assert snr - float(lumped.parallel_snr(snr, sqnr)) == pytest.approx(0.5, abs=1e-3)


def test_least_energy_of_a_sample():
    energy = np.asarray(lumped.least_sampling_energy(jnp.array([4, 6, 8, 10])))
    np.testing.assert_allclose(energy, [12.7e-18, 204e-18, 3.26e-15, 52e-15], rtol=5e-3)


def test_single_and_double_precision_agree():
    with jax.enable_x64(True):
        wide = lumped.charge_sharing_snr(6.0, 6.0, 0.5 * FEMTO, 0.6)
        assert wide.dtype == jnp.float64
    narrow = lumped.charge_sharing_snr(6.0, 6.0, 0.5 * FEMTO, 0.6)
    assert narrow.dtype == jnp.float32
    assert float(narrow) == pytest.approx(float(wide), abs=1e-4)


@pytest.mark.parametrize(
    ("model", "at"),
    [
        (lambda c: lumped.charge_sharing_snr(6.0, 6.0, c * FEMTO, 0.8), 2.0),
        (lambda v: lumped.charge_sharing_snr(6.0, 6.0, 2 * FEMTO, v, mismatch_coefficient=0.0), 0.7),
        (lambda b: lumped.converter_sqnr(b), 6.3),
        (lambda s: lumped.needed_converter_bits(s), 30.0),
        (lambda s: lumped.parallel_snr(s, 30.0, 20.0), 25.0),
        (lambda b: lumped.layer_sigma(64.0, 8.0, b), 9.0),
        (lambda e: lumped.layer_conversion_energy(e) * 1e12, 11.5),
    ],
)
def test_derivatives(model, at):
    with jax.enable_x64(True):
        difference = (model(at * (1 + 1e-5)) - model(at * (1 - 1e-5))) / (2e-5 * at)
        assert float(jax.jit(jax.grad(model))(at)) == pytest.approx(float(difference), rel=1e-6)


def test_wrong_arguments():
    for call, name in (
        (lambda: lumped.jitter_snr(0.0, 1e-12), "frequency"),
        (lambda: lumped.walden_fom(1e-6, 8.0, -1.0), "rate"),
        (lambda: lumped.layer_sigma(64.0, 0.0, 8.0), "products_per_conversion"),
        (lambda: lumped.charge_sharing_noise(6.0, 6.0, -FEMTO, 1.0), "capacitance"),
        (lambda: lumped.charge_sharing_noise(6.0, 6.0, FEMTO, 1.0, temperature=-1.0), "temperature"),
        (lambda: lumped.needed_converter_bits(30.0, 0.0), "loss"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            call()
