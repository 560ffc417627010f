"""Integer codes of weights and inputs, and the binary digits that cells and lines carry.

A value is `scale * q` with an integer `q` of `bits` bits. Binary cells know only two levels, so `q` is written in
digits of value -1 or +1: `q = gain * sum_b 2**b s_b + offset`.
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from amsim.noise.gradients import decision, rounded

Rounding = Literal["nearest", "truncate"]


class ValueRange(NamedTuple):
    """What is known of a tensor's values before any data are seen; None where nothing is known."""

    low: float | None = None
    high: float | None = None

    @property
    def limit(self) -> float | None:
        """Largest magnitude, or None when a side is unknown or the range is the single point 0."""
        if self.low is None or self.high is None:
            return None
        return max(abs(self.low), abs(self.high)) or None


class IntegerCode(eqx.Module):
    """Uniform integer code of one operand.

    Two's complement when signed (`-2**(bits-1) .. 2**(bits-1)-1`), natural binary when not (`0 .. 2**bits-1`);
    one signed bit is the pair -1, +1, where a value of exactly 0 leaves its cell undriven, at mid level.

    Attributes:
        scale: Value of one integer step, broadcastable to the operand; unit of the operand.
        bits: Word length, 1 to 16 (static).
        signed: Whether negative values have codes (static).
        rounding: Nearest (ties to even) or truncation towards minus infinity (static).
    """

    scale: Float[Array, "..."]
    bits: int = eqx.field(static=True)
    signed: bool = eqx.field(static=True)
    rounding: Rounding = eqx.field(static=True, default="nearest")

    @property
    def lowest(self) -> int:
        """Smallest integer code."""
        if self.bits == 1 and self.signed:
            return -1
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """Largest integer code."""
        return highest_code(self.bits, self.signed)

    @property
    def digit_gain(self) -> float:
        """Factor from the weighted digit sum to the integer code."""
        return 1.0 if self.bits == 1 and self.signed else 0.5

    @property
    def digit_offset(self) -> float:
        """Integer code of the digit sum zero."""
        return 0.0 if self.bits == 1 and self.signed else self.lowest + (2**self.bits - 1) / 2

    def encode(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Integer codes of values, as floats; the gradient passes straight through inside the range, 0 outside."""
        steps = values / self.scale
        if self.bits == 1 and self.signed:
            return jnp.where(steps == 0, steps, decision(steps, "straight-through"))
        if self.rounding == "truncate":
            # A quotient within rounding error below an integer is that integer.
            up = 8 * jnp.finfo(steps.dtype).eps * jnp.abs(steps)
            steps = steps + jax.lax.stop_gradient(jnp.floor(steps + up) - steps)
        return limited(rounded(steps), self.lowest, self.highest)

    def clipped(self, values: Float[Array, "..."]) -> Float[Array, ""]:
        """Fraction of the values outside the range by more than half a step."""
        steps = values / self.scale
        return jnp.mean((steps > self.highest + 0.5) | (steps < self.lowest - 0.5), dtype=values.dtype)

    def digit(self, codes: Float[Array, "..."], place: Int[Array, ""] | int) -> Float[Array, "..."]:
        """The -1/+1 digit of weight `2**place` of integer codes; see `digits` for its gradient."""
        if self.bits == 1 and self.signed:
            return codes
        return _digit(codes - self.lowest, jnp.asarray(place), 2**self.bits - 1)

    def digits(self, codes: Float[Array, "..."]) -> Float[Array, "... bits"]:
        """All -1/+1 digits, least significant first.

        The gradient is shared out over the digits so that that of the recombined code is exactly 1.
        """
        return jnp.stack([self.digit(codes, place) for place in range(self.bits)], axis=-1)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _digit(offset_codes: Float[Array, "..."], place: Int[Array, ""], span: int) -> Float[Array, "..."]:
    whole = jax.lax.stop_gradient(offset_codes).astype(jnp.int32)
    return (2 * (jnp.right_shift(whole, place) & 1) - 1).astype(offset_codes.dtype)


@_digit.defjvp
def _digit_jvp(span: int, primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    offset_codes, place = primals
    # sum_b 2**b * 2 / span == 2: through the gain of 1/2 the recombined code has slope 1.
    return _digit(offset_codes, place, span), tangents[0] * jnp.asarray(2.0 / span, offset_codes.dtype)


def limited(values: Float[Array, "..."], low: int, high: int) -> Float[Array, "..."]:
    """Values within `low..high`; gradient 1 inside, ends included (`jnp.clip` has 1/2 there), and 0 outside."""
    return jnp.where(values > high, high, jnp.where(values < low, low, values))


def highest_code(bits: int, signed: bool) -> int:
    """Largest integer of a word of `bits` bits; 1 for one signed bit."""
    return max(2 ** (bits - 1) - 1, 1) if signed else 2**bits - 1


def input_code(
    inputs: Float[Array, "..."],
    bits: int,
    known: ValueRange,
    vector_axes: tuple[int, ...],
    rounding: Rounding = "nearest",
) -> IntegerCode:
    """Code of the inputs: unsigned when they are known not to be negative, scaled to the known range.

    Without a known range each input vector is scaled by its own largest magnitude (as digital front ends do), so
    that no sample depends on another.
    """
    signed = not (known.low is not None and known.low >= 0)
    return IntegerCode(_scale(inputs, known, vector_axes, highest_code(bits, signed)), bits, signed, rounding)


def weight_code(
    matrix: Float[Array, "rows columns"], bits: int, known: ValueRange, rounding: Rounding = "nearest"
) -> IntegerCode:
    """Signed code of a weight matrix, scaled to the known range or else to each column's largest magnitude."""
    return IntegerCode(_scale(matrix, known, (0,), highest_code(bits, True)), bits, True, rounding)


def _scale(values: Array, known: ValueRange, axes: tuple[int, ...], highest: int) -> Array:
    limit = known.limit
    if limit is not None:
        return jnp.asarray(limit / highest, values.dtype)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axes, keepdims=True))
    return jnp.where(largest > 0, largest, 1) / highest
