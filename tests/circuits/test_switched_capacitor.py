"""The switched-capacitor array against integers: without errors it counts and decides exactly; its converters."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from switched_capacitor_calls import IDEAL, SEEDS, SIGNS, SMALL, bits_of, decide, f32, margin, multiply, report_on

from amsim.circuits import Adc, BiasDac, Comparator, ConvolutionProduct, Neuron, Operands, SwitchedCapacitor, ValueRange


def popcount(inputs, weights):
    """XNOR and popcount on integers; a pair with an undriven input counts neither way."""
    driven = inputs[:, :, None] != 0
    agree = np.equal(inputs[:, :, None] > 0, weights[None] > 0) & driven
    return 2 * agree.sum(1) - driven.sum(1)


# Without errors the array counts.


@settings(deadline=None, max_examples=60)
@given(
    seed=SEEDS,
    shape=st.sampled_from([(7, 3), (12, 5), (24, 3), (29, 7)]),
    undriven=st.sampled_from([0.0, 0.3]),
    with_die=st.booleans(),
)
def test_ideal_array_is_popcount_bit_for_bit(seed, shape, undriven, with_die):
    generator = np.random.default_rng(seed)
    inputs, weights = bits_of(generator, 6, shape[0]), bits_of(generator, *shape)
    inputs[0], weights[:, 0] = 1, 1
    inputs[1] = -1
    inputs[2:][generator.random((4, shape[0])) < undriven] = 0
    die = IDEAL.fabricate(jax.random.key(seed)) if with_die else None
    result = multiply(IDEAL, f32(inputs), f32(weights), die, jax.random.key(seed + 1))
    np.testing.assert_array_equal(result, popcount(inputs, weights))


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 255, 1024])
def test_ideal_array_counts_up_to_its_ends(rows):
    weights = np.ones((rows, 2), int)
    weights[:, 1] = -1
    inputs = np.array([[1] * rows, [-1] * rows, [0] * rows, [0] + [1] * (rows - 1)])
    macro = SwitchedCapacitor(rows=rows, columns=2).ideal()
    np.testing.assert_array_equal(multiply(macro, f32(inputs), f32(weights)), popcount(inputs, weights))


def quantised(values, scale, low, high):
    return np.clip(np.rint(np.asarray(values, np.float64) / scale), low, high).astype(np.int64)


CASES = [(1, 8, False), (8, 1, True), (2, 3, True), (4, 4, False), (8, 8, True), (3, 1, False)]


@pytest.mark.parametrize(("weight_bits", "input_bits", "signed"), CASES)
@settings(deadline=None, max_examples=6)
@given(seed=SEEDS)
def test_ideal_multi_bit_product_is_an_integer_product(weight_bits, input_bits, signed, seed):
    """Weights of one bit are signs, inputs of one bit signs or {0, 1}; some values lie beyond the range and clip."""
    generator = np.random.default_rng(seed)
    rows, columns, limit = 29, 3, 2.7
    macro = dataclasses.replace(SMALL, weight_bits=weight_bits, input_bits=input_bits).ideal()

    def operand(bits, has_sign, *shape):
        if bits == 1 and has_sign:
            codes = bits_of(generator, *shape)
            return f32(codes * generator.uniform(0.1, 1.2, shape) * limit), codes, limit
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if has_sign else (0, 2**bits - 1)
        scale = limit / high
        # Away from ties, where float32 and float64 may round differently.
        values = scale * (generator.integers(low - 1, high + 2, shape) + generator.uniform(-0.4, 0.4, shape))
        return f32(values), quantised(values, scale, low, high), scale

    inputs, x, x_scale = operand(input_bits, signed, 4, rows)
    weights, w, w_scale = operand(weight_bits, True, rows, columns)
    die = macro.fabricate(jax.random.key(seed))
    ranges = ValueRange(-limit if signed else 0.0, limit), ValueRange(-limit, limit)
    result = np.asarray(multiply(macro, inputs, weights, die, jax.random.key(seed), *ranges), np.float64)
    np.testing.assert_array_equal(np.rint(result / (x_scale * w_scale)), x @ w)
    np.testing.assert_allclose(result, (x @ w) * x_scale * w_scale, rtol=1e-5, atol=1e-4 * x_scale * w_scale)


def explicit_convolution(inputs, matrix, product):
    """Valid convolution by loops, rows in the order (channel, kernel row, kernel column)."""
    (kh, kw), (sh, sw), channels = product.kernel, product.strides, product.channels
    height, width = (inputs.shape[1] - kh) // sh + 1, (inputs.shape[2] - kw) // sw + 1
    result = np.zeros((inputs.shape[0], height, width, product.columns), int)
    per_group = product.columns // product.groups
    for filter_ in range(product.columns):
        first = filter_ // per_group * channels
        for i, j in np.ndindex(height, width):
            window = inputs[:, i * sh : i * sh + kh, j * sw : j * sw + kw, first : first + channels]
            result[:, i, j, filter_] = window.transpose(0, 3, 1, 2).reshape(len(inputs), -1) @ matrix[:, filter_]
    return result


@pytest.mark.parametrize(("groups", "strides"), [(1, (2, 1)), (2, (1, 1))])
@pytest.mark.parametrize("input_bits", [1, 3])
def test_ideal_convolution_is_an_integer_convolution(groups, strides, input_bits):
    """Two channels of a 2x2 kernel a tile; a border of undriven inputs, whose number at a position may be odd."""
    generator = np.random.default_rng(groups)
    channels = 3 if groups == 1 else 2
    product = ConvolutionProduct(
        kernel=(2, 2), channels=channels, columns=4, strides=strides, dilation=(1, 1), groups=groups
    )
    macro = SwitchedCapacitor(rows=8, columns=3, input_bits=input_bits).ideal()
    inputs, limit = bits_of(generator, 2, 5, 5, channels * groups), 1.0
    if input_bits == 3:
        inputs, limit = generator.integers(-4, 4, inputs.shape), 3.0
    inputs[:, 0], inputs[:, :, -1] = 0, 0
    inputs[:, 2, 2, 0] = 0
    matrix = bits_of(generator, product.rows, 4)
    assert product.rows == channels * 4
    operands = Operands(product, f32(inputs), f32(matrix), ValueRange(-limit, limit), SIGNS)
    die, key = macro.fabricate(jax.random.key(0)), jax.random.key(1)
    result = eqx.filter_jit(macro.multiply)(operands, die=die, key=key)
    np.testing.assert_array_equal(result, explicit_convolution(inputs, matrix, product))


# A comparator decides.

THRESHOLDS = st.lists(
    st.tuples(st.integers(-14, 14), st.sampled_from([0.0, 0.25, 0.5, -1e-3, 1e-4])).map(sum), min_size=7, max_size=7
)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, rows=st.sampled_from([7, 12]), thresholds=THRESHOLDS, undriven=st.sampled_from([0.0, 0.2]))
def test_ideal_decision_is_the_sign_of_product_less_threshold(seed, rows, thresholds, undriven):
    generator = np.random.default_rng(seed)
    inputs, weights = bits_of(generator, 9, rows), bits_of(generator, rows, 7)
    inputs[generator.random(inputs.shape) < undriven] = 0
    inputs[0], weights[:, 0] = 1, 1
    expected = np.where(inputs @ weights >= np.float32(thresholds), 1, -1)
    die = IDEAL.fabricate(jax.random.key(seed))
    line = margin(IDEAL, f32(inputs), f32(weights), jnp.ones(7), -f32(thresholds), die)
    np.testing.assert_array_equal(np.where(line >= 0, 1, -1), expected)


def test_decide_is_the_sign_of_the_margin():
    """The public call: one threshold for all columns or one each, with a die and noise, {-1, +1} out."""
    generator = np.random.default_rng(1)
    inputs, weights = bits_of(generator, 8, 11), bits_of(generator, 11, 4)
    die, key = SMALL.fabricate(jax.random.key(0)), jax.random.key(1)
    quiet = dataclasses.replace(
        SMALL, mismatch_coefficient=0.0, temperature=0.0, comparator=Comparator(noise=0.0, offset_sigma=0.0)
    )
    for thresholds in (1, np.float32([-3, 0, 1, 2.5])):
        exact = np.where(inputs @ weights >= thresholds, 1, -1)
        np.testing.assert_array_equal(decide(quiet, inputs, weights, thresholds, die, key), exact)
        noisy = decide(SMALL, inputs, weights, thresholds, die, key)
        intercept = -jnp.broadcast_to(f32(thresholds), (4,))
        line = margin(SMALL, f32(inputs), f32(weights), jnp.ones(4), intercept, die, key)
        np.testing.assert_array_equal(noisy, np.where(line >= 0, 1, -1))
    np.testing.assert_array_equal(decide(quiet, inputs[0], weights, thresholds, die, key), exact[0])


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, variant=st.sampled_from([(7, True, False), (12, True, True), (7, False, True), (12, False, False)]))
def test_neuron_of_any_slope_and_ties(seed, variant):
    """Thresholds at a sum that occurs, with an intercept that float32 rounds, or beside it; constant neurons."""
    generator, (rows, ties_up, unsigned) = np.random.default_rng(seed), variant
    inputs = generator.integers(0, 2, (9, rows)) if unsigned else bits_of(generator, 9, rows)
    weights = bits_of(generator, rows, 7)
    product, sign = inputs @ weights, generator.choice([-1, 0, 1], 7, p=[0.4, 0.2, 0.4])
    sums = product[0] + generator.choice([0, 0.5, -1, 7], 7, p=[0.7, 0.1, 0.1, 0.1])
    slope = sign * np.float32(generator.uniform(0.1, 50, 7))
    intercept = np.where(sign == 0, sums, -slope * sums)
    exact = np.where(sign == 0, sums, sign * (product - sums))
    line = margin(
        IDEAL,
        f32(inputs),
        f32(weights),
        f32(slope),
        f32(intercept),
        IDEAL.fabricate(jax.random.key(seed)),
        input_range=ValueRange(0.0, 1.0) if unsigned else SIGNS,
        ties_up=ties_up,
    )
    decided, expected = (line >= 0, exact >= 0) if ties_up else (line > 0, exact > 0)
    np.testing.assert_array_equal(decided, expected)


def test_threshold_beyond_the_dac_clips_and_is_reported():
    inputs = np.array([[1] * high + [-1] * (12 - high) for high in range(13)])
    weights, sums = np.ones((12, 1), int), 2 * np.arange(13)[:, None] - 12
    short = dataclasses.replace(SMALL, bias_dac=BiasDac(bits=2)).ideal()

    def decided(macro, threshold):
        line = margin(macro, f32(inputs), f32(weights), jnp.ones(1), f32([-threshold]))
        neuron = Neuron(jnp.ones(1), f32([-threshold]))
        report = report_on(macro, f32(inputs), f32(weights), neuron)
        return np.asarray(line) >= 0, float(report["clipped_thresholds"])

    for threshold, reached, clipped in [(9, 3, 1), (-9, -3, 1), (100, 3, 1), (4, 4, 0), (-2, -2, 0), (-3, -3, 0)]:
        decisions, fraction = decided(short, threshold)
        np.testing.assert_array_equal(decisions, sums >= reached)
        assert fraction == clipped
    # A DAC that outreaches the line decides a threshold beyond both.
    for threshold, expected in [(1e4, False), (-1e4, True)]:
        decisions, fraction = decided(IDEAL, threshold)
        assert np.all(decisions == expected)
        assert fraction == 0


# Converters.


@settings(deadline=None, max_examples=40)
@given(
    bits=st.sampled_from([1, 2, 3, 6]),
    range_=st.floats(0.0625, 2.0, width=32),
    rows=st.integers(1, 300),
    finest=st.sampled_from([0.5, 1.0]),
    seed=SEEDS,
)
def test_adc_is_a_uniform_quantiser(bits, range_, rows, finest, seed):
    cells = np.random.default_rng(seed).uniform(-0.2 * rows, 1.2 * rows, 200).astype(np.float32)
    cells.sort()
    adc = Adc(bits=bits, range=range_)
    read = np.asarray(adc.convert(jnp.asarray(cells), float(rows), finest))
    lsb = max(range_ * rows / 2**bits, finest)
    assert float(adc.lsb(float(rows), finest)) == pytest.approx(lsb, rel=1e-6, abs=0)
    assert float(adc.lsb(float(rows))) >= 1
    levels = rows // 2 + lsb * np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    if bits == 1 or (bits == 2 and lsb > finest):
        levels = rows / 2 + lsb * (np.arange(2**bits) - (2**bits - 1) / 2)
    np.testing.assert_allclose(np.abs(read[:, None] - levels).min(1), 0, atol=1e-4 * rows)
    # Nearest level, but for values as near to two of them as float32 knows.
    np.testing.assert_allclose(np.abs(read - cells), np.abs(cells[:, None] - levels).min(1), atol=1e-4 * rows)
    assert np.all(np.diff(read) >= -1e-4 * rows)
    outside = np.mean((cells < levels[0] - lsb / 2) | (cells > levels[-1] + lsb / 2))
    assert float(adc.clipped_fraction(jnp.asarray(cells), float(rows), finest)) == pytest.approx(outside, abs=0.011)


def test_number_readout_clips_at_the_range_of_the_adc():
    """Full scale half of 32 rows around the middle: +-16 counts, one step short at the top."""
    macro = SwitchedCapacitor(rows=32, columns=1, adc=Adc(bits=3, range=0.5))
    inputs = np.array([[1] * high + [-1] * (32 - high) for high in range(33)])
    read = np.asarray(multiply(macro, f32(inputs), jnp.ones((32, 1))))[:, 0]
    np.testing.assert_array_equal(np.unique(read), [-16, -12, -8, -4, 0, 4, 8, 12])
    assert read[0] == -16
    assert read[-1] == 12
    report = report_on(macro, f32(inputs), jnp.ones((32, 1)))
    sums = inputs.sum(1)
    assert float(report["clipped_adc"]) == pytest.approx(np.mean((sums < -18) | (sums > 14)), abs=1e-6)


@pytest.mark.parametrize(("bits", "lsb"), [(1, 1.0), (4, 1.0), (4, 0.5), (9, 2.0)])
def test_every_code_of_the_bias_dac_is_its_weighted_levels(bits, lsb):
    dac = BiasDac(bits=bits, lsb=lsb)
    largest = 2**bits - 1
    codes = np.arange(-largest, largest + 1)
    levels = np.asarray(dac.levels(f32(codes)))
    sizes = np.asarray(dac.section_units())
    assert dac.sections == len(sizes) == bits + 1
    np.testing.assert_array_equal(levels @ sizes, lsb * codes)
    assert set(np.unique(levels[:, :-1])) <= {-1.0, 1.0}
    assert set(np.unique(levels[:, -1])) <= {0.0, 2.0}
    wanted = np.linspace(-1.5 * largest * lsb, 1.5 * largest * lsb, 1001)
    nearest = np.asarray(dac.code(f32(wanted)))
    np.testing.assert_array_equal(nearest, np.clip(np.rint(np.float32(wanted) / lsb), -largest, largest))
