"""Choice of the integer codes of inputs and weights from their observed values.

Values are counted in logarithmic bins, `BINS_PER_OCTAVE` per factor of two, so that one count suits values of any size
and counts of several batches add up.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from amsim.circuits.adc.range_selection import check_method, weighted_quantile
from amsim.circuits.checks import integer_between
from amsim.circuits.selection.codes import DigitSet, IntegerCode, Rounding, highest_code, words_of, zero_point
from amsim.circuits.selection.value_range import ValueRange, grid_scale

BINS_PER_OCTAVE = 256
OCTAVES = 96
"""Magnitudes from 2**-48 to 2**48; smaller ones count as 0, larger ones in the last bin."""

SMALLEST_COUNTED, LARGEST_COUNTED = 2.0 ** (-OCTAVES / 2), 2.0 ** (OCTAVES / 2)

OCTAVES_IN_USE = 24
"""Octaves below the largest magnitude that matter to a code of at most 16 bits."""

CANDIDATES = 64
"""Limits that "minimum-error" tries, evenly spaced up to the one that clips nothing."""

SIDE_CANDIDATES = 24
"""Limits tried per side of a range with a zero-point."""

_SIDE = BINS_PER_OCTAVE * OCTAVES


class _Observed(NamedTuple):
    """Observed values: counts per bin, and the ends of their range, which contains 0."""

    counts: Real[Array, " bins"]
    low: Float[Array, ""]
    high: Float[Array, ""]

    @property
    def largest(self) -> Float[Array, ""]:
        """Largest magnitude."""
        return jnp.maximum(-self.low, self.high)


class _Wanted(NamedTuple):
    """Requirements on a code: its words, and the method that chooses its range."""

    bits: int
    signed: bool
    method: str
    coverage: float
    rounding: Rounding


def value_counts(values: Float[Array, "..."]) -> Int[Array, " bins"]:
    """Number of values per bin: negative magnitudes, positive ones, and zeros last."""
    magnitudes = jnp.abs(values).ravel()
    place = jnp.floor((jnp.log2(jnp.where(magnitudes > 0, magnitudes, 1.0)) + OCTAVES / 2) * BINS_PER_OCTAVE)
    bins = jnp.clip(place, 0, _SIDE - 1).astype(jnp.int32) + jnp.where(values.ravel() > 0, _SIDE, 0)
    small = (magnitudes == 0) | (place < 0)
    return jnp.bincount(jnp.where(small, 2 * _SIDE, bins), length=2 * _SIDE + 1)


def select_input_code(
    counts: Real[Array, " bins"],
    low: Float[Array, ""],
    high: Float[Array, ""],
    bits: int,
    *,
    method: str = "minimum-error",
    coverage: float = 0.999,
    symmetric: bool = True,
    known: ValueRange | None = None,
    rounding: Rounding = "nearest",
) -> IntegerCode:
    """Code of inputs that suits observed values.

    Values on a known grid that all have words there are coded on it, by any method. Else "min-max" codes all of them,
    "percentile" a fraction `coverage` (all, where so many are 0), and "minimum-error" has the least mean square of
    rounding and clipping errors among `CANDIDATES` limits (with a zero-point: `SIDE_CANDIDATES` on each side) and the
    limit that the program itself fixes. A symmetric code is unsigned where no value is negative; with a zero-point the
    words reach from the smallest value, or 0, to the largest, or 0. One bit is always symmetric: -1, +1 about 0.

    Args:
        counts: From `value_counts`, summed over batches.
        low: Smallest value observed, shape ().
        high: Largest value observed, shape ().
        bits: Word length, 1 to 16.
        method: "min-max", "percentile" or "minimum-error".
        coverage: For "percentile", above 0 and at most 1.
        symmetric: False chooses a zero-point.
        known: Range that the program fixes, if any.
        rounding: Of the code.

    Returns:
        The code, its scale of shape ().

    Raises:
        ValueError: An unknown method, or bits or a coverage outside their ranges.

    Valid for values that are typical of those coded later; limits are within 0.3 % (a bin) except those of "min-max".
    """
    check_method("method", method, coverage)
    integer_between("bits", bits, 1, 16)
    known = ValueRange() if known is None else known
    seen = _Observed(counts, jnp.minimum(low, 0.0), jnp.maximum(high, 0.0))
    low, high = seen.low, seen.high
    signed = float(low) < 0 and not known.not_negative
    on_grid = _code_on_grid(jnp.stack([low, high]), known, bits, signed, symmetric, rounding)
    if on_grid is not None:
        return on_grid
    if known.scale is not None:
        known = known.of_sign
    if symmetric or bits == 1 or not signed:
        fixed = seen.largest if known.limit is None else jnp.asarray(known.limit, low.dtype)
        scale = _symmetric_scale(seen, fixed, _Wanted(bits, signed, method, coverage, rounding))
        return IntegerCode(scale, bits, signed, rounding)
    both = known.low is not None and known.high is not None
    fixed_low, fixed_high = (known.low, known.high) if both else (low, high)
    ends = jnp.minimum(jnp.asarray(fixed_low, low.dtype), 0.0), jnp.maximum(jnp.asarray(fixed_high, low.dtype), 0.0)
    scale, zero = _scale_and_zero(seen, *ends, _Wanted(bits, False, method, coverage, rounding))
    return IntegerCode(scale, bits, False, rounding, zero)


def select_weight_code(
    matrix: Float[Array, "rows columns"],
    bits: int,
    *,
    method: str = "minimum-error",
    coverage: float = 0.999,
    per: str = "channel",
    known: ValueRange | None = None,
    rounding: Rounding = "nearest",
    digit_set: DigitSet = "bipolar",
) -> IntegerCode:
    """Signed code of a weight matrix by the methods of `select_input_code`, exact and traceable, a column on its grid.

    Args:
        matrix: Shape (rows, columns).
        bits: Word length, 1 to 16.
        method: "min-max", "percentile" or "minimum-error".
        coverage: For "percentile".
        per: "channel" chooses a scale per column, "tensor" one for all.
        known: Range that the program fixes, if any.
        rounding: Of the code.
        digit_set: Of the code.

    Returns:
        The code, its scale of shape (1, columns) or (1, 1).

    Raises:
        ValueError: An unknown method, or bits or a coverage outside their ranges.
    """
    check_method("method", method, coverage)
    integer_between("bits", bits, 1, 16)
    axes = (0,) if per == "channel" else (0, 1)
    largest = jnp.max(jnp.abs(matrix), axis=axes, keepdims=True)
    highest = highest_code(bits, True)
    limits = largest[None]
    if method == "percentile":
        covering = jnp.quantile(jnp.abs(matrix), coverage, axis=axes, keepdims=True, method="inverted_cdf")[None]
        limits = jnp.where(covering > 0, covering, limits)
    elif method == "minimum-error":
        limits = largest[None] * jnp.arange(1, CANDIDATES + 1, dtype=largest.dtype).reshape(-1, 1, 1) / CANDIDATES
        limit = None if known is None or known.scale is not None else known.limit
        if limit is not None:
            limits = jnp.concatenate([limits, jnp.full_like(limits[:1], limit)])
    scales = jnp.where(limits > 0, limits, 1.0) / highest

    def code(chosen: Float[Array, "1 _"]) -> IntegerCode:
        if known is not None and known.step:
            step, fits = grid_scale(matrix, known, axes, words_of(bits, True, digit_set))
            chosen = jnp.where(fits & (step > 0), step, chosen)
        return IntegerCode(chosen, bits, True, rounding, digit_set=digit_set)

    if len(scales) == 1:
        return code(scales[0])

    def error(scale: Float[Array, "1 _"]) -> Float[Array, "1 _"]:
        code = IntegerCode(scale, bits, True, rounding, digit_set=digit_set)
        return jnp.mean((code.encode(matrix) * scale - matrix) ** 2, axis=axes, keepdims=True)

    chosen = jnp.argmin(jax.lax.map(error, scales), axis=0)
    return code(jnp.take_along_axis(scales, chosen[None], axis=0)[0])


def _code_on_grid(
    ends: Float[Array, "2"], known: ValueRange, bits: int, signed: bool, symmetric: bool, rounding: Rounding
) -> IntegerCode | None:
    """Code of values on a known grid, or None where there is none on which both ends have words."""
    if not known.step:
        return None
    scale, fits = grid_scale(ends, known, (0,), words_of(bits, signed))
    if fits.all():
        return IntegerCode(scale.reshape(()), bits, signed, rounding)
    zero = None if symmetric else zero_point(known, bits)
    return (
        None if zero is None else IntegerCode(scale.reshape(()), bits, False, rounding, jnp.asarray(zero, ends.dtype))
    )


@partial(jax.jit, static_argnames="wanted")
def _symmetric_scale(seen: _Observed, fixed: Float[Array, ""], wanted: _Wanted) -> Float[Array, ""]:
    """Scale of a code without a zero-point; `fixed` is a further limit to try."""
    largest = seen.largest
    limits = largest.reshape(1)
    if wanted.method == "percentile":
        values, shares = _points(seen)
        covering = jnp.minimum(weighted_quantile(jnp.abs(values), shares, wanted.coverage), largest).reshape(1)
        limits = jnp.where(covering > 0, covering, limits)
    elif wanted.method == "minimum-error":
        limits = largest * jnp.arange(1, CANDIDATES + 1, dtype=largest.dtype) / CANDIDATES
        limits = jnp.append(limits, fixed)
    scales = jnp.where(limits > 0, limits, 1.0) / highest_code(wanted.bits, wanted.signed)
    if wanted.method == "minimum-error":
        return scales[_least_error(seen, scales, None, wanted)]
    return scales[0]


@partial(jax.jit, static_argnames="wanted")
def _scale_and_zero(
    seen: _Observed, fixed_low: Float[Array, ""], fixed_high: Float[Array, ""], wanted: _Wanted
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Scale and zero-point of a code of unsigned words; the fixed ends are one more range to try."""
    low, high = seen.low, seen.high
    lows, highs = low.reshape(1), high.reshape(1)
    if wanted.method == "percentile":
        lows, highs = (side.reshape(1) for side in _covering_ends(seen, wanted.coverage))
    elif wanted.method == "minimum-error":
        parts = jnp.arange(1, SIDE_CANDIDATES + 1, dtype=low.dtype) / SIDE_CANDIDATES
        lows = jnp.append(jnp.repeat(low * parts, SIDE_CANDIDATES), fixed_low)
        highs = jnp.append(jnp.tile(high * parts, SIDE_CANDIDATES), fixed_high)
    scales = (highs - lows) / highest_code(wanted.bits, False)
    zeros = jnp.round(-lows / scales)
    if wanted.method == "minimum-error":
        chosen = _least_error(seen, scales, zeros, wanted)
        return scales[chosen], zeros[chosen]
    return scales[0], zeros[0]


