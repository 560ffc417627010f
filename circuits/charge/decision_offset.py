"""Shifts of the decisions of a die: charges on its lines and the comparators' offsets, after the trim."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.die import CapacitorDie, LineDraws
from amsim.circuits.charge.nominal_line import NominalLine


def added_steps(
    macro: CapacitorArray, nominal: NominalLine, draws: LineDraws, totals: Float[Array, " columns"]
) -> Float[Array, " columns"]:
    """Charges of each line's switch and leakage during an evaluation, as a step of what is read, V."""
    added = jnp.zeros_like(totals)
    if macro.reset is not None:
        assert draws.switch is not None
        added = nominal.switch_step(totals) * (1.0 + macro.reset.spread * draws.switch)
    if macro.leakage is not None:
        assert draws.leakage is not None
        added = added - nominal.leaked_drop(totals) * (1.0 + macro.leakage.spread * draws.leakage)
    return added if macro.sampling_capacitance is None else added * macro.sampled_fraction(totals)


def decision_offset(
    macro: CapacitorArray,
    nominal_lines: tuple[NominalLine, NominalLine | None],
    die: CapacitorDie,
    added: Float[Array, " conversions"],
    trimmed: Float[Array, " conversions"] | None,
    totals: Float[Array, " columns"],
) -> Float[Array, " conversions"]:
    """Shift of each conversion's decisions in counts, after the trim has seen all of it, then or now.

    A comparator that takes turns has a code of its own for each of them.
    """
    comparator, then, (nominal, at_trim) = macro.deciding_comparator, macro.at_trim, nominal_lines
    assert comparator is not None
    shift, code = _shift(macro, nominal, die, added, totals), die.trim[:: macro.combined_columns]
    # The trim acts at the comparator's input, which sees a part of what the line shifts.
    referral = macro.comparator_referral
    if then is None:
        return comparator.residual_offset(shift / referral, code) * (referral * macro.counts_per_volt)
    assert trimmed is not None
    assert die.drift is not None
    assert at_trim is not None
    deciding = then.deciding_comparator
    assert deciding is not None
    seen = _shift(then, at_trim, die, trimmed, totals)
    moved = (shift - seen) / referral + comparator.drift(macro.of_readouts(die.drift), macro.temperature, macro.supply)
    return (deciding.residual_offset(seen / referral, code) + moved) * (referral * macro.counts_per_volt)


def _shift(
    macro: CapacitorArray,
    nominal: NominalLine,
    die: CapacitorDie,
    added: Float[Array, " conversions"],
    totals: Float[Array, " columns"],
) -> Float[Array, " conversions"]:
    """Shift of each conversion's decision without trim, V on the line, from what its lines add."""
    assert macro.comparator is not None
    shift = macro.comparator_referral * macro.comparator.offset(macro.of_readouts(die.comparator))
    if macro.second_line != "none":
        return shift + added
    shift, share = shift + macro.kickback_step(totals[:: macro.combined_columns]), macro.common_share(totals)
    shift = shift + share * nominal.drive_shift + (added + share * nominal.droop_shift)
    return shift - macro.tracking * macro.common_shift(nominal)
