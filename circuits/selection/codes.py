"""Integer codes of weights and inputs, and the digits that cells and lines carry.

A value is `scale * q` with an integer `q` of `bits` bits. Cells know few levels, so `q` is written in digits:
`q = gain * sum_b 2**b s_b + offset`, with `s_b` of one of the sets `DIGIT_SETS`.
"""

from functools import partial
from typing import Any, Literal, NamedTuple, cast, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, one_number, one_of, shown, truth_values
from amsim.circuits.selection.value_range import ValueRange, grid_scale
from amsim.noise.checks import real
from amsim.noise.gradients import decision, rounded

Rounding = Literal["nearest", "truncate"]

DigitSet = Literal["bipolar", "unipolar", "ternary"]
"""Values of a digit. "bipolar": -1 and +1, as in an XNOR cell, gain 1/2, one for each bit. "unipolar": 0 and +1, as in
an AND cell, gain 1, one for each bit. "ternary": -1, 0 and +1, the bits of the magnitude with the sign of the value,
gain 1 and no offset, one fewer than bits; words lie evenly about 0. A digit 0 leaves its cell undriven."""


class IntegerCode(eqx.Module):
    """Uniform integer code of one operand.

    Two's complement when signed (`-2**(bits-1) .. 2**(bits-1)-1`), natural binary when not (`0 .. 2**bits-1`);
    one signed bit is the pair -1, +1, where a value of exactly 0 leaves its cell undriven, at mid level.
    With a zero-point these are the words `q + zero`: the range need not lie evenly about 0, whose code 0 stays exact.

    Attributes:
        scale: Value of one integer step, broadcastable to the operand; unit of the operand.
        bits: Word length, 1 to 16 (static).
        signed: Whether words are signed (static); without a zero-point, whether negative values have codes.
        rounding: Nearest (ties to even) or truncation towards minus infinity (static).
        zero: Zero-point, the word of the value 0, a whole number, shape (); None is the word 0.
        digit_set: Values of its digits (static). One signed bit is one digit -1, 0 or +1 whatever the set.

    Raises:
        ValueError: Bits outside 1..16, a zero-point that is not a word or is given with one signed bit, or digits that
            words of this kind do not have: unipolar ones of signed words, ternary ones of unsigned words.
    """

    scale: Float[Array, "..."]
    bits: int = eqx.field(static=True)
    signed: bool = eqx.field(static=True)
    rounding: Rounding = eqx.field(static=True, default="nearest")
    zero: Float[Array, ""] | None = None
    digit_set: DigitSet = eqx.field(static=True, default="bipolar")

    def __check_init__(self) -> None:
        """Check the word length and the zero-point."""
        integer_between("bits", self.bits, 1, 16)
        truth_values(signed=self.signed)
        one_of("rounding", self.rounding, get_args(Rounding))
        one_of("digit_set", self.digit_set, get_args(DigitSet))
        if self.digit_set == ("unipolar" if self.signed else "ternary") and not self.one_signed_bit:
            words = "signed" if self.signed else "unsigned"
            raise ValueError(f"Argument `digit_set` must be one of {words} words, but is {self.digit_set!r}.")
        real("scale", self.scale)
        if self.zero is None:
            return
        if self.one_signed_bit:
            raise ValueError("Argument `zero` must be None for one signed bit, whose words are -1 and +1 about 0.")
        one_number("zero", self.zero)
        if not isinstance(self.zero, jax.core.Tracer):
            word = float(self.zero)
            if not (self.lowest <= word <= self.highest and word == round(word)):
                raise ValueError(
                    f"Argument `zero` must be a whole number from {self.lowest} to {self.highest}, but is {word:g}."
                )

    @property
    def one_signed_bit(self) -> bool:
        """Whether words are -1 and +1."""
        return self.bits == 1 and self.signed

    @property
    def lowest(self) -> int:
        """Smallest word."""
        return words_of(self.bits, self.signed, self.digit_set)[0]

    @property
    def highest(self) -> int:
        """Largest word."""
        return highest_code(self.bits, self.signed)

    @property
    def lowest_code(self) -> Float[Array, ""] | int:
        """Smallest integer code: the smallest word less the zero-point."""
        return self.lowest if self.zero is None else self.lowest - self.zero

    @property
    def highest_code(self) -> Float[Array, ""] | int:
        """Largest integer code."""
        return self.highest if self.zero is None else self.highest - self.zero

    @property
    def low(self) -> Float[Array, "..."]:
        """Smallest value with a code."""
        return self.lowest_code * self.scale

    @property
    def high(self) -> Float[Array, "..."]:
        """Largest value with a code."""
        return self.highest_code * self.scale

    @property
    def digit_count(self) -> int:
        """Digits of a word."""
        return digits_of(self.bits, self.digit_set)

    @property
    def centred(self) -> bool:
        """Whether a digit sum of zero is the code 0."""
        unipolar = self.digit_set == "unipolar" and self.zero is None
        return self.one_signed_bit or self.digit_set == "ternary" or unipolar

    @property
    def digit_gain(self) -> float:
        """Factor from the weighted digit sum to the integer code."""
        return 1.0 if self.one_signed_bit or self.digit_set != "bipolar" else 0.5

    @property
    def digit_offset(self) -> Float[Array, ""] | float:
        """Integer code of a digit sum of zero."""
        if self.centred:
            return 0.0
        return self.lowest_code if self.digit_set == "unipolar" else self.lowest_code + (2**self.bits - 1) / 2

    @checked_arguments
    def encode(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """Integer codes of values, as floats; the gradient passes straight through inside the range, 0 outside."""
        steps = values / self.scale
        if self.one_signed_bit:
            return jnp.where(steps == 0, steps, decision(steps, "straight-through"))
        if self.rounding == "truncate":
            # A quotient within rounding error below an integer is that integer.
            up = 8 * jnp.finfo(steps.dtype).eps * jnp.abs(steps)
            steps = steps + jax.lax.stop_gradient(jnp.floor(steps + up) - steps)
        return limited(rounded(steps), self.lowest_code, self.highest_code)

    @checked_arguments
    def clipped_fraction(self, values: Float[Array, "..."], among: int | None = None) -> Float[Array, ""]:
        """Fraction of the values outside the range by more than half a step.

        Args:
            values: The values.
            among: Number of values with those that are left out since they are 0; None is all that are given.
        """
        steps = values / self.scale
        outside = (steps > self.highest_code + 0.5) | (steps < self.lowest_code - 0.5)
        return jnp.sum(outside, dtype=values.dtype) / (values.size if among is None else among)

    @checked_arguments
    def words(self, codes: Float[Array, "..."]) -> Float[Array, "..."]:
        """Words that memories and multipliers hold: integer codes plus the zero-point."""
        return codes if self.zero is None else codes + self.zero

    @checked_arguments
    def digit(self, codes: Float[Array, "..."], place: Int[Array, ""] | int) -> Float[Array, "..."]:
        """The digit of weight `2**place` of integer codes; see `digits` for its gradient."""
        if self.one_signed_bit:
            return codes
        return _digit(self._written(codes), jnp.asarray(place, jnp.int32), self._digits)

    @checked_arguments
    def digits(self, codes: Float[Array, "..."]) -> Float[Array, "... digits"]:
        """All digits, least significant first.

        The gradient is divided among the digits so that the gradient of the recombined code is exactly 1.
        """
        if self.one_signed_bit:
            return codes[..., None]
        shape = (*codes.shape, self.digit_count)
        places = jax.lax.broadcasted_iota(jnp.int32, shape, codes.ndim)
        return _digit(jnp.broadcast_to(self._written(codes)[..., None], shape), places, self._digits)

    def _written(self, codes: Float[Array, "..."]) -> Float[Array, "..."]:
        """Number whose binary digits are written: the code itself, or the word counted from the smallest."""
        return codes if self.digit_set == "ternary" else self.words(codes) - self.lowest

    @property
    def _digits(self) -> "_Digits":
        return _Digits(self.digit_set, 1.0 / (self.digit_gain * (2**self.digit_count - 1)))


Coding = ValueRange | IntegerCode
"""Coding of an operand: its known range, from which a macro derives the code, or the code itself."""


def check_coding(name: str, known: Any) -> None:
    """Raise ValueError unless this is what is known of an operand, or its code."""
    if not isinstance(known, Coding):
        raise ValueError(f"Argument `{name}` must be a ValueRange or an IntegerCode, but is {shown(known)}.")


class _Digits(NamedTuple):
    """Values of digits, and the derivative of each with respect to the code: the recombined code has the slope 1."""

    values: DigitSet
    slope: float


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _digit(numbers: Float[Array, "..."], place: Int[Array, "..."], digits: _Digits) -> Float[Array, "..."]:
    whole = jax.lax.stop_gradient(numbers).astype(jnp.int32)
    bit = jnp.right_shift(jnp.abs(whole) if digits.values == "ternary" else whole, place) & 1
    if digits.values == "ternary":
        bit = bit * jnp.sign(whole)
    digit = (2 * bit - 1 if digits.values == "bipolar" else bit).astype(numbers.dtype)
    # NaN is not a word; a network that has diverged must not seem to give numbers.
    return jnp.where(jnp.isnan(numbers), numbers, digit)


@_digit.defjvp
def _digit_jvp(digits: _Digits, primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    numbers, place = primals
    return _digit(numbers, place, digits), tangents[0] * jnp.asarray(digits.slope, numbers.dtype)


def limited(
    values: Float[Array, "..."], low: Float[Array, ""] | int, high: Float[Array, ""] | int
) -> Float[Array, "..."]:
    """Values limited to `low..high`; gradient 1 inside, ends included (`jnp.clip` has 1/2 there), and 0 outside."""
    return jnp.where(values > high, high, jnp.where(values < low, low, values))


def highest_code(bits: int, signed: bool) -> int:
    """Largest integer of a word of `bits` bits; 1 for one signed bit."""
    return max(2 ** (bits - 1) - 1, 1) if signed else 2**bits - 1


def lowest_code(bits: int, signed: bool) -> int:
    """Smallest integer of a word of `bits` bits; -1 for one signed bit."""
    if bits == 1 and signed:
        return -1
    return -(2 ** (bits - 1)) if signed else 0


def digits_of(bits: int, digit_set: DigitSet) -> int:
    """Digits of a word of `bits` bits."""
    return max(bits - 1, 1) if digit_set == "ternary" else bits


def words_of(bits: int, signed: bool, digit_set: DigitSet = "bipolar") -> tuple[int, int]:
    """Smallest and largest integer of a word of `bits` bits; ternary digits reach as far down as up."""
    highest = highest_code(bits, signed)
    return -highest if digit_set == "ternary" else lowest_code(bits, signed), highest


def zero_point(known: ValueRange, bits: int) -> int | None:
    """Word of the value 0 that gives each value of a known grid a word, where words without a zero-point do not."""
    several = known.scale is not None and known.scale.ndim > 0
    if bits == 1 or several or known.not_negative or known.words is None or known.in_words(*words_of(bits, True)):
        return None
    low, high = known.words
    return -low if high >= 0 and high - low <= highest_code(bits, False) else None


def fixes_code(known: ValueRange, bits: int) -> bool:
    """Whether what is known of inputs fixes their code of `bits` bits, whatever the data."""
    return known.in_words(*words_of(bits, not known.not_negative)) or zero_point(known, bits) is not None


def _convert_code(name: str, code: IntegerCode, bits: int, dtype: Any) -> IntegerCode:
    """A given code in the operand's dtype."""
    if code.bits != bits:
        raise ValueError(f"Argument `{name}` must be a code of {bits} bits, the macro's, but has {code.bits}.")
    return cast(IntegerCode, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), code))


