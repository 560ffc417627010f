"""Choice of a comparator's offset trim: the residual offset in closed form, and the fewest bits that meet a limit."""

import dataclasses
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.trim import MOST_BITS, Trim
from amsim.circuits.checked_arguments import checked_arguments
from amsim.noise.finite_slopes import ratio, root

# A Gaussian beyond 9 sigma holds 2e-19. The nodes integrate one panel of up to 18 sigma to 1e-9.
_END = 9.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
# Stands for a sigma of 0 where one divides by it: a picovolt.
_PICO = 1e-12


class TrimChoice(NamedTuple):
    """Fewest trim bits that meet a limit, and their cost.

    Attributes:
        bits: Resolution.
        step: Difference of neighbouring codes, V.
        range: Largest offset cancelled, V.
        residual_sigma: Standard deviation of the offset left, V.
        probability: Probability that the offset left is within the limit, 1.
        energy: Energy of the one-time trim of one comparator, J.
        time: Duration of that trim, every decision given the time that an input of half a step needs, s.
    """

    bits: int
    step: float
    range: float
    residual_sigma: float
    probability: float
    energy: float
    time: float


def residual_sigma(comparator: Comparator, moved: Float[Array, ""] | float = 1.0) -> Float[Array, ""]:
    """Standard deviation, about 0, of the offset that a comparator's trim leaves.

    `E[r^2] = f^2 s^2 m^2 / S^2 + sum_c integral over bin c of (f y s^2 / S^2 - c step)^2 phi(y / S) / S dy` with the
    offset's sigma s, the measurement's m and `S^2 = s^2 + m^2`; the bins of the outermost codes reach to infinity. It
    is `step^2 / 12 + m^2` for a fine step and a wide range, and `s` without trim. An offset that has grown by the
    factor f since the trim is `f` times what the codes were chosen for.

    Args:
        comparator: Its Gaussian offset, noise and trim.
        moved: f, 1.

    Returns:
        Standard deviation, shape (), V; differentiable in every quantity, 0 without offset and noise.

    Validity: as `Trim`; the comparator's own offset only. Integrated numerically to about 1e-6 in float64.
    """
    trim, own = comparator.trim, comparator.offset_sigma
    if trim is None:
        return moved * own
    error = trim.measurement_sigma(comparator.noise)
    total = root(own**2 + error**2)
    unit = jnp.where(total > 0, total, 1.0)
    unknown = ratio(error, unit) ** 2
    codes, low, high = _bins(trim, ratio(trim.step, unit))

    def at(node: Float[Array, ""], weight: Float[Array, ""]) -> Float[Array, ""]:
        lows, highs = jnp.clip(low, -_END, _END), jnp.clip(high, -_END, _END)
        y = (lows + highs) / 2 + (highs - lows) / 2 * node
        left = moved * y - codes * ratio(trim.step, unit) - moved * unknown * y
        return weight * jnp.sum((highs - lows) / 2 * left**2 * _density(y))

    left = unit * root(moved**2 * unknown * (1 - unknown) + _integrate(at, own.dtype))
    return jnp.where(total > 0, left, 0.0)


def residual_probability(comparator: Comparator, limit: Float[Array, ""] | float) -> Float[Array, ""]:
    """Probability that the offset left by a comparator's trim is within `limit`.

    `integral phi(z) sum_c P(|o - c step| <= limit and o + m z in bin c) dz` with the offset o and the measurement's
    sigma m; the inner probability is a difference of two normal CDFs, the outer integral is split at its kinks. Where
    the offset's sigma is below m the two change places, so that the inner one is always the smoother.

    Args:
        comparator: Its Gaussian offset, noise and trim.
        limit: Largest magnitude allowed, shape (), above 0, V.

    Returns:
        Probability, shape (), 1.

    Validity: as `residual_sigma`; to about 1e-4 in float32.
    """
    own = jnp.where(comparator.offset_sigma > 0, comparator.offset_sigma, _PICO)
    trim, dtype = comparator.trim, comparator.offset_sigma.dtype
    bound = jnp.asarray(limit, dtype)
    if trim is None:
        return jnp.clip(2 * ndtr(ratio(bound, own)) - 1, 0, 1)
    error = trim.measurement_sigma(comparator.noise)
    error = jnp.where(error > 0, error, _PICO)
    found = jnp.where(own < error, _over_offsets(trim, own, error, bound), _over_errors(trim, own, error, bound))
    return jnp.clip(found, 0, 1)


def _over_errors(trim: Trim, own: Array, error: Array, limit: Array) -> Float[Array, ""]:
    """Probability within the limit as an integral over the measurement's error; smooth where `error` is below `own`."""
    codes, low, high = _bins(trim, trim.step)
    kinks = abs(limit - trim.step / 2), limit + trim.step / 2
    inner, outer = (jnp.minimum(ratio(kink, error), _END) for kink in kinks)
    ends = jnp.stack([jnp.full_like(inner, -_END), -outer, -inner, inner, outer, jnp.full_like(inner, _END)])
    middles, halves = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2

    def at(node: Float[Array, ""], weight: Float[Array, ""]) -> Float[Array, ""]:
        z = (middles + halves * node)[:, None]
        lows = ratio(jnp.maximum(low[None, :] - error * z, codes[None, :] * trim.step - limit), own)
        highs = ratio(jnp.minimum(high[None, :] - error * z, codes[None, :] * trim.step + limit), own)
        inside = jnp.sum(jnp.maximum(ndtr(highs) - ndtr(lows), 0.0), axis=1)
        return weight * jnp.sum(halves * _density(z[:, 0]) * inside)

    return _integrate(at, own.dtype)


