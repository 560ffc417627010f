"""Derivatives of the switched-capacitor array against finite differences and plain products."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from switched_capacitor_calls import IDEAL, SIGNS, SMALL, bits_of, f32, margin, multiply

from amsim.circuits import ConvolutionProduct, DenseProduct, Neuron, Operands, SwitchedCapacitor, ValueRange, Work

# Derivatives in the circuit's own parameters.

PLACES = {
    "unit_capacitance": lambda m: m.unit_capacitance,
    "supply": lambda m: m.supply,
    "temperature": lambda m: m.temperature,
    "mismatch_coefficient": lambda m: m.mismatch_coefficient,
    "cell_parasitic": lambda m: m.cell_parasitic,
    "comparator.noise": lambda m: m.comparator.noise,
    "comparator.offset_sigma": lambda m: m.comparator.offset_sigma,
}


@pytest.mark.parametrize("quantity", ["margin", "energy", "noise"])
def test_derivatives_agree_with_central_differences(quantity):
    generator = np.random.default_rng(4)
    with jax.enable_x64(True):
        base = SwitchedCapacitor(rows=12, columns=5, temperature=320.0)
        inputs = jnp.asarray(bits_of(generator, 6, 12), float)
        weights = jnp.asarray(bits_of(generator, 12, 5), float)
        neuron, product = Neuron(jnp.ones(5), jnp.full(5, 1.5)), DenseProduct(12, 5)
        die, key = base.fabricate(jax.random.key(0)), jax.random.key(1)

        def statistic(logs):
            macro = base
            for place, log in zip(PLACES.values(), logs, strict=True):
                macro = eqx.tree_at(place, macro, place(base) * jnp.exp(log))
            if quantity == "margin":
                line = macro.margin(Operands(product, inputs, weights, SIGNS), neuron, die=die, key=key)
                return jnp.mean(line**2)
            if quantity == "energy":
                report = macro.report(Operands(product, inputs, weights), neuron=neuron)
                return macro.cost(Work(product, 6, 72, 1.0), report).energy * 1e12
            return macro.noise_counts

        zeros, step = jnp.zeros(len(PLACES)), 1e-6
        value = jax.jit(statistic)
        direction = jnp.asarray(generator.normal(size=len(PLACES)))
        reverse = jax.jit(jax.grad(statistic))(zeros)
        forward = jax.jit(lambda x: jax.jvp(statistic, (x,), (direction,))[1])(zeros)
        steps = step * jnp.eye(len(PLACES))
        difference = jnp.stack([(value(row) - value(-row)) / (2 * step) for row in steps])
        forward, along = float(forward), float(reverse @ direction)
    assert reverse.dtype == np.float64
    np.testing.assert_allclose(reverse, difference, rtol=1e-6, atol=1e-7)
    assert forward == pytest.approx(along, rel=1e-9, abs=0)
    used = {"margin": range(7), "energy": (0, 1, 4, 5), "noise": (0, 1, 2, 4, 5)}[quantity]
    assert set(np.flatnonzero(np.abs(reverse) > 1e-4)) == set(used)


def test_derivatives_at_no_noise_are_finite():
    macro = IDEAL
    slopes = jax.jit(jax.grad(lambda m: m.noise_counts + m.comparator.energy()))(macro)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(slopes))


def test_gradient_of_a_margin_in_weights_threshold_and_slope():
    """Straight through sign and DAC steps: the affine expression's own derivatives, in and out of the DAC's range."""
    generator = np.random.default_rng(6)
    inputs, weights = bits_of(generator, 6, 12), bits_of(generator, 12, 5)
    slope = np.array([1.0, -2.0, 0.5, 3.0, -0.25])
    intercept = np.array([0.3, 1.0, -2.0, 4.0, 0.1])
    macro = IDEAL

    def total(w, s, i):
        return jnp.sum(margin(macro, f32(inputs), w, s, i))

    by_weight, by_slope, by_intercept = jax.grad(total, (0, 1, 2))(f32(weights), f32(slope), f32(intercept))
    np.testing.assert_allclose(by_weight, np.outer(inputs.sum(0), slope), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_intercept, 6, rtol=1e-5)
    # The realised threshold is up to one count beside the exact one.
    np.testing.assert_allclose(by_slope, (inputs @ weights).sum(0), atol=6.1)
    clipped = jax.grad(total, 2)(f32(weights), f32(slope), f32(2000 * np.abs(slope)))
    np.testing.assert_array_equal(clipped, 0)


def test_gradient_of_a_multi_bit_product_is_that_of_the_product():
    generator = np.random.default_rng(8)
    macro = dataclasses.replace(SMALL, weight_bits=4, input_bits=3).ideal()
    # On both grids, so that no rounding error separates the two.
    inputs, weights = generator.integers(-3, 4, (6, 29)), generator.integers(-7, 8, (29, 3))
    cotangent = generator.normal(size=(6, 3))

    def total(x, w):
        ranges = ValueRange(-3.0, 3.0), ValueRange(-7.0, 7.0)
        return jnp.sum(multiply(macro, x, w, None, None, *ranges) * f32(cotangent))

    by_input, by_weight = jax.grad(total, (0, 1))(f32(inputs), f32(weights))
    np.testing.assert_allclose(by_input, cotangent @ weights.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_weight, inputs.T @ cotangent, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradient_of_a_multi_bit_convolution_is_that_of_the_convolution(groups):
    """Compiled, with a border of zeros, and offsets of both codes to subtract."""
    generator = np.random.default_rng(groups)
    product = ConvolutionProduct(kernel=(2, 2), channels=2, columns=4, strides=(1, 2), dilation=(1, 1), groups=groups)
    macro = SwitchedCapacitor(rows=8, columns=5, weight_bits=3, input_bits=2).ideal()
    inputs, matrix = generator.integers(0, 4, (2, 4, 5, 2 * groups)), generator.integers(-3, 4, (8, 4))
    inputs[:, 0] = 0
    cotangent = f32(generator.normal(size=(2, 3, 2, 4)))

    def through_macro(x, w):
        operands = Operands(product, x, w, ValueRange(0.0, 3.0), ValueRange(-3.0, 3.0))
        return jnp.sum(macro.multiply(operands) * cotangent)

    def plain(x, w):
        kernel = jnp.moveaxis(w.reshape(2, 2, 2, 4), 0, 2)
        layout = ("NHWC", "HWIO", "NHWC")
        result = jax.lax.conv_general_dilated(
            x, kernel, (1, 2), "VALID", dimension_numbers=layout, feature_group_count=groups
        )
        return jnp.sum(result * cotangent)

    found, expected = (jax.jit(jax.grad(f, (0, 1)))(f32(inputs), f32(matrix)) for f in (through_macro, plain))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_dies_in_a_batch_equal_dies_one_by_one():
    generator = np.random.default_rng(9)
    inputs, weights = f32(bits_of(generator, 6, 24)), f32(bits_of(generator, 24, 3))
    keys = jax.random.split(jax.random.key(0), 3)

    def one(key):
        return multiply(SMALL, inputs, weights, SMALL.fabricate(key), key)

    np.testing.assert_array_equal(jax.jit(jax.vmap(one))(keys), np.stack([one(key) for key in keys]))
