"""A binary neuron's threshold: the affine chain between product and sign, in the units of a line."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.contract.operands import Coded
from amsim.noise.gradients import with_gradient_of


class Neuron(eqx.Module):
    """Binary neuron that decides on the sign of `slope * product + intercept`, columns last.

    Attributes:
        slope: Broadcastable to the product; 0 makes the neuron a constant.
        intercept: Broadcastable to the product.
        ties_up: Whether an expression of exactly 0 gives the upper decision (static).
        tuning: Counts by which tuning on the die moves the threshold towards the upper decision, columns last, or None.
    """

    slope: Float[Array, "..."]
    intercept: Float[Array, "..."]
    ties_up: bool = eqx.field(static=True, default=True)
    tuning: Float[Array, "..."] | None = None

    def in_counts(self, coded: Coded) -> "Neuron":
        """The same neuron on the line's own value, the sum of one-bit products -1 and +1.

        With inputs `scale_x (g s + c)` and weights `scale_w t`, the product is `scale_x scale_w (g S + c sum_i t_i)`.
        """
        x_code, w_code, ndim = coded.x_code, coded.w_code, coded.x.ndim
        scale = _to_rank(x_code.scale, ndim) * _to_rank(w_code.scale, ndim)
        slope = _to_rank(self.slope, ndim) * scale * x_code.digit_gain
        neuron = Neuron(slope, _to_rank(self.intercept, ndim), self.ties_up)
        if x_code.centred:
            return self._with_tuning(neuron, ndim)
        column_sums = _to_rank(jnp.sum(coded.w, axis=0), ndim) * (x_code.digit_offset / x_code.digit_gain)
        # The exact shift first: the rounding error of a sum with the weights could hide a tie.
        intercept = slope * (neuron.exact_shift() + column_sums)
        return self._with_tuning(Neuron(slope, jnp.where(slope == 0, neuron.intercept, intercept), self.ties_up), ndim)

    def _with_tuning(self, in_counts: "Neuron", ndim: int) -> "Neuron":
        if self.tuning is None:
            return in_counts
        slope, intercept = in_counts.slope, in_counts.intercept
        return Neuron(slope, intercept + jnp.abs(slope) * _to_rank(self.tuning, ndim), self.ties_up)

    def exact_shift(self) -> Float[Array, "..."]:
        """Shift in counts that puts the threshold itself at 0; 0 for a constant neuron, which no line decides.

        Rounded when within rounding error of a whole count, since a computed threshold may just miss an exact tie.
        """
        slope = jnp.where(self.slope == 0, 1.0, self.slope)
        exact = jnp.where(self.slope == 0, 0.0, self.intercept / slope)
        whole = jnp.round(exact)
        close = jnp.abs(exact - whole) <= 8 * jnp.finfo(exact.dtype).eps * jnp.maximum(jnp.abs(exact), 1)
        return with_gradient_of(jnp.where(close, whole, exact), exact)

    def shift(self, rows: int) -> Float[Array, "..."]:
        """Shift that the bias DAC must add to a sum over `rows` products so that its sign is the decision, counts.

        The sum moves in steps of 2; the shift puts 0 half way between the last sum below the threshold and the first
        above. Its gradient is that of `intercept / slope`, the shift without steps.
        """
        exact, odd = self.exact_shift(), rows % 2
        # Sums are `2 k + odd`; the first k on the upper side includes an exact tie or not.
        threshold = (-exact - odd) / 2
        up = jnp.ceil(threshold) if self.ties_up else jnp.floor(threshold) + 1
        down = jnp.floor(threshold) + 1 if self.ties_up else jnp.ceil(threshold)
        first_above = 2 * jnp.where(self.slope >= 0, up, down) + odd
        return with_gradient_of(1.0 - first_above, exact)

    def decisive_shift(self, shift: Float[Array, "..."]) -> Float[Array, "..."]:
        """Realised shift plus 1/64 of its distance from the exact one, that distance limited to one count.

        With an odd number of undriven cells a sum may lie half way between two others, exactly on a threshold realised
        there; the added fraction then decides.
        """
        return shift + jnp.clip(self.exact_shift() - shift, -1, 1) / 64

    def from_counts(self, shifted: Float[Array, "..."]) -> Float[Array, "..."]:
        """Value of the expression for a line value with the threshold's shift added."""
        return jnp.where(self.slope == 0, self.intercept, self.slope * shifted)


def _to_rank(value: Array, ndim: int) -> Array:
    if value.ndim > ndim:
        return value.reshape(value.shape[value.ndim - ndim :])
    return value.reshape((1,) * (ndim - value.ndim) + value.shape)
