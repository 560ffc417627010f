"""Off-chip DRAM: energy per bit, bandwidth and background power, by type."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import one_of, part_of
from amsim.circuits.fields import Quantity, quantity

_STANDARDS = {
    "DDR3": (42e-12, 102.4e9, 2.9),
    "DDR4": (15e-12, 153.6e9, 0.54),
    "LPDDR4": (8e-12, 102.4e9, 0.03),
    "HBM2": (3.9e-12, 2048e9, 1.0),
}
"""Access energy (J per bit), bandwidth (bits per second) and background power (W); sources in `Dram.standard`."""


class DramChannel(eqx.Module):
    """One channel of a DRAM: its bandwidth, and its power in addition to the energy of the bits.

    Attributes:
        bandwidth: Bits per second at full use.
        background_power: Power of refresh, clock and interface while it is on, W.
    """

    bandwidth: Quantity = quantity("bandwidth", unit="bit/s", positive=True)
    background_power: Quantity = quantity("background_power", unit="W", symbol="P_background", default=0.0)


class Dram(eqx.Module):
    """Off-chip memory with a fixed energy per bit: `E = access_energy bits + background_power time`.

    Attributes:
        access_energy: J per bit. Default 20.3 pJ: the low end of 1.3-2.6 nJ for 64 bits (facts 7.1, Horowitz ISSCC'14).
        channel: Bandwidth and background power, or None: transfers then take no time and idling costs nothing.

    Raises:
        ValueError: A negative energy, or a channel of the wrong kind.
    """

    access_energy: Quantity = quantity("access_energy", unit="J/bit", symbol="e", default=20.3e-12)
    channel: DramChannel | None = None

    def __check_init__(self) -> None:
        """Check the channel."""
        part_of("channel", self.channel, DramChannel, optional=True)

    @staticmethod
    def standard(name: str) -> "Dram":
        """DRAM with one channel of a common type.

        - DDR3 (64 bit, 1600 MT/s): 70 pJ per bit at full use, 40 % of it static (Malladi et al., ISCA'12, slides):
          42 pJ per bit and 28 pJ x 102.4 Gb/s = 2.9 W.
        - DDR4 (64 bit, 2400 MT/s, eight 8-Gb devices): 15 pJ per bit (assumed; the column access alone is 1.2 V x 90 mA
          / 19.2 Gb/s = 5.6 pJ) and 8 x (1.2 V x 50 mA + 2.5 V x 3 mA) = 0.54 W (currents as in Ramulator 2).
        - LPDDR4 (32 bit, 3200 MT/s): 8 pJ per bit (Accelergy CACTI plug-in, "public data"; simulations give 13-14 pJ)
          and 30 mW (assumed).
        - HBM2 (one stack of 1024 bit, 2000 MT/s): 3.9 pJ per bit (O'Connor et al., MICRO'17, by the same plug-in; 39 pJ
          per byte, facts 7.1, is 4.9) and 1 W (assumed).

        Args:
            name: "DDR3", "DDR4", "LPDDR4" or "HBM2".

        Raises:
            ValueError: Another name.
        """
        one_of("name", name, _STANDARDS)
        energy, bandwidth, background = _STANDARDS[name]
        return Dram(access_energy=energy, channel=DramChannel(bandwidth=bandwidth, background_power=background))

    @checked_arguments
    def energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to move that many bits, J."""
        return bits * self.access_energy

    @checked_arguments
    def transfer_time(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Time to move that many bits at full bandwidth, s: `bits / bandwidth`."""
        return jnp.zeros_like(bits) if self.channel is None else bits / self.channel.bandwidth

    @checked_arguments
    def background_energy(self, seconds: Float[Array, "..."]) -> Float[Array, "..."]:
        """Background energy of that time, J: `background_power seconds`."""
        return jnp.zeros_like(seconds) if self.channel is None else seconds * self.channel.background_power

    @checked_arguments
    def energy_per_bit(self, use: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy per bit with its share of the background: `access_energy + background_power / (bandwidth use)`.

        Args:
            use: Fraction of the bandwidth in use, above 0 and at most 1, shape (...).

        Returns:
            Energy, shape (...), J.
        """
        if self.channel is None:
            return jnp.zeros_like(use) + self.access_energy
        return self.access_energy + self.channel.background_power / self.channel.bandwidth / use
