"""Drivers of the bottom plates: the resistance that a line settles through, its noise, and the shared supply rail."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.charge.charge_line import matched_time_constant
from amsim.circuits.charge.two_poles import settled_behind_rail
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.technology.between_nodes import delay_ratio, energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import quotient, ratio
from amsim.noise.switching import settled_fraction


class Drivers(eqx.Module):
    r"""Resistance in series with every capacitor of a line, and of the rail that they share.

    A driver of a unit capacitor has `R_i = resistance (1 + spread z_i)`; a capacitor of n units is driven through
    `R_i / n`. The line then is an exact linear network (`amsim.circuits.charge.rc_line`). Charges that drivers have
    not taken back at the end of a reset act on the next evaluation (`NominalLine.drive_left`). Where
    `supply_resistance` is given, all that goes high shares one rail: a data-dependent pole
    `R_supply C_H (C_tot - C_H) / C_tot`. Several lines on one rail, each with its own data, all make the same fraction
    of their steps: that of one line with the sum of their C_H, and the mean of their `C_H / C_tot` weighted by C_H.

    The resistance is that at the stated supply V_0 in 28 nm. At a supply V, in another process, it is
    `R r_t / r_E` with the `delay_ratio` r_t and the `energy_ratio` r_E of the node: a gate's delay is its resistance
    times its capacitance, and its energy at one supply that capacitance. Not moved: spread and rail.

    Attributes:
        resistance: Resistance of a driver with its switch, Ohm. Default 10 kOhm (facts 8: 5-20 kOhm at
            0.6 V, recalled).
        spread: Relative standard deviation of one driver's resistance, at most 0.3. Default 0.05 (assumed).
        supply_resistance: Resistance of the rail, Ohm. None is an ideal rail.
        rail_lines: Lines that share a rail, evaluated at once (static): neighbouring columns with all their lines.
            Default 1: each line has a rail of its own.
        noise_fraction: Fraction of the drivers' noise power within the readout's bandwidth, 0 to 1. Default 1.
        supply: V_0, V. None (default): the supply of the array that they are built into, from which they then move with
            it.

    Raises:
        ValueError: A resistance or supply that is not above 0, a spread or fraction out of its range, or no line on a
            rail.

    Validity: drivers without rail, charge or leak are exact, each with its own resistance and capacitor. Together with
    those they count as alike (`amsim.circuits.charge.two_poles`), and a rail acts after a charge or a leak. Off ngspice
    by at most, on a line of 12 units at 0.6 V whose drivers of 300 kOhm to 1 MOhm settle to 60-95 % in 0.25 ns, with
    2 % mismatch: drivers and rail 0.15 mV, with a spread of 20 % 1.2 mV; drivers and leak, which has 1 ns and takes up
    to a third of the value, 0.1 mV, with the spread and up to 4 % 0.7 mV; drivers and a charge that moves the line by
    5 mV 0.02 mV, with the spread 0.5 mV; rail and charge 0.8 mV; rail and leak 0.7 mV. Four lines of different data on
    one rail 0.15 mV, with the spread 1.2 mV (21 mV as if each had the data of all). What eight evaluations before leave
    on a line of up to 0.24 V, 55 mV at most, 0.05 mV; with a spread of 5 % 1.2 mV, with 20 % 6 mV, since charge moves
    between unequal drivers; with a reset switch of 1 kOhm beside drivers of 1 MOhm 1.5 mV. Settled drivers leave none.
    Source: facts 8; the network itself follows from Kirchhoff's laws.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "drivers",
            "static",
            "Settling through the drivers' resistances, their spread and their noise.",
            sizes=("spread",),
            left_out=True,
            effects=("driver noise", "last value", "settling"),
        ),
    )

    resistance: Quantity = quantity("resistance", unit="Ohm", symbol="R", positive=True, default=10e3)
    spread: Quantity = quantity("spread", unit="1", at_most=0.3, default=0.05)
    supply_resistance: Quantity | None = quantity(
        "supply_resistance", unit="Ohm", symbol="R_supply", positive=True, optional=True
    )
    noise_fraction: Quantity = quantity("noise_fraction", unit="1", at_most=1.0, default=1.0)
    supply: Quantity | None = quantity("supply", unit="V", symbol="V_0", positive=True, optional=True)
    rail_lines: int = count(default=1)

    def __check_init__(self) -> None:
        """Check the number of lines."""
        integer_between("rail_lines", self.rail_lines, 1)

    @checked_arguments
    def at_supply(self, supply: Real[ArrayLike, ""], process: Process | None = None) -> "Drivers":
        """The same drivers with the resistance of a supply (V) and node, None being 28 nm.

        Raises:
            ValueError: A supply outside the windows of the process; in 28 nm only where it is not the stated one.
        """
        stated = supply if self.supply is None else self.supply
        moved = delay_ratio(process, supply, stated) / energy_ratio(process, supply)
        return eqx.tree_at(lambda one: one.resistance, self, self.resistance * moved)

    @checked_arguments
    def nominal_gain(
        self, time: Float[Array, ""], unit: Float[Array, ""], parasitic: Float[Array, ""], total: Float[Array, ""]
    ) -> Float[Array, ""]:
        """Settled fraction after `time` (s) of a line without spread; capacitances in F."""
        return settled_fraction(time, matched_time_constant(self.resistance * unit, parasitic, total))

    @checked_arguments
    def rail_gain(
        self,
        high: Float[Array, "..."],
        time: Float[Array, ""],
        unit: Float[Array, "..."],
        grounded: Float[Array, ""],
        total: Float[Array, ""],
    ) -> Float[Array, "..."]:
        """What the shared rail leaves of a line's value after `time` (s), 1.

        Args:
            high: Units that go to the supply, the same on each line of a rail.
            time: Since their step, s.
            unit: Capacitance of a unit on each line, F.
            grounded: C_par, units.
            total: C_tot, units.
        """
        inside = jnp.clip(high, 0.0, total - grounded)
        return self._behind_rail(self.rail_lines * inside, ratio(inside, total), time, unit, ratio(grounded, total))

    @checked_arguments
    def common_rail_gain(
        self,
        load: Float[Array, "..."],
        weighted: Float[Array, "..."],
        time: Float[Array, ""],
        unit: Float[Array, ""],
        grounded: Float[Array, ""],
        total: Float[Array, ""],
    ) -> Float[Array, "..."]:
        """What a rail leaves of the values of all lines on it after `time` (s), 1.

        Args:
            load: Sum over the lines of the units that go to the supply.
            weighted: Sum of their squares over `total`.
            time: Since their step, s.
            unit: Capacitance of a unit, F.
            grounded: C_par of each line, units.
            total: C_tot of each line, units.
        """
        return self._behind_rail(load, quotient(weighted, load), time, unit, ratio(grounded, total))

    def _behind_rail(
        self,
        load: Float[Array, "..."],
        high: Float[Array, "..."],
        time: Float[Array, ""],
        unit: Float[Array, "..."],
        grounded: Float[Array, ""],
    ) -> Float[Array, "..."]:
        if self.supply_resistance is None:
            raise ValueError("Argument `supply_resistance` must be given for drivers on a shared rail, but is None.")
        branch, rail = self.resistance * unit, self.supply_resistance * unit * load
        behind = settled_behind_rail(time, branch, rail, high, grounded)
        return ratio(behind, settled_fraction(time, branch * grounded))
