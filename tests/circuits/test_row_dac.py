"""DACs of rows: levels and line values against explicit capacitors in NumPy, moments, cost and refusals."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import ROWS, SIGMA, line_array, signs, words

from amsim.circuits import (
    Adc,
    Banks,
    ChargeLine,
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
    SarAdc,
    TimeSharedCharge,
    Trim,
    ValueRange,
    Work,
)
from amsim.circuits.charge.row_dac import mean_square

COLUMNS = 3
BASE = line_array(
    COLUMNS,
    input_bits=4,
    comparator=Comparator(noise=0.0, offset_sigma=0.0),
    row_dac=RowDac(bits=4, mismatch=0.2),
)
# As fine as it gets, so that what is read is the line itself.
UNKNOWN, SIGNS = ValueRange(), ValueRange(-1.0, 1.0)
FINE = Adc(bits=16, range=1.0)


@eqx.filter_jit
def multiply(macro, inputs, weights, die=None, key=None, input_range=UNKNOWN, weight_range=UNKNOWN):
    operands = Operands(
        DenseProduct(*weights.shape), jnp.asarray(inputs), jnp.asarray(weights), input_range, weight_range
    )
    return macro.multiply(operands, die=die, key=key)


@eqx.filter_jit
def report_on(macro, inputs, weights):
    return macro.report(
        Operands(DenseProduct(*weights.shape), jnp.asarray(inputs), jnp.asarray(weights), code(macro), SIGNS)
    )


def code(macro, digits="bipolar"):
    """Words of the inputs as they are, offset binary: 0 is the lowest level."""
    return IntegerCode(jnp.ones(()), macro.input_bits, False, digit_set=digits)


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


def mean_square_error(noisy, items):
    """Of reads of 150 dies, counts^2, for inputs of two bits."""
    x, w = words(0, 2, items, ROWS), signs(1, ROWS, 48)

    @jax.jit
    def errors(key):
        die, read = noisy.fabricate(key), jax.random.fold_in(key, 1)
        operands = Operands(DenseProduct(ROWS, 48), jnp.asarray(x), jnp.asarray(w), code(noisy), SIGNS)
        return (noisy.multiply(operands, die=die, key=read) - x @ w) / 1.5

    return jnp.mean(jax.lax.map(errors, jax.random.split(jax.random.key(0), 150)) ** 2)


@pytest.mark.parametrize("second", ["none", "differential", "replica"])
def test_mean_square_error_is_the_predicted_one(second):
    noisy = dataclasses.replace(
        BASE,
        second_line=second,
        columns=48,
        input_bits=2,
        adc=Adc(bits=14),
        temperature=400.0,
        comparator=Comparator(noise=4e-3, offset_sigma=5e-3, trim=None),
        row_dac=RowDac(bits=2, mismatch=0.15, noise=2e-2),
        faults=Faults(stuck_high=0.02, stuck_low=0.01),
    )
    if second != "none":
        noisy = dataclasses.replace(noisy, faults=None)
    found = mean_square_error(noisy, 60)
    predicted = noisy.error_variances()
    np.testing.assert_allclose(found, sum(predicted.values()), rtol=0.06)
    for name in ("row DAC mismatch", "row DAC noise"):
        assert float(predicted[name]) > 0.02 * float(found)


BESIDE = {
    "a sampling converter": {"adc": SarAdc(bits=14, input_capacitance=1e-14)},
    "a trim of other conditions": {
        "comparator": Comparator(
            noise=4e-3,
            offset_sigma=5e-3,
            trim=Trim(temperature=300.0, supply=0.65),
            temperature_drift=1e-4,
            supply_drift=0.1,
        )
    },
    "a shared converter": {"columns_per_converter": 4, "leakage": Leakage(hold_time=2e-6, spread=0.3)},
}


@pytest.mark.parametrize("parts", BESIDE.values(), ids=BESIDE)
def test_error_is_the_predicted_one_beside(parts):
    quiet = Comparator(noise=4e-3, offset_sigma=5e-3, trim=None)
    dac = RowDac(bits=2, mismatch=0.15, noise=2e-2)
    given = {"columns": 48, "input_bits": 2, "adc": Adc(bits=14), "temperature": 400.0, "comparator": quiet}
    noisy = dataclasses.replace(BASE, row_dac=dac, **given | parts)
    np.testing.assert_allclose(mean_square_error(noisy, 30), sum(noisy.error_variances().values()), rtol=0.06)


def test_columns_that_wait_are_driven_by_the_same_rows():
    array = dataclasses.replace(BASE, adc=FINE, leakage=Leakage(), columns_per_converter=3)
    die = array.fabricate(jax.random.key(0))
    draws, elements = np.asarray(die.row_dac, float), 2.0 ** np.arange(4)
    elements = elements + 0.2 * np.sqrt(elements) * draws
    places = 15 * elements / elements.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(array.prepare(die).places.rows, places, rtol=1e-5)


def test_noise_of_the_levels_is_that_of_the_driven_rows_beside_drivers():
    array = dataclasses.replace(BASE, row_dac=RowDac(bits=4, noise=2e-2), drivers=Drivers())
    step = 2 * 2e-2 / float(array.supply)
    np.testing.assert_allclose(array.noise_variances(5)["row DAC noise"], 5 * step**2, rtol=1e-6)
    np.testing.assert_allclose(array.noise_variances()["row DAC noise"], ROWS * step**2, rtol=1e-6)


@pytest.mark.parametrize("sampled", [0.0, 1e-14])
def test_energy_is_the_charge_that_the_levels_give(sampled):
    array = dataclasses.replace(BASE, adc=SarAdc(bits=14, input_capacitance=sampled) if sampled else FINE)
    x, w = words(0, 4, 6, ROWS), signs(1, ROWS, COLUMNS)
    told = report_on(array, x, w)
    level = x / 15
    cells = np.where(w.T[None] > 0, level[:, None], 1 - level[:, None])
    parasitic = ROWS * float(array.cell_parasitic) + float(array.line_parasitic) + sampled
    parasitic += float(jnp.sum(array.bias_dac.section_units()) * array.unit_capacitance)
    line = ChargeLine([1e-15] * ROWS, parasitic=parasitic, supply=float(array.supply))
    energies = line.supply_energy(jnp.asarray(cells))
    unit = float(array.unit_capacitance * array.supply**2)
    np.testing.assert_allclose(told["switched_units"] * unit, np.mean(energies), rtol=1e-4)
    # Nothing known: levels evenly spread.
    even = report_on(array, np.tile(np.arange(16.0), (16, 1)).T[:, :ROWS], np.ones((ROWS, 1)))
    assert float(even["high_cells"]) == pytest.approx(ROWS / 2)


def test_cost_is_that_of_fewer_evaluations_and_the_dacs():
    work = Work(DenseProduct(ROWS, 7), 5, 70, 1.0)
    array = dataclasses.replace(BASE, adc=Adc(bits=6))
    serial, two = (dataclasses.replace(array, row_dac=None), dataclasses.replace(array, row_dac=RowDac(bits=2)))
    costs = [macro.cost(work, {}) for macro in (serial, two, array)]
    assert [float(cost.compute_cycles) for cost in costs] == [5 * 4 * 3 * 2, 5 * 2 * 3 * 2, 5 * 3 * 2]
    assert [cost.additions for cost in costs] == [5 * 7 * 3, 5 * 7 * 1, 0]
    assert costs[0].input_bits == costs[2].input_bits
    supply = float(array.supply)
    free = dataclasses.replace(array, row_dac=RowDac(bits=4, capacitance=0.0, reference_efficiency=1.0))
    dacs = float(costs[2].energy) - float(free.cost(work, {}).energy)
    np.testing.assert_allclose(dacs, 5 * 3 * ROWS * 4 * 50e-15 * supply**2, rtol=1e-4)
    half = dataclasses.replace(free, row_dac=RowDac(bits=4, capacitance=0.0, reference_efficiency=0.5))
    levels, total = ROWS / 2, float(array.total_units)
    rails = ROWS * (1 + mean_square(4)) / 4 - levels**2 / total
    more = float(half.cost(work, {}).energy) - float(free.cost(work, {}).energy)
    np.testing.assert_allclose(more, 5 * 7 * 1e-15 * supply**2 * rails, rtol=1e-3)
    np.testing.assert_allclose(float(array.area) - float(serial.area), ROWS * 4 * 10e-12, rtol=1e-3)


def test_range_of_the_converter_is_chosen_from_the_levels():
    array = dataclasses.replace(BASE, adc=Adc(bits=5))
    x, w = words(0, 4, 50, ROWS), signs(1, ROWS, COLUMNS)
    operands = Operands(DenseProduct(ROWS, COLUMNS), jnp.asarray(x), jnp.asarray(w), code(array), SIGNS)
    counts = np.asarray(eqx.filter_jit(array.line_counts)(operands))
    cells = (((2 * x - 15) @ w + 15 * ROWS) / 2).ravel()
    np.testing.assert_array_equal(counts[0], np.bincount(np.round(2 * cells).astype(int), minlength=2 * 15 * ROWS + 1))
    chosen = array.with_readout_range(
        array.selected_readout_range(operands.product, jnp.asarray(counts), method="min-max", coverage=0.999)
    )
    assert 0.2 < float(chosen.adc.range) < 0.9
    wide, narrow = (np.abs(multiply(one, x, w, None, None, code(array)) - x @ w).max() for one in (array, chosen))
    assert narrow < 0.7 * wide


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
