"""What follows from nominal capacitors is computed once for a fold and once for a read."""

import jax
import jax.numpy as jnp
import pytest

from amsim.circuits import Comparator, Drivers, Leakage, ResetSwitch, SwitchedCapacitor, Trim
from amsim.circuits.charge import drivers

ARRAY = SwitchedCapacitor(rows=6, columns=2, drivers=Drivers(), leakage=Leakage(), reset=ResetSwitch())
TRIMMED = SwitchedCapacitor(
    rows=6, columns=2, drivers=Drivers(), leakage=Leakage(), comparator=Comparator(trim=Trim(temperature=320.0))
)


@pytest.mark.parametrize(("array", "folds"), [(ARRAY, 1), (TRIMMED, 2)])
def test_drivers_are_moved_to_the_supply_once(array, folds, monkeypatch):
    """And so is the supply's check; a second time for the conditions of a trim that states its own."""
    moved, law = [], drivers.delay_ratio
    monkeypatch.setattr(drivers, "delay_ratio", lambda *given: moved.append(given) or law(*given))
    inputs, weights = jnp.ones((3, 6)), jnp.ones((6, 2))
    die = array.fabricate(jax.random.key(0))
    jax.make_jaxpr(lambda die: jax.tree.leaves(array.prepare(die)))(die)
    assert len(moved) == folds
    jax.make_jaxpr(lambda die: array.matmul(inputs, weights, die=die, key=jax.random.key(1)))(die)
    assert len(moved) == 2 * folds + 1
