"""Shift-and-add in charge over serial inputs: against charges in a NumPy loop, moments, energy, cost and refusals."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import ROWS, SIGMA, line_array, signs, words
from scipy import constants

from amsim.circuits import (
    Adc,
    Banks,
    Comparator,
    DenseProduct,
    Drivers,
    Faults,
    IntegerCode,
    Leakage,
    Operands,
    ResetSwitch,
    RowDac,
    SarAdc,
    SerialAccumulation,
    TimeSharedCharge,
    Trim,
    ValueRange,
    Work,
)
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.contract.bit_slicing import Joining, accumulate, weight_digits

COLUMNS, OFF = 3, 5e6
SIGNS = ValueRange(-1.0, 1.0)
BENT = SerialAccumulation(
    digits=4, capacitor_ratio=1.15, mismatch_coefficient=0.5 * math.sqrt(1e-15), off_resistance=OFF
)
BASE = line_array(
    COLUMNS,
    input_bits=4,
    comparator=Comparator(noise=0.0, offset_sigma=0.0),
    adc=Adc(bits=16, range=1.0),
    serial_accumulation=BENT,
)
PARTS = {"bits": {}, "digits of two bits": {"row_dac": RowDac(bits=2, mismatch=0.2), "serial_accumulation": 2}}


def with_parts(array, row_dac=None, serial_accumulation=4):
    part = dataclasses.replace(array.serial_accumulation, digits=serial_accumulation)
    return dataclasses.replace(array, row_dac=row_dac, serial_accumulation=part)


def operands(array, x, w):
    words = IntegerCode(jnp.ones(()), array.input_bits, False)
    return Operands(DenseProduct(*w.shape), jnp.asarray(x), jnp.asarray(w), words, SIGNS)


@eqx.filter_jit
def multiply(array, given, die=None, key=None):
    return array.multiply(given, die=die, key=key)


def test_sharing_after_sharing_is_the_sum_of_weights():
    part = dataclasses.replace(BENT, digits=5)
    lines = np.random.default_rng(0).random((5, 7, 3))
    size = 1 + 0.1 * np.random.default_rng(1).standard_normal(3)
    kept, held = np.asarray(part.kept(size)), 0.97
    found = np.zeros((7, 3))
    for line in lines:
        own = 1.15 * size
        found = (own * held * found + line) / (own + 1)
    np.testing.assert_allclose(part.accumulated(jnp.asarray(lines), jnp.asarray(kept)[None], held), found, rtol=1e-5)
    weights = part.weights(jnp.asarray(kept), jnp.asarray(held))
    np.testing.assert_allclose(np.einsum("dc,dnc->nc", weights, lines), found, rtol=1e-5)
    exact = SerialAccumulation(digits=5)
    np.testing.assert_array_equal(exact.weights(exact.kept(1.0)), 2.0 ** (np.arange(5) - 5))
    np.testing.assert_allclose(exact.weights(exact.kept(1.0, 3)), 7 / 8 * 8.0 ** (np.arange(5) - 4), rtol=1e-6)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("held", [1.0, 0.8])
def test_noise_on_the_capacitor_stays_that_of_its_equilibrium(ratio, held):
    """Sampled on the line, redistributed by each sharing and let in by the leak, term after term."""
    array = with_parts(BASE, serial_accumulation=4)
    array = dataclasses.replace(
        array, serial_accumulation=dataclasses.replace(array.serial_accumulation, capacitor_ratio=ratio)
    )
    line, own = float(array.total_capacitance), float(array.accumulation_capacitance)
    assert own == pytest.approx(ratio * line)
    kt, kept = constants.k * float(array.temperature), own / (own + line)
    variance = kt / own
    for _ in range(4):
        variance = held**2 * variance + (1 - held**2) * kt / own
        variance = kept**2 * variance + (1 - kept) ** 2 * kt / line + kt * line / (own * (own + line))
    in_counts = variance * float(array.counts_per_volt) ** 2
    np.testing.assert_allclose(array.noise_variances()["thermal noise"], in_counts, rtol=1e-5)


def counts_by_charge(array, die, x, w):
    """What is read, in counts above half way, from the charges of explicit capacitors; in float64."""
    dac, serial, steps = array.row_dac, array.serial_accumulation, 2**array.digit_bits - 1
    draws = np.zeros((ROWS, 1)) if dac is None else np.asarray(die.row_dac, float)
    spread = 0.0 if dac is None else float(dac.mismatch)
    units = 1 + SIGMA * np.asarray(die.units, float)
    bias = [
        size + SIGMA * math.sqrt(size) * np.asarray(die.bias, float)[:, bit] for bit, size in enumerate((1e-6, 5e-7))
    ]
    total, nominal = units.sum(axis=0) + ROWS * 0.3 + 6.0 + sum(bias), ROWS * 1.3 + 6.0 + 1.5e-6
    own = float(serial.capacitor_ratio) * nominal / steps
    sigma = 0.5 / math.sqrt(own)
    period = (float(array.evaluation_cycles) + 1) / float(array.clock)
    kept = math.exp(-period / (OFF * own * 1e-15)) if serial.off_resistance is not None else 1.0
    capacitors = own * (1 + sigma * np.asarray(die.accumulation, float))
    voltage, reference = np.zeros((len(x), w.shape[1])), 0.0
    for digit in range(serial.digits):
        code = (x.astype(int) >> (digit * array.digit_bits)) & steps
        for column in range(w.shape[1]):
            lifted = np.zeros(len(x))
            for row in range(x.shape[1]):
                bits = [
                    2.0**bit * (1 + spread * draws[row, bit] / math.sqrt(2.0**bit)) for bit in range(array.digit_bits)
                ]
                level = sum(((code[:, row] >> bit) & 1) * size for bit, size in enumerate(bits)) / sum(bits)
                lifted += units[row, column] * (level if w[row, column] > 0 else 1 - level)
            before = kept * capacitors[column] * voltage[:, column]
            voltage[:, column] = (before + lifted) / (capacitors[column] + total[column])
        reference = (kept * own * reference + 1.0) / (own + nominal)
    # The converter's reference follows the nominal swing of a cell.
    return 2 * voltage / reference - x.shape[1]


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_what_is_read_follows_from_the_charges(parts):
    array = with_parts(BASE, **parts)
    die = array.fabricate(jax.random.key(0))
    x, w = words(0, 4, 20, ROWS), signs(1, ROWS, COLUMNS)

    @eqx.filter_jit
    def counts(given):
        coded, line = array.coded(given), fold_die(array, die)
        joining = Joining(4, array.digit_bits, line.places)
        sums = accumulate(coded, weight_digits(coded), ROWS, lambda one: one.sums, cells=line.cells, joining=joining)
        return sums / array.cell_steps + line.middle(jnp.ones(ROWS), with_bias=False)[None]

    by_charge = counts_by_charge(array, die, x, w)
    np.testing.assert_allclose(counts(operands(array, x, w)), by_charge, rtol=3e-5, atol=3e-5)
    # And through the converter, to half of its step; words are half of the digits' sum from their middle.
    read = (np.asarray(multiply(array, operands(array, x, w), die)) - 7.5 * w.sum(axis=0)) / 7.5
    np.testing.assert_allclose(read, by_charge, atol=1.01 / 15)


@pytest.mark.parametrize(
    ("bits", "digits", "dac", "weight_coding"),
    [(4, 2, 1, "bipolar"), (4, 4, 1, "ternary"), (4, 2, 2, "ternary"), (8, 2, 4, "bipolar")],
)
def test_ideal_parts_give_the_integer_product(bits, digits, dac, weight_coding):
    array = dataclasses.replace(
        BASE,
        rows=24,
        banks=Banks(number=2),
        weight_bits=3,
        input_bits=bits,
        weight_coding=weight_coding,
        row_dac=RowDac(bits=dac),
        serial_accumulation=dataclasses.replace(BENT, digits=digits),
    ).ideal()
    x = words(0, bits, 6, 31)
    w = np.random.default_rng(1).integers(-3, 4, (31, 5)).astype(np.float32)
    w[0] = 3.0
    given = Operands(
        DenseProduct(31, 5), jnp.asarray(x), jnp.asarray(w), IntegerCode(jnp.ones(()), bits, False), ValueRange()
    )
    for die in (None, array.fabricate(jax.random.key(0))):
        np.testing.assert_array_equal(multiply(array, given, die), x @ w)


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_mean_square_error_is_the_predicted_one(parts):
    array = with_parts(BASE, **parts)
    array = dataclasses.replace(
        array,
        columns=48,
        temperature=400.0,
        comparator=Comparator(noise=2e-3, offset_sigma=2e-3, trim=None),
        serial_accumulation=dataclasses.replace(array.serial_accumulation, off_resistance=2e7, capacitor_ratio=1.1),
    )
    if array.row_dac is not None:
        array = dataclasses.replace(array, row_dac=RowDac(bits=2, mismatch=0.1, noise=5e-3))
    x, w = words(0, 4, 100, ROWS), signs(1, ROWS, 48)

    @jax.jit
    def errors(key):
        die, read = array.fabricate(key), jax.random.fold_in(key, 1)
        return (array.multiply(operands(array, x, w), die=die, key=read) - x @ w) / 7.5

    found = jnp.mean(jax.lax.map(errors, jax.random.split(jax.random.key(0), 80)) ** 2)
    predicted = array.error_variances()
    np.testing.assert_allclose(found, sum(predicted.values()), rtol=0.06)
    for name in ("accumulation mismatch", "accumulation ratio", "capacitor mismatch"):
        assert float(predicted[name]) > 0.01 * float(found), name


def test_mismatch_of_a_line_moves_the_weights_of_its_digits_too():
    """Alone, and of two digits, where the ratio changes the sum of the weights most."""
    part = SerialAccumulation(digits=2, mismatch_coefficient=0.0)
    array = dataclasses.replace(BASE, columns=48, input_bits=2, temperature=0.0, serial_accumulation=part)
    x, w = words(0, 2, 100, ROWS), signs(1, ROWS, 48)

    @jax.jit
    def errors(key):
        coded, line = array.coded(operands(array, x, w)), fold_die(array, array.fabricate(key))
        joining = Joining(2, 1, line.places)
        sums = accumulate(coded, weight_digits(coded), ROWS, lambda one: one.sums, cells=line.cells, joining=joining)
        middle = line.middle(jnp.ones(ROWS), with_bias=False)[None]
        return sums / 3 + middle - (x - 1.5) @ w / 1.5

    found = jnp.mean(jax.lax.map(errors, jax.random.split(jax.random.key(0), 80)) ** 2)
    np.testing.assert_allclose(found, array.error_variances()["capacitor mismatch"], rtol=0.04)


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_energy_is_the_charge_from_the_supply(parts):
    """Charge of each bottom plate when it rises and when its line, joined to the capacitor, falls; V and units."""
    array = with_parts(BASE, **parts)
    array = dataclasses.replace(
        array, serial_accumulation=dataclasses.replace(array.serial_accumulation, off_resistance=None)
    )
    x, w = words(0, 4, 5, ROWS), signs(1, ROWS, 2)
    told = eqx.filter_jit(array.report)(operands(array, x, w))
    total, steps = float(array.total_units), 2**array.digit_bits - 1
    own = float(array.accumulation_capacitance / array.unit_capacitance)
    energy = 0.0
    for read in range(len(x)):
        for column in range(2):
            voltage = 0.0
            for digit in range(array.joined_evaluations):
                code = (x[read].astype(int) >> (digit * array.digit_bits)) & steps
                level = np.where(w[:, column] > 0, code / steps, 1 - code / steps)
                line = level.sum() / total
                after = (own * voltage + total * line) / (own + total)
                energy += np.sum(level * (level - line)) + np.sum(level * (line - after))
                voltage = after
    np.testing.assert_allclose(told["switched_units"], energy / (2 * len(x)), rtol=1e-5)


def test_cost_is_that_of_all_evaluations_and_one_conversion():
    work = Work(DenseProduct(ROWS, 7), 5, 70, 1.0)
    gates = SerialAccumulation(digits=4, switch_capacitance=1e-15, sharing_cycles=0.5)
    array = dataclasses.replace(BASE, adc=Adc(bits=6), serial_accumulation=gates, bottom_parasitic=0.2e-15)
    serial = dataclasses.replace(array, serial_accumulation=None)
    cost, before = array.cost(work, {}), serial.cost(work, {})
    assert float(before.compute_cycles) == 5 * 4 * 3 * 2
    assert float(cost.compute_cycles) == 5 * 3 * 4 * 2.5
    assert (before.additions, cost.additions) == (5 * 7 * 3, 0)
    square, reads, readout = float(array.supply) ** 2, 5 * 7, array.adc.energy(array.supply, array.comparator.energy())
    levels, total = ROWS / 2, float(array.total_units)
    # Lines half way, V_acc approaching them by halves.
    falls = levels * levels / total * (1 / 2 + 1 / 4 + 1 / 8 + 1 / 16)
    charged = 4 * levels * (1 - levels / total) + falls
    np.testing.assert_allclose(array.switched_unknown(float(ROWS)), charged, rtol=1e-5)
    falling = 1e-15 * square * falls
    expected = reads * (falling + 5 * 1e-15 * square - 3 * float(readout))
    np.testing.assert_allclose(float(cost.energy) - float(before.energy), expected, rtol=2e-3)
    area = float(array.columns * array.total_capacitance) / 2e-3
    np.testing.assert_allclose(float(array.area) - float(serial.area), area, rtol=1e-2)


def test_faults_weigh_as_much_as_any_cell():
    array = dataclasses.replace(
        BASE, mismatch_coefficient=0.0, faults=Faults(stuck_high=0.3), serial_accumulation=SerialAccumulation(digits=4)
    )
    array = dataclasses.replace(array, serial_accumulation=array.serial_accumulation.ideal())
    die = array.fabricate(jax.random.key(3))
    stuck = np.asarray(array.faults.cell_states(die.faults)) > 0
    x, w = words(0, 4, 8, ROWS), signs(1, ROWS, COLUMNS)
    level = np.where(w.T[None] > 0, x[:, None] / 15, 1 - x[:, None] / 15)
    counts = 2 * np.where(stuck.T[None], 1.0, level).sum(axis=-1) - ROWS
    read = np.asarray(multiply(array, operands(array, x, w), die))
    np.testing.assert_allclose((read - 7.5 * w.sum(axis=0)) / 7.5, counts, atol=1e-4)


def test_columns_that_share_a_converter_read_what_they_would_alone():
    part = SerialAccumulation(digits=4, capacitor_ratio=1.1)
    # So fast that a conversion outlasts the evaluation.
    alone = dataclasses.replace(BASE, serial_accumulation=part, clock=1e9)
    shared = dataclasses.replace(alone, columns_per_converter=3)
    given, die = operands(alone, words(0, 4, 8, ROWS), signs(1, ROWS, COLUMNS)), alone.fabricate(jax.random.key(0))
    np.testing.assert_array_equal(*(multiply(array, given, die) for array in (alone, shared)))
    work = Work(DenseProduct(ROWS, COLUMNS), 1, ROWS, 1.0)
    costs = [array.cost(work, {}) for array in (alone, shared)]
    assert float(costs[0].energy) == float(costs[1].energy)
    assert float(costs[0].unclocked_time) < float(costs[1].unclocked_time)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"serial_accumulation": SerialAccumulation(digits=3)}, "digits that divide the 4 bits of an input, but has 3"),
        ({"row_dac": RowDac(bits=2)}, "digits of 2 bits that divide the 4 bits of an input, but has 4"),
        ({"serial_accumulation": 4}, "serial_accumulation"),
        ({"drivers": Drivers()}, "`drivers` must be None beside `serial_accumulation`"),
        ({"reset": ResetSwitch()}, "`reset` must be None beside"),
        ({"leakage": Leakage()}, "`leakage` must be None beside"),
        ({"supply_noise": 1e-3}, "`supply_noise` must be None beside"),
        ({"second_line": "differential"}, "`second_line` must be 'none' beside"),
        ({"comparator": Comparator(kickback=1e-3)}, "no `kickback` beside"),
        (
            {"weight_bits": 3, "combining": TimeSharedCharge(3)},
            "`combining` must be None, or join one bit, beside `ser",
        ),
        ({"readout_centre": jnp.zeros(1)}, "`readout_centre` must be None beside `serial_accumulation`"),
        ({"comparator": Comparator(trim=Trim(supply=0.7))}, "a trim without a `temperature` and `supply` of its own"),
        ({"adc": SarAdc(bits=8, input_capacitance=1e-14)}, "`adc` must have no `input_capacitance` beside"),
        ({"columns_per_converter": 3}, "beside a `serial_accumulation` with an `off_resistance`"),
    ],
)
def test_wrong_arrays(given, text, as_a_user_runs_it):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(BASE, **given)


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ("digits", {"digits": 1}),
        ("digits", {"digits": 17}),
        ("capacitor_ratio", {"capacitor_ratio": 0.0}),
        ("off_resistance", {"off_resistance": -1.0}),
        ("mismatch_coefficient", {"mismatch_coefficient": math.nan}),
    ],
)
def test_wrong_parts(wrong, given):
    with pytest.raises(ValueError, match=wrong):
        SerialAccumulation(**given)


def test_a_die_without_capacitors_is_refused(as_a_user_runs_it):
    other = dataclasses.replace(BASE, serial_accumulation=None).fabricate(jax.random.key(0))
    with pytest.raises(ValueError, match="without its part `serial_accumulation`"):
        BASE.prepare(other)
