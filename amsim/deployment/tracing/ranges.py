"""Ranges and grids of values that the program itself fixes, by a clip, a sign, a rounding or a type.

A range says what could occur, a grid which values there are. Only operations that keep a range meaningful pass it on. A
product or sum of data has none, since its exact bound is far wider than its values, but stays on a grid.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from amsim.circuits.selection.value_range import ValueRange, common_step
from amsim.deployment.tracing.integer_ranges import INTEGER_RULES, dtype_range, without_wrapping
from amsim.deployment.tracing.primitives import (
    AFFINE,
    CALLS,
    COMPARISONS,
    NOT_NEGATIVE,
    SUMMATIONS,
    VALUE_KEEPING,
    call_body,
)

UNKNOWN = ValueRange()
ZERO = ValueRange(0.0, 0.0, 0.0)
NOTHING = ValueRange(math.inf, -math.inf, 0.0)
"""Range of no values at all, such as those of a constant NaN."""

_FIXED = {
    "sign": ValueRange(-1.0, 1.0, 1.0),
    "tanh": ValueRange(-1.0, 1.0),
    "erf": ValueRange(-1.0, 1.0),
    "logistic": ValueRange(0.0, 1.0),
    "exp": ValueRange(0.0, None),
}
_ROUNDINGS: dict[str, Callable[[float], float]] = {"floor": math.floor, "ceil": math.ceil}
_DECIDED: dict[str, tuple[Callable[..., bool], Callable[..., bool]]] = {
    "lt": (lambda low, high, start, end: high < start, lambda low, high, start, end: low >= end),
    "le": (lambda low, high, start, end: high <= start, lambda low, high, start, end: low > end),
    "gt": (lambda low, high, start, end: low > end, lambda low, high, start, end: high <= start),
    "ge": (lambda low, high, start, end: low >= end, lambda low, high, start, end: high < start),
    "eq": (
        lambda low, high, start, end: low == high == start == end,
        lambda *ends: ends[1] < ends[2] or ends[0] > ends[3],
    ),
    "ne": (
        lambda *ends: ends[1] < ends[2] or ends[0] > ends[3],
        lambda low, high, start, end: low == high == start == end,
    ),
}
"""When a comparison of `low..high` with `start..end` is true, and when it is false, whatever the values."""
_ELEMENTS_READ = 2**16
"""Largest constant whose values are searched for a grid."""


def constant_range(number: Any) -> ValueRange:
    """Range of a constant, in which NaN counts as no value; of a traced one, as under `jit`, the range of its dtype."""
    dtype = getattr(number, "dtype", np.asarray(number).dtype if np.isscalar(number) else None)
    real = dtype is not None and (
        dtype == np.bool_ or any(jnp.issubdtype(dtype, kind) for kind in (jnp.integer, jnp.floating))
    )
    if isinstance(number, jax.core.Tracer) or not real:
        return dtype_range(number)
    known = np.asarray(number).astype(np.float64)
    known = known[~np.isnan(known)]
    return ValueRange(float(known.min()), float(known.max()), _step_of(known)) if known.size else NOTHING


def _step_of(values: np.ndarray) -> float | None:
    """Step of the grid of finite numbers: their smallest magnitude, or 1 where all are whole."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not sizes.size or sizes.size > _ELEMENTS_READ:
        return None if sizes.size else 0.0
    for step in (float(sizes.min()), 1.0):
        words = sizes / step
        if np.all(np.abs(words - np.round(words)) <= 1e-6 * words):
            return step
    return None


def hull(ranges: Sequence[ValueRange]) -> ValueRange:
    """Narrowest range that holds all of these, on the grid that they share."""
    lows, highs = [known.low for known in ranges], [known.high for known in ranges]
    low = None if any(value is None for value in lows) else min(value for value in lows if value is not None)
    high = None if any(value is None for value in highs) else max(value for value in highs if value is not None)
    return ValueRange(low, high, _shared_step(ranges))


def _shared_step(ranges: Sequence[ValueRange]) -> float | None:
    return functools.reduce(common_step, (known.step for known in ranges))


def output_ranges(equation: core.JaxprEqn, inputs: Sequence[ValueRange]) -> list[ValueRange]:
    """Ranges of an operation's outputs from those of its inputs."""
    name = equation.primitive.name
    if name in CALLS:
        return _body_ranges(equation, inputs)
    constants = [
        isinstance(atom, core.Literal) or (known.low is not None and known.low == known.high)
        for atom, known in zip(equation.invars, inputs, strict=True)
    ]
    found = _finite_ends(_primitive_range(name, inputs, constants, equation.params))
    return [without_wrapping(name, found, inputs, variable.aval) for variable in equation.outvars]


def _finite_ends(known: ValueRange) -> ValueRange:
    """Range with unknown in place of infinite ends, to which nothing can be scaled."""
    low, high = None if known.low == -math.inf else known.low, None if known.high == math.inf else known.high
    return known._replace(low=low, high=high)


