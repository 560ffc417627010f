"""The switched-capacitor array against integers, explicit charges, closed-form moments and finite differences."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants

from amsim.circuits import (
    Adc,
    BiasDac,
    Comparator,
    ConvolutionProduct,
    DenseProduct,
    Neuron,
    SwitchedCapacitor,
    Trim,
    ValueRange,
    Work,
)

SIGNS = ValueRange(-1.0, 1.0)
LINE_ROWS, LINES = 12, 5
SMALL = SwitchedCapacitor(rows=LINE_ROWS, columns=LINES)
IDEAL = SMALL.ideal()
SEEDS = st.integers(0, 2**32 - 1)


@eqx.filter_jit
def multiply(macro, inputs, matrix, die=None, key=None, input_range=SIGNS, weight_range=SIGNS):
    product = DenseProduct(*matrix.shape)
    return macro.multiply(product, inputs, matrix, die=die, key=key, input_range=input_range, weight_range=weight_range)


@eqx.filter_jit
def margin(macro, inputs, matrix, slope, intercept, die=None, key=None, input_range=SIGNS, ties_up=True):
    neuron = Neuron(slope, intercept, ties_up)
    product = DenseProduct(*matrix.shape)
    return macro.margin(product, inputs, matrix, neuron, die=die, key=key, input_range=input_range, weight_range=SIGNS)


@eqx.filter_jit
def decide(macro, inputs, weights, thresholds, die=None, key=None):
    return macro.decide(inputs, weights, thresholds, die=die, key=key)


@eqx.filter_jit
def report_on(macro, inputs, matrix, neuron=None):
    product = DenseProduct(*matrix.shape)
    return macro.report(product, inputs, matrix, neuron=neuron, input_range=SIGNS, weight_range=SIGNS)


def bits_of(generator, *shape):
    return generator.choice([-1, 1], shape)


def f32(values):
    return jnp.asarray(values, jnp.float32)


def popcount(inputs, weights):
    """XNOR and popcount on integers; a pair with an undriven input counts neither way."""
    driven = inputs[:, :, None] != 0
    agree = np.equal(inputs[:, :, None] > 0, weights[None] > 0) & driven
    return 2 * agree.sum(1) - driven.sum(1)


# (a) Without errors the array counts.


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
    result = eqx.filter_jit(macro.multiply)(
        product,
        f32(inputs),
        f32(matrix),
        die=macro.fabricate(jax.random.key(0)),
        key=jax.random.key(1),
        input_range=ValueRange(-limit, limit),
        weight_range=SIGNS,
    )
    np.testing.assert_array_equal(result, explicit_convolution(inputs, matrix, product))


# (b) A comparator decides.

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


# (c) Randomness.


def test_same_key_same_die_whatever_the_settings():
    key = jax.random.key(7)
    reference = SMALL.fabricate(key)
    others = [
        dataclasses.replace(SMALL, unit_capacitance=3e-15, supply=0.9, temperature=400.0, mismatch_coefficient=0.0),
        dataclasses.replace(SMALL, comparator=Comparator(noise=0.0, offset_sigma=1e-3, trim=None)),
        dataclasses.replace(SMALL, adc=None, weight_bits=4, input_bits=2, cell_parasitic=0.0),
        IDEAL,
    ]
    for other in others:
        assert eqx.tree_equal(other.fabricate(key), reference)
    pairs = zip(jax.tree.leaves(reference), jax.tree.leaves(SMALL.fabricate(jax.random.key(8))), strict=True)
    assert not any(np.intersect1d(one, other).size for one, other in pairs)


def test_capacitance_rescales_the_errors_of_a_die():
    """Four times the capacitance halves every error of the same die, to first order in the mismatch."""
    generator = np.random.default_rng(3)
    inputs, weights = f32(bits_of(generator, 5, 12)), f32(bits_of(generator, 12, 5))
    quiet = dataclasses.replace(
        SMALL, comparator=Comparator().ideal(), cell_parasitic=0.0, line_parasitic=0.0, mismatch_coefficient=5e-11
    )
    die = quiet.fabricate(jax.random.key(0))

    def error(capacitance):
        macro = eqx.tree_at(lambda m: m.unit_capacitance, quiet, jnp.asarray(capacitance))
        with_die, nominal = (margin(macro, inputs, weights, jnp.ones(5), jnp.zeros(5), d) for d in (die, None))
        return np.asarray(with_die - nominal)

    small, large = error(1e-15), error(4e-15)
    assert np.abs(small).max() > 0.05
    np.testing.assert_allclose(small, 2 * large, rtol=0.02, atol=5e-4)


@pytest.mark.parametrize("read", ["number", "decision"])
def test_reads_differ_by_key_and_none_is_no_noise(read):
    generator = np.random.default_rng(5)
    inputs, weights = f32(bits_of(generator, 40, 12)), f32(bits_of(generator, 12, 5))
    # A trim measures with the noise that a read has.
    loud = dataclasses.replace(SMALL, comparator=Comparator(noise=5e-3, trim=None))
    die = loud.fabricate(jax.random.key(0))

    def one(key, macro=loud):
        if read == "number":
            return np.asarray(multiply(macro, inputs, weights, die, key))
        return np.asarray(margin(macro, inputs, weights, jnp.ones(5), jnp.zeros(5), die, key))

    silent = dataclasses.replace(loud, temperature=0.0, comparator=Comparator(noise=0.0, trim=None))
    np.testing.assert_array_equal(one(jax.random.key(1)), one(jax.random.key(1)))
    assert np.mean(one(jax.random.key(1)) != one(jax.random.key(2))) > 0.3
    np.testing.assert_array_equal(one(None), one(None, silent))
    np.testing.assert_array_equal(one(None), one(jax.random.key(1), silent))
    assert np.mean(one(None) != one(jax.random.key(1))) > 0.3


def test_every_tile_and_input_bit_is_a_read_of_its_own():
    """Equal lines in two tiles and two input bits: errors that were copies would be sums with even steps only."""
    macro = SwitchedCapacitor(
        rows=8, columns=400, input_bits=2, comparator=Comparator(noise=2e-3), adc=Adc(bits=12, range=8.0)
    )
    inputs, weights = jnp.zeros((1, 16)), jnp.ones((16, 400))
    result = np.asarray(multiply(macro, inputs, weights, None, jax.random.key(0), ValueRange(-1.0, 1.0)))
    per_read = 2 / math.sqrt(12), float(macro.noise_counts)
    # Gain 1/2, place values 1 and 2, two tiles: 2 (1 + 4) / 4 reads' variances.
    expected = math.sqrt(2.5 * (per_read[0] ** 2 + per_read[1] ** 2))
    assert np.std(result) == pytest.approx(expected, rel=0.15, abs=0)


# (d) Moments.


def test_read_noise_is_ktc_and_comparator():
    macro = SwitchedCapacitor(
        rows=100, columns=8, unit_capacitance=0.5e-15, supply=0.8, temperature=350.0, comparator=Comparator(noise=3e-4)
    )
    total = 100 * 0.5e-15 + 511.5 * 0.5e-15 + 100 * 0.3e-15 + 2.04e-15
    volts = math.sqrt(constants.k * 350 / total + 3e-4**2)
    one_cell = 0.8 * 0.5e-15 / total
    counts = volts / one_cell * 2
    assert float(macro.noise_counts) == pytest.approx(counts, rel=1e-5, abs=0)
    quiet = dataclasses.replace(macro, comparator=Comparator(noise=0.0))
    assert float(quiet.noise_counts) == pytest.approx(
        math.sqrt(constants.k * 350 / total) / one_cell * 2, rel=1e-5, abs=0
    )
    reads = np.asarray(
        margin(macro, jnp.ones((3000, 100)), jnp.ones((100, 8)), jnp.ones(8), jnp.zeros(8), None, jax.random.key(0))
    )
    assert reads.std() == pytest.approx(counts, rel=4 / math.sqrt(2 * reads.size), abs=0)
    assert reads.mean() == pytest.approx(101, abs=4 * counts / math.sqrt(reads.size) + 0.1)


def test_ktc_of_bankman_line():
    """facts 9: 1024 units of 1 fF alone at 0.6 V and 300 K have 0.1085 products of noise."""
    macro = SwitchedCapacitor(
        rows=1024,
        cell_parasitic=0.0,
        line_parasitic=0.0,
        comparator=Comparator(noise=0.0),
        bias_dac=BiasDac(bits=1, lsb=1e-6),
    )
    assert float(macro.noise_counts) == pytest.approx(2 * 0.1085, rel=1e-3, abs=0)


def charge_balance(macro, die, inputs, weights, code):
    """Line value in counts of each input and column, by charges of explicit capacitors in float64."""
    unit, sigma = (
        float(macro.unit_capacitance),
        float(macro.mismatch_coefficient) / math.sqrt(float(macro.unit_capacitance)),
    )
    sizes = [float(macro.bias_dac.lsb) * 2**k for k in range(macro.bias_dac.bits)] + [float(macro.bias_dac.lsb) / 2]
    parasitic = macro.rows * float(macro.cell_parasitic) + float(macro.line_parasitic)
    highs = next(
        (tuple((pattern >> k) & 1 for k in range(macro.bias_dac.bits)), half)
        for half in (0, 1)
        for pattern in range(2**macro.bias_dac.bits)
        if sum((2 * ((pattern >> k) & 1) - 1) * 2**k for k in range(macro.bias_dac.bits)) + half == code
    )
    highs = (*highs[0], highs[1])
    offset = np.asarray(macro.comparator.residual_offset(macro.comparator.offset(die.comparator), die.trim), float)
    result = np.zeros((len(inputs), weights.shape[1]))
    for b, c in np.ndindex(result.shape):
        line = c % macro.columns
        cells = [unit * (1 + sigma * float(z)) for z in die.units[:, line]]
        bias = [unit * n * (1 + sigma / math.sqrt(n) * float(z)) for n, z in zip(sizes, die.bias[line], strict=True)]
        charge = sum(cells[r] * (inputs[b, r] * weights[r, c] + 1) / 2 for r in range(inputs.shape[1]))
        charge += sum(value * high for value, high in zip(bias, highs, strict=True))
        volts = float(macro.supply) * charge / (sum(cells) + sum(bias) + parasitic) + offset[line]
        total = unit * (macro.rows + sum(sizes)) + parasitic
        # The comparator's reference: half of the driven rows and half of the binary capacitors high.
        reference = float(macro.supply) * unit * (inputs.shape[1] + sum(sizes[:-1])) / 2 / total
        result[b, c] = (volts - reference) / (float(macro.supply) * unit / total) * 2
    return result


@pytest.mark.parametrize("threshold", [0, -5, 4])
def test_line_value_is_the_charge_balance_of_its_capacitors(threshold):
    """With spare rows on the line, filters that share a column, large mismatch, bias capacitors and offset."""
    generator = np.random.default_rng(threshold + 9)
    macro = SwitchedCapacitor(
        rows=12,
        columns=3,
        mismatch_coefficient=0.1 * math.sqrt(1e-15),
        bias_dac=BiasDac(bits=3),
        comparator=Comparator(trim=Trim(range=5e-3)),
    )
    inputs, weights = bits_of(generator, 4, 9), bits_of(generator, 9, 5)
    inputs[0, :2] = 0
    # Nine rows have odd sums: the shift is even, -threshold - or + 1.
    code = -threshold if threshold % 2 == 0 else -threshold + 1
    with jax.enable_x64(True):
        macro = jax.tree.map(lambda leaf: leaf.astype(float), macro)
        die = macro.fabricate(jax.random.key(3))
        operands = (jnp.asarray(values, float) for values in (inputs, weights, np.ones(5), np.full(5, -threshold)))
        line = margin(macro, *operands, die)
        expected = charge_balance(macro, die, inputs, weights, code)
    # A 64th of the distance to the exact threshold breaks ties; see `SwitchedCapacitor.margin`.
    np.testing.assert_allclose(line, expected + (-threshold - code) / 64, rtol=1e-9, atol=1e-9)


def test_static_error_of_mismatch_has_the_closed_form_sigma():
    """First order in s: `var = s^2 sum_k n_k (2 h_k - H / C_tot)^2`, H twice the units that go high."""
    macro = SwitchedCapacitor(
        rows=12,
        columns=2,
        mismatch_coefficient=0.01 * math.sqrt(1e-15),
        bias_dac=BiasDac(bits=3),
        comparator=Comparator().ideal(),
    )
    inputs = np.array([[1] * 8 + [-1] * 2])
    weights, products = np.ones((10, 1)), np.array([1] * 8 + [-1] * 2)
    # Ten rows, threshold 2: the shift is -1, that is bits -1 -2 +4 and the spare half LSB high to make -1 of -3 + ...
    sizes, levels = np.array([1, 2, 4, 0.5]), np.array([1 + 1, 1 + 1, 1 - 1, 0])
    total = 12 + 7.5 + (12 * 0.3 + 2.04)
    high = (1 + products).sum() + (sizes * levels).sum()
    driven, spare = ((1 + products - high / total) ** 2).sum(), 2 * (high / total) ** 2
    expected = 0.01 * math.sqrt(driven + spare + (sizes * (levels - high / total) ** 2).sum())

    def error(key):
        return margin(macro, f32(inputs), f32(weights), jnp.ones(1), f32([-2.0]), macro.fabricate(key))[0, 0]

    errors = np.asarray(jax.jit(jax.vmap(error))(jax.random.split(jax.random.key(0), 6000)))
    assert errors.std() == pytest.approx(expected, rel=4 / math.sqrt(2 * 6000), abs=0)
    without_gain = 0.01 * math.sqrt(((1 + products) ** 2).sum() + (sizes * levels**2).sum())
    assert abs(without_gain / expected - 1) > 0.2
    assert errors.mean() - (8 - 2 - 1 - 1 / 64) == pytest.approx(0, abs=5 * expected / math.sqrt(6000))


def test_filters_share_physical_columns_and_tiles_share_rows():
    generator = np.random.default_rng(11)
    macro = SwitchedCapacitor(rows=12, columns=4, adc=Adc(bits=10, range=1.0), mismatch_coefficient=3e-9)
    die = macro.fabricate(jax.random.key(0))
    inputs, weights = f32(bits_of(generator, 50, 12)), np.repeat(bits_of(generator, 12, 1), 9, axis=1)
    lines = np.asarray(margin(macro, inputs, f32(weights), jnp.ones(9), jnp.zeros(9), die))
    np.testing.assert_array_equal(lines[:, :4], lines[:, 4:8])
    np.testing.assert_array_equal(lines[:, 0], lines[:, 8])
    assert not np.any(lines[:, 0] == lines[:, 1])
    # Two-bit weights take two columns each, so every second filter meets the same pair.
    two_bit = dataclasses.replace(macro, weight_bits=2)
    values = np.asarray(multiply(two_bit, inputs, f32(weights[:, :4]), die, None))
    np.testing.assert_array_equal(values[:, :2], values[:, 2:])
    assert np.any(values[:, 0] != values[:, 1])
    # The rows of two tiles may be exchanged, not the rows of one.
    first, second = (bits_of(generator, 12, 4) for _ in range(2))
    x1, x2 = (bits_of(generator, 50, 12) for _ in range(2))
    together = multiply(macro, f32(np.hstack([x1, x2])), f32(np.vstack([first, second])), die, None)
    swapped = multiply(macro, f32(np.hstack([x2, x1])), f32(np.vstack([second, first])), die, None)
    reversed_ = multiply(macro, f32(np.hstack([x1[:, ::-1], x2])), f32(np.vstack([first[::-1], second])), die, None)
    np.testing.assert_array_equal(together, swapped)
    assert np.any(together != reversed_)


# (e) Accuracy falls with every error.


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("noise", [0.0, 1e-4, 4e-4, 1.6e-3, 6.4e-3, 25e-3, 1.0]),
        ("offset", [0.0, 1e-4, 4e-4, 1.6e-3, 6.4e-3, 25e-3, 1.0]),
        ("mismatch", [0.0, 0.01, 0.05, 0.15, 0.3]),
    ],
)
def test_decisions_get_worse_smoothly_with_every_error(parameter, values):
    """64 lines of 65 rows; 128 inputs on each of 4 dies and reads, common to all values."""
    generator = np.random.default_rng(0)
    inputs, weights = bits_of(generator, 128, 65), bits_of(generator, 65, 64)
    exact = np.where(inputs @ weights >= 0, 1, -1)
    base = dataclasses.replace(
        SwitchedCapacitor(rows=65, columns=64, temperature=0.0, mismatch_coefficient=0.0),
        comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=None),
    )
    place = {
        "noise": lambda m: m.comparator.noise,
        "offset": lambda m: m.comparator.offset_sigma,
        "mismatch": lambda m: m.mismatch_coefficient,
    }[parameter]
    scale = math.sqrt(1e-15) if parameter == "mismatch" else 1.0

    def right(value, key):
        macro = eqx.tree_at(place, base, f32(value * scale))
        die, read = macro.fabricate(key), jax.random.fold_in(key, 1)
        line = margin(macro, f32(inputs), f32(weights), jnp.ones(64), jnp.zeros(64), die, read)
        return np.mean((np.asarray(line) >= 0) == (exact > 0))

    keys = jax.random.split(jax.random.key(0), 4)
    curve = np.array([np.mean([right(value, key) for key in keys]) for value in values])
    assert curve[0] == 1
    assert np.all(np.diff(curve) < 0.004)
    assert np.diff(curve).min() > -0.35
    assert curve[1] > 0.98
    assert curve[-1] < (0.9 if parameter == "mismatch" else 0.53)


# (f) Energy, area and events.


def test_switched_charge_is_that_of_explicit_bits():
    generator = np.random.default_rng(2)
    macro = SwitchedCapacitor(rows=12, columns=4, unit_capacitance=0.8e-15, supply=0.7)
    inputs, weights = bits_of(generator, 5, 29), bits_of(generator, 29, 3)
    report = report_on(macro, f32(inputs), f32(weights))
    total = 0.8e-15 * (12 + 511.5) + 12 * 0.3e-15 + 2.04e-15
    joules = []
    for vector, column, tile in np.ndindex(5, 3, 3):
        rows = range(12 * tile, min(12 * tile + 12, 29))
        high = sum(0.8e-15 for row in rows if inputs[vector, row] == weights[row, column])
        joules.append(0.7**2 * high * (total - high) / total)
    modelled = float(report["switched_units"]) * 0.8e-15 * 0.7**2
    assert modelled == pytest.approx(np.mean(joules), rel=1e-5, abs=0)
    assert float(report["clipped_adc"]) == 0
    # A fused neuron has half of the bias DAC high as well.
    neuron = Neuron(jnp.ones(3), jnp.zeros(3))
    fused = report_on(macro, f32(inputs[:, :12]), f32(weights[:12]), neuron)
    high = (inputs[:, :12] @ weights[:12] + 12) / 2 * 0.8e-15 + 0.8e-15 * 511.5 / 2
    expected = np.mean(0.7**2 * high * (total - high) / total)
    assert float(fused["switched_units"]) * 0.8e-15 * 0.7**2 == pytest.approx(expected, rel=1e-5, abs=0)


def test_cost_by_hand():
    """3 tiles x 2 input bits x 3 positions = 18 evaluations of 21 slices in 5 passes over 5 columns."""
    macro = dataclasses.replace(SMALL, weight_bits=3, input_bits=2, supply=0.5, clock=2e6)
    work = Work(DenseProduct(29, 7), positions=3, input_words=87, window_fetches=1.0)
    cost = macro.cost(work, {"switched_units": jnp.asarray(3.0), "high_cells": jnp.asarray(5.0)})
    readout = 8 * (5e-15 + 10e-15 / 0.16) + (100e-15 * 8 + 1e-18 * 4**8) * 0.25
    per_line = 3 * 1e-15 * 0.25 + 2.1e-15 * 0.25 * 29 / 3 + readout
    assert float(cost.energy) == pytest.approx(18 * 21 * per_line, rel=1e-5, abs=0)
    assert float(cost.cycles) == pytest.approx(18 * 5 * 2 + 29 * 21 / 256, rel=1e-6, abs=0)
    assert float(cost.seconds) == pytest.approx((180 + 29 * 21 / 256) / 2e6, rel=1e-6, abs=0)
    assert (cost.weight_bits, cost.stored_bits) == (609, 609)
    assert (cost.input_bits, cost.output_bits) == (87 * 2 * 5, 3 * 7 * 2)
    assert work.macs == 3 * 29 * 7
    assert float(macro.area) == pytest.approx(12 * 5 * 73e-12 + 5 * (2660e-12 + 20e-12), rel=1e-5, abs=0)
    convolution = ConvolutionProduct(kernel=(2, 2), channels=5, columns=7, strides=(1, 1), dilation=(1, 1))
    sliding = macro.cost(
        Work(convolution, 16, 125, 2.5), {"switched_units": jnp.asarray(3.0), "high_cells": jnp.asarray(5.0)}
    )
    # Three channels of four rows a tile, so two tiles.
    assert float(sliding.cycles) == pytest.approx(16 * 2 * 2 * 5 * 2 + 20 * 21 / 256, rel=1e-6, abs=0)
    assert sliding.input_bits == 125 * 2 * 5 * 2.5


def test_comparator_energy_buys_noise():
    assert float(Comparator(noise=0.4e-3).energy()) == pytest.approx(5e-15 + 10e-15 / 0.16, rel=1e-5, abs=0)
    assert float(Comparator(noise=0.8e-3).energy()) == pytest.approx(5e-15 + 10e-15 / 0.64, rel=1e-5, abs=0)
    assert float(Comparator(noise=0.0).energy()) == pytest.approx(5e-15, rel=1e-5, abs=0)


def test_adc_energy_of_the_28_nm_fit():
    """facts 6.4: 324, 489, 701 and 1659 fJ at 4, 6, 8 and 10 bit and 0.9 V; 16 bit is allowed."""
    for bits, femtojoules in [(4, 324), (6, 489), (8, 701), (10, 1659)]:
        assert float(Adc(bits=bits).energy(jnp.asarray(0.9))) == pytest.approx(femtojoules * 1e-15, rel=2e-3, abs=0)
    assert float(Adc(bits=16).energy(jnp.asarray(1.0))) == pytest.approx(1.6e-12 + 4.0**16 * 1e-18, rel=1e-5, abs=0)


def test_bankman_evaluation_costs_what_was_derived():
    """0.975 pJ a 1024-row evaluation (facts 1.1; the cell logic is calibrated on it), at half activity."""
    generator = np.random.default_rng(0)
    macro = SwitchedCapacitor(adc=None)
    inputs, weights = f32(bits_of(generator, 20, 1024)), f32(bits_of(generator, 1024, 8))
    report = report_on(macro, inputs, weights, Neuron(jnp.ones(8), jnp.zeros(8)))
    cost = macro.cost(Work(DenseProduct(1024, 8), 1, 1024, 1.0), report)
    assert float(cost.energy) / 8 == pytest.approx(0.975e-12, rel=0.1, abs=0)


# (g) Derivatives in the circuit's own parameters.

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
                line = macro.margin(product, inputs, weights, neuron, die=die, key=key, input_range=SIGNS)
                return jnp.mean(line**2)
            if quantity == "energy":
                report = macro.report(product, inputs, weights, neuron=neuron)
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
        return jnp.sum(
            macro.multiply(product, x, w, input_range=ValueRange(0.0, 3.0), weight_range=ValueRange(-3.0, 3.0))
            * cotangent
        )

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


# (h), (i) Converters.


@settings(deadline=None, max_examples=40)
@given(
    bits=st.sampled_from([1, 3, 6]),
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
    np.testing.assert_allclose(np.abs(read[:, None] - levels).min(1), 0, atol=1e-4 * rows)
    # Nearest level, but for values as near to two of them as float32 knows.
    np.testing.assert_allclose(np.abs(read - cells), np.abs(cells[:, None] - levels).min(1), atol=1e-4 * rows)
    assert np.all(np.diff(read) >= -1e-4 * rows)
    outside = np.mean((cells < levels[0] - lsb / 2) | (cells > levels[-1] + lsb / 2))
    assert float(adc.clipped(jnp.asarray(cells), float(rows), finest)) == pytest.approx(outside, abs=0.011)


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
