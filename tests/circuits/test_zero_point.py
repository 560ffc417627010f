"""Codes with a zero-point, and codes given to a macro, against plain integer arithmetic in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import (
    Adc,
    ConvolutionProduct,
    DenseProduct,
    DigitalBinary,
    IntegerCode,
    Measured,
    MultiPrecision,
    Neuron,
    Operands,
    SwitchedCapacitor,
    ValueRange,
)

SCALE, BITS = 0.25, 3


def measured():
    counts = np.arange(-20, 21)
    table = np.tile(np.arange(-20.0, 21.0), (1, 1))
    quantities = {"evaluation_energy": 1e-12, "evaluation_time": 1e-9, "array_area": 1e-9, "supply": 0.6}
    words = {"weight_bits": 3, "input_bits": BITS}
    return Measured(counts, table, 0 * table, rows=20, columns=8, **quantities, **words)


MACROS = {
    "switched capacitor": SwitchedCapacitor(
        rows=20, columns=8, weight_bits=3, input_bits=BITS, adc=Adc(bits=6), mismatch_coefficient=0.0
    ),
    "digital": DigitalBinary(rows=20, columns=8, weight_bits=3, input_bits=BITS),
    "multi-precision": MultiPrecision(weight_bits=3, input_bits=BITS),
    "measured": measured(),
}


def code(zero, signed=False, bits=BITS):
    return IntegerCode(jnp.asarray(SCALE), bits, signed, zero=jnp.asarray(float(zero)))


def integers(values, zero, low=0, high=2**BITS - 1):
    """What a quantised product computes with: the stored word less the zero-point."""
    return np.clip(np.round(values / SCALE) + zero, low, high) - zero


def test_zero_is_exact_and_both_ends_are_reached():
    for zero in (0, 3, 7):
        one = code(zero)
        values = np.linspace(-3, 3, 97)
        codes = np.asarray(one.encode(jnp.asarray(values, jnp.float32)))
        np.testing.assert_array_equal(codes, integers(values.astype(np.float32), zero))
        assert float(one.encode(jnp.zeros(()))) == 0
        assert (float(one.lowest_code), float(one.highest_code)) == (-zero, 7 - zero)
        np.testing.assert_array_equal(one.words(jnp.asarray(codes)), codes + zero)
        digits = np.asarray(one.digits(jnp.asarray(codes)))
        weighted = digits @ 2.0 ** np.arange(BITS)
        np.testing.assert_array_equal(one.digit_gain * weighted + float(one.digit_offset), codes)
        outside = (values / SCALE > 7 - zero + 0.5) | (values / SCALE < -zero - 0.5)
        assert float(one.clipped_fraction(jnp.asarray(values, jnp.float32))) == pytest.approx(
            np.mean(outside), rel=1e-6
        )
    signed = code(-3, signed=True)
    assert (float(signed.lowest_code), float(signed.highest_code)) == (-1, 6)


def test_gradient_passes_inside_the_shifted_range_only():
    slopes = jax.vmap(jax.grad(lambda x: code(2).encode(x) * SCALE))(jnp.asarray([-0.7, -0.4, 0.1, 1.2, 1.6]))
    np.testing.assert_allclose(slopes, [0, 1, 1, 1, 0])


@pytest.mark.parametrize("name", MACROS)
def test_dense_product_is_that_of_integers(name):
    random = np.random.default_rng(0)
    inputs = random.uniform(-1.2, 1.4, (5, 33)).astype(np.float32)
    weights = random.integers(-4, 4, (33, 4)).astype(np.float32)
    scales = np.array([[1.0, 0.5, 2.0, 1.0]], np.float32)
    w_code = IntegerCode(jnp.asarray(scales), 3, True)
    found = MACROS[name].multiply(
        Operands(DenseProduct(33, 4), jnp.asarray(inputs), jnp.asarray(weights * scales), code(3), w_code)
    )
    np.testing.assert_allclose(found, integers(inputs, 3) @ weights * SCALE * scales, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["switched capacitor", "multi-precision"])
def test_padded_convolution_is_that_of_integers(name):
    random = np.random.default_rng(1)
    inputs = random.uniform(-1.2, 1.4, (2, 5, 5, 3)).astype(np.float32)
    weights = random.integers(-4, 4, (3, 2, 2, 4)).astype(np.float32)
    # Padding is the value 0, whatever word stands for it.
    padded = np.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    product = ConvolutionProduct((2, 2), 3, 4, (1, 1), (1, 1))
    w_code = IntegerCode(jnp.ones(()), 3, True)
    found = MACROS[name].multiply(
        Operands(product, jnp.asarray(padded), jnp.asarray(weights.reshape(12, 4)), code(3), w_code)
    )
    x, want = integers(padded, 3), np.zeros((2, 6, 6, 4))
    for i in range(6):
        for j in range(6):
            window = np.moveaxis(x[:, i : i + 2, j : j + 2], -1, 1).reshape(2, -1)
            want[:, i, j] = window @ weights.reshape(12, 4) * SCALE
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)


def test_skipped_products_are_those_of_a_zero_word():
    inputs = jnp.asarray([[-0.75, 0.0, 0.25, 0.5]])
    weights = jnp.asarray([[1.0], [0.0], [3.0], [2.0]])
    macro = MACROS["multi-precision"]
    operands = Operands(DenseProduct(4, 1), inputs, weights, code(3), IntegerCode(jnp.ones(()), 3, True))
    # Words 0, 3, 4, 5: the first is skipped, and the second for its weight.
    assert float(macro.report(operands)["nonzero"]) == pytest.approx(0.5)


def test_a_one_bit_word_with_a_zero_point_decides_as_its_integers():
    macro = SwitchedCapacitor(rows=16, columns=4, mismatch_coefficient=0.0)
    random = np.random.default_rng(2)
    inputs = random.choice([-SCALE, 0.0], (40, 16)).astype(np.float32)
    weights = random.choice([-1.0, 1.0], (16, 4)).astype(np.float32)
    neuron = Neuron(jnp.ones((4,)), jnp.asarray([0.1, -0.3, 0.6, 0.0]))
    x_code, signs = code(1, bits=1), ValueRange(-1.0, 1.0)
    operands = Operands(DenseProduct(16, 4), jnp.asarray(inputs), jnp.asarray(weights), x_code, signs)
    margins = macro.margin(operands, neuron)
    want = inputs @ weights + np.array([0.1, -0.3, 0.6, 0.0])
    np.testing.assert_array_equal(np.asarray(margins) >= 0, want >= 0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: IntegerCode(jnp.ones(()), 1, True, zero=jnp.zeros(())), "None for one signed bit"),
        (lambda: code(8), "a whole number from 0 to 7, but is 8"),
        (lambda: code(1.5), "a whole number from 0 to 7, but is 1.5"),
        (lambda: IntegerCode(jnp.ones(()), 17, True), "`bits` must be an integer from 1 to 16"),
        (lambda: product_with(input_range=code(0, bits=4)), "`input_range` must be a code of 3 bits"),
        (lambda: product_with(weight_range=code(3)), "`weight_range` must be a signed code"),
    ],
)
def test_wrong_codes_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def product_with(**options):
    return MACROS["digital"].multiply(Operands(DenseProduct(3, 2), jnp.ones((1, 3)), jnp.ones((3, 2)), **options))
