r"""The one place that chooses how a site is read: coding, centre and range of least error times energy.

An output is `g_x g_w sum_bk 2**(b + m k) S_bk`, k numbering its groups of m combined columns (m = 1 without), and each
`S_bk` is a value that is read with an error of its own. So its expected squared error, in squares of the product of
both codes' steps, is `(g_x g_w)**2 sum_(tiles, b, k) 4**(b + m k) E[(Q(S + n) - S)**2]`, mean over columns: n Gaussian
with the variance of `column_error.error_variances` less `BY_CONVERSION` and with what the converter's decisions make of
its comparator's noise at the range that is tried; Q the converter's levels with their static variance; each S Gaussian
with the mean and variance that it has on the data, so that rounding and clipping have closed forms too
(`amsim.circuits.adc.quantised_gaussian`). Energy is that of array and readout, with the bias DAC that moves the
centre.
Noise of a comparator falls with the energy spent on it, `noise**2 * energy` being constant, so that error times energy
compares readouts at equal energy: that product is what is least. An error below the rounding of an output to whole
steps, 1/12, counts as that.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.circuits.adc.converter import zero_level
from amsim.circuits.adc.quantised_gaussian import quantised_gaussian_error
from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.column_error import error_variances
from amsim.circuits.contract.bit_slicing import (
    Slice,
    accumulate,
    of_groups,
    places_of,
    swing_of,
    weight_digits,
)
from amsim.circuits.contract.operands import Coded
from amsim.circuits.contract.products import Product, over_columns
from amsim.circuits.contract.readout import Coding, Readout, coding_name
from amsim.circuits.selection.codes import IntegerCode

RANGES = 16
"""Ranges that are tried, from the finest step that a line has to the range that holds all values."""

REACH = 4.0
"""Standard deviations of a line on either side of its mean that the widest range holds."""

LINES = 256
"""Lines of a tile whose errors are computed: all, or those of as many of its columns, evenly spaced."""

GROUP = "group "
"""Start of the names of what belongs to groups of combined columns."""

BY_CONVERSION = ("quantisation", "converter", "comparator noise")
"""Sources whose variance depends on the step of the converter, which is what is chosen."""

WHOLE_STEP = 1.0 / 12.0
"""Variance of rounding an output to whole steps of its codes, the error below which nothing is gained."""


class Moments(NamedTuple):
    """Lines of a site, or groups of combined ones: one for each tile, input digit and weight digit of a column.

    Attributes:
        mean: Mean of each, counts, shape (tiles, digits, slices).
        variance: Its variance, counts^2.
    """

    mean: np.ndarray
    variance: np.ndarray


def line_moments(array: CapacitorArray, coded: Coded) -> dict[str, Array]:
    """Mean and mean square of each line of a batch, counts, and the sum of its weights, which moves it to other digits.

    Of an array that combines columns the same of each group too, under names that begin with `GROUP`.

    Args:
        array: As the product uses it.
        coded: The operands.
    """
    digits, product, combined = weight_digits(coded), coded.product, array.combined_columns
    tiles, places = product.tiles(array.line_rows), coded.x_code.digit_count

    def one(slice_: Slice) -> dict[str, Array]:
        axes = tuple(range(slice_.sums.ndim - 1))
        at, place = slice_.tile, slice_.order % places
        lines = {"": slice_.sums}
        if combined > 1:
            lines[GROUP] = of_groups(slice_.sums * over_columns(worth, slice_.sums.ndim), combined)
        found = {name + "mean": jnp.mean(sums, axes) for name, sums in lines.items()}
        found |= {name + "square": jnp.mean(sums**2, axes) for name, sums in lines.items()}
        return {
            name: jnp.zeros((tiles, places, *value.shape), value.dtype).at[at, place].set(value)
            for name, value in found.items()
        }

    worth = places_of(digits.shape[1], combined).astype(digits.dtype)
    weights = jnp.sum(product.split_matrix(digits, array.line_rows), axis=1)
    found = accumulate(coded, digits, array.line_rows, one) | {"weights": weights}
    return found if combined == 1 else found | {GROUP + "weights": of_groups(weights * worth[None], combined)}


def moments_of(profile: Mapping[str, Any], made: str, wanted: str, prefix: str = "") -> Moments:
    """Moments of lines from those of a batch.

    Args:
        profile: From `line_moments`, averaged over the data.
        made: Input digits that it was made with.
        wanted: Input digits; a unipolar one is `(s + 1) / 2` of a bipolar s, so that a line has half of S
            plus the sum of its weights.
        prefix: `GROUP` for groups of combined columns.
    """
    mean, square = (np.asarray(profile[prefix + name], float) for name in ("mean", "square"))
    variance = np.maximum(square - mean**2, 0.0)
    if made == wanted:
        return Moments(mean, variance)
    return Moments((mean + np.asarray(profile[prefix + "weights"], float)[:, None]) / 2, variance / 4)


def choose_readout(
    array: CapacitorArray,
    product: Product,
    codes: tuple[IntegerCode, IntegerCode],
    profiles: Mapping[Coding, Mapping[str, Any]],
    energy: Any,
) -> Readout:
    """Coding, centre and range of least error times energy.

    Args:
        array: As the product uses it; a `readout_centre` that it has is kept, as its bias DACs make it.
        product: The product.
        codes: Of inputs and weights; their digits are what is chosen.
        profiles: From `line_moments` by coding; a coding of other input digits only may share that of another.
        energy: Function from coding and mean switched units and high cells of an evaluation to the energy of an output
            vector, J.
    """
    driven = np.asarray(jnp.sum(product.driven_rows(array.line_rows), axis=1), float)
    made, combined = next(iter(profiles))[0], array.combined_columns
    noise = functools.cache(functools.partial(_noise, array))
    tried: list[Readout] = []
    for coding, profile in profiles.items():
        lines = moments_of(profile, made, coding[0])
        read = lines if combined == 1 else moments_of(profile, made, coding[0], GROUP)
        gain = _gain(codes[0], coding[0]) * _gain(codes[1], coding[1])
        for shift in _centres(array, lines):
            switched, high = _activity(array, lines, shift, driven)
            # A line whose bias DAC moves has its mismatch too.
            noises = [noise(int(rows), shift is not None) for rows in driven]
            error, full_scale = _least_error(array, product, coding, read, _of_read(shift, combined), driven, noises)
            joules = float(energy(coding, switched, high))
            tried.append(Readout(coding, full_scale, shift, gain**2 * error, joules, ""))
    best = min(tried, key=_objective)
    return best._replace(reason=_reason(best, tried))


def _of_read(shift: np.ndarray | None, combined: int) -> np.ndarray | None:
    """Shift of what is read by those of its lines, counts."""
    if shift is None or combined == 1:
        return shift
    return np.asarray(of_groups(jnp.asarray(shift * np.asarray(places_of(shift.shape[-1], combined))), combined))


def _centres(array: CapacitorArray, lines: Moments) -> Sequence[np.ndarray | None]:
    """Shifts that are tried: none, and that of each column's mean to the middle; whole cells, inside the bias DAC."""
    if array.readout_centre is not None:
        return (np.broadcast_to(np.asarray(array.made_centre, float), lines.mean[:, 0].shape),)
    places = 4.0 ** np.arange(lines.mean.shape[1])
    mean = np.average(lines.mean, axis=1, weights=places)
    largest = 2.0 * np.floor(float((2**array.bias_dac.bits - 1) * array.bias_dac.lsb) / 2.0)
    return None, np.clip(-2.0 * np.round(mean / 2.0), -largest, largest)


