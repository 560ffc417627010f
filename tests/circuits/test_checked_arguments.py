"""The check of a method's arguments by their annotations: what it refuses, and that programs stay as they were."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import config

from amsim import circuits
from amsim.circuits.checks import finite_number, number_between

LINE = circuits.ChargeLine([1e-15, 3e-15], parasitic=1e-15, supply=0.6)


@pytest.fixture
def as_users_have_it():
    """Without the tests' own check of types."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: circuits.Technology().delay("nand", "0.8"), "supply"),
        (lambda: LINE.settled_voltage(None), "high"),
        (lambda: circuits.Trim().energy(1j), "decision_energy"),
        (lambda: circuits.Layout().fabricate(jax.random.key(0), 0, 4), "rows"),
        (lambda: circuits.Layout().fabricate(jax.random.key(0), 4, 2.0), "columns"),
        (lambda: circuits.Exact().fabricate(3), "key"),
        (lambda: circuits.MultiPrecision().tiles("dense"), "product"),
        (lambda: circuits.trim_bits(circuits.Comparator(), 1e-3, np.nan), "probability"),
    ],
)
def test_another_kind_is_refused(call, name, as_users_have_it):
    with pytest.raises(ValueError, match=f"Argument `{name}` must be "):
        call()


def test_truth_values_are_0_and_1(as_users_have_it):
    high = jnp.array([True, False])
    with jax.numpy_dtype_promotion("standard"):
        np.testing.assert_array_equal(LINE.settled_voltage(high), LINE.settled_voltage(high.astype(float)))


def test_a_program_has_no_more_operations():
    method = circuits.Technology.leakage_power
    arguments = circuits.Technology(), jnp.float32(0.8), jnp.float32(300.0)

    def program(function):
        return str(jax.make_jaxpr(lambda part, supply, kelvin: function(part, "nand", supply, kelvin))(*arguments))

    assert program(method) == program(method.__wrapped__)


@pytest.mark.filterwarnings("error")
def test_a_narrow_number_is_compared_as_it_is():
    for value in (np.float32(1.0), np.float16(1.0), jnp.float32(1.0)):
        finite_number("limit", value)
        number_between("limit", value, 0.0, float("inf"))
    with pytest.raises(ValueError, match="`limit` must be finite"):
        finite_number("limit", np.float32(np.inf))
