"""Drift of trimmed comparators with temperature and supply, against a plain NumPy trim and against its closed form."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from switched_capacitor_calls import margin

import amsim
from amsim import circuits
from amsim.circuits import Adc, Comparator, Leakage, ResetSwitch, SwitchedCapacitor, Trim
from amsim.circuits.charge.comparator_sizes import ComparatorSizes
from amsim.circuits.charge.latch_noise import bias_slopes, current_over_transconductance
from amsim.circuits.contract.error_sources import with_scaled_sources, without_sources

ROWS, COLUMNS = 16, 256
BOLTZMANN, CHARGE = 1.380649e-23, 1.602176634e-19
TRIM = Trim(bits=7, averages=1e6, temperature=300.0, supply=0.6)
DRIFTING = Comparator(noise=0.2e-3, offset_sigma=8e-3, trim=TRIM, temperature_drift=20e-6, supply_drift=8e-3)
WARM = SwitchedCapacitor(
    rows=ROWS,
    columns=COLUMNS,
    mismatch_coefficient=0.0,
    bias_dac=circuits.BiasDac(bits=1, lsb=1e-6),
    comparator=DRIFTING,
    temperature=350.0,
    supply=0.66,
)
LEAKING = dataclasses.replace(
    WARM,
    reset=ResetSwitch(spread=0.4, channel_capacitance=2e-15),
    leakage=Leakage(hold_time=3e-7, spread=0.4),
)


@eqx.filter_jit
def shifts(array, die):
    """Volts by which each column's decision is off."""
    still = jnp.zeros(array.columns)
    read = margin(array, jnp.zeros((1, ROWS)), jnp.ones((ROWS, array.columns)), jnp.ones(array.columns), still, die)
    return read[0] / array.counts_per_volt


