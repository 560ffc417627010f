"""Organisation of an accelerator: replication of its macros, and a systolic array or a processor around them."""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.checks import integer_between, one_of, part_of
from amsim.circuits.contract.dataflow import DIMENSIONS, Unrolling
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.stationary import columns_of_weight
from amsim.circuits.contract.work import SHARED_BY, MacroCost, Work
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.technology.register_file import RegisterFile
from amsim.circuits.technology.sram import Sram
from amsim.circuits.technology.supply_scaling import with_supply
from amsim.noise.finite_slopes import quotient

ACCUMULATOR_BITS = 24
"""Width of a partial sum: 16-bit products of 256 rows, or 2 x 8 bits and 2^8 of them."""


class Spread(eqx.Module):
    """Replication of a macro: several equal copies side by side, and the dimension that splits a site over them.

    Split over output channels, those of each group where there are several, all copies see the same inputs, fetched
    once for all; split over pixels, they hold the same weights, fetched once for all; split over input channels, each
    sums a part of the rows and the partial sums are added. All copies are assumed to have the static errors of one die
    of the macro, and share one control. The array's energy is that of the whole site: the additional readouts of a
    split over input channels are left out.

    Attributes:
        count: Copies of the macro (static). Default 1.
        over: Dimension that is split: "output channels", "pixels" or "input channels" (static).

    Raises:
        ValueError: A count below 1 or another dimension.
    """

    count: int = count(default=1)
    over: str = eqx.field(static=True, default="output channels")

    def __check_init__(self) -> None:
        """Check count and dimension."""
        integer_between("count", self.count, 1)
        one_of("over", self.over, SHARED_BY)


class Overhead(eqx.Module):
    """Overhead of feeding and controlling the units, per site and inference.

    Attributes:
        register_energy: Local registers, J.
        control_energy: Control, clock and instructions, J, without what switches once per cycle.
        cycles: Clock cycles in addition to those of computing.
    """

    register_energy: Float[Array, ""]
    control_energy: Float[Array, ""]
    cycles: Float[Array, ""]


UNROLLINGS = tuple(f"{rows} x {columns}" for rows in DIMENSIONS for columns in DIMENSIONS)
"""Names of the loops on rows and columns of an array of units."""


class Organisation(eqx.Module):
    """Organisation of an accelerator around its macros.

    Attributes:
        control_capacitance: Capacitance that control and clock switch in every cycle, at the array's supply, F.
    """

    control_capacitance: eqx.AbstractVar[Quantity]

    @abstractmethod
    def overhead(self, macro: Macro, work: Work, cost: MacroCost, busiest: MacroCost) -> Overhead:
        """Overhead of one site.

        Args:
            macro: The macro that runs it.
            work: Work of the whole site.
            cost: Cost of the whole site.
            busiest: Cost of the largest part where the site is split over several copies.
        """

    def unrollings(self, macro: Macro) -> tuple[Unrolling, ...]:
        """Ways to fill the units of a macro, of which each site takes the one with the fewest cycles.

        Args:
            macro: The macro.

        Returns:
            Here its own alone: wires between units do not change from site to site; () where it has no choice.
        """
        return macro.unrollings[:1]

    def check_macros(self, macros: Sequence[Macro]) -> None:
        """Raise ValueError for macros that this organisation cannot run; here it runs all."""

    @property
    @abstractmethod
    def area(self) -> Float[Array, ""]:
        """Area in addition to macros and memories, per macro, m^2."""

    def leakage_power(self, temperature: Real[ArrayLike, ""]) -> Float[Array, ""]:
        """Leakage of that area, per macro, W; here none.

        Args:
            temperature: K, shape ().
        """
        return jnp.zeros(())

    def at_supply(self, supply: Float[Array, ""]) -> "Organisation":
        """The same organisation at another supply (V); here itself: no part of it has a supply."""
        return self


