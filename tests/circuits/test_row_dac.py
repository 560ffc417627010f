"""DACs of rows: levels and line values against explicit capacitors in NumPy, exact products, and refusals."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import ROWS, SIGMA, signs, words
from row_dac_arrays import BASE, COLUMNS, FINE, SIGNS, code, multiply

from amsim.circuits import (
    Adc,
    Banks,
    Comparator,
    ConvolutionProduct,
    DenseProduct,
    Drivers,
    Faults,
    IntegerCode,
    Layout,
    Leakage,
    Operands,
    ResetSwitch,
    RowDac,
    TimeSharedCharge,
    Work,
)
from amsim.circuits.charge.row_dac import mean_square


def levels_by_loop(draws, mismatch, codes):
    """Level of each row by its elements, one after another; in float64."""
    found = np.zeros(codes.shape)
    for row in range(codes.shape[-1]):
        elements = [2.0**bit * (1 + mismatch * draws[row, bit] / math.sqrt(2.0**bit)) for bit in range(draws.shape[1])]
        for read in range(codes.shape[0]):
            on = [element for bit, element in enumerate(elements) if int(codes[read, row]) >> bit & 1]
            found[read, row] = sum(on) / sum(elements)
    return found


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_levels_are_those_of_the_elements(bits):
    dac = RowDac(bits=bits, mismatch=0.1)
    draws = np.asarray(dac.fabricate(jax.random.key(bits), 5))
    codes = words(0, bits, 20, 5)
    np.testing.assert_allclose(dac.levels(codes, draws), levels_by_loop(draws, 0.1, codes), rtol=1e-5, atol=1e-6)
    bent = np.asarray(dac.integral_nonlinearity(draws))
    assert bent.shape == (5, 2**bits)
    np.testing.assert_allclose(bent[:, [0, -1]], 0, atol=2e-5 * 2**bits)
    assert bits == 1 or np.abs(bent).max() > 0.02
    np.testing.assert_allclose(np.sum(dac.shares(draws), axis=1), 1, rtol=1e-6)


def test_variance_of_levels_is_the_closed_form():
    dac = RowDac(bits=3, mismatch=0.02)
    draws = np.random.default_rng(0).standard_normal((40000, 3))
    bent = np.asarray(dac.integral_nonlinearity(draws)) / dac.steps
    # A level is half of u.
    np.testing.assert_allclose(4 * np.mean(bent**2), dac.level_variance(), rtol=0.03)
    assert float(RowDac(bits=1, mismatch=0.3).level_variance()) == 0.0
    spread = (2 * np.arange(8) / 7 - 1) ** 2
    assert mean_square(3) == pytest.approx(spread.mean())


def line_counts_by_loop(array, die, x, w):
    """What is read, in counts above half way, of explicit capacitors and levels."""
    draws = np.asarray(die.row_dac, float)
    level = levels_by_loop(draws, float(array.row_dac.mismatch), x)
    units = 1 + SIGMA * np.asarray(die.units, float)
    dac = sum(
        size + SIGMA * math.sqrt(size) * np.asarray(die.bias, float)[:, bit] for bit, size in enumerate((1e-6, 5e-7))
    )
    total = units.sum(axis=0) + ROWS * 0.3 + 6.0 + dac
    found = np.zeros((len(x), w.shape[1]))
    for column in range(w.shape[1]):
        for row in range(x.shape[1]):
            cell = level[:, row] if w[row, column] > 0 else 1 - level[:, row]
            found[:, column] += units[row, column] * cell
    nominal = ROWS * 1.3 + 6.0 + 1.5e-6
    return 2 * found * nominal / total - x.shape[1]


@pytest.mark.parametrize("rows", [ROWS, 9])
@pytest.mark.parametrize("bits", [2, 4])
def test_a_line_is_that_of_explicit_capacitors(rows, bits):
    array = dataclasses.replace(BASE, input_bits=bits, row_dac=RowDac(bits=bits, mismatch=0.2), adc=FINE)
    die = array.fabricate(jax.random.key(0))
    x, w = words(0, bits, 20, rows), signs(1, rows, COLUMNS)
    one = code(array)
    read = multiply(array, x, w, die, None, one, SIGNS)
    # Words are half of the digits' sum from their middle; a count is a whole range of a cell.
    middle = (2**bits - 1) / 2
    counts = (np.asarray(read) - middle * w.sum(axis=0)) / middle
    # Half a step of the converter, which is a step of a cell.
    np.testing.assert_allclose(counts, line_counts_by_loop(array, die, x, w), atol=1.01 / (2**bits - 1))


def test_analog_value_of_a_line_without_a_converter():
    """To rounding, through the gradient-free part of the path: sums of a die before any step of the converter."""
    from amsim.circuits.charge.die_folding import fold_die
    from amsim.circuits.contract.bit_slicing import Joining, accumulate, weight_digits

    array = dataclasses.replace(BASE, adc=FINE)
    die = array.fabricate(jax.random.key(2))
    x, w = words(3, 4, 20, ROWS), signs(4, ROWS, COLUMNS)

    @eqx.filter_jit
    def counts(x, w):
        given = Operands(DenseProduct(*w.shape), jnp.asarray(x), jnp.asarray(w), code(array), SIGNS)
        coded, line = array.coded(given), fold_die(array, die)
        joining = Joining(4, 4, line.places)
        sums = accumulate(coded, weight_digits(coded), ROWS, lambda one: one.sums, cells=line.cells, joining=joining)
        return sums / array.cell_steps + line.middle(jnp.ones(ROWS), with_bias=False)[None]

    np.testing.assert_allclose(counts(x, w), line_counts_by_loop(array, die, x, w), rtol=2e-5, atol=2e-5)


TIME = {"drivers": Drivers(spread=0.2), "reset": ResetSwitch(), "leakage": Leakage(hold_time=1e-7)}
DEFECTS = {"faults": Faults(stuck_high=0.1), "layout": Layout(linear_gradient=0.02), "supply_noise": 1e-3}
EFFECTS = {
    "single": TIME | DEFECTS,
    "pair in banks": {"second_line": "differential", "rows": 28, "banks": Banks(number=4)},
}


@pytest.mark.parametrize("effects", EFFECTS.values(), ids=EFFECTS)
def test_one_bit_is_the_array_without_it(effects):
    loud = Comparator(noise=2e-3, offset_sigma=3e-3)
    array = dataclasses.replace(BASE, input_bits=2, row_dac=None, comparator=loud, **effects)
    one = dataclasses.replace(array, row_dac=RowDac(bits=1, mismatch=0.3))
    x, w, key = words(0, 2, 8, 9), signs(1, 9, COLUMNS), jax.random.key(1)
    without, found = (
        multiply(macro, x, w, macro.fabricate(jax.random.key(0)), key, code(macro)) for macro in (array, one)
    )
    np.testing.assert_array_equal(found, without)
    work = Work(DenseProduct(9, COLUMNS), 3, 27, 1.0)

    @eqx.filter_jit
    def facts(macro):
        return macro.cost(work, {}), macro.area, macro.error_variances(rows=9)

    (cost, area, variances), (cost_without, area_without, variances_without) = facts(one), facts(array)
    assert eqx.tree_equal(cost, cost_without)
    assert float(area) == float(area_without)
    for name, variance in variances_without.items():
        np.testing.assert_array_equal(variances.pop(name), variance)
    assert not any(float(extra) for extra in variances.values())


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("input_coding", "weight_coding", "second"),
    [("bipolar", "bipolar", "none"), ("unipolar", "ternary", "differential")],
)
@pytest.mark.parametrize(("bits", "together"), [(4, 2), (4, 4), (6, 3), (8, 8)])
def test_ideal_parts_give_the_integer_product(bits, together, input_coding, weight_coding, second):
    array = dataclasses.replace(
        BASE,
        rows=20,
        weight_bits=3,
        input_bits=bits,
        input_coding=input_coding,
        weight_coding=weight_coding,
        second_line=second,
        adc=Adc(bits=8),
        row_dac=RowDac(bits=together),
    ).ideal()
    x = words(0, bits, 6, 31)
    w = np.random.default_rng(1).integers(-3, 4, (31, 5)).astype(np.float32)
    w[0] = 3.0
    grid = IntegerCode(jnp.ones(()), bits, False, digit_set=input_coding)
    for die in (None, array.fabricate(jax.random.key(0))):
        np.testing.assert_array_equal(multiply(array, x, w, die, None, grid), x @ w)


def test_signed_inputs_and_convolutions():
    array = dataclasses.replace(BASE, rows=40, weight_bits=2, adc=Adc(bits=8), row_dac=RowDac(bits=2)).ideal()
    x = np.random.default_rng(0).integers(-8, 8, (3, 9, 9, 4)).astype(np.float32)
    product = ConvolutionProduct((3, 3), 4, 5, (2, 2), (1, 1))
    w = np.random.default_rng(1).integers(-2, 2, (36, 5)).astype(np.float32)
    w[0] = -2.0
    words_of_x = IntegerCode(jnp.ones(()), 4, True)
    words_of_w = IntegerCode(jnp.ones(()), 2, True)
    operands = Operands(product, jnp.asarray(x), jnp.asarray(w), words_of_x, words_of_w)
    exact = product.sums(jnp.asarray(x), jnp.asarray(w))
    np.testing.assert_array_equal(eqx.filter_jit(array.multiply)(operands), exact)
    noisy = dataclasses.replace(array, row_dac=RowDac(bits=2, mismatch=0.1))
    off = eqx.filter_jit(noisy.multiply)(operands, die=noisy.fabricate(jax.random.key(0)))
    assert np.abs(np.asarray(off) - np.asarray(exact)).max() > 0


def test_columns_that_wait_are_driven_by_the_same_rows():
    array = dataclasses.replace(BASE, adc=FINE, leakage=Leakage(), columns_per_converter=3)
    die = array.fabricate(jax.random.key(0))
    draws, elements = np.asarray(die.row_dac, float), 2.0 ** np.arange(4)
    elements = elements + 0.2 * np.sqrt(elements) * draws
    places = 15 * elements / elements.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(array.prepare(die).places.rows, places, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"row_dac": RowDac(bits=3)}, "`row_dac` must have bits that divide the 4 bits of an input, but has 3"),
        ({"row_dac": 2}, "row_dac"),
        ({"drivers": Drivers(supply_resistance=10.0)}, "no `supply_resistance` beside a `row_dac`"),
        ({"weight_bits": 3, "combining": TimeSharedCharge(3)}, "`combining` must be None, or join one bit, beside a"),
        ({"readout_centre": jnp.zeros(1)}, "`readout_centre` must be None beside a `row_dac` of several bits"),
    ],
)
def test_wrong_dacs_of_an_array(given, text, as_a_user_runs_it):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(BASE, **given)


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ("bits", {"bits": 0}),
        ("bits", {"bits": 9}),
        ("mismatch", {"mismatch": -0.1}),
        ("reference_efficiency", {"reference_efficiency": 0.0}),
        ("reference_efficiency", {"reference_efficiency": 1.5}),
        ("noise", {"noise": math.nan}),
    ],
)
def test_wrong_dacs(wrong, given):
    with pytest.raises(ValueError, match=wrong):
        RowDac(**given)


def test_what_does_not_fit_is_refused(as_a_user_runs_it):
    from amsim import spice

    array = dataclasses.replace(BASE, adc=FINE)
    other = dataclasses.replace(array, row_dac=RowDac(bits=2))
    x, w = words(0, 4, 2, ROWS), signs(1, ROWS, COLUMNS)
    for macro, text in ((dataclasses.replace(array, row_dac=None), "row_dac"), (other, "DACs of 4 bits")):
        with pytest.raises(ValueError, match=text):
            array.prepare(macro.fabricate(jax.random.key(0)))
    with pytest.raises(ValueError, match="`method` must not choose the readout of an array with a `row_dac`"):
        array.readout_profiles(
            Operands(DenseProduct(ROWS, COLUMNS), jnp.asarray(x), jnp.asarray(w), code(array), SIGNS)
        )
    with pytest.raises(ValueError, match="convert each bit"):
        spice.write(array, None, np.ones((2, 1), int), np.ones((1, 2), int), "unused.cir")
    # A word of three ternary digits on levels of two bits.
    signed = IntegerCode(jnp.ones(()), 4, True, digit_set="ternary")
    with pytest.raises(ValueError, match="conversions of 2"):
        multiply(other, x, w, None, None, signed)
