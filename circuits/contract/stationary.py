"""Event counts common to all weight-stationary binary arrays: evaluations, passes, loads and the bits moved."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.work import MacroCost, Work


def columns_of_weight(macro: Macro, work: Work) -> int:
    """Columns side by side of one weight, one for each of its digits."""
    return macro.weight_columns if work.weight_columns is None else work.weight_columns


def column_slices(macro: Macro, work: Work) -> int:
    """Columns that the weights of a site occupy side by side."""
    return work.product.columns * columns_of_weight(macro, work)


def line_evaluations(macro: Macro, work: Work) -> int:
    """Reads of each of those columns per inference: positions times tiles of rows times slices of an input."""
    return work.positions * macro.tiles(work.product) * macro.input_slices


def stationary_cost(
    macro: Macro,
    work: Work,
    *,
    evaluation_energy: Float[Array, ""],
    evaluation_cycles: Float[Array, ""],
    load_width: Float[Array, ""],
    clock: Float[Array, ""],
    unclocked_time: Float[Array, ""] | float = 0.0,
) -> MacroCost:
    """Cost of a site whose weights stay in the array while the window slides over the map.

    Weight digits lie side by side, slices of an input follow one another; more slices than columns need more passes,
    each of which fetches its inputs again. The columns of a pass share their inputs, so that groups of channels take
    turns.

    Args:
        macro: The array: its sizes and word lengths.
        work: The site.
        evaluation_energy: Energy of one column evaluation with readout, J.
        evaluation_cycles: Clock cycles per evaluation.
        load_width: Weight bits loaded per cycle.
        clock: Hz.
        unclocked_time: Time per evaluation on top of its clock cycles, s.
    """
    product, slices = work.product, column_slices(macro, work)
    evaluations = float(line_evaluations(macro, work))
    side_by_side, tiles = columns_of_weight(macro, work), macro.tiles(product)
    passes = product.passes(macro.columns, side_by_side)
    stored = float(product.rows * product.columns * macro.weight_bits)
    partial_sums = tiles * (side_by_side // macro.combined_columns) * macro.input_slices
    slices_per_mac = side_by_side * macro.input_slices
    return MacroCost(
        energy=evaluations * slices * evaluation_energy,
        compute_cycles=evaluations * passes * evaluation_cycles,
        clock=clock,
        weight_bits=stored,
        input_bits=work.fetched_bits(macro.input_bits, passes),
        output_bits=float(work.positions * product.columns * macro.input_bits),
        stored_bits=stored,
        load_cycles=stored / load_width,
        unclocked_time=evaluations * passes * jnp.asarray(unclocked_time),
        additions=float(work.positions * product.columns * (partial_sums - 1)),
        occupancy=tiles * slices / macro.columns * macro.column_share(product),
        peak_macs=macro.rows * macro.columns / (slices_per_mac * evaluation_cycles),
        passes=float(tiles * passes),
    )
