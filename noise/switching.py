"""Charge errors of switching and holding: settling, droop, injection, feedthrough, jitter."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.noise.checks import floating, non_negative, positive
from amsim.noise.finite_slopes import ratio, settled

LEAKAGE_TEMPERATURE = 14.0
"""Temperature rise, K, that multiplies a leakage current by e; it doubles every 9.7 K (facts 8: 13-15 K, recalled)."""

REFERENCE_TEMPERATURE = 300.0
"""Temperature, K, at which leakage currents and comparator noise are stated."""


def settled_fraction(time: Real[ArrayLike, "..."], time_constant: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Fraction of a step that a single pole has settled: ``1 - exp(-t / tau)``.

    Args:
        time: t since the step, shape (...), s.
        time_constant: tau, shape (...) that broadcasts, s; 0 is an ideal connection.

    Returns:
        Fraction from 0 to 1, shape (...), 1.

    Raises:
        ValueError: A concrete argument is negative. A traced one gives NaN there.

    Validity: one pole, an ideal step. Source: the RC equation.
    """
    t, tau = non_negative("time", time), non_negative("time_constant", time_constant)
    ideal = tau == 0
    return jnp.where(ideal, 1.0, settled(t, jnp.where(ideal, 1.0, tau)))


def exponential_approach(
    start: Real[ArrayLike, "..."],
    final: Real[ArrayLike, "..."],
    time: Real[ArrayLike, "..."],
    time_constant: Real[ArrayLike, "..."],
) -> Float[Array, "..."]:
    """Voltage that approaches a level exponentially: ``final + (start - final) exp(-t / tau)``.

    A reset through a switch starts at the old level; a line that droops through the open switch's resistance starts
    at its settled one.

    Args:
        start: Level at t = 0, shape (...), V.
        final: Final level, shape (...), V.
        time: t, shape (...), s.
        time_constant: tau = R C, shape (...), s.

    Returns:
        Level at t, shape (...), V.

    Raises:
        ValueError: A concrete time or time constant is negative. A traced one gives NaN there.
    """
    begin = floating("start", start)
    return begin + (floating("final", final) - begin) * settled_fraction(time, time_constant)


def leakage_drop(
    current: Real[ArrayLike, "..."],
    time: Real[ArrayLike, "..."],
    capacitance: Real[ArrayLike, "..."],
    time_constant: Real[ArrayLike, "..."] | None = None,
) -> Float[Array, "..."]:
    """Voltage drop of a floating capacitance by a constant leakage current: ``I t / C``.

    Beside a resistance R, the drop decays as it builds up: ``I R (1 - exp(-t / tau))`` with ``tau = R C``, which is
    ``I t / C`` times ``(1 - exp(-t / tau)) / (t / tau)``.

    Args:
        current: I out of the node, shape (...), A; negative flows in.
        time: t, shape (...), s.
        capacitance: C, shape (...), F.
        time_constant: tau = R C of a resistance beside the current, shape (...), s; None is no resistance.

    Returns:
        Drop, shape (...), V.

    Raises:
        ValueError: A concrete time is negative or a capacitance or time constant not positive. A traced one gives NaN
            there.
    """
    # The slew rate I / C first: the charge I t alone nears the end of float32 for fA and ns.
    alone = ratio(floating("current", current), positive("capacitance", capacitance)) * non_negative("time", time)
    if time_constant is None:
        return alone
    return alone * mean_decay(ratio(non_negative("time", time), positive("time_constant", time_constant)))


def mean_decay(spans: Float[Array, "..."]) -> Float[Array, "..."]:
    """Mean of ``exp(-u)`` over u from 0 to this many time constants: ``(1 - exp(-u)) / u``, 1 at 0."""
    u = non_negative("spans", spans)
    # The quotient has no derivative at 0, and little of it near 0 in float32.
    short = u < 1e-2
    long = jnp.where(short, 1.0, u)
    return jnp.where(short, 1 - u / 2 * (1 - u / 3 * (1 - u / 4)), ratio(-jnp.expm1(-long), long))


def leakage_growth(
    temperature: Real[ArrayLike, "..."], characteristic: Real[ArrayLike, "..."] = LEAKAGE_TEMPERATURE
) -> Float[Array, "..."]:
    """Leakage current relative to that at 300 K: ``exp((T - 300 K) / T_e)``.

    Args:
        temperature: T, shape (...), K.
        characteristic: T_e, shape (...), K.

    Returns:
        Factor, shape (...), 1.

    Raises:
        ValueError: A concrete temperature is negative or T_e not positive. A traced one gives NaN there.

    Validity: subthreshold and junction leakage between about 230 K and 400 K. Source: facts 8.
    """
    t = non_negative("temperature", temperature)
    return jnp.exp(ratio(t - REFERENCE_TEMPERATURE, positive("characteristic", characteristic)))


def coupled_step(
    coupling: Real[ArrayLike, "..."], step: Real[ArrayLike, "..."], total: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Step that an edge couples into a floating node: ``dV c / C_tot``, where C_tot includes c.

    Examples are clock feedthrough through a switch's overlap and kickback through a comparator's input capacitance.

    Args:
        coupling: c, shape (...), F.
        step: dV of the edge, shape (...), V.
        total: C_tot on the node, the coupling included, shape (...), F.

    Returns:
        Step of the node, shape (...), V.

    Raises:
        ValueError: A concrete coupling is negative or total not positive. A traced one gives NaN there.
    """
    return floating("step", step) * ratio(non_negative("coupling", coupling), positive("total", total))


def injected_step(
    channel: Real[ArrayLike, "..."],
    overdrive: Real[ArrayLike, "..."],
    total: Real[ArrayLike, "..."],
    fraction: Real[ArrayLike, "..."] = 0.5,
) -> Float[Array, "..."]:
    """Step that a switch's channel charge leaves on a node: ``-p W L C_ox (V_DD - V_T - V_in) / C_tot``.

    Args:
        channel: W L C_ox of an n-type switch, shape (...), F.
        overdrive: V_DD - V_T - V_in before it opens, shape (...), V; at or below 0 there is no channel.
        total: C_tot on the node, shape (...), F.
        fraction: p, fraction of the charge that goes to this side, shape (...), 1.

    Returns:
        Step of the node, shape (...), V; negative, since electrons come in.

    Raises:
        ValueError: A concrete channel or fraction is negative or total not positive. A traced one gives NaN there.

    Validity: fast switch edge. Source: facts 8 (code after TCAD'22, equation 24).
    """
    share = non_negative("fraction", fraction) * ratio(non_negative("channel", channel), positive("total", total))
    return -share * jnp.maximum(floating("overdrive", overdrive), 0.0)


def jitter_sigma(slope: Real[ArrayLike, "..."], timing_sigma: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Rms voltage error of a moving node that is sampled with timing jitter: ``|dV/dt| sigma_t``.

    Args:
        slope: dV/dt at the nominal sampling time, shape (...), V/s. While settling it is ``(V_end - V) / tau``.
        timing_sigma: Rms timing error, shape (...), s.

    Returns:
        Rms error, shape (...), V.

    Raises:
        ValueError: A concrete timing error is negative. A traced one gives NaN there.

    Validity: first order in the timing error; a settled node has no slope. Source: facts 8.
    """
    return jnp.abs(floating("slope", slope)) * non_negative("timing_sigma", timing_sigma)
