r"""A floating line behind many resistor-capacitor branches: its step response, exact for a linear network.

Branch `i` has a driver of resistance `R_i` in series with capacitor `C_i`; the line has `C_par` to ground. The response
to a unit step of driver `i` has the Laplace transform `(1 / s) y_i / (C_par + sum_j y_j)` with
`y_i = C_i / (1 + s R_i C_i)`. All poles are real and negative.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.circuits.fields import Quantity
from amsim.noise.checks import non_negative
from amsim.noise.finite_slopes import ratio
from amsim.noise.loops import fori_loop

BISECTIONS = 80


def step_response(
    resistances: Float[Array, " branches"],
    capacitances: Float[Array, " branches"],
    parasitic: Quantity,
    time: Quantity,
) -> Float[Array, " branches"]:
    r"""Line voltage at `time` after each driver alone has made a unit step, V/V.

    Since the network is linear, drivers that step by `dL_i` together move the line by `sum_i response_i dL_i`; long
    after, `response_i = C_i / C_tot`.

    The Laplace transform is inverted along the parabola `s t = mu (i u + 1)^2` by the midpoint rule, whose error falls
    as `2.85**-nodes` for real negative poles, whatever they are. Relative to a full step: 1e-11 in float64, 3e-6 in
    float32. Cost: a few operations per branch and node, no eigenvalues, so that equal poles need no care.

    Args:
        resistances: R, Ohm; above 0.
        capacitances: C, F; above 0.
        parasitic: C_par, F; above 0.
        time: t, s; at least 0.

    Returns:
        Fraction of its step by which each driver moves the line, shape (branches,), V/V.

    Source: Weideman and Trefethen, "Parabolic and hyperbolic contours for computing the Bromwich integral",
    Math. Comp. 76 (2007), section 3.
    """
    time, total = non_negative("time", time), parasitic + jnp.sum(capacitances)
    admittances, grounded = _relative(resistances, capacitances, parasitic, total, time)

    def at_node(node: Array, weight: Array) -> Array:
        branches = admittances(node)
        return (weight * branches / (grounded + jnp.sum(branches))).real

    return _inverted(at_node, capacitances.dtype, time)


def shared_rail_response(
    resistances: Float[Array, " branches"],
    capacitances: Float[Array, " branches"],
    parasitic: Quantity,
    rail: Quantity,
    high: Float[Array, "... branches"],
    time: Quantity,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    r"""Line voltage at `time` after a unit step of the branches that rise behind one rail, and of all others, V/V.

    With `Y_H`, `Y_L` the sums of `y_i` of the branches that rise and of the others, and `q = s R_rail Y_H`, the
    transforms are `(1 / s) Y_H` and `(1 / s) Y_L (1 + q)` over `C_par + Y_H + Y_L + q (C_par + Y_L)`; inverted as in
    `step_response`, whose arguments the others are.

    Args:
        resistances: R, Ohm.
        capacitances: C, F.
        parasitic: C_par, F.
        rail: R_rail, Ohm; at least 0.
        high: 1 for a branch that rises, 0 for another; shape (..., branches).
        time: t, s.

    Returns:
        Response to the rail's step and to that of ground, each of shape (...), V/V.
    """
    time, total = non_negative("time", time), parasitic + jnp.sum(capacitances)
    admittances, grounded = _relative(resistances, capacitances, parasitic, total, time)
    behind, rises = ratio(rail * total, _span(time)).astype(grounded.dtype), high.astype(grounded.dtype)

    def at_node(node: Array, weight: Array) -> tuple[Array, Array]:
        branches = admittances(node)
        rising, staying = (
            jnp.matmul(some, branches, precision=jax.lax.Precision.HIGHEST) for some in (rises, 1 - rises)
        )
        loop = node * behind * rising
        scaled = weight / (grounded + rising + staying + loop * (grounded + staying))
        return (scaled * rising).real, (scaled * staying * (1 + loop)).real

    return _inverted(at_node, capacitances.dtype, time)


def common_rail_response(
    resistances: Float[Array, "lines branches"],
    capacitances: Float[Array, "lines branches"],
    parasitic: Quantity,
    rail: Quantity,
    high: Float[Array, "... lines branches"],
    time: Quantity,
) -> Float[Array, "... lines"]:
    r"""Voltage of each line at `time` after a unit step of a rail that the rising branches of all of them share, V/V.

    With the sums `H_k`, `L_k` of the `y_i` of line k that rise and that stay low and `D_k = C_par + H_k + L_k`, line j
    has the transform `(1 / s) (H_j / D_j) / (1 + s R_rail sum_k H_k (D_k - H_k) / D_k)`; inverted as in
    `step_response`.

    Args:
        resistances: R, Ohm.
        capacitances: C, F.
        parasitic: C_par of each line, F.
        rail: R_rail, Ohm; at least 0.
        high: 1 for a branch that rises, 0 for one that stays at ground; shape (..., lines, branches).
        time: t, s.
    """
    time, total = non_negative("time", time), parasitic + jnp.sum(capacitances[0])
    admittances, grounded = _relative(resistances, capacitances, parasitic, total, time)
    behind = ratio(rail * total, _span(time)).astype(grounded.dtype)

    def at_node(node: Array, weight: Array) -> Array:
        branches = admittances(node)
        rising = jnp.sum(jnp.where(high > 0, jnp.broadcast_to(branches, high.shape), 0), axis=-1)
        staying = grounded + jnp.sum(jnp.where(high > 0, 0, jnp.broadcast_to(branches, high.shape)), axis=-1)
        step = rising / (rising + staying)
        loop = node * behind * jnp.sum(step * staying, axis=-1, keepdims=True)
        return (weight * step / (1 + loop)).real

    return _inverted(at_node, capacitances.dtype, time)


def _span(time: Array) -> Array:
    """Time by which others are divided: any before the step."""
    return jnp.where(time > 0, time, 1.0)


def _relative(
    resistances: Array, capacitances: Array, parasitic: Quantity, total: Array, time: Array
) -> tuple[Callable[[Array], Array], Array]:
    """Admittances of branches at a node of the contour, and that of the parasitic, over s times the total."""
    imaginary = jnp.complex128 if capacitances.dtype == jnp.float64 else jnp.complex64
    # Only ratios to t and to the total enter: seconds and farads of a line would leave float32 when multiplied.
    slowness = ratio(resistances * capacitances, _span(time)).astype(imaginary)
    shares, grounded = ratio(capacitances, total).astype(imaginary), ratio(parasitic, total).astype(imaginary)
    return lambda node: shares / (1 + node * slowness), grounded


def _inverted(at_node: Callable[[Array, Array], Any], dtype: Any, time: Array) -> Any:
    """Sum over the contour of what a transform gives at a node, with its weight; 0 before the step."""
    nodes, weights = _parabola(24 if dtype == jnp.float64 else 13)
    imaginary = jnp.complex128 if dtype == jnp.float64 else jnp.complex64
    parts = jax.vmap(at_node)(jnp.asarray(nodes, imaginary), jnp.asarray(weights, imaginary))
    return jax.tree.map(lambda part: jnp.where(time > 0, jnp.sum(part, axis=0), 0.0), parts)


def _parabola(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes `s t` in the upper half plane and weights, the factor `1 / (s t)` of a step included."""
    spacing, mu = 3.0 / count, math.pi * count / 12
    u = (np.arange(count) + 0.5) * spacing
    nodes = mu * (1j * u + 1) ** 2
    # ds/du / (2 pi i) = mu (i u + 1) / pi; the lower half plane is the mirror image, hence twice the real part.
    return nodes, 2 * spacing / math.pi * mu * (1j * u + 1) * np.exp(nodes) / nodes


