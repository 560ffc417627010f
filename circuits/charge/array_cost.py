"""Cost of a switched-capacitor array: its area, its leakage, and energy and time of a site."""

import dataclasses

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.stationary import stationary_cost
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.technology.between_nodes import area_ratio, energy_ratio
from amsim.noise.finite_slopes import ratio
from amsim.noise.switching import REFERENCE_TEMPERATURE


class ArrayCost(CapacitorArray):
    """An array that costs area, energy and time; the fields are those of `CapacitorArray`."""

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """The array's supply, V."""
        return self.supply

    @property
    def area(self) -> Float[Array, ""]:
        """Cells, converters, what combines columns, switches of banks, DACs of rows, accumulation capacitors, m^2."""
        readout = 0.0 if self.comparator is None else self.comparator.area_in(self.process)
        if self.adc is not None:
            readout = readout + self.adc.area_in(self.process)
        readout = readout / self.readout_columns
        if self.joined is not None:
            group = self.joined.area(self.total_capacitance, self.process)
            readout = readout + self.lines * group / self.combined_columns
        if self.banks is not None:
            readout = readout + self.lines * self.banks.number * self.banks.switch_area * area_ratio(self.process)
        rows = 0.0 if self.row_dac is None else self.rows * self.row_dac.area_in(self.process)
        if self.serial_accumulation is not None:
            whole = self.for_rows(self.rows).accumulation_capacitance
            readout = readout + ratio(whole, self.serial_accumulation.capacitor_density)
        return self.columns * (self.rows * (self.cell_area * area_ratio(self.process)) + readout) + rows

    @checked_arguments
    def leakage_power(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Leakage of the cells' logic, W: the current as given with the law of `Process.leakage_ratio`.

        Args:
            temperature: K, shape ().
        """
        current = self.cell_leakage * self.process.leakage_ratio(self.supply, temperature)
        return self.rows * self.columns * self.supply * current

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Capacitors by the activity of the site, cell logic by events, one readout per line or group of combined ones.

        For unknown data half of the cells go high. Conversions that share a converter follow one another.
        """
        array, fused = self.for_product(work.product), "clipped_thresholds" in activity
        assert self.comparator is not None
        readout = self.comparator.energy(self.supply, self.process)
        converting: Array | float = 0.0
        if fused or self.adc is None:
            converting = (self.turns - 1) * array.turn_time if self.turns > 1 else converting
        else:
            readout = self.adc.energy(self.supply, readout, self.process)
            # The line holds while the converter works; a conversion longer than settling adds waiting time.
            converting = jnp.maximum(self.turns * array.turn_time - self.evaluation_time, 0.0)
        if self.joined is not None:
            converting = converting + self.joined.time
            readout = readout + self.lines * self.joined.energy(self.supply, self.process)
        holding = 0.0 if self.leakage is None else self.leakage.hold_time
        driven = work.product.rows / work.product.tiles(array.line_rows)
        high = activity.get("high_cells", jnp.full_like(self.supply, driven / 2))
        unknown = jnp.mean(array.switched_units(high, driven, array.made_centre))
        if array.digits_together > 1:
            unknown = array.switched_unknown(driven)
        switched, joined = activity.get("switched_units", unknown), array.joined_evaluations
        bottoms, node = high + array.high_beside(high, driven), energy_ratio(self.process, self.supply)
        bottoms = joined * self.bottom_parasitic * node * bottoms
        capacitors = (self.unit_capacitance * switched + bottoms) * self.supply**2
        if self.reset is not None:
            capacitors = capacitors + self.lines * self.reset.clock_energy()
        logic = joined * self.cell_capacitance * node * self.supply**2 * driven
        cost = stationary_cost(
            array,
            work,
            evaluation_energy=capacitors + logic + readout / self.combined_columns + array.sharing_energy,
            evaluation_cycles=array.conversion_cycles,
            load_width=self.load_width,
            clock=self.clock,
            unclocked_time=holding + converting,
        )
        if self.row_dac is not None:
            cost = dataclasses.replace(cost, energy=cost.energy + array.row_energy(work))
        if self.banks is None:
            return cost
        switches = self.lines * self.columns * self.banks.number
        gates = switches * self.banks.gate_capacitance * node * self.supply**2
        return dataclasses.replace(cost, energy=cost.energy + gates)
