"""Slow drivers that have not taken back the charges of evaluations before, against ngspice, one after another."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from spice_lines import needs_ngspice
from switched_capacitor_calls import margin

from amsim import spice
from amsim.circuits import BiasDac, Comparator, Drivers, ResetSwitch, SwitchedCapacitor

pytestmark = needs_ngspice

EVALUATIONS = 8
LINE = SwitchedCapacitor(
    rows=12,
    columns=3,
    mismatch_coefficient=0.0,
    bias_dac=BiasDac(bits=3),
    line_parasitic=6e-15,
    comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=None),
    reference_tracking=0.0,
    clock=2e9,
)
HOLDS = ResetSwitch(resistance=1e3, channel_capacitance=0.0, feedthrough_capacitance=0.0, spread=0.0)
CASES = {
    # What differs, and the bounds that `Drivers` states, mV.
    "alike": ({"drivers": Drivers(1e6, spread=0.0)}, 0.05),
    "faster": ({"drivers": Drivers(3e5, spread=0.0)}, 0.05),
    "spread of 5 %": ({"drivers": Drivers(3e5), "mismatch_coefficient": 0.02 * math.sqrt(1e-15)}, 1.2),
    "spread of 20 %": ({"drivers": Drivers(3e5, spread=0.2), "mismatch_coefficient": 0.02 * math.sqrt(1e-15)}, 6.0),
    "switch": ({"drivers": Drivers(1e6, spread=0.0), "reset": HOLDS}, 1.5),
}


def history(array, alone):
    """What the sums before each evaluation take from it, V, term by term."""
    left, kept, found = float(array.nominal.drive_left), float(array.nominal.drive_kept), np.zeros_like(alone)
    for now in range(len(alone)):
        for before in range(1, now + 1):
            found[now] += left * kept ** (before - 1) * alone[now - before]
    return found


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CASES)
def test_older_sums_act_as_a_geometric_series(case):
    parts, bound = CASES[case]
    array = dataclasses.replace(LINE, **parts)
    generator = np.random.default_rng(0)
    weights, inputs = generator.choice([-1, 1], (12, 3)), generator.choice([-1, 1], (EVALUATIONS, 12))
    weights[:, 0], inputs[:5] = 1, 1
    die = array.fabricate(jax.random.key(4))
    found = spice.run(array, die, weights, inputs)["line_voltage_spice"].values
    alone = [spice.run(array, die, weights, one[None])["line_voltage_spice"].values[0] for one in inputs]
    alone = np.stack(alone) - float(array.supply) / 2
    taken = alone + float(array.supply) / 2 - found
    assert 1e3 * np.abs(taken - history(array, alone)).max() < bound
    # The last sum alone, as it would be without the older ones.
    last = float(array.nominal.drive_left) * np.concatenate([np.zeros((1, 3)), alone[:-1]])
    if case in ("alike", "switch"):
        assert 1e3 * np.abs(taken - last).max() > 20


def test_the_array_expects_what_many_sums_leave():
    """Half of the cells high again and again: the mean shift of the array is that of the last of ten evaluations."""
    array = dataclasses.replace(LINE, drivers=Drivers(1e6, spread=0.0))
    weights, inputs = np.ones((12, 3), int), np.tile(np.where(np.arange(12) % 2, 1, -1), (10, 1))
    found = spice.run(array, None, weights, inputs, bias_code=[1, -1, 1])["line_voltage_spice"].values
    shift = (found[-1, 0] + found[-1, 1]) / 2 - (found[0, 0] + found[0, 1]) / 2
    assert shift < -20e-3
    assert shift == pytest.approx(float(array.nominal.drive_shift), abs=0.02e-3)
    read = margin(array, inputs[-1:].astype(np.float32), weights.astype(np.float32), np.ones(3), np.array([1.0, -1, 1]))
    volts = (np.asarray(read)[0] + 2 * float(array.middle_units)) / float(array.counts_per_volt)
    # Codes one step above and below half way; the array's own history is half way.
    np.testing.assert_allclose(np.mean(found[-1, :2]) - float(array.supply) / 2, np.mean(volts[:2]), atol=0.05e-3)
