"""Conversions between the axes of JAX's products and the rows and columns of macros."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.contract.windows import WindowAxis, window_fetches, words_read


class DenseLayout(NamedTuple):
    """Axes of a `dot_general`; with batch axes, inputs, matrices and sums have a leading axis per batch axis."""

    input_batch: tuple[int, ...]
    weight_batch: tuple[int, ...]
    members: tuple[int, ...]
    input_free: tuple[int, ...]
    input_summed: tuple[int, ...]
    weight_free: tuple[int, ...]
    weight_summed: tuple[int, ...]
    weight_first: bool
    column_shape: tuple[int, ...]

    @property
    def window_fetches(self) -> float:
        """Each input is fetched once."""
        return 1.0

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Empty: there is no map to pad."""
        return ()

    @property
    def input_size(self) -> tuple[int, ...]:
        """Empty: there is no map."""
        return ()

    def words_read(self, shape: tuple[int, ...]) -> int:
        """Elements that the product reads of an operand of this shape: all."""
        return math.prod(shape)

    def inputs(self, values: Array) -> Float[Array, "... rows"]:
        """Inputs with their rows last."""
        kept = self.input_batch + self.input_free
        moved = jnp.transpose(values, kept + self.input_summed)
        rows = math.prod(values.shape[axis] for axis in self.input_summed)
        return moved.reshape(*moved.shape[: len(kept)], rows)

    def matrix(self, weights: Array) -> Float[Array, "... rows columns"]:
        """Weights as a matrix."""
        rows = math.prod(weights.shape[axis] for axis in self.weight_summed)
        moved = jnp.transpose(weights, self.matrix_axes)
        return moved.reshape(*self.members, rows, math.prod(self.column_shape))

    @property
    def matrix_axes(self) -> tuple[int, ...]:
        """Axes of the weight in the order in which the matrix has them."""
        return self.weight_batch + self.weight_summed + self.weight_free

    def result(self, sums: Float[Array, "... columns"]) -> Array:
        """Sums in the operation's own layout."""
        split = sums.reshape(*sums.shape[:-1], *self.column_shape)
        if not self.weight_first:
            return split
        first = len(self.members)
        middle = first + len(self.input_free)
        return jnp.transpose(split, (*range(first), *range(middle, split.ndim), *range(first, middle)))

    def to_columns(self, values: Array) -> Array:
        """Values that broadcast to the result, with their columns last."""
        free, columns = len(self.input_free), len(self.column_shape)
        values = values.reshape((1,) * (free + columns - values.ndim) + values.shape)
        if self.weight_first:
            values = jnp.transpose(values, (*range(columns, columns + free), *range(columns)))
        whole = jnp.broadcast_to(values, values.shape[:free] + self.column_shape)
        return whole.reshape(*whole.shape[:free], -1)


class ConvolutionLayout(NamedTuple):
    """Axis orders of a `conv_general_dilated`, and the windows along each axis of its maps."""

    input_order: tuple[int, ...]
    kernel_order: tuple[int, ...]
    result_order: tuple[int, ...]
    axes: tuple[WindowAxis, ...]

    @property
    def members(self) -> tuple[int, ...]:
        """Empty: one kernel for all images."""
        return ()

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and behind the maps along each axis."""
        return tuple(axis.padding for axis in self.axes)

    @property
    def window_fetches(self) -> float:
        """Fetches of each element that it reads."""
        return window_fetches(self.axes)

    @property
    def input_size(self) -> tuple[int, ...]:
        """Size of the input maps, spaced out, before padding."""
        return tuple(axis.spaced_size for axis in self.axes)

    def words_read(self, shape: tuple[int, ...]) -> int:
        """Elements that the product reads of an operand of this shape: those that some window covers."""
        maps = shape[self.input_order[0]] * shape[self.input_order[-1]]
        return maps * words_read(self.axes)

    @property
    def product_padding(self) -> tuple[tuple[int, int], ...]:
        """Padding that the product does; empty where `inputs` does it, as for maps that are spaced out or cut off."""
        plain = all(axis.spacing == 1 and min(axis.padding) >= 0 for axis in self.axes)
        return self.padding if plain and any(map(any, self.padding)) else ()

    def inputs(self, values: Array) -> Array:
        """Inputs (batch, *space, channels), with the zeros between and around them that are not the product's."""
        moved = jnp.transpose(values, self.input_order)
        if self.product_padding:
            return moved
        space = [(*axis.padding, axis.spacing - 1) for axis in self.axes]
        if not any(map(any, space)):
            return moved
        return jax.lax.pad(moved, jnp.zeros((), moved.dtype), [(0, 0, 0), *space, (0, 0, 0)])

    def matrix(self, weights: Array) -> Float[Array, "rows columns"]:
        """Kernel as a matrix with rows in the order (channel, *kernel)."""
        moved = jnp.transpose(weights, self.matrix_axes)
        return moved.reshape(-1, moved.shape[-1])

    @property
    def matrix_axes(self) -> tuple[int, ...]:
        """Axes of the weight in the order in which the matrix has them."""
        return self.kernel_order

    def result(self, sums: Array) -> Array:
        """Sums in the operation's own layout."""
        inverse = sorted(range(len(self.result_order)), key=self.result_order.__getitem__)
        return jnp.transpose(sums, inverse)

    def to_columns(self, values: Array) -> Array:
        """Values that broadcast to the result, with their columns last."""
        values = values.reshape((1,) * (len(self.result_order) - values.ndim) + values.shape)
        return jnp.transpose(values, self.result_order)
