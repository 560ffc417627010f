"""Line values of a product on an array, and the converter range that suits them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from amsim.circuits.adc import Converter, select_range
from amsim.circuits.contract.bit_slicing import Joining, Slice, accumulate, places_of, swing_of, weight_digits
from amsim.circuits.contract.operands import Coded
from amsim.circuits.contract.products import Product, over_columns


def finest_step(coded: Coded, combined: int = 1) -> Float[Array, "..."]:
    """Step between the possible values of a line, cells: half a cell where a cell may be undriven.

    Of so many combined columns it is that of their sum, in cells of the least significant one.
    """
    product, x = coded.product, coded.x
    undriven = jnp.zeros((1,) * x.ndim, bool)
    if coded.x_code.one_signed_bit:
        undriven = jnp.any(x == 0, axis=product.vector_axes, keepdims=True) | product.padded
    elif coded.x_code.digit_set != "bipolar":
        undriven = ~undriven
    if coded.w_code.one_signed_bit or coded.w_code.digit_set != "bipolar":
        zeros = jnp.any(weight_digits(coded) == 0, axis=0)
        undriven = undriven | over_columns(jnp.any(zeros.reshape(-1, combined), axis=1), x.ndim)
    return jnp.where(undriven, 0.5, 1.0).astype(x.dtype)


def finest_counted(counts: Real[Array, "tiles values"]) -> Float[Array, ""]:
    """Step between the values that lines took, cells: half cells occur where cells are undriven.

    Args:
        counts: From `count_line_values`.
    """
    return jnp.where(jnp.any(counts[:, 1::2] > 0), 0.5, 1.0)


def count_line_values(coded: Coded, line_rows: int, combined: int = 1, together: int = 1) -> Int[Array, "tiles values"]:
    """Number of times that nominal lines take 0, a half, 1, ... steps, over all input and weight digits; exact.

    Args:
        coded: The operands.
        line_rows: Rows of a line.
        combined: Columns that are read as one value, in cells of the least significant one with weights 1, 2, 4, ...
        together: Input digits that share a conversion; a cell then has `2**together - 1` steps.
    """
    product, steps = coded.product, 2**together - 1
    driven = steps * jnp.sum(product.driven_rows(line_rows), axis=1).astype(coded.x.dtype)
    tiles = len(driven)
    values = 2 * steps * product.tile_blocks(line_rows) * product.row_block * swing_of(combined) + 1
    digits, joining = weight_digits(coded), Joining(together)
    cells = None if combined == 1 else places_of(digits.shape[1], combined)[None].astype(digits.dtype)

    def one(slice_: Slice) -> Int[Array, "tiles values"]:
        half_cells = (slice_.sums + swing_of(combined) * driven[slice_.tile]).astype(jnp.int32)
        found = jnp.bincount(half_cells.ravel(), length=values)
        return jnp.zeros((tiles, values), found.dtype).at[slice_.tile].add(found)

    return accumulate(coded, digits, line_rows, one, cells=cells, combined=combined, joining=joining)


def select_full_scale(
    adc: Converter,
    product: Product,
    line_rows: int,
    counts: Real[Array, "tiles values"],
    *,
    method: str,
    coverage: float,
    combined: int = 1,
    steps: int = 1,
) -> Float[Array, ""]:
    """Full scale of a converter that suits counted line values, relative to the swing of the driven rows, 1.

    Args:
        adc: The converter, of which the number of codes matters.
        product: Whose lines they are.
        line_rows: Rows of a line.
        counts: From `count_line_values`, added up over batches.
        method: As in `amsim.circuits.adc.select_range`.
        coverage: As there.
        combined: Columns that are read as one value.
        steps: Of a cell, where it has several.

    Returns:
        The range, a constant of the choice.
    """
    driven = steps * swing_of(combined) * jnp.sum(product.driven_rows(line_rows), axis=1, keepdims=True).astype(float)
    cells = jnp.broadcast_to(jnp.arange(counts.shape[1], dtype=driven.dtype).reshape(1, -1) / 2, counts.shape)
    bits = max((adc.levels - 1).bit_length(), 1)
    chosen = select_range(
        cells,
        driven,
        bits,
        levels=adc.levels,
        method=method,
        coverage=coverage,
        finest=finest_counted(counts),
        counts=counts,
    )
    return jax.lax.stop_gradient(chosen)
