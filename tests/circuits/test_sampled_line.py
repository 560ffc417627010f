"""A converter that samples the line on a capacitor of its own, against charges in NumPy and against ngspice."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import ROWS, line_array, signs
from spice_lines import needs_ngspice
from switched_capacitor_calls import margin, multiply

from amsim.circuits import (
    Adc,
    Comparator,
    DenseProduct,
    Drivers,
    Leakage,
    ResetSwitch,
    SarAdc,
    SwitchedCapacitor,
)
from amsim.circuits.contract.work import Work
from amsim.spice.simulator import simulate

COLUMNS = 6
SAMPLED = 9e-15
BOLTZMANN = 1.380649e-23
BASE = line_array(
    COLUMNS,
    comparator=Comparator(noise=0.0, offset_sigma=3e-3, trim=None),
    adc=SarAdc(bits=8, input_capacitance=SAMPLED),
)


def unsampled(array):
    return dataclasses.replace(array, adc=dataclasses.replace(array.adc, input_capacitance=None))


def sampled_volts(array, draws, high):
    """What explicit capacitors leave on C_s of what they put on a line, V; `high` is (reads, rows, columns)."""
    capacitances = 1e-15 * (1 + 0.05 * np.asarray(draws.units, float))
    parasitic = ROWS * float(array.cell_parasitic) + float(array.line_parasitic) + 1.5e-21
    total = capacitances.sum(axis=0) + parasitic
    line = float(array.supply) * (high * capacitances).sum(axis=1) / total
    return line * total / (total + SAMPLED)


@pytest.mark.parametrize("kind", ["none", "differential", "replica"])
def test_lines_share_their_charge_with_the_converter(kind):
    array = dataclasses.replace(BASE, second_line=kind, reference_tracking=1.0)
    die = array.fabricate(jax.random.key(0))
    x, w = signs(0, 20, ROWS), signs(1, ROWS, COLUMNS)
    high = (1 + x[:, :, None] * w[None]) / 2
    beside = {"none": 0.5, "differential": 1 - high, "replica": np.full_like(high, 0.5)}[kind]
    volts = sampled_volts(array, die.first, high)
    if kind == "none":
        volts = volts - float(array.supply) * ROWS / 2 / float(array.read_units)
    else:
        volts = volts - sampled_volts(array, die.second, beside)
    volts = volts + 3e-3 * np.asarray(die.comparator)
    read = margin(array, jnp.asarray(x), jnp.asarray(w), jnp.ones(COLUMNS), jnp.zeros(COLUMNS), die)
    np.testing.assert_allclose(np.asarray(read) / float(array.counts_per_volt), volts, atol=5e-6)


def test_codes_of_a_nominal_line_are_those_without_sampling():
    array = dataclasses.replace(BASE, comparator=Comparator().ideal())
    x, w = signs(2, 20, ROWS), signs(3, ROWS, COLUMNS)
    np.testing.assert_array_equal(multiply(array, x, w), multiply(unsampled(array), x, w))
    np.testing.assert_array_equal(multiply(array, x, w), x @ w)


def test_the_numbers_of_a_capacitor_of_256_units_on_512_rows():
    converter = SarAdc(bits=8)
    array = SwitchedCapacitor(rows=512, adc=converter)
    sampling = dataclasses.replace(
        array, adc=dataclasses.replace(converter, input_capacitance=converter.array_capacitance)
    )
    assert float(sampling.sampling_capacitance) == pytest.approx(256e-15)
    lost = 1 - float(sampling.sampled_fraction(sampling.total_capacitance))
    assert lost == pytest.approx(0.18, abs=0.005)
    thermal = math.sqrt(float(sampling.noise_variances()["thermal noise"])) / float(sampling.counts_per_volt)
    assert thermal == pytest.approx(127e-6, rel=0.01)
    # The comparator's noise weighs as much more as the signal is less.
    weighs = float(sampling.decision_noise_counts / array.decision_noise_counts)
    assert weighs == pytest.approx(1 / (1 - lost), rel=1e-5)


@pytest.mark.parametrize("kind", ["none", "differential"])
def test_thermal_noise_is_that_of_both_resets_and_of_the_opening_switch(kind):
    """Charges drawn one after another: line and C_s reset, joined, parted by a resistive switch."""
    array = dataclasses.replace(BASE, second_line=kind, drivers=Drivers(), temperature=350.0)
    generator, heat = np.random.default_rng(0), BOLTZMANN * 350.0
    total, volts = float(array.total_capacitance), np.zeros(200_000)
    for sign in (1, -1)[: array.lines]:
        line, sample = (generator.normal(0, math.sqrt(heat * one), volts.size) for one in (total, SAMPLED))
        passed = generator.normal(0, math.sqrt(heat * total * SAMPLED / (total + SAMPLED)), volts.size)
        volts += sign * ((line + sample) / (total + SAMPLED) + passed / SAMPLED)
    expected = np.var(volts) * float(array.counts_per_volt) ** 2
    found = array.noise_variances()
    assert float(found["thermal noise"]) == pytest.approx(expected, rel=0.01)
    assert "driver noise" not in found


@pytest.mark.parametrize("kind", ["none", "differential"])
def test_mean_square_error_is_the_predicted_one(kind):
    array = dataclasses.replace(
        BASE,
        second_line=kind,
        columns=64,
        temperature=400.0,
        comparator=Comparator(noise=6e-3, offset_sigma=12e-3, trim=None),
        reset=ResetSwitch(spread=0.5, channel_capacitance=2e-15),
        leakage=Leakage(hold_time=1e-8, spread=0.5),
        adc=SarAdc(bits=8, input_capacitance=SAMPLED, mismatch_coefficient=0.0),
    )
    x, w = signs(4, 100, ROWS), signs(5, ROWS, 64)

    @jax.jit
    def errors(key):
        read = jax.random.fold_in(key, 1)
        return array.matmul(x, w, die=array.fabricate(key), key=read) - x @ w

    found = jnp.mean(jax.lax.map(errors, jax.random.split(jax.random.key(0), 60)) ** 2)
    # A search decides bit by bit, each with noise of its own: a little more than one draw.
    np.testing.assert_allclose(found, sum(array.error_variances().values()), rtol=0.08)
    less = sum(unsampled(array).error_variances().values())
    assert float(sum(array.error_variances().values())) > 1.1 * float(less)


def test_energy_is_that_of_the_charge_that_the_sample_takes():
    work, activity = Work(DenseProduct(ROWS, 1), 1, 1, 1.0), {"high_cells": jnp.asarray(5.0)}
    more = float(BASE.cost(work, activity).energy) - float(unsampled(BASE).cost(work, activity).energy)
    total, supply = float(BASE.total_units), float(BASE.supply)
    expected = 1e-15 * supply**2 * 5.0**2 * (1 / total - 1 / (total + 9.0))
    assert more == pytest.approx(expected, rel=5e-3)


@needs_ngspice
def test_a_netlist_with_a_sampling_switch_has_the_same_voltage_and_energy(tmp_path):
    """Cells behind 10 kOhm on a line; C_s joins it through 2 kOhm 5 ns after the step."""
    die = BASE.fabricate(jax.random.key(1))
    high = np.random.default_rng(0).integers(0, 2, ROWS)
    capacitances = 1e-15 * (1 + 0.05 * np.asarray(die.units[:, 0], float))
    parasitic = float(BASE.parasitic_capacitance)
    text = ["* sampled line", "VDD vdd 0 PWL(0 0 1n 0 1.001n 0.6)", "VS s 0 PWL(0 0 6n 0 6.001n 1)"]
    text += ["FQ q 0 VDD 1", "CQ q 0 1e-12", "RQ q 0 1e15", ".model sample sw vt=0.5 vh=0 ron=2e3 roff=1e18"]
    text += [f"CP line 0 {parasitic:.9g}", "RP line 0 1e18", f"CS sampled 0 {SAMPLED:.9g}", "RS sampled 0 1e18"]
    text += ["SS line sampled s 0 sample OFF"]
    for row, capacitance in enumerate(capacitances):
        text += [f"C{row} line b{row} {capacitance:.12g}", f"R{row} b{row} {'vdd' if high[row] else '0'} 1e4"]
    text += [".options method=gear abstol=1e-15 vntol=1e-9 gmin=1e-18 pivtol=1e-24", ".tran 5p 12n 0 5p uic"]
    text += [".control", "set numdgt=15", "set wr_singlescale", "set wr_vecnames", "run"]
    text += ["wrdata out.txt v(line) v(sampled) v(q)", "quit 0", ".endc", ".end"]
    (tmp_path / "deck.cir").write_text("\n".join(text) + "\n")
    found = simulate(tmp_path / "deck.cir", "out.txt", 12e-9, 3, 60.0)
    before = found[np.argmin(np.abs(found[:, 0] - 5.9e-9)), 1]
    after, charge = found[-1, 2], found[-1, 3] * 1e-12
    total = capacitances.sum() + parasitic
    assert after / before == pytest.approx(float(BASE.sampled_fraction(jnp.asarray(total))), rel=1e-4)
    np.testing.assert_allclose(found[-1, 1], after, rtol=1e-6)
    expected = sampled_volts(BASE, die.first, high[None, :, None])[0, 0]
    assert after == pytest.approx(expected, rel=1e-4)
    nominal = dataclasses.replace(BASE, mismatch_coefficient=0.0)
    units = float((capacitances * high).sum() / 1e-15)
    drawn = float(nominal.switched_units(jnp.asarray(units), float(ROWS))) * 1e-15 * 0.6**2
    assert abs(charge) * 0.6 == pytest.approx(drawn, rel=0.02)


def test_gradients_by_the_capacitance_are_those_of_differences():
    with jax.enable_x64(True):
        array = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), BASE)
        die = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), array.fabricate(jax.random.key(2)))
        x, w = jnp.asarray(signs(6, 2, ROWS), float), jnp.asarray(signs(7, ROWS, COLUMNS), float)
        work, activity = Work(DenseProduct(ROWS, 1), 1, 1, 1.0), {"high_cells": jnp.asarray(5.0)}

        @jax.jit
        def outputs(capacitance):
            changed = eqx.tree_at(lambda one: one.adc.input_capacitance, array, capacitance)
            read = margin(changed, x, w, jnp.ones(COLUMNS), jnp.zeros(COLUMNS), die)
            closed = jnp.stack(list(changed.error_variances(readout="comparator").values()))
            return jnp.concatenate([read.ravel(), closed, changed.cost(work, activity).energy[None] * 1e15])

        slopes = np.asarray(jax.jacfwd(outputs)(jnp.asarray(SAMPLED))) * SAMPLED
        difference = np.asarray(outputs(SAMPLED * 1.000001) - outputs(SAMPLED / 1.000001)) / 2e-6
        np.testing.assert_allclose(slopes, difference, rtol=1e-5, atol=1e-7)
        assert np.all(slopes[: 2 * COLUMNS] != 0)


def test_what_cannot_sample_is_refused():
    with pytest.raises(ValueError, match="`input_capacitance` must be None for the topology 'shared-line'"):
        SarAdc(topology="shared-line", input_capacitance=1e-14)
    for wrong in (0.0, -1e-15, math.nan):
        with pytest.raises(ValueError, match="`input_capacitance` must be finite and above 0"):
            SarAdc(input_capacitance=wrong)
    assert Adc().input_capacitance is None
