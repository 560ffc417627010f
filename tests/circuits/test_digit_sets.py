"""Digits in which words stand in cells: they recombine exactly, on every array, and what they save is counted."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim.circuits import Adc, Banks, Comparator, DenseProduct, IntegerCode, Operands, SwitchedCapacitor, ValueRange
from amsim.circuits.contract.work import Work
from amsim.circuits.selection.codes import digits_of

SETS = {"bipolar": (True, False), "unipolar": (False,), "ternary": (True,)}
CASES = [(name, signed, bits) for name, kinds in SETS.items() for signed in kinds for bits in (1, 2, 3, 4, 8, 16)]


@pytest.mark.sampled
@pytest.mark.parametrize(("digit_set", "signed", "bits"), CASES)
def test_digits_recombine_to_the_code_with_slope_1(digit_set, signed, bits):
    code = IntegerCode(jnp.asarray(0.5), bits, signed, digit_set=digit_set)
    words = np.unique(np.linspace(code.lowest, code.highest, 300).round())
    if code.one_signed_bit:
        words = np.array([-1.0, 0.0, 1.0])

    def recombined(codes):
        digits = code.digits(codes)
        assert digits.shape[-1] == code.digit_count == digits_of(bits, digit_set)
        one_by_one = jnp.stack([code.digit(codes, place) for place in range(code.digit_count)], axis=-1)
        places = jnp.asarray(2.0 ** np.arange(code.digit_count), jnp.float32)
        return code.digit_gain * (one_by_one @ places) + code.digit_offset, digits

    (found, digits), slope = jax.jvp(recombined, (jnp.asarray(words, jnp.float32),), (jnp.ones(len(words)),))
    np.testing.assert_allclose(found, words)
    np.testing.assert_allclose(slope[0], 1.0, rtol=1e-5)
    allowed = {"bipolar": {-1, 1}, "unipolar": {0, 1}, "ternary": {-1, 0, 1}}[digit_set]
    assert set(np.unique(digits)) <= (allowed | {0} if code.one_signed_bit else allowed)


@pytest.mark.sampled
@pytest.mark.parametrize("bits", [(2, 2), (4, 3), (8, 4)])
@pytest.mark.parametrize("banks", [None, Banks(number=4)])
@pytest.mark.parametrize(
    ("weight_coding", "input_coding"), [("auto", "bipolar"), ("bipolar", "unipolar"), ("ternary", "unipolar")]
)
def test_an_ideal_array_is_exact_in_every_coding(weight_coding, input_coding, bits, banks):
    array = SwitchedCapacitor(
        rows=48,
        columns=6,
        weight_bits=bits[0],
        input_bits=bits[1],
        weight_coding=weight_coding,
        input_coding=input_coding,
        banks=banks,
    ).ideal()
    generator = np.random.default_rng(0)
    largest = 2 ** (bits[0] - 1) - 1
    x = generator.integers(0, 2 ** bits[1], (12, 70)).astype(np.float32)
    w = generator.integers(-largest, largest + 1, (70, 5)).astype(np.float32)
    known = ValueRange(0.0, 2.0 ** bits[1] - 1, 1.0), ValueRange(-float(largest), float(largest), 1.0)
    operands = Operands(DenseProduct(70, 5), jnp.asarray(x), jnp.asarray(w), *known)
    np.testing.assert_allclose(eqx.filter_jit(type(array).multiply)(array, operands), x @ w, rtol=1e-6)


def test_zeros_in_ternary_digits_move_no_line():
    """Digits of zeros as two opposite cells shift the lines of both by their number; undriven ones leave the middle."""
    x = jnp.zeros((1, 40))
    w = jnp.concatenate([jnp.zeros((40, 1)), jnp.ones((40, 1))], axis=1)
    known = ValueRange(0.0, 3.0, 1.0), ValueRange(-1.0, 1.0, 1.0)
    counts = {}
    for coding in ("bipolar", "ternary"):
        array = SwitchedCapacitor(rows=40, columns=4, weight_bits=2, input_bits=2, weight_coding=coding)
        counts[coding] = np.asarray(array.line_counts(Operands(DenseProduct(40, 2), x, w, *known)))[0]
    # In half cells: the middle is 40, digits of inputs that are 0 are all -1.
    assert counts["ternary"][40] == 2
    assert counts["bipolar"][[0, 80]].sum() == counts["bipolar"].sum()


def test_noise_of_ternary_weights_is_what_the_places_say():
    """Of a line's noise 1 for each digit: `(4**(b-1) - 1) / 3` against `(4**b - 1) / 12` of two's complement."""
    x, w = jnp.ones((4000, 16)), jnp.tile(jnp.asarray([[3.0], [-3.0]]), (8, 2))
    spread = {}
    for coding in ("bipolar", "ternary"):
        array = SwitchedCapacitor(
            rows=16,
            columns=8,
            weight_bits=3,
            input_bits=1,
            weight_coding=coding,
            comparator=Comparator(noise=20e-3, offset_sigma=0.0),
            adc=Adc(bits=12, range=20.0),
        )
        operands = Operands(DenseProduct(16, 2), x, w, ValueRange(-1.0, 1.0, 1.0), ValueRange(-3.0, 3.0, 1.0))
        spread[coding] = float(jnp.var(eqx.filter_jit(type(array).multiply)(array, operands, key=jax.random.key(0))))
    np.testing.assert_allclose(spread["bipolar"] / spread["ternary"], (4**3 - 1) / 12 / ((4**2 - 1) / 3), rtol=0.06)


def test_columns_and_conversions_are_those_of_the_digits():
    work = Work(DenseProduct(64, 8), 5, 320, 1.0)
    ternary = SwitchedCapacitor(rows=64, columns=24, weight_bits=4, input_bits=4, weight_coding="auto")
    bipolar = dataclasses.replace(ternary, weight_coding="bipolar")
    costs = [array.cost(work, {}) for array in (ternary, bipolar)]
    np.testing.assert_allclose(costs[0].energy / costs[1].energy, 3 / 4, rtol=1e-6)
    assert [one.passes for one in costs] == [1, 2]
    # A word of four bits is stored either way.
    assert costs[0].weight_bits == costs[1].weight_bits
    known = ternary.cost(dataclasses.replace(work, weight_columns=4), {})
    np.testing.assert_allclose(known.energy, costs[1].energy, rtol=1e-6)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (ValueRange(), "ternary"),
        (ValueRange(-1.0, 1.0), "ternary"),
        (ValueRange(-7.0, 7.0, 1.0), "ternary"),
        (ValueRange(-8.0, 7.0, 1.0), "bipolar"),
        (ValueRange(None, None, 1.0), "bipolar"),
    ],
)
def test_weights_are_ternary_where_words_lie_evenly_about_0(known, expected):
    assert SwitchedCapacitor(weight_bits=4, weight_coding="auto").weight_digits(known) == expected
    assert SwitchedCapacitor(weight_bits=4).weight_digits(known) == "bipolar"
    assert SwitchedCapacitor(weight_bits=1, weight_coding="auto").weight_digits(known) == "bipolar"
    forced = SwitchedCapacitor(weight_bits=4, weight_coding="ternary")
    if expected == "bipolar":
        with pytest.raises(ValueError, match="must not be 'ternary' for weights that may take the word -8"):
            forced.weight_digits(known)


def test_codings_that_operands_cannot_have_are_refused(as_a_user_runs_it):
    with pytest.raises(ValueError, match="must not be 'unipolar' for inputs that may be negative"):
        SwitchedCapacitor(input_bits=2, input_coding="unipolar").matmul(np.ones((1, 2)), np.ones((2, 1)))
    for name in ("weight_coding", "input_coding"):
        with pytest.raises(ValueError, match=name):
            SwitchedCapacitor(**{name: "gray"})
    for digit_set, signed in (("unipolar", True), ("ternary", False)):
        with pytest.raises(ValueError, match="digit_set"):
            IntegerCode(jnp.ones(()), 4, signed, digit_set=digit_set)


def test_a_calibrated_chip_keeps_the_digits_of_its_array():
    """Codes that data choose stand in the digits that the array is built for, and the site table says so."""
    generator = np.random.default_rng(1)
    params = [jnp.asarray(generator.normal(size=shape), jnp.float32) for shape in ((12, 10), (10, 4))]
    x = jnp.asarray(generator.random((20, 12)), jnp.float32)

    def network(params, x):
        return jax.nn.relu(jax.nn.relu(x) @ params[0]) @ params[1]

    array = SwitchedCapacitor(
        rows=16, columns=8, weight_bits=4, input_bits=3, weight_coding="auto", input_coding="unipolar"
    )
    chip = amsim.calibrate(network, params, array, x, steps=False).chip
    assert {row.coding for row in chip.sites(x)} == {"unipolar x ternary"}
    plain = amsim.deploy(network, params, array)
    assert {row.coding for row in plain.sites(x)} == {"unipolar x ternary"}
    # Three columns of the four bits on this chip, four on an array of other cells.
    bipolar = dataclasses.replace(array, weight_coding="bipolar", input_coding="bipolar")
    work = [layer.work for layer in chip.workload(x).layers]
    assert all(one.weight_columns is None for one in work)
    assert float(array.cost(work[0], {}).occupancy) / float(bipolar.cost(work[0], {}).occupancy) == 3 / 4
    with pytest.raises(amsim.DeploymentError, match="`input_coding` must not be 'unipolar'"):
        amsim.deploy(lambda p, x: x @ p, params[0], array)(x)