def trimmed_by_hand(offsets, drift, trim=TRIM):
    step = 2 * float(trim.range) / 2**trim.bits
    codes = np.clip(np.round(offsets / step), -(2**trim.bits) // 2, 2**trim.bits // 2 - 1)
    return offsets - codes * step + drift


@pytest.mark.parametrize("kind", ["none", "differential"])
def test_each_column_drifts_by_its_own_draws(kind):
    array = dataclasses.replace(WARM, second_line=kind)
    die = array.fabricate(jax.random.key(0))
    offsets, draws = 8e-3 * np.asarray(die.comparator), np.asarray(die.drift)
    drift = 20e-6 * draws[:, 0] * (350.0 - 300.0) + 8e-3 * draws[:, 1] * (0.66 - 0.6)
    # The trim's measurement is as good as exact, but for offsets between two codes.
    near = np.abs(np.abs(np.mod(offsets / 0.5e-3, 1.0)) - 0.5) < 0.01
    found = np.asarray(shifts(array, die))
    np.testing.assert_allclose(found[~near], trimmed_by_hand(offsets, drift)[~near], atol=2e-6)
    assert drift.std() > 5 * 1e-4


@pytest.mark.parametrize("kind", ["none", "differential"])
def test_nothing_drifts_where_the_trim_was_under_the_conditions_of_use(kind):
    used = dataclasses.replace(LEAKING, second_line=kind, reference_tracking=1.0)
    die = used.fabricate(jax.random.key(1))

    def with_trim(**conditions):
        trim = dataclasses.replace(TRIM, **conditions)
        return dataclasses.replace(used, comparator=dataclasses.replace(DRIFTING, trim=trim))

    again, same = with_trim(temperature=None, supply=None), with_trim(temperature=350.0, supply=0.66)
    np.testing.assert_allclose(shifts(same, die), shifts(again, die), atol=1e-7)
    assert np.abs(np.asarray(shifts(used, die)) - np.asarray(shifts(again, die))).max() > 1e-3
    for name, value in same.error_variances(readout="comparator").items():
        expected = 0.0 if name == "offset drift" else float(again.error_variances(readout="comparator")[name])
        assert float(value) == pytest.approx(expected, rel=1e-4, abs=1e-6), name
    assert "offset drift" not in again.error_variances(readout="comparator")


@pytest.mark.parametrize("kind", ["none", "differential"])
def test_spread_over_dies_is_the_closed_form(kind):
    """Offset, switch and leakage, each trimmed cold and read warm; leakage has grown 36 times."""
    array = dataclasses.replace(LEAKING, second_line=kind)
    assert float(array.nominal.leaked_drop(array.total_capacitance)) > 20 * float(
        array.at_trim.nominal.leaked_drop(array.total_capacitance)
    )
    found = np.concatenate(
        [np.asarray(shifts(array, array.fabricate(key))) for key in jax.random.split(jax.random.key(2), 16)]
    )
    variances = array.error_variances(readout="comparator")
    expected = sum(float(variances[name]) for name in ("comparator offset", "offset drift"))
    spread = found.std() * float(array.counts_per_volt)
    assert spread == pytest.approx(math.sqrt(expected), rel=4 / math.sqrt(2 * found.size))
    assert float(variances["offset drift"]) < 0.9 * expected
    trimmed_there = dataclasses.replace(TRIM, temperature=None, supply=None)
    again = dataclasses.replace(array, comparator=dataclasses.replace(DRIFTING, trim=trimmed_there))
    assert expected > 2 * float(again.error_variances(readout="comparator")["comparator offset"])


def test_what_lines_have_in_common_drifts_against_a_fixed_reference():
    """A fixed level does not follow what the switch and the leak have become since the trim."""
    quiet = dataclasses.replace(DRIFTING, offset_sigma=0.0, temperature_drift=0.0, supply_drift=0.0)
    fixed = dataclasses.replace(LEAKING, comparator=quiet, reference_tracking=0.0)
    fixed = dataclasses.replace(fixed, reset=ResetSwitch(spread=0.0), leakage=Leakage(hold_time=3e-7, spread=0.0))
    moved = float(fixed.common_shift(fixed.nominal)) - float(fixed.at_trim.common_shift(fixed.at_trim.nominal))
    found = np.asarray(shifts(fixed, fixed.fabricate(jax.random.key(3))))
    line = float(fixed.nominal.gain) - 1.0
    middle = line * ROWS / float(fixed.counts_per_volt)
    assert abs(moved) > 1e-3
    # Within half a code, and beside the droop of the line itself, which no trim sees.
    np.testing.assert_allclose(found - middle, moved, atol=0.26e-3)


def test_the_sources_of_error_know_it():
    die = WARM.fabricate(jax.random.key(4))
    still = without_sources(WARM, {"offset drift"})
    half = with_scaled_sources(WARM, {"offset drift": 0.5})
    full, less, none = (np.asarray(shifts(one, die)) for one in (WARM, half, still))
    np.testing.assert_allclose(full - none, 2 * (less - none), atol=1e-7)
    assert np.std(full - none) == pytest.approx(math.hypot(20e-6 * 50, 8e-3 * 0.06), rel=0.2)
    budget = amsim.noise_budget(WARM, readout="comparator")
    expected = math.hypot(20e-6 * 50, 8e-3 * 0.06) * float(WARM.counts_per_volt)
    assert math.sqrt(float(budget["variance"].sel(source="offset drift"))) == pytest.approx(expected, rel=1e-5)
    # An array without thermal noise is at 0 K; its offsets and its leakage stay as far from the trim as they are.
    cold = without_sources(LEAKING, {"thermal noise"})
    drawn = LEAKING.fabricate(jax.random.key(5))
    assert float(cold.temperature) == 0.0
    np.testing.assert_allclose(shifts(cold, drawn), shifts(LEAKING, drawn), atol=1e-6)


def test_slopes_of_the_bias_are_those_of_its_formula():
    with jax.enable_x64(True):
        volts, kelvin = np.linspace(0.1, 1.2, 12), np.linspace(230.0, 400.0, 12)
        by_temperature, by_supply = bias_slopes(volts, kelvin)

        def bias(supply, temperature):
            """EKV in plain NumPy, its threshold falling by 0.8 mV/K."""
            law = circuits.Process()
            slope = float(law.swing) / math.log(10) * temperature / 300
            threshold = float(law.delay_law[1]) - 0.8e-3 * (temperature - 300)
            inversion = np.logaddexp(0, (supply / 2 - threshold) / (2 * slope))
            return slope * inversion / -np.expm1(-inversion)

        np.testing.assert_allclose(bias(volts, 300.0), current_over_transconductance(volts), rtol=1e-9)
        np.testing.assert_allclose(
            by_supply, (bias(volts + 1e-5, kelvin) - bias(volts - 1e-5, kelvin)) / 2e-5, rtol=1e-6
        )
        np.testing.assert_allclose(
            by_temperature, (bias(volts, kelvin + 1e-3) - bias(volts, kelvin - 1e-3)) / 2e-3, rtol=1e-6
        )
    # Weak inversion is n k / q; in float32 too.
    weak = 85e-3 / math.log(10) / 300
    np.testing.assert_allclose(bias_slopes(0.0, 300.0)[0], weak, rtol=0.03)
    assert weak > BOLTZMANN / CHARGE


def test_sizes_give_the_drift():
    sizes = ComparatorSizes(pair_width=1e-6, pair_length=0.1e-6, latch_width=0.5e-6, latch_length=0.1e-6)
    comparator = Comparator.sized(sizes)
    slopes = bias_slopes(0.6, 300.0)
    for name, slope in (("temperature_drift", slopes[0]), ("supply_drift", slopes[1])):
        # 1 % um over the root of 0.1 um^2.
        assert float(getattr(comparator, name)) == pytest.approx(0.01 / math.sqrt(0.1) * float(slope), rel=1e-5)
    assert np.isfinite(float(Comparator.sized(dataclasses.replace(sizes, temperature=0.0)).temperature_drift))


@pytest.mark.slow  # compiles many programs
def test_gradients_of_every_new_parameter_are_those_of_differences():
    with jax.enable_x64(True):
        array = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), dataclasses.replace(LEAKING, columns=8))
        die = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), array.fabricate(jax.random.key(6)))

        def placed(numbers):
            where = lambda one: (  # noqa: E731
                one.comparator.temperature_drift,
                one.comparator.supply_drift,
                one.comparator.trim.temperature,
                one.comparator.trim.supply,
            )
            return eqx.tree_at(where, array, tuple(numbers))

        @jax.jit
        def outputs(numbers):
            changed = placed(numbers)
            closed = sum(changed.error_variances(readout="comparator").values())
            return jnp.append(shifts(changed, die) * 1e3, closed)

        start = np.array([20e-6, 8e-3, 300.0, 0.6])
        slopes = np.asarray(jax.jacrev(outputs)(jnp.asarray(start)))
        for number, value in enumerate(start):
            step = np.zeros(4)
            step[number] = 1e-6 * value
            difference = (outputs(start + step) - outputs(start - step)) / (2e-6 * value)
            np.testing.assert_allclose(slopes[:, number], difference, rtol=1e-5, atol=1e-9)
            assert np.any(slopes[:, number] != 0)


def test_a_die_without_drift_is_refused(as_a_user_runs_it):
    old = dataclasses.replace(WARM.fabricate(jax.random.key(0)), drift=None)
    with pytest.raises(ValueError, match="without the drift of its comparators"):
        dataclasses.replace(WARM, adc=Adc()).matmul(np.ones((1, 2)), np.ones((2, 1)), die=old)
    for wrong in ({"temperature": -1.0}, {"supply": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            dataclasses.replace(TRIM, **wrong)
    for wrong in ({"temperature_drift": -1.0}, {"supply_drift": np.nan}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            dataclasses.replace(DRIFTING, **wrong)
