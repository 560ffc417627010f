"""Comparator behind a converter's capacitors: noise and offset on the line, against searches in plain NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import Comparator, DenseProduct, FlashAdc, Operands, SarAdc, SwitchedCapacitor, Trim, ValueRange
from amsim.circuits.charge.die_folding import fold_die

ROWS, BITS, READS = 96, 5, 40000
SIGNS = ValueRange(-1.0, 1.0)
# As much parasitic on the comparator's node as the converter has capacitors: half of the input is left there.
HALVED = SarAdc(bits=BITS, unit_capacitance=1e-15, parasitic=2**BITS * 1e-15, mismatch_coefficient=0.0)


def column(**settings):
    base = {"rows": ROWS, "columns": 8, "temperature": 0.0, "mismatch_coefficient": 0.0, "adc": HALVED}
    return SwitchedCapacitor(**(base | settings))


def searched(cells, noise, generator):
    """Cells as a search reads them: charge on the comparator's node, a draw of its noise at each decision."""
    units = 2 ** np.arange(BITS)[::-1]
    array, node = units.sum() + 1.0, units.sum() + 1.0 + 2**BITS
    step, middle = ROWS / 2**BITS, ROWS // 2
    value, code = (cells - middle) / step + 2 ** (BITS - 1), np.zeros_like(cells)
    for unit in units:
        # Bottom plates hold the input, then the trial: what is left moves the floating node through all capacitors.
        moved = (value - (code + unit - 0.5)) * array / node
        code = np.where(moved + noise / step * generator.standard_normal(cells.shape) >= 0, code + unit, code)
    return middle + step * (code - 2 ** (BITS - 1))


@pytest.mark.parametrize("noise", [1.0, 2.5])
def test_noise_of_a_conversion_is_that_of_searches(noise):
    """The closed form, a search written out, and reads; noise in cells at the comparator."""
    macro = column()
    comparator = Comparator(noise=noise * float(macro.cell_voltage), offset_sigma=0.0, trim=None)
    macro = dataclasses.replace(macro, comparator=comparator)
    generator = np.random.default_rng(0)
    inputs = generator.choice([-1.0, 1.0], (READS // 8, ROWS))
    sums = inputs.sum(axis=1)[:, None] * np.ones((1, 8))
    written_out = 2 * searched((sums + ROWS) / 2, noise, generator) - ROWS - sums
    operands = Operands(DenseProduct(ROWS, 8), jnp.asarray(inputs, jnp.float32), jnp.ones((ROWS, 8)), SIGNS, SIGNS)
    read = np.asarray(jax.jit(lambda key: macro.multiply(operands, key=key))(jax.random.key(1))) - sums
    predicted = macro.error_variances()
    total = float(sum(predicted.values()))
    assert np.mean(read**2) == pytest.approx(np.mean(written_out**2), rel=0.03)
    assert np.mean(written_out**2) == pytest.approx(total, rel=0.04)
    # Twice the noise at the comparator counts; the search makes good a part of it.
    assert 0.5 < float(predicted["comparator noise"]) / (4 * noise) ** 2 < 1.0
    decided = float(macro.error_variances(readout="comparator")["comparator noise"])
    assert decided == pytest.approx((4 * noise) ** 2, rel=1e-5)
    assert float(macro.noise_counts) == pytest.approx(4 * noise, rel=1e-5)


@pytest.mark.parametrize("trim", [None, Trim(bits=3, averages=1e12)])
def test_offset_weighs_as_much_as_the_noise(trim):
    """An offset o at the node stands for `o (C + C_p) / C` on the line; a trim acts at the node."""
    macro = column(comparator=Comparator(noise=0.0, offset_sigma=6e-3, trim=trim))
    die = macro.fabricate(jax.random.key(2))
    offset = 6e-3 * np.asarray(die.comparator, float)
    if trim is not None:
        step = float(trim.step)
        offset = offset - step * np.clip(np.round(offset / step), -4, 3)
    counts = np.asarray(fold_die(macro, die).offset)
    np.testing.assert_allclose(counts, 2 * offset * float(macro.counts_per_volt), rtol=1e-3, atol=1e-3)
    without = dataclasses.replace(macro, adc=dataclasses.replace(HALVED, parasitic=0.0))
    ratio = macro.error_variances()["comparator offset"] / without.error_variances()["comparator offset"]
    assert float(ratio) == pytest.approx(4.0, rel=1e-4)


def test_comparators_of_a_flash_all_decide():
    """Each level has noise of its own, so that more of it adds less than its variance."""
    adc = FlashAdc(levels=32)
    for noise in (0.05, 0.3, 2.0):
        fires = np.random.default_rng(3).standard_normal((4000, 200)) * noise
        values = np.random.default_rng(4).uniform(-0.5, 0.5, 4000)
        codes = (values[:, None] + fires > np.arange(200) - 99.5).sum(axis=1) - 100.0
        square = np.mean((codes - values) ** 2) - np.mean((np.round(values) - values) ** 2)
        assert float(adc.decision_variance(noise)) == pytest.approx(square, rel=0.1, abs=4e-3)


def test_a_search_of_one_bit_is_one_decision():
    """Evenly spread values against one threshold: the mean square error grows by the variance of the noise."""
    values = np.random.default_rng(5).uniform(-60.0, 60.0, 10**6)
    noise = np.random.default_rng(6).standard_normal(values.shape) * 2.0
    # Both codes lie half an LSB from the threshold; one threshold per LSB, of 120.
    read, right = (np.where(signal >= 0, 0.5, -0.5) for signal in (values + noise, values))
    added = 120 * np.mean((read - values) ** 2 - (right - values) ** 2)
    assert float(SarAdc(bits=1).decision_variance(2.0)) == pytest.approx(added, rel=0.03)
