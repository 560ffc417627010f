"""Effects of a switched-capacitor array against one explicit line for each column, and against closed-form noise."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import constants

from amsim.circuits import (
    BiasDac,
    ChargeLine,
    Comparator,
    DenseProduct,
    Drivers,
    Faults,
    Layout,
    Leakage,
    Neuron,
    Operands,
    ResetSwitch,
    SwitchedCapacitor,
    Trim,
    ValueRange,
)
from amsim.circuits.charge.charge_line import matched_time_constant
from amsim.noise.switching import exponential_approach, leakage_drop, leakage_growth, settled_fraction

SIGNS = ValueRange(-1.0, 1.0)
ROWS, COLUMNS = 12, 3
BASE = {
    "rows": ROWS,
    "columns": COLUMNS,
    "mismatch_coefficient": 0.05 * math.sqrt(1e-15),
    "bias_dac": BiasDac(bits=3),
    "comparator": Comparator(noise=0.0, offset_sigma=2e-3, trim=None),
    "line_parasitic": 6e-15,
}
FAST, SLOW = 1e6, 2e9
EFFECTS = {
    "settled": {},
    "drivers": {"drivers": Drivers(resistance=3e5, spread=0.2), "clock": SLOW},
    "matched drivers": {"drivers": Drivers(resistance=3e5, spread=0.0), "clock": SLOW},
    "rail": {"drivers": Drivers(resistance=1.0, spread=0.0, supply_resistance=5e4), "clock": SLOW},
    "droop": {"leakage": Leakage(hold_time=2e-6, off_resistance=2e8, current=0.0), "temperature": 320.0},
    "leakage": {"leakage": Leakage(hold_time=2e-6, off_resistance=1e15, current=1e-9, spread=0.5)},
    "reset": {"reset": ResetSwitch(resistance=1e6, channel_capacitance=0.5e-15, spread=0.2), "clock": 4e7},
    "kickback": {"comparator": Comparator(noise=0.0, trim=None, kickback=50e-3)},
    "layout": {"layout": Layout(linear_gradient=0.03, quadratic_gradient=0.02, correlated_sigma=0.02)},
}


def explicit_line(macro, die, column):
    """The capacitors of one column in farads, the last of them the bias DAC's; nominal when the die is None."""
    units = np.ones(macro.rows)
    sizes = np.asarray(macro.bias_dac.section_units(), float)
    bias = sizes.copy()
    if die is not None:
        sigma = float(macro.mismatch_coefficient) / math.sqrt(float(macro.unit_capacitance))
        units = 1 + sigma * np.asarray(die.units)[:, column]
        if macro.layout is not None:
            units = units + np.asarray(macro.layout.errors(die.layout, macro.rows, macro.columns))[:, column]
        bias = sizes + sigma * np.sqrt(sizes) * np.asarray(die.bias)[column]
    feed = 0.0 if macro.reset is None else macro.reset.feedthrough_capacitance
    return ChargeLine(
        float(macro.unit_capacitance) * np.concatenate([units, bias]),
        parasitic=macro.rows * macro.cell_parasitic + macro.line_parasitic,
        supply=macro.supply,
        feedthrough_capacitance=feed,
    )


