"""Quantisation in a graph: QONNX `Quant` and `BipolarQuant`, ONNX `QuantizeLinear`, `DequantizeLinear` and the like."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.foreign.operators.registry import (
    QUANTISATION_DOMAINS,
    RUNTIME_DOMAIN,
    STANDARD_DOMAINS,
    Value,
    aligned,
    axis_of,
    operator,
)
from amsim.foreign.operators.shapes import ELEMENT_TYPES
from amsim.noise.gradients import decision, rounded

CODES = {
    number: np.dtype(kind) for number, kind in ELEMENT_TYPES.items() if kind in (np.uint8, np.int8, np.uint16, np.int16)
}
"""Types of codes by their number in a file."""
_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "CEIL": jnp.ceil, "FLOOR": jnp.floor, "DOWN": jnp.trunc, "ROUND_TO_ZERO": jnp.trunc,
    "UP": lambda x: jnp.sign(x) * jnp.ceil(jnp.abs(x)),
    "HALF_UP": lambda x: jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5),
    "HALF_DOWN": lambda x: jnp.sign(x) * jnp.ceil(jnp.abs(x) - 0.5),
}  # fmt: skip


@operator("Quant", "IntQuant", settings=(1, 2, 3), domains=QUANTISATION_DOMAINS)
def integer_quantisation(
    x: Value,
    scale: Value,
    zero_point: Value,
    bits: Value,
    *,
    signed: int = 1,
    narrow: int = 1,
    rounding_mode: str = "ROUND",
) -> Value:
    """Quantise: x / scale + zero point held in the range of the integers, rounded, and scaled back.

    Derivative: that of the clipping, straight through the rounding.
    Source: QONNX custom operator `IntQuant` version 1.
    """
    x, scale, zero_point, bits = aligned(x, scale, zero_point, bits)
    x = jnp.asarray(x)
    code = x if _everywhere(scale, 1.0) else x / scale
    code = code if _everywhere(zero_point, 0.0) else code + zero_point
    if signed and _everywhere(bits, 1.0):
        code = decision(code)
    else:
        code = _rounded(jnp.clip(code, *_limits(bits, bool(signed), bool(narrow), x)), rounding_mode.upper())
    code = code if _everywhere(zero_point, 0.0) else code - zero_point
    return code if _everywhere(scale, 1.0) else code * scale


def _limits(bits: Value, signed: bool, narrow: bool, x: Array) -> tuple[Value, Value]:
    if isinstance(bits, np.ndarray) and np.any((bits < 1) | (bits > 64) | ~np.isfinite(bits)):
        raise ValueError(f"its bit width is {bits.min()}..{bits.max()}, not 1..64")
    levels = _power_of_two if isinstance(bits, jax.Array) else np.exp2
    if signed:
        half = levels(bits - 1)
        low, high = narrow - half, half - 1
    else:
        high = levels(bits) - (2 if narrow else 1)
        low = 0 * high
    low, high = (np.asarray(end) if isinstance(end, np.generic) else end for end in (low, high))
    return low.astype(x.dtype), high.astype(x.dtype)


def _power_of_two(bits: Array) -> Array:
    """`2**bits`, exact for whole numbers, where XLA's own is off by a rounding step at 13, 15 and others."""
    whole = jnp.round(bits)
    exact = jnp.ldexp(jnp.ones_like(bits), whole.astype(jnp.int32))
    return jnp.where(bits == whole, exact, jnp.exp2(bits))


def _rounded(x: Array, mode: str) -> Array:
    if mode in ("ROUND", "HALF_EVEN"):
        return rounded(x)
    if mode not in _ROUNDINGS:
        raise ValueError(f"its attribute `rounding_mode` is {mode!r}")

    @jax.custom_jvp
    def to_integer(x: Array) -> Array:
        return _ROUNDINGS[mode](x)

    to_integer.defjvp(lambda primals, tangents: (to_integer(*primals), tangents[0]))
    return to_integer(x)


def _everywhere(value: Value, number: float) -> bool:
    return isinstance(value, np.ndarray) and bool(np.all(value == number))


@operator("BipolarQuant", settings=(1,), domains=QUANTISATION_DOMAINS)
def bipolar_quantisation(x: Value, scale: Value) -> Value:
    """+scale where x is at least 0, else -scale; derivative of the sign 1 where |x| is at most 1, else 0.

    Source: QONNX custom operator `BipolarQuant` version 1.
    """
    x, scale = aligned(x, scale)
    signs = decision(jnp.asarray(x))
    return signs if _everywhere(scale, 1.0) else signs * scale


@operator("DequantizeLinear", settings=(1, 2), weights=(0,), domains=(*STANDARD_DOMAINS, RUNTIME_DOMAIN))
def from_integers(
    x: Value,
    scale: Value,
    zero_point: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Value:
    """(x - zero point) * scale."""
    if block_size or output_dtype:
        raise ValueError("it has blocks or another type of result")
    scale, shift = (along(x, value, axis) for value in (scale, zero_point))
    code = jnp.asarray(x).astype(scale.dtype)
    return (code if shift is None else code - shift.astype(scale.dtype)) * scale


@operator("QuantizeLinear", settings=(1, 2), domains=(*STANDARD_DOMAINS, RUNTIME_DOMAIN))
def to_integers(
    x: Value,
    scale: Value,
    zero_point: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Value:
    """Integer codes round(x / scale) + zero point, held in their range; they have no derivative."""
    if block_size or precision or output_dtype not in (0, *CODES):
        raise ValueError("it has blocks, another precision or another type than integers of 8 and 16 bits")
    dtype = np.dtype(CODES.get(output_dtype, np.uint8)) if zero_point is None else zero_point.dtype
    scale, shift = (along(x, value, axis) for value in (scale, zero_point))
    return codes(jnp.asarray(x) / scale, shift, dtype)


@operator("DynamicQuantizeLinear")
def to_bytes_of_data(x: Value) -> tuple[Value, Value, Value]:
    """Bytes with the scale and the zero point of the data: the range of all their numbers and 0 is that of a byte.

    Scale (max(x, 0) - min(x, 0)) / 255, zero point round(-min(x, 0) / scale); data that are all 0 have scale 1, as in
    ONNX Runtime. All items that are given together have the same.
    """
    x = jnp.asarray(x)
    low, high = jnp.minimum(jnp.min(x), 0), jnp.maximum(jnp.max(x), 0)
    scale = jnp.where(high > low, (high - low) / 255, 1)
    zero = codes(-low / scale, None, np.dtype(np.uint8))
    return codes(x / scale, zero, np.dtype(np.uint8)), scale, zero


def codes(steps: Value, zero_point: Value | None, dtype: np.dtype) -> Array:
    """Integers of a type from numbers of steps: round(steps) + zero point, held in the range of the type.

    Raises:
        ValueError: The type is not an integer of 8 or 16 bits.
    """
    if dtype not in CODES.values():
        raise ValueError(f"its codes are of type {dtype}")
    code = jnp.round(jnp.asarray(steps))
    code = code if zero_point is None else code + zero_point.astype(code.dtype)
    return jnp.clip(code, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def along(x: Value, value: Value | None, axis: int) -> Value | None:
    """A number for the tensor, or one for each member of an axis."""
    if value is None or value.size == 1:
        return None if value is None else value.reshape((1,) * x.ndim)
    shape = [1] * x.ndim
    shape[axis_of(axis, x.ndim)] = -1
    return value.reshape(shape)
