"""Lines of a die's groups: own capacitors of the circuit that combines them, and the weight of each column."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.die import CapacitorDie, LineDraws
from amsim.circuits.contract.bit_slicing import swing_of
from amsim.noise.finite_slopes import ratio
from amsim.noise.mismatch import capacitor_mismatch_sigma


def own_sigmas(macro: CapacitorArray) -> Float[Array, " capacitors"]:
    """Relative standard deviation of each own capacitor of a group by the area law, 1."""
    assert macro.joined is not None
    nominal = macro.joined.nominal(macro.total_capacitance)
    present = nominal > 0
    sigma = capacitor_mismatch_sigma(jnp.where(present, nominal, 1.0), macro.mismatch_coefficient)
    return jnp.where(present, sigma, 0.0)


def own_capacitors(macro: CapacitorArray, draws: CapacitorDie | LineDraws) -> Float[Array, "groups capacitors"]:
    """Own capacitors of each group of a die, F."""
    assert macro.joined is not None
    assert draws.combining is not None
    nominal = macro.joined.nominal(macro.total_capacitance)
    return nominal[None] * (1.0 + own_sigmas(macro)[None] * draws.combining)


def load_errors(macro: CapacitorArray, own: Float[Array, "groups capacitors"]) -> Float[Array, " columns"]:
    """What a group's own capacitors hang on each line beyond nominal ones, in unit capacitors."""
    assert macro.joined is not None
    loads = ratio(macro.joined.loads(own), macro.unit_capacitance)
    return (loads - ratio(macro.joined.line_load, macro.unit_capacitance)).reshape(-1)


def joined_shares(
    macro: CapacitorArray, own: Float[Array, "groups capacitors"], totals: Float[Array, " columns"]
) -> tuple[Float[Array, " columns"], Float[Array, " columns"]]:
    """Share of each line in the combined node of its group, V/V, and its weight in cells of the least significant one.

    Args:
        macro: The array.
        own: Own capacitors of each group, F.
        totals: Total capacitance of each line, F.
    """
    assert macro.joined is not None
    assert macro.group is not None
    shares = macro.joined.combine(totals.reshape(-1, macro.combined_columns), own).shares.reshape(-1)
    return shares, ratio(shares, macro.group.full_share) * swing_of(macro.combined_columns)
