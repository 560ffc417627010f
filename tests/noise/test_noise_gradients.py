"""Gradient rules against closed forms, and the physical rule against differences of the true expectation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from amsim.noise import (
    DECISION_RULES,
    NOISY_DECISION_RULES,
    ROUNDING_RULES,
    decision,
    expected_decision,
    noisy_decision,
    rounded,
)

X = np.array([-3.0, -1.0, -0.7, -0.2, -1e-3, 0.0, 1e-3, 0.31, 0.99, 1.0, 1.01, 2.5])
BETA = 5.0
SLOPES = {
    "straight-through": np.ones_like(X),
    "clipped": (np.abs(X) <= 1) * 1.0,
    "tanh": 1 / np.cosh(X) ** 2,
    "swish": BETA * (2 - BETA * X * np.tanh(BETA * X / 2)) / (1 + np.cosh(BETA * X)),
}


def expectation(x, sigma):
    return special.erf(x / (sigma * math.sqrt(2)))


@pytest.mark.parametrize("rule", DECISION_RULES)
@pytest.mark.parametrize("x64", [False, True])
def test_decision(rule, x64):
    with jax.enable_x64(x64):
        x = jnp.asarray(X, float if x64 else jnp.float32)
        value = decision(x, rule)
        assert value.dtype == x.dtype
        np.testing.assert_array_equal(value, np.where(X >= 0, 1, -1))
        np.testing.assert_array_equal(jax.jit(jax.vmap(lambda x: decision(x, rule)))(x), value)
        slope, forward = (
            jax.jit(jax.vmap(derivative(lambda x: decision(x, rule))))(x) for derivative in (jax.grad, jax.jacfwd)
        )
        np.testing.assert_allclose(slope, SLOPES[rule], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(slope, forward)


def test_default_rule_is_clipped():
    np.testing.assert_array_equal(jax.vmap(jax.grad(decision))(jnp.asarray(X)), SLOPES["clipped"])


def test_swish_is_the_derivative_of_swish_sign():
    """SignSwish is 2 s(bx) (1 + bx (1 - s(bx))) - 1 with the logistic s; its central difference is the rule."""

    def sign_swish(x):
        s = special.expit(BETA * x)
        return 2 * s * (1 + BETA * x * (1 - s)) - 1

    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(lambda x: decision(x, "swish")))(jnp.asarray(X))
    np.testing.assert_allclose(slope, (sign_swish(X + 1e-6) - sign_swish(X - 1e-6)) / 2e-6, atol=1e-7)


@pytest.mark.parametrize("rule", DECISION_RULES)
def test_decision_of_extremes(rule):
    x = jnp.array([-jnp.inf, -3e38, -0.0, 1e-45, 3e38, jnp.inf], jnp.float32)
    np.testing.assert_array_equal(decision(x, rule), [-1, -1, 1, 1, 1, 1])
    assert np.isfinite(jax.vmap(jax.grad(lambda x: decision(x, rule)))(x)).all()
    assert np.isnan(decision(jnp.float32(jnp.nan), rule))


@pytest.mark.parametrize("rule", ROUNDING_RULES)
def test_rounded(rule):
    x = jnp.array([-2.5, -1.2, -0.5, 0.49, 0.5, 1.5, 7.7], jnp.float32)
    np.testing.assert_array_equal(rounded(x, rule), [-2, -1, 0, 0, 0, 2, 8])
    slope = jax.vmap(jax.grad(lambda x: rounded(x, rule)))(x)
    np.testing.assert_array_equal(slope, np.full(7, 1.0 if rule == "straight-through" else 0.0))
    assert float(jax.grad(rounded)(jnp.float32(0.4))) == 1.0


@pytest.mark.parametrize("x64", [False, True])
def test_expected_decision(x64):
    with jax.enable_x64(x64):
        dtype = float if x64 else jnp.float32
        x = jnp.asarray(np.linspace(-2, 2, 41), dtype)
        for sigma in (0.05, 0.3, 2.0):
            value = jax.jit(expected_decision)(x, jnp.asarray(sigma, dtype))
            assert value.dtype == x.dtype
            np.testing.assert_allclose(value, 2 * stats.norm.cdf(x, scale=sigma) - 1, atol=1e-12 if x64 else 3e-7)
            np.testing.assert_allclose(expected_decision(x, sigma), value, rtol=1e-6)


def test_expected_decision_derivatives():
    """Forward = reverse = central difference of SciPy's error function."""
    reverse, forward = (derivative(expected_decision, (0, 1)) for derivative in (jax.grad, jax.jacfwd))
    both = jax.jit(lambda x, sigma: (reverse(x, sigma), forward(x, sigma)))
    with jax.enable_x64(True):
        for x in (-0.4, -0.01, 0.0, 0.25, 1.1):
            for sigma in (0.1, 0.3, 2.0):
                step = 1e-5 * sigma
                numeric = (
                    (expectation(x + step, sigma) - expectation(x - step, sigma)) / (2 * step),
                    (expectation(x, sigma + step) - expectation(x, sigma - step)) / (2 * step),
                )
                arguments = jnp.asarray(x), jnp.asarray(sigma)
                in_reverse, in_forward = both(*arguments)
                np.testing.assert_allclose(in_reverse, numeric, rtol=1e-7, atol=1e-9)
                np.testing.assert_allclose(in_forward, in_reverse, rtol=1e-12)


