"""Ranges of values that the program itself fixes: a clip, a sign or a rounding says what can come out.

Only operations that keep a range meaningful pass it on. A product or a sum of data has none: its exact bound is far
wider than what it takes in practice, and would waste the operands' bits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend import core

from amsim.circuits.operands import ValueRange

UNKNOWN = ValueRange()
NOTHING = ValueRange(math.inf, -math.inf)
"""Range of no values at all, such as those of a constant NaN."""

_FIXED = {
    "sign": ValueRange(-1.0, 1.0),
    "tanh": ValueRange(-1.0, 1.0),
    "erf": ValueRange(-1.0, 1.0),
    "logistic": ValueRange(0.0, 1.0),
    "exp": ValueRange(0.0, None),
    "abs": ValueRange(0.0, None),
}
_COMPARISONS = ("ge", "gt", "le", "lt", "eq", "ne", "is_finite")
_PASSING = (
    "reshape", "broadcast_in_dim", "transpose", "squeeze", "expand_dims", "slice", "dynamic_slice", "rev", "copy",
    "copy_p", "stop_gradient", "convert_element_type", "reduce_max", "reduce_min", "reduce_window_max", "gather",
    "reduce_precision", "optimization_barrier",
)  # fmt: skip
_ROUNDINGS: dict[str, Callable[[float], float]] = {"round": round, "floor": math.floor, "ceil": math.ceil}


def constant_range(number: Any) -> ValueRange:
    """Range of a constant; NaN counts as no value."""
    array = np.asarray(number)
    if array.dtype == bool or not (np.issubdtype(array.dtype, np.number) or array.dtype.name == "bfloat16"):
        return ValueRange(0.0, 1.0) if array.dtype == bool else UNKNOWN
    finite = array.astype(np.float64)
    finite = finite[~np.isnan(finite)]
    return ValueRange(float(finite.min()), float(finite.max())) if finite.size else NOTHING


def dtype_range(aval: Any) -> ValueRange:
    """Range that a dtype alone implies: truth values and 8-bit pixels."""
    ranges = {"bool": ValueRange(0.0, 1.0), "uint8": ValueRange(0.0, 255.0), "int8": ValueRange(-128.0, 127.0)}
    return ranges.get(str(getattr(aval, "dtype", "")), UNKNOWN)


def output_ranges(equation: core.JaxprEqn, inputs: Sequence[ValueRange]) -> list[ValueRange]:
    """Ranges of an operation's outputs from those of its inputs."""
    name = equation.primitive.name
    if name in ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
        return _of_body(equation, inputs)
    constants = [isinstance(atom, core.Literal) or known.low == known.high != None for atom, known in zip(equation.invars, inputs, strict=True)]  # noqa: E501, E711
    found = _of_primitive(name, inputs, constants)
    return [found] * len(equation.outvars)


def _of_body(equation: core.JaxprEqn, inputs: Sequence[ValueRange]) -> list[ValueRange]:
    closed = equation.params.get("jaxpr", equation.params.get("call_jaxpr", equation.params.get("fun_jaxpr")))
    if not isinstance(closed, core.ClosedJaxpr) or len(closed.jaxpr.invars) != len(inputs):
        return [UNKNOWN] * len(equation.outvars)
    known = dict(zip(closed.jaxpr.invars, inputs, strict=True))
    known |= {variable: constant_range(number) for variable, number in zip(closed.jaxpr.constvars, closed.consts, strict=True)}  # noqa: E501

    def read(atom: Any) -> ValueRange:
        return constant_range(atom.val) if isinstance(atom, core.Literal) else known[atom]

    for inner in closed.jaxpr.eqns:
        outputs = output_ranges(inner, [read(atom) for atom in inner.invars])
        known |= dict(zip(inner.outvars, outputs, strict=True))
    return [read(atom) for atom in closed.jaxpr.outvars]


def _of_primitive(name: str, inputs: Sequence[ValueRange], constants: Sequence[bool]) -> ValueRange:
    if name in _FIXED:
        return _FIXED[name]
    if name in _COMPARISONS:
        return ValueRange(0.0, 1.0)
    if name in _PASSING:
        return inputs[0]
    if name in _ROUNDINGS:
        return _mapped(inputs[0], _ROUNDINGS[name])
    if name == "clamp":
        low, _, high = inputs
        return ValueRange(low.low, high.high)
    if name == "max":
        return ValueRange(_either(max, inputs[0].low, inputs[1].low), _both(max, inputs[0].high, inputs[1].high))
    if name == "min":
        return ValueRange(_both(min, inputs[0].low, inputs[1].low), _either(min, inputs[0].high, inputs[1].high))
    if name in ("concatenate", "pad"):
        return _hull(inputs)
    if name == "select_n":
        return _hull(inputs[1:])
    if name == "neg":
        return _scaled(inputs[0], -1.0)
    if name in ("add", "sub", "mul", "div") and any(constants):
        return _affine(name, inputs, constants)
    return UNKNOWN


def _affine(name: str, inputs: Sequence[ValueRange], constants: Sequence[bool]) -> ValueRange:
    left, right = inputs
    if name == "div":
        return _scaled(left, 1 / right.low) if constants[1] and right.low else UNKNOWN
    constant, other = (right, left) if constants[1] else (left, right)
    number = constant.low
    if number is None or constant.high != number:
        return UNKNOWN
    if name == "mul":
        return _scaled(other, number)
    if name == "add":
        return _mapped(other, lambda value: value + number)
    return _mapped(left, lambda value: value - number) if constants[1] else _mapped(_scaled(right, -1.0), lambda value: value + number)  # noqa: E501


def _scaled(known: ValueRange, factor: float) -> ValueRange:
    scaled = _mapped(known, lambda value: value * factor)
    return scaled if factor >= 0 else ValueRange(scaled.high, scaled.low)


def _mapped(known: ValueRange, function: Callable[[float], float]) -> ValueRange:
    low = None if known.low is None else float(function(known.low)) if math.isfinite(known.low) else known.low
    high = None if known.high is None else float(function(known.high)) if math.isfinite(known.high) else known.high
    return ValueRange(low, high)


def _hull(ranges: Sequence[ValueRange]) -> ValueRange:
    lows, highs = [known.low for known in ranges], [known.high for known in ranges]
    low = None if any(value is None for value in lows) else min(value for value in lows if value is not None)
    high = None if any(value is None for value in highs) else max(value for value in highs if value is not None)
    return ValueRange(low, high)


def _both(choose: Callable[..., float], left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else choose(left, right)


def _either(choose: Callable[..., float], left: float | None, right: float | None) -> float | None:
    known = [value for value in (left, right) if value is not None]
    return choose(*known) if len(known) == 2 else known[0] if known else None