def voltage(macro, die, column, high):
    """Line at the decision above its reset level, by the functions of one explicit line; `high` cells, then bias."""
    line, draw = explicit_line(macro, die, column), (lambda draws: 0.0 if die is None else draws(die))
    value = line.settled_voltage(high)
    time = macro.evaluation_time
    if macro.drivers is not None:
        sizes = np.asarray(macro.bias_dac.section_units())
        spread = float(macro.drivers.spread)
        units = 1 + spread * draw(lambda d: np.asarray(d.unit_drivers)[:, column]) * np.ones(macro.rows)
        bias = (1 + spread * draw(lambda d: np.asarray(d.bias_drivers)[column])) / sizes
        resistances = float(macro.drivers.resistance) * jnp.asarray(np.concatenate([units, bias]))
        value = line.settling(high, time, resistances, macro.drivers.supply_resistance)
        # Evaluations with half of the cells high, as far as the drivers have not taken their charges back: of what is
        # left on the bottom plates, as volts on the line, each line takes its parasitic's part away.
        nominal = explicit_line(macro, None, 0)
        middle = jnp.concatenate([jnp.full(macro.rows, 0.5), jnp.full(macro.bias_dac.bits, 0.5), jnp.zeros(1)])
        branch = macro.drivers.resistance * macro.unit_capacitance
        settled, left = nominal.settled_voltage(middle), 0.0
        gain = nominal.settling_matched(middle, time, branch) / settled
        for _ in range(40):
            taken = nominal.parasitic / nominal.total_capacitance * gain * (settled + left)
            left = (left - taken) * jnp.exp(-macro.reset_time / branch)
        value = value + macro.nominal.gain * left
    if macro.reset is not None:
        charge = 1 + macro.reset.spread * draw(lambda d: d.switch[column])
        injected = macro.reset.injected_fraction * macro.reset.channel_capacitance * macro.reset.overdrive
        # The closing switch takes back what the opening one leaves, so that an incomplete reset adds nothing.
        value = value + charge * (line.feedthrough_step(-macro.reset.clock_swing) - injected / line.total_capacitance)
    if macro.leakage is not None:
        growth = leakage_growth(macro.temperature, macro.leakage.temperature_scale)
        current = macro.leakage.current * growth * (1 + macro.leakage.spread * draw(lambda d: d.leakage[column]))
        value = line.leaked_voltage(value, macro.leakage.hold_time, current, macro.leakage.off_resistance / growth)
    kick = macro.comparator.kickback
    kick = 0.0 if kick is None else kick * (macro.comparator.input_capacitance / line.total_capacitance)
    return value + kick + draw(lambda d: macro.comparator.offset_sigma * d.comparator[column])


def counts_by_voltages(macro, die, column, products, levels):
    """Counts above a reference that follows a replica, half of whose driven cells are high, as far as asked for."""
    spare = jnp.zeros(macro.rows - products.size)
    bias = (jnp.asarray(levels, float) + 1) / 2
    bias = bias.at[-1].set(levels[-1] / 2)
    high = jnp.concatenate([(1 + jnp.asarray(products, float)) / 2, spare, bias])
    half = jnp.concatenate([jnp.full(products.size, 0.5), spare, jnp.full(macro.bias_dac.bits, 0.5), jnp.zeros(1)])
    fixed = explicit_line(macro, None, 0).settled_voltage(half)
    replica = voltage(macro, None, 0, half)
    reference = fixed + macro.reference_tracking * (replica - fixed)
    return (voltage(macro, die, column, high) - reference) * macro.counts_per_volt


@eqx.filter_jit
def margin(macro, operands, neuron, die=None):
    return macro.margin(operands, neuron, die=die)


@eqx.filter_jit
def matmul(macro, inputs, weights, die=None):
    return macro.matmul(inputs, weights, die=die)


SLOW_ENDS = [pytest.param(end, marks=pytest.mark.slow) for end in (0.0, 1.0)]  # 0.6 has both of what they have


@pytest.mark.sampled(6)
@pytest.mark.parametrize("tracking", [0.6, *SLOW_ENDS])
@pytest.mark.parametrize("effect", EFFECTS)
def test_a_decision_sees_the_explicit_line(effect, tracking):
    random = np.random.default_rng(1)
    with jax.enable_x64(True):
        macro = SwitchedCapacitor(**(BASE | {"reference_tracking": tracking} | EFFECTS[effect]))
        macro = jax.tree.map(lambda leaf: leaf.astype(float), macro)
        die = macro.fabricate(jax.random.key(2))
        inputs, weights = random.choice([-1.0, 1.0], (4, 9)), random.choice([-1.0, 1.0], (9, 5))
        inputs[0, :2] = 0
        # An odd number of rows and an even shift: the exact threshold is the one that the DAC realises.
        neuron = Neuron(jnp.ones(5), jnp.full(5, -2.0))
        operands = Operands(DenseProduct(9, 5), jnp.asarray(inputs), jnp.asarray(weights), SIGNS)
        found = macro.margin(operands, neuron, die=die)
        levels = np.asarray(macro.bias_dac.levels(jnp.asarray(-2.0)))
        expected = [
            [counts_by_voltages(macro, die, c % COLUMNS, inputs[b] * weights[:, c], levels) for c in range(5)]
            for b in range(4)
        ]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(macro.margin(operands, neuron, die=macro.prepare(die)), found)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("effect", [name for name in EFFECTS if name not in ("settled", "layout")])