def test_second_derivative_of_expected_decision():
    with jax.enable_x64(True):
        x, sigma = 0.3, 0.5
        got = jax.grad(jax.grad(expected_decision))(jnp.asarray(x), jnp.asarray(sigma))
    density = stats.norm.pdf(x, scale=sigma)
    np.testing.assert_allclose(got, -2 * x / sigma**2 * density, rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, 1e-42, 1e-37, 1e-30, 1e-12])
def test_limit_of_no_noise(sigma):
    """The decision comes back, and every derivative is finite: exactly 0 at sigma = 0 and away from the threshold."""
    x = jnp.array([-1e6, -1.0, -1e-5, 0.0, 1e-5, 1.0, 1e6], jnp.float32)
    sigma = jnp.float32(sigma)
    away = np.asarray(x) != 0 if sigma > 0 else np.full(7, True)
    np.testing.assert_array_equal(np.asarray(expected_decision(x, sigma))[away], np.asarray(decision(x))[away])
    for function in (expected_decision, lambda x, sigma: noisy_decision(jax.random.key(0), x, sigma)):
        gradients = jax.jit(jax.vmap(jax.grad(function, (0, 1)), (0, None)))(x, sigma)
        assert np.isfinite(gradients).all()
        np.testing.assert_array_equal(np.asarray(gradients)[:, away], 0.0)
        if sigma > 1e-38:  # at the threshold: twice the peak of the density
            np.testing.assert_allclose(gradients[0][3], math.sqrt(2 / math.pi) / sigma, rtol=1e-5)


@pytest.mark.parametrize("rule", NOISY_DECISION_RULES)
def test_noisy_decision_without_noise(rule):
    x = jnp.asarray(X, jnp.float32)
    keys = jax.random.split(jax.random.key(0), 1000)
    decisions = jax.jit(jax.vmap(lambda key: noisy_decision(key, x, 0.0, rule)))(keys)
    np.testing.assert_array_equal(decisions, np.tile(np.where(X >= 0, 1, -1), (1000, 1)))


@pytest.mark.parametrize("rule", NOISY_DECISION_RULES)
def test_forward_value_is_the_same_for_every_rule(rule):
    key = jax.random.key(1)
    x = jnp.linspace(-2, 2, 999)
    reference = jax.jit(lambda x: noisy_decision(key, x, 0.7))(x)

    def ruled(x):
        return noisy_decision(key, x, 0.7, rule)

    np.testing.assert_array_equal(jax.jit(ruled)(x), reference)
    # The value beside a derivative comes from the derivative's own function.
    value, _ = jax.jit(lambda x: jax.jvp(ruled, (x,), (x,)))(x)
    np.testing.assert_array_equal(value, reference)


@pytest.mark.parametrize("method", ["hash", "threefry"])
def test_frequencies(method):
    count, sigma = 2**20, 2e-7
    draw = jax.jit(lambda key, x: noisy_decision(key, jnp.full(count, x), sigma, method=method))
    for seed, z in enumerate((-3.5, -2.0, -0.5, 0.0, 0.1, 1.0, 3.0)):
        decisions = np.asarray(draw(jax.random.key(seed), jnp.float32(z * sigma)))
        assert set(np.unique(decisions)) == {-1.0, 1.0}
        p = stats.norm.cdf(z)
        assert abs((decisions > 0).mean() - p) < 5 * math.sqrt(p * (1 - p) / count)


