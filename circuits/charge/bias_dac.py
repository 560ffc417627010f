"""Digital-to-analog converter on a capacitor line: the bias DAC that shifts it to realise a threshold."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.selection.codes import limited
from amsim.noise.gradients import rounded


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

    bits: int = count(unit="bit", default=9)
    lsb: Quantity = quantity("lsb", unit="1", positive=True, default=1.0)

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

    @checked_arguments
    def code(self, counts: Float[Array, "..."]) -> Float[Array, "..."]:
        """Nearest integer `j` to a wanted shift in counts, inside the range; gradient straight through."""
        largest = 2**self.bits - 1
        return limited(rounded(counts / self.lsb), -largest, largest)

    @checked_arguments
    def clipped_fraction(self, counts: Float[Array, "..."], reach: Float[Array, "..."] | float) -> Float[Array, ""]:
        """Fraction of wanted shifts that the DAC misses by more than half a step, so that a decision may change.

        A DAC that shifts further than the line's `reach`, in counts, decides a threshold beyond both as it should.
        """
        largest = (2**self.bits - 1) * self.lsb
        missed = (jnp.abs(counts) > largest + self.lsb / 2) & (largest <= reach)
        return jnp.mean(missed, dtype=counts.dtype)

    @checked_arguments
    def levels(self, code: Float[Array, "..."]) -> Float[Array, "... sections"]:
        """Contribution of each capacitor to a shift, in its own size: -1 or +1 for a bit, 0 or 2 for the half LSB."""
        whole = code.astype(jnp.int32)
        even = 1 - (whole & 1)
        # Bits of -1 and +1 sum to odd numbers only: an even code is the odd one below it plus the half LSB.
        binary = (whole - even + 2**self.bits - 1) // 2
        bits = [2 * ((binary >> k) & 1) - 1 for k in range(self.bits)]
        return jnp.stack([*bits, 2 * even], axis=-1).astype(code.dtype)