def test_a_nominal_array_has_the_effects_of_nominal_lines(effect):
    """Without a die, and with a reference that does not follow, so that every common effect shows."""
    with jax.enable_x64(True):
        macro, without = (
            jax.tree.map(
                lambda leaf: leaf.astype(float), SwitchedCapacitor(**(BASE | {"reference_tracking": 0.0} | more))
            )
            for more in (EFFECTS[effect], {})
        )
        # Of the shapes above, whose operations are compiled.
        inputs, weights = jnp.ones((4, 9)), jnp.ones((9, 5))
        neuron = Neuron(jnp.ones(5), jnp.zeros(5))
        found = macro.margin(Operands(DenseProduct(9, 5), inputs, weights, SIGNS), neuron)
        levels = np.asarray(macro.bias_dac.levels(jnp.asarray(0.0)))
        expected = counts_by_voltages(macro, None, 0, np.ones(9), levels)
        settled = counts_by_voltages(without, None, 0, np.ones(9), levels)
    np.testing.assert_allclose(found, np.full((4, 5), expected), atol=1e-6)
    assert abs(float(expected) - float(settled)) > 0.05


def quiet(**settings):
    return SwitchedCapacitor(
        **{
            "rows": 64,
            "columns": 32,
            "comparator": Comparator().ideal(),
            "temperature": 0.0,
            "mismatch_coefficient": 0.0,
        }
        | settings
    )


def reads(macro, sums=0, count=2000, seed=0):
    """Margins of one sum on every column, read many times."""
    inputs, weights = one_sum(macro, sums)
    return np.asarray(noise_of_reads(macro, inputs, weights, jax.random.split(jax.random.key(seed), count)))


@eqx.filter_jit
def noise_of_reads(macro, inputs, weights, keys):
    operands = Operands.dense(inputs, weights)
    neuron = Neuron(jnp.ones(macro.columns), jnp.zeros(macro.columns))
    return jax.vmap(lambda key: macro.margin(operands, neuron, key=key)[0])(keys) - macro.margin(operands, neuron)


def test_driver_noise_is_that_of_the_equilibrium():
    """Reset and drivers together: kT over the grounded part of the line alone."""
    macro = quiet(temperature=300.0, drivers=Drivers(resistance=1.0, spread=0.0))
    grounded = 64 * 0.3e-15 + 2.04e-15
    expected = math.sqrt(constants.k * 300 / grounded) * float(macro.counts_per_volt)
    assert float(macro.sampled_noise_counts) == pytest.approx(expected, rel=1e-5)
    found = reads(macro)
    assert found.std() == pytest.approx(expected, rel=4 / math.sqrt(2 * found.size))
    half = dataclasses.replace(macro, drivers=Drivers(resistance=1.0, spread=0.0, noise_fraction=0.0))
    total = float(macro.total_capacitance)
    expected = math.sqrt(constants.k * 300 / total) * float(macro.counts_per_volt)
    assert float(half.sampled_noise_counts) == pytest.approx(expected, rel=1e-5)


def test_slow_drivers_keep_part_of_the_sums_before():
    """One count^2 for each row of independent operands before, times what the drivers leave of the line's charges."""
    macro = quiet(drivers=Drivers(resistance=1e6, spread=0.0, noise_fraction=0.0), clock=1e9, cell_parasitic=20e-15)
    once, gain = math.exp(-1.0), float(macro.nominal.gain)
    share = (64 * 20e-15 + 2.04e-15) / float(macro.total_capacitance)
    assert share * once > 0.1
    found = reads(macro)
    left, squares = share * gain * once, 0.0
    for _ in range(40):
        # What a sum has left acts on each line after it, whose parasitic takes a part of it away.
        squares, left = squares + left**2, once * (left - share * gain * left)
    expected = 8 * gain * math.sqrt(squares)
    assert found.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * found.size) + 0.001)


def test_supply_noise_is_one_gain_error_for_all_columns():
    macro = quiet(supply_noise=6e-3)
    found = reads(macro, sums=40)
    # One draw for each evaluation moves every column alike, in proportion to its sum and bias.
    assert np.ptp(found, axis=1).max() < 1e-4
    neuron = Neuron(jnp.ones(macro.columns), jnp.zeros(macro.columns))
    shifted = float(margin(macro, Operands.dense(*one_sum(macro, 40)), neuron)[0, 0])
    assert found[:, 0].std() == pytest.approx(0.01 * shifted, rel=5 / math.sqrt(2 * len(found)))
    fixed = dataclasses.replace(macro, reference_tracking=0.0)
    middle = 64 + 511
    assert reads(fixed, sums=40)[:, 0].std() == pytest.approx(0.01 * (shifted + middle), rel=5 / math.sqrt(4000))


