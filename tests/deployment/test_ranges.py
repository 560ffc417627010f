"""Ranges that a program fixes: each rule holds for the values themselves, and is as narrow as it should be."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits import ValueRange
from amsim.deployment.tracing.flattening import flatten
from amsim.deployment.tracing.ranges import UNKNOWN, constant_range, dtype_range

WEIGHT = jnp.array([0.5, 2.0, -3.0])


def range_of(function: Callable[..., Any], dtype: Any = jnp.float32, shape: tuple[int, ...] = (3,)) -> ValueRange:
    """Known range of the result of function(weight, data)."""
    data = jax.ShapeDtypeStruct(shape, dtype)
    return flatten(jax.make_jaxpr(function)(WEIGHT, data), 1).outputs[0].range


def ends_of(known: ValueRange) -> tuple[float | None, float | None]:
    """Both ends of a range, whatever its grid."""
    return known.low, known.high


def unit(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0, 1)


def both(x: jax.Array) -> jax.Array:
    return jnp.clip(x, -2, 3)


@jax.custom_jvp
def step(x: jax.Array) -> jax.Array:
    return jnp.where(x >= 0, 1.0, -1.0)


step.defjvps(lambda tangent, out, x: tangent)

KNOWN: dict[str, tuple[Callable[..., Any], ValueRange]] = {
    "clip": (lambda w, x: both(x), ValueRange(-2, 3)),
    "clamp": (lambda w, x: jax.lax.clamp(-2.0, x, 3.0), ValueRange(-2, 3)),
    "one-sided clip": (lambda w, x: jnp.clip(x, None, 3), ValueRange(None, 3)),
    "infinite clip": (lambda w, x: jnp.clip(x, -jnp.inf, 3), ValueRange(None, 3)),
    "relu": (lambda w, x: jax.nn.relu(x), ValueRange(0, None)),
    "relu6": (lambda w, x: jax.nn.relu6(x), ValueRange(0, 6)),
    "sign": (lambda w, x: jnp.sign(x), ValueRange(-1, 1)),
    "where": (lambda w, x: jnp.where(x > 0, 0.5, -1.0), ValueRange(-1, 0.5)),
    "custom_jvp": (lambda w, x: step(x), ValueRange(-1, 1)),
    "checkpoint": (lambda w, x: jax.checkpoint(step)(x), ValueRange(-1, 1)),
    "jit": (lambda w, x: jax.jit(step)(x), ValueRange(-1, 1)),
    "tanh": (lambda w, x: jnp.tanh(x), ValueRange(-1, 1)),
    "erf": (lambda w, x: jax.lax.erf(x), ValueRange(-1, 1)),
    "sigmoid": (lambda w, x: jax.nn.sigmoid(x), ValueRange(0, 1)),
    "exp": (lambda w, x: jnp.exp(x), ValueRange(0, None)),
    "abs": (lambda w, x: jnp.abs(x), ValueRange(0, None)),
    "comparison": (lambda w, x: x > w, ValueRange(0, 1)),
    "logic": (lambda w, x: (x > w) & (x < 3), ValueRange(0, 1)),
    "truth value as number": (lambda w, x: (x > 0).astype(float) * 2 - 1, ValueRange(-1, 1)),
    "round": (lambda w, x: jnp.round(both(x) * 1.5), ValueRange(-3, 4)),
    "round, half away": (lambda w, x: jax.lax.round(jnp.clip(x, -0.5, 2.5)), ValueRange(-1, 3)),
    "floor": (lambda w, x: jnp.floor(both(x) * 0.5 + 0.25), ValueRange(-1, 1)),
    "ceil": (lambda w, x: jnp.ceil(both(x) * 0.5 + 0.25), ValueRange(0, 2)),
    "truncation": (lambda w, x: (both(x) * 1.5).astype(jnp.int32), ValueRange(-3, 4)),
    "to 8 bits": (lambda w, x: jnp.clip(x, 0, 7).astype(jnp.uint8), ValueRange(0, 7)),
    "unknown to 8 bits": (lambda w, x: x.astype(jnp.uint8), ValueRange(0, 255)),
    "too large for 8 bits": (lambda w, x: both(x).astype(jnp.uint8), ValueRange(0, 255)),
    "to truth values": (lambda w, x: both(x).astype(bool), ValueRange(0, 1)),
    "max": (lambda w, x: jnp.maximum(both(x), unit(x)), ValueRange(0, 3)),
    "min": (lambda w, x: jnp.minimum(both(x), unit(x)), ValueRange(-2, 1)),
    "concatenate": (lambda w, x: jnp.concatenate([unit(x), both(x) - 1]), ValueRange(-3, 2)),
    "pad": (lambda w, x: jnp.pad(unit(x), 1, constant_values=2.0), ValueRange(0, 2)),
    "pad with zero": (lambda w, x: jnp.pad(unit(x) + 1, 1), ValueRange(0, 2)),
    "select": (lambda w, x: jnp.where(x > 0, unit(x), both(x)), ValueRange(-2, 3)),
    "neg": (lambda w, x: -both(x), ValueRange(-3, 2)),
    "scale and shift": (lambda w, x: (both(x) - 1) * -2 / 4 + 0.5, ValueRange(-0.5, 2)),
    "constant less data": (lambda w, x: 1 - both(x), ValueRange(-2, 3)),
    "equal constants in an array": (lambda w, x: both(x) * jnp.full(3, 2.0), ValueRange(-4, 6)),
    "times zero": (lambda w, x: both(x) * 0, ValueRange(0, 0)),
    "one-sided affine": (lambda w, x: jax.nn.relu(x) * -2 + 1, ValueRange(None, 1)),
    "reshapes": (lambda w, x: unit(x).reshape(3, 1).T[None, :, ::-1][..., :2].squeeze(0), ValueRange(0, 1)),
    "broadcast": (lambda w, x: jnp.broadcast_to(unit(x), (2, 3)), ValueRange(0, 1)),
    "maximum over axes": (lambda w, x: jnp.max(both(x)), ValueRange(-2, 3)),
    "stop_gradient": (lambda w, x: jax.lax.stop_gradient(unit(x)), ValueRange(0, 1)),
    "bfloat16 and back": (lambda w, x: unit(x).astype(jnp.bfloat16).astype(float), ValueRange(0, 1)),
    "gather": (lambda w, x: unit(x)[jnp.array([0, 2])], ValueRange(0, 1)),
    "gather beyond, filled": (
        lambda w, x: (unit(x) + 1).at[jnp.array([0, 7])].get(mode="fill", fill_value=-4.0),
        ValueRange(-4, 2),
    ),
    "dynamic slice": (lambda w, x: jax.lax.dynamic_slice(unit(x), (1,), (2,)), ValueRange(0, 1)),
    "branch never taken": (lambda w, x: jnp.where(jnp.full(3, False), -1e9, unit(x)), ValueRange(0, 1)),
    "NaN in one branch": (lambda w, x: jnp.where(x > 0, unit(x), jnp.nan), ValueRange(0, 1)),
    "quantised weight": (lambda w, x: jnp.round(jnp.clip(w, -1, 1) * 3) / 3, ValueRange(-1, 1)),
    "unequal constants": (lambda w, x: unit(x) * jnp.array([1.0, 2.0, 3.0]), ValueRange(0, None)),
    "sum over an axis": (lambda w, x: jnp.sum(unit(x)), ValueRange(0, None)),
    "cumulative sum": (lambda w, x: jnp.cumsum(unit(x)), ValueRange(0, None)),
}
NOT_KNOWN: dict[str, Callable[..., Any]] = {
    "data": lambda w, x: x,
    "weights": lambda w, x: w,
    "sum of data": lambda w, x: unit(x) + both(x),
    "product of data": lambda w, x: unit(x) * both(x),
    "weight times data": lambda w, x: w * unit(x),
    "matrix product": lambda w, x: unit(x) @ unit(w),
    "constant over data": lambda w, x: 1 / both(x),
    "over zero": lambda w, x: unit(x) / 0,
    "unknown scaled": lambda w, x: 2 * x + 1,
    "clip by weights": lambda w, x: jnp.clip(x, w[0], w[1]),
    "where the condition is not known": lambda w, x: jnp.where(w[0] > 0, unit(x), x),
    "loop": lambda w, x: jax.lax.fori_loop(0, 3, lambda i, v: v + 1.0, unit(x)),
    "to 32-bit integers": lambda w, x: x.astype(jnp.int32),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_ranges(name: str) -> None:
    function, want = KNOWN[name]
    assert ends_of(range_of(function)) == ends_of(want)
    values = np.asarray(jax.vmap(lambda x: function(WEIGHT, x))(jnp.linspace(-9, 9, 300).reshape(100, 3)), float)
    values = values[~np.isnan(values)]
    if "8 bits" not in name:
        assert want.low is None or values.min() >= want.low - 1e-6
        assert want.high is None or values.max() <= want.high + 1e-6


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_ranges_that_are_not_known(name: str) -> None:
    assert ends_of(range_of(NOT_KNOWN[name])) == (None, None)


def test_pixels_are_known_by_their_type() -> None:
    assert range_of(lambda w, x: x, jnp.uint8) == ValueRange(0, 255, 1)
    assert range_of(lambda w, x: x.astype(jnp.float32) / 255, jnp.uint8) == ValueRange(0, 1, 1 / 255)
    assert range_of(lambda w, x: x, jnp.int8) == ValueRange(-128, 127, 1)
    assert range_of(lambda w, x: x.astype(float), bool) == ValueRange(0, 1, 1)
    assert range_of(lambda w, x: x, jnp.int32) == ValueRange(step=1)
    assert range_of(lambda w, x: x, jnp.uint32) == ValueRange(0, step=1)
    assert dtype_range(object()) == UNKNOWN


def test_maximum_over_windows_keeps_the_range() -> None:
    def pooled(w: jax.Array, x: jax.Array) -> jax.Array:
        return jax.lax.reduce_window(unit(x), -jnp.inf, jax.lax.max, (2, 2), (2, 2), "SAME")

    assert ends_of(range_of(pooled, shape=(5, 5))) == (0, 1)


def test_constants() -> None:
    assert constant_range(2) == constant_range(np.float32(2)) == constant_range(jnp.bfloat16(2)) == ValueRange(2, 2, 2)
    assert constant_range(jnp.array([1.0, np.nan, -1.0])) == ValueRange(-1, 1, 1)
    assert constant_range(jnp.array([0.75, -0.5])) == ValueRange(-0.5, 0.75)
    assert constant_range(np.array([True])) == ValueRange(1, 1, 1)
    for opaque in (1 + 2j, jax.random.key(0), np.zeros(0), np.array([np.nan])):
        assert constant_range(opaque).limit in (None, np.inf)
    jax.jit(lambda x: None if constant_range(x) == UNKNOWN else 1 / 0)(jnp.ones(3))


def quantised(x: jax.Array) -> jax.Array:
    return jnp.clip(jnp.round(x * 4), -8, 7) / 4


GRIDS: dict[str, tuple[Callable[..., Any], float | None]] = {
    "data": (lambda w, x: x, None),
    "clip": (lambda w, x: both(x), None),
    "round": (lambda w, x: jnp.round(x), 1),
    "floor of a coarser grid": (lambda w, x: jnp.floor(2 * jnp.round(x)), 2),
    "quantiser": (lambda w, x: quantised(x), 0.25),
    "clip that clips nothing": (lambda w, x: jnp.clip(quantised(x), -1e6, 1e6), 0.25),
    "mask that masks nothing": (lambda w, x: jnp.where(x > 99, -1e9, quantised(x)), 0.25),
    "infinite mask": (lambda w, x: jnp.where(x > 0, quantised(x), -jnp.inf), 0.25),
    "another grid": (lambda w, x: jnp.where(x > 0, quantised(x), 0.375), 0.125),
    "off every grid": (lambda w, x: jnp.where(x > 0, quantised(x), 0.1234567), None),
    "signs of a comparison": (lambda w, x: 2.0 * (x > 0).astype(float) - 1, 1),
    "half steps": (lambda w, x: jnp.round(x) - 7.5, 0.5),
    "sum of two": (lambda w, x: quantised(x) + 0.5 * quantised(x[::-1]), 0.125),
    "sum over an axis": (lambda w, x: jnp.sum(quantised(x)), 0.25),
    "mean of four": (lambda w, x: jnp.mean(jnp.round(jnp.tile(x, 4)).reshape(4, 3), 0), 0.25),
    "product of two": (lambda w, x: quantised(x) * quantised(x), 0.0625),
    "truncation": (lambda w, x: jnp.trunc(x) * 0.5, 0.5),
    "one-hot": (lambda w, x: jax.nn.one_hot(jnp.argmax(x), 3), 1),
    "straight through": (lambda w, x: x + jax.lax.stop_gradient(quantised(x) - x), 0.25),
    "straight through, the other way": (lambda w, x: x - jax.lax.stop_gradient(x - quantised(x)), 0.25),
    "difference to another value": (lambda w, x: x + (quantised(x) - x[::-1]), None),
    "constants of a table": (lambda w, x: jnp.array([-0.75, 0.25, 1.0])[jnp.argmax(x, keepdims=True)], 0.25),
    "learned step": (lambda w, x: jnp.round(x / w[0]) * w[0], None),
}


@pytest.mark.parametrize("name", GRIDS)
def test_grids(name: str) -> None:
    function, want = GRIDS[name]
    found = range_of(function).step
    assert found == (want if want is None else pytest.approx(want, rel=1e-6))
    values = np.asarray(jax.vmap(lambda x: function(WEIGHT, x))(jnp.linspace(-9, 9, 300).reshape(100, 3)), float)
    words = values[np.isfinite(values)] / (want or np.inf)
    np.testing.assert_allclose(words, np.round(words), atol=1e-5)


OPERATIONS: dict[str, Callable[[Any, float], Any]] = {
    "add": lambda v, c: v + c,
    "mul": lambda v, c: v * c,
    "rsub": lambda v, c: c - v,
    "max": lambda v, c: jnp.maximum(v, c),
    "min": lambda v, c: jnp.minimum(v, c),
    "clip": lambda v, c: jnp.clip(v, -abs(c), abs(c)),
    "round": lambda v, c: jnp.round(v * c),
    "floor": lambda v, c: jnp.floor(v / (abs(c) + 0.5)),
    "trunc": lambda v, c: (v * c).astype(jnp.int32).astype(float),
    "tanh": lambda v, c: jnp.tanh(v) * c,
    "relu": lambda v, c: jax.nn.relu(v - c),
    "select": lambda v, c: jnp.where(v > c, v, c),
    "sign": lambda v, c: jnp.sign(v) + c,
    "pad": lambda v, c: jnp.pad(v, 1, constant_values=c)[1:-1],
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from(list(OPERATIONS)), st.floats(-4, 4, width=16)), max_size=5), st.integers(0, 99)
)
def test_no_value_leaves_its_range_or_grid(operations: list[tuple[str, float]], seed: int) -> None:
    def function(w: Any, x: Any) -> Any:
        for name, constant in operations:
            x = OPERATIONS[name](x, constant)
        return x

    known = range_of(function)
    values = np.asarray(function(WEIGHT, 5 * jax.random.normal(jax.random.key(seed), (3,))), float)
    slack = 1e-4 * max(1.0, float(np.max(np.abs(values))))
    assert known.low is None or values.min() >= known.low - slack
    assert known.high is None or values.max() <= known.high + slack
    if known.step:
        assert np.abs(values / known.step - np.round(values / known.step)).max() < 1e-3 * max(1.0, slack / known.step)
