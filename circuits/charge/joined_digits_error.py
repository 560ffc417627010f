"""Error of input digits that share a conversion: levels of the rows' DACs, and an accumulation capacitor."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.fault_error import stuck_moments
from amsim.circuits.charge.independent_sums import IndependentSums, sum_variance
from amsim.circuits.charge.layout_error import LayoutMoments, layout_moments, layout_variance
from amsim.circuits.charge.nominal_line import NominalLine
from amsim.circuits.charge.offset_error import offset_variance
from amsim.circuits.charge.row_dac import RowDac


def row_dac_variance(dac: RowDac, sums: IndependentSums) -> Array:
    """Variance of a sum by the mismatch of the DACs of its rows, counts^2, before the gain of the line."""
    spread = sum_variance(1, sums.activity) * sums.evaluation_spread
    return sums.rows * dac.level_variance(sums.product_mean**2 + spread)


def accumulation_variances(
    macro: CapacitorArray, nominal: NominalLine, sums: IndependentSums, squares: Array, sigma: Array
) -> dict[str, Array]:
    """Static errors of lines that are added up on a capacitor, on single lines that settle and hold."""
    serial = macro.serial_accumulation
    assert serial is not None
    total, capacitors = nominal.total_units, macro.line_rows + jnp.sum(macro.bias_dac.section_units())
    one, whole = jnp.ones_like(total), macro.cell_steps / (2**macro.digit_bits - 1)
    places, slopes = jax.jvp(macro.accumulation_places, (one,), (one,))
    weights, slopes = places / whole, slopes / whole
    exact = 2.0 ** (macro.digit_bits * jnp.arange(macro.joined_evaluations, dtype=one.dtype)) / whole
    mean, own = sums.rows * sums.activity, sum_variance(sums.rows, sums.activity) / 4 * sums.evaluation_spread

    def product_of(first: Array, second: Array) -> Array:
        """Mean product of two weighted sums of the levels of joined evaluations."""
        return mean**2 * jnp.sum(first) * jnp.sum(second) + own * jnp.sum(first * second)

    both = weights + slopes
    shared = squares - 2 * product_of(weights, both) / total + capacitors * product_of(both, both) / total**2
    of_capacitor = serial.relative_sigma(macro.accumulation_capacitance) ** 2
    variances = {
        "capacitor mismatch": 4 * sigma**2 * shared,
        "comparator offset": offset_variance(macro, nominal),
        "accumulation mismatch": 4 * of_capacitor * product_of(slopes, slopes),
        "accumulation ratio": 4 * own * jnp.sum((weights - exact) ** 2),
    }
    if macro.layout is not None:
        # Evaluations are lines that share all errors, since they are on the same cells.
        cells, *pairs = layout_moments(macro.layout, (macro.rows, macro.columns), macro.line_rows, sums.rows)
        size = weights.size
        moments = LayoutMoments(
            jnp.broadcast_to(cells, (size,)), *(jnp.broadcast_to(each, (size, size)) for each in pairs)
        )
        spread = sums.activity * (1 - sums.activity) * sums.evaluation_spread
        by_size = -jnp.diag(both / total)
        variances["layout"] = layout_variance(moments, weights, by_size, (sums.activity, mean), (spread, sums.rows))
    if macro.faults is not None:
        constant, around = stuck_moments(macro, sums)
        variances["faults"] = around + constant**2
    if macro.row_dac is not None:
        variances["row DAC mismatch"] = macro.weight_square * row_dac_variance(macro.row_dac, sums)
    return variances
