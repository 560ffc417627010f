"""Layout errors of a read in closed form: capacitors that share errors, of cells, a line and its neighbours.

A line of which the first `on` rows are joined has the capacitance `T + B`, `B` the sum of the errors e of these rows;
the `driven` ones among them, with sum `A`, move it. To first order a read of lines k with weights w_k, whose weights
change by `D_kj` per relative size of line j, is off by `2 g sum_k [w_k sum_i e_ik z_ik + sum_j D_kj (B_j / T) Z_k]`,
`z` the levels of the cells and `Z` their sum with the bias DAC's.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.layout import Layout, nominal_layout
from amsim.noise import spatial


class LayoutMoments(NamedTuple):
    """Second moments of the errors of neighbouring columns over dies, mean over all groups of them, 1.

    Attributes:
        cells: Sum over the driven cells of a column of their squares.
        driven: Mean products `E A_k A_l`.
        crossed: `E A_k B_l`.
        line: `E B_k B_l`.
    """

    cells: Float[Array, " bits"]
    driven: Float[Array, "bits bits"]
    crossed: Float[Array, "bits bits"]
    line: Float[Array, "bits bits"]


def layout_moments(layout: Layout, size: tuple[int, int], on: int, driven: int, combined: int = 1) -> LayoutMoments:
    """Moments of `layout.errors`, whose four parts are independent.

    Args:
        layout: The layout.
        size: Rows and columns of the array.
        on: Rows of it that are on the line, the first ones.
        driven: Rows in use, the first ones.
        combined: Neighbouring columns of a group.
    """
    rows, columns = size
    dtype = layout.linear_gradient.dtype
    x, y = spatial.coordinates(columns).astype(dtype), spatial.coordinates(rows).astype(dtype)
    fixed = layout.errors(nominal_layout(rows, columns), rows, columns)
    x, place = x.reshape(-1, combined), jnp.arange(columns).reshape(-1, combined)
    across = x[:, :, None] * x[:, None, :]
    apart = jnp.abs(place[:, :, None] - place[:, None, :]).astype(dtype)
    facing = jnp.abs(place[:, :, None] - (columns - 1 - place)[:, None, :]).astype(dtype)
    linear = 0.0 if layout.in_pairs else layout.linear_gradient**2
    rho = spatial.neighbour_correlation(layout.correlation_length).astype(dtype)

    def product(first: int, second: int) -> Float[Array, "bits bits"]:
        """Mean product of the sums over so many first rows of two columns."""
        one, other = y[:first], y[:second]
        straight = jnp.sum(one) * jnp.sum(other)
        found = linear * (straight + first * second * across)
        curved = jnp.sum(one**2) * jnp.sum(other**2) + first * second * across**2 + straight * across
        found = found + layout.quadratic_gradient**2 * curved
        field = _field_sum(rho, rows, first, (0, second - 1)) * rho**apart
        if layout.in_pairs:
            field = (field + _field_sum(rho, rows, first, (rows - second, rows - 1)) * rho**facing) / 2
        sums = [jnp.sum(fixed[:count], axis=0).reshape(-1, combined) for count in (first, second)]
        found = found + layout.correlated_sigma**2 * field + sums[0][:, :, None] * sums[1][:, None, :]
        return jnp.mean(found, axis=0)

    one = y[:driven]
    cells = linear * (jnp.sum(one**2) + driven * x**2)
    curved = jnp.sum(one**4) + driven * x**4 + jnp.sum(one**2) * x**2
    own = jnp.full_like(x, float(driven))
    if layout.in_pairs:
        down = jnp.abs(2 * jnp.arange(driven) + 1 - rows).astype(dtype)
        own = (own + jnp.sum(rho**down) * rho ** jnp.diagonal(facing, axis1=1, axis2=2)) / 2
    cells = cells + layout.quadratic_gradient**2 * curved + layout.correlated_sigma**2 * own
    cells = cells + jnp.sum(fixed[:driven] ** 2, axis=0).reshape(-1, combined)
    return LayoutMoments(jnp.mean(cells, axis=0), product(driven, driven), product(driven, on), product(on, on))


def _field_sum(rho: Array, rows: int, first: int, ends: tuple[int, int]) -> Float[Array, ""]:
    """Sum of `rho^|i - k|` over the first rows i and over rows k between the ends, both included."""
    powers_of = rho ** jnp.arange(1.0, rows + 1.0, dtype=rho.dtype)
    up_to = jnp.concatenate([jnp.zeros((1,), rho.dtype), jnp.cumsum(powers_of)])
    place = jnp.arange(first)
    low, high = ends

    def powers(distance: Array) -> Array:
        return up_to[jnp.clip(distance, 0, rows)]

    inside = 1.0 + powers(place - low) + powers(high - place)
    above, below = powers(high - place) - powers(low - 1 - place), powers(place - low) - powers(place - high - 1)
    return jnp.sum(jnp.where(place < low, above, jnp.where(place > high, below, inside)))


def layout_variance(
    moments: LayoutMoments,
    weights: Float[Array, " bits"],
    by_size: Float[Array, "bits bits"],
    mean: tuple[Float[Array, ""] | float, Float[Array, ""] | float],
    around: tuple[Float[Array, ""] | float, int],
) -> Float[Array, ""]:
    """Mean square of a read's layout error, counts^2, at a gain of 1.

    Args:
        moments: Of the lines.
        weights: w, of lines that are read as one value.
        by_size: `D / T`, one row for each weight.
        mean: Means of the level of a cell and of Z.
        around: Variance of the level of a cell, and the number of driven cells.
    """
    own, size = mean[0] * weights, mean[1] * jnp.sum(by_size, axis=0)
    square = own @ moments.driven @ own + 2.0 * (own @ moments.crossed @ size) + size @ moments.line @ size
    crossed = jnp.sum(weights[:, None] * by_size * moments.crossed)
    shared = jnp.sum((by_size @ moments.line) * by_size)
    each = jnp.sum(weights**2 * moments.cells) + 2.0 * crossed + around[1] * shared
    return 4.0 * (square + around[0] * each)
