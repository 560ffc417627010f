"""Root, quotients and settling whose derivatives stay finite wherever their values do.

JAX differentiates `top / bottom` through `bottom**-2`, which leaves float32 below 1e-19: a time constant of 1 kOhm and
0.1 fF, or an attofarad once anything multiplies it. Here the derivative is that of the logarithm, times the value.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact, Shaped

_Arrays = tuple[Array, ...]

# exp(-u) is 0 beyond, in float64 too.
_LONGEST = 1e4


def root(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root whose derivative at 0 is 0, so that a noise of 0 stays 0 in training."""
    return jnp.where(value > 0, jnp.sqrt(jnp.where(value > 0, value, 1.0)), 0.0)


def quotient(top: Float[Array, "..."], bottom: Float[Array, "..."]) -> Float[Array, "..."]:
    """Ratio whose value and derivatives are 0 where there is nothing to divide by."""
    return jnp.where(bottom > 0, ratio(top, jnp.where(bottom > 0, bottom, 1.0)), 0.0)


def ratio(top: Shaped[ArrayLike, "..."], bottom: Shaped[ArrayLike, "..."]) -> Inexact[Array, "..."]:
    """`top / bottom`, to the bit, for divisors of any size: farads, seconds, joules.

    Args:
        top: Dividend, any shape and unit.
        bottom: Divisor, a shape that broadcasts, any unit; not 0.

    Returns:
        Ratio, broadcast shape.
    """
    return _ratio(*_of_one_type(top, bottom))


@jax.custom_jvp
def _ratio(top: Array, bottom: Array) -> Array:
    return top / bottom


@_ratio.defjvp
def _ratio_jvp(primals: _Arrays, tangents: _Arrays) -> tuple[Array, Array]:
    (top, bottom), (top_dot, bottom_dot) = primals, tangents
    value = _ratio(top, bottom)
    return value, _ratio(top_dot, bottom) - value * _ratio(bottom_dot, bottom)


def settled(time: Float[Array, "..."], time_constant: Float[Array, "..."]) -> Float[Array, "..."]:
    """`1 - exp(-t / tau)`, which is 1 with a slope of 0 where nothing is left to settle.

    Args:
        time: t, any shape, s.
        time_constant: tau, a shape that broadcasts, s; not 0.

    Returns:
        Fraction, broadcast shape, 1.
    """
    return _settled(*_of_one_type(time, time_constant))


@jax.custom_jvp
def _settled(time: Array, time_constant: Array) -> Array:
    return -jnp.expm1(-time / time_constant)


@_settled.defjvp
def _settled_jvp(primals: _Arrays, tangents: _Arrays) -> tuple[Array, Array]:
    (time, tau), (time_dot, tau_dot) = primals, tangents
    spans = jnp.minimum(_ratio(time, tau), _LONGEST)
    left = jnp.exp(-spans)
    return _settled(time, tau), _ratio(left * time_dot - left * spans * tau_dot, tau)


def _of_one_type(*values: Shaped[ArrayLike, "..."]) -> list[Array]:
    """Values as floating-point arrays of one type, which a rule for derivatives needs."""
    arrays = [jnp.asarray(value) for value in values]
    if len({array.dtype for array in arrays}) == 1 and jnp.issubdtype(arrays[0].dtype, jnp.inexact):
        return arrays
    dtype = jnp.result_type(*arrays, 1.0)
    return [array.astype(dtype) for array in arrays]
