"""Lines on one supply rail, each with its own data, against the network's equations in NumPy and against ngspice."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm
from spice_lines import folded_voltages, needs_ngspice
from switched_capacitor_calls import margin

from amsim import spice
from amsim.circuits import BiasDac, Comparator, Drivers, SwitchedCapacitor

ROWS, COLUMNS = 10, 4
QUIET = Comparator(noise=0.0, offset_sigma=0.0, trim=None)
BASE = SwitchedCapacitor(
    rows=ROWS,
    columns=COLUMNS,
    mismatch_coefficient=0.0,
    bias_dac=BiasDac(bits=1, lsb=1e-6),
    line_parasitic=6e-15,
    comparator=QUIET,
    adc=None,
    reference_tracking=0.0,
    clock=2e9,
)


def with_rail(array, lines, resistance=5e4, drivers=3e5, spread=0.0):
    return dataclasses.replace(
        array, drivers=Drivers(drivers, spread=spread, supply_resistance=resistance, rail_lines=lines)
    )


def signs(seed, *shape):
    return np.where(np.random.default_rng(seed).random(shape) < 0.5, -1.0, 1.0)


def rail_volts(array, high):
    """Lines of one rail after an evaluation, V, from Kirchhoff's equations; `high` is (lines, rows)."""
    lines, rows = high.shape
    unit, resistance = float(array.unit_capacitance), float(array.working_drivers.resistance)
    total, up = rows * unit + float(array.parasitic_capacitance), high.ravel() > 0
    # Bottom plates are the state; a floating line is the mean of its own, weighted by their capacitors.
    mean = np.kron(np.eye(lines), np.full((1, rows), unit / total))
    capacitive = unit * (np.eye(lines * rows) - np.kron(np.eye(lines), np.ones((rows, 1))) @ mean)
    # v_rail = (VDD + R_s / R sum of the high bottoms) / (1 + n R_s / R)
    load = float(array.drivers.supply_resistance) / resistance
    rail = load * up / (1 + up.sum() * load)
    inflow = (np.outer(up, rail) - np.eye(lines * rows)) / resistance
    constant = up * float(array.supply) / (1 + up.sum() * load) / resistance
    rate = np.linalg.solve(capacitive, inflow)
    final = -np.linalg.solve(inflow, constant)
    return mean @ (final - expm(rate * float(array.evaluation_time)) @ final)


def read_volts(array, x, w):
    counts = margin(array, jnp.asarray(x), jnp.asarray(w), jnp.ones(w.shape[1]), jnp.zeros(w.shape[1]))
    return np.asarray(counts) / float(array.counts_per_volt)


@pytest.mark.parametrize("lines", [2, 4])
def test_lines_with_different_data_settle_as_their_network(lines):
    with jax.enable_x64(True):
        # Drivers that are stated at another supply are slower here.
        stated = eqx.tree_at(lambda one: one.drivers.supply, with_rail(BASE, lines), jnp.asarray(0.65))
        array = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), stated)
        x, w = signs(0, 2, ROWS), signs(1, ROWS, COLUMNS)
        w[:, 0], w[:, 1] = x[0], -x[0]
        found = read_volts(array, x, w)
        # The array expects evaluations before, of which slow drivers keep a part; the network starts at rest.
        half = float(array.supply) * float(array.middle_units) / float(array.total_units) - float(
            array.nominal.drive_shift
        )
        for read in range(2):
            high = (1 + x[read][:, None] * w).T / 2
            groups = [rail_volts(array, high[first : first + lines]) for first in range(0, COLUMNS, lines)]
            np.testing.assert_allclose(found[read] + half, np.concatenate(groups), atol=2e-6)


@pytest.mark.parametrize("kind", ["differential", "replica"])
def test_pairs_share_the_rail_with_their_neighbours(kind):
    """Both lines of two columns on one rail; a replica loads it as a line with half of its cells high."""
    with jax.enable_x64(True):
        array = with_rail(dataclasses.replace(BASE, second_line=kind, reference_tracking=1.0), 4)
        array = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), array)
        x, w = signs(2, 3, ROWS), signs(3, ROWS, COLUMNS)
        found = read_volts(array, x, w)
        for read in range(3):
            high = (1 + x[read][:, None] * w).T / 2
            half = np.broadcast_to(np.arange(ROWS) % 2, high.shape)
            beside = 1 - high if kind == "differential" else half
            for first in (0, 2):
                volts = rail_volts(array, np.concatenate([high[first : first + 2], beside[first : first + 2]]))
                np.testing.assert_allclose(found[read, first : first + 2], volts[:2] - volts[2:], atol=2e-6)


def test_columns_that_rest_load_no_rail():
    """Three slices on rails of two columns: the last one has its rail alone, as if its neighbour stayed low."""
    array = with_rail(BASE, 2)
    x, w = signs(4, 1, ROWS), signs(5, ROWS, 3)
    alone = read_volts(array, x, w)[0, 2]
    beside = read_volts(array, x, np.concatenate([w, -x.T], axis=1))[0, 2]
    np.testing.assert_allclose(alone, beside, atol=1e-6)
    assert abs(alone - read_volts(array, x, np.concatenate([w, x.T], axis=1))[0, 2]) > 1e-3


