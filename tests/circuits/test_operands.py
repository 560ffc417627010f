"""Integer codes and their binary digits against NumPy integers; gradients straight through."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits import IntegerCode, ValueRange
from amsim.circuits.selection.codes import input_code, limited, weight_code

UNKNOWN = ValueRange()
WORDS = [(1, True), (1, False), (2, True), (2, False), (3, True), (8, True), (8, False), (16, True), (16, False)]


def f32(values):
    return jnp.asarray(values, jnp.float32)


def all_codes(bits, signed):
    if bits == 1 and signed:
        return np.array([-1, 1])
    low = -(2 ** (bits - 1)) if signed else 0
    return np.arange(low, low + 2**bits)


@pytest.mark.sampled
@pytest.mark.parametrize(("bits", "signed"), WORDS)
def test_every_code_survives_encoding_and_its_digits(bits, signed):
    codes = all_codes(bits, signed)
    scale = 0.37
    code = IntegerCode(jnp.asarray(scale), bits, signed)
    assert (code.lowest, code.highest) == (codes[0], codes[-1])
    np.testing.assert_array_equal(code.encode(f32(codes * scale)), codes)
    digits = np.asarray(code.digits(f32(codes)))
    assert digits.shape == (len(codes), bits)
    np.testing.assert_array_equal(np.abs(digits), 1)
    weighted = digits @ 2.0 ** np.arange(bits)
    np.testing.assert_array_equal(code.digit_gain * weighted + code.digit_offset, codes)
    if bits > 1 or not signed:
        np.testing.assert_array_equal(digits > 0, (codes[:, None] - codes[0] >> np.arange(bits)) & 1)


@pytest.mark.parametrize("rounding", ["nearest", "truncate"])
@settings(deadline=None, max_examples=30)
@given(word=st.sampled_from([(2, True), (3, False), (8, True)]), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 2**31))
def test_encoding_rounds_and_clips_as_numpy(rounding, word, scale, seed):
    bits, signed = word
    codes = all_codes(bits, signed)
    generator = np.random.default_rng(seed)
    fraction = generator.uniform(-0.45, 0.45, 400) if rounding == "nearest" else generator.uniform(0.01, 0.99, 400)
    whole = generator.integers(codes[0] - 4, codes[-1] + 5, 400)
    fraction[:40] = 0
    code = IntegerCode(f32(scale), bits, signed, rounding)
    np.testing.assert_array_equal(code.encode(f32((whole + fraction) * scale)), np.clip(whole, codes[0], codes[-1]))


def test_ties_and_truncation_of_whole_steps():
    nearest, truncating = (IntegerCode(jnp.asarray(0.5), 4, True, rounding) for rounding in ("nearest", "truncate"))
    steps = f32([-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3])
    np.testing.assert_array_equal(nearest.encode(steps * 0.5), [-3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3])
    np.testing.assert_array_equal(truncating.encode(steps * 0.5), [-3, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3])


@pytest.mark.parametrize("bits", [2, 4, 8, 12])
def test_truncation_keeps_values_on_the_grid_of_any_scale(bits):
    """The largest value divided by its own scale must not drop a step through rounding error."""
    largest = np.float32(np.random.default_rng(bits).uniform(0.1, 10, 200))
    code = weight_code(f32(largest)[None, :], bits, UNKNOWN, "truncate")
    np.testing.assert_array_equal(code.encode(f32(largest)[None, :]), code.highest)
    np.testing.assert_array_equal(code.encode(-f32(largest)[None, :]), -code.highest)


def test_one_signed_bit_is_the_sign_and_zero_is_undriven():
    code = IntegerCode(jnp.asarray(2.0), 1, True)
    np.testing.assert_array_equal(code.encode(f32([-5, -2, -1e-30, 0, -0.0, 1e-30, 3])), [-1, -1, -1, 0, 0, 1, 1])
    assert np.isnan(code.encode(f32([np.nan]))).all()


@pytest.mark.sampled
@pytest.mark.parametrize("rounding", ["nearest", "truncate"])
@pytest.mark.parametrize(("bits", "signed"), WORDS)
def test_gradient_is_one_in_range_and_none_outside(bits, signed, rounding):
    code = IntegerCode(jnp.asarray(0.25), bits, signed, rounding)
    low, high = code.lowest, code.highest
    inside = f32([low, low + 0.1, high - 0.1, high]) * 0.25
    outside = f32([low - 1.1, high + 1.1]) * 0.25
    slope = jax.jit(jax.vmap(jax.grad(lambda value: code.encode(value))))
    np.testing.assert_allclose(slope(inside), 4, rtol=1e-6)
    np.testing.assert_allclose(slope(outside), 4 if bits == 1 and signed else 0, rtol=1e-6)


@pytest.mark.parametrize(("bits", "signed"), WORDS[1:7])
def test_gradient_of_the_digits_recombines_to_exactly_one(bits, signed):
    codes = f32(all_codes(bits, signed)[:5])
    code = IntegerCode(jnp.asarray(1.0), bits, signed)

    def recombined(value):
        return code.digit_gain * jnp.sum(code.digits(value) * 2.0 ** np.arange(bits, dtype=np.float32))

    for derivative in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(jax.jit(jax.vmap(derivative(recombined)))(codes), 1, rtol=1e-6)


def test_gradient_of_limited_includes_the_ends():
    values = f32([-4, -3, 0, 2, 3])
    np.testing.assert_array_equal(limited(values, -3, 2), [-3, -3, 0, 2, 2])
    np.testing.assert_array_equal(jax.vmap(jax.grad(lambda v: limited(v, -3, 2)))(values), [0, 1, 1, 1, 0])


@pytest.mark.parametrize("axes", [(-1,), (1, 2, 3)])
def test_without_a_range_each_sample_has_its_own_scale(axes):
    shape = (5, 7) if axes == (-1,) else (5, 2, 3, 4)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values[2] = 0
    code = input_code(f32(values), 4, UNKNOWN, axes)
    assert code.signed
    encoded = np.asarray(code.encode(f32(values)))
    np.testing.assert_array_equal(np.abs(encoded).max(tuple(range(1, values.ndim))), [7, 7, 0, 7, 7])
    # Another sample, however large, changes nothing.
    changed = values.copy()
    changed[0] *= 1000
    again = input_code(f32(changed), 4, UNKNOWN, axes)
    np.testing.assert_array_equal(again.encode(f32(changed))[1:], encoded[1:])
    np.testing.assert_array_equal(again.encode(f32(changed))[0], encoded[0])


def test_weights_are_scaled_by_column():
    matrix = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    matrix[:, 1] = 0
    code = weight_code(f32(matrix), 3, UNKNOWN)
    encoded = np.asarray(code.encode(f32(matrix)))
    np.testing.assert_array_equal(np.abs(encoded).max(0), [3, 0, 3, 3])
    np.testing.assert_allclose(code.scale[0, [0, 2, 3]], np.abs(matrix).max(0)[[0, 2, 3]] / 3, rtol=1e-6)
    one_bit = weight_code(f32(matrix), 1, UNKNOWN)
    np.testing.assert_array_equal(one_bit.encode(f32(matrix)), np.sign(matrix))
    np.testing.assert_allclose(one_bit.scale[0, [0, 2, 3]], np.abs(matrix).max(0)[[0, 2, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("known", "signed", "scale"),
    [
        (ValueRange(0.0, 2.0), False, 2 / 15),
        (ValueRange(-1.0, 2.0), True, 2 / 7),
        (ValueRange(-3.0, 2.0), True, 3 / 7),
        (ValueRange(1.0, 2.0), False, 2 / 15),
        (ValueRange(0.0, None), False, 0.5 / 15),
        (ValueRange(None, 2.0), True, 0.5 / 7),
        (ValueRange(0.0, 0.0), False, 0.5 / 15),
    ],
)
def test_known_range_fixes_sign_and_scale(known, signed, scale):
    code = input_code(f32([[0.5, 0.25]]), 4, known, (-1,))
    assert code.signed is signed
    np.testing.assert_allclose(code.scale, scale, rtol=1e-6)


def test_range_limits():
    assert ValueRange(-3.0, 2.0).limit == 3
    assert ValueRange(0.0, 0.0).limit is None
    assert ValueRange(None, 2.0).limit is None
    assert ValueRange().limit is None


def test_clipped_counts_what_is_off_by_more_than_half_a_step():
    code = input_code(f32([0.0]), 3, ValueRange(-3.0, 3.0), (-1,))
    # Codes -4..3 of step 1.
    values = f32([-4.6, -4.4, -4, 0, 3, 3.4, 3.6, 100])
    assert float(code.clipped_fraction(values)) == pytest.approx(3 / 8)
    assert float(code.clipped_fraction(values[1:6])) == 0
    unsigned = input_code(f32([0.0]), 2, ValueRange(0.0, 3.0), (-1,))
    assert float(unsigned.clipped_fraction(f32([-0.6, -0.4, 3.4, 4]))) == pytest.approx(0.5)


def test_scale_carries_no_gradient():
    """Straight through means that a vector's largest element does not stretch the grid of the others."""

    def total(values):
        code = input_code(values, 4, UNKNOWN, (-1,))
        return jnp.sum(code.encode(values) * code.scale * f32([1.0, 2.0, 3.0]))

    np.testing.assert_allclose(jax.grad(total)(f32([0.3, -2.0, 1.1])), [1, 2, 3], rtol=1e-5)
    assert math.isfinite(float(total(f32([0.0, 0.0, 0.0]))))
    np.testing.assert_allclose(jax.grad(total)(f32([0.0, 0.0, 0.0])), [1, 2, 3], rtol=1e-5)


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_grid_is_exact_on_words_that_reach_as_far(bits: int) -> None:
    half = 2 ** (bits - 1)
    ranges = [(0, 2 * half - 1), (0, 2 * half - 2), (-half, half - 1), (1 - half, half - 1)]
    for low, high in [(-1, 1)] if bits == 1 else ranges:
        words = np.arange(low, high + 1)[:, None] * np.ones((1, 2))
        for wider in (0, 1, 3, 8):
            known = ValueRange(0.3 * low, 0.3 * high, 0.3)
            for one in (known, known._replace(low=min(known.low, 0.0) or None if low else 0.0, high=None)):
                code = input_code(f32(0.3 * words), bits + wider, one, (-1,))
                np.testing.assert_allclose(code.encode(f32(0.3 * words)) * code.scale, 0.3 * words, rtol=1e-6)
            if low < 0:
                columns = np.array([[0.3, -1.7]])
                known = ValueRange(low, high, 1, jnp.asarray(columns * np.ones_like(words), jnp.float32))
                code = weight_code(f32(columns * words), bits + wider, known)
                np.testing.assert_allclose(code.encode(f32(columns * words)) * code.scale, columns * words, rtol=1e-6)


def test_values_without_words_on_their_grid_are_scaled_to_their_size() -> None:
    known, plain = ValueRange(0.0, 255.0, 1.0), ValueRange(0.0)
    x = f32([[200.0, 100.0], [3.0, 15.0], [0.0, 0.0]])
    found, wanted = (input_code(x, 4, one, (-1,)) for one in (known, plain))
    np.testing.assert_array_equal(found.scale[0], wanted.scale[0])
    np.testing.assert_array_equal(found.scale[1:, 0], [1.0, 1.0])
    assert float(input_code(x, 8, known, (-1,)).scale) == 1


def test_a_zero_point_serves_grids_that_lie_unevenly_about_zero() -> None:
    known = ValueRange(-0.5, 1.0, 0.1)
    x = f32(np.arange(-5, 11)[None] * 0.1)
    code = input_code(x, 4, known, (-1,))
    assert float(code.zero) == 5
    np.testing.assert_allclose(code.encode(x) * code.scale, x, atol=1e-7)
    assert input_code(x, 3, known, (-1,)).zero is None
