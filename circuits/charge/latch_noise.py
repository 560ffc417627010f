"""Input-referred noise of a dynamic latch against its supply and its load."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import ratio, root
from amsim.noise.switching import REFERENCE_TEMPERATURE

WEAKEST = 1e-6
"""Inversion u below which u / (1 - exp(-u)) is 1."""

THRESHOLD_FALL = 0.8e-3
"""Fall of a threshold voltage with temperature, V/K (facts 8: 0.6-1 mV/K, recalled)."""


def current_over_transconductance(
    supply: Real[ArrayLike, "..."], process: Process | None = None
) -> Float[Array, "..."]:
    r"""Ratio I / g_m of an input transistor whose gate rests at half the supply, V.

    `I / g_m = n U_T u / (1 - exp(-u))` with `u = ln(1 + exp((V / 2 - V_T) / (2 n U_T)))`: n U_T in weak inversion, half
    of the overdrive in strong inversion. `n U_T` is the process's `swing / ln 10` and V_T that of its delay law.

    Args:
        supply: V, shape (...), V.
        process: Threshold and swing; None is 28 nm.

    Returns:
        Ratio, shape (...), V.

    Source: EKV model (Enz, Krummenacher and Vittoz, 1995). Valid at 300 K and for an input common mode of half the
    supply, the reset level of a line.
    """
    law = Process() if process is None else process
    slope = law.swing / math.log(10)
    inversion = jnp.logaddexp(0.0, (jnp.asarray(supply, float) / 2 - law.delay_law[1]) / (2 * slope))
    inversion = jnp.maximum(inversion, WEAKEST)
    return slope * inversion / -jnp.expm1(-inversion)


def noise_ratio(
    supply: Real[ArrayLike, "..."], stated: Real[ArrayLike, "..."], process: Process | None = None
) -> Float[Array, "..."]:
    r"""Noise of a latch at a supply over that at another, its transistors and load being the same.

    Two integration nodes of capacitance C fall by `V_X`, which turns the latch on, in `t = C V_X / I`. White noise of
    the pair integrates to `4 k T gamma g_m t / C^2` there and the input to `g_m t / C`, so that referred to the input
    `v_n^2 = 4 gamma (k T / C) (I / g_m) / V_X`. With the fall `V_X`, a threshold, the noise follows
    `sqrt(I / g_m)`: it rises with the supply, which speeds the integration up, and falls with the load as
    `1 / sqrt(C)`.

    Args:
        supply: V, shape (...), V.
        stated: V_0, shape (...) that broadcasts, V.
        process: As in `current_over_transconductance`.

    Returns:
        Ratio, shape (...), 1; exactly 1 at the stated supply.

    Source: facts 5.3, `4 k T gamma / C (V_ov / 2 V_TN)` for strong inversion; derived above.
    """
    here, there = (current_over_transconductance(volts, process) for volts in (supply, stated))
    return root(ratio(here, there))


def bias_slopes(
    supply: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."], process: Process | None = None
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    r"""Derivatives of I / g_m of an input transistor with respect to temperature and to the supply.

    With `I / g_m = s g(u)`, `g(u) = u / (1 - exp(-u))`, `u = ln(1 + exp(w))`, `w = (V / 2 - V_T) / (2 s)` and
    `s = n U_T` proportional to T: `d/dV = g'(u) h / 4` and `d/dT = s g(u) / T + g'(u) h (V_T' / 2 - s w / T)`,
    `h = 1 / (1 + exp(-w))`.

    Args:
        supply: V, shape (...), V.
        temperature: T, shape (...) that broadcasts, K; 300 K is where the process states swing and threshold. Below 1 K
            the slopes are those at 1 K.
        process: As in `current_over_transconductance`.

    Returns:
        V/K and V/V, broadcast shape.

    Source: the EKV model of `current_over_transconductance`, with V_T' = 0.8 mV/K (facts 8: 0.6-1).
    """
    law = Process() if process is None else process
    warm = jnp.maximum(jnp.asarray(temperature, float), 1.0)
    slope = law.swing / math.log(10) * (warm / REFERENCE_TEMPERATURE)
    threshold = law.delay_law[1] - THRESHOLD_FALL * (warm - REFERENCE_TEMPERATURE)
    forward = (jnp.asarray(supply, float) / 2 - threshold) / (2 * slope)
    inversion = jnp.maximum(jnp.logaddexp(0.0, forward), WEAKEST)
    filled = -jnp.expm1(-inversion)
    # Near 0 the two terms would cancel each other's digits.
    weak = inversion < 1e-2
    steep = jnp.where(weak, 0.5 + inversion / 6, (filled - inversion * (1 - filled)) / jnp.where(weak, 1, filled**2))
    steep = steep * jax.nn.sigmoid(forward)
    by_temperature = slope * inversion / filled / warm + steep * (THRESHOLD_FALL / 2 - slope * forward / warm)
    return by_temperature, steep / 4