def _points(seen: _Observed) -> tuple[Array, Array]:
    """Mid-bin values and the share of all values in each; only bins that matter beside the largest value."""
    counts, largest = seen.counts, seen.largest
    side = OCTAVES_IN_USE * BINS_PER_OCTAVE
    last = jnp.floor((jnp.log2(jnp.where(largest > 0, largest, 1.0)) + OCTAVES / 2) * BINS_PER_OCTAVE).astype(jnp.int32)
    first = jnp.clip(last + 1 - side, 0, _SIDE - side)
    places = (first + jnp.arange(side, dtype=first.dtype)).astype(largest.dtype)
    octaves = (places + 0.5) / BINS_PER_OCTAVE - OCTAVES / 2
    middles = jnp.minimum(jnp.exp2(octaves), largest)
    shares = (counts / jnp.maximum(jnp.sum(counts), 1)).astype(largest.dtype)
    negative = jax.lax.dynamic_slice_in_dim(shares, first, side)
    positive = jax.lax.dynamic_slice_in_dim(shares, _SIDE + first, side)
    rest = jnp.maximum(1.0 - jnp.sum(negative) - jnp.sum(positive), 0.0)
    values = jnp.concatenate([-middles, middles, jnp.zeros((1,), largest.dtype)])
    return values, jnp.concatenate([negative, positive, rest.reshape(1)])