def input_code(
    inputs: Float[Array, "..."],
    bits: int,
    known: Coding,
    vector_axes: tuple[int, ...],
    rounding: Rounding = "nearest",
    digit_set: DigitSet = "bipolar",
) -> IntegerCode:
    """Code of the inputs: unsigned when they are known not to be negative, on their grid or scaled to the known range.

    Without either each input vector is scaled by its own largest magnitude (as digital front ends do), so that no
    sample depends on another; so is a vector with a value on its grid that has no word. A given code is used as it is.

    Raises:
        ValueError: A given code has another word length, or words of this kind do not have the digits.
    """
    if isinstance(known, IntegerCode):
        return _convert_code("input_range", known, bits, inputs.dtype)
    zero = zero_point(known, bits)
    if zero is not None:
        words = -zero, highest_code(bits, False) - zero
        word = jnp.asarray(float(zero), inputs.dtype)
        return IntegerCode(_scale(inputs, known, vector_axes, words), bits, False, rounding, word, digit_set)
    signed = not known.not_negative
    scale = _scale(inputs, known, vector_axes, words_of(bits, signed))
    return IntegerCode(scale, bits, signed, rounding, digit_set=digit_set)


def weight_code(
    matrix: Float[Array, "rows columns"],
    bits: int,
    known: Coding,
    rounding: Rounding = "nearest",
    digit_set: DigitSet = "bipolar",
) -> IntegerCode:
    """Signed code of a weight matrix, on its grid, scaled to the known range, or to each column's largest magnitude.

    A given code is used as it is.

    Raises:
        ValueError: A given code has another word length, is unsigned or has a zero-point.
    """
    if isinstance(known, IntegerCode):
        if not known.signed or known.zero is not None:
            raise ValueError("Argument `weight_range` must be a signed code without a zero-point.")
        return _convert_code("weight_range", known, bits, matrix.dtype)
    words = words_of(bits, True, digit_set)
    return IntegerCode(_scale(matrix, known, (0,), words), bits, True, rounding, digit_set=digit_set)


def even_about_zero(known: ValueRange, bits: int) -> bool:
    """Whether a signed code of `bits` bits needs no word without its negative for what is known of the values.

    A scale is chosen by the largest magnitude and so never needs one; a grid does whose range may reach further down.
    """
    return not known.step or known.in_words(*words_of(bits, True, "ternary"))


def _scale(values: Array, known: ValueRange, axes: tuple[int, ...], words: tuple[int, int]) -> Array:
    if known.step:
        step, fits = grid_scale(values, known, axes, words)
        if known.in_words(*words) and known.scale is None:
            return step
        largest = _largest(values, axes)
        return jnp.where(fits, step, jnp.sign(step) * jnp.where(largest > 0, largest, 1) / words[1])
    limit = known.limit
    if limit is not None:
        return jnp.asarray(limit / words[1], values.dtype)
    largest = _largest(values, axes)
    return jnp.where(largest > 0, largest, 1) / words[1]


def _largest(values: Array, axes: tuple[int, ...]) -> Array:
    return jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axes, keepdims=True, initial=0.0))
