"""ONNX operators that change the shape or the type of a tensor, or make one."""

import math
from typing import Any

import jax
import numpy as np

from amsim.foreign.operators.registry import Ints, Value, axis_of, known, library, limited, numbers_of, operator

ELEMENT_TYPES = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
    10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64,
}  # fmt: skip
"""Types of tensors by their number in a file."""


@operator("Shape")
def shape(x: Value, *, start: int = 0, end: int | None = None) -> Value:
    """Sizes of the axes."""
    return np.asarray(x.shape[start:end], np.int64)


@operator("Size")
def size(x: Value) -> Value:
    """Number of elements."""
    return np.asarray(math.prod(x.shape), np.int64)


@operator("Reshape", settings=(1,))
def reshape(x: Value, sizes: Value, *, allowzero: int = 0) -> Value:
    """The elements in another shape; 0 keeps a size, -1 is the remaining size."""
    wanted = numbers_of("shape", sizes) or ()
    if not allowzero:
        if any(number == 0 and place >= x.ndim for place, number in enumerate(wanted)):
            raise ValueError(f"its shape {wanted} keeps an axis that an array of shape {x.shape} does not have")
        wanted = tuple(x.shape[place] if number == 0 else number for place, number in enumerate(wanted))
    return x.reshape(wanted)


@operator("Flatten")
def flatten(x: Value, *, axis: int = 1) -> Value:
    """A matrix: axes before one, and axes from it on."""
    axis = axis_of(axis, x.ndim, one_more=True)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Transpose")
def transpose(x: Value, *, perm: Ints = ()) -> Value:
    """Axes in another order; reversed if none is given."""
    return library(x).transpose(x, perm or None)


@operator("Squeeze", settings=(1,))
def squeeze(x: Value, axes_input: Value | None = None, *, axes: Ints | None = None) -> Value:
    """Without axes of size 1."""
    given = numbers_of("axes", axes_input) if axes is None else axes
    chosen = None if given is None else tuple(axis_of(axis, x.ndim) for axis in given)
    return library(x).squeeze(x, chosen)


@operator("Unsqueeze", settings=(1,))
def unsqueeze(x: Value, axes_input: Value | None = None, *, axes: Ints = ()) -> Value:
    """With more axes of size 1."""
    chosen = numbers_of("axes", axes_input) or axes
    return library(x).expand_dims(x, tuple(axis_of(axis, x.ndim + len(chosen)) for axis in chosen))


@operator("Expand", settings=(1,))
def expand(x: Value, sizes: Value) -> Value:
    """Repeated so that it has at least this shape."""
    whole = limited(np.broadcast_shapes(x.shape, numbers_of("shape", sizes) or ()), x)
    return library(x).broadcast_to(x.reshape((1,) * (len(whole) - x.ndim) + x.shape), whole)


@operator("Tile", settings=(1,))
def tile(x: Value, repeats: Value) -> Value:
    """Repeated along each axis."""
    counts = numbers_of("repeats", repeats) or ()
    if len(counts) != x.ndim:
        raise ValueError(f"it repeats {x.ndim} axes {counts} times")
    limited([size * number for size, number in zip(x.shape, counts, strict=True)], x)
    return library(x).tile(x, counts)


@operator("Concat")
def concatenate(*values: Value, axis: int) -> Value:
    """Tensors one after another along an axis."""
    if not values:
        raise ValueError("it has no input")
    axis = axis_of(axis, values[0].ndim)
    along = sum(value.shape[axis] for value in values if value.ndim > axis)
    limited((*values[0].shape[:axis], along, *values[0].shape[axis + 1 :]), *values)
    return library(*values).concatenate(values, axis)


@operator("Cast")
def cast(x: Value, *, to: int, saturate: int = 1, round_mode: str = "up") -> Value:
    """Another type of number."""
    if to not in ELEMENT_TYPES:
        raise ValueError(f"it casts to the type with number {to}")
    if isinstance(x, jax.Array):
        return x.astype(jax.dtypes.canonicalize_dtype(ELEMENT_TYPES[to]))
    return x.astype(ELEMENT_TYPES[to])


@operator("CastLike")
def cast_like(x: Value, other: Value, *, saturate: int = 1, round_mode: str = "up") -> Value:
    """The type of another tensor."""
    return x.astype(other.dtype)


@operator("ConstantOfShape", settings=(0,))
def constant_of_shape(sizes: Value, *, value: np.ndarray | None = None) -> Value:
    """One number everywhere."""
    number = np.zeros(1, np.float32) if value is None else value
    if number.size != 1:
        raise ValueError(f"its value has {number.size} elements")
    return np.full(limited(numbers_of("shape", sizes) or (), number), number.reshape(())[()], number.dtype)


@operator("Range", settings=(0, 1, 2))
def number_range(start: Value, limit: Value, delta: Value) -> Value:
    """Equidistant numbers."""
    bounds = {"start": start, "limit": limit, "delta": delta}
    numbers: list[Any] = [known(name, value).reshape(())[()] for name, value in bounds.items()]
    first, end, step = numbers
    if step == 0:
        raise ValueError("it is a range with step 0")
    limited((max(math.ceil((float(end) - float(first)) / float(step)), 0),), start)
    return np.arange(first, end, step).astype(first.dtype)


@operator("DepthToSpace")
def depth_to_space(x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    """Blocks of channels as blocks of space."""
    batch, channels, height, width = x.shape
    if mode == "CRD":
        split = x.reshape(batch, channels // blocksize**2, blocksize, blocksize, height, width)
        moved = library(x).transpose(split, (0, 1, 4, 2, 5, 3))
    else:
        split = x.reshape(batch, blocksize, blocksize, channels // blocksize**2, height, width)
        moved = library(x).transpose(split, (0, 3, 4, 1, 5, 2))
    return moved.reshape(batch, channels // blocksize**2, height * blocksize, width * blocksize)


@operator("SpaceToDepth")
def space_to_depth(x: Value, *, blocksize: int) -> Value:
    """Blocks of space as blocks of channels."""
    batch, channels, height, width = x.shape
    split = x.reshape(batch, channels, height // blocksize, blocksize, width // blocksize, blocksize)
    moved = library(x).transpose(split, (0, 3, 5, 1, 2, 4))
    return moved.reshape(batch, channels * blocksize**2, height // blocksize, width // blocksize)