def _covering_ends(seen: _Observed, coverage: float) -> tuple[Array, Array]:
    """Ends between which a fraction of the values lies, with half of the rest on either side that has values."""
    (values, shares), low, high = _points(seen), seen.low, seen.high
    tail = (1.0 - coverage) / jnp.where(high > 0, 2.0, 1.0)
    below = -weighted_quantile(-values, shares, 1.0 - tail)
    above = weighted_quantile(values, shares, 1.0 - tail)
    # A range of some width, whatever the data: 0 is always in it.
    lowest = jnp.clip(below, low, 0.0)
    highest = jnp.clip(above, 0.0, high)
    empty = highest - lowest <= 0
    return jnp.where(empty, low, lowest), jnp.where(empty, high, highest)


def _least_error(
    seen: _Observed,
    scales: Float[Array, " candidates"],
    zeros: Float[Array, " candidates"] | None,
    wanted: _Wanted,
) -> Int[Array, ""]:
    """Index of the code with the least mean square error."""
    (values, shares), largest = _points(seen), seen.largest
    size = jnp.where(largest > 0, largest, 1.0)

    def error(candidate: tuple[Array, Array | None]) -> Array:
        code = IntegerCode(candidate[0], wanted.bits, wanted.signed, wanted.rounding, candidate[1])
        # Relative to the largest value: squares of small SI quantities would underflow in float32.
        return jnp.sum(shares * ((code.encode(values) * code.scale - values) / size) ** 2)

    return jnp.argmin(jax.lax.map(error, (scales, zeros)))
