"""Unit capacitors and a bias DAC sharing one floating line: charge balance after evaluation, and its energy.

`V = V_cm + supply * sum_i C_i h_i / C_tot` with `h_i` 1 for a bottom plate that goes high. Values here are counts: sums
of -1 and +1, so that one cell going high moves the line by two counts, `supply * C_u / C_tot` volts.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from amsim.circuits.converters import BiasDac


class CapacitorDie(eqx.Module):
    """Standard draws (mean 0, sigma 1) of the capacitors and comparators of one die.

    Attributes:
        units: Unit capacitors.
        bias: Capacitors of each column's bias DAC.
        comparator: Comparator offset of each column.
    """

    units: Float[Array, "rows columns"]
    bias: Float[Array, "columns sections"]
    comparator: Float[Array, " columns"]


class CapacitorLine(eqx.Module):
    """Static errors of the lines behind the slices of one site; nominal where a die is not given.

    Attributes:
        cells: Weight of each cell in counts, gain included.
        bias: Weight of each bias capacitor in counts, gain included.
        bias_constant: Shift by the bias DAC's constant part, counts.
        offset: Comparator offset after trim, counts.
    """

    cells: Float[Array, "line_rows slices"]
    bias: Float[Array, "slices sections"]
    bias_constant: Float[Array, " slices"]
    offset: Float[Array, " slices"]

    @staticmethod
    def of_die(
        die: CapacitorDie,
        slices: Int[Array, " slices"],
        *,
        unit_sigma: Float[Array, ""],
        bias_dac: BiasDac,
        parasitic_units: Float[Array, ""],
        offset: Float[Array, " columns"],
    ) -> "CapacitorLine":
        """Lines of a die for the physical columns `slices`.

        Args:
            die: Standard draws.
            slices: Physical column of each slice.
            unit_sigma: Relative mismatch of a unit capacitor; a capacitor of n units has `unit_sigma / sqrt(n)`.
            bias_dac: The bias DAC.
            parasitic_units: Parasitic of a line to ground, in unit capacitors.
            offset: Comparator offset after trim of each physical column, counts.
        """
        nominal_bias = bias_dac.section_units()
        unit_errors = unit_sigma * die.units
        bias_errors = unit_sigma * jnp.sqrt(nominal_bias)[None, :] * die.bias
        nominal = die.units.shape[0] + jnp.sum(nominal_bias) + parasitic_units
        # By the deviations, so that the gain of a die without mismatch is exactly 1.
        gain = nominal / (nominal + jnp.sum(unit_errors, axis=0) + jnp.sum(bias_errors, axis=1))
        bias = (nominal_bias[None, :] + bias_errors) * gain[:, None]
        bits_constant = jnp.sum(bias[:, :-1] - nominal_bias[None, :-1], axis=1)
        return CapacitorLine(
            ((1.0 + unit_errors) * gain[None, :])[:, slices], bias[slices], bits_constant[slices], offset[slices]
        )

    def offsets(self, driven: Float[Array, "... rows"], *, with_bias: bool) -> Float[Array, "... slices"]:
        """Offset of each line, counts, when the rows marked 1 in `driven` take part.

        A cell goes high or stays low, two states around a middle: the middle carries half of its mismatch as offset.
        """
        high = jnp.matmul(driven, self.cells[: driven.shape[-1]], precision=jax.lax.Precision.HIGHEST)
        offset = high - jnp.sum(driven, axis=-1, keepdims=True)
        own = self.offset + self.bias_constant if with_bias else self.offset
        return offset + own.reshape((1,) * (offset.ndim - 1) + own.shape)

    def bias_error(self, bias_dac: BiasDac, levels: Float[Array, "... neurons sections"]) -> Float[Array, "... slices"]:
        """Deviation of the bias DAC's shift from its nominal one, counts."""
        error = self.bias - bias_dac.section_units()[None, :]
        return jnp.sum(levels * error.reshape((1,) * (levels.ndim - 2) + error.shape), axis=-1)


def switched_units(high_units: Float[Array, "..."], total_units: Float[Array, "..."] | float) -> Float[Array, "..."]:
    """Capacitance, in units, that the supply charges at an evaluation: `C_H (C_tot - C_H) / C_tot`.

    Times `supply**2 * C_u` it is the energy drawn when `C_H` goes high from bottom plates reset to ground (spice
    recipe, energy case with `v_bot_reset` = 0).
    """
    return high_units * (1.0 - high_units / total_units)
