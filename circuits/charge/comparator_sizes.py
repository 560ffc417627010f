"""Sizes of a comparator's transistors, from which its noise, offset, drift, energy and area follow."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from scipy import constants

from amsim.circuits.charge.latch_noise import bias_slopes, noise_ratio
from amsim.circuits.fields import Quantity, quantity
from amsim.noise.finite_slopes import ratio, root
from amsim.noise.mismatch import pelgrom_sigma

SIZES_SUPPLY = 0.6
"""Supply at which `ComparatorSizes.noise_factor` is stated, V (facts 1.1)."""


class ComparatorSizes(eqx.Module):
    r"""Transistors of a dynamic comparator, from which its noise, offset, energy and area follow.

    With the gate areas `A = W L` of each of the two input transistors and of each latch transistor and the capacitance
    of one integration node `C = wire_capacitance + gate_capacitance (A_pair + A_latch)`:
    `offset_sigma^2 = A_VT^2 (1 / A_pair + 1 / (A_latch latch_gain^2))`,
    `noise^2 = noise_factor (k T / C) r^2`, r the `noise_ratio` of the supply to 0.6 V,
    `energy = energy_floor + 2 C supply^2`, `area = layout_factor (2 A_pair + 4 A_latch)`.
    The pair's current factors, whose relative mismatch is `s = A_beta / sqrt(A_pair)`, offset it by `s I / g_m` more,
    the part that a trim cannot remove for all conditions: `temperature_drift = s d(I / g_m) / dT` and
    `supply_drift = s d(I / g_m) / dV`.

    Attributes:
        pair_width: Gate width of an input transistor, m.
        pair_length: Its gate length, m.
        latch_width: Gate width of a regeneration transistor, m.
        latch_length: Its gate length, m.
        threshold_coefficient: A_VT, V m. Default 2 mV um: 28 nm bulk (facts 5.3, 1.5-2.5).
        current_factor_coefficient: A_beta, m. Default 1 % um (facts 5.3, recalled). It gives the drift alone: offsets
            are those of the threshold voltages.
        latch_gain: Gain from the input to the latch, by which the latch's offset is divided, 1. Default 5 (assumed).
        gate_capacitance: Capacitance per gate area, F/m^2. Default 15 fF/um^2 (assumed, 28 nm with overlaps).
        wire_capacitance: Wire capacitance of one integration node, F. Default 0.5 fF (assumed).
        supply: V. Default 0.6 V (facts 1.1).
        temperature: K. Default 300 K.
        noise_factor: Noise power of a decision at 0.6 V in kT/C, 1. Default 2 (assumed: 6 fJ mV^2 at 0.6 V, 14 at
            0.8 V, within the 5-20 fJ mV^2 of facts 5.3).
        layout_factor: Layout area per gate area, 1. Default 4 (assumed).

    Raises:
        ValueError: A width, length, supply, gain or factor that is not above 0, or another quantity below 0.

    Source: Pelgrom area law and `noise^2` proportional to kT/C at the integration node (facts 5.3). Valid for an
    offset dominated by the threshold voltages.
    """

    pair_width: Quantity = quantity("pair_width", unit="m", positive=True)
    pair_length: Quantity = quantity("pair_length", unit="m", positive=True)
    latch_width: Quantity = quantity("latch_width", unit="m", positive=True)
    latch_length: Quantity = quantity("latch_length", unit="m", positive=True)
    threshold_coefficient: Quantity = quantity("threshold_coefficient", unit="V m", symbol="A_VT", default=2e-9)
    current_factor_coefficient: Quantity = quantity(
        "current_factor_coefficient", unit="m", symbol="A_beta", default=1e-8
    )
    latch_gain: Quantity = quantity("latch_gain", unit="1", symbol="A", positive=True, default=5.0)
    gate_capacitance: Quantity = quantity("gate_capacitance", unit="F/m2", positive=True, default=15e-3)
    wire_capacitance: Quantity = quantity("wire_capacitance", unit="F", default=0.5e-15)
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True, default=0.6)
    temperature: Quantity = quantity("temperature", unit="K", symbol="T", default=300.0)
    noise_factor: Quantity = quantity("noise_factor", unit="1", symbol="gamma", positive=True, default=2.0)
    layout_factor: Quantity = quantity("layout_factor", unit="1", positive=True, default=4.0)

    @property
    def node_capacitance(self) -> Float[Array, ""]:
        """Capacitance of one of the two integration nodes, F."""
        gates = self.pair_width * self.pair_length + self.latch_width * self.latch_length
        return self.wire_capacitance + self.gate_capacitance * gates

    @property
    def offset_sigma(self) -> Float[Array, ""]:
        """Standard deviation of the input-referred offset, V."""
        pair = pelgrom_sigma(1.0, self.pair_width, self.pair_length)
        latch = ratio(pelgrom_sigma(1.0, self.latch_width, self.latch_length), self.latch_gain)
        return self.threshold_coefficient * jnp.sqrt(pair**2 + latch**2)

    @property
    def temperature_drift(self) -> Float[Array, ""]:
        """Standard deviation of the offset's drift with temperature at the stated one, V/K."""
        return self._current_factor_sigma * jnp.abs(bias_slopes(self.supply, self.temperature)[0])

    @property
    def supply_drift(self) -> Float[Array, ""]:
        """Standard deviation of the offset's drift with the supply at the stated one, V/V."""
        return self._current_factor_sigma * jnp.abs(bias_slopes(self.supply, self.temperature)[1])

    @property
    def _current_factor_sigma(self) -> Float[Array, ""]:
        return self.current_factor_coefficient * pelgrom_sigma(1.0, self.pair_width, self.pair_length)

    @property
    def noise(self) -> Float[Array, ""]:
        """Input-referred noise of one decision, V rms."""
        power = ratio(self.noise_factor * constants.k * self.temperature, self.node_capacitance)
        return root(power) * noise_ratio(self.supply, SIZES_SUPPLY)

    @property
    def energy_noise_product(self) -> Float[Array, ""]:
        """Energy above the floor times noise power, J V^2: `2 noise_factor k T r^2 supply^2`, whatever the size."""
        power = 2.0 * self.noise_factor * (constants.k * self.temperature) * self.supply**2
        return power * noise_ratio(self.supply, SIZES_SUPPLY) ** 2

    @property
    def area(self) -> Float[Array, ""]:
        """Layout area, m^2: two input transistors and a latch of four."""
        gates = 2.0 * self.pair_width * self.pair_length + 4.0 * self.latch_width * self.latch_length
        return self.layout_factor * gates
