"""An evaluation of the lines of an array: its times, the nominal line in it, and what all lines have in common."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.line_capacitances import LineCapacitances
from amsim.circuits.charge.nominal_line import LineParts, NominalLine, nominal_line
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.fields import Quantity
from amsim.circuits.technology.between_nodes import delay_ratio
from amsim.noise.finite_slopes import ratio


class LineEvaluation(LineCapacitances):
    """Lines that settle and hold before they are read; the fields are those of `CapacitorArray`."""

    temperature: eqx.AbstractVar[Quantity]
    drivers: eqx.AbstractVar[Drivers | None]
    supply_noise: eqx.AbstractVar[Quantity | None]
    reference_tracking: eqx.AbstractVar[Quantity]

    @property
    def working_drivers(self) -> Drivers | None:
        """The drivers with their resistance at the array's supply and node."""
        return None if self.drivers is None else self.drivers.at_supply(self.supply, self.process)

    @property
    def readout_slowing(self) -> Float[Array, ""]:
        """Time of the readout's logic over that at 28 nm and the supply where its comparator is stated, 1."""
        stated = None if self.comparator is None else self.comparator.supply
        return delay_ratio(self.process, self.supply, self.supply if stated is None else stated)

    @property
    def reset_time(self) -> Float[Array, ""]:
        """Time for which a line is reset, s: half of an evaluation."""
        return ratio(self.evaluation_cycles, self.clock) / 2

    @property
    def evaluation_time(self) -> Float[Array, ""]:
        """Time from the step of the bottom plates to the decision or the hold, s: the other half."""
        return self.reset_time

    @property
    def has_common_effects(self) -> bool:
        """Whether nominal lines differ from ideal ones."""
        kickback = None if self.comparator is None else self.comparator.kickback
        parts = (self.drivers, self.reset, self.leakage, kickback, self.serial_accumulation)
        return any(part is not None for part in parts)

    @property
    def settling_time(self) -> Float[Array, ""]:
        """Time for which drivers settle, s: from the step of the bottom plates to the decision, hold included."""
        return self.evaluation_time if self.leakage is None else self.evaluation_time + self.leakage.hold_time

    @property
    def nominal(self) -> NominalLine:
        """A line of nominal capacitors: what it settles to, and what it keeps. Each call computes it anew."""
        return nominal_line(
            LineParts(
                unit=self.unit_capacitance,
                parasitic=self.parasitic_capacitance,
                total_units=self.total_units,
                middle_units=self.middle_units,
                sampling=self.sampling_capacitance,
                supply=self.supply,
                temperature=self.temperature,
                evaluation_time=self.evaluation_time,
                settling_time=self.settling_time,
                drivers=self.working_drivers,
                reset=self.reset,
                leakage=self.leakage,
            )
        )

    @checked_arguments
    def read_gain(self, nominal: NominalLine) -> Float[Array, ""]:
        """Fraction of a step that is read: of combined columns with what their sharing leaves of the swing."""
        group = self.group
        return nominal.gain if group is None else nominal.gain * ratio(jnp.sum(group.shares), group.full_share)

    @property
    def has_rail(self) -> bool:
        """Whether the capacitors that rise share a rail of some resistance."""
        return self.drivers is not None and self.drivers.supply_resistance is not None

    @property
    def linear_lines(self) -> bool:
        """Whether what is read of a line before the converter is linear in its digits, at every read."""
        return not self.has_rail and self.supply_noise is None

    @property
    def has_own_rails(self) -> bool:
        """Whether no line shares its rail with another."""
        return self.drivers is None or self.drivers.rail_lines == 1

    @property
    def tracking(self) -> Float[Array, ""]:
        """Degree to which what a line is read against follows what all lines have in common."""
        return self.reference_tracking if self.second_line == "none" else jnp.ones_like(self.reference_tracking)

    @checked_arguments
    def common_shift(self, nominal: NominalLine) -> Float[Array, ""]:
        """Shift that nominal lines have in common at the decision, V: kickback, switch charge, leakage, slow drivers.

        As after many evaluations: the line's own values leave nothing behind, since the bottom plates take them back in
        reset; what leaks away is missing in the next evaluation as far as reset is incomplete.
        """
        total = nominal.total
        added, share = nominal.switch_step(total) - nominal.leaked_drop(total), self.common_share(total)
        return self.kickback_step(total) + share * nominal.drive_shift + share * (added + nominal.droop_shift)