def extreme_time_constants(
    resistances: Float[Array, " branches"], capacitances: Float[Array, " branches"], parasitic: Quantity
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Fastest and slowest time constant of the line, s.

    The decay rates are the eigenvalues of `diag(1 / (R_i C_i)) + r r^T / C_par`, `r_i = R_i**-0.5`: the roots of
    `1 + sum_i w_i / (d_i - rate)` with `d_i = 1 / (R_i C_i)` and `w_i = 1 / (R_i C_par)`, one between each two `d_i`.

    Args:
        resistances: R, Ohm; above 0.
        capacitances: C, F; above 0.
        parasitic: C_par, F; above 0.

    Returns:
        Fastest and slowest, each of shape (), s.

    Source: secular equation of a rank-one update, Golub, SIAM Review 15 (1973), section 5.
    """
    rates = ratio(1.0, resistances * capacitances)
    order = jnp.argsort(rates)
    scale = jax.lax.stop_gradient(rates[order[-1]])
    poles, residues = rates[order] / scale, (ratio(1.0, resistances * parasitic) / scale)[order]
    ends = jnp.append(poles, poles[-1] + jnp.sum(residues))
    slowest = _secular_root(poles, residues, ends[0], ends[1])
    fastest = _secular_root(poles, residues, ends[-2], ends[-1])
    return ratio(1.0, fastest * scale), ratio(1.0, slowest * scale)


def _secular_root(
    poles: Float[Array, " branches"], residues: Float[Array, " branches"], low: Array, high: Array
) -> Float[Array, ""]:
    """The one root above the pole `low` and not above `high`; two equal poles have it between them."""
    distance, gap = poles - low, high - low

    def secular(above: Array) -> Array:
        return 1 + jnp.sum(residues / (distance - above))

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (bracket[0] + bracket[1]) / 2
        below = secular(middle) < 0
        return jnp.where(below, middle, bracket[0]), jnp.where(below, bracket[1], middle)

    start = jax.lax.stop_gradient((jnp.zeros_like(gap), gap))
    bracket = fori_loop(0, BISECTIONS, halve, start)
    root = jax.lax.stop_gradient((bracket[0] + bracket[1]) / 2)
    apart = gap > 0
    safe = jnp.where(apart, root, -1.0)
    # One Newton step changes nothing in value and carries the derivatives of the root.
    slope = jax.lax.stop_gradient(jnp.sum(residues / (distance - safe) ** 2))
    return jnp.where(apart, low + safe - (secular(safe) - jax.lax.stop_gradient(secular(safe))) / slope, low)
