"""Gradients of an array with all its effects where capacitors, drivers and line values are as small as they get."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits

DIES, ROWS, COLUMNS = 16, 8, 2
GENERATOR = np.random.default_rng(0)
WEIGHTS = jnp.asarray(GENERATOR.choice([-1.0, 1.0], (ROWS, COLUMNS)), jnp.float32)
# The first rows agree with no weight of a column and with all of them: lines at either end of their swing.
ENDS = np.concatenate([-np.asarray(WEIGHTS.T), np.asarray(WEIGHTS.T)])
INPUTS = jnp.asarray(np.concatenate([ENDS, GENERATOR.choice([-1.0, 1.0], (4, ROWS))]), jnp.float32)


def array(unit_capacitance: float = 1e-15, resistance: float = 10e3, rail: float = 100.0) -> circuits.SwitchedCapacitor:
    return circuits.SwitchedCapacitor(
        rows=ROWS,
        columns=COLUMNS,
        unit_capacitance=unit_capacitance,
        comparator=circuits.Comparator(kickback=0.1),
        drivers=circuits.Drivers(resistance=resistance, supply_resistance=rail),
        reset=circuits.ResetSwitch(),
        leakage=circuits.Leakage(),
        supply_noise=1e-3,
        layout=circuits.Layout(
            linear_gradient=0.01, quadratic_gradient=0.01, correlated_sigma=0.01, edge_error=0.01, dummies=False
        ),
        faults=circuits.Faults(stuck_high=0.02, stuck_low=0.02, dead_column=0.02),
    )


def squares(macro: circuits.SwitchedCapacitor, key: jax.Array) -> jax.Array:
    chip = amsim.deploy(lambda weights, inputs: inputs @ weights, WEIGHTS, macro, key=key)
    return jnp.sum(chip(INPUTS, key=key) ** 2)


GRADIENTS = jax.jit(jax.vmap(jax.value_and_grad(squares), (None, 0)))
SETTINGS = {
    "default": array(),
    "attofarad": array(unit_capacitance=1e-18),
    "milliohm": array(resistance=1e-3),
    "milliohm rail": array(rail=1e-3),
    "all": array(1e-18, 1e-3, 1e-3),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_gradient_of_a_die_is_finite(setting: str) -> None:
    """In float32; one program serves all settings."""
    values, slopes = GRADIENTS(SETTINGS[setting], jax.random.split(jax.random.key(0), DIES))
    leaves = jax.tree_util.tree_leaves_with_path(slopes)
    assert np.all(np.isfinite(values))
    assert [jax.tree_util.keystr(path) for path, slope in leaves if not np.all(np.isfinite(slope))] == []
    assert {slope.dtype for _, slope in leaves} == {np.dtype("float32")}
