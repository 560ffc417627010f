"""One floating line with explicit capacitors: charge balance, settling, droop, reset and energy, exact.

`V = V_cm + sum_i C_i (L_i - V_reset) / C_tot` with `C_tot = sum C_i + C_par + C_feed`: units and bias DAC alike. The
array of a macro (`amsim.circuits.switched_capacitor`) is many such lines in units of one capacitor.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.charge.rc_line import extreme_time_constants, shared_rail_response, step_response
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import every
from amsim.circuits.fields import Quantity, physical, quantity
from amsim.noise.checks import real
from amsim.noise.finite_slopes import ratio
from amsim.noise.switching import coupled_step, exponential_approach, leakage_drop
from amsim.noise.thermal import driver_sigma, ktc_sigma


def switched_capacitance(high: Float[Array, "..."], total: Float[Array, "..."] | float) -> Float[Array, "..."]:
    """Capacitance that the supply charges in an evaluation: `C_H (C_tot - C_H) / C_tot`, in the unit of `high`.

    Times `supply**2` it is the energy drawn when `C_H` goes high from bottom plates reset to ground: the series of the
    capacitors that go high with all that stays.

    Args:
        high: C_H, the capacitors that go high, any shape and unit.
        total: C_tot, that broadcasts, same unit.

    Returns:
        Capacitance, broadcast shape, unit of `high`.
    """
    return high * (1.0 - ratio(high, total))


def matched_time_constant(
    branch: Real[ArrayLike, "..."], parasitic: Real[ArrayLike, "..."], total: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Time constant of a line whose branches all have the same `R_i C_i`: `R_i C_i * C_par / C_tot`, s.

    Much faster than a branch alone: the branches pull at the small parasitic in parallel.

    Args:
        branch: R_i C_i, any shape, s.
        parasitic: C_par, that broadcasts, F.
        total: C_tot, that broadcasts, F.

    Returns:
        Time constant, broadcast shape, s.
    """
    return jnp.asarray(branch) * ratio(parasitic, total)


def shared_supply_time_constant(
    resistance: Real[ArrayLike, "..."], high: Real[ArrayLike, "..."], total: Real[ArrayLike, "..."]
) -> Float[Array, "..."]:
    """Time constant of a line whose rising capacitors share a rail: `R_supply * C_H (C_tot - C_H) / C_tot`, s.

    Args:
        resistance: R_supply, any shape, Ohm.
        high: C_H, that broadcasts, F.
        total: C_tot, that broadcasts, F.

    Returns:
        Time constant, broadcast shape, s.
    """
    return jnp.asarray(resistance) * switched_capacitance(jnp.asarray(high), jnp.asarray(total))


def _capacitors(name: str) -> Callable[[Any], Array]:
    def convert(values: Any) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            # The check of shapes says that there is none.
            return jnp.asarray(() if isinstance(values, list | tuple) and not values else real(name, values), float)

    return convert


