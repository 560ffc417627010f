"""What a network reads besides its arguments is noticed when it changes, and costs no compilation while it stands."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split

PARAMS, MACRO = {"w": jnp.eye(4)}, circuits.DigitalBinary(rows=8, columns=8, weight_bits=8, input_bits=8)
ITEMS = Split(np.eye(4, dtype=np.float32), np.arange(4))
SHIFT = np.zeros((1, 4), np.float32)
HOLDER = SimpleNamespace(shift=0.0)


def of_a_global(p: Any, x: jax.Array) -> jax.Array:
    return (x - SHIFT) @ p["w"]


def of_an_attribute(p: Any, x: jax.Array) -> jax.Array:
    return (x - HOLDER.shift * jnp.array([[0.0, 0, 0, 1]])) @ p["w"]


def change_global(number: float) -> None:
    SHIFT[0, 3] = number


def change_attribute(number: float) -> None:
    HOLDER.shift = number


CASES: dict[str, tuple[Callable[..., Any], Callable[[float], None]]] = {
    "array in place": (of_a_global, change_global),
    "attribute of a global": (of_an_attribute, change_attribute),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_noticed(name: str) -> None:
    network, change = CASES[name]
    chip = amsim.deploy(network, PARAMS, MACRO)

    def found() -> tuple[float, float]:
        accuracy = amsim.evaluate(network, PARAMS, MACRO, ITEMS, key=jax.random.key(0), dies=1).accuracy_mean
        return float(accuracy), float(chip(jnp.asarray(ITEMS.inputs))[0, 3])

    change(0.0)
    assert found() == (1.0, 0.0)
    change(-9.0)  # every item looks like class 3
    accuracy, output = found()
    assert accuracy == 0.25
    assert output == pytest.approx(9, rel=0.01)
    change(0.0)
    assert found() == (1.0, 0.0)


def test_a_network_that_stands_is_traced_once() -> None:
    traced = []

    def network(p: Any, x: jax.Array) -> jax.Array:
        traced.append(1)
        return (x - SHIFT) @ p["w"]

    chip = amsim.deploy(network, PARAMS, MACRO)
    x = jnp.asarray(ITEMS.inputs)
    chip(x)
    before = len(traced)
    for _ in range(3):
        chip(x)
    assert len(traced) == before
