"""Errors of the switched-capacitor array against explicit charges and closed-form moments."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import constants
from switched_capacitor_calls import IDEAL, SMALL, bits_of, f32, margin, multiply

from amsim.circuits import Adc, BiasDac, Comparator, SwitchedCapacitor, Trim, ValueRange

# Randomness.


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
    np.testing.assert_array_equal(one(jax.random.key(1), silent), one(jax.random.key(2), silent))
    # Programs with and without a key are compiled apart and may round once or twice.
    np.testing.assert_allclose(one(None), one(jax.random.key(1), silent), rtol=1e-6)
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


# Moments.


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


# Accuracy falls with every error.


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
