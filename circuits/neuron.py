"""A binary neuron's threshold: the affine chain between product and sign, in the units of a line."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.operands import IntegerCode


class Neuron(eqx.Module):
    """Decides on the sign of `slope * product + intercept`, columns last.

    Attributes:
        slope: Broadcastable to the product; 0 makes the neuron a constant.
        intercept: Broadcastable to the product.
        ties_up: Whether an expression of exactly 0 gives the upper decision (static).
    """

    slope: Float[Array, "..."]
    intercept: Float[Array, "..."]
    ties_up: bool = eqx.field(static=True, default=True)

    def in_counts(
        self, x_code: IntegerCode, w_code: IntegerCode, weights: Float[Array, "rows columns"], ndim: int
    ) -> "Neuron":
        """The same neuron on the line's own value, the sum of one-bit products -1 and +1.

        With inputs `scale_x (g s + c)` and weights `scale_w t`, the product is `scale_x scale_w (g S + c sum_i t_i)`.
        """
        scale = _to_rank(x_code.scale, ndim) * _to_rank(w_code.scale, ndim)
        slope, intercept = _to_rank(self.slope, ndim) * scale, _to_rank(self.intercept, ndim)
        if x_code.digit_offset:
            intercept = intercept + slope * x_code.digit_offset * _to_rank(jnp.sum(weights, axis=0), ndim)
        return Neuron(slope * x_code.digit_gain, intercept, self.ties_up)

    def shift(self, rows: int) -> Float[Array, "..."]:
        """What the bias DAC must add to a sum over `rows` products so that its sign is the decision, in counts.

        The sum moves in steps of 2; the shift puts 0 half way between the last sum below the threshold and the first
        above. Its gradient is that of `intercept / slope`, the shift without steps.
        """
        slope = jnp.where(self.slope == 0, 1.0, self.slope)
        exact = self.intercept / slope
        high_cells = _snapped((rows - exact) / 2)
        # The first sum on the upper side includes an exact tie or not.
        up = jnp.ceil(high_cells) if self.ties_up else jnp.floor(high_cells) + 1
        down = jnp.floor(high_cells) + 1 if self.ties_up else jnp.ceil(high_cells)
        first_above = 2 * jnp.where(slope > 0, up, down) - rows
        return _with_gradient_of(1.0 - first_above, exact)

    def from_counts(self, shifted: Float[Array, "..."]) -> Float[Array, "..."]:
        """The expression's value for a line value that has the threshold's shift added."""
        return jnp.where(self.slope == 0, self.intercept, self.slope * shifted)


def _snapped(values: Array) -> Array:
    """Values within rounding error of a whole number, made whole: a computed threshold may miss an exact tie."""
    whole = jnp.round(values)
    close = jnp.abs(values - whole) <= 8 * jnp.finfo(values.dtype).eps * jnp.maximum(jnp.abs(values), 1)
    return jnp.where(close, whole, values)


def _to_rank(value: Array, ndim: int) -> Array:
    if value.ndim > ndim:
        return value.reshape(value.shape[value.ndim - ndim :])
    return value.reshape((1,) * (ndim - value.ndim) + value.shape)


@jax.custom_jvp
def _with_gradient_of(value: Array, surrogate: Array) -> Array:
    return value


@_with_gradient_of.defjvp
def _with_gradient_of_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return primals[0], tangents[1]
