"""Leakage of a line while it holds its value: droop through the open switch and a constant current."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.two_poles import AlikeDrivers
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, quantity
from amsim.noise.finite_slopes import ratio
from amsim.noise.switching import LEAKAGE_TEMPERATURE, exponential_approach, leakage_drop, leakage_growth


class Leakage(eqx.Module):
    """Two ways in which a held line loses its charge, both growing with temperature as `exp((T - 300 K) / T_e)`.

    The open reset switch leaks to the reset level while a constant current flows out of the line:
    `V(t) - V_reset = (V(0) - V_reset + I R_off) exp(-t / (R_off C_tot)) - I R_off`. Behind drivers the line settles on
    while it leaks, and current comes from what no driver moves first (`amsim.circuits.charge.two_poles`).

    Attributes:
        hold_time: Time from the settled line to the decision, s; an evaluation is that much longer. Default 100 ns
            (facts 8: decide within about that).
        off_resistance: Resistance of the open switch at 300 K, Ohm. Default 30 GOhm: 0.3 V and 10 pA
            (facts 8, 1-100 pA).
        current: Constant current out of the line at 300 K, A. Default 10 pA (facts 8).
        spread: Relative standard deviation of the current between lines, common to all cells of one. Default 0.3
            (assumed).
        temperature_scale: T_e, K. Default 14 K (facts 8).

    Raises:
        ValueError: A resistance or scale that is not above 0, or a negative value.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "leakage",
            "static",
            "Droop of the held line and its spread between lines.",
            sizes=("spread",),
            left_out=True,
            effects=("comparator offset", "settling"),
        ),
    )

    hold_time: Quantity = quantity("hold_time", unit="s", symbol="t_hold", default=100e-9)
    off_resistance: Quantity = quantity("off_resistance", unit="Ohm", symbol="R_off", positive=True, default=3e10)
    current: Quantity = quantity("current", unit="A", symbol="I", default=10e-12)
    spread: Quantity = quantity("spread", unit="1", default=0.3)
    temperature_scale: Quantity = quantity(
        "temperature_scale", unit="K", symbol="T_e", positive=True, default=LEAKAGE_TEMPERATURE
    )

    @checked_arguments
    def kept_fraction(
        self, total: Float[Array, "..."], temperature: Float[Array, ""], drivers: AlikeDrivers | None = None
    ) -> Float[Array, "..."]:
        """Fraction of a value above reset that a line of this total capacitance (F) keeps until the decision.

        Behind drivers it is that of the value which the line would settle to.
        """
        droop = self._time_constant(total, temperature)
        if drivers is not None:
            return drivers.kept(drivers.settled(), self.hold_time, droop)
        return exponential_approach(1.0, 0.0, self.hold_time, droop)

    @checked_arguments
    def kept_charge(
        self, total: Float[Array, "..."], temperature: Float[Array, ""], drivers: AlikeDrivers | None = None
    ) -> Float[Array, "..."]:
        """Step at the decision by a charge injected before the evaluation, relative to that on a settled line."""
        if drivers is not None:
            return drivers.kept(drivers.injected, self.hold_time, self._time_constant(total, temperature))
        return self.kept_fraction(total, temperature)

    @checked_arguments
    def drop(
        self, total: Float[Array, "..."], temperature: Float[Array, ""], drivers: AlikeDrivers | None = None
    ) -> Float[Array, "..."]:
        """Voltage that a line of this total capacitance (F) lacks at the decision for the constant current, V."""
        current = self.current * leakage_growth(temperature, self.temperature_scale)
        droop = self._time_constant(total, temperature)
        if drivers is not None:
            return leakage_drop(current, self.hold_time, total) * drivers.dropped(self.hold_time, droop)
        return leakage_drop(current, self.hold_time, total, droop)

    def _time_constant(self, total: Float[Array, "..."], temperature: Float[Array, ""]) -> Float[Array, "..."]:
        return ratio(self.off_resistance, leakage_growth(temperature, self.temperature_scale)) * total

    @checked_arguments
    def kept_at(self, temperature: Float[Array, ""], measured: Float[Array, ""]) -> "Leakage":
        """Leakage that is at `temperature` (K) what this one is at `measured` (K)."""
        scale = self.temperature_scale
        # One exponential of the difference: at 0 K that of each would leave little of float32's range.
        growth = jnp.exp(ratio(measured - temperature, scale))
        changed = ratio(self.off_resistance, growth), self.current * growth
        return eqx.tree_at(lambda one: (one.off_resistance, one.current), self, changed)
