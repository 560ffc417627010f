"""Closed-form error of a column against the simulation it stands beside: Monte Carlo over dies, reads and operands."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config

import amsim
from amsim.circuits import (
    Adc,
    BiasDac,
    Comparator,
    DenseProduct,
    Drivers,
    Faults,
    FlashAdc,
    Layout,
    Leakage,
    Neuron,
    Operands,
    ResetSwitch,
    SarAdc,
    SingleSlopeAdc,
    SwitchedCapacitor,
    Trim,
    ValueRange,
)
from amsim.circuits.charge.column_error import error_variances, signal_to_noise

SIGNS = ValueRange(-1.0, 1.0)
QUIET = Comparator(noise=0.0, offset_sigma=0.0, trim=None)
ROWS, COLUMNS, DIES, BATCH = 96, 32, 96, 24


def silent(**settings):
    base = {"rows": ROWS, "columns": COLUMNS, "comparator": QUIET, "temperature": 0.0, "mismatch_coefficient": 0.0}
    return SwitchedCapacitor(**(base | settings))


@eqx.filter_jit
def square_error(macro, key, activity, rows, readout, dies=DIES):
    """Mean square error of each die's reads of random operands."""
    product = DenseProduct(rows, macro.columns)
    # A threshold in the middle of the bias DAC's range, where a decision is made.
    neuron = Neuron(jnp.ones(macro.columns), jnp.full(macro.columns, 1.0 - rows % 2))

    def one(key):
        die_key, x_key, read_key = jax.random.split(key, 3)
        die = macro.prepare(macro.fabricate(die_key))
        # Products are +1 with the given probability whatever the weights are.
        agree = jax.random.bernoulli(x_key, activity, (BATCH, rows))
        inputs = jnp.where(agree, 1.0, -1.0)
        weights = jnp.ones((rows, macro.columns))
        if readout == "comparator":
            found = macro.margin(Operands(product, inputs, weights, SIGNS), neuron, die=die, key=read_key)
            nominal = silent_margin(macro, product, inputs, weights, neuron)
            return jnp.mean((found - nominal) ** 2)
        found = macro.multiply(Operands(product, inputs, weights, SIGNS, SIGNS), die=die, key=read_key)
        return jnp.mean((found - inputs @ weights) ** 2)

    return jax.lax.map(one, jax.random.split(key, dies))


def silent_margin(macro, product, inputs, weights, neuron):
    ideal = dataclasses.replace(macro.ideal(), bias_dac=macro.bias_dac)
    return ideal.margin(Operands(product, inputs, weights, SIGNS), neuron)


SOURCES = {
    "sampled": {"temperature": 3e4},
    "drivers": {"temperature": 3e4, "drivers": Drivers(resistance=1.0, spread=0.0, noise_fraction=0.6)},
    "last_value": {"drivers": Drivers(resistance=1e6, spread=0.0), "clock": 1e9, "cell_parasitic": 20e-15},
    "comparator": {"comparator": Comparator(noise=1.5e-3, offset_sigma=0.0, trim=None)},
    "supply": {"supply_noise": 30e-3},
    "supply, fixed reference": {"supply_noise": 10e-3, "reference_tracking": 0.3},
    "mismatch": {"mismatch_coefficient": 0.05 * math.sqrt(1e-15)},
    "offset": {"comparator": Comparator(noise=0.0, offset_sigma=4e-3, trim=None)},
    "trimmed offset": {"comparator": Comparator(noise=6e-4, offset_sigma=8e-3, trim=Trim(bits=5, averages=16.0))},
    "switch": {"reset": ResetSwitch(resistance=5e4, channel_capacitance=4e-15, spread=0.3), "clock": 50e6},
    "leakage": {"leakage": Leakage(current=2e-8, off_resistance=1e15, spread=0.4), "temperature": 300.0},
    "linear gradient": {"layout": Layout(linear_gradient=0.03)},
    "correlated": {"layout": Layout(correlated_sigma=0.03, correlation_length=6.0)},
    "paired layout": {
        "layout": Layout(
            linear_gradient=0.3, correlated_sigma=0.03, quadratic_gradient=0.01, arrangement="common-centroid"
        )
    },
    "rail": {"drivers": Drivers(resistance=1.0, spread=0.0, supply_resistance=3e3), "clock": 1e9},
    "settling": {
        "drivers": Drivers(resistance=2.5e6, spread=0.0),
        "clock": 2.5e9,
        "reference_tracking": 0.5,
    },
    "droop": {"leakage": Leakage(current=0.0, hold_time=1e-6, off_resistance=3e7), "temperature": 300.0},
    "faults": {"faults": Faults(stuck_high=0.03, stuck_low=0.01)},
    "spare faults": {"faults": Faults(stuck_high=0.05), "rows": 160},
    "edges": {"layout": Layout(edge_error=0.05, dummies=False)},
    "kickback": {"comparator": dataclasses.replace(QUIET, kickback=0.3), "reference_tracking": 0.2},
}


