"""Words on cells that hold a digit: weight digits side by side, input digits in turn, tiles of rows, recombination.

With `q_x = g_x sum_b 2**b s_b + c_x` and `q_w = g_w sum_j 2**j t_j + c_w` (digits s and t of an `IntegerCode`):
`sum_i q_x q_w = g_x g_w sum_bj 2**(b+j) S_bj + c_w sum_i q_x + c_x sum_i q_w - R c_x c_w`, where each `S_bj` is one
line value per tile of rows. Weight digit j of filter c lives on physical column `(c * digits + j) mod columns`. Of
combined columns a group of `combined` neighbouring digits is one value, `sum_k 2**k S_k` of the digits in it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Shaped

from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import function
from amsim.circuits.contract.operands import Coded
from amsim.circuits.contract.products import Product
from amsim.noise.loops import sum_along

LAID_OUT_SLICES = 8
"""Longest scan that is unrolled: on a CPU a convolution's gradient is tens of times slower inside a loop."""


class Slice(NamedTuple):
    """One conversion of the lines: one input digit, or several joined before it, on one tile of rows.

    Attributes:
        sums: Line values; of joined digits weighted by their places.
        tile: Number of the tile.
        place_value: Value of the least of its digits.
        order: Number of the slice.
        digits: Its joined digits, least significant first, last axis; None where they are not joined.
        matrix: Weights of its cells.
        zero_digits: Joined digits of an input 0.
    """

    sums: Float[Array, "..."]
    tile: Int[Array, ""] | int
    place_value: Float[Array, ""] | float
    order: Int[Array, ""] | int
    digits: Float[Array, "... together"] | None = None
    matrix: Float[Array, "rows slices"] | None = None
    zero_digits: Float[Array, " together"] | None = None


class Places(NamedTuple):
    """Place values of joined digits on a die, whose nominal ones are `2**digit`.

    Attributes:
        rows: Of each row, for the digits of one evaluation; None is nominal.
        columns: Of each column, for the evaluations of one conversion; None is one evaluation.
    """

    rows: Float[Array, "line_rows digits"] | None = None
    columns: Float[Array, "evaluations slices"] | None = None

    def of(self, digit: Int[Array, ""], each: int, rows: int) -> Float[Array, "rows slices"]:
        """Place value of a joined digit, of which `each` share an evaluation, on every cell of the first rows."""
        place, evaluation = digit % each, digit // each
        down = place_value(place, float)[None, None] if self.rows is None else self.rows[:rows, place][:, None]
        return down if self.columns is None else down * self.columns[evaluation][None, :]


class Joining(NamedTuple):
    """Input digits that share a conversion.

    Attributes:
        together: How many.
        each: How many of them share an evaluation.
        places: Their place values on a die; None are nominal ones.
    """

    together: int = 1
    each: int = 1
    places: Places | None = None


SINGLE = Joining()
"""A conversion for each input digit."""


def place_value(place: Int[Array, "..."], dtype: Any) -> Float[Array, "..."]:
    """Value of a binary digit, `2**place`, exact: `jnp.exp2` is off by a rounding step at 13, 15 and others."""
    return jnp.ldexp(jnp.ones_like(place, dtype), place)


@checked_arguments
def weight_digits(coded: Coded) -> Float[Array, "rows slices"]:
    """Digits of the weights side by side, one column for each: filter-major, least significant digit first.

    Args:
        coded: The operands, from `Macro.coded`.

    Returns:
        Digits of the set that the weights' code has, such as -1 and +1; `slices` is filters times digits of a weight.
    """
    return coded.w_code.digits(coded.w).reshape(coded.w.shape[0], -1)


