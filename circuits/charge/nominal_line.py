"""A line of nominal capacitors: how far it settles and holds, and what earlier evaluations leave on it."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.leakage import Leakage
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.circuits.charge.two_poles import AlikeDrivers
from amsim.circuits.checked_arguments import checked_arguments
from amsim.noise.finite_slopes import quotient, ratio
from amsim.noise.switching import settled_fraction


class LineParts(eqx.Module):
    """What acts on a line, and when.

    Attributes:
        unit: Unit capacitance, F.
        parasitic: Everything that no driver moves, F.
        total_units: Total capacitance, in unit capacitors.
        middle_units: What is high with all cells and bits of the bias DAC half way, in unit capacitors.
        sampling: Capacitance on which a converter samples the line, F; None where it is read as it is.
        supply: V.
        temperature: K.
        evaluation_time: From the step of the bottom plates to the decision or the hold, s; a reset takes as long.
        settling_time: From that step to the decision, hold included, s: drivers settle on.
        drivers: At this supply and in the array's node; None settle at once.
        reset: None is ideal.
        leakage: None holds forever.
    """

    unit: Float[Array, ""]
    parasitic: Float[Array, ""]
    total_units: Float[Array, ""]
    middle_units: Float[Array, ""]
    sampling: Float[Array, ""] | None
    supply: Float[Array, ""]
    temperature: Float[Array, ""]
    evaluation_time: Float[Array, ""]
    settling_time: Float[Array, ""]
    drivers: Drivers | None
    reset: ResetSwitch | None
    leakage: Leakage | None

    @property
    def total(self) -> Float[Array, ""]:
        """Total capacitance, F."""
        return self.total_units * self.unit

    @checked_arguments
    def alike_drivers(self, total: Float[Array, "..."]) -> AlikeDrivers | None:
        """Drivers without spread of lines of this total capacitance, F; None where they are ideal."""
        if self.drivers is None:
            return None
        branch = self.drivers.resistance * self.unit
        return AlikeDrivers(branch, ratio(self.parasitic, total), self.evaluation_time)

    @checked_arguments
    def settled_gain(self, total: Float[Array, ""]) -> Float[Array, ""]:
        """Fraction of a step that a line of this total capacitance (F) shows at the decision, after settling and droop.

        Drivers count as alike.
        """
        if self.leakage is not None:
            return self.leakage.kept_fraction(total, self.temperature, self.alike_drivers(total))
        if self.drivers is None:
            return jnp.ones_like(self.supply)
        return self.drivers.nominal_gain(self.evaluation_time, self.unit, self.parasitic, total)

    @checked_arguments
    def rail_gain(self, high: Float[Array, "..."], size: Float[Array, "..."] | float = 1.0) -> Float[Array, "..."]:
        """What the rail leaves of the value of lines when each on it has `high` units high, 1.

        Args:
            high: Units that go to the supply, any shape.
            size: Total capacitance of the lines relative to the nominal one, that broadcasts.
        """
        assert self.drivers is not None
        grounded = ratio(self.parasitic, self.unit)
        return self.drivers.rail_gain(high, self.settling_time, self.unit * size, grounded, self.total_units)

    @checked_arguments
    def switch_step(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """Step at the decision by the reset switch's charges on lines of this total capacitance (F), V.

        The closing switch takes back what the opening one leaves, so that an incomplete reset adds nothing to it.
        """
        if self.reset is None:
            return jnp.zeros_like(total)
        step, drivers = self.reset.step(total), self.alike_drivers(total)
        if self.leakage is not None:
            return step * self.leakage.kept_charge(total, self.temperature, drivers)
        return step if drivers is None else step * drivers.injected


class NominalLine(LineParts):
    """A line of nominal capacitors, with what follows from its parts computed once for all that asks for it.

    Attributes:
        gain: Fraction of a step that it shows at the decision, after settling and droop, 1.
        reset_left: Fraction of an error of its charge that remains at the end of reset, 1.
        not_returned: Fraction of a bottom plate's charge that its driver has not taken back at the end of reset, 1.
    """

    gain: Float[Array, ""]
    reset_left: Float[Array, ""]
    not_returned: Float[Array, ""]

    @property
    def drive_left(self) -> Float[Array, ""]:
        """Fraction of the last line value that slow drivers leave behind: `gain C_par / C_tot exp(-t_reset / RC)`.

        The charges that lifted the line sum to `C_par V`; in reset the switch holds the line, and they return through
        the drivers with their own `RC`. Exact for drivers that are alike and a switch that holds the line;
        what samples the line counts in both capacitances.
        """
        held, total = self.parasitic, self.total
        if self.sampling is not None:
            held, total = held + self.sampling, total + self.sampling
        return self.gain * ratio(held, total) * self.not_returned

    @property
    def drive_kept(self) -> Float[Array, ""]:
        """Part of what slow drivers have left that is there an evaluation later: `exp(-t_reset / RC) - drive_left`.

        The charge q that stays on the bottom plates lifts the next line by `gain q / C_tot` and so takes
        `gain C_par / C_tot` of itself away; the rest returns as before. A sum m evaluations back acts with
        `drive_left drive_kept^(m - 1)`: a geometric series.
        """
        return self.not_returned - self.drive_left

    @property
    def drive_shift(self) -> Float[Array, ""]:
        """Shift of the line by slow drivers after values half way up, V: that of all sums before."""
        left = quotient(self.drive_left, 1.0 - self.drive_kept)
        return -left * self.gain * self.supply * ratio(self.middle_units, self.total_units)

    @checked_arguments
    def leaked_drop(self, total: Float[Array, "..."]) -> Float[Array, "..."]:
        """Drop at the decision by the constant current of this and, as far as reset leaves it, of all holds before, V.

        `drop / (1 - left kept)`: of each drop the reset leaves `left` and the hold after it `kept`.
        """
        if self.leakage is None:
            return jnp.zeros_like(total)
        drop = self.leakage.drop(total, self.temperature, self.alike_drivers(total))
        return ratio(drop, 1.0 - self.reset_left * self.leakage.kept_fraction(total, self.temperature))

    @property
    def droop_shift(self) -> Float[Array, ""]:
        """Shift by the charge that the open switch took in the holds before from values half way up, V."""
        if self.leakage is None:
            return jnp.zeros_like(self.supply)
        kept = self.leakage.kept_fraction(self.total, self.temperature)
        left = self.reset_left * kept
        middle = self.supply * ratio(self.middle_units, self.total_units) + self.switch_step(self.total)
        return -ratio(left * (1.0 - kept), 1.0 - left) * middle


def nominal_line(parts: LineParts) -> NominalLine:
    """The nominal line of these parts."""
    none, total, reset_time = jnp.zeros_like(parts.supply), parts.total, parts.evaluation_time
    reset_left = not_returned = none
    if parts.reset is not None:
        reset_left = 1.0 - settled_fraction(reset_time, parts.reset.resistance * total)
    if parts.drivers is not None:
        not_returned = 1.0 - settled_fraction(reset_time, parts.drivers.resistance * parts.unit)
    given = {name: getattr(parts, name) for name in LineParts.__dataclass_fields__}
    return NominalLine(**given, gain=parts.settled_gain(total), reset_left=reset_left, not_returned=not_returned)
