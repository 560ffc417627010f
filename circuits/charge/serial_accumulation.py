"""Analog shift-and-add over serial inputs: a line shares its charge with a capacitor digit by digit."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.noise.finite_slopes import ratio
from amsim.noise.loops import scan
from amsim.noise.mismatch import MOM_FRINGE_COEFFICIENT, capacitor_mismatch_sigma
from amsim.noise.switching import settled_fraction


class SerialAccumulation(eqx.Module):
    r"""Capacitor of each column that adds up lines with binary weights, one conversion after the last digit.

    Input digits come one after another, least significant first. Each is an evaluation of the line as without this
    part; then the line is joined to the accumulation capacitor, which starts at the reset level V_cm. Relative to it:

    `V_acc <- (C_a V_acc + C_tot V) / (C_a + C_tot) = a V_acc + (1 - a) V`, `a = C_a / (C_a + C_tot)`.

    After n digits `V_acc = sum_s a**(n-1-s) (1 - a) V_s`. For digits of one bit `C_a = C_tot` halves at each step, so
    that each digit counts twice the one before; for those of k bits (with a `RowDac`) `C_a = C_tot / (2**k - 1)`. The
    readout sees C_a alone, `1 - a**n` of the swing of a line, which the converter's reference follows.

    A ratio that is off bends the weights: `capacitor_ratio` for all columns, `mismatch_coefficient` and the mismatch of
    the line's own capacitors by column and die; so does the droop of C_a through its open switches to V_cm,
    `off_resistance`, between two sharings. The noise on C_a is `kT / C_a` after any number of sharings, whatever a and
    the droop: what a sharing adds, `kT C_tot / (C_a (C_a + C_tot))`, makes up for what it takes of the noise before and
    of the line's.

    C_a is divided like a line with `banks`: each bank that is on brings its part, so that the ratio holds.

    Attributes:
        digits: Input digits of one conversion (static), 2 to 16: bits, or with a `RowDac` groups of its bits. Their
            bits divide the array's `input_bits`. Default 2.
        capacitor_ratio: C_a over the one that makes the weights exact, 1. Default 1.
        mismatch_coefficient: Relative sigma of C_a times sqrt of its capacitance, sqrt(F). Default that of a unit
            capacitor.
        off_resistance: Of the open switches on C_a, Ohm. None (default) holds forever.
        switch_capacitance: Gates that one sharing or reset of a column switches, F. Default 0.31 fF (facts 8).
        sharing_cycles: Clock cycles of one sharing. Default 1 (assumed): the line is not reset meanwhile.
        capacitor_density: F/m^2, for the area of C_a. Default 2 fF/um^2 (assumed, as of `SarAdc`).

    Raises:
        ValueError: Digits out of range, or a ratio, a density or a resistance that is not above 0.

    Validity: the switch settles in its cycle, its charge injection is left out. Source: charge conservation; facts 8.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource(
            "accumulation mismatch",
            "static",
            "Random deviations of the accumulation capacitors, which bend the weights of input digits.",
            sizes=("mismatch_coefficient",),
        ),
        ErrorSource(
            "accumulation ratio",
            "systematic",
            "Ratio of accumulation capacitor and line off its exact value.",
            sizes=("capacitor_ratio",),
            off={"capacitor_ratio": 1.0},
        ),
        ErrorSource(
            "accumulation droop",
            "systematic",
            "Leakage of the accumulation capacitor between two input digits.",
            off={"off_resistance": None},
            effects=("accumulation ratio",),
        ),
    )

    digits: int = count(default=2)
    capacitor_ratio: Quantity = quantity("capacitor_ratio", unit="1", positive=True, default=1.0)
    mismatch_coefficient: Quantity = quantity(
        "mismatch_coefficient", unit="F^0.5", symbol="K_C", default=MOM_FRINGE_COEFFICIENT
    )
    off_resistance: Quantity | None = quantity("off_resistance", unit="Ohm", positive=True, optional=True)
    switch_capacitance: Quantity = quantity("switch_capacitance", unit="F", default=0.31e-15)
    sharing_cycles: Quantity = quantity("sharing_cycles", unit="1", default=1.0)
    capacitor_density: Quantity = quantity("capacitor_density", unit="F/m2", positive=True, default=2e-3)

    def __check_init__(self) -> None:
        """Check the number of digits."""
        integer_between("digits", self.digits, 2, 16)

    @checked_arguments
    def capacitance(self, line: Float[Array, "..."], digit_bits: int = 1) -> Float[Array, "..."]:
        """Nominal C_a beside a line of this capacitance, F, for digits of `digit_bits` bits."""
        return self.capacitor_ratio * line / (2**digit_bits - 1)

    @checked_arguments
    def kept(self, size: Real[ArrayLike, "..."], digit_bits: int = 1) -> Float[Array, "..."]:
        """Part a that a sharing leaves of V_acc, 1.

        Args:
            size: C_a over C_tot, each relative to its nominal value.
            digit_bits: Bits of a digit.
        """
        own = self.capacitor_ratio * jnp.asarray(size)
        return ratio(own, own + (2**digit_bits - 1))

    @checked_arguments
    def relative_sigma(self, capacitance: Float[Array, ""]) -> Float[Array, ""]:
        """Standard deviation of C_a (F) between columns, relative to it, 1."""
        return capacitor_mismatch_sigma(capacitance, self.mismatch_coefficient)

    @checked_arguments
    def held(self, time: Float[Array, ""], capacitance: Float[Array, ""]) -> Float[Array, ""]:
        """Part of V_acc that is left after a time (s) between two sharings, 1, for a C_a in F."""
        if self.off_resistance is None:
            return jnp.ones_like(self.capacitor_ratio)
        return 1.0 - settled_fraction(time, self.off_resistance * capacitance)

    @checked_arguments
    def passed(self, kept: Float[Array, "*columns"], held: Float[Array, ""] | float = 1.0) -> Float[Array, "..."]:
        """What later sharings leave of each digit, shape (digits, *columns), 1: `(a held)**(n-1-s)`.

        Args:
            kept: a, from `kept`.
            held: From `held`.
        """
        later = jnp.arange(self.digits - 1, -1, -1, dtype=kept.dtype).reshape((-1,) + (1,) * kept.ndim)
        return (kept * held)[None] ** later

    @checked_arguments
    def weights(self, kept: Float[Array, "*columns"], held: Float[Array, ""] | float = 1.0) -> Float[Array, "..."]:
        """Weight of each digit in V_acc, shape (digits, *columns), 1: `(1 - a)` times `passed`, its arguments."""
        return self.passed(kept, held) * (1.0 - kept)[None]

    @checked_arguments
    def accumulated(
        self, lines: Float[Array, "digits ..."], kept: Float[Array, "..."], held: Float[Array, ""] | float = 1.0
    ) -> Float[Array, "..."]:
        """V_acc after all digits, relative to V_cm, V, sharing after sharing.

        Args:
            lines: Lines before each sharing relative to V_cm, least significant digit first, V.
            kept: a, from `kept`, that broadcasts against a line.
            held: From `held`.
        """

        def share(before: Array, line: Array) -> tuple[Array, None]:
            return kept * held * before + (1.0 - kept) * line, None

        start = jnp.zeros(jnp.broadcast_shapes(lines.shape[1:], jnp.shape(kept)), lines.dtype)
        return scan(share, start, lines)[0]

    def ideal(self) -> "SerialAccumulation":
        """The same accumulation without mismatch, with exact weights and no droop."""
        return dataclasses.replace(self, mismatch_coefficient=0.0, capacitor_ratio=1.0, off_resistance=None)
