"""Step functions with derivatives of their own and without checks: the cores of `amsim.noise.gradients`."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

_Arrays = tuple[Array, ...]

_SWISH_SLOPE = 5.0
# Nothing is lost beyond: exp(-z**2 / 2) is 0, 1 / cosh(z)**2 is 1e-34, and neither overflows on the way in float32.
_LARGEST_Z = 40.0


def _step(x: Float[Array, "..."], threshold: Float[Array, "..."] | float) -> Float[Array, "..."]:
    """Sign of `x - threshold`; NaN stays NaN, so that a diverged network does not look decided."""
    return jnp.where(x >= threshold, 1.0, jnp.where(x < threshold, -1.0, jnp.nan)).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def decision(x: Float[Array, "..."], rule: str) -> Float[Array, "..."]:
    return _step(x, 0.0)


@decision.defjvp
def decision_jvp(rule: str, primals: _Arrays, tangents: _Arrays) -> tuple[Array, Array]:
    (x,), (x_dot,) = primals, tangents
    return decision(x, rule), _slope(x, rule) * x_dot


def _slope(x: Float[Array, "..."], rule: str) -> Float[Array, "..."]:
    if rule == "straight-through":
        return jnp.ones_like(x)
    if rule == "clipped":
        return (jnp.abs(x) <= 1).astype(x.dtype)
    if rule == "tanh":
        return 1 - jnp.tanh(x) ** 2
    # 1 + cosh(2 y) = 2 cosh(y)**2
    y = jnp.clip(_SWISH_SLOPE / 2 * x, -_LARGEST_Z, _LARGEST_Z)
    return _SWISH_SLOPE * (1 - y * jnp.tanh(y)) / jnp.cosh(y) ** 2


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def rounded(x: Float[Array, "..."], rule: str) -> Float[Array, "..."]:
    return jnp.round(x)


@rounded.defjvp
def rounded_jvp(rule: str, primals: _Arrays, tangents: _Arrays) -> tuple[Array, Array]:
    (x,), (x_dot,) = primals, tangents
    return rounded(x, rule), x_dot if rule == "straight-through" else jnp.zeros_like(x_dot)


def _noise_units(
    x: Float[Array, "..."], sigma: Float[Array, "..."]
) -> tuple[Bool[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    """Where the noise counts as zero, a sigma that is safe to divide by, and x in units of it."""
    quiet = sigma < float(jnp.finfo(x.dtype).tiny)
    safe = jnp.where(quiet, 1.0, sigma)
    return quiet, safe, x / safe


@jax.custom_jvp
def expected_decision(x: Float[Array, "..."], sigma: Float[Array, "..."]) -> Float[Array, "..."]:
    quiet, _, z = _noise_units(x, sigma)
    return jnp.where(quiet, _step(x, 0.0), lax.erf(z / math.sqrt(2)))


@expected_decision.defjvp
def expected_decision_jvp(primals: _Arrays, tangents: _Arrays) -> tuple[Array, Array]:
    (x, sigma), (x_dot, sigma_dot) = primals, tangents
    quiet, safe, z = _noise_units(x, sigma)
    z = jnp.clip(z, -_LARGEST_Z, _LARGEST_Z)
    slope = jnp.where(quiet, 0.0, math.sqrt(2 / math.pi) * jnp.exp(-0.5 * z**2) / safe)
    return expected_decision(x, sigma), slope * (x_dot - z * sigma_dot)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def noisy_decision(
    u: Float[Array, "..."], x: Float[Array, "..."], sigma: Float[Array, "..."], rule: str
) -> Float[Array, "..."]:
    return _step(0.5 + 0.5 * expected_decision(x, sigma), u)


@noisy_decision.defjvp
def noisy_decision_jvp(rule: str, primals: _Arrays, tangents: _Arrays) -> tuple[Array, Array]:
    (u, x, sigma), (_, x_dot, sigma_dot) = primals, tangents
    value = noisy_decision(u, x, sigma, rule)
    if rule == "physical":
        return value, jax.jvp(expected_decision, (x, sigma), (x_dot, sigma_dot))[1]
    return value, jnp.broadcast_to(_slope(x, rule) * x_dot, value.shape)
