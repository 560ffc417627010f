"""ONNX operators that reduce axes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from amsim.foreign.operators.registry import Ints, Value, axis_of, library, numbers_of, operator


def _register(name: str, function: Callable[..., Any]) -> None:
    @operator(name, settings=(1,))
    def compute(
        x: Value,
        axes_input: Value | None = None,
        *,
        axes: Ints = (),
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Value:
        chosen = numbers_of("axes", axes_input) or axes
        if not chosen and noop_with_empty_axes:
            return x
        reduced = tuple(axis_of(axis, x.ndim) for axis in chosen) or tuple(range(x.ndim))
        return function(library(x), x, reduced, bool(keepdims))


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceMean": lambda xp, x, axes, keep: xp.mean(x, axes, keepdims=keep).astype(x.dtype),
    "ReduceSum": lambda xp, x, axes, keep: xp.sum(x, axes, keepdims=keep, dtype=x.dtype),
    "ReduceMax": lambda xp, x, axes, keep: xp.max(x, axes, keepdims=keep),
    "ReduceMin": lambda xp, x, axes, keep: xp.min(x, axes, keepdims=keep),
    "ReduceProd": lambda xp, x, axes, keep: xp.prod(x, axes, keepdims=keep, dtype=x.dtype),
    "ReduceL1": lambda xp, x, axes, keep: xp.sum(xp.abs(x), axes, keepdims=keep, dtype=x.dtype),
    "ReduceL2": lambda xp, x, axes, keep: xp.sqrt(xp.sum(x * x, axes, keepdims=keep, dtype=x.dtype)),
    "ReduceSumSquare": lambda xp, x, axes, keep: xp.sum(x * x, axes, keepdims=keep, dtype=x.dtype),
    "ReduceLogSumExp": lambda xp, x, axes, keep: jax.scipy.special.logsumexp(jnp.asarray(x), axes, keepdims=keep),
}
for _name, _function in _REDUCTIONS.items():
    _register(_name, _function)


@operator("ArgMax")
def place_of_largest(x: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Value:
    """Place of the largest element along an axis."""
    return _place(jnp.argmax, x, axis, keepdims, select_last_index)


@operator("ArgMin")
def place_of_smallest(x: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Value:
    """Place of the smallest element along an axis."""
    return _place(jnp.argmin, x, axis, keepdims, select_last_index)


def _place(function: Callable[..., Any], x: Value, axis: int, keepdims: int, last: int) -> Value:
    x, axis = jnp.asarray(x), axis_of(axis, x.ndim)
    if last:
        return x.shape[axis] - 1 - function(jnp.flip(x, axis), axis, keepdims=bool(keepdims))
    return function(x, axis, keepdims=bool(keepdims))