def _over_offsets(trim: Trim, own: Array, error: Array, limit: Array) -> Float[Array, ""]:
    """Probability within the limit as an integral over the offset; smooth where `own` is below `error`."""
    codes, low, high = _bins(trim, trim.step)
    lows, highs = (jnp.clip(ratio(codes * trim.step + edge, own), -_END, _END) for edge in (-limit, limit))
    # Far enough to be infinite, and finite for the derivative with respect to `error`.
    far = jax.lax.stop_gradient(2 * trim.range + 2 * _END * (own + error))
    low, high = jnp.clip(low, -far, far), jnp.clip(high, -far, far)

    def at(node: Float[Array, ""], weight: Float[Array, ""]) -> Float[Array, ""]:
        o = (lows + highs) / 2 + (highs - lows) / 2 * node
        chosen = ndtr(ratio(high - own * o, error)) - ndtr(ratio(low - own * o, error))
        return weight * jnp.sum((highs - lows) / 2 * _density(o) * chosen)

    return _integrate(at, own.dtype)


@checked_arguments
def trim_bits(
    comparator: Comparator,
    limit: float,
    probability: float = 0.997,
    *,
    averages: float | None = None,
    range: float | None = None,
) -> TrimChoice:
    """Fewest trim bits that leave an offset within a limit.

    Args:
        comparator: Its Gaussian offset and noise.
        limit: Largest magnitude of the offset left, above 0, V.
        probability: Fraction of the comparators that must meet it, between 0 and 1.
        averages: Decisions in each vote; None takes those of the comparator's trim, or of `Trim()` without one.
        range: Largest offset cancelled, V; None as above.

    Returns:
        The choice and its cost, plain numbers.

    Raises:
        ValueError: A limit or probability out of range, a traced comparator, or no resolution of up to 16 bits
            suffices; the message says whether the range or the measurement's noise stands in the way.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(comparator)):
        raise ValueError("Argument `comparator` must hold numbers, but is traced: a number of bits has no derivative.")
    if not 0 < limit < math.inf:
        raise ValueError(f"Argument `limit` must be finite and above 0, but is {limit}.")
    if not 0 < probability < 1:
        raise ValueError(f"Argument `probability` must be between 0 and 1, but is {probability}.")
    given = Trim() if comparator.trim is None else comparator.trim
    given = dataclasses.replace(
        given,
        averages=given.averages if averages is None else averages,
        range=given.range if range is None else range,
    )
    if _out_of_range(comparator, given, limit, probability):
        raise ValueError(_why_not(comparator, given, limit, probability))
    for bits in np.arange(MOST_BITS + 1):
        trim = dataclasses.replace(given, bits=int(bits))
        trimmed = dataclasses.replace(comparator, trim=trim)
        reached = float(_compiled_probability(trimmed, jnp.asarray(limit, float)))
        if reached >= probability:
            time = float(trim.time(comparator.decision_time(trim.step / 2))) if bits else 0.0
            spread, energy = float(residual_sigma(trimmed)), float(trim.energy(comparator.energy()))
            return TrimChoice(int(bits), float(trim.step), float(trim.range), spread, reached, energy, time)
    raise ValueError(_why_not(comparator, given, limit, probability))


# Compiled once per number of bits, whatever the values.
_compiled_probability = eqx.filter_jit(residual_probability)


def _out_of_range(comparator: Comparator, trim: Trim, limit: float, probability: float) -> bool:
    own = float(comparator.offset_sigma)
    return own > 0 and math.erf((float(trim.range) + limit) / own / math.sqrt(2)) < probability


def _why_not(comparator: Comparator, trim: Trim, limit: float, probability: float) -> str:
    own, error = float(comparator.offset_sigma), float(trim.measurement_sigma(comparator.noise))
    refusal = (
        f"Argument `limit` of {limit:g} V cannot be met with probability {probability:g} by up to {MOST_BITS} bits"
    )
    if _out_of_range(comparator, trim, limit, probability):
        return f"{refusal}: `range` of {float(trim.range):g} V is too small for an offset of {own:g} V sigma."
    if error > 0 and math.erf(limit / error / math.sqrt(2)) < probability:
        return (
            f"{refusal}: {float(trim.averages):g} `averages` measure the offset to {error:g} V sigma only; "
            f"it needs more, or less noise than {float(comparator.noise):g} V."
        )
    return (
        f"{refusal}: the range of {float(trim.range):g} V and the measurement's {error:g} V sigma together forbid it."
    )


def _bins(trim: Trim, step: Float[Array, ""]) -> tuple[Array, Array, Array]:
    """Codes, and the ends of the interval to which each is nearest, in the unit of `step`."""
    codes = jnp.arange(2**trim.bits, dtype=step.dtype) - 2**trim.bits // 2
    order = jnp.arange(2**trim.bits)
    low = jnp.where(order == 0, -jnp.inf, (codes - 0.5) * step)
    high = jnp.where(order == 2**trim.bits - 1, jnp.inf, (codes + 0.5) * step)
    return codes, low, high


def _integrate(at, dtype) -> Float[Array, ""]:
    """Sum of `at(node, weight)` over the quadrature nodes, one after another to save memory."""
    nodes, weights = jnp.asarray(_NODES, dtype), jnp.asarray(_WEIGHTS, dtype)
    return jnp.sum(jax.lax.map(lambda pair: at(*pair), (nodes, weights)))


def _density(z: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
