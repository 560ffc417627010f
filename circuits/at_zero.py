"""Root and quotient whose derivatives stay finite where their argument is 0."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def root(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root whose derivative at 0 is 0, so that a noise of 0 stays 0 in training."""
    return jnp.where(value > 0, jnp.sqrt(jnp.where(value > 0, value, 1.0)), 0.0)


def quotient(top: Float[Array, "..."], bottom: Float[Array, "..."]) -> Float[Array, "..."]:
    """Ratio whose value and derivatives are 0 where there is nothing to divide by."""
    return jnp.where(bottom > 0, top / jnp.where(bottom > 0, bottom, 1.0), 0.0)
