"""Precision in which many numbers are summed."""

from typing import Any

import jax.numpy as jnp


def summing_dtype(dtype: Any) -> Any:
    """Type for sums of numbers of a type: float32 for shorter floats, in which small changes are lost, else itself."""
    short = jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4
    return jnp.dtype(jnp.float32) if short else jnp.dtype(dtype)
