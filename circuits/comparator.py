"""Clocked comparator: input noise, offset with trim, and the energy that buys low noise."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checks import Quantity, quantity
from amsim.noise.gradients import rounded


class Comparator(eqx.Module):
    r"""Dynamic comparator that decides whether its input is above its reference.

    Input-referred noise of standard deviation `noise` is drawn at every decision; the offset is drawn once a die and
    trimmed in steps. Energy of a decision: `E = energy_floor + energy_noise_product / noise**2`, since the noise
    power falls with the integration capacitance that is charged at every decision.

    Attributes:
        noise: Input-referred noise, V rms. Default 0.4 mV: dynamic-bias double-tail, 65 nm (facts 5.3, recalled).
        offset_sigma: Standard deviation of the untrimmed offset, V. Default 8 mV: post-layout figure of a 65 nm
            low-noise dynamic comparator (facts 5.3, CSSP'23 abstract).
        trim_step: Step of the offset trim, V; 0 is an ideal trim without steps. Default 0.25 mV (assumed).
        trim_range: Largest offset that the trim can cancel, V; 0 is no trim. Default 32 mV, 4 sigma (assumed).
        energy_floor: Energy of a decision that does not depend on noise, J. Default 5 fJ (facts 5.3: 3-10 fJ).
        energy_noise_product: Energy times noise power, J V^2. Default 1e-20, which is 10 fJ mV^2 (facts 5.3: 6-20).

    Raises:
        ValueError: A value is negative or not finite.
    """

    noise: Quantity = quantity("noise", default=0.4e-3)
    offset_sigma: Quantity = quantity("offset_sigma", default=8e-3)
    trim_step: Quantity = quantity("trim_step", default=0.25e-3)
    trim_range: Quantity = quantity("trim_range", default=32e-3)
    energy_floor: Quantity = quantity("energy_floor", default=5e-15)
    energy_noise_product: Quantity = quantity("energy_noise_product", default=1e-20)

    def residual_offset(self, standard_draw: Float[Array, "..."]) -> Float[Array, "..."]:
        """Offset left after trimming, V, from standard draws of the die.

        The trim subtracts the nearest multiple of `trim_step` within `trim_range`. Its gradient is that of a
        staircase: 0, so that the residual moves with the offset.
        """
        offset = self.offset_sigma * standard_draw
        step = jnp.where(self.trim_step > 0, self.trim_step, 1.0)
        wanted = jnp.where(self.trim_step > 0, rounded(offset / step, "none") * step, offset)
        return offset - jnp.clip(wanted, -self.trim_range, self.trim_range)

    def energy(self) -> Float[Array, ""]:
        """Energy of one decision, J; a comparator set to zero noise is charged the floor alone."""
        noise = jnp.where(self.noise > 0, self.noise, jnp.inf)
        return self.energy_floor + self.energy_noise_product / noise / noise

    def ideal(self) -> "Comparator":
        """The same comparator without noise and offset."""
        return dataclasses.replace(self, noise=0.0, offset_sigma=0.0)
