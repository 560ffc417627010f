"""Checks of physical quantities: concrete values raise, traced values become NaN at run time."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

Allowed = Callable[[Any], Any]
"""Function from NumPy or JAX values to the truth of each element: whether it is allowed."""


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
    numbers = np.asarray(given)
    wrong = ~np.asarray(allowed(numbers))
    if np.any(wrong):
        raise ValueError(refusal(np.broadcast_to(numbers, wrong.shape)[wrong]))
    return array


def positive(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` as a floating-point array whose elements are above zero.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...). A traced element that is not above zero is NaN, and so are derivatives with
        respect to it: a check on the device costs more than the formulas that need it (15 us, and a host callback).

    Raises:
        ValueError: A concrete element is zero, negative or NaN.
    """
    return checked(
        floating(value),
        value,
        lambda x: x > 0,
        lambda _: f"Argument `{name}` must be positive, but is {value}.",
        _or_nan,
    )


def non_negative(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` as a floating-point array whose elements are zero or above.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...); a traced element below zero is NaN, as in `positive`.

    Raises:
        ValueError: A concrete element is negative or NaN.
    """
    return checked(
        floating(value),
        value,
        lambda x: x >= 0,
        lambda _: f"Argument `{name}` must not be negative, but is {value}.",
        _or_nan,
    )


def _or_nan(array: Array, allowed: Allowed) -> Array:
    return array * jnp.where(allowed(array), 1.0, jnp.nan)


def floating(value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """`value` as a floating-point array, without a check."""
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    # A plain 300 means 300.0, which takes the precision of what it meets.
    return array * 1.0 if array.weak_type else array.astype(jnp.result_type(float))
