"""DACs of rows in an array: its error against the closed form, its energy, its cost and the range of its converter."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import ROWS, signs, words
from row_dac_arrays import BASE, COLUMNS, FINE, SIGNS, code, multiply

from amsim.circuits import (
    Adc,
    ChargeLine,
    Comparator,
    DenseProduct,
    Drivers,
    Faults,
    Leakage,
    Operands,
    RowDac,
    SarAdc,
    Trim,
    Work,
)
from amsim.circuits.charge.row_dac import mean_square


@eqx.filter_jit
def report_on(macro, inputs, weights):
    return macro.report(
        Operands(DenseProduct(*weights.shape), jnp.asarray(inputs), jnp.asarray(weights), code(macro), SIGNS)
    )


def mean_square_error(noisy, items):
    """Of reads of 150 dies, counts^2, for inputs of two bits."""
    x, w = words(0, 2, items, ROWS), signs(1, ROWS, 48)

    @jax.jit
    def errors(key):
        die, read = noisy.fabricate(key), jax.random.fold_in(key, 1)
        operands = Operands(DenseProduct(ROWS, 48), jnp.asarray(x), jnp.asarray(w), code(noisy), SIGNS)
        return (noisy.multiply(operands, die=die, key=read) - x @ w) / 1.5

    return jnp.mean(jax.lax.map(errors, jax.random.split(jax.random.key(0), 150)) ** 2)


@pytest.mark.sampled(2)
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


@pytest.mark.sampled(2)
@pytest.mark.parametrize("parts", BESIDE.values(), ids=BESIDE)
def test_error_is_the_predicted_one_beside(parts):
    quiet = Comparator(noise=4e-3, offset_sigma=5e-3, trim=None)
    dac = RowDac(bits=2, mismatch=0.15, noise=2e-2)
    given = {"columns": 48, "input_bits": 2, "adc": Adc(bits=14), "temperature": 400.0, "comparator": quiet}
    noisy = dataclasses.replace(BASE, row_dac=dac, **given | parts)
    np.testing.assert_allclose(mean_square_error(noisy, 30), sum(noisy.error_variances().values()), rtol=0.06)


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
