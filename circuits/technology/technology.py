"""Gates and wires of one technology, the base of the digital energy figures."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import one_of, part_of
from amsim.circuits.fields import Quantity, quantity
from amsim.circuits.technology.process import REFERENCE_SUPPLY, Process
from amsim.noise.finite_slopes import quotient
from amsim.noise.switching import REFERENCE_TEMPERATURE

GATES = ("nand", "xor", "full_adder", "flip_flop")
"""Gates with a cost; a full adder is three NAND2 and two XOR2."""

_DELAYS = {"nand": 1.0, "xor": 2.4, "full_adder": 4.8, "flip_flop": 3.0}
"""Gate delays in NAND2 delays (facts 7.3); the sum passes two XOR2 of a full adder; the flip-flop is assumed."""


class CellLibrary(eqx.Module):
    """Standard cells of a `Technology`: NAND2 and flip-flop at 28 nm and 0.9 V.

    Attributes:
        nand_capacitance: Capacitance of a two-input NAND, F. Default 0.7 fF (facts 7.3).
        flip_flop_capacitance: Capacitance of a flip-flop whose data change, F. Default 2.1 fF (facts 7.3).
        clock_pin_capacitance: Capacitance of a clock pin, switched every cycle, F. Default 0.6 fF (facts 8: 0.5-0.7,
            recalled).
        nand_delay: Delay of a two-input NAND at 0.9 V and 300 K, s. Default 47.8 ps (facts 7.3).
        nand_leakage: Leakage current of a two-input NAND at 0.8 V and 300 K, A. Default 50 pA (assumed; five times an
            SRAM cell of facts 7.4). Other gates leak in proportion to their area.
    """

    nand_capacitance: Quantity = quantity("nand_capacitance", unit="F", symbol="C_nand", default=0.7e-15)
    flip_flop_capacitance: Quantity = quantity("flip_flop_capacitance", unit="F", symbol="C_ff", default=2.1e-15)
    clock_pin_capacitance: Quantity = quantity("clock_pin_capacitance", unit="F", symbol="C_pin", default=0.6e-15)
    nand_delay: Quantity = quantity("nand_delay", unit="s", default=47.8e-12)
    nand_leakage: Quantity = quantity("nand_leakage", unit="A", default=50e-12)


class Technology(eqx.Module):
    r"""CMOS gates: constants at 28 nm and 0.9 V, scaled to a node by its process.

    Energy of one event of a gate of capacitance C: `E = C (0.9 V)^2 r_E(V)` with `r_E` from `Process.energy_ratio`; at
    28 nm this is `C V^2` within 5 % from 0.55 to 1.1 V (11 % at 0.5 V). Delay and leakage follow `Process.delay_ratio`
    and `Process.leakage_ratio`, areas `Process.area_ratio`. Source of the defaults: facts 7.3 (ZigZag-IMC constants,
    fitted to four digital in-memory chips at 0.9 V). Range of validity: that of the process.

    Macros and systems use the capacitances in `C V^2`, times the `energy_ratio` of the process's node to 28 nm
    (`amsim.circuits.technology.between_nodes`); `equivalent(supply)` has a node's energy at one supply exactly.

    Attributes:
        xor_capacitance: Two-input XOR or XNOR, F.
        full_adder_capacitance: Full adder (3 NAND2 and 2 XOR2), F.
        nand_area: Two-input NAND, m^2.
        xor_area: Two-input XOR, m^2 (2.4 NAND2).
        flip_flop_area: Flip-flop, m^2 (6 NAND2).
        full_adder_area: Full adder, m^2.
        library: NAND2 and flip-flop: capacitances, delay and leakage.
        process: Node and its laws. Default 28 nm.

    Raises:
        ValueError: A negative quantity, or a part of the wrong kind.
    """

    xor_capacitance: Quantity = quantity("xor_capacitance", unit="F", symbol="C_xor", default=1.05e-15)
    full_adder_capacitance: Quantity = quantity("full_adder_capacitance", unit="F", symbol="C_fa", default=4.2e-15)
    nand_area: Quantity = quantity("nand_area", unit="m2", default=0.614e-12)
    xor_area: Quantity = quantity("xor_area", unit="m2", default=2.4 * 0.614e-12)
    flip_flop_area: Quantity = quantity("flip_flop_area", unit="m2", default=6 * 0.614e-12)
    full_adder_area: Quantity = quantity("full_adder_area", unit="m2", default=(3 + 2 * 2.4) * 0.614e-12)
    library: CellLibrary = eqx.field(default_factory=CellLibrary)
    process: Process = eqx.field(default_factory=Process)

    def __check_init__(self) -> None:
        """Check the parts."""
        part_of("library", self.library, CellLibrary)
        part_of("process", self.process, Process)

    def capacitance(self, gate: str) -> Float[Array, ""]:
        """Capacitance of a gate at 28 nm, F; ValueError for a gate that is not in `GATES`."""
        one_of("gate", gate, GATES)
        return {
            "nand": self.library.nand_capacitance,
            "xor": self.xor_capacitance,
            "full_adder": self.full_adder_capacitance,
            "flip_flop": self.library.flip_flop_capacitance,
        }[gate]

    def area(self, gate: str) -> Float[Array, ""]:
        """Area of a gate at this node, m^2; ValueError for a gate that is not in `GATES`."""
        one_of("gate", gate, GATES)
        return getattr(self, f"{gate}_area") * self.process.area_ratio

    @checked_arguments
    def energy(self, gate: str, supply: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Energy of one event of a gate: `C (0.9 V)^2 r_E(V)`.

        Args:
            gate: One of `GATES`.
            supply: V, shape (...), V.

        Returns:
            Energy, shape (...), J.

        Raises:
            ValueError: An unknown gate, or a supply outside the process's energy window.
        """
        return self.switching_energy(self.capacitance(gate), supply)

    @checked_arguments
    def switching_energy(
        self, capacitance: Real[ArrayLike, "..."], supply: Real[ArrayLike, "..."]
    ) -> Float[Array, "..."]:
        """Energy of one event of logic with this capacitance (F) at 28 nm, J: `C (0.9 V)^2 r_E(V)`."""
        return jnp.asarray(capacitance) * (REFERENCE_SUPPLY**2 * self.process.energy_ratio(supply))

    @checked_arguments
    def delay(
        self, gate: str, supply: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."] = REFERENCE_TEMPERATURE
    ) -> Float[Array, "..."]:
        """Delay of a gate: `n t_nand r_t(V, T)`, n = 1, 2.4, 4.8 and 3 for NAND, XOR, full adder and flip-flop.

        Args:
            gate: One of `GATES`.
            supply: V, shape (...), V.
            temperature: T, shape (...) that broadcasts, K.

        Returns:
            Delay, shape (...), s.

        Raises:
            ValueError: An unknown gate, a supply outside the process's delay window or below the threshold.
        """
        one_of("gate", gate, GATES)
        return _DELAYS[gate] * self.library.nand_delay * self.process.delay_ratio(supply, temperature)

    @checked_arguments
    def leakage_power(
        self, gate: str, supply: Real[ArrayLike, "..."], temperature: Real[ArrayLike, "..."] = REFERENCE_TEMPERATURE
    ) -> Float[Array, "..."]:
        """Leakage power of a gate: `I_nand (A_gate / A_nand) V r_I(V, T)`.

        Args:
            gate: One of `GATES`.
            supply: V, shape (...), V.
            temperature: T, shape (...) that broadcasts, K.

        Returns:
            Power, shape (...), W.

        Raises:
            ValueError: An unknown gate, or a supply that is not above 0.

        Validity: the current is the library's at every node; give the library that of the node in use.
        """
        one_of("gate", gate, GATES)
        share = quotient(getattr(self, f"{gate}_area"), self.nand_area)
        current = self.library.nand_leakage * share * self.process.leakage_ratio(supply, temperature)
        return current * jnp.asarray(supply)

    @checked_arguments
    def equivalent(self, supply: Real[ArrayLike, ""]) -> "Technology":
        """28 nm technology whose `C V^2` at this supply equals the energy at this node, with the areas of this node.

        For macros that use only capacitances and areas, such as `DigitalBinary(technology=..., supply=...)`.

        Args:
            supply: V, shape (), V: the supply at which the technology will be used.

        Raises:
            ValueError: A supply outside the process's energy window.
        """
        ratio = self.process.energy_ratio(supply) * (REFERENCE_SUPPLY / jnp.asarray(supply)) ** 2
        area = self.process.area_ratio

        def scaled(part: Any, ending: str, factor: Any) -> dict[str, Any]:
            names = [field.name for field in dataclasses.fields(part) if field.name.endswith(ending)]
            return {name: getattr(part, name) * factor for name in names}

        library = dataclasses.replace(self.library, **scaled(self.library, "_capacitance", ratio))
        plain = dataclasses.replace(self, **scaled(self, "_capacitance", ratio), **scaled(self, "_area", area))
        return dataclasses.replace(plain, library=library, process=Process())


