"""Multi-precision digital multiply-accumulate units: subword parallelism with supply and clock scaled to precision."""

import dataclasses
import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between, one_of, part_of, shown
from amsim.circuits.contract.dataflow import DIMENSIONS, Dataflow, Unrolling
from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import Product
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.selection.codes import Rounding
from amsim.circuits.technology.between_nodes import area_ratio, energy_ratio
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.supply_scaling import with_supply_and_clock
from amsim.noise.switching import REFERENCE_TEMPERATURE


class PrecisionMode(eqx.Module):
    """Operating mode of the unit.

    Attributes:
        bits: Widest operand (static).
        subwords: Products per cycle of one unit (static).
        supply: V.
        clock: Hz.
        capacitance_ratio: Active capacitance relative to that of the widest mode, 1.
    """

    bits: int = count(unit="bit", symbol="b", default=16)
    subwords: int = count(unit="1", symbol="n", default=1)
    supply: Quantity = quantity("supply", unit="V", symbol="V_DD", positive=True, default=1.03)
    clock: Quantity = quantity("clock", unit="Hz", symbol="f_clk", positive=True, default=200e6)
    capacitance_ratio: Quantity = quantity("capacitance_ratio", unit="1", symbol="k_3", positive=True, default=1.0)


def precision_modes() -> tuple[PrecisionMode, ...]:
    """Modes of Envision at constant throughput.

    Subwords and the 200 MHz are published; supplies, the other clocks and the ratios 1 / k3 of active capacitance are
    recalled (facts 3, medium confidence).
    """
    return (
        PrecisionMode(bits=4, subwords=4, supply=0.65, clock=50e6, capacitance_ratio=1 / 3.2),
        PrecisionMode(bits=8, subwords=2, supply=0.80, clock=100e6, capacitance_ratio=1 / 1.82),
        PrecisionMode(),
    )


