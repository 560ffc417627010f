"""Multi-precision digital multiply-accumulate units: subword parallelism with supply and clock scaled to precision."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checks import Quantity, count, integer_between, one_of, quantity
from amsim.circuits.macro import UNKNOWN, Die, Macro, MacroCost, Work, over_columns
from amsim.circuits.neuron import Neuron
from amsim.circuits.operands import Rounding, ValueRange
from amsim.circuits.products import Product


class PrecisionMode(NamedTuple):
    """One way to run the unit: subwords a cycle, supply, clock, and how much less logic toggles."""

    bits: int
    subwords: int
    supply: float
    clock: float
    capacitance_ratio: float


PRECISION_MODES = (
    PrecisionMode(bits=4, subwords=4, supply=0.65, clock=50e6, capacitance_ratio=1 / 3.2),
    PrecisionMode(bits=8, subwords=2, supply=0.80, clock=100e6, capacitance_ratio=1 / 1.82),
    PrecisionMode(bits=16, subwords=1, supply=1.03, clock=200e6, capacitance_ratio=1.0),
)
"""Modes of Envision at constant throughput. Subwords and the 200 MHz are published; supplies, the other clocks and the
ratios 1 / k3 of active capacitance are recalled (facts 3, medium confidence)."""


class MultiPrecision(Macro):
    r"""Dynamic-voltage-accuracy-frequency-scaled units after Envision (Moons et al., ISSCC'17).

    Operands are integers of 1 to 16 bits; the mode is the narrowest subword that holds both. A 16-bit unit then does
    `subwords` products a cycle at a lower clock and supply: `E_mac = E_16 (V / V_16)**2 / (k3 * subwords)`.
    Operands narrower than their subword toggle less: `mean(bits) / subword`. A product with a zero operand is skipped
    and costs nothing. Sums are exact in float32 while the magnitudes of their terms add up to less than 2**24, and
    within 6e-8 of that total for each addition beyond; sums saturate once, at the end.

    Attributes:
        rows: Rows of units that share a weight: output pixels side by side (static). Default 16.
        columns: Columns of units that share an input: filters side by side (static). Default 16.
        weight_bits: Bits of a weight (static).
        input_bits: Bits of an input (static).
        accumulator_bits: Width of the accumulator; sums beyond it saturate and are counted (static).
        rounding: How operands are rounded (static).
        mac_energy: Energy of a 16-bit MAC at 1.03 V, J. Default 2.2 pJ: 3.7 pJ of the 40 nm chip (facts 4.2) times
            0.6 for 28 nm; also three times the bare gates (facts 7.1, 7.3). The split of the chip's total is assumed.
        utilisation: Fraction of cycles that compute, 1. Default 0.74: 76 of 102.4 GOPS (facts 3).
        unit_area: Area of a 16-bit unit with its share of control, m^2. Default 6300e-12: calibrated on Envision's
            1.87 mm^2 less its SRAM (facts 3).

    Raises:
        ValueError: A size, word length, accumulator width or utilisation out of range.
    """

    rows: int = count(default=16)
    columns: int = count(default=16)
    weight_bits: int = count(default=8)
    input_bits: int = count(default=8)
    accumulator_bits: int = count(default=32)
    rounding: Rounding = eqx.field(static=True, default="nearest")
    mac_energy: Quantity = quantity("mac_energy", positive=True, default=2.2e-12)
    utilisation: Quantity = quantity("utilisation", positive=True, at_most=1.0, default=0.74)
    unit_area: Quantity = quantity("unit_area", default=6300e-12)

    def __check_init__(self) -> None:
        """Check the accumulator and the rounding mode."""
        integer_between("accumulator_bits", self.accumulator_bits, 2, 64)
        one_of("rounding", self.rounding, ("nearest", "truncate"))

    @property
    def mode(self) -> PrecisionMode:
        """Narrowest mode that holds both operands."""
        widest = max(self.weight_bits, self.input_bits)
        return next(mode for mode in PRECISION_MODES if mode.bits >= widest)

    @property
    def deterministic(self) -> bool:
        """Every die computes the same."""
        return True

    @property
    def operating_supply(self) -> Float[Array, ""]:
        """Supply of the mode, V."""
        return jnp.asarray(self.mode.supply)

    @property
    def area(self) -> Float[Array, ""]:
        """All units, m^2."""
        return self.rows * self.columns * self.unit_area

    def tiles(self, product: Product) -> int:
        """1: an accumulator sums any number of rows, one after another."""
        return 1

    def fabricate(self, key: PRNGKeyArray) -> Die:
        """None: dies do not differ."""
        return None

    def multiply(
        self,
        product: Product,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        *,
        die: Die = None,
        key: PRNGKeyArray | None = None,
        input_range: ValueRange = UNKNOWN,
        weight_range: ValueRange = UNKNOWN,
    ) -> Float[Array, "..."]:
        """Integer product, saturated to the accumulator."""
        x_code, x, w_code, w = self._encode(product, inputs, matrix, input_range, weight_range, self.rounding)
        sums = product.sums(x, w)
        largest = 2.0 ** (self.accumulator_bits - 1)
        sums = jnp.clip(sums, -largest, largest - 1)
        return sums * x_code.scale * over_columns(w_code.scale, sums.ndim)

    def report(
        self,
        product: Product,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        *,
        neuron: Neuron | None = None,
        input_range: ValueRange = UNKNOWN,
        weight_range: ValueRange = UNKNOWN,
    ) -> dict[str, Array]:
        """Fraction of products without a zero operand, and the fractions that clip or saturate."""
        x_code, x, w_code, w = self._encode(product, inputs, matrix, input_range, weight_range, self.rounding)
        sums, largest = product.sums(x, w), 2.0 ** (self.accumulator_bits - 1)
        live = product.sums((x != 0).astype(x.dtype), (w != 0).astype(w.dtype))
        return {
            "nonzero": jnp.mean(live) / product.rows,
            "clipped_inputs": x_code.clipped(inputs),
            "clipped_weights": w_code.clipped(matrix),
            "clipped_accumulator": jnp.mean((sums < -largest) | (sums > largest - 1), dtype=sums.dtype),
        }

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """MACs without a zero operand; each weight serves a row of units, each input a column of them."""
        mode, macs = self.mode, float(work.macs)
        narrow = (self.weight_bits + self.input_bits) / 2 / mode.bits
        relative = (mode.supply / PRECISION_MODES[-1].supply) ** 2 * mode.capacitance_ratio / mode.subwords
        cycles = macs / (self.rows * self.columns * mode.subwords) / self.utilisation
        weight_bits = work.product.rows * work.product.columns * self.weight_bits
        column_passes = -(-work.product.columns // self.columns)
        return MacroCost(
            energy=macs * activity["nonzero"] * self.mac_energy * (relative * narrow),
            cycles=cycles,
            seconds=cycles / mode.clock,
            weight_bits=float(weight_bits * -(-work.positions // (self.rows * mode.subwords))),
            input_bits=float(work.input_words * self.input_bits * column_passes) * work.window_fetches,
            output_bits=float(work.positions * work.product.columns * self.input_bits),
            stored_bits=float(weight_bits),
        )

    def ideal(self) -> "MultiPrecision":
        """The same unit with an accumulator that cannot saturate: a digital unit has no other error."""
        return dataclasses.replace(self, accumulator_bits=64)
