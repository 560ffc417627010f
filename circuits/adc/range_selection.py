"""Choice of a converter's full scale from observed line values."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from amsim.circuits.adc.converter import MID_RISE_LEVELS, zero_level
from amsim.circuits.checks import finite, integer_between, one_of

METHODS = ("min-max", "percentile", "minimum-error")
CANDIDATES = 64
"""Number of ranges that "minimum-error" tries, evenly spaced up to the one that clips nothing."""


def select_range(
    cells: Float[Array, "..."],
    driven_rows: Float[Array, "..."] | float,
    bits: int,
    *,
    levels: int | None = None,
    method: str = "minimum-error",
    coverage: float = 0.999,
    finest: Float[Array, ""] | float = 1.0,
    counts: Real[Array, "..."] | None = None,
) -> Float[Array, ""]:
    """Range of a converter, relative to the swing of the driven rows, that suits observed line values.

    With `n = 2**bits` levels, half of them below the middle one, a value `d` cells above the middle needs a step of
    `d / (n/2 - 1/2)`, one below it of `-d / (n/2 + 1/2)`, to be within half a step of the outermost code; of one bit,
    whose levels lie on both sides of the middle (`zero_level`), `|d| / (n/2)`, of two bits the larger. "min-max"
    gives the range that all values fit in, "percentile" the one that a fraction `coverage` of them fits in, and
    "minimum-error" the one of `CANDIDATES` up to min-max with the least mean square of rounding and clipping errors.

    Args:
        cells: Observed line values, shape (...), cells.
        driven_rows: Rows in use, a number or an array that broadcasts against `cells`.
        bits: Resolution, 1 to 16.
        levels: Number n of output codes where it is not a power of two; None is `2**bits`.
        method: One of `METHODS`.
        coverage: For "percentile", above 0 and at most 1.
        finest: Smallest step between values that a line can take, cells; no range is narrower than n of them.
        counts: How often each of `cells` occurred, same shape; None for once each.

    Returns:
        The range, for the field `range` of a converter, 1.

    Raises:
        ValueError: An unknown method, bits or a coverage outside their ranges, no values, values not finite, or
            counts of another shape.

    Valid for values that are typical of those converted later. The result is a choice among data: use it as a constant.
    """
    check_method("method", method, coverage)
    integer_between("bits", bits, 1, 16)
    if cells.size == 0:
        raise ValueError("Argument `cells` must hold at least one value, but is empty.")
    cells = finite("cells", cells)
    if counts is not None and counts.shape != cells.shape:
        raise ValueError(f"Argument `counts` must have shape {cells.shape} as `cells`, but has shape {counts.shape}.")
    occurred = jnp.ones_like(cells) if counts is None else counts.astype(cells.dtype)
    shares = occurred / jnp.sum(occurred)
    rows = jnp.asarray(driven_rows, cells.dtype)
    codes = 2**bits if levels is None else levels
    integer_between("levels", codes, 2)
    return _select(cells, rows, shares, codes, method, coverage, finest)


@partial(jax.jit, static_argnames=("codes", "method", "coverage"))
def _select(
    cells: Float[Array, "..."],
    rows: Float[Array, "..."],
    shares: Float[Array, "..."],
    codes: int,
    method: str,
    coverage: float,
    finest: Float[Array, ""] | float,
) -> Float[Array, ""]:
    lowest = -(codes // 2)
    highest = lowest + codes - 1
    needed = _needed_step(cells - jnp.floor(rows / 2), highest + 0.5, 0.5 - lowest)
    if codes in MID_RISE_LEVELS:
        from_middle = _needed_step(cells - rows / 2, codes / 2, codes / 2)
        # Four levels that are as fine as the line are mid-tread: wide enough for both.
        needed = from_middle if codes == 2 else jnp.maximum(needed, from_middle)
    needed = needed * (codes / rows)
    smallest = codes * finest / jnp.max(rows)
    widest = jnp.maximum(jnp.max(jnp.where(shares > 0, needed, 0.0)), smallest)
    if method == "min-max":
        return widest
    if method == "percentile":
        return jnp.maximum(weighted_quantile(needed.ravel(), shares.ravel(), coverage), smallest)
    ranges = smallest + (widest - smallest) * jnp.linspace(0.0, 1.0, CANDIDATES, dtype=cells.dtype)

    def error(range_: Float[Array, ""]) -> Float[Array, ""]:
        lsb = jnp.maximum(range_ * rows / codes, finest)
        distance = cells - zero_level(codes, rows, lsb, finest)
        return jnp.sum(shares * (lsb * jnp.clip(jnp.round(distance / lsb), lowest, highest) - distance) ** 2)

    # One after another: all candidates at once would hold the values many times over.
    return ranges[jnp.argmin(jax.lax.map(error, ranges))]


def _needed_step(distance: Float[Array, "..."], above: float, below: float) -> Float[Array, "..."]:
    """Step at which a range of so many steps above and below a point reaches values at these distances from it."""
    return jnp.maximum(distance / above, -distance / below)


def check_method(name: str, method: str, coverage: float) -> None:
    """Raise ValueError unless this is a method of choosing a range, with a coverage above 0 and at most 1."""
    one_of(name, method, METHODS)
    if not 0 < coverage <= 1:
        raise ValueError(f"Argument `coverage` must be above 0 and at most 1, but is {coverage}.")


def weighted_quantile(
    values: Float[Array, " values"], shares: Float[Array, " values"], fraction: Float[Array, ""] | float
) -> Float[Array, ""]:
    """Weighted quantile: smallest value that, with all below it, makes up a fraction of the whole.

    Args:
        values: Shape (values,).
        shares: Weight of each value; they add up to 1.
        fraction: Above 0 and at most 1.
    """
    order = jnp.argsort(values)
    # Half of the rounding error of a sum near 1 below the fraction, so that the last value is in reach.
    reached = jnp.cumsum(shares[order]) >= fraction - 64 * jnp.finfo(values.dtype).eps
    return values[order[jnp.argmax(reached)]]