def test_physical_gradient_is_that_of_the_expectation():
    """Derivative of the mean decision = central difference of its closed form, in both arguments."""
    with jax.enable_x64(True):
        x = jnp.asarray(np.linspace(-0.9, 1.1, 17))
        weights = np.cos(np.arange(17.0))

        def mean_decision(scale, sigma):
            return (noisy_decision(jax.random.key(2), scale * x, sigma) * weights).mean()

        def closed_form(scale, sigma):
            return (expectation(scale * np.asarray(x), sigma) * weights).mean()

        scale, sigma, step = 0.8, 0.4, 1e-6
        numeric = (
            (closed_form(scale + step, sigma) - closed_form(scale - step, sigma)) / (2 * step),
            (closed_form(scale, sigma + step) - closed_form(scale, sigma - step)) / (2 * step),
        )
        arguments = jnp.asarray(scale), jnp.asarray(sigma)
        for derivative in (jax.grad, jax.jacfwd):
            got = jax.jit(derivative(mean_decision, (0, 1)))(*arguments)
            np.testing.assert_allclose(got, numeric, rtol=1e-8)


@pytest.mark.parametrize("rule", DECISION_RULES)
def test_surrogate_gradients_of_noisy_decision(rule):
    def total(x, sigma):
        return noisy_decision(jax.random.key(3), x, sigma, rule).sum()

    in_x, in_sigma = jax.jit(jax.grad(total, (0, 1)))(jnp.asarray(X, jnp.float32), jnp.float32(0.4))
    np.testing.assert_allclose(in_x, SLOPES[rule], rtol=1e-5, atol=1e-6)
    assert float(in_sigma) == 0.0


@pytest.mark.parametrize("rule", NOISY_DECISION_RULES)
def test_noise_per_column(rule):
    """A sigma of its own for every column broadcasts, and each gets its own derivative."""
    x = jnp.ones((1, 3)) * 0.2
    sigma = jnp.array([[0.1, 0.2, 0.4]] * 5)

    def total(x, sigma):
        return noisy_decision(jax.random.key(4), x, sigma, rule).sum()

    gradient = jax.jit(jax.grad(total, (0, 1)))(x, sigma)
    assert gradient[0].shape == (1, 3)
    assert gradient[1].shape == (5, 3)
    if rule == "physical":
        z = 0.2 / np.asarray(sigma)
        density = 2 * stats.norm.pdf(z) / np.asarray(sigma)
        np.testing.assert_allclose(gradient[0][0], density.sum(axis=0), rtol=1e-5)
        np.testing.assert_allclose(gradient[1], -z * density, rtol=1e-5)


def test_vmap_equals_loop():
    keys = jax.random.split(jax.random.key(5), 4)
    x = jnp.linspace(-1, 1, 200).reshape(4, 50)

    def decide(key, x):
        return noisy_decision(key, x, 0.5)

    jitted = jax.jit(decide)
    looped = [jitted(key, row) for key, row in zip(keys, x, strict=True)]
    np.testing.assert_array_equal(jax.jit(jax.vmap(decide))(keys, x), looped)


@pytest.mark.parametrize("sigma", [0.5, 1])
def test_float32_input_in_a_float64_program(sigma):
    """A plain number takes the precision of the input."""
    with jax.enable_x64(True):
        x = jnp.ones(3, jnp.float32)
        value, slope = jax.jit(jax.value_and_grad(lambda x: noisy_decision(jax.random.key(6), x, sigma).sum()))(x)
        assert value.dtype == slope.dtype == jnp.float32


def test_bad_sigma():
    x = jnp.ones(3)
    with pytest.raises(ValueError, match=r"Argument `sigma` must not be negative, but is -0.1"):
        expected_decision(x, -0.1)
    with pytest.raises(ValueError, match=r"Argument `sigma` must not be negative, but is -0.1"):
        noisy_decision(jax.random.key(0), x, -0.1)
    assert np.isnan(jax.jit(expected_decision)(x, -0.1)).all()
    assert np.isnan(jax.jit(lambda sigma: noisy_decision(jax.random.key(0), x, sigma))(-0.1)).all()


def test_unknown_rules():
    x = jnp.ones(3)
    with pytest.raises(
        ValueError, match=r"Argument `rule` must be one of \('straight-through', .*\), but is 'physical'"
    ):
        decision(x, "physical")
    with pytest.raises(
        ValueError, match=r"Argument `rule` must be one of \('straight-through', 'none'\), but is 'tanh'"
    ):
        rounded(x, "tanh")
    with pytest.raises(ValueError, match=r"Argument `rule` must be one of \('physical', .*\), but is 'none'"):
        noisy_decision(jax.random.key(0), x, 0.1, "none")
