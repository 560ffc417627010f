"""Register file of flip-flops: energy of reads, writes and clock, latency, leakage and area."""

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, part_of
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.technology.technology import Technology
from amsim.noise.switching import REFERENCE_TEMPERATURE

_MULTIPLEXER_NANDS = 3.0
"""NAND2 gates of a two-to-one multiplexer."""


class RegisterFile(eqx.Module):
    r"""A few words in flip-flops, read through a tree of two-to-one multiplexers.

    Energies per bit, where half of random bits toggle: a write `a E_flip_flop`, a read `a (log2 N + 1) 3 E_nand` (the
    path to the root and its neighbours), the clock `C_pin (0.9 V)^2 r_E(V)` for every flip-flop that it reaches, per
    cycle. Source: gate counts with facts 7.3 and 8. Valid up to about 64 words; larger ones are better made of SRAM. A
    write with its clock is a quarter of the 9 fJ of the one-bit register in the Aladdin library at 40 nm (facts 7.1).

    Attributes:
        words: Number of registers (static). Default 16.
        word_width: Bits of a register (static). Default 16.
        supply: V. Default 0.8 V.
        activity: a, fraction of the bits that toggle at an access. Default 0.5.
        clocked: Fraction of the flip-flops that the clock reaches in a cycle. Default 1: no gating.
        technology: Gates and node.

    Raises:
        ValueError: A size below 1, or a quantity out of range.
    """

    words: int = count(default=16)
    word_width: int = count(unit="bit", default=16)
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True, default=0.8)
    activity: Quantity = quantity("activity", unit="1", symbol="a", at_most=1.0, default=0.5)
    clocked: Quantity = quantity("clocked", unit="1", at_most=1.0, default=1.0)
    technology: Technology = eqx.field(default_factory=Technology)

    def __check_init__(self) -> None:
        """Check the sizes and the technology."""
        integer_between("words", self.words, 1)
        integer_between("word_width", self.word_width, 1)
        part_of("technology", self.technology, Technology)

    @property
    def capacity(self) -> int:
        """Capacity, bits."""
        return self.words * self.word_width

    @property
    def _depth(self) -> int:
        return (self.words - 1).bit_length()

    @checked_arguments
    def write_energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to write that many bits, without the clock, J."""
        return bits * (self.activity * self.technology.energy("flip_flop", self.supply))

    @checked_arguments
    def read_energy(self, bits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy to read that many bits through the multiplexers, J."""
        stages = self._depth + 1.0 if self.words > 1 else 0.0
        return bits * (self.activity * (stages * _MULTIPLEXER_NANDS) * self.technology.energy("nand", self.supply))

    @checked_arguments
    def clock_energy(self, cycles: Float[Array, "..."]) -> Float[Array, "..."]:
        """Energy of the clock pins in that many cycles, J."""
        pin = self.technology.switching_energy(self.technology.library.clock_pin_capacitance, self.supply)
        return cycles * (self.clocked * self.capacity * pin)

    @checked_arguments
    def latency(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Time of a read, s: a flip-flop and two NAND delays per stage of multiplexers.

        Args:
            temperature: T, shape (), K.
        """
        nand = self.technology.delay("nand", self.supply, temperature)
        return self.technology.delay("flip_flop", self.supply, temperature) + 2.0 * self._depth * nand

    @checked_arguments
    def leakage_power(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Leakage power of flip-flops and multiplexers, W.

        Args:
            temperature: T, shape (), K.
        """
        flip_flop = self.technology.leakage_power("flip_flop", self.supply, temperature)
        nand = self.technology.leakage_power("nand", self.supply, temperature)
        return self.capacity * flip_flop + self._multiplexers * _MULTIPLEXER_NANDS * nand

    def area(self) -> Float[Array, ""]:
        """Area of flip-flops and multiplexers, m^2."""
        gates = self.technology
        return self.capacity * gates.area("flip_flop") + self._multiplexers * _MULTIPLEXER_NANDS * gates.area("nand")

    @property
    def _multiplexers(self) -> int:
        return (self.words - 1) * self.word_width