class SystolicArray(Organisation):
    """Weight-stationary array: weights stay in the cells, inputs and sums flow through them.

    With `registers`, every multiply-accumulate (on arrays of one-bit cells, each of its bit products) writes its input
    and its partial sum into pipeline registers, and each pass over the array takes `rows + columns - 2` more cycles to
    fill and drain. Without (default), a column sums at once on its line or in its adder tree, and the macro's own
    energy includes it.

    Attributes:
        control_capacitance: Capacitance that control and clock switch in every cycle, F. Default 70 pF: calibrated so
            that Bankman's system costs 3.8 uJ per frame (facts 1.1).
        registers: Pipeline registers of one cell, or None. A word holds one input and one partial sum.
    """

    control_capacitance: Quantity = quantity("control_capacitance", unit="F", symbol="C_control", default=70e-12)
    registers: RegisterFile | None = None

    def __check_init__(self) -> None:
        """Check the registers."""
        part_of("registers", self.registers, RegisterFile, optional=True)

    def overhead(self, macro: Macro, work: Work, cost: MacroCost, busiest: MacroCost) -> Overhead:
        """Pipeline registers, fill and drain."""
        zero = jnp.zeros(())
        if self.registers is None:
            return Overhead(zero, zero, zero)
        cells_hold_words = math.isinf(cost.occupancy)
        steps = 1 if cells_hold_words else columns_of_weight(macro, work) * macro.input_slices
        input_bits = macro.input_bits if cells_hold_words else macro.input_bits // macro.input_slices
        bits = jnp.asarray(float(work.macs * steps) * (input_bits + ACCUMULATOR_BITS))
        filling = busiest.passes * float(macro.rows + macro.columns - 2)
        return Overhead(self.registers.write_energy(bits), zero, zero + filling)

    @property
    def area(self) -> Float[Array, ""]:
        """0: registers and control are part of the macro's cells."""
        return jnp.zeros(())

    def at_supply(self, supply: Float[Array, ""]) -> "SystolicArray":
        """The same array with its registers at this supply (V)."""
        return dataclasses.replace(self, registers=with_supply(self.registers, supply))


