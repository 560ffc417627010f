"""Position-dependent errors of an array, as unit fields to be scaled: gradients, correlated mismatch and edges.

Rows run down and columns to the right; a coordinate is -1 at the centre of the first cell and +1 at that of the last.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

from amsim.noise.arguments import integer_between
from amsim.noise.checks import array_of, non_negative
from amsim.noise.finite_slopes import ratio, root
from amsim.noise.loops import scan


def coordinates(cells: int) -> Float[Array, " cells"]:
    """Coordinate of each of `cells` cells in a line, `(2 i + 1 - n) / (n - 1)`.

    Args:
        cells: Number of cells, at least 1.

    Returns:
        Coordinates from -1 to 1, exactly antisymmetric about the centre, shape (cells,), 1; 0 for a single cell.

    Raises:
        ValueError: `cells` is below 1.
    """
    integer_between("cells", cells, 1)
    # Numerator and divisor are whole numbers, so that mirrored cells cancel exactly.
    return jnp.arange(1 - cells, cells, 2).astype(float) / max(cells - 1, 1)


def linear_gradient(rows: int, columns: int, slopes: Float[Array, " 2"]) -> Float[Array, "{rows} {columns}"]:
    """Plane through 0 at the centre, `slopes[0] y + slopes[1] x`.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        slopes: Change from the centre to the edge down the rows and along the columns, shape (2,), any unit. Two
            independent normal draws give a direction that is uniformly distributed.

    Returns:
        Field, shape (rows, columns), unit of `slopes`; odd about the centre.
    """
    _check_size(rows, columns)
    slopes = array_of("slopes", slopes, (2,))
    y, x = coordinates(rows).astype(slopes.dtype), coordinates(columns).astype(slopes.dtype)
    return slopes[0] * y[:, None] + slopes[1] * x[None, :]


def quadratic_gradient(rows: int, columns: int, curvatures: Float[Array, " 3"]) -> Float[Array, "{rows} {columns}"]:
    """Quadratic surface through 0 at the centre, `curvatures[0] y^2 + curvatures[1] x^2 + curvatures[2] x y`.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        curvatures: Change from the centre to the middle of an edge by y^2 and by x^2, and to a corner by x y,
            shape (3,), any unit.

    Returns:
        Field, shape (rows, columns), unit of `curvatures`; even about the centre.
    """
    _check_size(rows, columns)
    curvatures = array_of("curvatures", curvatures, (3,))
    y, x = coordinates(rows).astype(curvatures.dtype), coordinates(columns).astype(curvatures.dtype)
    straight = curvatures[0] * (y**2)[:, None] + curvatures[1] * (x**2)[None, :]
    return straight + curvatures[2] * y[:, None] * x[None, :]


def neighbour_correlation(length: Real[ArrayLike, ""]) -> Float[Array, ""]:
    """Correlation of neighbouring cells, `exp(-1 / length)`.

    Args:
        length: Correlation length, shape (), cells; 0 for none.

    Returns:
        Correlation, shape (), 1. Its derivative at 0 is 0.

    Raises:
        ValueError: A concrete `length` is negative. A traced one gives NaN.
    """
    cells = non_negative("length", length)
    if cells.ndim:
        raise ValueError(f"Argument `length` must be one number, but has shape {cells.shape}; use jax.vmap.")
    # Not `cells > 0`, which would send NaN to 0.
    return jnp.where(cells == 0, 0.0, jnp.exp(ratio(-1.0, jnp.where(cells == 0, 1.0, cells))))


def correlated_field(
    standard_draws: Float[Array, "rows columns"], length: Real[ArrayLike, ""]
) -> Float[Array, "rows columns"]:
    r"""Gaussian field of unit variance and correlation `exp(-|dx| / length) exp(-|dy| / length)` from white draws.

    `f_0 = w_0`, `f_i = rho f_(i-1) + sqrt(1 - rho^2) w_i` with `rho = exp(-1 / length)`, along the columns and then
    along the rows: the autoregression of first order has exactly this covariance.

    Args:
        standard_draws: Independent standard normal draws, shape (rows, columns), 1.
        length: Correlation length, shape (), cells; 0 returns the draws.

    Returns:
        Field, shape (rows, columns), 1, differentiable in `length` at the same draws.

    Raises:
        ValueError: A concrete `length` is negative. A traced one gives NaN.

    Validity: stationary and separable, so that correlation along a diagonal falls faster than along an axis.
    """
    standard_draws = array_of("standard_draws", standard_draws, (None, None))
    rho = neighbour_correlation(length).astype(standard_draws.dtype)
    fresh = root(1.0 - rho) * jnp.sqrt(1.0 + rho)

    def along_first(white: Float[Array, "first second"]) -> Float[Array, "first second"]:
        def step(before: Float[Array, " second"], draw: Float[Array, " second"]) -> tuple[Array, Array]:
            now = rho * before + fresh * draw
            return now, now

        _, later = scan(step, white[0], white[1:])
        return jnp.concatenate([white[:1], later])

    return along_first(along_first(standard_draws).T).T


def open_sides(rows: int, columns: int) -> Float[Array, "{rows} {columns}"]:
    """Number of sides on which a cell has no neighbour: 0 inside, 1 at an edge, 2 at a corner.

    Etching and fringe fields differ there; dummy cells around the array close the sides.

    Args:
        rows: Number of rows.
        columns: Number of columns.

    Returns:
        Sides, shape (rows, columns), 1; a single row is open both above and below.
    """
    _check_size(rows, columns)

    def ends(cells: int) -> Float[Array, " cells"]:
        place = jnp.arange(cells)
        return (place == 0).astype(float) + (place == cells - 1).astype(float)

    return ends(rows)[:, None] + ends(columns)[None, :]


def point_symmetric(field: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """Mean of a field over each cell and its mirror image about the centre, as a common-centroid pair sees it.

    Args:
        field: Values by cell, shape (rows, columns), any unit.

    Returns:
        Means, shape (rows, columns); odd fields vanish exactly.
    """
    field = array_of("field", field, (None, None))
    return (field + field[::-1, ::-1]) / 2


def _check_size(rows: int, columns: int) -> None:
    integer_between("rows", rows, 1)
    integer_between("columns", columns, 1)
