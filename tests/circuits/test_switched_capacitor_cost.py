"""Energy, area and events of the switched-capacitor array against explicit bits and sums by hand."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from switched_capacitor_calls import SMALL, bits_of, f32, report_on

from amsim.circuits import Adc, BiasDac, Comparator, ConvolutionProduct, DenseProduct, Neuron, SwitchedCapacitor, Work

# Energy, area and events.


def test_switched_charge_is_that_of_explicit_bits():
    generator = np.random.default_rng(2)
    macro = SwitchedCapacitor(rows=12, columns=4, unit_capacitance=0.8e-15, supply=0.7)
    inputs, weights = bits_of(generator, 5, 29), bits_of(generator, 29, 3)
    report = report_on(macro, f32(inputs), f32(weights))
    total = 0.8e-15 * (12 + 511.5) + 12 * 0.3e-15 + 2.04e-15
    joules = []
    for vector, column, tile in np.ndindex(5, 3, 3):
        rows = range(12 * tile, min(12 * tile + 12, 29))
        high = sum(0.8e-15 for row in rows if inputs[vector, row] == weights[row, column])
        joules.append(0.7**2 * high * (total - high) / total)
    modelled = float(report["switched_units"]) * 0.8e-15 * 0.7**2
    assert modelled == pytest.approx(np.mean(joules), rel=1e-5, abs=0)
    assert float(report["clipped_adc"]) == 0
    # A fused neuron has half of the bias DAC's bits high as well; at codes with the half LSB, fewer of them.
    neuron = Neuron(jnp.ones(3), jnp.zeros(3))
    fused = report_on(macro, f32(inputs[:, :12]), f32(weights[:12]), neuron)
    high = (inputs[:, :12] @ weights[:12] + 12) / 2 * 0.8e-15 + 0.8e-15 * 511 / 2
    expected = np.mean(0.7**2 * high * (total - high) / total)
    assert float(fused["switched_units"]) * 0.8e-15 * 0.7**2 == pytest.approx(expected, rel=1e-5, abs=0)


def bias_high(code: int, bits: int) -> float:
    """Units of a bias DAC that go high for a code, the setting found among all."""
    sizes, half = 2.0 ** np.arange(bits), (code + 1) % 2
    signs = next(one for one in itertools.product((-1, 1), repeat=bits) if one @ sizes + half == code)
    return float(sizes @ (np.array(signs) > 0)) + half / 2


@pytest.mark.parametrize("second", ["none", "differential", "replica"])
def test_switched_charge_of_shifted_lines_is_that_of_explicit_bits(second):
    """The DACs of a pair have opposite codes, and a replica's bits stand half way, counted as its cells are."""
    generator, codes = np.random.default_rng(3), (5, -2, 14, -9)
    macro = SwitchedCapacitor(
        rows=12, columns=4, second_line=second, bias_dac=BiasDac(bits=4), readout_centre=jnp.asarray([codes])
    )
    inputs, weights = bits_of(generator, 6, 12), bits_of(generator, 12, 4)
    total = 12 + 15.5 + 12 * 0.3 + 2.04
    sums = inputs @ weights

    def switched(high, column):
        bias, against = bias_high(codes[column], 4), bias_high(-codes[column], 4)
        beside = {"none": 0.0, "differential": 12 - high + against, "replica": 6 + 15 / 2}[second]
        return sum(one * (total - one) / total for one in (high + bias, beside))

    wanted = np.mean([switched((12 + sums[at]) / 2, at[1]) for at in np.ndindex(sums.shape)])
    assert float(report_on(macro, f32(inputs), f32(weights))["switched_units"]) == pytest.approx(wanted, rel=1e-5)
    # Of unknown data the same at the mean number of high cells, mean over lines.
    work, high = Work(DenseProduct(12, 4), 1, 12, 1.0), {"high_cells": jnp.asarray(5.0)}
    of_lines = jnp.asarray(np.mean([switched(5.0, column) for column in range(4)]))
    known = macro.cost(work, high | {"switched_units": of_lines})
    assert float(macro.cost(work, high).energy) == pytest.approx(float(known.energy), rel=1e-6, abs=0)


