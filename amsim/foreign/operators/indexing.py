"""ONNX operators that take parts of a tensor or pad it."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim.foreign.operators.registry import Ints, Value, axis_of, known, library, limited, numbers_of, operator


@operator("Gather")
def gather(x: Value, indices: Value, *, axis: int = 0) -> Value:
    """Members along an axis, by their places; negative ones count from the end.

    Places outside the array that only a run can show give NaN or the largest integer.
    """
    axis = axis_of(axis, x.ndim)
    size = x.shape[axis]
    limited((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x, indices)
    if isinstance(indices, np.ndarray) and np.any((indices < -size) | (indices >= size)):
        raise ValueError(f"it takes members {indices.min()}..{indices.max()} of an axis of {size}")
    if isinstance(indices, np.ndarray):
        indices = np.asarray(indices + size * (indices < 0), np.int32)
    if library(x, indices) is np:
        return np.take(x, indices, axis)
    return jnp.take(jnp.asarray(x), jnp.asarray(indices), axis, mode="fill")


@operator("GatherElements")
def gather_elements(x: Value, indices: Value, *, axis: int = 0) -> Value:
    """An element along an axis for each place."""
    axis = axis_of(axis, x.ndim)
    indices = jnp.asarray(indices)
    indices = jnp.where(indices < 0, indices + x.shape[axis], indices)
    kept = tuple(
        slice(None) if place == axis else slice(0, size)
        for place, size in zip(range(x.ndim), indices.shape, strict=True)
    )
    return jnp.take_along_axis(jnp.asarray(x)[kept], indices, axis, mode="fill")


@operator("GatherND")
def gather_blocks(x: Value, indices: Value, *, batch_dims: int = 0) -> Value:
    """Blocks of a tensor: each row of the last axis of the indices names one, by its places along the first axes."""
    depth = indices.shape[-1]
    if not 0 <= batch_dims < min(x.ndim, indices.ndim) or batch_dims + depth > x.ndim:
        raise ValueError(f"it takes blocks of {depth} places from an array of shape {x.shape}")
    leading = x.shape[:batch_dims]
    limited((*indices.shape[:-1], *x.shape[batch_dims + depth :]), x, indices)
    of_batch = [np.arange(size).reshape((-1,) + (1,) * (indices.ndim - 2 - axis)) for axis, size in enumerate(leading)]
    places = tuple(jnp.asarray(indices)[..., place] for place in range(depth))
    return jnp.asarray(x).at[(*of_batch, *places)].get(mode="fill")


@operator("ScatterND")
def scatter_blocks(x: Value, indices: Value, updates: Value, *, reduction: str = "none") -> Value:
    """A tensor with blocks replaced, or changed by a sum, product, maximum or minimum."""
    places = tuple(jnp.asarray(indices)[..., place] for place in range(indices.shape[-1]))
    return _scattered(x, places, updates, reduction)


@operator("ScatterElements")
def scatter_elements(x: Value, indices: Value, updates: Value, *, axis: int = 0, reduction: str = "none") -> Value:
    """A tensor with elements along an axis replaced, or changed by a sum, product, maximum or minimum."""
    axis, indices = axis_of(axis, x.ndim), jnp.asarray(indices)
    grid = jnp.indices(indices.shape, sparse=True)
    return _scattered(x, tuple(indices if place == axis else one for place, one in enumerate(grid)), updates, reduction)


def _scattered(x: Value, places: tuple[Any, ...], updates: Value, reduction: str) -> Value:
    methods = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}
    if reduction not in methods:
        raise ValueError(f"its attribute `reduction` is {reduction!r}")
    return getattr(jnp.asarray(x).at[places], methods[reduction])(jnp.asarray(updates))


@operator("TopK", settings=(1,))
def largest_members(
    x: Value, count: Value, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Value, Value]:
    """The largest or smallest members along an axis, in order, and their places."""
    (number,), axis = numbers_of("K", count) or (0,), axis_of(axis, x.ndim)
    if not 0 <= number <= x.shape[axis]:
        raise ValueError(f"it takes {number} of {x.shape[axis]} members")
    places = jnp.argsort(jnp.asarray(x), axis, descending=bool(largest))
    places = jax.lax.slice_in_dim(places, 0, number, axis=axis)
    return jnp.take_along_axis(jnp.asarray(x), places, axis), places


@operator("OneHot", settings=(1, 2))
def one_hot(indices: Value, depth: Value, values: Value, *, axis: int = -1) -> Value:
    """One value at the places that indices name along a new axis, another elsewhere; negative ones count back."""
    (size,), axis = numbers_of("depth", depth) or (0,), axis_of(axis, indices.ndim + 1)
    off, on = known("values", values)
    indices = jnp.asarray(indices)
    limited((*indices.shape, size))
    marked = jax.nn.one_hot(jnp.where(indices < 0, indices + size, indices), size, axis=axis, dtype=bool)
    return jnp.where(marked, on, off)


@operator("Slice", settings=(1, 2, 3, 4))
def part(
    x: Value,
    first: Value | None = None,
    last: Value | None = None,
    axes_input: Value | None = None,
    steps_input: Value | None = None,
    *,
    axes: Ints = (),
    starts: Ints = (),
    ends: Ints = (),
) -> Value:
    """Parts of axes; up to operator set 9 the places are attributes."""
    begins, stops = numbers_of("starts", first) or starts, numbers_of("ends", last) or ends
    places = numbers_of("axes", axes_input) or axes or tuple(range(len(begins)))
    steps = numbers_of("steps", steps_input) or (1,) * len(begins)
    if not len(begins) == len(stops) == len(places) == len(steps) or 0 in steps:
        raise ValueError(f"it cuts axes {places} from {begins} to {stops} in steps {steps}")
    whole = [slice(None)] * x.ndim
    for begin, stop, place, step in zip(begins, stops, places, steps, strict=True):
        axis = axis_of(place, x.ndim)
        whole[axis] = _slice(begin, stop, step, x.shape[axis])
    return x[tuple(whole)]


def _slice(begin: int, stop: int, step: int, size: int) -> slice:
    begin, stop = (number + size if number < 0 else number for number in (begin, stop))
    if step > 0:
        return slice(min(max(begin, 0), size), min(max(stop, 0), size), step)
    begin, stop = min(max(begin, 0), size - 1), min(max(stop, -1), size - 1)
    return slice(begin, None if stop < 0 else stop, step)


@operator("Split", settings=(1,))
def split(
    x: Value,
    sizes: Value | None = None,
    *,
    axis: int = 0,
    split: Ints = (),
    num_outputs: int = 0,
    outputs: int,
) -> tuple[Value, ...]:
    """Parts along an axis, of equal size if none is given."""
    axis = axis_of(axis, x.ndim)
    parts = numbers_of("split", sizes) or split
    if not parts:
        each = -(-x.shape[axis] // outputs)
        parts = (*(each,) * (outputs - 1), x.shape[axis] - each * (outputs - 1))
    if sum(parts) != x.shape[axis] or min(parts) < 0 or len(parts) != outputs or num_outputs not in (0, outputs):
        raise ValueError(f"it splits {x.shape[axis]} into {outputs} parts of sizes {parts}")
    return tuple(library(x).split(x, list(itertools.accumulate(parts))[:-1], axis))


@operator("Pad", settings=(1, 2, 3))
def pad(
    x: Value,
    pads_input: Value | None = None,
    constant: Value | None = None,
    axes_input: Value | None = None,
    *,
    mode: str = "constant",
    pads: Ints = (),
    value: float = 0.0,
) -> Value:
    """Padding around a tensor: a number, its edge, its mirror image or itself; a negative amount crops."""
    amounts = numbers_of("pads", pads_input) or pads
    places = numbers_of("axes", axes_input) or tuple(range(x.ndim))
    if len(amounts) != 2 * len(places):
        raise ValueError(f"it pads {len(places)} axes by {amounts}")
    widths = [(0, 0)] * x.ndim
    for place, low, high in zip(places, amounts, amounts[len(places) :], strict=False):
        widths[axis_of(place, x.ndim)] = (low, high)
    limited([size + low + high for size, (low, high) in zip(x.shape, widths, strict=True)], x)
    cut = tuple(slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, widths, strict=True))
    widths = [(max(low, 0), max(high, 0)) for low, high in widths]
    modes = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes:
        raise ValueError(f"its attribute `mode` is {mode!r}")
    options: dict[str, Any] = {}
    if mode == "constant":
        number = value if constant is None or constant.size == 0 else known("constant_value", constant).reshape(())[()]
        options["constant_values"] = np.asarray(number, x.dtype)
    return library(x).pad(x[cut], widths, mode, **options)


@operator("Trilu", settings=(1,))
def triangle(x: Value, diagonal: Value | None = None, *, upper: int = 1) -> Value:
    """Upper or lower triangle, 0 elsewhere."""
    k = 0 if diagonal is None else int(known("k", diagonal).reshape(()))
    return (library(x).triu if upper else library(x).tril)(x, k)
