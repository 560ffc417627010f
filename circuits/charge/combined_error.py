"""Error of combined columns in closed form: mismatch of all capacitors of a group, and weights that are not 1, 2, 4."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.combined_lines import own_sigmas
from amsim.circuits.contract.bit_slicing import places_of, swing_of
from amsim.noise.finite_slopes import ratio
from amsim.noise.mismatch import capacitor_mismatch_sigma


class GroupWeights(NamedTuple):
    """Weights of the nominal lines of a group over their sizes, and their slopes.

    Attributes:
        weights: `F_k`.
        by_size: `D_kj`, with respect to the relative size of line j.
        by_own: `G_kc`, with respect to the relative own capacitor c.
    """

    weights: Float[Array, " bits"]
    by_size: Float[Array, "bits bits"]
    by_own: Float[Array, "bits capacitors"]


def group_weights(macro: CapacitorArray) -> GroupWeights:
    """Weights of an array's groups at nominal capacitors."""
    sizes, none = jnp.ones(macro.combined_columns), jnp.zeros_like(own_sigmas(macro))
    slopes = jax.jacfwd(lambda *given: _weights_per_size(macro, *given), argnums=(0, 1))(sizes, none)
    return GroupWeights(_weights_per_size(macro, sizes, none), *slopes)


def group_mismatch(
    macro: CapacitorArray,
    group: GroupWeights,
    gain: Float[Array, ""],
    rows: int,
    activity: float,
    bias_high: Float[Array, ""] | float = 0.0,
    centre: Float[Array, ""] | float = 0.0,
) -> Float[Array, ""]:
    r"""Mean square that mismatch of cells, bias DACs and own capacitors adds to the value of a group, counts^2.

    The value is `g sum_k 2 F_k H_k`, `F_k` the weight of line k over its size, a function of the sizes of all lines and
    of the own capacitors. With the slopes `D_kj = dF_k/dsize_j` and `G_kc` (relative own capacitor c), `H` of mean m
    and variance v on each line, n units on a line of total T, `d_j = sum_k D_kj` and `c_c = sum_k G_kc`:
    `4 g^2 s^2 sum_j [w_j^2 E sum h^2 + 2 w_j (D_jj v + d_j m^2) / T + n (v sum_k D_kj^2 + d_j^2 m^2) / T^2]
    + 4 g^2 sum_c sigma_c^2 (v sum_k G_kc^2 + c_c^2 m^2)`. Of a pair each line adds a quarter, of a replica all.

    Args:
        macro: The array.
        group: Of its groups.
        gain: Fraction of its step that each line shows.
        rows: Products summed.
        activity: Probability that one is +1.
        bias_high: Half of the units of each line's bias DAC, which go high, part of H.
        centre: Mean shift of a line by its bias DAC, counts: half of it more go high, of a pair's second line less.
    """
    total, (weights, by_size, by_own) = macro.total_units, group
    of_sizes, of_own = jnp.sum(by_size, axis=0), jnp.sum(by_own, axis=0)
    units = macro.line_rows + jnp.sum(macro.bias_dac.section_units())
    sigma = capacitor_mismatch_sigma(macro.unit_capacitance, macro.mismatch_coefficient)

    def of_lines(
        squares: Float[Array, ""] | float, mean: Float[Array, ""] | float, variance: float
    ) -> Float[Array, ""]:
        crossed = weights * (jnp.diagonal(by_size) * variance + of_sizes * mean**2) * 2 / total
        divided = units * (jnp.sum(by_size**2, axis=0) * variance + of_sizes**2 * mean**2) / total**2
        own = jnp.sum(own_sigmas(macro) ** 2 * (jnp.sum(by_own**2, axis=0) * variance + of_own**2 * mean**2))
        return sigma**2 * jnp.sum(weights**2 * squares + crossed + divided) + own

    variance, mean = rows * activity * (1 - activity), rows * activity + bias_high + centre / 2
    found = of_lines(mean, mean, variance)
    if macro.second_line == "differential":
        other = rows * (1 - activity) + bias_high - centre / 2
        found = (found + of_lines(other, other, variance)) / 4
    elif macro.second_line == "replica":
        found = found + of_lines(rows / 4 + bias_high / 2, rows / 2 + bias_high, 0.0)
    return 4 * gain**2 * found


def group_settling(
    macro: CapacitorArray,
    rows: int,
    activity: float,
    weights: Float[Array, " bits"],
    gain: Float[Array, ""],
    bias_high: Float[Array, ""] | float = 0.0,
    centre: Float[Array, ""] | float = 0.0,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and variance of a nominal group's deviation from the exact sum, counts and counts^2.

    Args:
        macro: The array.
        rows: Products summed.
        activity: Probability that one is +1.
        weights: Weight of each line as it is read.
        gain: Fraction of its step that each line shows.
        bias_high: Half of the units of each line's bias DAC.
        centre: Mean shift of a line by its bias DAC, counts.
    """
    bits = macro.combined_columns
    off = gain * weights - places_of(bits, bits)
    lost = gain * jnp.sum(weights) - swing_of(bits)
    of_reference = 2 * bias_high * (1.0 - macro.tracking)
    mean = lost * (rows * (2 * activity - macro.tracking) + of_reference + centre)
    return mean, 4 * rows * activity * (1 - activity) * jnp.sum(off**2)


def _weights_per_size(
    macro: CapacitorArray, sizes: Float[Array, " bits"], deviations: Float[Array, " capacitors"]
) -> Float[Array, " bits"]:
    """Weights of the lines of a group over their sizes, by which charge becomes voltage.

    Args:
        macro: The array.
        sizes: Total capacitance of each line relative to the nominal one, but for deviations of own capacitors.
        deviations: Relative ones of own capacitors.
    """
    assert macro.joined is not None
    assert macro.group is not None
    own = macro.joined.nominal(macro.total_capacitance) * (1.0 + deviations)
    loads = ratio(macro.joined.loads(own) - macro.joined.line_load, macro.unit_capacitance)
    sizes = sizes + ratio(loads, macro.total_units)
    shares = macro.joined.combine(macro.total_capacitance * sizes, own).shares
    return ratio(shares, macro.group.full_share) * swing_of(macro.combined_columns) / sizes
