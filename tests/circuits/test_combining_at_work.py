"""Combined columns and shared converters in an array: ranges, cost, waiting, gradients, networks and refusals."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combined_columns import SIGNS, digits_of_words, group_counts, in_double, of_weights, words

import amsim
from amsim import spice
from amsim.circuits import (
    Adc,
    Banks,
    BiasDac,
    CapacitorLadder,
    Comparator,
    DenseProduct,
    Drivers,
    Faults,
    Leakage,
    Operands,
    SarAdc,
    SwitchedCapacitor,
    TimeSharedCharge,
    Trim,
    WeightedCapacitors,
    Work,
)
from amsim.circuits.charge.die_folding import fold_die

PAIR = SwitchedCapacitor(rows=20, columns=12, weight_bits=2, combining=WeightedCapacitors(2))


def signs(generator, *shape):
    return generator.choice([-1.0, 1.0], shape)


def of_signs(x, w, bits):
    return Operands(
        DenseProduct(*w.shape), jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), SIGNS, of_weights(bits)
    )


def test_line_values_are_those_of_groups_and_the_range_suits_them():
    """Of two columns `m1 + m0 / 2` in cells of the upper one, here `2 m1 + m0` in those of the lower one."""
    generator = np.random.default_rng(0)
    x, w = signs(generator, 50, 20), words(generator, 2, 20, 6)
    operands = of_signs(x, w, 2)
    counts = np.asarray(PAIR.line_counts(operands))[0]
    digits = digits_of_words(w, 2)
    cells = (1 + x[:, :, None] * digits[None]).sum(axis=1) / 2
    values = cells[:, 0::2] + 2 * cells[:, 1::2]
    assert counts.shape == (2 * 60 + 1,)
    np.testing.assert_array_equal(counts, np.bincount((2 * values).astype(int).ravel(), minlength=121))
    few = dataclasses.replace(PAIR, adc=Adc(bits=4)).ideal()
    few = dataclasses.replace(few, adc=Adc(bits=4))
    given = {"method": "min-max", "coverage": 1.0}
    chosen = few.with_readout_range(few.selected_readout_range(operands.product, jnp.asarray(counts)[None], **given))
    # 16 levels over the values that occur, the middle being 30; two columns of 20 rows swing by 60 cells.
    needed = max((values.max() - 30) / 7.5, (30 - values.min()) / 8.5) * 16 / 60
    assert float(chosen.readout_range) == pytest.approx(needed, rel=1e-5)
    report = eqx.filter_jit(chosen.report)(operands)
    assert float(report["clipped_adc"]) == 0.0
    narrow = chosen.with_readout_range(jnp.asarray(needed / 2))
    # Never finer than a cell.
    lsb = max(needed / 2 * 60 / 16, 1.0)
    outside = np.mean((values > 30 + 7.5 * lsb) | (values < 30 - 8.5 * lsb))
    assert outside > 0.01
    assert float(eqx.filter_jit(narrow.report)(operands)["clipped_adc"]) == pytest.approx(outside, rel=1e-5)


def test_conversions_energy_and_time_are_those_of_the_groups():
    work = Work(DenseProduct(20, 6), 5, 100, 1.0)
    plain = dataclasses.replace(PAIR, combining=None, input_bits=3)
    joined = dataclasses.replace(plain, combining=TimeSharedCharge(2, capacitance=20e-15, gate_capacitance=1e-15))
    found, single = joined.cost(work, {}), plain.cost(work, {})
    conversion = float(plain.adc.energy(plain.supply, plain.comparator.energy(plain.supply)))
    evaluations = 5 * 3
    # Half the conversions; three switches a group.
    expected = float(single.energy) - evaluations * 6 * conversion + evaluations * 6 * 3 * 1e-15 * 0.36
    assert float(found.energy) == pytest.approx(expected, rel=1e-5)
    assert found.additions == 5 * 6 * (3 - 1)
    assert single.additions == 5 * 6 * (6 - 1)
    assert float(found.compute_cycles) == float(single.compute_cycles)
    assert float(found.unclocked_time - single.unclocked_time) == pytest.approx(evaluations * 2 * 10e-9, rel=1e-5)
    readout = float(plain.adc.area + plain.comparator.area)
    group = 20e-15 / 2e-3 + 3 * 0.5e-12
    assert float(plain.area - joined.area) == pytest.approx(6 * (readout - group), rel=1e-4)


def test_columns_of_a_converter_take_turns():
    """A quarter of the converters, four conversions after another, no other energy."""
    work = Work(DenseProduct(20, 6), 5, 100, 1.0)
    alone = dataclasses.replace(PAIR, combining=None)
    shared = dataclasses.replace(alone, columns_per_converter=4)
    found, single = shared.cost(work, {}), alone.cost(work, {})
    assert float(found.energy) == float(single.energy)
    readout = float(alone.adc.area + alone.comparator.area)
    assert float(alone.area - shared.area) == pytest.approx(9 * readout, rel=1e-4)
    taken = float(alone.adc.conversion_time(20.0))
    slow = dataclasses.replace(shared, clock=1e9), dataclasses.replace(alone, clock=1e9)
    longer = float(slow[0].cost(work, {}).unclocked_time - slow[1].cost(work, {}).unclocked_time)
    assert longer == pytest.approx(5 * 3 * taken, rel=1e-4)
    # At 10 MHz the second half of an evaluation, 100 ns, hides them.
    assert float(found.unclocked_time) == pytest.approx(5 * max(4 * taken - 100e-9, 0.0), abs=1e-12)
    assert shared.turns == 4
    assert dataclasses.replace(PAIR, columns_per_converter=4).turns == 2


def test_readouts_of_a_converter_are_one():
    """Offset and converter are those of the first of its columns, in the order of the columns."""
    array = SwitchedCapacitor(
        rows=20, columns=8, weight_bits=2, combining=WeightedCapacitors(2), columns_per_converter=4, adc=SarAdc(6)
    )
    array = dataclasses.replace(array, comparator=Comparator(offset_sigma=5e-3, trim=None))
    die = array.fabricate(jax.random.key(0))
    line = eqx.filter_jit(fold_die)(array, die)
    volts = np.asarray(line.offset) / float(array.counts_per_volt)
    np.testing.assert_allclose(volts, 5e-3 * np.asarray(die.comparator)[[0, 0, 4, 4]], rtol=1e-5)
    for drawn, kept in zip(jax.tree.leaves(die.adc), jax.tree.leaves(line.adc), strict=True):
        np.testing.assert_array_equal(kept, np.asarray(drawn)[[0, 0, 4, 4]])
    dead = dataclasses.replace(array, faults=Faults(dead_column=0.5))
    die = dead.fabricate(jax.random.key(0))
    states = np.asarray(dead.faults.column_states(die.faults))
    assert (states != 0).any()
    found = eqx.filter_jit(fold_die)(dead, die).offset
    np.testing.assert_array_equal(np.abs(np.asarray(found)) > 100, np.repeat(states[[0, 4]] != 0, 2))


def test_lines_leak_while_they_wait_for_their_turn():
    """Against one array for each turn, whose lines simply hold for so much longer; the reference does not follow."""
    leakage = Leakage(hold_time=1e-7, off_resistance=3e8, current=1e-11, spread=0.2)
    array = SwitchedCapacitor(
        rows=20,
        columns=6,
        columns_per_converter=3,
        leakage=leakage,
        reference_tracking=0.3,
        comparator=Comparator(trim=None),
    )
    die = array.fabricate(jax.random.key(1))
    generator = np.random.default_rng(0)
    x, w = (jnp.asarray(signs(generator, *shape), jnp.float32) for shape in ((5, 20), (20, 6)))
    found = group_counts(array, die, x, w)
    for turn in range(3):
        holding = dataclasses.replace(leakage, hold_time=1e-7 + turn * float(array.adc.conversion_time(20.0)))
        alone = dataclasses.replace(array, columns_per_converter=None, leakage=holding)
        shared = eqx.tree_at(lambda one: one.comparator, die, jnp.repeat(die.comparator[::3], 3))
        expected = group_counts(alone, shared, x, w)[:, turn::3]
        np.testing.assert_allclose(found[:, turn::3], expected, rtol=1e-5, atol=1e-4)
    settling = eqx.filter_jit(lambda one: one.error_variances()["settling"])
    alone, each = dataclasses.replace(array, columns_per_converter=None), []
    for turn in range(3):
        waited = 1e-7 + turn * array.turn_time
        each.append(float(settling(eqx.tree_at(lambda one: one.leakage.hold_time, alone, waited))))
    assert float(settling(array)) == pytest.approx(np.mean(each), rel=1e-4)
    assert each[2] > 1.2 * each[0]


CIRCUITS = {
    "weighted": WeightedCapacitors(2, unit_capacitance=3e-15, sharing_time=2e-12),
    "time shared": TimeSharedCharge(2, capacitance=29e-15, sharing_time=30e-12, resistance=2e3),
    "ladder": CapacitorLadder(2, unit_capacitance=4e-15, node_parasitic=1.5e-15, compensation=0.3),
}


def check_gradients(part, told):
    """Of what is told of a circuit, by all of its quantities, against differences; each quantity moves something."""
    fields = [field.name for field in dataclasses.fields(part) if eqx.is_array(getattr(part, field.name))]

    @jax.jit
    def scaled(factors):
        changed = [getattr(part, name) * factor for name, factor in zip(fields, factors, strict=True)]
        return told(eqx.tree_at(lambda one: [getattr(one, name) for name in fields], part, changed))

    at = jnp.ones(len(fields))
    slopes = np.asarray(jax.jit(jax.jacrev(scaled))(at))
    for number, name in enumerate(fields):
        step = 1e-5 * np.eye(len(fields))[number]
        differences = np.asarray(scaled(at + step) - scaled(at - step)) / 2e-5
        np.testing.assert_allclose(slopes[:, number], differences, rtol=2e-5, atol=1e-7, err_msg=name)
        assert np.any(slopes[:, number] != 0), name


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_gradients_are_differences(circuit):
    """Of the combined voltage, its noise, energy, time and area, by every quantity of each circuit."""
    volts, supply = jnp.asarray([0.2, 0.4]), 0.6
    with jax.enable_x64(True):
        lines = jnp.asarray([31e-15, 29e-15])

        def told(part):
            noise = part.sampled_noise(lines[0], jnp.asarray(300.0)) * 1e3
            cost = part.energy(jnp.asarray(supply)) * 1e15, part.time * 1e9, part.area(lines[0]) * 1e12
            return jnp.stack([part.voltage(jnp.asarray(volts, float), lines), noise, *cost])

        check_gradients(in_double(CIRCUITS[circuit]), told)


def test_gradients_of_an_array_are_differences():
    """Of values before rounding on a die, energy, time and area."""
    generator = np.random.default_rng(0)
    x, w = signs(generator, 3, 20), words(generator, 2, 20, 6)
    with jax.enable_x64(True):
        macro = dataclasses.replace(PAIR, combining=CIRCUITS["time shared"], bias_dac=BiasDac(bits=1))
        macro = in_double(dataclasses.replace(macro, second_line="differential"))
        die, probe = macro.fabricate(jax.random.key(0)), jnp.asarray(generator.normal(size=(3, 6)))

        def told(part):
            array = eqx.tree_at(lambda one: one.combining, macro, part)
            cost = array.cost(Work(DenseProduct(20, 6), 1, 20, 1.0), {})
            read = jnp.sum(probe * group_counts(array, die, x, w))
            return jnp.stack([read, cost.energy * 1e12, cost.seconds * 1e6, array.area * 1e9])

        check_gradients(macro.combining, told)


@pytest.mark.parametrize(
    "part",
    [WeightedCapacitors(2, node_parasitic=0.0, resistance=0.0), CapacitorLadder(2, node_parasitic=0.0)],
    ids=["weighted", "ladder"],
)
def test_gradients_through_a_read_are_finite_at_the_edge(part):
    generator = np.random.default_rng(0)
    x, w = signs(generator, 3, 20), words(generator, 2, 20, 6)
    array = dataclasses.replace(PAIR, combining=part)
    die, operands = array.fabricate(jax.random.key(0)), of_signs(x, w, 2)

    def loss(array):
        return jnp.sum(array.multiply(operands, die=die, key=jax.random.key(1)) ** 2)

    found = eqx.filter_jit(eqx.filter_grad(loss))(array)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(found))
    assert float(jnp.abs(found.combining.unit_capacitance)) > 0


def test_a_network_runs_on_combined_columns_and_shared_converters():
    generator = np.random.default_rng(0)
    params = [jnp.asarray(generator.normal(size=size), jnp.float32) for size in ((24, 10),)]

    def network(params, x):
        return jnp.maximum(x @ params[0], 0.0)

    macro = SwitchedCapacitor(
        rows=32,
        columns=24,
        weight_bits=4,
        input_bits=4,
        weight_coding="ternary",
        combining=TimeSharedCharge(3),
        columns_per_converter=6,
        banks=Banks(number=4),
        second_line="differential",
    )
    x = jnp.asarray(generator.normal(size=(16, 24)), jnp.float32)
    plain = dataclasses.replace(macro, combining=None, columns_per_converter=None)
    ideal = [np.asarray(amsim.deploy(network, params, one.ideal())(x)) for one in (macro, plain)]
    np.testing.assert_allclose(ideal[0], ideal[1], rtol=1e-4, atol=1e-4)
    chip = amsim.deploy(network, params, macro, key=jax.random.key(0))
    noisy = np.asarray(chip(x, key=jax.random.key(1)))
    # A small layer of 4-bit words through 8-bit converters.
    assert 0.001 < np.std(noisy - ideal[0]) / np.std(ideal[0]) < 0.5


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"combining": WeightedCapacitors(3)}, "divides the 2 bipolar digits of 2-bit weights, but joins 3"),
        ({"combining": WeightedCapacitors(5), "weight_bits": 5}, "divides the 12 columns, but joins 5"),
        ({"weight_bits": 1}, "divides the 1 bipolar digits"),
        ({"weight_bits": 4, "weight_coding": "ternary"}, "divides the 3 ternary digits of 4-bit weights, but joins 2"),
        ({"adc": None}, "`adc` must be given with `combining`"),
        ({"combining": 2}, "combining"),
        ({"drivers": Drivers(supply_resistance=10.0)}, "`combining` must be None, or join one bit"),
        ({"adc": SarAdc(bits=8, input_capacitance=1e-14)}, "`adc` must have no `input_capacitance` with `combining`"),
        ({"comparator": Comparator(trim=Trim(supply=0.7))}, "a trim without a `temperature` and `supply`"),
        ({"columns_per_converter": 3}, "`columns_per_converter` must divide the 12 columns into whole groups of 2"),
        ({"columns_per_converter": 8}, "`columns_per_converter` must divide"),
        ({"columns_per_converter": 0}, "`columns_per_converter` must be an integer of at least 1"),
        (
            {
                "combining": None,
                "columns_per_converter": 2,
                "drivers": Drivers(supply_resistance=10.0),
                "leakage": Leakage(),
            },
            "`columns_per_converter` must be None",
        ),
    ],
)
def test_what_cannot_be_is_refused(given, text, as_a_user_runs_it):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(PAIR, **given)


def test_more_of_what_cannot_be_is_refused(as_a_user_runs_it):
    with pytest.raises(ValueError, match="`bits` must be an integer from 1 to 16"):
        TimeSharedCharge(17)
    other = dataclasses.replace(PAIR, combining=None).fabricate(jax.random.key(0))
    with pytest.raises(ValueError, match="for its part `combining`, but has none"):
        PAIR.matmul(np.ones((1, 20)), np.ones((20, 2)), die=other)
    with pytest.raises(ValueError, match="`combining`"):
        spice.write(PAIR, None, np.ones((2, 1), int), np.ones((1, 2), int), "unused.cir")
    uneven = SwitchedCapacitor(rows=4, columns=6, weight_bits=4, weight_coding="auto", combining=TimeSharedCharge(3))
    with pytest.raises(ValueError, match="divides the 4 bipolar digits of these weights, but joins 3"):
        uneven.multiply(of_signs(np.ones((1, 4)), -8 * np.ones((4, 2)), 4))
    shared = SwitchedCapacitor(rows=4, columns=6, columns_per_converter=3)
    assert not shared.decides
    assert dataclasses.replace(shared, adc=None).decides
    with pytest.raises(ValueError, match="cannot decide"):
        shared.decide(np.ones((1, 4)), np.ones((4, 2)))
