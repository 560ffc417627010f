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


@pytest.mark.sampled(2)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_gradient_of_a_die_is_finite(setting: str) -> None:
    """In float32; one program serves all settings."""
    values, slopes = GRADIENTS(SETTINGS[setting], jax.random.split(jax.random.key(0), DIES))
    leaves = jax.tree_util.tree_leaves_with_path(slopes)
    assert np.all(np.isfinite(values))
    assert [jax.tree_util.keystr(path) for path, slope in leaves if not np.all(np.isfinite(slope))] == []
    assert {slope.dtype for _, slope in leaves} == {np.dtype("float32")}


HIGH = np.array([0.0, 1e-38, 1e-30, 1e-20, 1e-10, 1e-3, 1.0, 4.0, 8.0], np.float32)


@pytest.mark.parametrize("unit", [1e-15, 1e-18])
@pytest.mark.parametrize("resistance", [1e-3, 100.0, 1e6])
def test_gains_of_drivers_where_next_to_nothing_rises(unit: float, resistance: float) -> None:
    """`1 - exp(-t / tau)` in float64, `tau = R C h (1 - h / n)` behind a rail, and of drivers alone."""
    behind_rail = circuits.Drivers(resistance=resistance * 1e-9, supply_resistance=resistance)
    drivers = circuits.Drivers(resistance=resistance)
    time, total, grounded = jnp.float32(1e-9), jnp.float32(ROWS), jnp.float32(1e-3)

    def gain(drivers: circuits.Drivers, high: jax.Array, unit: jax.Array) -> jax.Array:
        return drivers.rail_gain(high, time, unit, grounded, total)

    values, slopes = jax.vmap(jax.value_and_grad(gain, (0, 1, 2)), (None, 0, None))(
        behind_rail, jnp.asarray(HIGH), jnp.float32(unit)
    )
    high = HIGH.astype(np.float64)
    tau = resistance * unit * high * (1 - high / ROWS)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(values, -np.expm1(-1e-9 / tau), rtol=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))

    def nominal(drivers: circuits.Drivers, parasitic: jax.Array, unit: jax.Array) -> jax.Array:
        return drivers.nominal_gain(time, unit, parasitic, total * unit + parasitic)

    values, slopes = jax.vmap(jax.value_and_grad(nominal, (0, 1, 2)), (None, 0, None))(
        drivers, jnp.asarray(HIGH) * np.float32(unit), jnp.float32(unit)
    )
    parasitic = (HIGH * np.float32(unit)).astype(np.float64)
    tau = resistance * unit * parasitic / (ROWS * unit + parasitic)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(values, -np.expm1(-1e-9 / tau), rtol=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