PARTS_OF_OTHERS = {"correlated"}
"""Sources that are on in another one too, here the paired layout."""


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("source", "readout"),
    [
        # A program each: every source is tested through one readout, and through its other one among the slow tests.
        pytest.param(
            source, readout, marks=[pytest.mark.slow] if (number + place) % 2 or source in PARTS_OF_OTHERS else []
        )
        for number, source in enumerate(SOURCES)
        for place, readout in enumerate(("comparator", "adc"))
    ],
)
def test_simulation_has_the_predicted_error(source, readout):
    macro = silent(**SOURCES[source])
    if readout == "adc":
        # Rounding adds its twelfth when noise spreads the values between two codes.
        noisy = dataclasses.replace(macro.comparator, noise=jnp.maximum(macro.comparator.noise, 8e-4))
        macro = dataclasses.replace(macro, comparator=noisy)
    # Errors at the edges of a column are those of full columns.
    rows = ROWS if source == "edges" else 95
    for activity in (0.5, 0.3):
        # Few draws make a whole layout, so that it takes more dies.
        dies = 5 * DIES if macro.layout is not None else DIES
        measured = np.asarray(square_error(macro, jax.random.key(5), jnp.asarray(activity), rows, readout, dies), float)
        predicted = float(sum(error_variances(macro, rows=rows, activity=activity, readout=readout).values()))
        # Four standard errors over dies, and a first-order theory.
        error = 4 * measured.std() / math.sqrt(dies) + 0.05 * predicted
        assert measured.mean() == pytest.approx(predicted, abs=error), (activity, rows)
        assert error < 0.35 * predicted


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "adc",
    [
        Adc(bits=4),
        SarAdc(bits=5),
        FlashAdc(levels=15),
        SingleSlopeAdc(bits=5),
    ],
    ids=lambda adc: type(adc).__name__,
)
def test_a_coarse_converter_adds_its_quantisation(adc):
    macro = SwitchedCapacitor(rows=ROWS, columns=COLUMNS, adc=adc, comparator=Comparator(noise=1e-3), supply=0.9)
    measured = np.asarray(square_error(macro, jax.random.key(6), 0.5, ROWS, "adc"), float)
    predicted = error_variances(macro)
    total = float(sum(predicted.values()))
    error = 4 * measured.std() / math.sqrt(DIES) + 0.08 * total
    assert measured.mean() == pytest.approx(total, abs=error)
    # Sums are Gaussian, not uniform.
    assert float(predicted["quantisation"]) == pytest.approx((2 * 96 / adc.levels) ** 2 / 12, rel=1e-4)


def test_everything_together_and_wide_ranges():
    """Random designs over wide parameter ranges: the sum of all parts is what the simulation reads."""
    random = np.random.default_rng(3)
    for number in range(6):
        if number % 2 == 0:  # two designs of each program
            rows, trim_bits, dac_bits, adc_bits = random.choice([32, 64, 128]), *random.integers([4, 2, 4], 9)
        macro = SwitchedCapacitor(
            rows=int(rows),
            columns=COLUMNS,
            unit_capacitance=float(np.exp(random.uniform(np.log(0.3e-15), np.log(10e-15)))),
            mismatch_coefficient=float(random.uniform(0, 0.08)) * math.sqrt(1e-15),
            supply=float(random.uniform(0.5, 1.2)),
            temperature=float(random.uniform(230, 400)),
            comparator=Comparator(
                noise=float(random.uniform(0.1e-3, 2e-3)),
                offset_sigma=float(random.uniform(0, 10e-3)),
                trim=Trim(bits=int(trim_bits)),
            ),
            bias_dac=BiasDac(bits=int(dac_bits)),
            supply_noise=float(random.uniform(0, 10e-3)),
            reset=ResetSwitch(resistance=float(random.uniform(1e2, 1e4))),
            clock=float(random.uniform(10e6, 100e6)),
            adc=Adc(bits=int(adc_bits)),
        )
        measured = np.asarray(square_error(macro, jax.random.key(7), 0.5, macro.rows, "adc"), float)
        predicted = float(sum(error_variances(macro).values()))
        assert measured.mean() == pytest.approx(predicted, abs=4 * measured.std() / math.sqrt(DIES) + 0.08 * predicted)


