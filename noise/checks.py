"""Checks of physical quantities: concrete values raise, traced values become NaN at run time."""

import numbers
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.noise.arguments import shown

Allowed = Callable[[Any], Any]
"""Function from NumPy or JAX values to the truth of each element: whether it is allowed."""

# NumPy would take these for 1 or 0, for the number that they spell, for their bytes, for NaN or for their real part.
_NO_NUMBERS = bool | str | bytes | bytearray | memoryview | complex | np.ma.MaskedArray
_PLAIN_NUMBERS = numbers.Real | Decimal


def checked(
    array: Array,
    given: Any,
    allowed: Allowed,
    refusal: Callable[[np.ndarray], str],
    at_run_time: Callable[[Array, Allowed], Array],
) -> Array:
    """`array` with each element checked: at once where its values are concrete, at run time where they are traced.

    Args:
        array: What is returned, any shape.
        given: Values to check: `array` itself or what it was made from; a tracer where they are not yet known.
        allowed: Truth of each element: whether it is allowed.
        refusal: Error message for the elements that are not allowed.
        at_run_time: What a traced array becomes, from it and from `allowed`.

    Raises:
        ValueError: A known element is not allowed.
    """
    if isinstance(given, Tracer):
        return at_run_time(array, allowed)
    values = np.asarray(given)
    wrong = ~np.asarray(allowed(values))
    if np.any(wrong):
        raise ValueError(refusal(np.broadcast_to(values, wrong.shape)[wrong]))
    return array


def real(name: str, value: Any) -> Any:
    """Real numbers as JAX takes them without loss.

    Args:
        name: Name of the argument, for the message.
        value: A number or an array, integer or floating-point; or a list of numbers.

    Returns:
        A tracer or an array of JAX as given, a plain number as a float, others as an array of NumPy in floating point.

    Raises:
        ValueError: Text, bytes, truth values, complex numbers, dates, masked arrays, arrays of objects, nothing or
            anything else that is no real number; an integer beyond all floating-point numbers.
    """
    refusal = f"Argument `{name}` must be a number, but is"
    if isinstance(value, jax.Array):
        if is_real_dtype(value.dtype):
            return value
        raise ValueError(f"{refusal} of dtype {value.dtype}.")
    try:
        if not _are_numbers(value):
            raise TypeError
        if isinstance(value, _PLAIN_NUMBERS) and not isinstance(value, np.generic):
            return float(value)
        array = np.asarray(value, float if isinstance(value, list | tuple) else None)
    except (TypeError, ValueError):
        raise ValueError(f"{refusal} {shown(value)}.") from None
    except OverflowError:
        raise ValueError(f"{refusal} too large: {shown(value)}.") from None
    # On the host: integers of 64 bits would lose their upper half in JAX.
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(float)


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_are_numbers(item) for item in value)
    if value is None or isinstance(value, _NO_NUMBERS):
        return False
    if isinstance(value, _PLAIN_NUMBERS) and not isinstance(value, np.generic):
        return True
    return is_real_dtype(value.dtype if isinstance(value, jax.Array) else np.asarray(value).dtype)


def is_real_dtype(kind: Any) -> bool:
    """Whether arrays of a dtype hold real numbers; truth values, spans of time and keys are none."""
    # NumPy counts a span of time among the integers.
    whole = jnp.issubdtype(kind, jnp.integer) and not jnp.issubdtype(kind, np.timedelta64)
    return whole or jnp.issubdtype(kind, jnp.floating)


def stored(value: Any, dtype: Any) -> Any:
    """Concrete numbers of `real` as an array of a dtype holds them, on the host; a tracer as it is."""
    if isinstance(value, Tracer):
        return value
    # What is above 0 as given may be 0 in float32.
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(value, dtype)


def wrong_number(given: Any, held: np.ndarray) -> str:
    """A wrong number among those given, in words; `held` are the wrong ones as they are stored."""
    if np.ndim(given):
        return f"is {float(held[0]):g} in places"
    one, other = float(given), float(held[0])
    changed = (one != 0) != (other != 0) or np.isfinite(one) != np.isfinite(other)
    return f"is {one:g}" + (f", which {held.dtype} holds as {other:g}" if changed else "")


