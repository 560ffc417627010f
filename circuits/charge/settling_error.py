"""Error of a column whose line does not settle or does not hold, alone and on a rail that it shares."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.common_rail import rail_gain_among
from amsim.circuits.charge.independent_sums import IndependentSums
from amsim.circuits.charge.nominal_line import NominalLine


def settling_variance(
    macro: CapacitorArray, nominal: NominalLine, sums: IndependentSums, bias_high: Array, centre: Array
) -> Array:
    """Mean square of (line's transfer less the ideal one), by its value and slopes at the mean.

    Of the slopes one is by the column's own cells, the other by those of the columns that share its rail. A line that
    is shifted by `centre` counts loses of its shift too.
    """
    middle, gain = sums.rows / 2 + bias_high, nominal.gain

    def read(own: Array, others: Array) -> Array:
        """Counts above the middle that are read."""
        behind = jnp.ones(macro.lines, gain.dtype)
        if macro.has_rail:
            behind = rail_gain_among(macro, nominal, own, others, middle)
        first = 2 * gain * own * behind[0]
        if macro.second_line == "differential":
            return (first - 2 * gain * (2 * middle - own) * behind[1]) / 2
        at_middle = behind[-1]
        if macro.second_line == "none" and macro.has_rail:
            at_middle = nominal.rail_gain(middle)
        return first - 2 * middle - macro.tracking * (2 * gain * middle * at_middle - 2 * middle)

    mean = sums.rows * sums.activity + bias_high + centre / 2
    one, none = jnp.ones_like(mean), jnp.zeros_like(mean)
    value, slope = jax.jvp(read, (mean, mean), (one, none))
    constant = value - 2 * (mean - middle)
    then = macro.at_trim
    if macro.comparator is not None and (macro.comparator.trim is None or then is not None):
        left = macro.common_shift(nominal)
        left = left if then is None else left - then.common_shift(then.nominal)
        constant = constant + (1.0 - macro.tracking) * left * macro.counts_per_volt
    error = constant**2 + (slope / 2 - 1) ** 2 * sums.variance
    if not macro.has_rail or macro.has_own_rails:
        return error
    assert macro.drivers is not None
    columns = macro.drivers.rail_lines // macro.lines - 1
    _, slope = jax.jvp(read, (mean, mean), (none, one))
    return error + (slope / 2) ** 2 * sums.variance / max(columns, 1)
