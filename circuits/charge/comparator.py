"""Clocked comparator: input noise, trimmed offset, time to decide, and the energy that buys low noise."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.charge.comparator_sizes import ComparatorSizes
from amsim.circuits.charge.latch_noise import noise_ratio
from amsim.circuits.charge.trim import Trim
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import part_of
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, quantity
from amsim.circuits.technology.between_nodes import area_ratio, delay_ratio, energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import ratio
from amsim.noise.switching import coupled_step


class Comparator(eqx.Module):
    r"""Dynamic comparator that decides whether its input is above its reference.

    Input-referred noise of standard deviation `noise` is drawn at every decision; the offset is drawn once per die and
    trimmed to a grid of codes. Energy of a decision: `E = energy_floor + energy_noise_product / noise**2`, since the
    noise power falls with the integration capacitance that is charged at every decision. After `integration_time` the
    latch holds `gain` times the input and regenerates, `gain |V| exp(t / tau)`, until half of `swing` is decided.

    All figures are those of the comparator at its stated supply V_0 in 28 nm. At a supply V, in another process:
    noise times `noise_ratio(V, V_0)`, the size of the transistors and their load being the same; energy times
    `(V / V_0)^2`, and the floor, which is logic, times `energy_ratio` of the node too; delays times `delay_ratio` of
    node and supply; area times `area_ratio`. Not moved: the offset (A_VT falls about as fast as the side of a gate),
    trim, kickback, gain and input capacitance.

    A trim that states the temperature T_0 and supply of its measurement removes the offset that there was then; until
    those of use it drifts by `temperature_drift z_T (T - T_0) + supply_drift z_V (V - V_trim)`, `z` two standard draws
    of the die, independent of each other and of the offset. What else the trim has removed - switch charge, leakage,
    kickback, slow drivers - is compared at both conditions in the same way (`CapacitorArray.at_trim`).

    Attributes:
        noise: Input-referred noise, V rms. Default 0.4 mV: dynamic-bias double-tail, 65 nm (facts 5.3, recalled);
            the one measured column, C3SRAM's, has 1.46 mV (facts 1b).
        offset_sigma: Standard deviation of the untrimmed offset, V. Default 8 mV: post-layout figure of a 65 nm
            low-noise dynamic comparator (facts 5.3, CSSP'23 abstract).
        trim: Offset trim, or None for none. Default 8 bit over +-32 mV.
        energy_floor: Energy of a decision that does not depend on noise, J. Default 5 fJ (facts 5.3: 3-10 fJ).
        energy_noise_product: Energy times noise power, J V^2. Default 1e-20, which is 10 fJ mV^2 (facts 5.3: 6-20).
        regeneration_time_constant: tau, s. Default 20 ps (assumed).
        integration_time: Time before the latch regenerates, s. Default 50 ps (assumed).
        gain: Gain from the input to the latch, 1. Default 5 (assumed).
        swing: Difference of the two logic levels, V. Default 0.6 V (facts 1.1).
        input_capacitance: Capacitance of the input, through which the kickback reaches a line, F; of no effect without.
            Default 1 fF (facts 8).
        kickback: Step behind the input capacitance at a decision, V; a line of total capacitance C moves by
            `kickback * input_capacitance / C`. None is a cancelled kickback.
        area: m^2. Default 20 um^2 (assumed).
        supply: V_0, V. None (default): the supply of the array that it is built into, from which it then moves with it;
            by itself, any supply.
        temperature_drift: Standard deviation of the offset's drift between dies, V/K. Default 0: not known; that of
            `ComparatorSizes` is derived. Of no effect unless the trim states its `temperature`, as `supply_drift`
            unless it states its `supply`.
        supply_drift: Standard deviation of its drift per volt of supply, V/V. Default 0, as above.

    Raises:
        ValueError: A value is negative or not finite, or the supply, tau, gain or swing is not above 0.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "comparator noise",
            "dynamic",
            "Input-referred noise of every decision, those that the trim rests on among them.",
            sizes=("noise",),
            effects=("comparator noise", "comparator offset"),
        ),
        ErrorSource("comparator offset", "static", "Offset before trim.", sizes=("offset_sigma",)),
        ErrorSource(
            "offset drift",
            "static",
            "Drift of a trimmed offset with temperature and supply.",
            sizes=("temperature_drift", "supply_drift"),
        ),
        ErrorSource(
            "comparator kickback",
            "systematic",
            "Step of the line when the comparator decides.",
            off={"kickback": None},
            effects=("settling",),
        ),
    )

    noise: Quantity = quantity("noise", unit="V", symbol="sigma_n", default=0.4e-3)
    offset_sigma: Quantity = quantity("offset_sigma", unit="V", symbol="sigma_os", default=8e-3)
    trim: Trim | None = eqx.field(default_factory=Trim)
    energy_floor: Quantity = quantity("energy_floor", unit="J", symbol="E_floor", default=5e-15)
    energy_noise_product: Quantity = quantity("energy_noise_product", unit="J V2", default=1e-20)
    regeneration_time_constant: Quantity = quantity(
        "regeneration_time_constant", unit="s", symbol="tau", positive=True, default=20e-12
    )
    integration_time: Quantity = quantity("integration_time", unit="s", symbol="t_int", default=50e-12)
    gain: Quantity = quantity("gain", unit="1", symbol="A", positive=True, default=5.0)
    swing: Quantity = quantity("swing", unit="V", symbol="V_swing", positive=True, default=0.6)
    input_capacitance: Quantity = quantity("input_capacitance", unit="F", default=1e-15)
    kickback: Quantity | None = quantity("kickback", unit="V", optional=True)
    area: Quantity = quantity("area", unit="m2", default=20e-12)
    supply: Quantity | None = quantity("supply", unit="V", symbol="V_0", positive=True, optional=True)
    temperature_drift: Quantity = quantity("temperature_drift", unit="V/K", default=0.0)
    supply_drift: Quantity = quantity("supply_drift", unit="1", default=0.0)

    def __check_init__(self) -> None:
        """Check the trim."""
        part_of("trim", self.trim, Trim, optional=True)

    @staticmethod
    @checked_arguments
    def sized(sizes: ComparatorSizes, **settings: Any) -> "Comparator":
        """Comparator whose noise, offset, drift, energy, area, gain, swing and input follow from its transistors.

        Args:
            sizes: The transistors.
            settings: Further fields of `Comparator`, such as `trim` or `energy_floor`; they win over the sizes.

        Returns:
            The comparator, differentiable in every size.
        """
        found = {
            "noise": sizes.noise,
            "offset_sigma": sizes.offset_sigma,
            "energy_noise_product": sizes.energy_noise_product,
            "gain": sizes.latch_gain,
            "swing": sizes.supply,
            "input_capacitance": sizes.gate_capacitance * sizes.pair_width * sizes.pair_length,
            "area": sizes.area,
            "supply": sizes.supply,
            "temperature_drift": sizes.temperature_drift,
            "supply_drift": sizes.supply_drift,
        }
        return Comparator(**(found | settings))

    @checked_arguments
    def offset(self, standard_draw: Float[Array, "*lines"]) -> Float[Array, "*lines"]:
        """Offset before trim, V, from standard draws of the die."""
        return self.offset_sigma * standard_draw

    @checked_arguments
    def drift(
        self, standard_draws: Float[Array, "*lines 2"], temperature: Float[Array, ""], supply: Float[Array, ""]
    ) -> Float[Array, "*lines"]:
        """Drift of the offset since the trim, V; 0 for what the trim does not state.

        Args:
            standard_draws: Of the drift with temperature and with supply, shape (*lines, 2), 1.
            temperature: Of use, K.
            supply: Of use, V.
        """
        by_temperature, by_supply = self.drift_sigmas(temperature, supply)
        return by_temperature * standard_draws[..., 0] + by_supply * standard_draws[..., 1]

    @checked_arguments
    def drift_sigmas(
        self, temperature: Float[Array, ""], supply: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Standard deviations of the drift with temperature and with supply since the trim, V; signed as the change.

        Args:
            temperature: Of use, K.
            supply: Of use, V.
        """
        still, trim = jnp.zeros_like(self.offset_sigma), self.trim
        if trim is None:
            return still, still
        warmer = still if trim.temperature is None else temperature - trim.temperature
        higher = still if trim.supply is None else supply - trim.supply
        return self.temperature_drift * warmer, self.supply_drift * higher

    @checked_arguments
    def kept_at(self, temperature: Float[Array, ""], measured: Float[Array, ""]) -> "Comparator":
        """The comparator that has drifted as far at `temperature` (K) as this one at `measured` (K)."""
        if self.trim is None or self.trim.temperature is None:
            return self
        return eqx.tree_at(lambda one: one.trim.temperature, self, self.trim.temperature + (temperature - measured))

    @checked_arguments
    def residual_offset(
        self, offset: Float[Array, "*lines"], measurement_draw: Float[Array, "*lines"] | None = None
    ) -> Float[Array, "*lines"]:
        """Offset left after trim, `offset - code * step`.

        The trim measures everything static at its input, so whatever else shifts the decision of a line belongs in
        `offset`. The code is a constant to a derivative, so that the residual moves with the offset.

        Args:
            offset: Total static offset at the comparator's input, shape (*lines), V.
            measurement_draw: Standard draws of the error of the die's one measurement, shape (*lines), 1; None
                measures without error.

        Returns:
            Residual offset, shape (*lines), V; the offset itself without trim.
        """
        if self.trim is None:
            return offset
        measured = offset
        if measurement_draw is not None:
            measured = offset + self.trim.measurement_sigma(self.noise) * measurement_draw
        return offset - self.trim.correction(measured)

    @checked_arguments
    def kickback_step(self, total: Float[Array, "*lines"]) -> Float[Array, "*lines"]:
        """Kickback on a line of this total capacitance (F) when the comparator decides, V."""
        if self.kickback is None:
            return jnp.zeros_like(total)
        return coupled_step(self.input_capacitance, self.kickback, total)

    @checked_arguments
    def noise_at(self, supply: Real[ArrayLike, ""] | None = None, process: Process | None = None) -> Float[Array, ""]:
        """Input-referred noise at a supply (V; None is the stated one), V rms."""
        if supply is None or self.supply is None:
            return self.noise
        return self.noise * noise_ratio(supply, self.supply, process)

    @checked_arguments
    def energy(self, supply: Real[ArrayLike, ""] | None = None, process: Process | None = None) -> Float[Array, ""]:
        """Energy of one decision, J; a comparator set to zero noise is charged the floor alone.

        Args:
            supply: V, shape (); None is the stated one, at 28 nm.
            process: Node; None is 28 nm.

        Raises:
            ValueError: A supply outside the energy window of another node than 28 nm.
        """
        noise = jnp.where(self.noise > 0, self.noise, jnp.inf)
        charged = ratio(ratio(self.energy_noise_product, noise), noise)
        if supply is None:
            return self.energy_floor + charged
        floor = self.energy_floor * energy_ratio(process, supply)
        return floor + charged if self.supply is None else (floor + charged) * ratio(supply, self.supply) ** 2

    @checked_arguments
    def area_in(self, process: Process) -> Float[Array, ""]:
        """Area in a process, m^2."""
        return self.area * area_ratio(process)

    @checked_arguments
    def at_supply(self, supply: Real[ArrayLike, ""], process: Process | None = None) -> "Comparator":
        """The same comparator with the noise of another supply; its energies, times and swing stay as stated.

        For the formulas of a line, which need noise and offset alone.

        Args:
            supply: V, shape ().
            process: Threshold and swing of the noise's law; None is 28 nm.
        """
        return eqx.tree_at(lambda one: one.noise, self, self.noise_at(supply, process))

    @checked_arguments
    def decision_time(
        self,
        voltage: Real[ArrayLike, "*lines"],
        supply: Real[ArrayLike, ""] | None = None,
        process: Process | None = None,
    ) -> Float[Array, "*lines"]:
        """Time to decide on an input, `integration_time + tau ln(swing / (2 gain |V|))`.

        Args:
            voltage: Input less the offset, shape (*lines), V.
            supply: V, shape (); both times follow the process's delay, the swing the supply. None is the stated one, at
                28 nm.
            process: Node; None is 28 nm.

        Returns:
            Time, shape (*lines), s: `integration_time` for an input that needs no regeneration, infinite at 0 V. A
            decision that fails with probability P for inputs spread over `lsb` takes `decision_time(P * lsb / 2)`.

        Source: exponential regeneration (facts 5.3). The noise, which moves the latch too, is left out.
        """
        size = jnp.abs(jnp.asarray(voltage, self.gain.dtype))
        slower, higher = self._moved_by(supply, process)
        needed = jnp.log(ratio(ratio(self.swing * higher / 2, self.gain), jnp.where(size > 0, size, 1.0)))
        time = self.integration_time + self.regeneration_time_constant * jnp.maximum(needed, 0.0)
        return jnp.where(size > 0, time * slower, jnp.inf)

    @checked_arguments
    def metastability(
        self,
        lsb: Real[ArrayLike, "*lines"],
        time: Real[ArrayLike, "*lines"],
        supply: Real[ArrayLike, ""] | None = None,
        process: Process | None = None,
    ) -> Float[Array, "*lines"]:
        """Probability that a decision is not ready, `swing / (gain lsb) exp(-(time - integration_time) / tau)`.

        Args:
            lsb: Width over which the input, centred on the threshold, is uniformly distributed, shape (*lines), V.
            time: Time given to the decision, integration included, shape (*lines), s.
            supply: As in `decision_time`.
            process: As in `decision_time`.

        Returns:
            Probability, at most 1, shape (*lines), 1; it is 1 until the integration is over, and where `lsb` is 0.

        Source: facts 5.3.
        """
        width, given = (jnp.asarray(value, self.gain.dtype) for value in (lsb, time))
        slower, higher = self._moved_by(supply, process)
        regenerated = ratio(given / slower - self.integration_time, self.regeneration_time_constant)
        exponent = jnp.log(ratio(ratio(self.swing * higher, self.gain), jnp.where(width > 0, width, 1.0))) - regenerated
        ready = (width > 0) & (regenerated >= 0)
        return jnp.exp(jnp.where(ready, jnp.minimum(exponent, 0.0), 0.0))

    def ideal(self) -> "Comparator":
        """The same comparator without noise, offset, drift and kickback."""
        silent = dataclasses.replace(self, noise=0.0, offset_sigma=0.0, kickback=None)
        return dataclasses.replace(silent, temperature_drift=0.0, supply_drift=0.0)

    def _moved_by(self, supply: Any, process: Process | None) -> tuple[Any, Any]:
        """Factors of the times and of the swing at a supply and node."""
        if supply is None:
            return 1.0, 1.0
        stated = supply if self.supply is None else self.supply
        return delay_ratio(process, supply, stated), ratio(supply, stated)