def positive(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` as a floating-point array whose elements are above zero.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...). A traced element that is not above zero is NaN, and so are derivatives with
        respect to it: a check on the device costs more than the formulas that need it (15 us, and a host callback).

    Raises:
        ValueError: No number, or a concrete element that is zero, negative, NaN or infinite, also once it is stored.
    """
    return _in_range(name, value, lambda x: x > 0, "be positive")


def non_negative(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` as a floating-point array whose elements are zero or above.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...); a traced element below zero is NaN, as in `positive`.

    Raises:
        ValueError: No number, or a concrete element that is negative, NaN or infinite, also once it is stored.
    """
    return _in_range(name, value, lambda x: x >= 0, "not be negative")


def _in_range(name: str, value: Any, inside: Allowed, rule: str) -> Float[Array, "..."]:
    array, held = _floating(name, value)
    refusal = f"Argument `{name}` must {rule}, but "
    within = checked(array, held, inside, lambda wrong: f"{refusal}{wrong_number(value, wrong)}.", _or_nan)
    return _finite(name, value, within, held)


def _or_nan(array: Array, allowed: Allowed) -> Array:
    return array * jnp.where(allowed(array), 1.0, jnp.nan)


def _finite(name: str, value: Any, array: Array, held: Any) -> Float[Array, "..."]:
    refusal = f"Argument `{name}` must be finite, but "
    return checked(
        array,
        held,
        np.isfinite,
        lambda wrong: f"{refusal}{wrong_number(value, wrong)}.",
        lambda traced, _: traced,
    )


def floating(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` as a floating-point array of either sign.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...).

    Raises:
        ValueError: No number, or a concrete element that is NaN or infinite, also once it is stored.
    """
    array, held = _floating(name, value)
    return _finite(name, value, array, held)


def level(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` in dB as a floating-point array; it may be infinite, where there is no noise or no signal.

    Args:
        name: Name of the argument, for the message.
        value: Number or array, shape (...), dB.

    Returns:
        The same numbers, shape (...).

    Raises:
        ValueError: No number, or a concrete element that is NaN.
    """
    array, held = _floating(name, value)
    if not isinstance(held, Tracer) and not np.array_equal(np.isinf(held), np.isinf(np.asarray(value, float))):
        return _finite(name, value, array, held)
    return checked(
        array,
        held,
        lambda x: ~np.isnan(x),
        lambda wrong: f"Argument `{name}` must be a number, but {wrong_number(value, wrong)}.",
        lambda traced, _: traced,
    )


def array_of(name: str, value: Any, shape: tuple[int | None, ...] | None = None) -> Float[Array, "..."]:
    """`value` as a floating-point array of a shape; NaN and infinity stay.

    Args:
        name: Name of the argument, for the message.
        value: Number or array, any unit.
        shape: Length of each axis, None where any will do; None in all for any shape.

    Returns:
        The same numbers.

    Raises:
        ValueError: No numbers, or another shape.
    """
    array = _floating(name, value)[0]
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            long in (None, have) for long, have in zip(shape, array.shape, strict=True)
        )
        if not fits:
            wanted = f"{len(shape)} axes" if None in shape else f"shape {shape}"
            raise ValueError(f"Argument `{name}` must have {wanted}, but has shape {array.shape}.")
    return array


def _floating(name: str, value: Any) -> tuple[Array, Any]:
    """Array of floating-point numbers, and what it holds where that is known."""
    given = real(name, value)
    # NumPy's integers become what JAX has as a float; a plain 300 means 300.0, in the precision of what it meets.
    with np.errstate(over="ignore", under="ignore"):
        array = jnp.asarray(given)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array * 1.0 if array.weak_type else array.astype(jnp.result_type(float))
    return array, stored(given, array.dtype)
