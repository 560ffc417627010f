"""Converters of every family at the end of an array's lines."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import networks
from amsim.circuits import (
    Adc,
    Comparator,
    DenseProduct,
    Drivers,
    FlashAdc,
    Operands,
    SarAdc,
    SingleSlopeAdc,
    SwitchedCapacitor,
    Work,
)

FAMILIES = [
    Adc(bits=7),
    SarAdc(bits=7),
    SarAdc(bits=7, topology="split", low_bits=3),
    SarAdc(bits=7, topology="shared-line"),
    FlashAdc(levels=128),
    SingleSlopeAdc(bits=7),
]
NAMES = ["ideal", "sar", "sar-split", "sar-shared", "flash", "single-slope"]


def operands(rows=64, columns=8, batch=40, seed=0):
    random = np.random.default_rng(seed)
    return random.choice([-1.0, 1.0], (batch, rows)), random.choice([-1.0, 1.0], (rows, columns))


def clean(adc, **settings):
    silent = Comparator(noise=0.0, offset_sigma=0.0, trim=None)
    return SwitchedCapacitor(
        **(
            {"rows": 64, "columns": 8, "mismatch_coefficient": 0.0, "temperature": 0.0, "comparator": silent} | settings
        ),
        adc=adc,
    )


@pytest.mark.sampled(3)
@pytest.mark.parametrize("adc", FAMILIES, ids=NAMES)
def test_a_converter_without_errors_counts(adc):
    inputs, weights = operands()
    macro = clean(adc)
    np.testing.assert_array_equal(macro.matmul(inputs, weights), inputs @ weights)
    ideal = SwitchedCapacitor(rows=64, columns=8, adc=adc).ideal()
    die = ideal.fabricate(jax.random.key(0))
    np.testing.assert_array_equal(ideal.matmul(inputs, weights, die=die, key=jax.random.key(1)), inputs @ weights)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("adc", FAMILIES[1:], ids=NAMES[1:])
def test_a_die_has_its_own_converters(adc):
    """The static errors of two dies differ, those of one die stay, and columns are shared in turn."""
    inputs, weights = operands(columns=16)
    if isinstance(adc, SarAdc):
        adc = dataclasses.replace(adc, unit_capacitance=1e-17)
    elif isinstance(adc, FlashAdc):
        adc = dataclasses.replace(adc, offset_sigma=1.0)
    else:
        adc = dataclasses.replace(adc, delay_sigma=1.5)
    macro = clean(adc)
    first, second = (macro.fabricate(jax.random.key(number)) for number in range(2))
    read = np.asarray(macro.matmul(inputs, weights, die=first))
    np.testing.assert_array_equal(read, macro.matmul(inputs, weights, die=macro.prepare(first)))
    errors = read - inputs @ weights
    assert np.any(errors)
    assert np.any(read != macro.matmul(inputs, weights, die=second))
    again = np.asarray(macro.matmul(inputs, weights[:, 8:], die=first))
    np.testing.assert_array_equal(again, read[:, 8:])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("adc", FAMILIES, ids=NAMES)
def test_cost_follows_the_converter(adc):
    macro = SwitchedCapacitor(rows=64, columns=8, adc=adc)
    inputs, weights = operands()
    product = DenseProduct(64, 8)
    report = macro.report(Operands(product, jnp.asarray(inputs), jnp.asarray(weights)))
    cost = macro.cost(Work(product, 3, 64, 1.0), report)
    alone = dataclasses.replace(macro, cell_capacitance=0.0, unit_capacitance=1e-22).cost(
        Work(product, 3, 64, 1.0), {"switched_units": jnp.zeros(()), "high_cells": jnp.zeros(())}
    )
    assert float(alone.energy) == pytest.approx(
        24 * float(adc.energy(macro.supply, macro.comparator.energy())), rel=1e-5
    )
    assert float(cost.energy) > float(alone.energy)
    late = max(float(adc.conversion_time(64.0)) - float(macro.evaluation_time), 0.0)
    assert float(cost.seconds) == pytest.approx((3 * 2 + 64 * 8 / 256) / 10e6 + 3 * late, rel=1e-4)


@pytest.mark.parametrize("method", ["min-max", "percentile", "minimum-error"])
def test_a_range_from_data_reads_a_long_line_better(method):
    inputs, weights = operands(rows=1024, columns=8, batch=200)
    macro = clean(Adc(bits=4), rows=1024)

    def error(macro):
        return float(np.mean((np.asarray(macro.matmul(inputs, weights)) - inputs @ weights) ** 2))

    chosen = macro.with_selected_range(inputs, weights, method=method, coverage=0.99)
    # The sums of 1024 random products lie within a few times 32 counts of the 1024 on either side.
    assert 0.05 < float(chosen.adc.range) < 0.3
    assert error(chosen) < error(macro) / 10
    sampled = macro.with_selected_range(inputs.reshape(10, 20, 1024), weights, method=method, coverage=0.99)
    assert float(sampled.adc.range) == pytest.approx(float(chosen.adc.range))


def test_range_covers_every_tile_and_bit():
    random = np.random.default_rng(1)
    macro = clean(Adc(bits=12), rows=16, columns=8, input_bits=2, weight_bits=2)
    inputs, weights = random.normal(size=(30, 40)), random.normal(size=(40, 4))
    chosen = macro.with_selected_range(inputs, weights, method="min-max")
    # Every step is one cell already, so that nothing is lost by the choice.
    np.testing.assert_allclose(chosen.matmul(inputs, weights), macro.matmul(inputs, weights), rtol=1e-5)


def test_a_range_fits_any_number_of_levels():
    inputs, weights = operands(rows=64, columns=8, batch=400)
    macro = clean(FlashAdc(levels=10))
    wide = macro.with_selected_range(inputs, weights, method="min-max")
    cells = jnp.asarray((inputs @ weights + 64) / 2, jnp.float32)
    assert float(wide.adc.clipped_fraction(cells, 64.0)) == 0
    best = macro.with_selected_range(inputs, weights)

    def error(one):
        return float(np.mean((np.asarray(one.matmul(inputs, weights)) - inputs @ weights) ** 2))

    grid = [dataclasses.replace(macro, adc=dataclasses.replace(macro.adc, range=r)) for r in np.linspace(0.2, 0.8, 13)]
    assert error(best) <= 1.02 * min(error(one) for one in grid)


def test_a_die_of_another_converter_is_refused():
    other = clean(Adc(bits=6)).fabricate(jax.random.key(0))
    with pytest.raises(ValueError, match="fabricated without its SarAdc"):
        clean(SarAdc(bits=6)).matmul(*operands(), die=other)
    with pytest.raises(ValueError, match="must not both be 0 with `drivers`"):
        SwitchedCapacitor(cell_parasitic=0.0, line_parasitic=0.0, drivers=Drivers())


def test_a_range_needs_a_converter():
    with pytest.raises(ValueError, match="no converter whose range to choose"):
        SwitchedCapacitor(adc=None).with_selected_range(*operands())


@pytest.mark.parametrize(
    "adc",
    # A program of the whole network for each converter, which the tests above read alone.
    [
        pytest.param(SarAdc(bits=7), id="sar"),
        pytest.param(SingleSlopeAdc(bits=7), id="single-slope", marks=pytest.mark.slow),
    ],
)
def test_a_network_runs_on_a_converter_with_errors(adc):
    net, params = networks.load("binary-fashion")
    data = amsim.load_dataset().test[:100]
    result = amsim.evaluate(net, params, SwitchedCapacitor(adc=adc), data, dies=1, key=jax.random.key(0))
    assert float(result.accuracy_mean) > 0.8