def one_sum(macro, sums):
    inputs = jnp.where(jnp.arange(macro.rows) < (macro.rows + sums) // 2, 1.0, -1.0)[None]
    return inputs, jnp.ones((macro.rows, macro.columns))


def test_trim_takes_away_what_switches_and_leakage_add():
    """The trim measures the whole offset: a switch's charge that the reference does not follow is gone after it."""
    switch = ResetSwitch(feedthrough_capacitance=2e-15, spread=0.3)
    loose = quiet(reset=switch, reference_tracking=0.0, comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=None))
    trimmed = dataclasses.replace(loose, comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=Trim(bits=12)))
    die = loose.fabricate(jax.random.key(0))
    step = float(trimmed.comparator.trim.step) * float(loose.counts_per_volt)
    assert np.abs(loose.prepare(die).offset).min() > 5 * step
    assert np.abs(trimmed.prepare(die).offset).max() <= step / 2 * 1.001


def test_stuck_cells_and_dead_columns():
    macro = quiet(faults=Faults(stuck_high=0.1, stuck_low=0.05, dead_column=0.2))
    die = macro.fabricate(jax.random.key(3))
    stuck, dead = np.asarray(macro.faults.cell_states(die.faults)), np.asarray(macro.faults.column_states(die.faults))
    assert set(np.unique(stuck)) == set(np.unique(dead)) == {-1.0, 0.0, 1.0}
    random = np.random.default_rng(0)
    inputs, weights = random.choice([-1.0, 1.0], (20, 64)), random.choice([-1.0, 1.0], (64, 32))
    neuron, product = Neuron(jnp.ones(32), jnp.ones(32)), DenseProduct(64, 32)
    operands = Operands(product, jnp.asarray(inputs, jnp.float32), jnp.asarray(weights, jnp.float32))
    found = np.asarray(margin(macro, operands, neuron, die=die))
    cells = np.where(stuck == 0, inputs[:, :, None] * weights[None], stuck[None])
    expected = cells.sum(axis=1) + 1
    alive = dead == 0
    # On spare rows a cell that is stuck high goes high too, and one that is stuck low does as all others do.
    fewer = (jnp.asarray(v, jnp.float32) for v in (inputs[:, :40], weights[:40]))
    some = margin(macro, Operands(DenseProduct(40, 32), *fewer), neuron, die=die)
    spare = 2 * (stuck[40:] > 0).sum(axis=0)
    np.testing.assert_allclose(np.asarray(some)[:, alive], (cells[:, :40].sum(axis=1) + 1 + spare)[:, alive], atol=1e-3)
    np.testing.assert_allclose(found[:, alive], expected[:, alive], atol=1e-3)
    assert np.array_equal(np.sign(found[:, ~alive]), np.broadcast_to(dead[~alive], (20, (~alive).sum())))
    numbers = matmul(macro, inputs, weights, die=die)
    # The converter's ends lie beyond the line's: 256 levels of one cell for 64 rows.
    assert np.all(np.asarray(numbers)[:, dead > 0] == 64 / 2 * 2 + 2 * 127 - 64)
    assert np.all(np.asarray(numbers)[:, dead < 0] == 64 / 2 * 2 - 2 * 128 - 64)


def test_one_effect_alone_is_its_own_formula_to_the_bit():
    """What drivers, leak and rail do together changes nothing where only one of them is on."""
    leaking, driven = (
        quiet(leakage=Leakage(hold_time=2e-6, off_resistance=1e8), temperature=300.0),
        quiet(drivers=Drivers(resistance=1e6), clock=2e10),
    )
    total, leak = leaking.total_capacitance, leaking.leakage
    droop = leak.off_resistance * total
    assert float(leaking.nominal.gain) == float(exponential_approach(1.0, 0.0, leak.hold_time, droop)) < 1
    assert (
        float(leaking.nominal.leaked_drop(total)) == float(leakage_drop(leak.current, leak.hold_time, total, droop)) > 0
    )
    own = matched_time_constant(
        driven.drivers.resistance * driven.unit_capacitance, driven.parasitic_capacitance, driven.total_capacitance
    )
    assert float(driven.nominal.gain) == float(settled_fraction(driven.evaluation_time, own)) < 1
    assert float(leaking.nominal.droop_shift) == float(driven.nominal.droop_shift) == 0


def test_every_part_at_once_works_without_a_die():
    macro = quiet(drivers=Drivers(), reset=ResetSwitch(), leakage=Leakage(), layout=Layout(), faults=Faults())
    inputs = np.ones((1, 64))
    np.testing.assert_allclose(matmul(macro, inputs, np.ones((64, 2))), 64)


