"""Two effects of a line at once against ngspice: what is exact, and the bounds that the documentation states.

Drivers, shared rail, switch charge and leak are on in pairs, none of them settled or slow enough to be left out. Unit
capacitors differ by 2 %; drivers are alike unless a case says otherwise.
"""

import dataclasses
import math

import jax
import numpy as np
import pytest
from spice_lines import folded_voltages, needs_ngspice, operands

from amsim import spice
from amsim.circuits import BiasDac, Comparator, Drivers, Leakage, ResetSwitch, SwitchedCapacitor

pytestmark = needs_ngspice

LINE = SwitchedCapacitor(
    rows=12,
    columns=2,
    mismatch_coefficient=0.02 * math.sqrt(1e-15),
    bias_dac=BiasDac(bits=3),
    line_parasitic=6e-15,
    comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=None),
    reference_tracking=0.0,
    clock=2e9,
)
"""A line whose drivers of 300 kOhm have settled to 95 % at the decision, 0.25 ns after the step."""

SWITCH = ResetSwitch(channel_capacitance=0.5e-15)


def drivers(resistance=3e5, spread=0.0, rail=None):
    return Drivers(resistance=resistance, spread=spread, supply_resistance=rail)


def leak(resistance, hold_time=1e-9):
    return Leakage(hold_time=hold_time, off_resistance=resistance, current=1e-7, spread=0.0)


ALIKE = {"slow": drivers(1e6), "usual": drivers(3e5), "fast": drivers(1e5)}
DIFFERENT = {"slow": drivers(1e6, spread=0.2), "usual": drivers(3e5, spread=0.2)}
LEAKS = [leak(1e15), leak(1e5), leak(1e5, 1e-10)]
CASES = {
    # What is on, the bound of the explicit line and that of the array, mV.
    "drivers and rail": ([{"drivers": drivers(r, rail=s)} for r in (1e5, 3e5, 1e6) for s in (1e4, 2e5)], 1e-3, 0.15),
    "different drivers and rail": ([{"drivers": drivers(3e5, 0.2, s)} for s in (1e4, 5e4, 2e5)], 1e-3, 1.2),
    "drivers and leak": ([{"drivers": ALIKE[r], "leakage": o} for r in ("slow", "usual") for o in LEAKS], 0.1, 0.1),
    "different drivers and leak": (
        [{"drivers": one, "leakage": leak(off)} for one in DIFFERENT.values() for off in (1e15, 1e6)],
        0.7,
        0.7,
    ),
    "drivers and switch charge": ([{"drivers": one, "reset": SWITCH} for one in ALIKE.values()], 0.02, 0.02),
    "different drivers and switch charge": (
        [{"drivers": one, "reset": SWITCH} for one in DIFFERENT.values()],
        0.5,
        0.5,
    ),
    "switch charge and leak": ([{"reset": SWITCH, "leakage": leak(off)} for off in (1e5, 1e7)], 1e-3, 1e-3),
    "rail and switch charge": ([{"drivers": drivers(rail=s), "reset": SWITCH} for s in (5e3, 5e4)], 0.7, 0.8),
    "rail and leak": ([{"drivers": drivers(rail=5e4), "leakage": leak(off, 2e-10)} for off in (1e6, 1e8)], 0.7, 0.7),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("together", CASES)
def test_effects_together_agree_to_the_stated_bound(together):
    settings, explicit, array = CASES[together]
    weights, inputs = operands(1, 1, LINE)
    codes, found = [-7, 1], []
    for parts in settings:
        macro = dataclasses.replace(LINE, **parts)
        die = macro.fabricate(jax.random.key(4))
        lines = spice.run(macro, die, weights, inputs, bias_code=codes)
        simulated = lines["line_voltage_spice"].values
        folded = folded_voltages(macro, die, weights, inputs, codes, lines.attrs["reset_level"])
        found.append([1e3 * np.abs(simulated - other).max() for other in (lines["line_voltage"].values, folded)])
    assert np.all(np.max(found, axis=0) < [explicit, array]), found


@pytest.mark.parametrize("leaks", [False, True])
def test_an_incomplete_reset_leaves_in_the_end_what_the_array_expects(leaks):
    """The array stands for the last of many evaluations, half of whose cells were high; the deck has each of them.

    The rising clock takes back what the falling one left, so that the switch's charge never adds up; what leaked away
    is missing in the next evaluation as far as reset leaves it.
    """
    switch = ResetSwitch(resistance=2e6, channel_capacitance=0.5e-15)
    macro = dataclasses.replace(LINE, reset=switch, clock=1.2e7)
    if leaks:
        macro = dataclasses.replace(macro, leakage=Leakage(hold_time=5e-8, off_resistance=1e8, current=1e-8))
    assert 0.2 < float(macro.nominal.reset_left) < 0.6
    half = np.where(np.arange(12) % 2, 1, -1)
    weights, inputs, codes = np.ones((12, 2), int), np.tile(half, (12, 1)), [1, -1]
    die = macro.fabricate(jax.random.key(4))
    lines = spice.run(macro, die, weights, inputs, bias_code=codes)
    simulated = lines["line_voltage_spice"].values
    np.testing.assert_allclose(lines["line_voltage"], simulated, atol=1e-6)
    folded = folded_voltages(macro, die, weights, inputs[-1:], codes, lines.attrs["reset_level"])
    np.testing.assert_allclose(simulated[-1:], folded, atol=3e-4 if leaks else 1e-6)
    if leaks:
        assert np.all(np.abs(simulated[0] - folded) > 5e-3)
