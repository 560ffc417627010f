"""Digital macros against NumPy integers, costs by hand, memories and gates against the sources, and a fourth family."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits import (
    DenseProduct,
    DigitalBinary,
    Dram,
    Exact,
    Macro,
    MacroCost,
    MultiPrecision,
    Neuron,
    Operands,
    Sram,
    SwitchedCapacitor,
    Technology,
    ValueRange,
    Work,
)
from amsim.circuits.technology.technology import adder_tree_full_adders
from amsim.noise import normal

SEEDS = st.integers(0, 2**32 - 1)
SIGNS = ValueRange(-1.0, 1.0)
UNKNOWN = ValueRange()


def f32(values):
    return jnp.asarray(values, jnp.float32)


@eqx.filter_jit
def multiply(macro, inputs, matrix, input_range=UNKNOWN, weight_range=UNKNOWN):
    return macro.multiply(Operands(DenseProduct(*matrix.shape), inputs, matrix, input_range, weight_range))


@eqx.filter_jit
def report_on(macro, inputs, matrix, input_range=UNKNOWN, weight_range=UNKNOWN):
    return macro.report(Operands(DenseProduct(*matrix.shape), inputs, matrix, input_range, weight_range))


# Digital binary.


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, shape=st.sampled_from([(7, 3), (40, 70)]), undriven=st.sampled_from([0.0, 0.3]))
def test_digital_binary_is_popcount(seed, shape, undriven):
    """More rows and columns than the array has are the same product, only slower."""
    generator = np.random.default_rng(seed)
    macro = DigitalBinary(rows=16, columns=8)
    inputs, weights = generator.choice([-1, 1], (5, shape[0])), generator.choice([-1, 1], shape)
    inputs[generator.random(inputs.shape) < undriven] = 0
    agree = ((inputs[:, :, None] > 0) == (weights[None] > 0)) & (inputs[:, :, None] != 0)
    expected = 2 * agree.sum(1) - (inputs != 0).sum(1)[:, None]
    np.testing.assert_array_equal(multiply(macro, f32(inputs), f32(weights), SIGNS, SIGNS), expected)


def test_digital_binary_equals_the_ideal_array_on_any_operands():
    """Same codes, so the same product, whether the slices are added by a tree or read from lines."""
    generator = np.random.default_rng(0)
    inputs, weights = f32(generator.normal(size=(6, 29))), f32(generator.normal(size=(29, 3)))
    for bits in [(1, 1), (3, 4)]:
        digital = DigitalBinary(rows=12, columns=5, weight_bits=bits[0], input_bits=bits[1])
        analog = SwitchedCapacitor(rows=12, columns=5, weight_bits=bits[0], input_bits=bits[1]).ideal()
        np.testing.assert_allclose(
            multiply(digital, inputs, weights), multiply(analog, inputs, weights), rtol=1e-5, atol=1e-5
        )


def test_digital_binary_has_no_dies_and_no_noise():
    generator = np.random.default_rng(1)
    inputs, weights = generator.choice([-1, 1], (5, 7)), generator.choice([-1, 1], (7, 3))
    macro = DigitalBinary(rows=4)
    assert macro.fabricate(jax.random.key(0)) is None
    assert macro.deterministic
    np.testing.assert_array_equal(macro.matmul(inputs, weights, key=jax.random.key(0)), inputs @ weights)
    assert eqx.tree_equal(macro.ideal(), macro)


def test_digital_binary_energy_by_hand():
    """1024 rows at half activity and 0.66 V cost 12.3 fJ a MAC (facts 1.1), from 2036 full adders (facts 7.3)."""
    macro = DigitalBinary()
    product = DenseProduct(1024, 64)
    work = Work(product, positions=5, input_words=5 * 1024, window_fetches=1.0)
    gates = (1.05e-15 + 4.2e-15 * 2036 / 1024) * 0.66**2 * 3
    half = macro.cost(work, {"toggling": jnp.asarray(0.5)})
    assert float(half.energy) / work.macs == pytest.approx(gates, rel=1e-5, abs=0)
    assert float(half.energy) / work.macs == pytest.approx(12.3e-15, rel=0.02, abs=0)
    quarter = macro.cost(work, {"toggling": jnp.asarray(0.25)})
    assert float(quarter.energy) == pytest.approx(float(half.energy) / 2, rel=1e-5, abs=0)
    assert float(half.cycles) == pytest.approx(5 * 2 + 1024 * 64 / 256)
    assert float(half.seconds) == pytest.approx((10 + 256) / 6e6, rel=1e-6, abs=0)
    assert (half.weight_bits, half.stored_bits, half.input_bits, half.output_bits) == (65536, 65536, 5120, 320)
    assert float(macro.area) == pytest.approx(65536 * 0.614e-12 * (6 + 2.4 + 7.8 * 2036 / 1024), rel=1e-5, abs=0)
    # Bit slices: weights side by side, inputs one after another, rows in tiles of 1024.
    sliced = dataclasses.replace(macro, weight_bits=3, input_bits=2)
    cost = sliced.cost(Work(DenseProduct(1500, 64), 5, 7500, 1.0), {})
    assert float(cost.energy) == pytest.approx(5 * 1500 * 64 * 6 * gates, rel=1e-5, abs=0)
    assert float(cost.cycles) == pytest.approx(5 * 2 * 2 * 3 * 2 + 1500 * 64 * 3 / 256)
    assert cost.input_bits == 7500 * 2 * 3


def test_digital_binary_activity_of_explicit_bits():
    generator = np.random.default_rng(2)
    inputs, weights = generator.choice([-1, 1], (5, 9), p=[0.2, 0.8]), generator.choice([-1, 1], (9, 4), p=[0.2, 0.8])
    agree = (inputs[:, :, None] == weights[None]).mean(1)
    report = report_on(DigitalBinary(), f32(inputs), f32(weights))
    assert float(report["toggling"]) == pytest.approx(np.mean(2 * agree * (1 - agree)), rel=1e-5, abs=0)
    assert "toggling" not in report_on(DigitalBinary(weight_bits=2), f32(inputs), f32(weights))


# Multi-precision.

WORDS = [(1, 1, True), (2, 5, True), (4, 4, False), (8, 8, True), (12, 3, False), (16, 16, True), (16, 16, False)]


@pytest.mark.parametrize("rounding", ["nearest", "truncate"])
@pytest.mark.parametrize(("weight_bits", "input_bits", "signed"), WORDS)
@settings(deadline=None, max_examples=8)
@given(seed=SEEDS)
def test_multi_precision_is_an_integer_product(weight_bits, input_bits, signed, rounding, seed):
    generator = np.random.default_rng(seed)

    def operand(bits, has_sign, *shape):
        if bits == 1 and has_sign:
            codes = generator.choice([-1, 1], shape)
            return f32(codes * 0.3), codes.astype(np.int64), 1.5
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if has_sign else (0, 2**bits - 1)
        codes, scale = generator.integers(low, high + 1, shape), 1.5 / high
        off = (-0.4, 0.4) if rounding == "nearest" else (0.1, 0.9)
        return f32(scale * (codes + generator.uniform(*off, shape))), codes.astype(np.int64), scale

    inputs, x, x_scale = operand(input_bits, signed, 3, 20)
    weights, w, w_scale = operand(weight_bits, True, 20, 4)
    macro = MultiPrecision(weight_bits=weight_bits, input_bits=input_bits, accumulator_bits=64, rounding=rounding)
    ranges = ValueRange(-1.5 if signed else 0.0, 1.5), ValueRange(-1.5, 1.5)
    result = np.asarray(multiply(macro, inputs, weights, *ranges), np.float64) / (x_scale * w_scale)
    exact, magnitude = x @ w, np.abs(x) @ np.abs(w)
    if magnitude.max() < 2**20:
        np.testing.assert_array_equal(np.rint(result), exact)
    assert np.all(np.abs(result - exact) <= 1e-6 * magnitude)


def test_sums_below_two_to_the_24_are_exact():
    """Scale 1 for both operands, so that nothing but the sum itself is rounded."""
    generator = np.random.default_rng(3)
    x, w = generator.integers(-127, 128, (40, 1000)), generator.integers(-127, 128, (1000, 8))
    x[0, 0] = w[0, 0] = 127
    assert (np.abs(x) @ np.abs(w)).max() < 2**24
    macro = MultiPrecision(accumulator_bits=32)
    result = multiply(macro, f32(x), f32(w), ValueRange(-127.0, 127.0), ValueRange(-127.0, 127.0))
    np.testing.assert_array_equal(result, x @ w)


@pytest.mark.parametrize("accumulator_bits", [4, 8, 12])
def test_accumulator_saturates_and_says_so(accumulator_bits):
    generator = np.random.default_rng(4)
    x, w = generator.integers(-7, 8, (50, 12)), generator.integers(-7, 8, (12, 6))
    macro = MultiPrecision(weight_bits=4, input_bits=4, accumulator_bits=accumulator_bits)
    ranges = ValueRange(-7.0, 7.0), ValueRange(-7.0, 7.0)
    low, high = -(2 ** (accumulator_bits - 1)), 2 ** (accumulator_bits - 1) - 1
    exact = x @ w
    np.testing.assert_array_equal(multiply(macro, f32(x), f32(w), *ranges), np.clip(exact, low, high))
    report = report_on(macro, f32(x), f32(w), *ranges)
    outside = np.mean((exact < low) | (exact > high))
    assert float(report["clipped_accumulator"]) == pytest.approx(outside, abs=1e-6)
    assert (outside > 0) == (accumulator_bits < 12)
    np.testing.assert_array_equal(multiply(macro.ideal(), f32(x), f32(w), *ranges), exact)


def test_zero_operands_save_exactly_their_share_of_the_energy():
    generator = np.random.default_rng(5)
    x, w = generator.integers(-3, 4, (6, 20)), generator.integers(-3, 4, (20, 5))
    # Rounds to 0: skipped as well.
    small = x + np.where(x == 0, 0.3, 0.0)
    macro = MultiPrecision(weight_bits=4, input_bits=4)
    report = report_on(macro, f32(small), f32(w), ValueRange(-7.0, 7.0), ValueRange(-7.0, 7.0))
    nonzero = np.mean((x != 0)[:, :, None] & (w != 0)[None])
    assert float(report["nonzero"]) == pytest.approx(nonzero, rel=1e-6, abs=0)
    work = Work(DenseProduct(20, 5), 6, 120, 1.0)
    dense, sparse = macro.cost(work, {"nonzero": jnp.asarray(1.0)}), macro.cost(work, report)
    assert float(sparse.energy / dense.energy) == pytest.approx(nonzero, rel=1e-6, abs=0)
    assert float(sparse.cycles) == float(dense.cycles)


@pytest.mark.parametrize(
    ("weight_bits", "input_bits", "mode"),
    [(1, 1, 4), (4, 3, 4), (4, 5, 8), (8, 8, 8), (9, 1, 16), (16, 16, 16)],
)
def test_mode_is_the_narrowest_subword_that_holds_both(weight_bits, input_bits, mode):
    macro = MultiPrecision(weight_bits=weight_bits, input_bits=input_bits)
    volts, clock, subwords = {4: (0.65, 50e6, 4), 8: (0.80, 100e6, 2), 16: (1.03, 200e6, 1)}[mode]
    assert (macro.mode.bits, macro.mode.subwords, macro.mode.clock) == (mode, subwords, clock)
    assert float(macro.operating_supply) == pytest.approx(volts, rel=1e-6, abs=0)
    # Constant throughput of full rows and columns: 256 units, 74 % of the cycles.
    work = Work(DenseProduct(100, 48), 64, 6400, 1.0)
    cost = macro.cost(work, {"nonzero": jnp.asarray(1.0)})
    assert float(cost.cycles) == pytest.approx(work.macs / (256 * subwords * 0.74), rel=1e-5, abs=0)
    assert float(cost.seconds) == pytest.approx(work.macs / (256 * 200e6 * 0.74), rel=1e-5, abs=0)
    assert cost.weight_bits == 4800 * weight_bits * 4 / subwords
    assert cost.input_bits == 6400 * input_bits * 3
    assert cost.output_bits == 64 * 48 * input_bits
    assert cost.stored_bits == 4800 * weight_bits
    # One position takes a pass of all rows, 50 filters take four of all columns.
    alone = macro.cost(Work(DenseProduct(100, 50), 1, 100, 1.0), {})
    assert float(alone.cycles) == pytest.approx(4 * 100 / 0.74, rel=1e-6, abs=0)


def test_energy_of_the_modes():
    """`E = 6.7 pJ (V / 1.03)^2 / (k3 N)`, times the share of the subword that is used: facts 3."""
    work = Work(DenseProduct(10, 10), 1, 10, 1.0)

    def per_mac(weight_bits, input_bits):
        macro = MultiPrecision(weight_bits=weight_bits, input_bits=input_bits)
        return float(macro.cost(work, {"nonzero": jnp.asarray(1.0)}).energy) / work.macs

    assert per_mac(16, 16) == pytest.approx(6.7e-12, rel=1e-5, abs=0)
    assert per_mac(8, 8) / per_mac(16, 16) == pytest.approx((0.80 / 1.03) ** 2 / 1.82 / 2, rel=1e-5, abs=0)
    assert per_mac(4, 4) / per_mac(16, 16) == pytest.approx((0.65 / 1.03) ** 2 / 3.2 / 4, rel=1e-5, abs=0)
    # About 1/32, which with sparsity is the measured 290 mW / 7.6 mW = 38 (facts 9).
    assert 30 < per_mac(16, 16) / per_mac(4, 4) < 38
    assert per_mac(4, 2) / per_mac(4, 4) == pytest.approx(0.75, rel=1e-5, abs=0)
    assert per_mac(12, 12) / per_mac(16, 16) == pytest.approx(0.75, rel=1e-5, abs=0)
    energies = [per_mac(bits, bits) for bits in range(1, 17)]
    assert np.all(np.diff(energies) > 0)


def test_gradient_of_a_digital_product_is_that_of_the_product():
    generator = np.random.default_rng(7)
    x, w = generator.normal(size=(4, 9)), generator.normal(size=(9, 3))
    x, w = x / np.abs(x).max(), w / np.abs(w).max()
    macro = MultiPrecision(weight_bits=16, input_bits=16)
    slopes = jax.grad(lambda x, w: jnp.sum(multiply(macro, x, w, SIGNS, SIGNS)), (0, 1))(f32(x), f32(w))
    np.testing.assert_allclose(slopes[0], np.tile(w.sum(1), (4, 1)), atol=1e-3)
    np.testing.assert_allclose(slopes[1], np.tile(x.sum(0)[:, None], (1, 3)), atol=1e-3)


# The float reference.


def test_exact_is_the_product_itself():
    generator = np.random.default_rng(8)
    x, w = generator.normal(size=(4, 9)).astype(np.float32), generator.normal(size=(9, 3)).astype(np.float32)
    macro = Exact()
    np.testing.assert_allclose(macro.matmul(x, w, key=jax.random.key(0)), x.astype(float) @ w, rtol=1e-5, atol=1e-5)
    assert macro.keeps_product
    assert macro.deterministic
    assert macro.fabricate(jax.random.key(0)) is None
    assert macro.report(Operands.dense(x, w)) == {}
    cost = macro.cost(Work(DenseProduct(9, 3), 1, 9, 1.0), {})
    assert (float(cost.energy), float(cost.seconds), cost.weight_bits) == (0, 0, 0)
    assert macro.ideal() is macro


# Memories and gates.


def test_adder_tree_and_gates():
    """2036 full adders for 1024 inputs; 7.6 fJ a fully toggling MAC at 0.9 V; 3.40 fJ a full adder (facts 7.3)."""
    gates = Technology()
    assert adder_tree_full_adders(1024) == 2036
    assert adder_tree_full_adders(1) == 0
    assert [adder_tree_full_adders(n) for n in (2, 4)] == [1, 4]
    assert float(gates.full_adder_capacitance) * 0.81 == pytest.approx(3.40e-15, rel=1e-2, abs=0)
    per_mac = (float(gates.xor_capacitance) + float(gates.full_adder_capacitance) * 2036 / 1024) * 0.81
    assert per_mac == pytest.approx(7.6e-15, rel=0.01, abs=0)


def test_memories_follow_their_sources():
    """0.083, 0.17 and 0.94 pJ a bit at 8 kB, 32 kB and 1 MB, 28 nm, 0.9 V (facts 7.4); DRAM 1.3 nJ for 64 bits."""
    for kilobytes, picojoules in [(8, 0.083), (32, 0.17), (1024, 0.94)]:
        sram = Sram(capacity=kilobytes * 8 * 1024, supply=0.9)
        assert float(sram.energy(f32(1.0))) == pytest.approx(picojoules * 1e-12, rel=0.03, abs=0)
    half = Sram(capacity=8 * 8 * 1024, supply=0.45)
    assert float(half.energy(f32(100.0))) == pytest.approx(0.083e-12 * 100 / 4, rel=1e-5, abs=0)
    assert float(half.leakage_power()) == pytest.approx(65536 * 10e-12 * 0.45, rel=1e-5, abs=0)
    assert float(half.area()) == pytest.approx(65536 * 0.25e-12, rel=1e-5, abs=0)
    assert float(Dram().energy(f32(64.0))) == pytest.approx(1.3e-9, rel=0.01, abs=0)


# A fourth family.


class CurrentMode(Macro):
    """Bit-line discharge array: a Gaussian error that grows with the root of the rows, static and dynamic."""

    rows: int = eqx.field(static=True, default=64)
    columns: int = eqx.field(static=True, default=16)
    weight_bits: int = eqx.field(static=True, default=1)
    input_bits: int = eqx.field(static=True, default=1)
    cell_sigma: Any = eqx.field(converter=jnp.asarray, default=0.1)
    read_sigma: Any = eqx.field(converter=jnp.asarray, default=0.05)

    @property
    def operating_supply(self):
        return jnp.asarray(0.8)

    @property
    def area(self):
        return self.rows * self.columns * jnp.asarray(1e-12)

    def fabricate(self, key):
        return jax.random.normal(key, (self.rows, self.columns))

    def multiply(self, operands, *, die=None, key=None):
        product, matrix = operands.product, operands.matrix
        if die is not None:
            rows, columns = jnp.arange(product.rows) % self.rows, jnp.arange(product.columns) % self.columns
            matrix = matrix * (1 + self.cell_sigma * die[rows][:, columns])
        sums = product.sums(operands.inputs, matrix)
        if key is None:
            return sums
        return sums + self.read_sigma * math.sqrt(product.rows) * normal(key, sums.shape)

    def report(self, operands, *, neuron=None):
        return {}

    def cost(self, work, activity):
        energy = jnp.asarray(1e-15 * work.macs)
        return MacroCost(energy, energy, energy, 0.0, 0.0, 0.0, 0.0)

    def ideal(self):
        return dataclasses.replace(self, cell_sigma=0.0, read_sigma=0.0)


def test_a_fourth_family_is_one_class():
    generator = np.random.default_rng(9)
    inputs, weights = generator.choice([-1, 1], (300, 100)), generator.choice([-1, 1], (100, 20))
    macro = CurrentMode()
    die, key = macro.fabricate(jax.random.key(0)), jax.random.key(1)
    run = eqx.filter_jit(lambda macro, die, key: macro.matmul(inputs, weights, die=die, key=key))
    np.testing.assert_array_equal(run(macro.ideal(), die, key), inputs @ weights)
    np.testing.assert_array_equal(run(macro, None, None), inputs @ weights)
    error = np.asarray(run(macro, die, None)) - inputs @ weights
    assert error.std() == pytest.approx(0.1 * 10, rel=0.1, abs=0)
    read = np.asarray(run(macro, die, key)) - np.asarray(run(macro, die, None))
    assert read.std() == pytest.approx(0.05 * 10, rel=0.05, abs=0)
    assert not macro.decides
    with pytest.raises(ValueError, match="CurrentMode cannot decide"):
        macro.decide(inputs, weights)
    with pytest.raises(ValueError, match=r"Argument `weight_bits` must be .*17"):
        CurrentMode(weight_bits=17)
    with pytest.raises(ValueError, match="CurrentMode has no comparator"):
        macro.margin(Operands.dense(inputs, weights), Neuron(jnp.ones(20), jnp.ones(20)))
    slope = jax.grad(lambda macro: jnp.mean(run(macro, die, None) ** 2))(macro)
    assert float(slope.cell_sigma) > 0


def test_a_family_that_leaves_something_out_cannot_be_built():
    class Partial(Macro):
        rows: int = eqx.field(static=True, default=4)
        columns: int = eqx.field(static=True, default=4)
        weight_bits: int = eqx.field(static=True, default=1)
        input_bits: int = eqx.field(static=True, default=1)

        def fabricate(self, key):
            return None

    with pytest.raises(TypeError, match="abstract"):
        Partial()  # type: ignore[abstract]
