"""Error of a column by the offset that its trim leaves, of the comparator and of what switch and leakage add."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.charge.trim_choice import residual_sigma
from amsim.noise.finite_slopes import quotient, root


def offset_variance(macro: CapacitorArray, nominal: NominalLine) -> Array:
    """Counts^2 that the trim leaves of the comparator's offset and of the spreads of switch and leakage."""
    then = macro.at_trim
    comparator = macro.deciding_comparator if then is None else then.deciding_comparator
    assert comparator is not None
    sizes = _shift_sigmas(macro, nominal)
    seen = sizes if then is None else _shift_sigmas(then, then.nominal)
    variance = jnp.sum(seen**2)
    referral = macro.comparator_referral
    trimmed, counts = dataclasses.replace(comparator, offset_sigma=root(variance) / referral), macro.counts_per_volt
    if then is None:
        return (residual_sigma(trimmed) * referral * counts) ** 2
    # Part of the shift of use that follows the one that was trimmed; the rest is new.
    follows = quotient(jnp.sum(sizes * seen), variance)
    new = jnp.sum((sizes - follows * seen) ** 2)
    return ((residual_sigma(trimmed, follows) * referral) ** 2 + new) * counts**2


def _shift_sigmas(macro: CapacitorArray, nominal: NominalLine) -> Float[Array, " causes"]:
    """Standard deviations of what shifts the decisions of columns, V: comparator, then one entry per line and cause."""
    comparator, total = macro.comparator, nominal.total
    assert comparator is not None
    sizes = [macro.comparator_referral * comparator.offset_sigma]
    share = macro.sampled_fraction(total) if macro.group is None else root(jnp.sum(macro.group.shares**2))
    both = jnp.sqrt(jnp.asarray(macro.lines, total.dtype)) * share
    if macro.reset is not None:
        sizes.append(both * macro.reset.spread * nominal.switch_step(total))
    if macro.leakage is not None:
        sizes.append(both * macro.leakage.spread * nominal.leaked_drop(total))
    return jnp.stack(sizes)
