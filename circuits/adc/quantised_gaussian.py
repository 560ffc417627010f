"""Mean square error of a Gaussian value that is read with noise through a uniform quantiser that clips."""

import math

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from amsim.noise.finite_slopes import ratio, root

NEIGHBOURS = 64
"""Codes on either side of the one nearest to the mean that are summed over: all there are, or far more than matter."""

FAR = 12.0
"""Sigmas that stand for infinity; a Gaussian has 4e-33 beyond."""


def quantised_gaussian_error(
    variance: Float[Array, ""],
    noise: Float[Array, ""],
    mean: Float[Array, ""],
    step: Float[Array, ""],
    ends: tuple[Float[Array, ""], Float[Array, ""]],
) -> Float[Array, ""]:
    r"""Mean square of (what is read of a value S with noise e) less S, of which the variance of e is taken off.

    With `y = S + e`, `s^2 = var y` and `r = var S / s^2`, the error is `E[(Q(y) - E[S | y])^2] + var(S | y)`, where
    `E[S | y] = m + r (y - m)`. Over the codes `c_k` it is a sum of partial moments of a Gaussian: with
    `q = (c_k - m) / s` and the bin from a to b, in sigmas, `integral (q - r z)^2 phi(z) dz
    = q^2 P - 2 q r (phi(a) - phi(b)) + r^2 (P + a phi(a) - b phi(b))`, `P = Phi(b) - Phi(a)`.

    Steps up to s are smaller than what the density changes over, so that they add `step^2 / 12` (to 4e-9 of itself),
    and that is the result, to the bit, where the range holds all values. Where it does not, the codes are summed over,
    and for more than `NEIGHBOURS` steps the ends alone take the place of what is beyond them.

    Args:
        variance: Of S, above 0, any unit squared.
        noise: Variance of e, independent of S, the same unit.
        mean: m, in that unit.
        step: Between codes.
        ends: Lowest and highest code, in the unit of S.

    Returns:
        Change of the mean square error by the quantiser, in the unit of `variance`; negative where rounding removes
        more of e than it adds.

    Validity: S and e Gaussian, as sums of many products are; codes that are evenly spaced.
    Source: moments of a truncated Gaussian.
    """
    sigma = root(variance + noise)
    known, width = ratio(variance, sigma**2), ratio(step, sigma)
    low, high = (ratio(end - mean, sigma) for end in ends)
    bottom, top = low - width / 2.0, high + width / 2.0
    inside = ndtr(top) - ndtr(bottom)
    unknown = 1.0 - known  # both var(S | y) and the noise, in units of the variance of y: known * unknown and unknown
    few = known * unknown + _over_codes(known, width, low, high) - unknown
    # Rounding goes with the value near the ends, where the range breaks off.
    edges = _density(top) * jnp.clip(top, -FAR, FAR) - _density(bottom) * jnp.clip(bottom, -FAR, FAR)
    tails = _clipped(known, high, top) + _clipped(known, -low, -bottom) - unknown * width**2 / 6.0 * edges
    many = step**2 / 12.0 * inside + sigma**2 * tails
    summed = (width > 1.0) | ((inside < 1.0) & (high - low < (NEIGHBOURS + 0.5) * width))
    return jnp.where(summed, sigma**2 * few, many)


def _over_codes(known: Array, width: Array, low: Array, high: Array) -> Float[Array, ""]:
    """`E[(Q(y) - E[S | y])^2]` in units of the variance of y, over the codes around the mean."""
    steps = jnp.round(ratio(high - low, width))
    nearest = jnp.clip(jnp.round(ratio(-low, width)), 0.0, steps)
    numbers = nearest + jnp.arange(-NEIGHBOURS, NEIGHBOURS + 1, dtype=width.dtype)
    codes = low + numbers * width
    start = jnp.where(numbers <= 0, -FAR, jnp.clip(codes - width / 2.0, -FAR, FAR))
    stop = jnp.where(numbers >= steps, FAR, jnp.clip(codes + width / 2.0, -FAR, FAR))
    part = ndtr(stop) - ndtr(start)
    first = _density(start) - _density(stop)
    second = part + start * _density(start) - stop * _density(stop)
    square = codes**2 * part - 2.0 * codes * known * first + known**2 * second
    return jnp.sum(jnp.where((numbers >= 0) & (numbers <= steps), square, 0.0))


def _clipped(known: Array, end: Array, edge: Array) -> Float[Array, ""]:
    """What one end of the range adds, in units of the variance of y: the code there in place of the values beyond."""
    start = jnp.clip(edge, -FAR, FAR)
    part, first = ndtr(-start), _density(start)
    second = part + start * first
    clipped = end**2 * part - 2.0 * end * known * first + known**2 * second
    return clipped - (1.0 - known) ** 2 * second


def _density(z: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.exp(-(z**2) / 2.0) / math.sqrt(2.0 * math.pi)