def test_effects_that_are_off_leave_no_operation():
    """The program of a read without parts is the one of parts that were never thought of: None is not zero."""
    plain = SwitchedCapacitor(rows=16, columns=4)
    on = dataclasses.replace(plain, drivers=Drivers(), leakage=Leakage(), supply_noise=1e-3)

    def operations(macro):
        read = jax.make_jaxpr(lambda x, w, key: macro.matmul(x, w, key=key))
        return len(str(read(jnp.ones((2, 16)), jnp.ones((16, 4)), jax.random.key(0))).splitlines())

    off = dataclasses.replace(on, drivers=None, leakage=None, supply_noise=None)
    assert operations(off) == operations(plain) < operations(on)


def test_a_die_of_other_parts_is_refused():
    macro = quiet(drivers=Drivers())
    with pytest.raises(ValueError, match="without its part `drivers`; fabricate it from this macro"):
        macro.matmul(np.ones((1, 64)), np.ones((64, 2)), die=quiet().fabricate(jax.random.key(0)))


PARAMETERS = {
    "resistance": lambda m: m.drivers.resistance,
    "driver spread": lambda m: m.drivers.spread,
    "supply_resistance": lambda m: m.drivers.supply_resistance,
    "noise_fraction": lambda m: m.drivers.noise_fraction,
    "reset resistance": lambda m: m.reset.resistance,
    "feedthrough": lambda m: m.reset.feedthrough_capacitance,
    "clock_swing": lambda m: m.reset.clock_swing,
    "channel": lambda m: m.reset.channel_capacitance,
    "overdrive": lambda m: m.reset.overdrive,
    "switch spread": lambda m: m.reset.spread,
    "hold_time": lambda m: m.leakage.hold_time,
    "off_resistance": lambda m: m.leakage.off_resistance,
    "current": lambda m: m.leakage.current,
    "leakage spread": lambda m: m.leakage.spread,
    "supply_noise": lambda m: m.supply_noise,
    "tracking": lambda m: m.reference_tracking,
    "linear_gradient": lambda m: m.layout.linear_gradient,
    "correlated_sigma": lambda m: m.layout.correlated_sigma,
    "temperature": lambda m: m.temperature,
    "clock": lambda m: m.clock,
    "kickback": lambda m: m.comparator.kickback,
    "unit_capacitance": lambda m: m.unit_capacitance,
}


@pytest.mark.parametrize("quantity", ["line", "noise"])
def test_derivatives_by_every_part_agree_with_central_differences(quantity):
    random = np.random.default_rng(4)
    with jax.enable_x64(True):
        base = SwitchedCapacitor(
            rows=12,
            columns=5,
            clock=1e9,
            drivers=Drivers(resistance=1e5, spread=0.1, supply_resistance=1e4, noise_fraction=0.7),
            reset=ResetSwitch(resistance=5e3),
            leakage=Leakage(hold_time=1e-10, off_resistance=1e8, current=1e-10),
            supply_noise=5e-3,
            reference_tracking=0.7,
            layout=Layout(linear_gradient=0.01, correlated_sigma=0.01),
            comparator=Comparator(trim=None, kickback=5e-3),
        )
        base = jax.tree.map(lambda leaf: leaf.astype(float), base)
        inputs, weights = (jnp.asarray(random.choice([-1.0, 1.0], shape)) for shape in ((6, 12), (12, 5)))
        neuron, product = Neuron(jnp.ones(5), jnp.full(5, 1.5)), DenseProduct(12, 5)
        die, key = base.fabricate(jax.random.key(0)), jax.random.key(1)

        def statistic(logs):
            macro = base
            for place, log in zip(PARAMETERS.values(), logs, strict=True):
                macro = eqx.tree_at(place, macro, place(base) * jnp.exp(log))
            if quantity == "line":
                line = macro.margin(Operands(product, inputs, weights, SIGNS), neuron, die=die, key=key)
                return jnp.mean(line**2)
            return macro.noise_counts

        value, steps = jax.jit(statistic), 1e-4 * jnp.eye(len(PARAMETERS))
        slopes = jax.jit(jax.grad(statistic))(jnp.zeros(len(PARAMETERS)))
        differences = jnp.stack([(value(row) - value(-row)) / 2e-4 for row in steps])
    np.testing.assert_allclose(slopes, differences, rtol=1e-5, atol=1e-7 * np.abs(differences).max())
    if quantity == "line":
        assert np.count_nonzero(np.abs(slopes) > 1e-7) == len(PARAMETERS)
