"""Ranges of values that the program itself fixes, by a clip, a sign or a rounding.

Only operations that keep a range meaningful pass it on. A product or sum of data has none: its exact bound is far
wider than its values in practice, and would waste the operands' bits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from amsim.circuits.selection.codes import ValueRange
from amsim.deployment.tracing.primitives import AFFINE, CALLS, COMPARISONS, NOT_NEGATIVE, VALUE_KEEPING, call_body

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
_ROUNDINGS: dict[str, Callable[[float], float]] = {"floor": math.floor, "ceil": math.ceil}


def constant_range(number: Any) -> ValueRange:
    """Range of a constant, in which NaN counts as no value; of a traced one, as under `jit`, the range of its dtype."""
    dtype = getattr(number, "dtype", np.asarray(number).dtype if np.isscalar(number) else None)
    real = dtype is not None and (jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating))
    if isinstance(number, jax.core.Tracer) or not real:
        return dtype_range(number)
    finite = np.asarray(number).astype(np.float64)
    finite = finite[~np.isnan(finite)]
    return ValueRange(float(finite.min()), float(finite.max())) if finite.size else NOTHING


def dtype_range(aval: Any) -> ValueRange:
    """Range that a dtype alone implies, known for truth values and 8-bit integers."""
    ranges = {"bool": ValueRange(0.0, 1.0), "uint8": ValueRange(0.0, 255.0), "int8": ValueRange(-128.0, 127.0)}
    return ranges.get(str(getattr(aval, "dtype", "")), UNKNOWN)


def hull(ranges: Sequence[ValueRange]) -> ValueRange:
    """Narrowest range that holds all of these."""
    lows, highs = [known.low for known in ranges], [known.high for known in ranges]
    low = None if any(value is None for value in lows) else min(value for value in lows if value is not None)
    high = None if any(value is None for value in highs) else max(value for value in highs if value is not None)
    return ValueRange(low, high)


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
    return [dtype_range(variable.aval) if found == UNKNOWN else found for variable in equation.outvars]


def _finite_ends(known: ValueRange) -> ValueRange:
    """Range with unknown in place of infinite ends, to which nothing can be scaled."""
    return ValueRange(None if known.low == -math.inf else known.low, None if known.high == math.inf else known.high)


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
    if name in COMPARISONS:
        return ValueRange(0.0, 1.0)
    if name in VALUE_KEEPING:
        return inputs[0]
    if name == "convert_element_type":
        return _conversion_range(inputs[0], params["new_dtype"])
    if name == "gather":
        # Elements outside the array are NaN unless the caller says otherwise.
        return inputs[0] if params["fill_value"] is None else hull([inputs[0], constant_range(params["fill_value"])])
    if name == "round":
        even = params["rounding_method"] == jax.lax.RoundingMethod.TO_NEAREST_EVEN
        return _mapped(inputs[0], round if even else lambda value: math.copysign(math.floor(abs(value) + 0.5), value))
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
        return hull(inputs)
    if name == "select_n":
        return hull(inputs[1:])
    if name == "neg":
        return _scaled(inputs[0], -1.0)
    if name in AFFINE and any(constants):
        return _affine_range(name, inputs, constants)
    if name in NOT_NEGATIVE and all(known.low is not None and known.low >= 0 for known in inputs):
        return ValueRange(0.0, None)
    return UNKNOWN


def _conversion_range(known: ValueRange, dtype: Any) -> ValueRange:
    if not jnp.issubdtype(dtype, jnp.integer):
        return known if jnp.issubdtype(dtype, jnp.floating) else UNKNOWN
    whole, limits = _mapped(known, math.trunc), jnp.iinfo(dtype)
    fits = whole.low is not None and whole.high is not None and limits.min <= whole.low <= whole.high <= limits.max
    return whole if fits else UNKNOWN


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
    if name == "add":
        return _mapped(other, lambda value: value + number)
    if constants[1]:
        return _mapped(left, lambda value: value - number)
    return _mapped(_scaled(right, -1.0), lambda value: value + number)


def _scaled(known: ValueRange, factor: float) -> ValueRange:
    scaled = _mapped(known, lambda value: value * factor)
    return scaled if factor >= 0 else ValueRange(scaled.high, scaled.low)


def _mapped(known: ValueRange, function: Callable[[float], float]) -> ValueRange:
    low = None if known.low is None else float(function(known.low)) if math.isfinite(known.low) else known.low
    high = None if known.high is None else float(function(known.high)) if math.isfinite(known.high) else known.high
    return ValueRange(low, high)


def _both(choose: Callable[..., float], left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else choose(left, right)


def _either(choose: Callable[..., float], left: float | None, right: float | None) -> float | None:
    known = [value for value in (left, right) if value is not None]
    return choose(*known) if len(known) == 2 else known[0] if known else None