class MultiPrecision(Macro):
    r"""Dynamic-voltage-accuracy-frequency-scaled units after Envision (Moons et al., ISSCC'17).

    Operands are integers of 1 to 16 bits; the mode is the narrowest subword that holds both. A 16-bit unit then does
    `subwords` products per cycle at a lower clock and supply: `E_mac = E_16 (V / V_16)**2 / (k3 * subwords)`.
    Operands narrower than their subword toggle less: `mean(bits) / subword`. A product with a zero operand is skipped
    and costs nothing. Sums are exact in float32 while the magnitudes of their terms add up to less than 2**24, and
    within 6e-8 of that total per addition beyond; sums saturate once, at the end.

    Attributes:
        rows: Rows of units: output pixels side by side, or what `unrollings` says (static). Default 16.
        columns: Columns of units: filters side by side (static). Default 16.
        weight_bits: Bits of a weight (static).
        input_bits: Bits of an input (static).
        accumulator_bits: Width of the accumulator; sums beyond it saturate and are counted (static). None, the default,
            holds the sum of any number of products: the energy and area below are those of Envision's 48 bits
            (recalled), which 2**17 products of 16 bit fill. An explicit width has their energy and area too: a bit is
            a full adder and a flip-flop, 0.1 % of a MAC's energy and 0.2 % of a unit's area (facts 7.3).
        rounding: How operands are rounded (static).
        mac_energy: Energy of a MAC in the widest mode at its supply, with all that scales with precision: operand
            delivery and guarding, J. Default 6.7 pJ: calibrated on Envision's 7.6 mW at 4 bit, with its control on the
            290 mW at 16 bit (facts 3). Bare units are 2.2 pJ: 3.7 pJ of the 40 nm chip (facts 4.2) times 0.6.
        utilisation: Fraction of cycles that compute, 1. Default 0.74: 76 of 102.4 GOPS (facts 3).
        unit_area: Area of a 16-bit unit with its share of control, m^2. Default 4770e-12: calibrated on Envision's
            1.87 mm^2 less its SRAM and registers (facts 3).
        unit_leakage: Leakage of one unit at 0.8 V and 300 K, A. Default 0.5 uA: its area in NAND2 of 50 pA (assumed).
        modes: Ways to run the units, the narrowest first.
        process: Node of the units: energy, area and their scaling from 28 nm, where both are stated.

    Raises:
        ValueError: A size, word length, accumulator width or utilisation out of range.
    """

    digit_cells: ClassVar[bool] = False

    rows: int = count(default=16)
    columns: int = count(default=16)
    weight_bits: int = count(unit="bit", symbol="b_w", default=8)
    input_bits: int = count(unit="bit", symbol="b_x", default=8)
    accumulator_bits: int | None = count(unit="bit", default=None)
    rounding: Rounding = eqx.field(static=True, default="nearest")
    mac_energy: Quantity = quantity("mac_energy", unit="J", symbol="E_16", positive=True, default=6.7e-12)
    utilisation: Quantity = quantity("utilisation", unit="1", positive=True, at_most=1.0, default=0.74)
    unit_area: Quantity = quantity("unit_area", unit="m2", default=4770e-12)
    unit_leakage: Quantity = quantity("unit_leakage", unit="A", default=0.5e-6)
    modes: tuple[PrecisionMode, ...] = eqx.field(default_factory=precision_modes)
    process: Process = eqx.field(default_factory=Process)

    def __check_init__(self) -> None:
        """Check the accumulator and the rounding mode."""
        part_of("process", self.process, Process)
        if self.accumulator_bits is not None:
            integer_between("accumulator_bits", self.accumulator_bits, 2, 64)
        one_of("rounding", self.rounding, ("nearest", "truncate"))
        if not isinstance(self.modes, tuple | list):
            raise ValueError(f"Argument `modes` must be a tuple of PrecisionMode, but is {shown(self.modes)}.")
        for mode in self.modes:
            part_of("modes", mode, PrecisionMode)
        widths = [mode.bits for mode in self.modes]
        if not widths or widths != sorted(widths):
            raise ValueError(f"Argument `modes` must have rising `bits` and one mode at least, but has {widths}.")
        integer_between("weight_bits", self.weight_bits, 1, widths[-1])
        integer_between("input_bits", self.input_bits, 1, widths[-1])

    @property
    def mode(self) -> PrecisionMode:
        """Narrowest mode that holds both operands."""
        widest = max(self.weight_bits, self.input_bits)
        return next(mode for mode in self.modes if mode.bits >= widest)

    @property
    def deterministic(self) -> bool:
        """Every die computes the same."""
        return True

    @property
    def operand_rounding(self) -> Rounding:
        """The field `rounding`."""
        return self.rounding

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """Supply of the mode, V."""
        return self.mode.supply

    @property
    def area(self) -> Float[Array, ""]:
        """All units, m^2."""
        return self.rows * self.columns * (self.unit_area * area_ratio(self.process))

    @property
    def mac_energy_in_process(self) -> Float[Array, ""]:
        """Energy of a MAC in the widest mode at its supply and at the node in use, J."""
        return self.mac_energy * energy_ratio(self.process, self.modes[-1].supply)

    @checked_arguments
    def leakage_power(self, temperature: Real[ArrayLike, ""] = REFERENCE_TEMPERATURE) -> Float[Array, ""]:
        """Leakage of all units at the mode's supply, W.

        Args:
            temperature: K, shape ().
        """
        supply = self.operating_supply
        return self.rows * self.columns * self.unit_leakage * supply * self.process.leakage_ratio(supply, temperature)

    @checked_arguments
    def tiles(self, product: Product) -> int:
        """1: an accumulator sums any number of rows one after another."""
        return 1

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray) -> Die:
        """None: dies do not differ."""
        return None

    def multiply(self, operands: Operands, *, die: Die = None, key: PRNGKeyArray | None = None) -> Float[Array, "..."]:
        """Integer product, saturated to the accumulator."""
        coded = self.coded(operands)
        return coded.decode(jnp.clip(coded.product.sums(coded.x, coded.w), *self._sum_limits))

    def report(self, operands: Operands, *, neuron: Neuron | None = None) -> dict[str, Array]:
        """Fraction of products without a zero operand, and the fractions that clip or saturate."""
        coded = self.coded(operands)
        product, x, w = coded.product, coded.x, coded.w
        sums, (lowest, highest) = product.sums(x, w), self._sum_limits
        # The units multiply words; the contribution of a zero-point is a constant of the column.
        zero = coded.x_code.zero
        padding = 0.0 if zero is None else (zero != 0).astype(x.dtype)
        live = product.sums((coded.x_code.words(x) != 0).astype(x.dtype), (w != 0).astype(w.dtype), padding)
        activity = {"nonzero": jnp.mean(live) / product.rows} | coded.clipped_fractions()
        overflows = (sums < lowest) | (sums > highest)
        return activity | {"clipped_accumulator": jnp.mean(overflows, dtype=sums.dtype)}

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """MACs without a zero operand (none in unknown data), in as many cycles as the filling of the units takes.

        With `p` pixels, `k` filters and `b` input channels side by side, a site of `P` positions, `K` filters and `B`
        channels of `r` rows takes `ceil(P / p) ceil(K / k) (r ceil(B / b) + ceil(log2 b))` cycles over `utilisation`:
        the last term adds the sums of the `b` units as a tree. Weights are fetched for each group of pixels, inputs for
        each group of filters.
        """
        mode, macs, product = self.mode, float(work.macs), work.product
        narrow = (self.weight_bits + self.input_bits) / 2 / mode.bits
        relative = (mode.supply / self.modes[-1].supply) ** 2 * mode.capacitance_ratio / mode.subwords
        loops = self._unrolling(work)
        pixels, filters, channels = loops.side_by_side(self.rows, self.columns, mode.subwords).values()
        units = loops.side_by_side(self.rows, self.columns)
        groups, passes, parts = -(-work.positions // pixels), product.passes(filters), min(channels, product.blocks)
        steps = groups * passes * (product.row_block * -(-product.blocks // channels) + (parts - 1).bit_length())
        weight_bits = product.rows * product.columns * self.weight_bits
        outputs, peak = float(work.positions * product.columns), float(self.rows * self.columns * mode.subwords)
        return MacroCost(
            energy=macs * activity.get("nonzero", jnp.asarray(1.0)) * self.mac_energy_in_process * (relative * narrow),
            compute_cycles=float(steps) / self.utilisation,
            clock=mode.clock,
            weight_bits=float(weight_bits * groups),
            input_bits=work.fetched_bits(self.input_bits, passes),
            output_bits=outputs * self.input_bits,
            stored_bits=float(weight_bits),
            additions=outputs * (parts - 1),
            peak_macs=peak,
            passes=float(passes),
            filled=macs / (steps * peak),
            weight_sharing=min(float(units["pixels"]), work.positions / groups),
            input_sharing=min(float(units["output channels"]), product.columns / passes),
        )

    def ideal(self) -> "MultiPrecision":
        """The same unit with an accumulator that cannot saturate: a digital unit has no other error."""
        return dataclasses.replace(self, accumulator_bits=None)

    @checked_arguments
    def at_supply(
        self, supply: Float[Array, ""] | None, process: Process, former: Process | None = None
    ) -> "MultiPrecision":
        """The same unit with all modes at this supply; `mac_energy`, stated at that of the widest, goes with it."""
        modes = tuple(with_supply_and_clock(mode, supply, process, former) for mode in self.modes)
        energy = self.mac_energy * (modes[-1].supply / self.modes[-1].supply) ** 2
        return dataclasses.replace(self, modes=modes, mac_energy=energy)

    @property
    def dataflow(self) -> Dataflow:
        """Sums stay in the accumulators; rows of units, and the subwords in them, take output positions."""
        return Dataflow("output-stationary", columns=self.columns, rows=self.rows * self.mode.subwords)

    @property
    def unrollings(self) -> tuple[Unrolling, ...]:
        """Columns of units take filters; rows, and apart from them subwords, pixels, filters or input channels.

        The first has pixels on both.
        """
        several = self.mode.subwords > 1
        return tuple(
            Unrolling(rows, "output channels", subwords)
            for rows in DIMENSIONS
            for subwords in ((rows, *(one for one in DIMENSIONS if one != rows)) if several else (rows,))
        )

    def _unrolling(self, work: Work) -> Unrolling:
        """Filling that the work asks for, or the first."""
        ways = self.unrollings
        if work.unrolling is not None and work.unrolling not in ways:
            raise ValueError(
                f"Argument `work` must have an `unrolling` of this macro, one of {ways}, but has {work.unrolling}."
            )
        return work.unrolling or ways[0]

    @checked_arguments
    def sum_bits(self, rows: int) -> int:
        """Width of the accumulator; without one given, the bits that hold every sum."""
        return super().sum_bits(rows) if self.accumulator_bits is None else self.accumulator_bits

    @property
    def _sum_limits(self) -> tuple[float, float]:
        """Smallest and largest sum that the accumulator holds."""
        if self.accumulator_bits is None:
            return -math.inf, math.inf
        return -(2.0 ** (self.accumulator_bits - 1)), 2.0 ** (self.accumulator_bits - 1) - 1
