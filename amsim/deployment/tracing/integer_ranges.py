"""Ranges of integers: those of their types, of operations on their bits, and of arithmetic that wraps round."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from amsim.circuits.selection.value_range import ValueRange

SHORT = 16
"""Bits up to which the ends of a type say something of its values."""

SIGNED_BYTE = 127.0
"""Largest number of the shortest common type with a sign."""

WRAPPING = ("add", "sub", "mul", "neg", "abs", "integer_pow", "reduce_sum", "cumsum", "convert_element_type")
"""Operations whose exact result may lie outside the type, and then comes back at its other end."""


def dtype_range(aval: Any) -> ValueRange:
    """Range that a dtype alone implies: whole numbers, and for short or unsigned ones their ends."""
    dtype = getattr(aval, "dtype", None)
    if dtype == np.bool_:
        return ValueRange(0.0, 1.0, 1.0)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        return ValueRange()
    ends = jnp.iinfo(dtype)
    if ends.bits <= SHORT:
        return ValueRange(float(ends.min), float(ends.max), 1.0)
    return ValueRange(0.0 if ends.min == 0 else None, None, 1.0)


def without_wrapping(name: str, found: ValueRange, inputs: Sequence[ValueRange], aval: Any) -> ValueRange:
    """Range of a result as its type holds it: that of the type where the exact one may lie outside.

    Sums and products of 32 bits and more whose ends are not known are taken to stay inside; those of shorter integers
    are not.

    Args:
        name: The operation.
        found: Range of its exact result.
        inputs: Ranges of its operands.
        aval: Type of its result.
    """
    typed = dtype_range(aval)
    if typed.step is None:
        return found
    dtype = aval.dtype
    if dtype == np.bool_:
        known = found.low is not None and found.low == found.high and found.low in (0.0, 1.0)
        return found._replace(step=1.0) if known else typed
    # Integers are whole whatever made them.
    found = found._replace(step=1.0 if found.step is None or found.step != round(found.step) else found.step)
    if name not in WRAPPING:
        return _within(found, typed)
    ends = jnp.iinfo(dtype)
    if any(end is not None and not ends.min <= end <= ends.max for end in (found.low, found.high)):
        return typed
    if found.low is not None and found.high is not None:
        return found
    if ends.min == 0 and found.low is None:
        return typed
    return typed if ends.bits <= SHORT or name == "convert_element_type" else _within(found, typed)


def _within(found: ValueRange, typed: ValueRange) -> ValueRange:
    """Range with the ends of the type where none is known."""
    low, high = found.low, found.high
    return found._replace(low=typed.low if low is None else low, high=typed.high if high is None else high)


def _conjunction(inputs: Sequence[ValueRange]) -> ValueRange:
    """Range of `a & b`: no larger than either that is not negative."""
    highs = [known.high for known in inputs if known.not_negative and known.high is not None]
    if highs:
        return ValueRange(0.0, min(highs), 1.0)
    return ValueRange(0.0 if any(known.not_negative for known in inputs) else None, None, 1.0)


def _disjunction(inputs: Sequence[ValueRange]) -> ValueRange:
    """Range of `a | b` and `a ^ b`: as many bits as the longer operand, where neither is negative."""
    if not all(known.not_negative for known in inputs):
        return ValueRange(step=1.0)
    highs = [known.high for known in inputs if known.high is not None]
    high = None if len(highs) < len(inputs) else 2.0 ** int(max(highs)).bit_length() - 1
    return ValueRange(0.0, high, 1.0)


def _shift_right(inputs: Sequence[ValueRange]) -> ValueRange:
    """Range of `a >> b`: that of `floor(a / 2**b)`, towards 0 with every bit."""
    value, places = inputs
    few = int(places.low) if places.low is not None and places.low >= 0 else 0
    if not value.not_negative:
        return ValueRange(None, None, 1.0)
    assert value.low is not None
    exact = places.low is not None and places.low == places.high
    low = float(int(value.low) >> few) if exact else 0.0
    return ValueRange(low, None if value.high is None else float(int(value.high) >> few), 1.0)


def _sign_kept(inputs: Sequence[ValueRange]) -> ValueRange:
    """Range of `a >> b` that copies the highest bit, which an unsigned operand may have set."""
    high = inputs[0].high
    return _shift_right(inputs) if high is not None and high <= SIGNED_BYTE else ValueRange(None, None, 1.0)


def _remainder(inputs: Sequence[ValueRange]) -> ValueRange:
    """Range of the remainder of a division, whose sign is that of the dividend."""
    value, divisor = inputs
    if divisor.low is None or divisor.low != divisor.high:
        return ValueRange(0.0 if value.not_negative else None, None, value.step)
    whole = value.step == round(value.step) if value.step else False
    most = abs(divisor.low) - (1.0 if whole and divisor.low == round(divisor.low) else 0.0)
    step = 1.0 if whole and divisor.low == round(divisor.low) else None
    return ValueRange(0.0 if value.not_negative else -most, most, step)


INTEGER_RULES: dict[str, Callable[[Sequence[ValueRange]], ValueRange]] = {
    "and": _conjunction,
    "or": _disjunction,
    "xor": _disjunction,
    "shift_right_logical": _shift_right,
    "shift_right_arithmetic": _sign_kept,
    "rem": _remainder,
}
"""Operations on whole numbers, to the range of their result."""
