"""Multi-level drivers of an array's rows: a DAC for each row, so that several input bits share one evaluation."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.contract.error_sources import ErrorSource
from amsim.circuits.fields import Quantity, count, quantity
from amsim.circuits.technology.between_nodes import area_ratio, energy_ratio
from amsim.circuits.technology.process import Process
from amsim.noise.finite_slopes import ratio

# The levels of one bit are ground and the supply, which the cells' own logic drives (facts 6.4: no DAC for 1 bit).
PLAIN = 1


class RowDac(eqx.Module):
    r"""DAC of each row that drives bottom plates to one of `2**bits` levels, and to the mirrored level.

    Built of binary-weighted elements, bit j of `2**j` units, `W_j = 2**j (1 + mismatch z_j / sqrt(2**j))`, each
    steered to the level of the row or to its mirror: `u = sum_j d_j W_j / sum_j W_j` for digits d of -1 and +1 (of 0
    and +1 for unipolar ones), a row line at `supply (1 + u) / 2` and another at `supply (1 - u) / 2`. A cell takes the
    one that its weight says, or stays half way:

    `V = V_cm + supply * sum_i C_i (1 + u_i w_i) / (2 C_tot)`, as exact as for one bit, and linear in u, so that
    settling, droop and faults of a line act on parts of a step as on whole ones. Both ends of the range are exact; in
    between the mismatch is the DAC's INL, drawn once per row and die and the same for all columns of that row. One bit
    is the plain driver, which costs nothing more.

    Levels have rails of their own, which give and take charge at their voltage: an evaluation takes
    `sum_i L_i q_i = supply**2 C_u (sum a_i**2 - (sum a_i)**2 C_u / C_tot)` with `a = L / supply`, divided by
    `reference_efficiency`. Linear buffers on the supply, which give their charge at the level and sink it to ground,
    take more: 6/5 of that at 2 bit, 3/2 at many (evenly spread levels, all of C_tot driven).

    Attributes:
        bits: Input bits of one evaluation (static), 1 to 8. They divide the array's `input_bits`. Default 2.
        mismatch: Relative standard deviation of one unit element, 1. Default 0.01 (assumed).
        noise: Rms noise of a row's level at the decision, V; an own draw in each column: that columns of one row have
            it in common is left out. Default 0.
        capacitance: Switched per bit at each new level of a row, F. Default 50 fF (facts 6.4).
        reference_efficiency: Share of the energy from the supply that reaches the levels, 1. Default 1: ideal rails.
        bit_area: Area per bit, m^2, of more than one bit. Default 10e-12: 50 fF at some 5 fF/um^2 (assumed).

    Raises:
        ValueError: Bits out of range, a negative quantity, or an efficiency that is not above 0 and at most 1.

    Validity: levels settle through `Drivers` of the cells where the array has them; the DAC's own output resistance and
    its load by the data of other columns are not modelled.
    Source: charge balance; facts 6.4.
    """

    error_sources: ClassVar[tuple[ErrorSource, ...]] = (
        ErrorSource("row DAC mismatch", "static", "Mismatch of the elements of the rows' DACs.", sizes=("mismatch",)),
        ErrorSource("row DAC noise", "dynamic", "Noise of the levels that rows are driven to.", sizes=("noise",)),
    )

    bits: int = count(unit="bit", symbol="k", default=2)
    mismatch: Quantity = quantity("mismatch", unit="1", symbol="s_DAC", default=0.01)
    noise: Quantity = quantity("noise", unit="V", default=0.0)
    capacitance: Quantity = quantity("capacitance", unit="F", default=50e-15)
    reference_efficiency: Quantity = quantity("reference_efficiency", unit="1", positive=True, at_most=1.0, default=1.0)
    bit_area: Quantity = quantity("bit_area", unit="m2", default=10e-12)

    def __check_init__(self) -> None:
        """Check the number of bits."""
        integer_between("bits", self.bits, 1, 8)

    @property
    def steps(self) -> int:
        """Steps between ground and supply."""
        return 2**self.bits - 1

    @property
    def sizes(self) -> Float[Array, " bits"]:
        """Nominal units of each bit, least significant first."""
        return jnp.asarray([2.0**bit for bit in range(self.bits)], self.mismatch.dtype)

    @checked_arguments
    def fabricate(self, key: PRNGKeyArray, rows: int) -> Float[Array, "rows bits"]:
        """Standard draws of the elements of `rows` DACs."""
        return jax.random.normal(key, (rows, self.bits))

    @checked_arguments
    def shares(self, draws: Real[ArrayLike, "rows bits"]) -> Float[Array, "rows bits"]:
        """Share of each bit in the range of its row's DAC; they add up to 1.

        Args:
            draws: Standard draws, from `fabricate`; zeros are nominal DACs.
        """
        elements = self.sizes[None, :] + self.mismatch * jnp.sqrt(self.sizes)[None, :] * jnp.asarray(draws)
        return ratio(elements, jnp.sum(elements, axis=1, keepdims=True))

    @checked_arguments
    def levels(
        self, codes: Real[ArrayLike, "... rows"], draws: Real[ArrayLike, "rows bits"]
    ) -> Float[Array, "... rows"]:
        """Level of each row relative to the supply, 1; its mirror is 1 less that.

        Args:
            codes: Whole numbers from 0 to `2**bits - 1`.
            draws: Standard draws, from `fabricate`.
        """
        whole = jnp.asarray(codes).astype(jnp.int32)
        bits = (
            jnp.right_shift(whole[..., None], jnp.arange(self.bits, dtype=jnp.int32).reshape((1,) * whole.ndim + (-1,)))
            & 1
        )
        shares = self.shares(draws)
        return jnp.sum(bits.astype(shares.dtype) * shares.reshape((1,) * (whole.ndim - 1) + shares.shape), axis=-1)

    @checked_arguments
    def integral_nonlinearity(self, draws: Real[ArrayLike, "rows bits"]) -> Float[Array, "rows levels"]:
        """Deviation of each level from its place between the exact ends, LSB."""
        codes = jnp.broadcast_to(jnp.arange(self.steps + 1.0)[:, None], (self.steps + 1, jnp.asarray(draws).shape[0]))
        return (self.steps * self.levels(codes, draws) - codes).T

    @checked_arguments
    def level_variance(self, square: Float[Array, ""] | float | None = None) -> Float[Array, ""]:
        """Expected variance of u over dies, to first order: `mismatch**2 (1 - E u**2) / (2**bits - 1)`.

        `du = mismatch sum_j sqrt(2**j) (d_j - u) z_j / (2**bits - 1)`, and for digits d of -1 and +1
        `sum_j 2**j (d_j - u)**2 = (2**bits - 1) (1 - u**2)`.

        Args:
            square: E u**2; None is that of evenly spread levels, `mean_square(bits)`.
        """
        return self.mismatch**2 * (1.0 - (mean_square(self.bits) if square is None else square)) / self.steps

    @checked_arguments
    def energy(self, supply: Float[Array, ""], process: Process | None = None) -> Float[Array, ""]:
        """Energy of a DAC for one level without the line's charge, J: `bits capacitance supply**2`, 0 for one bit.

        Args:
            supply: V.
            process: Node of its logic; None is 28 nm.
        """
        bits = 0 if self.bits == PLAIN else self.bits
        return bits * self.capacitance * energy_ratio(process, supply) * supply**2

    @checked_arguments
    def area_in(self, process: Process | None = None) -> Float[Array, ""]:
        """Area of a DAC in a process, m^2; 0 for one bit."""
        return (0 if self.bits == PLAIN else self.bits) * self.bit_area * area_ratio(process)

    @checked_arguments
    def rail_units(
        self, levels: Float[Array, "..."], squares: Float[Array, "..."], total: Float[Array, ""] | float
    ) -> Float[Array, "..."]:
        """Switched capacitance of an evaluation, unit capacitors: `(sum a**2 - (sum a)**2 / total)` over efficiency.

        Times `C_u supply**2` it is the energy taken from the supply.

        Args:
            levels: Sum of the levels relative to the supply, a, of all cells.
            squares: Sum of their squares.
            total: C_tot in unit capacitors.
        """
        return ratio(squares - levels * ratio(levels, total), self.reference_efficiency)

    def ideal(self) -> "RowDac":
        """The same DACs without mismatch and noise."""
        return eqx.tree_at(
            lambda one: (one.mismatch, one.noise),
            self,
            (jnp.zeros_like(self.mismatch), jnp.zeros_like(self.noise)),
        )


def mean_square(bits: int) -> float:
    """E u**2 of `2**bits` evenly spread levels u from -1 to 1: `(2**bits + 1) / (3 (2**bits - 1))`, 1 for one bit."""
    return (2**bits + 1) / (3 * (2**bits - 1))
