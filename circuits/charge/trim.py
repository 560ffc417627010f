"""Offset trim as a step of manufacture: measure with a finite number of decisions, choose a code, keep the residual."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import integer_between
from amsim.circuits.fields import Quantity, count, quantity
from amsim.noise.gradients import rounded

MOST_BITS = 16
"""Finest trim: 1 uV over +-32 mV, far below any comparator's noise."""


class Trim(eqx.Module):
    r"""Digital code, written once, that a small converter subtracts from a comparator's offset.

    Codes are the integers `-2**bits // 2 .. 2**bits // 2 - 1` times `step = 2 range / 2**bits` (code 0 subtracts
    nothing; 0 bits are no trim). The offset is found by successive approximation, each of `bits` steps a majority vote
    of `averages` decisions. With input noise `s`, `n` decisions at a distance `d` from the threshold give a fraction of
    ones about `Phi(d / s)`; its variance `1 / (4 n)` over its slope squared `1 / (2 pi s^2)` makes the distance known
    with variance `(pi / 2) s^2 / n`. The nearest code to the offset with that one Gaussian error is chosen, clipped to
    the ends.

    Attributes:
        bits: Resolution, 0 to 16 (static).
        range: Largest offset cancelled on the negative side, one step more than on the positive, V; 0 is no trim.
            Default 32 mV, 4 sigma of the default offset (assumed); the step is then 0.25 mV.
        averages: Decisions in each vote, 1. Default 64 (assumed).
        temperature: Temperature of the array when the code was chosen, K. None (default): that of use, as if the trim
            were repeated at each.
        supply: Supply of the array then, V. None (default): that of use.

    Raises:
        ValueError: Bits outside 0..16, a negative range or temperature, or averages or a supply not above 0.

    Validity: the vote is Gaussian for about 10 averages and more. One error stands for those of all search steps, exact
    to 2 % of the residual while it is below a third of a step; above, it is pessimistic (by 8 % at 0.6 of a step, 20 %
    at 1.3), because steps near the same threshold vote again. The subtracted voltage itself is taken to stay.
    Source: facts 5.3 for the decision probability; the variance is derived above.
    """

    bits: int = count(unit="bit", default=8)
    range: Quantity = quantity("range", unit="V", symbol="R", default=32e-3)
    averages: Quantity = quantity("averages", unit="1", symbol="n", positive=True, default=64.0)
    temperature: Quantity | None = quantity("temperature", unit="K", symbol="T_0", optional=True)
    supply: Quantity | None = quantity("supply", unit="V", symbol="V_trim", positive=True, optional=True)

    def __check_init__(self) -> None:
        """Check the resolution."""
        integer_between("bits", self.bits, 0, MOST_BITS)

    @property
    def step(self) -> Float[Array, ""]:
        """Difference of neighbouring codes, V."""
        return self.range * (2.0 / 2**self.bits)

    @property
    def decisions(self) -> Float[Array, ""]:
        """Decisions per trim, 1."""
        return self.bits * self.averages

    @checked_arguments
    def measurement_sigma(self, noise: Float[Array, ""]) -> Float[Array, ""]:
        """Standard deviation of the measured offset, V: `noise sqrt(pi / (2 averages))`."""
        return noise * jnp.sqrt(math.pi / 2 / self.averages)

    @checked_arguments
    def correction(self, measured: Float[Array, "*lines"]) -> Float[Array, "*lines"]:
        """Voltage that the chosen codes subtract.

        Args:
            measured: Offsets as measured, shape (*lines), V.

        Returns:
            The code nearest to each, shape (*lines), V. A code has no derivative: the correction moves with `range`
            and never with the offset.
        """
        step = jnp.where(self.step > 0, self.step, 1.0)
        lowest = -(2**self.bits // 2)
        codes = jnp.clip(rounded(measured / step, "none"), lowest, lowest + 2**self.bits - 1)
        return codes * self.step

    @checked_arguments
    def energy(self, decision_energy: Float[Array, ""] | float) -> Float[Array, ""]:
        """Energy of trimming one comparator once, J: its decisions of `decision_energy` (J); no search logic."""
        return self.decisions * decision_energy

    @checked_arguments
    def time(self, decision_time: Float[Array, ""] | float) -> Float[Array, ""]:
        """Time of trimming one comparator once, s: its decisions of `decision_time` (s) one after another."""
        return self.decisions * decision_time
