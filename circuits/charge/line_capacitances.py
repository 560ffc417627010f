"""Capacitances of the lines of an array: totals, what holds a read, what the supply charges, and the step of a cell."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.charge_line import switched_capacitance
from amsim.circuits.charge.joined_digits import JoinedDigits
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.bit_slicing import swing_of
from amsim.circuits.fields import Quantity
from amsim.noise.finite_slopes import ratio


class LineCapacitances(JoinedDigits):
    """Capacitors on the lines of an array; the fields are those of `CapacitorArray`."""

    unit_capacitance: eqx.AbstractVar[Quantity]
    cell_parasitic: eqx.AbstractVar[Quantity]
    line_parasitic: eqx.AbstractVar[Quantity]
    bias_dac: eqx.AbstractVar[BiasDac]
    reset: eqx.AbstractVar[ResetSwitch | None]

    @property
    def parasitic_capacitance(self) -> Float[Array, ""]:
        """Everything on a line that no driver moves, F: parasitics, overlaps of the reset switch and of open banks."""
        overlap = 0.0 if self.reset is None else self.reset.feedthrough_capacitance
        if self.banks is not None:
            overlap = overlap + self.banks.off_total
        if self.joined is not None:
            overlap = overlap + self.joined.line_load
        return self.line_rows * self.cell_parasitic + self.line_parasitic + overlap

    @property
    def total_units(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, in unit capacitors."""
        parasitic = ratio(self.parasitic_capacitance, self.unit_capacitance)
        return self.line_rows + jnp.sum(self.bias_dac.section_units()) + parasitic

    @property
    def total_capacitance(self) -> Float[Array, ""]:
        """Nominal total capacitance of a line, F."""
        return self.total_units * self.unit_capacitance

    @checked_arguments
    def bias_units_high(self, shift: Float[Array, "..."]) -> Float[Array, "..."]:
        """Unit capacitors of a line's bias DAC that go high for a shift, counts; the half LSB is among them where even.

        Bits of sum B that shift by an odd j have `(B + j) / 2` high; an even j has those of `j - 1` and the half LSB.
        """
        return (jnp.sum(self.bias_dac.section_units()[:-1]) + shift) / 2

    @property
    def made_centre(self) -> Float[Array, "..."] | None:
        """Shift of lines as their bias DACs make it for `readout_centre`, counts; None without one."""
        if self.readout_centre is None:
            return None
        return self.bias_dac.code(self.readout_centre) * self.bias_dac.lsb

    @property
    def sampling_capacitance(self) -> Float[Array, ""] | None:
        """Capacitance on which the converter samples a line, F; None where it is read as it is."""
        return None if self.adc is None else self.adc.input_capacitance

    @property
    def read_units(self) -> Float[Array, ""]:
        """Capacitance that holds the charge of a line when it is read, in unit capacitors."""
        sampled = self.sampling_capacitance
        return self.total_units if sampled is None else self.total_units + ratio(sampled, self.unit_capacitance)

    @checked_arguments
    def sampled_fraction(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """What the converter's sampling leaves of the voltage of lines of this total capacitance (F), 1."""
        sampled = self.sampling_capacitance
        return jnp.ones_like(total) if sampled is None else ratio(total, total + sampled)

    @checked_arguments
    def kickback_step(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """Kickback on what the comparator reads, V.

        That is lines of this total capacitance (F), what holds their sample, or the node that combines them.
        """
        assert self.comparator is not None
        held = self.sampling_capacitance if self.group is None else self.group.held
        return self.comparator.kickback_step(total if held is None else jnp.full_like(total, held))

    @checked_arguments
    def common_share(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """What is read of a step that all lines of this total capacitance (F) make, V/V."""
        return self.sampled_fraction(total) if self.group is None else jnp.sum(self.group.shares)

    @property
    def middle_units(self) -> Float[Array, ""]:
        """Capacitance that is high with all cells and bits of the bias DAC half way, in unit capacitors."""
        return (self.line_rows + jnp.sum(self.bias_dac.section_units()[:-1])) / 2

    @checked_arguments
    def switched_units(
        self, high: Float[Array, "..."], driven: Float[Array, "..."] | float, shift: Float[Array, "..."] | None = None
    ) -> Float[Array, "..."]:
        """Capacitance that the supply charges on all lines of a column in an evaluation, in unit capacitors.

        Args:
            high: Cells of the first line that go high.
            driven: Cells of each line in use.
            shift: Of the first line by its bias DAC, counts: that of a pair's second line goes the other way, bits of
                a replica's stand half way as its cells do. None holds the DACs, with no capacitor high.
        """
        bias: Array | float = 0.0
        bias_beside: Array | float = 0.0
        if shift is not None:
            bias = self.bias_units_high(shift)
            beside = -shift if self.second_line == "differential" else jnp.zeros_like(shift)
            bias_beside = self.bias_units_high(beside)
        switched = switched_capacitance(high + bias, self.read_units)
        if self.second_line == "none":
            return switched
        return switched + switched_capacitance(self.high_beside(high, driven) + bias_beside, self.read_units)

    @property
    def cell_voltage(self) -> Float[Array, ""]:
        """Step of a line by one cell, V; of combined columns the step of their node by a least significant one."""
        step = self.supply / self.read_units
        return step if self.group is None else step * self.group.full_share / swing_of(self.combined_columns)

    @property
    def counts_per_volt(self) -> Float[Array, ""]:
        """Counts (half a cell; of combined columns, of the least significant one) per volt of what is read, 1/V."""
        counts = ratio(2.0 * self.read_units, self.swing * self.accumulated_swing * self.supply)
        return counts if self.group is None else ratio(counts * swing_of(self.combined_columns), self.group.full_share)