def test_budget_is_labelled_and_sums_to_one():
    macro = SwitchedCapacitor(rows=256, drivers=Drivers(), leakage=Leakage(), supply_noise=5e-3)
    budget = amsim.noise_budget(macro)
    assert float(budget.share.sum()) == pytest.approx(1.0)
    assert float(budget.error_sigma) == pytest.approx(math.sqrt(float(budget.variance.sum())))
    assert float(budget.compute_snr) == pytest.approx(10 * math.log10(256 / float(budget.variance.sum())), rel=1e-5)
    assert set(budget.source.values) == {
        "thermal noise",
        "driver noise",
        "last value",
        "comparator noise",
        "supply noise",
        "capacitor mismatch",
        "comparator offset",
        "settling",
        "converter",
        "quantisation",
    }
    assert all({"units", "long_name"} <= set(budget[name].attrs) for name in budget.variables)
    noiseless = amsim.noise_budget(macro.ideal())
    assert float(noiseless.error_sigma) == 0
    assert math.isinf(float(noiseless.compute_snr))


def test_first_numbers_of_the_bankman_line():
    """facts 1.3: 0.85 % mismatch of 1024 units is 0.27 products with the gain held, kT/C about a tenth of one."""
    macro = SwitchedCapacitor(rows=1024, cell_parasitic=0.0, line_parasitic=0.0, comparator=QUIET)
    found = error_variances(macro, readout="comparator")
    # One product is two counts; half of the cells high halves the variance of the sum of all.
    sigma = math.sqrt(float(found["capacitor mismatch"])) / 2
    assert 0.27 / math.sqrt(2) * 0.6 < sigma < 0.27
    assert math.sqrt(float(found["thermal noise"])) / 2 == pytest.approx(51.9e-6 / (0.6 / 1535.5), rel=2e-3)


def test_variances_are_differentiable():
    with jax.enable_x64(True):
        macro = jax.tree.map(
            lambda leaf: leaf.astype(float),
            SwitchedCapacitor(rows=64, drivers=Drivers(), leakage=Leakage(), reset=ResetSwitch(), supply_noise=5e-3),
        )

        def total(macro):
            return sum(error_variances(macro).values())

        slopes = jax.tree.leaves(eqx.filter_jit(jax.grad(total))(macro))
        leaves, structure = jax.tree.flatten(macro)
        value = eqx.filter_jit(total)
        for number, slope in enumerate(slopes):

            def moved(by, number=number):
                changed = [leaf * (1 + by) if place == number else leaf for place, leaf in enumerate(leaves)]
                return float(value(jax.tree.unflatten(structure, changed)))

            expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
            assert float(slope * leaves[number]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rows": 0}, "`rows` must be an integer of at least 1"),
        ({"rows": 65}, "`rows` must be an integer from 1 to 64"),
        ({"activity": 1.0}, "`activity` must be between 0 and 1"),
        ({"readout": "eye"}, "`readout` must be one of adc, comparator"),
        ({"readout": "adc", "macro": SwitchedCapacitor(rows=64, adc=None)}, "it has no adc"),
        ({"macro": 3}, "`macro` must be of type CapacitorArray"),
    ],
)
def test_bad_questions_are_refused(arguments, match):
    config.update("jaxtyping_disable", True)
    with pytest.raises(ValueError, match=match):
        error_variances(**({"macro": SwitchedCapacitor(rows=64)} | arguments))


@pytest.fixture(autouse=True)
def with_type_checks():
    yield
    config.update("jaxtyping_disable", False)


def test_signal_to_noise_is_a_ratio_of_variances():
    assert float(signal_to_noise({"a": jnp.asarray(2.0), "b": jnp.asarray(8.0)}, 1000)) == pytest.approx(20.0)
