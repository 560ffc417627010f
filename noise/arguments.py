"""What every check of an argument says: wrong values in one line, counts, words and keys."""

import reprlib
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

LARGEST_COUNT = 2**31 - 1
"""Largest number of anything that is counted: indices of arrays have 32 bits."""


def shown(value: Any) -> str:
    """A wrong value in one line that is not long: small things as they are written, others by their type."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic | type):
        return reprlib.repr(value)
    return f"of type {type(value).__name__}"


def integer_between(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise ValueError unless value is an integer in `low..high`; without `high` it is a count."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)
    if whole and low <= value <= (LARGEST_COUNT if high is None else high):
        return
    allowed = f"an integer from {low} to {high}"
    if high is None:
        allowed = f"an integer of at least {low}" + (f" and at most {LARGEST_COUNT}" if whole and value > low else "")
    raise ValueError(f"Argument `{name}` must be {allowed}, but is {shown(value)}.")


def word_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return value; raise ValueError unless it is one of a few words."""
    words = tuple(allowed)
    if not (isinstance(value, str) and value in words):
        raise ValueError(f"Argument `{name}` must be one of {words}, but is {shown(value)}.")
    return value


def one_key(name: str, key: Any) -> Array:
    """Return key; raise ValueError unless it is a single typed key."""
    if not isinstance(key, jax.Array):
        raise ValueError(f"Argument `{name}` must be one key from jax.random.key, but is {shown(key)}.")
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.shape != ():
        raise ValueError(
            f"Argument `{name}` must be one key from jax.random.key, but has dtype {key.dtype} and shape {key.shape}."
        )
    return key
