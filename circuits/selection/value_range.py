"""What is known of a tensor's values before any data are seen: their range, and the grid that they lie on."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

MOST_WORDS = 2.0**16
"""Words of the longest code, 16 bits."""
MOST_PARTS = 16
"""Parts of the finer step that the coarser may be a multiple of."""


class ValueRange(NamedTuple):
    """Range and grid of a tensor's values; None where nothing is known.

    The values are `scale * v` with `low <= v <= high`, and where `step` is known `v` is a whole number of steps.
    Without a step a code is scaled to the range if both ends are known. With one the code lies on the grid wherever all
    values have words there, so that it is exact, and is scaled to the values where they do not.

    Attributes:
        low: Smallest value, in the unit of the tensor over `scale`.
        high: Largest value, likewise.
        step: Spacing of the grid through 0 that the values lie on, above 0, likewise.
        scale: Factor that is known only when the values are, such as the learned scale of a quantiser; shape () or
            broadcastable to the tensor. Goes with `step` alone.
    """

    low: float | None = None
    high: float | None = None
    step: float | None = None
    scale: Float[Array, "..."] | None = None

    @property
    def limit(self) -> float | None:
        """Largest magnitude over `scale`, or None when a side is unknown or the range is the single point 0."""
        if self.low is None or self.high is None:
            return None
        return float(max(abs(self.low), abs(self.high))) or None

    @property
    def not_negative(self) -> bool:
        """Whether values over `scale` are known not to be negative."""
        return self.low is not None and self.low >= 0

    @property
    def of_code(self) -> "ValueRange":
        """What of it may fix a code of data yet to come: the grid, and without one the sign; a bound is no range."""
        return self if self.step else self.of_sign

    @property
    def of_sign(self) -> "ValueRange":
        """Its sign alone."""
        return ValueRange(0.0 if self.not_negative else None)

    @property
    def words(self) -> tuple[int, int] | None:
        """Numbers of steps at both ends, or None where an end or the step is unknown."""
        if not self.step or self.limit is None:
            return None
        assert self.low is not None
        assert self.high is not None
        return round(self.low / self.step), round(self.high / self.step)

    def in_words(self, lowest: int, highest: int) -> bool:
        """Whether every value is known to be one of the words `lowest` to `highest`, counted in steps."""
        return self.words is not None and lowest <= self.words[0] and self.words[1] <= highest


def grid_scale(
    values: Float[Array, "..."], known: ValueRange, axes: tuple[int, ...], words: tuple[int, int]
) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    """Scale of a code on the grid that values lie on, and whether all of them have words there.

    The scale is the step over the largest whole number with which the values still have words, so that a coarse grid
    also uses most of a long word.

    Args:
        values: The values.
        known: Their range, with a step.
        axes: Axes that share a code.
        words: Smallest and largest word.

    Returns:
        Scale and truth value, of the values' shape with `axes` of length 1, or of shape (). The truth value is also
        false where values that share a code have several steps.
    """
    assert known.step is not None
    factor, alike = _common_factor(values, known, axes)
    if known.in_words(*words):
        assert known.words is not None
        assert known.limit is not None
        # From the limit, so that the largest word stands for it to the bit.
        steps = max(abs(word) for word in known.words) * _spread(known.words, words)
        return jnp.asarray(known.limit / steps, values.dtype) * factor, alike
    step = jnp.asarray(known.step, values.dtype) * factor
    fixed = jax.lax.stop_gradient(values)
    sides = [reduce(fixed, axis=axes, keepdims=True, initial=0.0) / step for reduce in (jnp.min, jnp.max)]
    # A word is met to the rounding error of the values; a factor below 0 turns the sides round.
    low, high = (jnp.round(reduce(*sides)) for reduce in (jnp.minimum, jnp.maximum))
    below = jnp.where(low < 0, words[0] / jnp.where(low < 0, low, 1), jnp.inf)
    above = jnp.where(high > 0, words[1] / jnp.where(high > 0, high, 1), jnp.inf)
    room = jnp.minimum(below, above)
    return step / jnp.where(jnp.isfinite(room), jnp.maximum(jnp.floor(room), 1), 1), alike & (room >= 1)


def _spread(used: tuple[int, int], words: tuple[int, int]) -> int:
    """Largest whole number that the words in use can be multiplied with."""
    return min(word // end for end, word in zip(used, words, strict=True) if end * word > 0)


def _common_factor(
    values: Float[Array, "..."], known: ValueRange, axes: tuple[int, ...]
) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    """Factor known only with the values, 1 in place of 0, and whether all that share a code have the same."""
    if known.scale is None:
        return jnp.ones((), values.dtype), jnp.ones((), bool)
    factor, alike = jax.lax.stop_gradient(known.scale.astype(values.dtype)), jnp.ones((), bool)
    if factor.ndim:
        factor = jnp.broadcast_to(factor, values.shape)
        lowest, factor = (reduce(factor, axis=axes, keepdims=True) for reduce in (jnp.min, jnp.max))
        alike = lowest == factor
    return jnp.where(factor == 0, 1.0, factor), alike


def common_step(one: float | None, other: float | None) -> float | None:
    """Largest step that two grids through 0 are made of; 0 is the grid of the value 0 alone.

    None where one is unknown or no such step exists. Grids further apart than any word reaches do not meet in a code:
    theirs is the finer one.
    """
    if one is None or other is None:
        return None
    small, large = sorted((abs(one), abs(other)))
    if small == 0:
        return large
    ratio = large / small
    if ratio > MOST_WORDS:
        return small
    for parts in range(1, MOST_PARTS + 1):
        # Steps come from constants in float32.
        if abs(ratio * parts - round(ratio * parts)) <= parts * (1e-6 + 4e-7 * ratio):
            return small / parts
    return None
