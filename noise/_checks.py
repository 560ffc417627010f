"""Checks of physical quantities: those known while tracing raise, those known at run time turn into NaN."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real


def positive(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Return `value` as a floating-point array whose elements are above zero.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...). A traced element that is not above zero is NaN, and so are derivatives by it: a
        check on the device costs more than the formulas that need it (15 us, and a host callback in the program).

    Raises:
        ValueError: A concrete element is zero, negative or NaN.
    """
    array = _floating(value)
    if isinstance(value, Tracer):
        return array * jnp.where(array > 0, 1.0, jnp.nan)
    if not np.all(np.asarray(value) > 0):
        raise ValueError(f"Argument `{name}` must be positive, but is {value}.")
    return array


def non_negative(name: str, value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Return `value` as a floating-point array whose elements are zero or above.

    Args:
        name: Name of the argument, for the message.
        value: Number or array of any unit, shape (...).

    Returns:
        The same numbers, shape (...); a traced element below zero is NaN, as in `positive`.

    Raises:
        ValueError: A concrete element is negative or NaN.
    """
    array = _floating(value)
    if isinstance(value, Tracer):
        return array * jnp.where(array >= 0, 1.0, jnp.nan)
    if not np.all(np.asarray(value) >= 0):
        raise ValueError(f"Argument `{name}` must not be negative, but is {value}.")
    return array


def _floating(value: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    # A plain 300 means 300.0, which takes the precision of what it meets.
    return array * 1.0 if array.weak_type else array.astype(jnp.result_type(float))
