"""Combined bit columns against explicit capacitors in NumPy, exact products, moments and costs by hand."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combined_columns import digits_of_words, explicit_counts, group_counts, in_double, of_weights, words
from scipy import constants
from switched_capacitor_calls import SIGNS, multiply

from amsim.circuits import (
    Adc,
    BiasDac,
    CapacitorLadder,
    Comparator,
    DenseProduct,
    Leakage,
    Operands,
    ResetSwitch,
    SwitchedCapacitor,
    TimeSharedCharge,
    ValueRange,
    WeightedCapacitors,
    Work,
)

ROWS, BITS = 13, 3
CIRCUITS = {
    "weighted": WeightedCapacitors(
        BITS, unit_capacitance=3e-15, node_parasitic=2e-15, sharing_time=3e-12, resistance=2e3
    ),
    "time shared": TimeSharedCharge(BITS, capacitance=19e-15, sharing_time=30e-12, resistance=2e3),
    "ladder": CapacitorLadder(BITS, unit_capacitance=4e-15, node_parasitic=1.5e-15, compensation=0.3),
}
BASE = SwitchedCapacitor(
    rows=ROWS,
    columns=2 * BITS,
    weight_bits=BITS,
    mismatch_coefficient=0.05 * math.sqrt(1e-15),
    # Next to nothing: it holds no capacitor of its own in a read of numbers.
    bias_dac=BiasDac(bits=1, lsb=1e-12),
    line_parasitic=6e-15,
    comparator=Comparator(noise=0.0, offset_sigma=3e-3, trim=None),
)


def signs(generator, *shape):
    return generator.choice([-1.0, 1.0], shape)


@pytest.mark.sampled
@pytest.mark.parametrize("second_line", ["none", "differential", "replica"])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_values_are_those_of_explicit_capacitors(circuit, second_line):
    generator = np.random.default_rng(0)
    x, w = signs(generator, 6, ROWS), words(generator, BITS, ROWS, 2)
    with jax.enable_x64(True):
        macro = in_double(dataclasses.replace(BASE, combining=CIRCUITS[circuit], second_line=second_line))
        die = macro.fabricate(jax.random.key(1))
        found = np.asarray(group_counts(macro, die, jnp.asarray(x), jnp.asarray(w)))
        high = (1 + x[:, :, None] * digits_of_words(w, BITS)[None]) / 2
        full = ROWS * (2**BITS - 1)
        first = explicit_counts(macro, die.units, high, die.combining)
        offset = 3e-3 * np.asarray(die.comparator)[::BITS] * float(macro.counts_per_volt)
        if second_line == "none":
            # The level half way follows what the sharing leaves of the swing, as a nominal group has it.
            nothing = np.zeros_like(die.units), np.ones_like(high), np.zeros_like(die.combining)
            expected = first - explicit_counts(macro, *nothing)[0] / 2
            assert (abs(explicit_counts(macro, *nothing)[0] - 2 * full) > 1e-3).any() == (circuit != "ladder")
        else:
            beside = 1 - high if second_line == "differential" else np.full_like(high, 0.5)
            expected = first - explicit_counts(macro, die.second.units, beside, die.second.combining)
            expected = expected / 2 if second_line == "differential" else expected
    np.testing.assert_allclose(found, expected + offset, rtol=1e-7, atol=1e-5)


KINDS = (WeightedCapacitors, TimeSharedCharge, CapacitorLadder)
CODINGS = [
    ("bipolar", 2, 2), ("bipolar", 4, 2), ("bipolar", 8, 4), ("ternary", 3, 2), ("ternary", 5, 2), ("auto", 4, 3),
    ("auto", 4, 2), ("auto", 5, 5),
]  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("coding", "bits", "combined", "kind"), [(*c, KINDS[n % 3]) for n, c in enumerate(CODINGS)])
def test_ideal_circuits_give_the_exact_product(coding, bits, combined, kind):
    array = SwitchedCapacitor(
        rows=40, columns=4 * combined, weight_bits=bits, input_bits=3, weight_coding=coding, combining=kind(combined)
    ).ideal()
    generator = np.random.default_rng(0)
    largest = 2 ** (bits - 1) - 1
    lowest = -largest - (coding == "bipolar" or combined == bits)
    x, w = generator.integers(-4, 4, (8, 70)).astype(np.float32), generator.integers(lowest, largest + 1, (70, 3))
    known = ValueRange(-4.0, 3.0, 1.0), ValueRange(float(lowest), float(largest), 1.0)
    found = multiply(array, x, jnp.asarray(w, jnp.float32), input_range=known[0], weight_range=known[1])
    np.testing.assert_allclose(found, x @ w, rtol=1e-6)


def test_one_combined_bit_is_the_array_of_today_to_the_bit():
    plain = SwitchedCapacitor(rows=24, columns=6, weight_bits=2, input_bits=2, mismatch_coefficient=2e-9)
    other = dataclasses.replace(plain, combining=TimeSharedCharge(1), columns_per_converter=1)
    generator = np.random.default_rng(2)
    x, w = generator.normal(size=(5, 40)).astype(np.float32), generator.normal(size=(40, 4)).astype(np.float32)
    found = []
    for array in (plain, other):
        die = array.fabricate(jax.random.key(0))
        assert die.combining is None
        work = Work(DenseProduct(40, 4), 3, 40, 1.0)
        spent = jax.tree.leaves(array.cost(work, {})), array.area, array.leakage_power()
        read = eqx.filter_jit(array.matmul)(x, w, die=die, key=jax.random.key(1))
        found.append((read, *jax.tree.leaves(spent), *array.error_variances().values()))
    for one, same in zip(*found, strict=True):
        np.testing.assert_array_equal(one, same)


TIME = {"reset": ResetSwitch(spread=0.5), "leakage": Leakage(hold_time=1e-6, spread=0.5), "reference_tracking": 0.7}


def mean_square_errors(array, circuit, dies):
    """Of one read of each die of an array with this circuit, counts^2."""
    noisy = dataclasses.replace(array, columns=8 * BITS, combining=CIRCUITS[circuit], adc=Adc(bits=14))
    largest = 2 ** (BITS - 1)

    def error(key):
        die, read, inputs, weights = jax.random.split(key, 4)
        x = jnp.where(jax.random.bernoulli(inputs, 0.5, (40, ROWS)), 1.0, -1.0)
        w = jax.random.randint(weights, (ROWS, 8), -largest, largest).astype(jnp.float32)
        operands = Operands(DenseProduct(ROWS, 8), x, w, SIGNS, of_weights(BITS))
        # A product is half of that of its digits, and half of the inputs less.
        found = noisy.multiply(operands, die=noisy.fabricate(die), key=read) - x @ w
        return jnp.mean((2 * found) ** 2)

    keys = jax.random.split(jax.random.key(0), dies)
    each = np.asarray(eqx.filter_jit(lambda keys: jax.lax.map(error, keys))(keys))
    return each, {name: float(value) for name, value in eqx.filter_jit(noisy.error_variances)().items()}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("circuit", "settings"),
    [
        ("weighted", {}),
        ("time shared", {"second_line": "differential"}),
        ("ladder", {"second_line": "replica"}),
        ("ladder", TIME),
    ],
    ids=["weighted", "time-shared-pair", "ladder-replica", "ladder-in-time"],
)
def test_mean_square_error_is_the_predicted_one(circuit, settings):
    """Dies, reads and operands of a small array: mismatch of cells and of the circuit, weights, noise, offsets."""
    noise = Comparator(noise=5e-4, offset_sigma=1e-3, trim=None)
    array = dataclasses.replace(BASE, comparator=noise, supply_noise=5e-3, temperature=300.0, **settings)
    each, variances = mean_square_errors(array, circuit, 400)
    expected = sum(variances.values())
    static = variances["capacitor mismatch"] + variances["combination"]
    assert static > (0.01 if "leakage" in settings else 0.3) * expected
    np.testing.assert_allclose(each.mean(), expected, atol=4 * each.std() / math.sqrt(len(each)))
    assert each.std() / math.sqrt(len(each)) < 0.04 * expected


def test_kt_over_c_of_sharing_is_that_of_what_holds_the_node():
    """Every switch that opens draws new charge: step by step in NumPy, against one closed form."""
    part, generator, draws = TimeSharedCharge(3, capacitance=4e-15), np.random.default_rng(0), 40000
    line, kt, own = 9e-15, constants.k * 300.0, 4e-15
    value = math.sqrt(kt / own) * generator.normal(size=draws)
    for _ in range(3):
        other = math.sqrt(kt / line) * generator.normal(size=draws)
        shared = (own * value + line * other) / (own + line)
        # Of the noise of a switch between two capacitors each keeps its part when it opens.
        value = shared + math.sqrt(kt * line / (own * (own + line))) * generator.normal(size=draws)
    sampled = float(part.sampled_noise(jnp.asarray(line), jnp.asarray(300.0)))
    np.testing.assert_allclose(value.std(), sampled, rtol=4 / math.sqrt(2 * draws))


def test_ladder_with_sized_links_is_exact_and_a_parasitic_bends_the_others():
    line = jnp.asarray(60e-15)
    plain, sized = (CapacitorLadder(4, node_parasitic=2e-15, compensation=part) for part in (0.0, 1.0))
    np.testing.assert_allclose(sized.place_values(line), [1, 2, 4, 8], rtol=1e-5)
    np.testing.assert_allclose(sized.radix(line), 2.0, rtol=1e-5)
    np.testing.assert_allclose(sized.nonlinearity(line), 0.0, atol=1e-4)
    # On lines that are stiff sources, from the last node on: radix 2 + p / C (1 + ...), by continued fractions.
    stiff = CapacitorLadder(4, unit_capacitance=1e-15, node_parasitic=0.1e-15)
    left, radix = 1.0, []
    for _ in range(3):
        whole = left + 1.0 + 0.1
        left = whole * 2.0 / (whole + 2.0)
        radix.append((left + 1.1) / left)
    weights = np.cumprod([1.0] + [r * (w1 / w2) for r, w1, w2 in zip(radix, [1, 1, 1], [1, 1, 1], strict=True)])
    found = np.asarray(stiff.place_values(jnp.asarray(1.0)))
    assert found.shape == weights.shape
    codes = np.arange(16)
    inl = sum(((codes >> j) & 1) * found[j] for j in range(4)) - codes
    np.testing.assert_allclose(stiff.nonlinearity(jnp.asarray(1.0)), inl, atol=1e-4)
    assert abs(inl).max() > 0.05
    assert float(plain.radix(line)[0]) != 2.0
