"""Ranges of integers hold for the numbers that JAX computes, also where these wrap round."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.deployment.tracing.flattening import flatten

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda x: x,
    "less a constant": lambda x: x - x.dtype.type(100),
    "plus a constant": lambda x: x + x.dtype.type(100),
    "constant less it": lambda x: x.dtype.type(7) - x,
    "negative": lambda x: -x,
    "times a constant": lambda x: x * x.dtype.type(3),
    "magnitude": jnp.abs,
    "magnitude of some": lambda x: jnp.abs(jnp.clip(x, 0, 100)),
    "sum of magnitudes": lambda x: jnp.abs(x) + jnp.abs(x),
    "square": lambda x: x * x,
    "third power": lambda x: jax.lax.integer_pow(x, 3),
    "sum": lambda x: jnp.sum(x, dtype=x.dtype, keepdims=True),
    "running sum": lambda x: jnp.cumsum(x, dtype=x.dtype),
    "low bits": lambda x: x & x.dtype.type(15),
    "high bits": lambda x: jax.lax.shift_right_logical(x, x.dtype.type(4)),
    "arithmetic shift": lambda x: jax.lax.shift_right_arithmetic(x, x.dtype.type(3)),
    "shift left": lambda x: x << x.dtype.type(3),
    "either": lambda x: (x & x.dtype.type(3)) | x.dtype.type(8),
    "exclusive or": lambda x: x ^ x.dtype.type(127),
    "remainder": lambda x: jax.lax.rem(x, x.dtype.type(5)),
    "remainder as in Python": lambda x: x % x.dtype.type(5),
    "quotient": lambda x: x // x.dtype.type(5),
    "clip": lambda x: jnp.clip(x, 3, 60),
    "maximum": lambda x: jnp.maximum(x, x.dtype.type(5)),
    "to bytes": lambda x: x.astype(jnp.uint8),
    "to signed bytes": lambda x: x.astype(jnp.int8),
    "to 32 bits, less a constant": lambda x: x.astype(jnp.int32) - 128,
    "to 32 bits, sum": lambda x: jnp.sum(x.astype(jnp.int32), keepdims=True),
    "to numbers": lambda x: (x.astype(jnp.float32) - 8) * 0.5,
    "sign": jnp.sign,
    "to truth values": lambda x: (x > 3).astype(jnp.uint8),
}


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.uint16, jnp.int16, jnp.int32, jnp.uint32])
def test_every_integer_lies_in_its_range(dtype: Any) -> None:
    ends = jnp.iinfo(dtype)
    # Sums and products of 32 bits are taken not to wrap.
    low, high = (ends.min, ends.max) if ends.bits < 32 else (max(ends.min, -1000), 1000)
    numbers = np.r_[low, low + 1, high - 1, high, 0, 1, 5, 77, 120, *(() if ends.min == 0 else (-1, -9))]
    x = jnp.asarray(numbers.astype(dtype))
    for name, function in OPERATIONS.items():
        closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(x.shape, x.dtype))
        known = flatten(closed, 0).outputs[0].range
        values = np.asarray(function(x)).astype(np.float64)
        assert known.low is None or values.min() >= known.low, name
        assert known.high is None or values.max() <= known.high, name
        assert known.step, name
        np.testing.assert_array_equal(values / known.step, np.round(values / known.step), err_msg=name)


def test_bits_of_a_byte_are_narrow_ranges() -> None:
    def ends(function: Callable[[Any], Any]) -> tuple[float | None, float | None]:
        known = flatten(jax.make_jaxpr(function)(jax.ShapeDtypeStruct((3,), jnp.uint8)), 0).outputs[0].range
        return known.low, known.high

    assert ends(lambda x: x & 15) == (0, 15)
    assert ends(lambda x: x >> 4) == (0, 15)
    assert ends(lambda x: (x & 3) | ((x >> 2) & 4)) == (0, 7)
    assert ends(lambda x: x % 5) == (0, 4)
    assert ends(lambda x: jnp.abs(jnp.clip(x.astype(jnp.int32) - 128, -100, 50))) == (0, 100)
