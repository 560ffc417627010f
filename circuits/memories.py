"""On-chip SRAM and off-chip DRAM: energy of an access, leakage and area."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checks import Quantity, quantity

REFERENCE_CAPACITY = 8 * 8 * 1024.0
"""8 kB in bits: the capacity at which `Sram.access_energy` is stated."""


class Sram(eqx.Module):
    """Static memory whose access energy grows with the square root of its capacity.

    `E = access_energy * sqrt(capacity / 8 kB) * (supply / 0.9 V)**2` a bit, read or write. The exponent follows the
    64-bit cache reads of Horowitz (ISSCC'14): 8 kB 10 pJ, 32 kB 20 pJ, 1 MB 100 pJ at 45 nm and 0.9 V (facts 7.1, 7.4).
    Range of validity: 1 kB to 4 MB, 0.5 to 1.1 V.

    Attributes:
        capacity: Bits.
        supply: V.
        access_energy: J a bit at 8 kB and 0.9 V. Default 0.083 pJ: 0.156 pJ at 45 nm times 0.53 for 28 nm (facts 7.4).
        leakage: A a bit. Default 10 pA (facts 7.4: 5-20 pA at 0.8 V and 25 C, recalled).
        bit_area: m^2 a bit with periphery. Default 0.25e-12: a 28 nm cell of 0.127 um^2 at half array efficiency.
    """

    capacity: Quantity = quantity("capacity", positive=True)
    supply: Quantity = quantity("supply", positive=True, default=0.8)
    access_energy: Quantity = quantity("access_energy", default=0.083e-12)
    leakage: Quantity = quantity("leakage", default=10e-12)
    bit_area: Quantity = quantity("bit_area", default=0.25e-12)

    def energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to move that many bits in or out, J."""
        size = jnp.sqrt(self.capacity / REFERENCE_CAPACITY)
        return bits * (self.access_energy * size * (self.supply / 0.9) ** 2)

    def leakage_power(self) -> Float[Array, ""]:
        """Power while doing nothing, W."""
        return self.capacity * self.leakage * self.supply

    def area(self) -> Float[Array, ""]:
        """Area, m^2."""
        return self.capacity * self.bit_area


class Dram(eqx.Module):
    """Off-chip memory with a fixed energy a bit.

    Attributes:
        access_energy: J a bit. Default 20.3 pJ: the low end of 1.3-2.6 nJ for 64 bits (facts 7.1, Horowitz ISSCC'14).
    """

    access_energy: Quantity = quantity("access_energy", default=20.3e-12)

    def energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to move that many bits, J."""
        return bits * self.access_energy
