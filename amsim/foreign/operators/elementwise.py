"""ONNX operators on each element: arithmetic, comparisons, logic, functions of one number."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim.foreign.operators.registry import Value, aligned, library, operator


def _register_pair(name: str, function: str) -> None:
    @operator(name)
    def compute(a: Value, b: Value) -> Value:
        a, b = aligned(a, b)
        return getattr(library(a, b), function)(a, b)


def _register_single(name: str, function: Callable[[Any], Any]) -> None:
    @operator(name)
    def compute(x: Value) -> Value:
        return function(jnp.asarray(x))


def _register_known_single(name: str, function: str) -> None:
    @operator(name)
    def compute(x: Value) -> Value:
        return getattr(library(x), function)(x)


_PAIRS = {
    "Add": "add", "Sub": "subtract", "Mul": "multiply", "And": "logical_and", "Or": "logical_or",
    "Xor": "logical_xor", "Equal": "equal", "Greater": "greater", "GreaterOrEqual": "greater_equal", "Less": "less",
    "LessOrEqual": "less_equal",
}  # fmt: skip
_KNOWN_SINGLES = {"Neg": "negative", "Abs": "abs", "Floor": "floor", "Ceil": "ceil", "Sqrt": "sqrt", "Sign": "sign",
    "Not": "logical_not", "Round": "round"}  # fmt: skip
_SINGLES: dict[str, Callable[[Any], Any]] = {
    "Exp": jnp.exp, "Log": jnp.log, "Reciprocal": jnp.reciprocal, "Sin": jnp.sin, "Cos": jnp.cos, "Tan": jnp.tan,
    "Sinh": jnp.sinh, "Cosh": jnp.cosh, "Asin": jnp.arcsin, "Acos": jnp.arccos, "Atan": jnp.arctan,
    "Erf": jax.scipy.special.erf, "IsNaN": jnp.isnan, "Asinh": jnp.arcsinh, "Acosh": jnp.arccosh, "Atanh": jnp.arctanh,
}  # fmt: skip
for _name, _function in _PAIRS.items():
    _register_pair(_name, _function)
for _name, _function in _KNOWN_SINGLES.items():
    _register_known_single(_name, _function)
for _name, _one in _SINGLES.items():
    _register_single(_name, _one)


@operator("IsInf")
def is_infinite(x: Value, *, detect_negative: int = 1, detect_positive: int = 1) -> Value:
    """Whether elements are infinite, of either sign or of one."""
    x = jnp.asarray(x)
    return ((x == jnp.inf) & bool(detect_positive)) | ((x == -jnp.inf) & bool(detect_negative))


@operator("Div")
def quotient(a: Value, b: Value) -> Value:
    """Quotient; integers are cut off towards zero."""
    a, b = aligned(a, b)
    if not np.issubdtype(a.dtype, np.integer):
        return library(a, b).true_divide(a, b)
    if isinstance(b, np.ndarray) and np.any(b == 0):
        raise ValueError("it divides an integer by 0")
    if library(a, b) is jnp:
        return jax.lax.div(*jnp.broadcast_arrays(a, b))
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), a.dtype)


@operator("Mod")
def remainder(a: Value, b: Value, *, fmod: int = 0) -> Value:
    """Remainder with the sign of the divisor, or of the dividend with `fmod`."""
    a, b = aligned(a, b)
    return getattr(library(a, b), "fmod" if fmod else "mod")(a, b)


@operator("Pow")
def power(x: Value, exponent: Value) -> Value:
    """Power, in the type of its base; a small whole exponent is a product, whose derivative is finite at 0."""
    if isinstance(exponent, np.ndarray) and exponent.size == 1 and float(exponent.reshape(())) in (1.0, 2.0, 3.0):
        if exponent.ndim > x.ndim:
            x = x.reshape((1,) * (exponent.ndim - x.ndim) + x.shape)
        return reduce(lambda a, b: a * b, [x] * int(exponent.reshape(())))
    x, exponent = aligned(x, exponent)
    return jnp.power(jnp.asarray(x), jnp.asarray(exponent, x.dtype))


@operator("Sum")
def total(*values: Value) -> Value:
    """Sum of tensors."""
    return reduce(lambda a, b: library(a, b).add(a, b), _several(values))


@operator("Mean")
def average(*values: Value) -> Value:
    """Mean of tensors."""
    values = _several(values)
    return jnp.asarray(reduce(jnp.add, values)) / len(values)


@operator("Max")
def largest(*values: Value) -> Value:
    """Largest of tensors."""
    return reduce(lambda a, b: library(a, b).maximum(a, b), _several(values))


@operator("Min")
def smallest(*values: Value) -> Value:
    """Smallest of tensors."""
    return reduce(lambda a, b: library(a, b).minimum(a, b), _several(values))


def _several(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if not values:
        raise ValueError("it has no input")
    return aligned(*values)


@operator("Where")
def selection(condition: Value, x: Value, y: Value) -> Value:
    """Choose x where the condition is true, else y."""
    condition, x, y = aligned(condition, x, y)
    return library(condition, x, y).where(condition, x, y)


@operator("Identity")
def identity(x: Value) -> Value:
    """The same tensor."""
    return x


@operator("Dropout", settings=(1, 2))
def dropout(
    x: Value,
    rate: Value | None = None,
    training: Value | None = None,
    *,
    outputs: int,
    seed: int = 0,
    ratio: float = 0.5,
) -> Any:
    """The same tensor: a network that is deployed does not drop anything."""
    if training is not None and np.any(np.asarray(training)):
        raise ValueError("it drops values at random, as in training")
    return x if outputs == 1 else (x, np.ones(x.shape, bool))


@operator("CumSum", settings=(1,))
def running_sum(x: Value, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> Value:
    """Running sum along an axis."""
    if exclusive or reverse or isinstance(axis, jax.Array):
        raise ValueError("it is exclusive, in reverse or along an axis that depends on data")
    return jnp.cumsum(jnp.asarray(x), int(axis.reshape(())))


@operator("Clip", settings=(1, 2))
def clip(
    x: Value, low: Value | None = None, high: Value | None = None, *, min: float | None = None, max: float | None = None
) -> Value:
    """Values held between two bounds; up to operator set 10 the bounds are attributes."""
    xp = library(x, low, high)
    least = min if low is None else low.reshape((1,) * x.ndim)
    most = max if high is None else high.reshape((1,) * x.ndim)
    x = x if least is None else xp.maximum(x, least)
    return x if most is None else xp.minimum(x, most)
