"""Budgets of parts that act on one another: second line, converter that samples it, droop and shift, against reads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import BiasDac, Comparator, Leakage, ResetSwitch, SarAdc, SwitchedCapacitor

ROWS, COLUMNS, ACTIVITY, DIES, READS = 24, 32, 0.3, 150, 8
SHARED = {
    "rows": ROWS,
    "columns": COLUMNS,
    "temperature": 300.0,
    "mismatch_coefficient": 6e-9,
    "comparator": Comparator(noise=5e-3, offset_sigma=4e-3, trim=None),
    "bias_dac": BiasDac(bits=5),
    "adc": SarAdc(bits=8, input_capacitance=6e-15, mismatch_coefficient=0.0),
    "reset": ResetSwitch(spread=0.3, channel_capacitance=2e-15),
    "leakage": Leakage(current=2e-9, spread=0.5, hold_time=2e-7, off_resistance=3e7),
    "supply_noise": 30e-3,
}
SEEN = ("capacitor mismatch", "comparator noise", "comparator offset", "settling", "supply noise")
"""Sources of which none may hide behind the others."""


@pytest.mark.parametrize("second", ["replica", "differential"])
def test_reads_have_the_error_of_all_parts_together(second):
    """Sums of mean -9.6 that are shifted by 31 counts, on many dies."""
    macro = SwitchedCapacitor(second_line=second, readout_centre=31.0, **SHARED)

    @jax.jit
    def errors(key):
        drawn, data, noise = jax.random.split(key, 3)
        weights = jnp.where(jax.random.bernoulli(data, ACTIVITY, (ROWS, COLUMNS)), 1.0, -1.0)
        read = macro.matmul(jnp.ones((READS, ROWS)), weights, die=macro.fabricate(drawn), key=noise)
        return read - jnp.sum(weights, axis=0, keepdims=True)

    found = np.asarray(jax.lax.map(errors, jax.random.split(jax.random.key(0), DIES)), float)
    closed = {name: float(value) for name, value in macro.error_variances(activity=ACTIVITY).items()}
    total = sum(closed.values())
    assert all(closed[name] > 0.04 * total for name in SEEN), closed
    assert np.mean(found**2) == pytest.approx(total, rel=0.06)