def test_one_line_on_its_own_rail_is_as_it_was():
    x, w = signs(6, 4, ROWS), signs(7, ROWS, COLUMNS)
    same = np.tile(w[:, :1], (1, COLUMNS))
    alike, alone = with_rail(BASE, 4, resistance=1e4), with_rail(BASE, 1, resistance=4e4)
    np.testing.assert_allclose(read_volts(alike, x, same), read_volts(alone, x, same), atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "differential"])
def test_mean_square_error_over_data_is_the_predicted_one(kind):
    """Columns of random weights, so that each is an independent load of the rail that it shares."""
    array = with_rail(dataclasses.replace(BASE, rows=64, columns=8), 8, 1e3, 1.0)
    array = dataclasses.replace(array, second_line=kind, reference_tracking=1.0)
    x, w = signs(8, 4000, 64).astype(np.float32), signs(9, 64, 8).astype(np.float32)
    found = np.mean((margin(array, x, w, jnp.ones(8), jnp.zeros(8)) - x @ w) ** 2)
    predicted = array.error_variances(readout="comparator")["settling"]
    assert float(predicted) > 0.1
    # The data of the other columns are an eighth of it on single lines.
    assert found == pytest.approx(float(predicted), rel=0.08)


def test_gradients_are_those_of_differences():
    with jax.enable_x64(True):
        array = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), float), with_rail(BASE, 2))
        x, w = jnp.asarray(signs(10, 2, ROWS)), jnp.asarray(signs(11, ROWS, COLUMNS))
        start = np.array([3e5, 5e4, 1e-15])

        @jax.jit
        def outputs(numbers):
            where = lambda one: (one.drivers.resistance, one.drivers.supply_resistance, one.unit_capacitance)  # noqa: E731
            changed = eqx.tree_at(where, array, tuple(numbers))
            counts = margin(changed, x, w, jnp.ones(COLUMNS), jnp.zeros(COLUMNS))
            return jnp.append(counts.ravel(), changed.error_variances(readout="comparator")["settling"])

        slopes = np.asarray(jax.jacrev(outputs)(jnp.asarray(start))) * start
        for number in range(3):
            step = np.ones(3)
            step[number] += 1e-6
            difference = (outputs(start * step) - outputs(start / step)) / 2e-6
            np.testing.assert_allclose(slopes[:, number], difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lines", [3, 8])
def test_rails_that_do_not_fit_the_array_are_refused(lines):
    with pytest.raises(ValueError, match=f"divide the 4 lines of the array, but has {lines}"):
        with_rail(BASE, lines)
    with pytest.raises(ValueError, match="whole columns of 2 lines"):
        with_rail(dataclasses.replace(BASE, second_line="differential", reference_tracking=1.0), 3)
    with pytest.raises(ValueError, match="`rail_lines`"):
        Drivers(rail_lines=0)


BOUNDS = {"alike": (0.0, 0.0, 1e-3), "mismatch": (0.02, 0.0, 0.15), "spread": (0.02, 0.2, 1.2)}
"""Mismatch, spread of drivers and the bound of the array's error in `Drivers`, mV."""


@pytest.mark.sampled(1)
@needs_ngspice
@pytest.mark.parametrize("case", BOUNDS)
def test_lines_on_one_rail_agree_with_ngspice_to_the_stated_bound(case):
    mismatch, spread, bound = BOUNDS[case]
    base = dataclasses.replace(
        BASE, rows=12, mismatch_coefficient=mismatch * math.sqrt(1e-15), bias_dac=BiasDac(bits=3)
    )
    weights, inputs, codes = signs(1, 12, 4).astype(int), signs(2, 1, 12).astype(int), [-7, 1, 3, -5]
    weights[:, 0], weights[:, 1] = inputs[0], -inputs[0]
    for lines, rail, resistance in ((2, 5e4, 3e5), (4, 1e4, 1e5), (4, 5e4, 3e5)):
        array = with_rail(base, lines, rail, resistance, spread)
        die = array.fabricate(jax.random.key(4))
        found = spice.run(array, die, weights, inputs, bias_code=codes)
        simulated = found["line_voltage_spice"].values
        np.testing.assert_allclose(found["line_voltage"], simulated, atol=1e-6)
        folded = folded_voltages(array, die, weights, inputs, codes, found.attrs["reset_level"])
        assert 1e3 * np.abs(simulated - folded).max() < bound, (lines, rail)
        # As if all lines of the rail had the data of each.
        alike = folded_voltages(with_rail(base, 1, lines * rail, resistance, spread), die, weights, inputs, codes, 0.3)
        assert 1e3 * np.abs(simulated - alike).max() > 5.0