def _activity(
    array: CapacitorArray, lines: Moments, shift: np.ndarray | None, driven: np.ndarray
) -> tuple[float, float]:
    """Mean capacitance switched in an evaluation, unit capacitors, and mean number of cells that go high."""
    high = (lines.mean + driven[:, None, None]) / 2
    made = None if shift is None else jnp.asarray(shift)[:, None]
    switched = np.asarray(array.switched_units(jnp.asarray(high), jnp.asarray(driven)[:, None, None], made))
    # `h (1 - h / T)` of a value that varies is less by its variance over T, on both lines of a pair; a replica stands.
    spread = lines.variance / 4 / float(array.read_units) * array.swing
    return float(np.mean(switched - spread)), float(np.mean(high))


def _least_error(
    array: CapacitorArray,
    product: Product,
    coding: Coding,
    lines: Moments,
    shift: np.ndarray | None,
    driven: np.ndarray,
    noises: Sequence[float],
) -> tuple[float, float]:
    """Least mean square error of lines weighted by their digits, counts^2 for one column, and the range that has it."""
    adc, per_column = array.adc, lines.mean.shape[2] // product.columns
    combined = array.combined_columns
    assert adc is not None
    swings = driven * swing_of(combined)
    mean = lines.mean if shift is None else lines.mean + shift[:, None]
    finest = 1.0 if coding == ("bipolar", "bipolar") else 0.5
    reached = np.max((np.abs(mean) + REACH * np.sqrt(lines.variance)).max(axis=(1, 2)) / swings)
    smallest = adc.levels * finest / swings.max()
    # The outermost level above the middle is one step nearer than that below.
    ranges = np.geomspace(smallest, max(reached * adc.levels / max(adc.levels - 2, 1), smallest), RANGES)
    places = 4.0 ** (np.arange(mean.shape[1])[:, None] + combined * np.arange(per_column))
    count = min(product.columns, max(LINES // places.size, 1))
    columns = np.linspace(0, product.columns - 1, count).astype(int)
    weights = np.broadcast_to(places[:, None] / count, (len(places), count, per_column)).ravel()
    errors = np.zeros(RANGES)
    decided = float(array.comparator_referral * array.decision_noise_counts)
    for tile, (rows, noise) in enumerate(zip(swings, noises, strict=True)):
        step = jnp.maximum(jnp.asarray(ranges) * rows / adc.levels, finest)
        before = noise + np.asarray(adc.decision_variance(decided / (2.0 * step)) * (2.0 * step) ** 2)
        zero = 2.0 * zero_level(adc.levels, rows, step, finest) - rows
        ends = zero + 2.0 * step * adc.lowest_code, zero + 2.0 * step * adc.highest_code
        picked: list[Any] = [
            one[tile].reshape(len(places), product.columns, per_column)[:, columns].ravel()
            for one in (mean, lines.variance)
        ]
        # Of one length, so that one program serves all sites.
        picked = [jnp.asarray(np.pad(one, (0, max(LINES - len(one), 0)))) for one in picked]
        added: Any = _read_errors(picked[0], picked[1], jnp.asarray(before, float), 2.0 * step, ends)
        static = before + float(adc.static_variance()) * np.square(2.0 * np.asarray(step))
        errors += (np.asarray(added)[:, : len(weights)] + static[:, None]) @ weights
    least = int(np.argmin(errors))
    return float(errors[least]), float(ranges[least])


def _noise(array: CapacitorArray, rows: int, shifted: bool) -> float:
    """Variance of a read before the converter and its comparator's noise, counts^2, of sums about the middle."""
    centre = jnp.zeros_like(array.supply) if shifted else None
    array = eqx.tree_at(lambda one: one.readout_centre, array, centre, is_leaf=lambda leaf: leaf is None)
    known = error_variances(array, rows=rows, readout="adc")
    return float(sum(value for name, value in known.items() if name not in BY_CONVERSION))


@eqx.filter_jit
def _read_errors(mean: Array, variance: Array, noise: Array, steps: Array, ends: Any) -> Float[Array, "ranges lines"]:
    """What rounding and clipping add to the mean square error of each line, for each range, counts^2."""
    # A line that never moves is still spread by its noise alone.
    spread = jnp.maximum(variance, 1e-3)

    def one(mean: Array, spread: Array, noise: Array, step: Array, low: Array, high: Array) -> Array:
        return quantised_gaussian_error(spread, noise, mean, step, (low, high))

    over_lines = jax.vmap(one, (0, 0, None, None, None, None))
    return jax.lax.map(lambda level: over_lines(mean, spread, *level), (noise, steps, *ends))


def _objective(readout: Readout) -> tuple[float, float]:
    return max(readout.error, WHOLE_STEP) * readout.energy, readout.energy


def _gain(code: IntegerCode, digits: str) -> float:
    return 1.0 if code.one_signed_bit or digits != "bipolar" else 0.5


def _reason(best: Readout, tried: Sequence[Readout]) -> str:
    about = "the middle" if best.centre is None else "each column's mean"
    others = [one for one in tried if one.coding != best.coding]
    words = f"{coding_name(best.coding)}, range {best.full_scale:.3g} about {about}"
    words = f"{words}: least error x energy of {len(tried) * RANGES} readouts"
    if not others:
        return f"{words}."
    second = min(others, key=_objective)
    more = _objective(second)[0] / _objective(best)[0]
    return f"{words}, {more:.2g} times less than {coding_name(second.coding)}."