class ChargeLine(eqx.Module):
    """Capacitors on one line, the switch that resets it and the levels of both plates.

    In reset the line sits at `reset_level` and all bottom plates at `bottom_reset_level`; then the line floats and each
    bottom plate goes to `supply` (`high` 1) or to ground (`high` 0). Nothing clips: the line may pass either rail.

    Attributes:
        capacitances: Every capacitor on the line, units and bias DAC, shape (capacitors,), F.
        parasitic: Line to ground, F.
        supply: V.
        reset_level: V_cm of the line in reset, V.
        bottom_reset_level: Every bottom plate in reset, V.
        bottom_parasitics: Bottom plate to ground, one or each, shape () or (capacitors,), F; it costs charge and
            does not move the line.
        feedthrough_capacitance: From the reset switch's clock to the line, F.

    Raises:
        ValueError: A capacitance that is not above 0, or shapes that do not match.
    """

    capacitances: Float[Array, " capacitors"] = physical(unit="F", symbol="C_i", converter=_capacitors("capacitances"))
    parasitic: Quantity = quantity("parasitic", unit="F", symbol="C_par")
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True)
    reset_level: Quantity = quantity("reset_level", unit="V", symbol="V_cm", default=0.0)
    bottom_reset_level: Quantity = quantity("bottom_reset_level", unit="V", symbol="V_reset", default=0.0)
    bottom_parasitics: Float[Array, "..."] = physical(unit="F", converter=_capacitors("bottom_parasitics"), default=0.0)
    feedthrough_capacitance: Quantity = quantity("feedthrough_capacitance", unit="F", symbol="C_feed", default=0.0)

    def __check_init__(self) -> None:
        """Check the capacitors."""
        shape = (self.capacitances.size,)
        if self.capacitances.shape != shape or shape == (0,):
            raise ValueError(
                f"Argument `capacitances` must have shape (capacitors,), one at least, but has shape "
                f"{self.capacitances.shape}."
            )
        if self.bottom_parasitics.shape not in ((), shape):
            raise ValueError(
                f"Argument `bottom_parasitics` must be one number or have shape {shape} like `capacitances`, but has "
                f"shape {self.bottom_parasitics.shape}."
            )
        every("capacitances", self.capacitances, positive=True)
        every("bottom_parasitics", self.bottom_parasitics)

    @property
    def grounded_capacitance(self) -> Float[Array, ""]:
        """Capacitance that no driver moves, F: parasitic and feedthrough."""
        return self.parasitic + self.feedthrough_capacitance

    @property
    def total_capacitance(self) -> Float[Array, ""]:
        """C_tot, F."""
        return jnp.sum(self.capacitances) + self.grounded_capacitance

    @checked_arguments
    def settled_voltage(
        self, high: Float[Array, "... capacitors"], start: Quantity | None = None
    ) -> Float[Array, "..."]:
        """Line long after the bottom plates have moved, V.

        Args:
            high: 1 for a bottom plate that goes to the supply, 0 for ground; shape (..., capacitors).
            start: Line at the end of reset, V; None is `reset_level`.
        """
        shares = ratio(self.capacitances, self.total_capacitance)
        return (self.reset_level if start is None else start) + self._line_step(high, shares)

    @checked_arguments
    def feedthrough_step(self, edge: Quantity) -> Float[Array, ""]:
        """Step of the floating line at a clock edge of this height, V."""
        return coupled_step(self.feedthrough_capacitance, edge, self.total_capacitance)

    @checked_arguments
    def after_reset(self, initial: Quantity, time: Quantity, resistance: Quantity) -> Float[Array, ""]:
        """Line at the end of a reset that started at `initial`, V; its error adds to the next evaluation."""
        return exponential_approach(initial, self.reset_level, time, self.reset_time_constant(resistance))

    @checked_arguments
    def reset_time_constant(self, resistance: Quantity) -> Float[Array, ""]:
        """Time constant of reset, and of droop, through a switch of this resistance, s."""
        return resistance * self.total_capacitance

    @checked_arguments
    def settling_matched(
        self, high: Float[Array, "... capacitors"], time: Float[Array, "..."], branch_time_constant: Quantity
    ) -> Float[Array, "..."]:
        """Line at a time (s) after the bottom plates' step, V, all drivers having the same R_i C_i (s)."""
        tau = matched_time_constant(branch_time_constant, self.grounded_capacitance, self.total_capacitance)
        return exponential_approach(self.reset_level, self.settled_voltage(high), time, tau)

    @checked_arguments
    def settling(
        self,
        high: Float[Array, "... capacitors"],
        time: Quantity,
        resistances: Float[Array, " capacitors"],
        supply_resistance: Quantity | None = None,
    ) -> Float[Array, "..."]:
        """Line at a time (s) after the bottom plates' step through drivers of any resistance (Ohm), V.

        With `supply_resistance` (Ohm) all capacitors that go high share one rail behind it.
        """
        if supply_resistance is None:
            response = step_response(resistances, self.capacitances, self.grounded_capacitance, time)
            return self.reset_level + self._line_step(high, response)
        risen, stayed = shared_rail_response(
            resistances, self.capacitances, self.grounded_capacitance, supply_resistance, high, time
        )
        reset = self.bottom_reset_level
        return self.reset_level + (self.supply - reset) * risen - reset * stayed

    @checked_arguments
    def time_constants(self, resistances: Float[Array, " capacitors"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Fastest and slowest time constant of `settling`, s."""
        return extreme_time_constants(resistances, self.capacitances, self.grounded_capacitance)

    @checked_arguments
    def settling_shared_supply(
        self, high: Float[Array, "... capacitors"], time: Float[Array, "..."], resistance: Quantity
    ) -> Float[Array, "..."]:
        """Line at a time (s) after the step, V, all rising capacitors sharing one rail behind `resistance` (Ohm).

        Drivers take no time here; with theirs, `settling`.
        """
        tau = shared_supply_time_constant(resistance, self.high_capacitance(high), self.total_capacitance)
        return exponential_approach(self.reset_level, self.settled_voltage(high), time, tau)

    @checked_arguments
    def drooped_voltage(
        self, voltage: Float[Array, "..."], time: Float[Array, "..."], resistance: Quantity
    ) -> Float[Array, "..."]:
        """Line held for a time while the open reset switch of `resistance` (Ohm) leaks to the reset level, V."""
        return exponential_approach(voltage, self.reset_level, time, self.reset_time_constant(resistance))

    @checked_arguments
    def leaked_voltage(
        self,
        voltage: Float[Array, "..."],
        time: Float[Array, "..."],
        current: Quantity,
        resistance: Quantity | None = None,
    ) -> Float[Array, "..."]:
        """Line held for a time while a constant current (A) flows out of it, V.

        With a resistance (Ohm) the open reset switch leaks to the reset level at the same time.
        """
        if resistance is None:
            return voltage - leakage_drop(current, time, self.total_capacitance)
        drop = leakage_drop(current, time, self.total_capacitance, self.reset_time_constant(resistance))
        return self.drooped_voltage(voltage, time, resistance) - drop

    @checked_arguments
    def high_capacitance(self, high: Float[Array, "... capacitors"]) -> Float[Array, "..."]:
        """C_H, sum of the capacitors that go high, F."""
        return jnp.matmul(high, self.capacitances, precision=jax.lax.Precision.HIGHEST)

    @checked_arguments
    def supply_charge(self, high: Float[Array, "... capacitors"]) -> Float[Array, "..."]:
        """Charge that the supply delivers into the bottom plates that go high in one evaluation, C.

        `sum of q_i` with `q_i = C_i [(L_i - V) - (V_reset - V_cm)] + c_bot (L_i - V_reset)`; full settling, no leakage.
        """
        return self._charge(high, high)

    @checked_arguments
    def supply_energy(self, high: Float[Array, "... capacitors"]) -> Float[Array, "..."]:
        """Energy that the supply delivers in one evaluation, J; `supply**2 (switched + n_H c_bot)` from ground."""
        return self.supply * self.supply_charge(high)

    @checked_arguments
    def reset_rail_energy(self, high: Float[Array, "... capacitors"]) -> Float[Array, "..."]:
        """Energy from the bottom plates' reset rail when all return to it, J; negative where it takes energy back."""
        return -self.bottom_reset_level * self._charge(high, jnp.ones_like(high))

    @checked_arguments
    def cycle_energy(self, high: Float[Array, "... capacitors"]) -> Float[Array, "..."]:
        """Energy of evaluation and reset, J; the source of the reset level delivers no net charge over a cycle."""
        return self.supply_energy(high) + self.reset_rail_energy(high)

    @checked_arguments
    def dissipation(self, high: Float[Array, "... capacitors"]) -> Float[Array, "..."]:
        """Heat in the drivers during the evaluation, J: the energy of all voltage steps, whatever the resistances.

        `(1/2) sum_i C_i (dL_i - dV)**2 + (1/2) C_par dV**2 + (1/2) sum_i c_bot dL_i**2`: a linear network dissipates at
        a step what the step's difference field stores. Half of `cycle_energy`.
        """
        step = self.supply * high - self.bottom_reset_level
        line = self._line_step(high, ratio(self.capacitances, self.total_capacitance))
        across = jnp.square(step - line[..., None]) @ self.capacitances + jnp.square(step) @ self._bottoms
        return (across + self.grounded_capacitance * jnp.square(line)) / 2

    @checked_arguments
    def sampled_noise(self, temperature: Quantity) -> Float[Array, ""]:
        """Rms voltage that the reset switch leaves on the line, V: `sqrt(kT / C_tot)`."""
        return ktc_sigma(self.total_capacitance, temperature)

    @checked_arguments
    def driver_noise(self, temperature: Quantity) -> Float[Array, ""]:
        """Rms voltage of the drivers' resistors on the floating line, V, in unlimited bandwidth."""
        return driver_sigma(jnp.sum(self.capacitances), self.grounded_capacitance, temperature)

    @property
    def _bottoms(self) -> Float[Array, " capacitors"]:
        return jnp.broadcast_to(self.bottom_parasitics, self.capacitances.shape)

    def _line_step(
        self, high: Float[Array, "... capacitors"], response: Float[Array, " capacitors"]
    ) -> Float[Array, "..."]:
        steps = self.supply * high - self.bottom_reset_level
        return jnp.matmul(steps, response, precision=jax.lax.Precision.HIGHEST)

    def _charge(
        self, high: Float[Array, "... capacitors"], counted: Float[Array, "... capacitors"]
    ) -> Float[Array, "..."]:
        steps = self.supply * high - self.bottom_reset_level
        line = self._line_step(high, ratio(self.capacitances, self.total_capacitance))
        return (counted * (steps - line[..., None])) @ self.capacitances + (counted * steps) @ self._bottoms
