"""On-chip SRAM: access energy, latency, leakage, area and low-voltage bit errors, all from one supply."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, part_of
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.technology.dram import Dram as Dram
from amsim.circuits.technology.process import REFERENCE_SUPPLY, Process
from amsim.circuits.technology.technology import Wire
from amsim.noise.finite_slopes import root
from amsim.noise.switching import REFERENCE_TEMPERATURE, leakage_growth

REFERENCE_CAPACITY = 8 * 8 * 1024.0
"""Capacity at which `Sram.access_energy` is stated: 8 kB, in bits."""

REFERENCE_WORD = 64
"""Word width at which `Sram.access_energy` is stated, bits (facts 7.1)."""


class SramOrganisation(eqx.Module):
    """Words and banks of an SRAM, and how cost grows with them.

    Attributes:
        word_width: Bits read or written together (static). Default 64, the word of the source.
        banks: Independent arrays of equal size, one active per access (static). Default 1.
        capacity_exponent: Exponent of access energy against capacity, 1. Default 0.5 (facts 7.4: 0.46-0.5 by Horowitz's
            caches; 0.78 against depth at fixed width in the Accelergy library).
        decoding_share: Fraction of the energy of a 64-bit access that does not depend on the width, 1. Default 0.3:
            address decoding in the Accelergy CACTI plug-in (a rough estimate there).
        write_ratio: Energy of a write relative to a read, 1. Default 1.1 (facts 7.4: 1.0-1.2, recalled).
        access_time: Access time of 8 kB at 28 nm, 0.9 V and 300 K, s. Default 0.5 ns (assumed: about ten NAND delays).
        time_exponent: Exponent of access time against capacity, 1. Default 0.33 (assumed: 2.5 ns at 1 MB).
        wire: Wire between banks.
    """

    word_width: int = count(unit="bit", default=REFERENCE_WORD)
    banks: int = count(default=1)
    capacity_exponent: Quantity = quantity("capacity_exponent", unit="1", default=0.5)
    decoding_share: Quantity = quantity("decoding_share", unit="1", symbol="d", at_most=1.0, default=0.3)
    write_ratio: Quantity = quantity("write_ratio", unit="1", positive=True, default=1.1)
    access_time: Quantity = quantity("access_time", unit="s", positive=True, default=0.5e-9)
    time_exponent: Quantity = quantity("time_exponent", unit="1", default=0.33)
    wire: Wire = eqx.field(default_factory=Wire)

    def __check_init__(self) -> None:
        """Check the counts and the wire."""
        integer_between("word_width", self.word_width, 1)
        integer_between("banks", self.banks, 1)
        part_of("wire", self.wire, Wire)

    @checked_arguments
    def growth(self, capacity: Float[Array, ""], exponent: Float[Array, ""]) -> Float[Array, ""]:
        """Growth of a cost with capacity (bits): `(capacity / banks / 8 kB)^exponent`, 1."""
        return (capacity / self.banks / REFERENCE_CAPACITY) ** exponent

    def word_factor(self) -> Float[Array, ""]:
        """Energy per bit relative to a 64-bit word: `1 + d (64 / width - 1)`, the decoding being shared by the bits."""
        return 1.0 + self.decoding_share * (REFERENCE_WORD / self.word_width - 1.0)


class SramCell(eqx.Module):
    r"""Lowest working supply of a six-transistor cell, Gaussian over cells: `BER(V) = Phi(-(V - mu) / sigma)`.

    Defaults give 1 % at 0.49 V, 0.1 % at 0.535 V, 1.5e-5 at 0.60 V and 4e-7 at 0.65 V, a decade per 20 to 40 mV.
    Source: facts 7.5 (28 nm, 25 C, no assist; recalled ranges, so vary both). Valid for 1e-7 to 0.1.

    Attributes:
        mean: mu, V. Default 0.35 V.
        sigma: V. Default 60 mV.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "weight cells",
            "static",
            "Cells that hold a fixed bit because the supply is below the lowest at which they work.",
            sizes=("sigma",),
            left_out=True,
        ),
    )

    mean: Quantity = quantity("mean", unit="V", symbol="mu", long_name="mean lowest supply", default=0.35)
    sigma: Quantity = quantity(
        "sigma",
        unit="V",
        symbol="sigma",
        long_name="standard deviation of the lowest supply",
        positive=True,
        default=60e-3,
    )

    @checked_arguments
    def bit_error_rate(self, supply: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Fraction of cells that fail at this supply (V): `Phi(-(V - mu) / sigma)`, shape of the supply, 1."""
        return norm.cdf((self.mean - jnp.asarray(supply)) / self.sigma)


class Sram(eqx.Module):
    """Static memory whose access energy grows as a power of its capacity.

    `E = access_energy * (capacity / banks / 8 kB)^exponent * word_factor * r_E` per bit, with the exponent 0.5 after
    the 64-bit cache reads of Horowitz (ISSCC'14): 8 kB 10 pJ, 32 kB 20 pJ, 1 MB 100 pJ at 45 nm and 0.9 V (facts 7.1,
    7.4). More than one bank adds a wire along the side of the memory, half of whose bits toggle.

    With a process, energy follows `r_E = Process.energy_ratio(supply)`, leakage current `Process.leakage_ratio` and
    area `Process.area_ratio`. Without one (default) the memory is at 28 nm, `r_E = (supply / 0.9 V)^2` at any supply
    and the leakage current does not depend on the supply. Latency always follows `Process.delay_ratio`, and
    errors the cell. The figures of cell and leakage are those of 28 nm: at another node, give that node's.
    Range of validity: 1 kB to 4 MB, 0.5 to 1.1 V; with a process, its windows.

    Attributes:
        capacity: Bits.
        supply: V.
        access_energy: J per bit at 8 kB and 0.9 V. Default 0.083 pJ: 0.156 pJ at 45 nm times 0.53 for 28 nm (facts
            7.4).
        leakage: A per bit at 0.8 V and 300 K. Default 10 pA (facts 7.4: 5-20 pA at 0.8 V and 25 C, recalled).
        bit_area: m^2 per bit with periphery, at 28 nm. Default 0.25e-12: a 28 nm cell of 0.127 um^2 at half array
            efficiency.
        organisation: Word width, banks and scaling with capacity.
        cell: Cell with its low-voltage errors.
        process: Node and its laws, or None.

    Raises:
        ValueError: A quantity out of range, or a part of the wrong kind.
    """

    capacity: Quantity = quantity("capacity", unit="bit", positive=True)
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True, default=0.8)
    access_energy: Quantity = quantity("access_energy", unit="J/bit", symbol="E_8kB", default=0.083e-12)
    leakage: Quantity = quantity("leakage", unit="A/bit", symbol="I", default=10e-12)
    bit_area: Quantity = quantity("bit_area", unit="m2/bit", default=0.25e-12)
    organisation: SramOrganisation = eqx.field(default_factory=SramOrganisation)
    cell: SramCell = eqx.field(default_factory=SramCell)
    process: Process | None = None

    def __check_init__(self) -> None:
        """Check the parts."""
        part_of("organisation", self.organisation, SramOrganisation)
        part_of("cell", self.cell, SramCell)
        part_of("process", self.process, Process, optional=True)

    def stated_by_process(self) -> "Sram":
        """The same memory with the process of 28 nm where it has none: at its supply all costs are the same.

        Raises:
            ValueError: A supply outside the energy window of 28 nm; a traced one raises at run time.
        """
        if self.process is not None:
            return self
        process = Process()
        law = (self.supply / REFERENCE_SUPPLY) ** 2 / process.energy_ratio(self.supply)
        leakage = self.leakage / process.leakage_ratio(self.supply)
        return dataclasses.replace(self, process=process, access_energy=self.access_energy * law, leakage=leakage)

    @checked_arguments
    def energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to read that many bits, or to move them where reads and writes cost the same, J."""
        organisation = self.organisation
        size = organisation.growth(self.capacity, organisation.capacity_exponent) * organisation.word_factor()
        law = (self.supply / REFERENCE_SUPPLY) ** 2 if self.process is None else self.process.energy_ratio(self.supply)
        each = self.access_energy * size * law
        if organisation.banks > 1:
            # Half of the bits of random data toggle.
            each = each + 0.5 * organisation.wire.energy(self._side(), self.supply)
        return bits * each

    @checked_arguments
    def write_energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to write that many bits, J: `write_ratio` times that of reading them."""
        return self.energy(bits) * self.organisation.write_ratio

    @checked_arguments
    def latency(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Time of one access: `access_time (capacity / banks / 8 kB)^time_exponent r_t(V, T)`, s.

        Args:
            temperature: T, shape (), K.

        Raises:
            ValueError: A supply outside the delay window of the process (28 nm without one).
        """
        process = Process() if self.process is None else self.process
        organisation = self.organisation
        growth = organisation.growth(self.capacity, organisation.time_exponent)
        time = organisation.access_time * growth * process.delay_ratio(self.supply, temperature)
        return time if organisation.banks == 1 else time + organisation.wire.delay(self._side())

    @checked_arguments
    def bandwidth(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Bits per second where every bank reads one word per access time: `banks word_width / latency`."""
        return self.organisation.banks * self.organisation.word_width / self.latency(temperature)

    @checked_arguments
    def leakage_power(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Leakage power, W: `capacity I V`, the current growing as `exp((T - 300 K) / T_e)`.

        Args:
            temperature: T, shape (), K. Valid for 230-400 K.
        """
        growth = (
            leakage_growth(temperature)
            if self.process is None
            else self.process.leakage_ratio(self.supply, temperature)
        )
        return self.capacity * self.leakage * self.supply * growth

    def bit_error_rate(self) -> Float[Array, ""]:
        """Fraction of cells that fail at the supply, 1."""
        return self.cell.bit_error_rate(self.supply)

    def area(self) -> Float[Array, ""]:
        """Area, m^2."""
        ratio = 1.0 if self.process is None else self.process.area_ratio
        return self.capacity * (self.bit_area * ratio)

    def _side(self) -> Float[Array, ""]:
        """Side of the memory, taken as a square, m."""
        return root(self.area())
