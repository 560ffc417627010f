"""Converters on a capacitor line: the analog-to-digital converter that reads it and the bias DAC that shifts it.

Line values are counted in cells: one cell is the step of the line when one unit capacitor goes high.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checks import Quantity, count, integer_between, quantity
from amsim.circuits.operands import limited
from amsim.noise.gradients import rounded


class Adc(eqx.Module):
    """Uniform analog-to-digital converter of a line.

    The reference follows the swing of the rows in use: full scale is `range` times the driven rows, centred on half
    of them. The step is never finer than one cell, because a sum is a whole number of cells (half cells where a row
    may rest at mid level: argument `finest`).
    Energy of a conversion: `(linear_capacitance * bits + exponential_capacitance * 4**bits) * VDD**2`.

    Attributes:
        bits: Resolution, 1 to 16 (static).
        range: Full scale relative to the swing of the driven rows, 1; values outside clip and are counted.
        linear_capacitance: F. Default 100 fF (facts 6.4, fitted to 28 nm chips by ZigZag-IMC).
        exponential_capacitance: F. Default 1 aF (same source).
        area: Area of one converter, m^2. Default 2660e-12 (facts 6.3, 28 nm, 4-8 bit, 100 MS/s).

    Raises:
        ValueError: Bits outside 1..16, a negative capacitance or area, or a range that is not above 0.
    """

    bits: int = count(default=8)
    range: Quantity = quantity("range", positive=True, default=1.0)
    linear_capacitance: Quantity = quantity("linear_capacitance", default=100e-15)
    exponential_capacitance: Quantity = quantity("exponential_capacitance", default=1e-18)
    area: Quantity = quantity("area", default=2660e-12)

    def __check_init__(self) -> None:
        """Check the resolution."""
        integer_between("bits", self.bits, 1, 16)

    def lsb(
        self, driven_rows: Float[Array, "..."] | float, finest: Float[Array, "..."] | float = 1.0
    ) -> Float[Array, "..."]:
        """Step in cells for the given number of driven rows, at least `finest`."""
        return jnp.maximum(self.range * driven_rows / 2**self.bits, finest)

    def convert(
        self,
        cells: Float[Array, "..."],
        driven_rows: Float[Array, "..."] | float,
        finest: Float[Array, "..."] | float = 1.0,
    ) -> Float[Array, "..."]:
        """Line value, in cells, as read: quantised to the step and clipped to the range."""
        lsb, centre, half = self._scale(driven_rows, finest)
        return centre + lsb * limited(rounded((cells - centre) / lsb), -half, half - 1)

    def clipped(
        self,
        cells: Float[Array, "..."],
        driven_rows: Float[Array, "..."] | float,
        finest: Float[Array, "..."] | float = 1.0,
    ) -> Float[Array, ""]:
        """Fraction of line values outside the range by more than half a step."""
        lsb, centre, half = self._scale(driven_rows, finest)
        code = (cells - centre) / lsb
        return jnp.mean((code < -half - 0.5) | (code > half - 0.5), dtype=cells.dtype)

    def _scale(
        self, driven_rows: Float[Array, "..."] | float, finest: Float[Array, "..."] | float
    ) -> tuple[Array, Array, int]:
        # A centre on a whole cell keeps every level on a cell when the step is one cell.
        return self.lsb(driven_rows, finest), jnp.floor(jnp.asarray(driven_rows) / 2), 2 ** (self.bits - 1)

    def energy(self, supply: Float[Array, ""]) -> Float[Array, ""]:
        """Energy of one conversion, J."""
        return (self.linear_capacitance * self.bits + self.exponential_capacitance * 4.0**self.bits) * supply**2


class BiasDac(eqx.Module):
    """Binary-weighted capacitors on the line that realise a neuron's threshold.

    Bit `k` is `lsb * 2**k` unit capacitors driven high or low; a capacitor of half an LSB, driven high for even codes,
    gives thresholds of both parities. In counts (a sum of -1 and +1) the shifts are `lsb * j`, `|j| <= 2**bits - 1`.

    Attributes:
        bits: Number of binary-weighted capacitors, 1 to 16 (static). Default 9 (Bankman JSSC'19 abstract).
        lsb: Smallest binary-weighted capacitor in unit capacitors, 1.

    Raises:
        ValueError: Bits outside 1..16 or an LSB that is not above 0.
    """

    bits: int = count(default=9)
    lsb: Quantity = quantity("lsb", positive=True, default=1.0)

    def __check_init__(self) -> None:
        """Check the number of bits."""
        integer_between("bits", self.bits, 1, 16)

    @property
    def sections(self) -> int:
        """Capacitors that carry mismatch of their own: the bits and the half LSB."""
        return self.bits + 1

    def section_units(self) -> Float[Array, " sections"]:
        """Size of each capacitor in unit capacitors, least significant first, the half LSB last."""
        return self.lsb * jnp.asarray([2.0**k for k in range(self.bits)] + [0.5], self.lsb.dtype)

    def code(self, counts: Float[Array, "..."]) -> Float[Array, "..."]:
        """Nearest integer `j` to a wanted shift in counts, inside the range; gradient straight through."""
        largest = 2**self.bits - 1
        return limited(rounded(counts / self.lsb), -largest, largest)

    def clipped(self, counts: Float[Array, "..."], reach: Float[Array, "..."] | float) -> Float[Array, ""]:
        """Fraction of wanted shifts that the DAC misses by more than half a step, so that a decision may change.

        A DAC that shifts further than the line's `reach`, in counts, decides a threshold beyond both as it should.
        """
        largest = (2**self.bits - 1) * self.lsb
        missed = (jnp.abs(counts) > largest + self.lsb / 2) & (largest <= reach)
        return jnp.mean(missed, dtype=counts.dtype)

    def levels(self, code: Float[Array, "..."]) -> Float[Array, "... sections"]:
        """What each capacitor adds to a shift, in its own size: -1 or +1 for a bit, 0 or 2 for the half LSB."""
        whole = code.astype(jnp.int32)
        even = 1 - (whole & 1)
        # Bits of -1 and +1 sum to odd numbers only: an even code is the odd one below it plus the half LSB.
        binary = (whole - even + 2**self.bits - 1) // 2
        bits = [2 * ((binary >> k) & 1) - 1 for k in range(self.bits)]
        return jnp.stack([*bits, 2 * even], axis=-1).astype(code.dtype)
