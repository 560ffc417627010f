"""Thermal noise and mismatch against plain arithmetic, published values and finite differences, in both precisions."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.noise import (
    MOM_FRINGE_COEFFICIENT,
    PESSIMISTIC_COEFFICIENT,
    capacitor_mismatch_sigma,
    ktc_charge_sigma,
    ktc_sigma,
    pelgrom_sigma,
)
from amsim.noise.switching import leakage_drop

BOLTZMANN = 1.380649e-23  # J/K, exact in the SI of 2019

# Function, plain Python form, arguments in SI units.
MODELS: dict[str, tuple[Callable[..., Any], Callable[..., float], tuple[float, ...]]] = {
    "ktc_sigma": (ktc_sigma, lambda c, t: (BOLTZMANN * t / c) ** 0.5, (1e-15, 300.0)),
    "ktc_charge_sigma": (ktc_charge_sigma, lambda c, t: (BOLTZMANN * t * c) ** 0.5, (1e-15, 300.0)),
    "capacitor_mismatch_sigma": (capacitor_mismatch_sigma, lambda c, k: k / c**0.5, (1.2e-15, MOM_FRINGE_COEFFICIENT)),
    "pelgrom_sigma": (pelgrom_sigma, lambda a, width, length: a / (width * length) ** 0.5, (2e-9, 1e-7, 3e-8)),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)


@EACH_MODEL
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_value_and_gradient(name, scale):
    """Value = plain arithmetic; reverse = forward = central difference of it, in float64."""
    model, plain, arguments = MODELS[name]
    arguments = tuple(scale * argument for argument in arguments)
    every = tuple(range(len(arguments)))
    with jax.enable_x64(True):
        traced = tuple(jnp.asarray(argument) for argument in arguments)
        np.testing.assert_allclose(jax.jit(model)(*traced), plain(*arguments), rtol=1e-13)
        reverse, forward = jax.jit(lambda *args: (jax.grad(model, every)(*args), jax.jacfwd(model, every)(*args)))(
            *traced
        )
    for index in every:
        up, down = list(arguments), list(arguments)
        step = 1e-5 * arguments[index]
        up[index] += step
        down[index] -= step
        np.testing.assert_allclose(reverse[index], (plain(*up) - plain(*down)) / (2 * step), rtol=1e-8)
        np.testing.assert_allclose(forward[index], reverse[index], rtol=1e-12)


@EACH_MODEL
@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_float32_keeps_its_precision(name, scale):
    """Values, first and second derivatives neither underflow nor overflow, down to attofarads and nanometres."""
    model, _, arguments = MODELS[name]
    arguments = (*(scale * argument for argument in arguments[:-1]), arguments[-1])
    every = tuple(range(len(arguments)))
    derivatives = jax.jit(lambda *args: (model(*args), jax.grad(model, every)(*args), jax.hessian(model, every)(*args)))
    with jax.enable_x64(True):
        exact = derivatives(*(jnp.asarray(argument) for argument in arguments))
    single = derivatives(*(jnp.asarray(argument, jnp.float32) for argument in arguments))
    assert single[0].dtype == jnp.float32
    for got, expected in zip(jax.tree.leaves(single), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(float(got), float(expected), rtol=2e-6)


@EACH_MODEL
def test_arrays_and_vmap(name):
    model, plain, arguments = MODELS[name]
    swept = np.float32(arguments[0]) * np.array([[1.0, 2.0, 5.0]], np.float32)
    expected = [[plain(float(first), *arguments[1:]) for first in swept[0]]]
    np.testing.assert_allclose(model(swept, *arguments[1:]), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(lambda first: model(first, *arguments[1:]))(swept), expected, rtol=1e-6)


@pytest.mark.parametrize(("capacitance", "sigma"), [(1e-15, 2.035e-3), (1e-14, 0.644e-3), (1e-13, 0.204e-3)])
def test_table_at_room_temperature(capacitance, sigma):
    np.testing.assert_allclose(float(ktc_sigma(capacitance, 300)), sigma, rtol=3e-3)
    np.testing.assert_allclose(float(ktc_charge_sigma(capacitance, 300)), sigma * capacitance, rtol=3e-3)


def test_whole_numbers():
    """A whole number counts as its floating-point value and takes the precision of the array beside it."""
    with jax.enable_x64(True):
        c = jnp.full(2, 1e-15, jnp.float32)
        assert jax.jit(ktc_sigma)(c, 300).dtype == ktc_sigma(c, 300).dtype == jnp.float32
        np.testing.assert_array_equal(ktc_sigma(c, 300), ktc_sigma(c, 300.0))
        np.testing.assert_array_equal(
            ktc_sigma(1e-15, jnp.array([200, 300])), ktc_sigma(1e-15, jnp.array([200.0, 300.0]))
        )


def test_shared_line_of_1024_capacitors():
    """Noise in counts of a line of 1024 x 1 fF at 0.6 V: 0.1085."""
    counts = float(ktc_sigma(1024 * 1e-15, 300.0)) * 1024 / 0.6
    np.testing.assert_allclose(counts, 0.1085, rtol=1e-3)


def test_published_mismatch():
    """0.85 % and 8 % at 1 fF, and 1.2 % and 0.8 % measured at 0.45 and 1.2 fF to the spread of the two."""
    np.testing.assert_allclose(float(capacitor_mismatch_sigma(1e-15, MOM_FRINGE_COEFFICIENT)), 0.0085, rtol=1e-6)
    np.testing.assert_allclose(float(capacitor_mismatch_sigma(1e-15, PESSIMISTIC_COEFFICIENT)), 0.08, rtol=1e-6)
    np.testing.assert_allclose(float(capacitor_mismatch_sigma(0.45e-15, MOM_FRINGE_COEFFICIENT)), 0.012, rtol=0.1)
    np.testing.assert_allclose(float(capacitor_mismatch_sigma(1.2e-15, MOM_FRINGE_COEFFICIENT)), 0.008, rtol=0.1)


def test_pelgrom_in_field_units():
    """2 mV um on 1 um x 1 um is 2 mV; four times the area halves it."""
    np.testing.assert_allclose(float(pelgrom_sigma(2e-9, 1e-6, 1e-6)), 2e-3, rtol=1e-6)
    np.testing.assert_allclose(float(pelgrom_sigma(2e-9, 2e-6, 2e-6)), 1e-3, rtol=1e-6)


def test_no_mismatch():
    """A coefficient of zero is a limit that one may differentiate at."""
    for model in (lambda k: capacitor_mismatch_sigma(1e-15, k), lambda a: pelgrom_sigma(a, 1e-6, 1e-6)):
        value, slope = jax.value_and_grad(model)(jnp.float32(0))
        assert float(value) == 0.0
        assert 0 < float(slope) < math.inf


@pytest.mark.parametrize("bad", [0.0, -1e-15, math.nan, np.array([1e-15, -1e-15])])
def test_concrete_values_out_of_range(bad):
    cases: tuple[tuple[Callable[..., Any], tuple[float], str], ...] = (
        (ktc_sigma, (300.0,), "capacitance"),
        (ktc_charge_sigma, (300.0,), "capacitance"),
        (capacitor_mismatch_sigma, (MOM_FRINGE_COEFFICIENT,), "capacitance"),
        (lambda value, c: ktc_sigma(c, value), (1e-15,), "temperature"),
        (lambda value, c: ktc_charge_sigma(c, value), (1e-15,), "temperature"),
        (lambda value, length: pelgrom_sigma(2e-9, value, length), (1e-7,), "width"),
        (lambda value, width: pelgrom_sigma(2e-9, width, value), (1e-7,), "length"),
    )
    for model, others, argument in cases:
        with pytest.raises(ValueError, match=rf"Argument `{argument}` must be positive, but is"):
            model(bad, *others)


@pytest.mark.parametrize("bad", [-1e-9, math.nan])
def test_negative_coefficients(bad):
    with pytest.raises(ValueError, match=r"Argument `coefficient` must not be negative, but is"):
        capacitor_mismatch_sigma(1e-15, bad)
    with pytest.raises(ValueError, match=r"Argument `area_coefficient` must not be negative, but is"):
        pelgrom_sigma(bad, 1e-7, 1e-7)


@EACH_MODEL
def test_traced_values_out_of_range_give_nan(name):
    """Never a plausible number, also inside vmap and grad."""
    model, _, arguments = MODELS[name]
    for index in range(len(arguments)):
        traced = [jnp.float32(argument) for argument in arguments]
        traced[index] = -traced[index]
        assert np.isnan(jax.jit(model)(*traced))
        assert np.isnan(jax.jit(jax.grad(model, index))(*traced))


@pytest.mark.parametrize("spans", [0.0, 1e-7, 1e-4, 0.009, 0.011, 0.3, 1.0, 4.0, 40.0])
def test_a_current_beside_a_resistance_solves_the_equation_of_both(spans):
    """Against `I R (1 - exp(-t / R C))` in double precision; slopes against its derivative."""
    resistance, capacitance, current = 3e10, 1e-13, 2e-11
    time = spans * resistance * capacitance
    want = -current * resistance * math.expm1(-spans)
    found, slope = jax.value_and_grad(lambda t: leakage_drop(current, t, capacitance, resistance * capacitance))(time)
    assert float(found) == pytest.approx(want, rel=3e-6)
    rate = current / capacitance
    assert float(slope) == pytest.approx(rate * math.exp(-spans), rel=1e-4, abs=1e-6 * rate)
    # A resistance without end leaves the current alone.
    assert float(leakage_drop(current, time, capacitance, 1e30)) == float(leakage_drop(current, time, capacitance))
