"""Reading of a product slice by slice: each line value of a tile, input digit and weight digit through the converter.

The converter's derivative is straight through, 1 where it does not clip, so that the derivative of all slices together
with respect to the operands is that of one product with the weights that the die makes of them. Derivatives in the
circuit's own parameters go through every slice, where they are asked for.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, PRNGKeyArray

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.folded_line import CapacitorLine, centre_shifts
from amsim.circuits.charge.line_at_decision import counts_at_decision
from amsim.circuits.charge.readout_range import finest_step
from amsim.circuits.contract.bit_slicing import Joining, Slice, accumulate, recombine, swing_of, weight_digits
from amsim.circuits.contract.lumped import clear_share, lumped_product
from amsim.circuits.contract.operands import Coded
from amsim.circuits.contract.products import over_columns


def joining_of(array: CapacitorArray, line: CapacitorLine | None) -> Joining:
    """Input digits that share a conversion of an array, with their place values on a die."""
    return Joining(array.digits_together, array.digit_bits, None if line is None else line.places)


def read_slices(
    array: CapacitorArray, line: CapacitorLine | None, coded: Coded, key: PRNGKeyArray | None
) -> Float[Array, "..."]:
    """Integer product of the codes through the converter: one conversion per tile, weight digit and input digit.

    In steps of a cell, of which joined input bits have several. With respect to the operands the derivative is that of
    `lumped_product` times the share of a result's conversions, weighted by their places, that do not clip; without
    clipping it is that of the slices themselves. On lines whose value is not linear in the operands (a rail, noise of
    the supply) it goes through the slices.

    Args:
        array: The array as the product uses it.
        line: Lines behind the slices; None where they are nominal and ideal.
        coded: The operands.
        key: Draws the noise; None is no noise.
    """
    if not array.linear_lines:
        return _slices(array, line, coded, key, with_share=False)[0]
    arrays, static = eqx.partition((array, line, coded, key), eqx.is_array)
    # Of the operands only their codes have a derivative here, which the rule takes by themselves.
    arrays = arrays[:2] + jax.lax.stop_gradient(arrays[2:3]) + arrays[3:]

    def operands(x: Array, w: Array, arrays: Any) -> tuple[CapacitorArray, CapacitorLine | None, Coded, Any]:
        array, line, coded, key = eqx.combine(arrays, static)
        return array, line, eqx.tree_at(lambda one: (one.x, one.w), coded, (x, w)), key

    @jax.custom_jvp
    def read(x: Array, w: Array, arrays: Any) -> Array:
        return _slices(*operands(x, w, arrays), with_share=False)[0]

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
        x, w, arrays = primals
        leaves, structure = jax.tree.flatten(arrays)
        slopes = jax.tree.leaves(tangents[2], is_leaf=lambda one: isinstance(one, SymbolicZero))
        moved = [not isinstance(slope, SymbolicZero) for slope in slopes]

        def of_circuit(*values: Array) -> tuple[Array, Array | None]:
            rest = iter(values)
            given = [next(rest) if moves else leaf for leaf, moves in zip(leaves, moved, strict=True)]
            return _slices(*operands(x, w, jax.tree.unflatten(structure, given)), with_share=True)

        along = [one for one in zip(leaves, slopes, moved, strict=True) if one[2]]
        if along:
            values, tangents_of_values, _ = zip(*along, strict=True)
            (value, share), (change, _) = jax.jvp(of_circuit, values, tangents_of_values)
        else:
            value, share = of_circuit()
            change = jnp.zeros_like(value)
        by = [index for index in (0, 1) if not isinstance(tangents[index], SymbolicZero)]

        def linear(*moving: Array) -> Array:
            given = dict(zip(by, moving, strict=True))
            own, line, coded, _ = operands(given.get(0, x), given.get(1, w), arrays)
            cells = None if line is None else line.cells
            joining = joining_of(own, line)
            return lumped_product(coded, own.line_rows, cells=cells, combined=own.combined_columns, joining=joining)

        if by:
            change = (
                change
                + share * jax.jvp(linear, tuple(primals[one] for one in by), tuple(tangents[one] for one in by))[1]
            )
        return value, change

    read.defjvp(rule, symbolic_zeros=True)
    return read(coded.x, coded.w, arrays)


def _slices(
    array: CapacitorArray, line: CapacitorLine | None, coded: Coded, key: PRNGKeyArray | None, *, with_share: bool
) -> tuple[Float[Array, "..."], Float[Array, "..."] | None]:
    """Product of the codes, and where it is asked for the share of each result's conversions that do not clip."""
    adc, product = array.adc, coded.product
    combined, steps = array.combined_columns, array.cell_steps
    assert adc is not None
    digits = weight_digits(coded)
    driven = steps * product.driven_rows(array.line_rows).astype(digits.dtype)
    cells = None if line is None else line.cells
    stepped = None if line is None else line.in_steps(steps)
    shifts, bias_error = centre_shifts(array, stepped, len(driven), digits.shape[1])
    middles = None if stepped is None else stepped.middle(driven, with_bias=shifts is not None) + bias_error
    finest = finest_step(coded, combined)
    decided, nominal = steps * array.decision_noise_counts / 2, None if array.drivers is None else array.nominal

    def read(one: Slice) -> Any:
        driven_steps = jnp.sum(driven[one.tile])
        rows = middle = driven_steps * swing_of(combined)
        shift: Any = 0.0
        counts = one.sums if middles is None else one.sums + over_columns(middles[one.tile], one.sums.ndim)
        if shifts is not None:
            shift = over_columns(shifts[one.tile], one.sums.ndim)
            bias = swing_of(combined) * jnp.sum(array.bias_dac.section_units()[:-1])
            counts, middle = counts + shift, rows + bias
        slice_key = None if key is None else jax.random.fold_in(key, one.order)
        counts = counts_at_decision(array, stepped, counts, middle, slice_key, nominal)

        def convert(values: Array) -> Array:
            return adc.convert(
                values,
                rows,
                finest,
                die=None if stepped is None else stepped.adc,
                sampled_noise=steps * array.sampled_noise(driven_steps / steps, nominal) / 2,
                decision_noise=decided,
                key=slice_key,
            )

        values = (counts + rows) / 2
        if not with_share:
            return one.place_value * (2 * convert(values) - rows - shift)
        # The slope is 1 where nothing clips and 0 where it does.
        found, slope = jax.jvp(convert, (values,), (jnp.ones_like(values),))
        read = one.place_value * (2 * found - rows - shift)
        return read, one.place_value * jax.lax.stop_gradient(slope)

    sums = accumulate(
        coded, digits, array.line_rows, read, cells=cells, combined=combined, joining=joining_of(array, line)
    )
    if not with_share:
        return recombine(coded, sums, combined), None
    share = clear_share(coded, sums[1], cells, array.line_rows, combined, array.digits_together)
    return recombine(coded, sums[0], combined), share