def test_cost_by_hand():
    """3 tiles x 2 input bits x 3 positions = 18 evaluations of 21 slices in 5 passes over 5 columns."""
    macro = dataclasses.replace(SMALL, weight_bits=3, input_bits=2, supply=0.5, clock=2e6)
    work = Work(DenseProduct(29, 7), positions=3, input_words=87, window_fetches=1.0)
    cost = macro.cost(work, {"switched_units": jnp.asarray(3.0), "high_cells": jnp.asarray(5.0)})
    # The comparator's figures are those at 0.6 V, where the array was built.
    readout = 8 * (5e-15 + 10e-15 / 0.16) * (0.5 / 0.6) ** 2 + (100e-15 * 8 + 1e-18 * 4**8) * 0.25
    per_line = 3 * 1e-15 * 0.25 + 2.1e-15 * 0.25 * 29 / 3 + readout
    assert float(cost.energy) == pytest.approx(18 * 21 * per_line, rel=1e-5, abs=0)
    assert float(cost.cycles) == pytest.approx(18 * 5 * 2 + 29 * 21 / 256, rel=1e-6, abs=0)
    assert float(cost.seconds) == pytest.approx((180 + 29 * 21 / 256) / 2e6, rel=1e-6, abs=0)
    assert (cost.weight_bits, cost.stored_bits) == (609, 609)
    assert (cost.input_bits, cost.output_bits) == (87 * 2 * 5, 3 * 7 * 2)
    assert work.macs == 3 * 29 * 7
    assert float(macro.area) == pytest.approx(12 * 5 * 73e-12 + 5 * (2660e-12 + 20e-12), rel=1e-5, abs=0)
    convolution = ConvolutionProduct(kernel=(2, 2), channels=5, columns=7, strides=(1, 1), dilation=(1, 1))
    sliding = macro.cost(
        Work(convolution, 16, 125, 2.5), {"switched_units": jnp.asarray(3.0), "high_cells": jnp.asarray(5.0)}
    )
    # Three channels of four rows a tile, so two tiles.
    assert float(sliding.cycles) == pytest.approx(16 * 2 * 2 * 5 * 2 + 20 * 21 / 256, rel=1e-6, abs=0)
    assert sliding.input_bits == 125 * 2 * 5 * 2.5


def test_comparator_energy_buys_noise():
    assert float(Comparator(noise=0.4e-3).energy()) == pytest.approx(5e-15 + 10e-15 / 0.16, rel=1e-5, abs=0)
    assert float(Comparator(noise=0.8e-3).energy()) == pytest.approx(5e-15 + 10e-15 / 0.64, rel=1e-5, abs=0)
    assert float(Comparator(noise=0.0).energy()) == pytest.approx(5e-15, rel=1e-5, abs=0)


def test_adc_energy_of_the_28_nm_fit():
    """facts 6.4: 324, 489, 701 and 1659 fJ at 4, 6, 8 and 10 bit and 0.9 V; 16 bit is allowed."""
    for bits, femtojoules in [(4, 324), (6, 489), (8, 701), (10, 1659)]:
        assert float(Adc(bits=bits).energy(jnp.asarray(0.9))) == pytest.approx(femtojoules * 1e-15, rel=2e-3, abs=0)
    assert float(Adc(bits=16).energy(jnp.asarray(1.0))) == pytest.approx(1.6e-12 + 4.0**16 * 1e-18, rel=1e-5, abs=0)


def test_bankman_evaluation_costs_what_was_derived():
    """0.975 pJ a 1024-row evaluation (facts 1.1; the cell logic is calibrated on it), at half activity."""
    generator = np.random.default_rng(0)
    macro = SwitchedCapacitor(adc=None)
    inputs, weights = f32(bits_of(generator, 20, 1024)), f32(bits_of(generator, 1024, 8))
    report = report_on(macro, inputs, weights, Neuron(jnp.ones(8), jnp.zeros(8)))
    cost = macro.cost(Work(DenseProduct(1024, 8), 1, 1024, 1.0), report)
    assert float(cost.energy) / 8 == pytest.approx(0.975e-12, rel=0.1, abs=0)