class Processor(Organisation):
    """Programmable processor: one instruction starts a vector of multiply-accumulates on local registers.

    At each site the program fills the units with pixels, filters or input channels, whichever takes the fewest cycles
    with the transfers of both memories, and of those that take as many the one that moves the fewest bits.
    Pixels of several inferences do not run side by side. Instructions: `MACs / (vector_width * subwords * filled) *
    (1 + overhead)`, `filled` being the share of the units that have work, and the overhead loops, addresses, loads and
    stores; each is fetched from the instruction memory. Each copy of the macro has an instruction memory of its own and
    starts at most one instruction per cycle. A multiply-accumulate reads its two operands from registers, each read
    being shared by the units that use it, `operand_reuse` at most, and reads and writes its sum.

    Attributes:
        unrolling: Loops on the rows and columns of units at all sites, one of `UNROLLINGS` that a macro can do, such as
            "pixels x output channels" (static); subwords are still free. None (default): the program chooses.
        control_capacitance: Capacitance that decoding, control and clock switch in every cycle, F. Default 97 pF:
            calibrated on Envision's 290 mW at 16 bit (facts 3).
        vector_width: Units that one instruction starts. Default 256, the two-dimensional vector of Envision.
        instruction_overhead: Other instructions per vector instruction, 1. Default 0.35: 74 % of the cycles compute
            (facts 3).
        instruction_bits: Width of an instruction, bits. Default 128 (assumed: a long word with several slots).
        operand_reuse: Most units that one operand read serves. Default 16 (a row or column of Envision's array).
        instruction_memory: Program memory. Default 16 kB at 0.8 V.
        registers: Register file of one unit. Default 16 words of 16 bits at 0.8 V.

    Raises:
        ValueError: A quantity out of range, a part of the wrong kind, or an unknown unrolling.
    """

    control_capacitance: Quantity = quantity("control_capacitance", unit="F", symbol="C_control", default=97e-12)
    vector_width: Quantity = quantity("vector_width", unit="1", positive=True, default=256.0)
    instruction_overhead: Quantity = quantity("instruction_overhead", unit="1", default=0.35)
    instruction_bits: Quantity = quantity("instruction_bits", unit="bit", default=128.0)
    operand_reuse: Quantity = quantity("operand_reuse", unit="1", positive=True, default=16.0)
    instruction_memory: Sram = eqx.field(default_factory=lambda: Sram(capacity=16 * 8 * 1024.0))
    registers: RegisterFile = eqx.field(default_factory=RegisterFile)
    unrolling: str | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Check the parts and the unrolling."""
        part_of("instruction_memory", self.instruction_memory, Sram)
        part_of("registers", self.registers, RegisterFile)
        if self.unrolling is not None:
            one_of("unrolling", self.unrolling, UNROLLINGS)

    def unrollings(self, macro: Macro) -> tuple[Unrolling, ...]:
        """All that the macro can do, or those of the given name.

        Args:
            macro: The macro.
        """
        return tuple(one for one in macro.unrollings if self.unrolling in (None, one.name))

    def check_macros(self, macros: Sequence[Macro]) -> None:
        """Raise ValueError for a given unrolling that some macro with a choice cannot do, or that none can."""
        names = [tuple(dict.fromkeys(one.name for one in macro.unrollings)) for macro in macros if macro.unrollings]
        if self.unrolling is None or (names and all(self.unrolling in ways for ways in names)):
            return
        able = " and ".join(" or ".join(map(repr, ways)) for ways in names)
        raise ValueError(
            f"Argument `unrolling` must be None or what the macros can do, {able or 'which here have no choice'}, but "
            f"is {self.unrolling!r}."
        )

    def overhead(self, macro: Macro, work: Work, cost: MacroCost, busiest: MacroCost) -> Overhead:
        """Registers, instructions, and cycles in which the units wait for instructions."""
        macs = float(work.macs)
        subwords = jnp.maximum(jnp.asarray(cost.peak_macs) / float(macro.rows * macro.columns), 1.0)
        instructions = macs / (self.vector_width * subwords * cost.filled) * (1.0 + self.instruction_overhead)
        share = quotient(busiest.compute_cycles, cost.compute_cycles)
        weights, inputs = (jnp.minimum(self.operand_reuse, one) for one in (cost.weight_sharing, cost.input_sharing))
        operands = macs / weights * macro.weight_bits + macs / inputs * macro.input_bits
        sums = jnp.asarray(macs * ACCUMULATOR_BITS)
        registers = self.registers.read_energy(operands + sums) + self.registers.write_energy(operands + sums)
        return Overhead(
            register_energy=registers,
            control_energy=self.instruction_memory.energy(instructions * self.instruction_bits),
            cycles=jnp.maximum(instructions * share - busiest.compute_cycles, 0.0),
        )

    @property
    def area(self) -> Float[Array, ""]:
        """Instruction memory and one register file per unit of the vector, m^2."""
        return self.instruction_memory.area() + self.vector_width * self.registers.area()

    def leakage_power(self, temperature: Real[ArrayLike, ""]) -> Float[Array, ""]:
        """Leakage of instruction memory and register files, W.

        Args:
            temperature: K, shape ().
        """
        registers = self.vector_width * self.registers.leakage_power(temperature)
        return self.instruction_memory.leakage_power(temperature) + registers

    def at_supply(self, supply: Float[Array, ""]) -> "Processor":
        """The same processor with registers and instruction memory at this supply (V)."""
        parts = {"registers": self.registers, "instruction_memory": self.instruction_memory}
        return dataclasses.replace(self, **{name: with_supply(part, supply) for name, part in parts.items()})
