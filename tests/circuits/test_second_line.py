"""Differential pairs and replica lines against explicit capacitors in NumPy, a netlist, and closed-form moments."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import ROWS, line_array, signs
from spice_lines import needs_ngspice
from switched_capacitor_calls import margin

from amsim import spice
from amsim.circuits import (
    Adc,
    BiasDac,
    Comparator,
    DenseProduct,
    Drivers,
    Faults,
    Layout,
    Leakage,
    ResetSwitch,
    SwitchedCapacitor,
)
from amsim.circuits.contract.work import Work

COLUMNS = 3
BASE = line_array(COLUMNS, comparator=Comparator(noise=0.0, offset_sigma=3e-3, trim=None))
PAIRS = ("differential", "replica")


def line_volts(array: SwitchedCapacitor, units: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Step of lines of explicit capacitors from reset, V; `high` (reads, rows, columns) is the share of the supply."""
    capacitances = float(array.unit_capacitance) * (1 + 0.05 * units.astype(float))
    dac = float(array.unit_capacitance) * 1e-6 * 1.5
    total = capacitances.sum(axis=0) + ROWS * float(array.cell_parasitic) + float(array.line_parasitic) + dac
    return float(array.supply) * (high * capacitances).sum(axis=1) / total


@pytest.mark.parametrize("rows", [ROWS, 9])
@pytest.mark.parametrize("kind", PAIRS)
def test_margins_are_those_of_explicit_capacitors(kind, rows):
    array = dataclasses.replace(BASE, second_line=kind)
    die = array.fabricate(jax.random.key(0))
    x, w = signs(0, 30, rows), signs(1, rows, COLUMNS)
    x[0, 0] = 0.0
    high = np.zeros((30, ROWS, COLUMNS))
    high[:, :rows] = (1 + x[:, :, None] * w[None]) / 2
    beside = np.zeros_like(high)
    beside[:, :rows] = 1 - high[:, :rows] if kind == "differential" else 0.5
    first, second = (
        line_volts(array, np.asarray(die.units), high),
        line_volts(array, np.asarray(die.second.units), beside),
    )
    volts = first - second + 3e-3 * np.asarray(die.comparator)
    step = (2 if kind == "differential" else 1) * float(array.supply) / float(array.total_units)
    read = margin(array, jnp.asarray(x), jnp.asarray(w), jnp.ones(COLUMNS), jnp.zeros(COLUMNS), die)
    # A cell is two counts.
    np.testing.assert_allclose(read, 2 * volts / step, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", PAIRS)
def test_mean_square_error_is_the_predicted_one(kind):
    noisy = dataclasses.replace(
        BASE,
        second_line=kind,
        columns=64,
        adc=Adc(bits=14),
        temperature=400.0,
        comparator=Comparator(noise=4e-3, offset_sigma=5e-3, trim=None),
        reset=ResetSwitch(spread=0.5, channel_capacitance=2e-15),
        leakage=Leakage(hold_time=1e-6, spread=0.5),
        layout=Layout(correlated_sigma=0.02),
    )
    x, w = signs(0, 200, ROWS), signs(1, ROWS, 64)

    @jax.jit
    def errors(key):
        read = jax.random.fold_in(key, 1)
        return noisy.matmul(x, w, die=noisy.fabricate(key), key=read) - x @ w

    found = jnp.mean(jax.vmap(errors)(jax.random.split(jax.random.key(0), 60)) ** 2)
    np.testing.assert_allclose(found, sum(noisy.error_variances().values()), rtol=0.06)


def test_a_pair_halves_the_noise_of_the_comparator_and_the_variance_of_kt_over_c():
    single, pair = BASE, dataclasses.replace(BASE, second_line="differential")
    replica = dataclasses.replace(BASE, second_line="replica")
    np.testing.assert_allclose(pair.decision_noise_counts, single.decision_noise_counts / 2)
    thermal = [float(array.noise_variances()["thermal noise"]) for array in (single, pair, replica)]
    np.testing.assert_allclose(thermal, [thermal[0], thermal[0] / 2, 2 * thermal[0]], rtol=1e-6)


@pytest.mark.parametrize("kind", PAIRS)
def test_what_both_lines_have_in_common_cancels(kind):
    """Nominal lines with slow drivers, switch, leakage and an own rail read what they settle to, less one gain."""
    effects = {"drivers": Drivers(spread=0.0), "reset": ResetSwitch(), "leakage": Leakage(hold_time=1e-6)}
    array = dataclasses.replace(BASE, second_line=kind, **effects)
    x, w = signs(0, 30, ROWS), signs(1, ROWS, COLUMNS)
    read = margin(array, jnp.asarray(x), jnp.asarray(w), jnp.ones(COLUMNS), jnp.zeros(COLUMNS), None)
    np.testing.assert_allclose(read, float(array.nominal.gain) * (x @ w), rtol=1e-4, atol=1e-3)


@needs_ngspice
@pytest.mark.parametrize("kind", PAIRS)
def test_a_netlist_of_both_lines_gives_the_pair(kind):
    """Both lines with capacitors, drivers and switches of their own in ngspice, settling on through slow drivers."""
    effects = {"drivers": Drivers(resistance=3e5, spread=0.2), "clock": 2e9, "comparator": Comparator().ideal()}
    pair = dataclasses.replace(BASE, second_line=kind, bias_dac=BiasDac(bits=1, lsb=0.01), **effects)
    die = pair.fabricate(jax.random.key(3))
    x, w = signs(0, 2, ROWS), signs(1, ROWS, 2)
    # One evaluation a run: what slow drivers leave of the last one is no error of this one.
    runs = [spice.run(pair, die, w.astype(int), one[None].astype(int), bias_code=1) for one in x]
    volts = np.concatenate([found["line_voltage_spice"].values for found in runs])
    assert volts.shape == (2, 2, 2)
    np.testing.assert_allclose(volts, np.concatenate([found["line_voltage"].values for found in runs]), atol=1e-6)
    lsb = float(pair.bias_dac.lsb)
    read = margin(pair, jnp.asarray(x), jnp.asarray(w), jnp.ones(2), jnp.full(2, lsb), die)
    np.testing.assert_allclose(read, (volts[..., 0] - volts[..., 1]) * float(pair.counts_per_volt), atol=0.02)


@needs_ngspice
def test_energy_of_both_lines_in_a_netlist_is_that_of_the_closed_form():
    for kind in PAIRS:
        settled = dataclasses.replace(BASE, second_line=kind, drivers=Drivers(), bias_dac=BiasDac(bits=2))
        x, w = signs(2, 2, ROWS).astype(int), signs(3, ROWS, 2).astype(int)
        found = spice.run(settled, settled.fabricate(jax.random.key(5)), w, x)
        np.testing.assert_allclose(found["supply_energy_spice"], found["supply_energy"], rtol=1e-4)
        assert found["supply_energy"].dims == ("evaluation", "column", "line")


@pytest.mark.slow  # compiles many programs
def test_decks_of_pairs_say_what_they_cannot_hold(tmp_path):
    x, w = np.ones((1, 2), int), np.ones((2, 1), int)
    pair, replica = (dataclasses.replace(BASE, second_line=kind) for kind in PAIRS)
    assert "second lines differential" in spice.write(pair, None, w, x, tmp_path / "pair.cir").read_text()
    with pytest.raises(ValueError, match="`bias_code` must be odd for a differential pair"):
        spice.write(pair, None, w, x, tmp_path / "pair.cir", bias_code=0)
    rail = dataclasses.replace(replica, drivers=Drivers(supply_resistance=1e3))
    with pytest.raises(ValueError, match="beside a replica"):
        spice.write(rail, None, w, x, tmp_path / "replica.cir")
    stuck = dataclasses.replace(replica, faults=Faults(stuck_high=1.0))
    broken = stuck.fabricate(jax.random.key(0))
    with pytest.raises(ValueError, match="no cell of a replica stuck high"):
        spice.write(stuck, broken, w, x, tmp_path / "replica.cir")


@pytest.mark.parametrize("kind", PAIRS)
def test_energy_is_that_of_both_lines(kind):
    array, work = (
        dataclasses.replace(BASE, second_line=kind, bottom_parasitic=1e-15),
        Work(DenseProduct(ROWS, 1), 1, 1, 1.0),
    )
    single = dataclasses.replace(array, second_line="none")
    high, total, supply = 4.0, float(array.total_units), float(array.supply)
    beside = ROWS - high if kind == "differential" else ROWS / 2
    activity = {"high_cells": jnp.asarray(high)}
    more = float(array.cost(work, activity).energy) - float(single.cost(work, activity).energy)
    expected = 1e-15 * supply**2 * (beside * (1 - beside / total) + beside)
    np.testing.assert_allclose(more, expected, rtol=2e-3)


@pytest.mark.parametrize("kind", PAIRS)
def test_faults_of_either_line_count(kind):
    """A cell stuck high on one line of a pair takes half of its step and half a cell of offset, of a replica all."""
    array = dataclasses.replace(BASE, second_line=kind, faults=Faults(stuck_high=0.3), mismatch_coefficient=0.0)
    array = dataclasses.replace(array, comparator=Comparator().ideal())
    die = array.fabricate(jax.random.key(4))
    stuck = [np.asarray(array.faults.cell_states(one.faults)) > 0 for one in (die, die.second)]
    assert all(one.any() for one in stuck)
    x, w = signs(0, 30, ROWS), signs(1, ROWS, COLUMNS)
    high = (1 + x[:, :, None] * w[None]) / 2
    first = np.where(stuck[0], 1.0, high)
    second = np.where(stuck[1], 1.0, 1 - high if kind == "differential" else 0.5)
    expected = (first - second).sum(axis=1) * (1 if kind == "differential" else 2)
    read = margin(array, jnp.asarray(x), jnp.asarray(w), jnp.ones(COLUMNS), jnp.zeros(COLUMNS), die)
    np.testing.assert_allclose(read, expected, atol=1e-3)


def test_a_die_of_other_lines_is_refused(as_a_user_runs_it):
    pair = dataclasses.replace(BASE, second_line="differential")
    for array, other in ((BASE, pair), (pair, BASE)):
        with pytest.raises(ValueError, match="second line"):
            array.matmul(np.ones((1, 2)), np.ones((2, 1)), die=other.fabricate(jax.random.key(0)))
    with pytest.raises(ValueError, match="second_line"):
        dataclasses.replace(BASE, second_line="both")
    for kind in PAIRS:
        with pytest.raises(ValueError, match="`reference_tracking` must be 1 beside a `second_line` of"):
            dataclasses.replace(BASE, second_line=kind, reference_tracking=0.5)
