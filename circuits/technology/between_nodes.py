"""Energy, time and area of a circuit at its own node and supply over those for which it is stated, at 28 nm.

A part states its capacitances, times and areas at 28 nm, its noise and times at one supply, and is told the process
that it is made in. These ratios are exactly 1 at 28 nm and the stated supply, whatever that is. Exponents: none of
their own; the fits of Stillmaker and Baas (2017) in `amsim.circuits.technology.nodes`, by the laws of `Process`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.checks import enforced
from amsim.circuits.technology import nodes
from amsim.circuits.technology.process import REFERENCE_NODE, Process

LEAST_OVERDRIVE = 0.01
"""V above the threshold below which a delay is that of this overdrive: only reached at a part's own stated supply."""


def is_reference(process: Process | None) -> bool:
    """Whether this is the 28 nm at which parts are stated; None stands for it."""
    return process is None or (process.node, process.variant) == (REFERENCE_NODE, nodes.VARIANTS[0])


def area_ratio(process: Process | None) -> float:
    """Area of a circuit of transistors over that at 28 nm, 1: `Process.area_ratio`."""
    return 1.0 if process is None else process.area_ratio


def energy_ratio(process: Process | None, supply: Real[ArrayLike, "..."]) -> Float[Array, "..."] | float:
    """Energy of an event over that of 28 nm at the same supply, `r_E(V) / r_E,28nm(V)`: a factor on a 28 nm `C V^2`.

    Args:
        process: Node; None is 28 nm.
        supply: V, shape (...), V.

    Returns:
        Ratio, shape (...), 1.

    Raises:
        ValueError: A supply outside this node's `energy_window`; a traced one raises at run time. Above the window of
            28 nm its reference follows the square of the supply, as extrapolation does in `Process`.
    """
    if process is None or is_reference(process):
        return 1.0
    return process.energy_ratio(supply) / Process(extrapolate=True).energy_ratio(supply)


def delay_ratio(
    process: Process | None, supply: Real[ArrayLike, "..."], stated: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Time of a circuit over that in 28 nm at the supply where it is stated: `r_t(V) / r_t,28nm(V_0)`, at 300 K.

    Args:
        process: Node; None is 28 nm.
        supply: V, shape (...), V.
        stated: V_0, shape (...) that broadcasts, V.

    Returns:
        Ratio, shape (...), 1.

    Raises:
        ValueError: A supply outside this node's `delay_window`, unless the circuit is in 28 nm at its stated supply; a
            traced one raises at run time.
    """
    law = Process() if process is None else process
    volts, at = jnp.asarray(supply, float), jnp.asarray(stated, float)
    own = law.delay_law
    reference = own if is_reference(process) else nodes.fit(REFERENCE_NODE, nodes.VARIANTS[0]).delay
    return _delay(own, _inside(law, volts, at)) / _delay(reference, at)


def _delay(law: tuple[Any, Any, Any], supply: Float[Array, "..."]) -> Float[Array, "..."]:
    constant, threshold, alpha = law
    return constant * supply / jnp.maximum(supply - threshold, LEAST_OVERDRIVE) ** alpha


def _inside(process: Process, supply: Float[Array, "..."], stated: Float[Array, "..."]) -> Float[Array, "..."]:
    """The supply, inside the window of the delay law where the circuit has been moved."""
    low, high = (0.0, np.inf) if process.extrapolate else process.delay_window
    bottom = process.delay_law[1] if process.extrapolate else low
    unmoved = is_reference(process)

    def allowed(volts: Any) -> Any:
        edge, other = (bottom, stated) if isinstance(volts, jax.Array) else (np.asarray(bottom), np.asarray(stated))
        within = (volts >= edge) & (volts <= high)
        return within | (volts == other) if unmoved else within

    known = not any(isinstance(value, jax.core.Tracer) for value in (supply, stated, bottom))
    rule = f"Argument `supply` must be from {low:g} to {high:g} V at {process.node} ({process.variant})"
    given = np.asarray(supply) if known else next(v for v in (supply, stated, bottom) if isinstance(v, jax.core.Tracer))
    return enforced(supply, given, allowed, lambda wrong: f"{rule}, but is {wrong[0]:g}.", f"{rule}.")
