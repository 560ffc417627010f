"""Digest of a traced program and the data that it holds, to tell one computation from another."""

import hashlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr


def program_digest(closed: ClosedJaxpr) -> str:
    """Hexadecimal digest, the same in every process with one version of JAX."""
    # Addresses of Python objects differ between processes.
    digest = hashlib.sha256(re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)).encode())
    for constant in closed.consts:
        values = np.asarray(_plain_bits(constant))
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _plain_bits(value: Any) -> Any:
    typed = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(value) if typed else value