def shared_columns(values: Shaped[Array, "..."], slices: int, *, axis: int = -1, each: int = 1) -> Shaped[Array, "..."]:
    """Values of physical columns at the slices of a site: slice `j` stands on column `j mod columns`.

    Layers and filters time-share the columns of a die, so that the same cell carries the same error in all of them.

    Args:
        values: Values of each physical column along `axis`, of a die for instance.
        slices: Columns that the weights of the site take, such as those of `weight_digits`.
        axis: Axis of the columns.
        each: Columns that have one value together, as those that share a converter.

    Returns:
        The same with `slices / each` values along the axis.
    """
    wanted, present = slices // each, values.shape[axis]
    copies = -(-wanted // present)
    # Copies side by side: picking columns by number costs as much as the product.
    repeated = values if copies == 1 else jnp.concatenate([values] * copies, axis)
    return jax.lax.slice_in_dim(repeated, 0, wanted, axis=axis)


@checked_arguments
def shared_cells(values: Shaped[Array, "line_rows columns"], coded: Coded) -> Shaped[Array, "rows slices"]:
    """Values of the physical cells that hold each digit of the weights.

    Row `i` of a tile stands in row `i` of the array, slice `j` in column `j mod columns`, as in `accumulate`, whose
    `cells` are for errors that only weigh a cell; this is for whatever else an error does to the digit in it.

    Args:
        values: Values of each physical cell, of a die for instance.
        coded: The operands, from `Macro.coded`.

    Raises:
        ValueError: Rows that cannot be separated do not fit a line.
    """
    product, line_rows = coded.product, values.shape[0]
    rows = np.arange(product.rows) % (product.tile_blocks(line_rows) * product.row_block)
    return shared_columns(values[rows], product.columns * coded.w_code.digit_count)


def swing_of(combined: int) -> int:
    """Cells of the least significant column in the swing of a group of combined ones, per row: `2**combined - 1`."""
    return 2**combined - 1


def places_of(columns: int, combined: int) -> Float[Array, " columns"]:
    """Ideal weight of each of so many columns in its group, `2**k`."""
    return jnp.asarray(2.0 ** (np.arange(columns) % combined), float)


def of_groups(values: Float[Array, "*rest columns"], combined: int) -> Float[Array, "*rest groups"]:
    """Sums over the columns of each group; of single columns the values themselves."""
    if combined == 1:
        return values
    return jnp.sum(values.reshape(*values.shape[:-1], values.shape[-1] // combined, combined), axis=-1)


def check_groups(coded: Coded, combined: int) -> None:
    """Raise ValueError unless the digits of a weight fill whole groups of combined columns."""
    digits = coded.w_code.digit_count
    if digits % combined:
        raise ValueError(
            f"Argument `combining` must join a number of bits that divides the {digits} {coded.w_code.digit_set} "
            f"digits of these weights, but joins {combined}."
        )


@checked_arguments
def accumulate(
    coded: Coded,
    digits: Float[Array, "rows slices"],
    line_rows: int,
    contribution: Callable[[Slice], PyTree[Array]],
    *,
    cells: Float[Array, "line_rows slices"] | None = None,
    combined: int = 1,
    joining: Joining = SINGLE,
) -> PyTree[Array]:
    """Sum of `contribution` over all slices, with one compiled body for any number of bits and tiles.

    A slice is one input digit (a bit of the inputs) on one tile of rows, read on all columns at once. What the circuit
    makes of the line values of a slice is the contribution: for exact lines `one.place_value * one.sums`.

    Args:
        coded: The operands, from `Macro.coded`.
        digits: Digits of the weights, from `weight_digits`.
        line_rows: Rows of the line; a product of more rows is split into tiles, whose partial sums are added.
        contribution: Function of one `Slice`. Where it draws noise, its key is `jax.random.fold_in(key, one.order)`.
        cells: Relative weight of each cell of the physical line; None for nominal cells.
        combined: Columns of a group, whose sums come as one; `cells` then hold the weights of its columns.
        joining: Input digits that share a conversion.

    Returns:
        The summed contributions, to be put together by `recombine`.

    Raises:
        ValueError: The digits of an input do not make up whole conversions, or an argument is of another kind.
    """
    function("contribution", contribution, "(slice)")
    product, input_code = coded.product, coded.x_code
    tiles, groups = product.tiles(line_rows), input_groups(coded, joining.together)
    matrices = product.split_matrix(digits, line_rows)
    if cells is not None:
        matrices = matrices * cells[None, : matrices.shape[1]]
    matrices = of_groups(matrices, combined)
    if tiles * input_code.digit_count == 1:
        sums = product.sums(input_code.digit(coded.x, 0), matrices[0], coded.zero_digit(0))
        return contribution(Slice(sums, 0, 1.0, 0))
    inputs = product.split_inputs(coded.x, line_rows)

    def one(index: Int[Array, ""]) -> PyTree[Array]:
        tile, place = index // groups, index % groups * joining.together
        if joining.together == 1:
            sums = product.sums(input_code.digit(inputs[tile], place), matrices[tile], coded.zero_digit(place))
            return contribution(Slice(sums, tile, place_value(place, sums.dtype), index))
        joined = joined_digits(coded, inputs[tile], place, joining.together)
        zeros = joined_digits(coded, jnp.zeros((), inputs.dtype), place, joining.together)
        sums = _joined_sums(product, joined, zeros, matrices[tile], joining)
        return contribution(Slice(sums, tile, place_value(place, sums.dtype), index, joined, matrices[tile], zeros))

    count = tiles * groups
    return sum_along(one, jnp.arange(count), unroll=count <= LAID_OUT_SLICES)


def input_groups(coded: Coded, together: int) -> int:
    """Conversions of an input whose digits are joined by so many.

    Raises:
        ValueError: They do not make up whole conversions.
    """
    count = coded.x_code.digit_count
    if count % together:
        raise ValueError(
            f"Argument `input_range` must be a code whose digits make up conversions of {together}, but has {count}."
        )
    return count // together


def joined_digits(
    coded: Coded, codes: Float[Array, "..."], place: Int[Array, ""] | int, together: int
) -> Float[Array, "... together"]:
    """So many digits of inputs from a place on, least significant first."""
    return jax.vmap(lambda one: coded.x_code.digit(codes, one), out_axes=-1)(place + jnp.arange(together))


def _joined_sums(
    product: Product,
    joined: Float[Array, "... together"],
    zeros: Float[Array, " together"],
    matrix: Float[Array, "rows slices"],
    joining: Joining,
) -> Float[Array, "..."]:
    """Line values of joined digits weighted by their places; `zeros` are those of an input 0."""
    if joining.places is None:
        values = place_value(jnp.arange(joining.together), joined.dtype)
        weighted, edge = (jnp.matmul(one, values, precision=jax.lax.Precision.HIGHEST) for one in (joined, zeros))
        return product.sums(weighted, matrix, edge)
    places, along = joining.places, (jnp.moveaxis(joined, -1, 0), zeros, jnp.arange(joining.together))

    def sums(one: tuple[Float[Array, "..."], Float[Array, ""], Int[Array, ""]]) -> Float[Array, "..."]:
        digits, edge, number = one
        placed = places.of(number, joining.each, matrix.shape[0]).astype(matrix.dtype)
        return product.sums(digits, matrix * placed, edge)

    return sum_along(sums, along, unroll=joining.together <= LAID_OUT_SLICES)


@checked_arguments
def recombine(coded: Coded, slice_sums: Float[Array, "... slices"], combined: int = 1) -> Float[Array, "... columns"]:
    """Integer product of the codes from line values that are summed over tiles and input digits already.

    Weighs the digits of each weight and adds what the codes' offsets contribute (the equation of this module);
    `coded.decode` brings the result to units of inputs times weights.

    Args:
        coded: The operands, from `Macro.coded`.
        slice_sums: From `accumulate`, shape (..., slices).
        combined: Neighbouring columns that were read as one value.

    Returns:
        Shape (..., filters).
    """
    product, input_code, weight_code = coded.product, coded.x_code, coded.w_code
    groups = weight_code.digit_count // combined
    digits = slice_sums.reshape(*slice_sums.shape[:-1], product.columns, groups)
    places = place_value(combined * jnp.arange(groups), digits.dtype)
    recombined = jnp.matmul(digits, places, precision=jax.lax.Precision.HIGHEST)
    total = input_code.digit_gain * weight_code.digit_gain * recombined
    if not weight_code.centred:
        total = total + weight_code.digit_offset * product.input_sums(coded.x)
    if not input_code.centred:
        column_sums = jnp.sum(coded.w, axis=0) - product.rows * weight_code.digit_offset
        total = total + input_code.digit_offset * column_sums.reshape((1,) * (total.ndim - 1) + (-1,))
    return total
