"""Content of an array as plain values: type, shape and a digest of every bit."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def array_content(value: Any) -> tuple[Any, ...]:
    """Type, shape and digest of an array, a number of NumPy or typed keys; objects in an array are not looked into."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return ("key", str(jax.random.key_impl(value)), *array_content(jax.random.key_data(value)))
    plain = np.asarray(value)
    digest = hashlib.sha256(np.ascontiguousarray(plain).reshape(-1).view(np.uint8).data).hexdigest()
    return "array", str(plain.dtype), plain.shape, bool(getattr(value, "weak_type", False)), digest