class Wire(eqx.Module):
    """On-chip wire; capacitance and resistance per length hardly depend on the node at a given geometry.

    Attributes:
        capacitance: Capacitance per length, F/m. Default 0.2 fF/um (assumed, usually 0.15-0.25 fF/um with neighbours).
        resistance: Resistance per length, Ohm/m. Default 3 Ohm/um (assumed, intermediate metal at 28 nm).
    """

    capacitance: Quantity = quantity("capacitance", unit="F/m", symbol="c", default=0.2e-9)
    resistance: Quantity = quantity("resistance", unit="Ohm/m", symbol="r", default=3e6)

    @checked_arguments
    def energy(self, length: Real[ArrayLike, "..."], supply: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Energy of one transition, the mean of rise and fall: `c L V^2 / 2`.

        Args:
            length: L, shape (...), m.
            supply: V, shape (...) that broadcasts, V.

        Returns:
            Energy, shape (...), J.
        """
        return 0.5 * self.capacitance * jnp.asarray(length) * jnp.asarray(supply) ** 2

    @checked_arguments
    def delay(self, length: Real[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Delay to half swing of a distributed line without repeaters: `0.38 r c L^2`.

        Args:
            length: L, shape (...), m.

        Returns:
            Delay, shape (...), s.

        Validity: a strong driver and a light load. Source: Sakurai's distributed RC line.
        """
        return 0.38 * (self.resistance * self.capacitance) * jnp.asarray(length) ** 2


def adder_tree_full_adders(inputs: int, bits: int = 1) -> int:
    """Full adders in a ripple-carry adder tree: `N (B + 1) - (B + log2 N + 1)` for N inputs of B bits (facts 7.3).

    For N that is not a power of two, the logarithm is rounded up to the depth of the tree.
    """
    depth = (inputs - 1).bit_length()
    return max(inputs * (bits + 1) - (bits + depth + 1), 0)
