r"""Sliced products in one: the weight matrix that all slices make together, what they add, and their noise.

Before its converter a line is linear in digits of inputs and of weights. With the equation of
`amsim.circuits.contract.bit_slicing`, weights `c_ij` of the cells of a die and levels `l` that each conversion adds,
the sum over all tiles, input digits b and weight digits j is one product with one matrix,
`(x - c_x) W + g_x g_w sum_bj 2**(b+j) sum_tiles l_j + c_w sum_i x + c_x sum_i w - R c_x c_w`,
`W_i = g_w sum_j 2**j t_ij c_ij`. Independent errors of variance v of all conversions add up to one of
`(g_x g_w)**2 sum_bj 4**(b+j) sum_tiles v_j`, which is Gaussian as a sum of many.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.contract.bit_slicing import SINGLE, Joining
from amsim.circuits.contract.operands import Coded
from amsim.circuits.contract.products import Product, over_columns
from amsim.noise.finite_slopes import root
from amsim.noise.random import normal


class EqualTiles(NamedTuple):
    """Tiles of a product that use as many rows of the line.

    Attributes:
        number: How many.
        rows: Rows in use.
    """

    number: int
    rows: int


def equal_tiles(product: Product, line_rows: int) -> tuple[EqualTiles, ...]:
    """Tiles of a product on lines of so many rows: the full ones, and the last where it is shorter."""
    tiles, full = product.tiles(line_rows), product.tile_blocks(line_rows) * product.row_block
    last = product.rows - (tiles - 1) * full
    return (EqualTiles(tiles, full),) if last == full else (EqualTiles(tiles - 1, full), EqualTiles(1, last))


def _in_place(values: Float[Array, "..."] | float, coded: Coded, combined: int, base: float) -> Float[Array, "..."]:
    """Sum over the conversions of each column of a value of each, weighted by powers of the base; columns last."""
    groups = coded.w_code.digit_count // combined
    places = base ** (combined * jnp.arange(groups, dtype=coded.x.dtype))
    values = jnp.asarray(values, coded.x.dtype)
    if values.ndim == 0:
        return values * jnp.sum(places)
    each = jnp.broadcast_to(values, (*values.shape[:-1], coded.product.columns * groups))
    each = each.reshape(*each.shape[:-1], coded.product.columns, groups)
    return jnp.sum(each * over_columns(places, each.ndim), axis=-1)


def _shaped(values: Float[Array, "..."], ndim: int) -> Float[Array, "..."]:
    """A number, or one for each column, shaped to broadcast against results; values of results as they are."""
    return values if values.ndim in (0, ndim) else over_columns(values, ndim)


def _input_places(coded: Coded, together: int, base: float) -> float:
    """Sum of the weights of all conversions of an input, powers of the base."""
    return sum(base ** (together * number) for number in range(coded.x_code.digit_count // together))


@checked_arguments
def effective_weights(
    coded: Coded,
    line_rows: int,
    cells: Float[Array, "line_rows slices"] | None = None,
    combined: int = 1,
) -> Float[Array, "rows columns"]:
    """Weight matrix that all digits of the weights make together on a die, in steps of the weights' code.

    Args:
        coded: The operands, from `Macro.coded`.
        line_rows: Rows of the line.
        cells: Relative weight of each cell of the physical line, as in `accumulate`; None for nominal cells.
        combined: Columns that are read as one value; the places inside a group are in `cells`.

    Returns:
        What the code of a weight less its offset becomes; without `cells` just that.
    """
    code, product = coded.w_code, coded.product
    if cells is None:
        return coded.w if code.centred else coded.w - code.digit_offset
    codes = product.split_matrix(coded.w, line_rows)
    each = cells[: codes.shape[1]].reshape(codes.shape[1], product.columns, code.digit_count)
    # Digit by digit, which fuses into one loop over the matrix: with digits on an axis of their own it takes seven
    # times as long on a CPU.
    total = jnp.zeros_like(codes)
    for number in range(code.digit_count):
        place = 2.0 ** (combined * (number // combined))
        total = total + place * code.digit(codes, number) * each[None, :, :, number]
    return code.digit_gain * total.reshape(-1, product.columns)[: product.rows]


@checked_arguments
def lumped_product(
    coded: Coded,
    line_rows: int,
    *,
    cells: Float[Array, "line_rows slices"] | None = None,
    levels: Float[Array, "..."] | float = 0.0,
    variance: Float[Array, "..."] | float = 0.0,
    combined: int = 1,
    joining: Joining = SINGLE,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "... columns"]:
    """Integer product of the codes with all slices in one, the static errors in its weights and one draw of noise.

    What `recombine` makes of the slices of `accumulate` on lines without a converter, to rounding, and beyond it what
    each conversion adds, of which a family states the sum over the tiles.

    Args:
        coded: The operands, from `Macro.coded`.
        line_rows: Rows of the line.
        cells: Relative weight of each cell of the physical line, as in `accumulate`.
        levels: What one conversion of each slice (or group) adds on all tiles together, counts, a number or an array
            that broadcasts to (..., slices).
        variance: Variance of the error of such conversions, summed over the tiles, counts^2, likewise.
        combined: Columns that are read as one value.
        joining: Input digits that share a conversion; where they have place values of a die, one product for each.
        key: Draws the noise, one Gaussian number for each result; None is no noise.

    Returns:
        Shape (..., columns), to be decoded by `coded.decode`.

    Validity: errors of conversions that are independent of each other and of the values read, as quantisation is of
    values that spread over more than about half a step.
    """
    product, x_code, w_code = coded.product, coded.x_code, coded.w_code
    given: tuple[Any, ...] = coded, line_rows, cells, combined
    if joining.places is None:
        matrix = effective_weights(*given)
        # The offset of the weights' code is a constant of each weight: no window sums.
        offset = 0.0 if w_code.centred else w_code.digit_offset
        if not x_code.centred and cells is not None:
            # Else it is folded a second time for its sums.
            matrix = jax.lax.optimization_barrier(matrix)
        total = product.sums(coded.x, matrix if w_code.centred else matrix + offset)
        if not x_code.centred and cells is not None:
            left = jnp.sum(coded.w - offset - matrix, axis=0)
            total = total + x_code.digit_offset * over_columns(left, total.ndim)
    else:
        total = _of_each_digit(coded, line_rows, cells, combined, joining)
    gain = x_code.digit_gain * w_code.digit_gain
    added = gain * _input_places(coded, joining.together, 2.0) * _in_place(levels, coded, combined, 2.0)
    total = total + _shaped(added, total.ndim)
    if key is None:
        return total
    square = _in_place(variance, coded, combined, 4.0)
    sigma = gain * root(_input_places(coded, joining.together, 4.0) * square)
    return total + _shaped(sigma, total.ndim) * normal(key, total.shape, total.dtype)


def _of_each_digit(
    coded: Coded, line_rows: int, cells: Float[Array, "line_rows slices"] | None, combined: int, joining: Joining
) -> Float[Array, "... columns"]:
    """Product whose input digits have places of their own on a die: one for each digit of a conversion."""
    product, x_code, w_code, places = coded.product, coded.x_code, coded.w_code, joining.places
    assert places is not None
    tile_rows = product.tile_blocks(line_rows) * product.row_block
    slices = product.columns * w_code.digit_count
    together, conversions = joining.together, x_code.digit_count // joining.together
    total: Any = 0.0
    for number in range(together):
        placed = places.of(jnp.asarray(number), joining.each, tile_rows).astype(coded.x.dtype)
        placed = jnp.broadcast_to(placed, (tile_rows, slices))
        placed = placed if cells is None else placed * cells[:tile_rows]
        inputs, edge = jnp.zeros_like(coded.x), jnp.zeros((), coded.x.dtype)
        for turn in range(conversions):
            place, weight = turn * together + number, 2.0 ** (turn * together)
            inputs = inputs + weight * x_code.digit(coded.x, place)
            edge = edge + weight * coded.zero_digit(place)
        total = total + product.sums(inputs, effective_weights(coded, line_rows, placed, combined), edge)
    total = x_code.digit_gain * total
    if not w_code.centred:
        total = total + w_code.digit_offset * product.input_sums(coded.x)
    if not x_code.centred:
        column_sums = jnp.sum(coded.w, axis=0) - product.rows * w_code.digit_offset
        total = total + x_code.digit_offset * over_columns(column_sums, total.ndim)
    return total


def clear_share(
    coded: Coded,
    passed: Float[Array, "... conversions"],
    cells: Float[Array, "line_rows slices"] | None,
    line_rows: int,
    combined: int = 1,
    together: int = 1,
) -> Float[Array, "... columns"]:
    """Share of the conversions of each result that do not clip, by their place values; lines without cells left out.

    Args:
        coded: The operands.
        passed: Sum over tiles and conversions of an input of the place values of those that do not clip.
        cells: Weights of the cells of the lines; None for nominal ones.
        line_rows: Rows of the line.
        combined: Columns that are read as one value.
        together: Input digits that share a conversion.
    """
    whole: Any = coded.product.tiles(line_rows) * _input_places(coded, together, 2.0)
    if cells is not None:
        alive = jnp.any(cells != 0, axis=0).reshape(-1, combined).any(axis=1)
        passed = jnp.where(over_columns(alive, passed.ndim), passed, 0.0)
        whole = jnp.where(alive, whole, 0.0)
    possible = jnp.maximum(_in_place(whole, coded, combined, 2.0), 1.0)
    return _in_place(passed, coded, combined, 2.0) / _shaped(possible, passed.ndim)
