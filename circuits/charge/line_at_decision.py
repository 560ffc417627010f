"""Lines at the decision: their counts above the reference behind a rail and a supply with noise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.common_rail import rail_gains
from amsim.circuits.charge.folded_line import CapacitorLine
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.contract.products import over_columns
from amsim.noise.finite_slopes import quotient, ratio
from amsim.noise.random import normal

SUPPLY_DRAW = 2**31 - 1
"""Number of the key that draws the supply's noise, beyond those of slices."""


def track_reference(gain: Float[Array, "..."], tracking: Float[Array, ""]) -> Float[Array, "..."]:
    """Gain of the half-way level that the readout compares with, from that of nominal lines: `1 + tracking (g - 1)`."""
    return 1.0 + tracking * (gain - 1.0)


def counts_at_decision(
    macro: CapacitorArray,
    line: CapacitorLine | None,
    counts: Float[Array, "..."],
    middle: Float[Array, ""] | float,
    key: PRNGKeyArray | None,
    nominal: NominalLine | None = None,
) -> Float[Array, "..."]:
    """Counts of lines above their reference at the decision, from their settled values behind an ideal supply.

    Args:
        macro: The array.
        line: Its static errors, or None for nominal and ideal lines.
        counts: Settled values above the reference, columns last.
        middle: Counts between no cell high and half of them high, the level that the reference stands for.
        key: Draws the supply's noise; None is no noise.
        nominal: The nominal line, where it is at hand.
    """
    gain = jnp.ones_like(macro.supply) if line is None else line.gain
    gain = over_columns(gain, counts.ndim) if gain.ndim else gain
    own, in_common = track_reference(gain, macro.tracking), macro.tracking * gain
    if macro.has_rail:
        nominal = macro.nominal if nominal is None else nominal
        size = 1.0 if line is None else over_columns(line.size, counts.ndim)
        # The capacitors that rise, whatever part of their step the line has made.
        high, half = quotient(counts + own * middle, 2 * gain), jnp.asarray(middle, counts.dtype) / 2
        if macro.second_line == "differential":
            settled, other = rail_gains(
                macro, nominal, jnp.stack([high, quotient(own * middle - counts, 2 * gain)]), size
            )
            counts = (counts * (settled + other) + own * middle * (settled - other)) / 2
        else:
            # The reference is a line too, with half of its cells high; beside a level, on a rail of such lines.
            lines = [high] if macro.second_line == "none" else [high, jnp.broadcast_to(half, high.shape)]
            settled = rail_gains(macro, nominal, jnp.stack(lines), size)[0]
            at_middle = nominal.rail_gain(half) if macro.lines == 1 or macro.has_own_rails else settled
            counts = counts * settled + middle * (own * settled - own + in_common * (1.0 - at_middle))
    if macro.supply_noise is not None and key is not None:
        swing = ratio(macro.supply_noise, macro.supply)
        shape = (*counts.shape[:-1], 1)
        relative = swing * normal(jax.random.fold_in(key, SUPPLY_DRAW), shape, counts.dtype)
        counts = counts + relative * (counts + (own - in_common) * middle)
    return counts if line is None else counts + over_columns(line.offset, counts.ndim)