def _body_ranges(equation: core.JaxprEqn, inputs: Sequence[ValueRange]) -> list[ValueRange]:
    jaxpr, consts = call_body(equation)
    known = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= dict(zip(jaxpr.constvars, map(constant_range, consts), strict=True))

    def read(atom: Any) -> ValueRange:
        return constant_range(atom.val) if isinstance(atom, core.Literal) else known[atom]

    for inner in jaxpr.eqns:
        outputs = output_ranges(inner, [read(atom) for atom in inner.invars])
        known |= dict(zip(inner.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _primitive_range(
    name: str, inputs: Sequence[ValueRange], constants: Sequence[bool], params: dict[str, Any]
) -> ValueRange:
    if name in _FIXED:
        return _FIXED[name]
    if name == "abs":
        return _larger_or_smaller("max", _larger_or_smaller("max", inputs[0], _scaled(inputs[0], -1.0)), ZERO)
    if name in COMPARISONS:
        return _comparison(name, inputs)
    if name in VALUE_KEEPING:
        return inputs[0]
    if name == "convert_element_type":
        return _conversion_range(inputs[0], params["new_dtype"])
    if name == "gather":
        # Elements outside the array are NaN unless the caller says otherwise.
        return inputs[0] if params["fill_value"] is None else hull([inputs[0], constant_range(params["fill_value"])])
    if name == "round":
        even = params["rounding_method"] == jax.lax.RoundingMethod.TO_NEAREST_EVEN
        whole = round if even else lambda value: math.copysign(math.floor(abs(value) + 0.5), value)
        return _to_whole(inputs[0], whole)
    if name in _ROUNDINGS:
        return _to_whole(inputs[0], _ROUNDINGS[name])
    if name == "clamp":
        low, value, high = inputs
        return _larger_or_smaller("min", _larger_or_smaller("max", value, low), high)
    if name in ("max", "min"):
        return _larger_or_smaller(name, *inputs)
    if name in ("concatenate", "pad"):
        return hull(inputs)
    if name == "select_n":
        which = inputs[0]
        return inputs[1 + int(which.low)] if which.low is not None and which.low == which.high else hull(inputs[1:])
    if name == "neg":
        return _scaled(inputs[0], -1.0)
    if name in INTEGER_RULES:
        return INTEGER_RULES[name](inputs)
    if name in AFFINE and any(constants):
        return _affine_range(name, inputs, constants)
    return _range_of_arithmetic(name, inputs)


def _comparison(name: str, inputs: Sequence[ValueRange]) -> ValueRange:
    """Range of a truth value: one number where the ranges of what is compared decide."""
    ends = [end for known in inputs for end in (known.low, known.high)]
    for answer, decides in zip((1.0, 0.0), _DECIDED.get(name, ()), strict=False):
        if None not in ends and decides(*ends):
            return ValueRange(answer, answer, 1.0)
    return ValueRange(0.0, 1.0, 1.0)


def _range_of_arithmetic(name: str, inputs: Sequence[ValueRange]) -> ValueRange:
    """Sign and grid of sums and products of data."""
    step = None
    if name in SUMMATIONS:
        step = _shared_step(inputs)
    elif name == "mul" and all(known.step is not None for known in inputs):
        step = math.prod(known.step for known in inputs if known.step is not None)
    positive = name in NOT_NEGATIVE and all(known.not_negative for known in inputs)
    return ValueRange(0.0 if positive else None, None, step)


def _larger_or_smaller(name: str, left: ValueRange, right: ValueRange) -> ValueRange:
    """Range of the elementwise maximum or minimum of two values."""
    if name == "max":
        low, high = _either(max, left.low, right.low), _both(max, left.high, right.high)
    else:
        low, high = _both(min, left.low, right.low), _either(min, left.high, right.high)
    return ValueRange(low, high, common_step(left.step, right.step))


def _to_whole(known: ValueRange, function: Callable[[float], float]) -> ValueRange:
    whole = known.step is not None and known.step == round(known.step)
    return _mapped(known, function)._replace(step=known.step if whole else 1.0)


def _conversion_range(known: ValueRange, dtype: Any) -> ValueRange:
    if jnp.issubdtype(dtype, jnp.floating):
        return known
    return _to_whole(known, math.trunc) if jnp.issubdtype(dtype, jnp.integer) else UNKNOWN


def _affine_range(name: str, inputs: Sequence[ValueRange], constants: Sequence[bool]) -> ValueRange:
    left, right = inputs
    if name == "div":
        return _scaled(left, 1 / right.low) if constants[1] and right.low else UNKNOWN
    constant, other = (right, left) if constants[1] else (left, right)
    number = constant.low
    if number is None or constant.high != number:
        return UNKNOWN
    if name == "mul":
        return _scaled(other, number)
    if name == "sub" and not constants[1]:
        other = _scaled(right, -1.0)
    shift = -number if name == "sub" and constants[1] else number
    return _mapped(other, lambda value: value + shift)._replace(step=common_step(other.step, shift))


def _scaled(known: ValueRange, factor: float) -> ValueRange:
    scaled = _mapped(known, lambda value: value * factor)
    low, high = (scaled.low, scaled.high) if factor >= 0 else (scaled.high, scaled.low)
    step = None if known.step is None or not math.isfinite(factor) else known.step * abs(factor)
    return ValueRange(low, high, step)


def _mapped(known: ValueRange, function: Callable[[float], float]) -> ValueRange:
    low = None if known.low is None else float(function(known.low)) if math.isfinite(known.low) else known.low
    high = None if known.high is None else float(function(known.high)) if math.isfinite(known.high) else known.high
    return known._replace(low=low, high=high)


def _both(choose: Callable[..., float], left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else choose(left, right)


def _either(choose: Callable[..., float], left: float | None, right: float | None) -> float | None:
    known = [value for value in (left, right) if value is not None]
    return choose(*known) if len(known) == 2 else known[0] if known else None
