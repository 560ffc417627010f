"""Closed forms of reads about a `readout_centre`: reads themselves, and sums over all capacitors in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import (
    BiasDac,
    Comparator,
    DenseProduct,
    IntegerCode,
    Layout,
    Leakage,
    Operands,
    SwitchedCapacitor,
    TimeSharedCharge,
    ValueRange,
)
from amsim.circuits.charge.folded_line import centre_shifts
from amsim.circuits.charge.layout import nominal_layout

ROWS, ACTIVITY, CENTRE = 64, 0.1, 51.0
SIGNS = ValueRange(-1.0, 1.0)
QUIET = Comparator(noise=0.0, offset_sigma=0.0, trim=None)
DROOP = Leakage(current=0.0, hold_time=1e-6, off_resistance=3e7)


def silent(**settings):
    base = {"rows": ROWS, "columns": 4, "comparator": QUIET, "temperature": 0.0, "mismatch_coefficient": 0.0}
    return SwitchedCapacitor(**(base | {"readout_centre": jnp.asarray(CENTRE)} | settings))


@pytest.mark.parametrize("combined", [1, 2])
def test_what_a_shift_cancels_is_no_error(combined):
    """Sums of mean -51.2 that are shifted to the middle hardly see droop and noise of the supply."""
    noisy = dataclasses.replace(QUIET, noise=0.6e-3)
    settings = {"leakage": DROOP, "temperature": 300.0, "readout_centre": jnp.asarray(CENTRE + 1.0)}
    macro = silent(columns=64, supply_noise=40e-3, comparator=noisy, **settings)
    if combined == 2:
        macro = dataclasses.replace(macro, weight_bits=2, combining=TimeSharedCharge(2))
    digits = np.where(np.random.default_rng(1).random((ROWS, 64)) < ACTIVITY, 1, -1)
    words, code = digits, SIGNS
    if combined == 2:
        words = (digits[:, ::2] + 2 * digits[:, 1::2] - 1) // 2
        code = IntegerCode(jnp.ones(()), 2, True, digit_set="bipolar")
    x, w = jnp.ones((1500, ROWS)), jnp.asarray(words, jnp.float32)
    operands = Operands(DenseProduct(*w.shape), x, w, SIGNS, code)
    read = jax.jit(lambda die, key: macro.multiply(operands, die=die, key=key))
    found = np.asarray(read(macro.fabricate(jax.random.key(0)), jax.random.key(1)), float) - words.sum(axis=0)
    predicted = float(sum(macro.error_variances(activity=ACTIVITY).values()))
    assert np.mean((combined * found) ** 2) == pytest.approx(predicted, rel=0.05)
    unmoved = dataclasses.replace(macro, readout_centre=jnp.zeros(()))
    assert float(sum(unmoved.error_variances(activity=ACTIVITY).values())) > 2 * predicted


@pytest.mark.parametrize("second", ["none", "differential", "replica"])
def test_errors_of_capacitors_count_those_that_a_shift_takes_high(second):
    """Each capacitor moves its line by itself and as part of the total; summed one by one over drawn operands."""
    macro = silent(second_line=second, mismatch_coefficient=1e-9, layout=Layout(edge_error=0.02, dummies=False))
    total, units = float(macro.total_units), np.asarray(macro.bias_dac.section_units(), float)
    high = (np.random.default_rng(2).random((40000, ROWS)) < ACTIVITY).astype(float)
    # An odd code leaves the half LSB alone: bits of -1 and +1 from half way.
    bits = (1 + np.asarray(macro.bias_dac.levels(jnp.asarray(CENTRE)))[:-1]) / 2
    errors = np.asarray(macro.layout.errors(nominal_layout(ROWS, 4), ROWS, 4), float)

    def of_line(cells, bias):
        """Mean square by independent errors of relative sigma 1, and the shift of each read by those of the layout."""
        went = cells.sum(axis=1) + bias @ units[:-1]
        own, steps = 2 * (cells - went[:, None] / total), 2 * (np.append(bias, 0.0)[None] - went[:, None] / total)
        return np.mean((own**2).sum(axis=1) + steps**2 @ units), own @ errors

    square, shift = of_line(high, bits)
    if second == "differential":
        other, against = of_line(1 - high, 1 - bits)
        square, shift = (square + other) / 4, (shift - against) / 2
    elif second == "replica":
        other, against = of_line(np.full((1, ROWS), 0.5), np.full_like(bits, 0.5))
        square, shift = square + other, shift - against
    found = macro.error_variances(activity=ACTIVITY)
    sigma = 1e-9 / np.sqrt(float(macro.unit_capacitance))
    assert float(found["capacitor mismatch"]) == pytest.approx(sigma**2 * square, rel=0.002)
    assert float(found["layout"]) == pytest.approx(np.mean(shift**2), rel=0.01)


def test_a_group_is_shifted_by_the_codes_of_its_lines():
    """Lines weigh 1 and 2, and their DACs make whole counts of up to 15."""
    macro = silent(weight_bits=2, combining=TimeSharedCharge(2), bias_dac=BiasDac(bits=4), supply_noise=0.3)
    wished = jnp.asarray([[40.0, -3.4, -40.0, -2.6]])
    macro = dataclasses.replace(macro, readout_centre=wished)
    # Of both groups, (15 - 2 * 3) and (-15 - 2 * 3) counts.
    alike = dataclasses.replace(macro, readout_centre=jnp.asarray(-2.0))
    moved, same = macro.error_variances(), alike.error_variances()
    np.testing.assert_allclose(float(moved["supply noise"]), float(same["supply noise"]), rtol=1e-6)
    np.testing.assert_allclose(centre_shifts(macro, None, 1, 4)[0], [[9.0, -21.0]])
    assert float(moved["supply noise"]) == pytest.approx(0.25 * (320 + 36), rel=1e-5)
