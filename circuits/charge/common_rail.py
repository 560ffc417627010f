"""Lines that share a supply rail, each with its own data: what the rail leaves of their values."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.noise.finite_slopes import ratio


def rail_gains(
    macro: CapacitorArray,
    nominal: NominalLine,
    high: Float[Array, "lines ... columns"],
    size: Float[Array, "... columns"] | float = 1.0,
) -> Float[Array, "lines ... columns"]:
    """What rails leave of the value of each line of columns that are evaluated at once, 1.

    Args:
        macro: The array, whose drivers have a rail.
        nominal: Its nominal line.
        high: Units that go to the supply, lines of a column first.
        size: Total capacitance of the columns' lines relative to the nominal one, that broadcasts.
    """
    assert macro.drivers is not None
    sizes = jnp.broadcast_to(size, high.shape)
    if macro.has_own_rails:
        return nominal.rail_gain(high, sizes)
    loads = jnp.sum(_loads(nominal, high) * sizes[None], axis=1)
    among = macro.drivers.rail_lines // macro.lines
    columns, axes = loads.shape[-1], [(0, 0)] * (loads.ndim - 1)
    # Columns without a slice rest: they load no rail.
    rails = jnp.pad(loads, [*axes, (0, -columns % among)]).reshape(*loads.shape[:-1], -1, among)
    totals = jnp.repeat(jnp.sum(rails, axis=-1), among, axis=-1)[..., :columns]
    return jnp.broadcast_to(_gain(nominal, totals), high.shape)


def rail_gain_among(
    macro: CapacitorArray,
    nominal: NominalLine,
    own: Float[Array, ""],
    others: Float[Array, ""],
    middle: Float[Array, ""],
) -> Float[Array, " lines"]:
    """What the rail leaves of each line of a column beside columns of other data, 1.

    Args:
        macro: The array, whose drivers have a rail.
        nominal: Its nominal line.
        own: Units that go to the supply on the first line of the column.
        others: Those of each other column on its rail.
        middle: Those of a line half way, as a replica is; the second line of a pair has twice as many less its first.
    """
    assert macro.drivers is not None

    def lines(high: Array) -> Array:
        beside = {"none": [], "differential": [2 * middle - high], "replica": [middle]}[macro.second_line]
        return jnp.stack([high, *beside])

    if macro.has_own_rails:
        return nominal.rail_gain(lines(own))
    one, other = (jnp.sum(_loads(nominal, lines(high)), axis=1) for high in (own, others))
    totals = one + (macro.drivers.rail_lines // macro.lines - 1) * other
    return jnp.broadcast_to(_gain(nominal, totals), (macro.lines,))


def _loads(nominal: NominalLine, high: Float[Array, "..."]) -> Float[Array, "2 ..."]:
    """Units by which lines load their rail, and their square over all of the line."""
    inside = jnp.clip(high, 0.0, nominal.total_units - ratio(nominal.parasitic, nominal.unit))
    return jnp.stack([inside, inside * ratio(inside, nominal.total_units)])


def _gain(nominal: NominalLine, loads: Float[Array, "2 ..."]) -> Float[Array, "..."]:
    assert nominal.drivers is not None
    place = nominal.settling_time, nominal.unit, ratio(nominal.parasitic, nominal.unit), nominal.total_units
    return nominal.drivers.common_rail_gain(loads[0], loads[1], *place)
