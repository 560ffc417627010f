"""Matrix products in the single form that macros work on: rows are summed, columns are filters.

A dense layer and a convolution differ only in how inputs meet the weight matrix. Both say how many rows they sum,
how those rows split into tiles that fit a line, and how one digit of the inputs meets one matrix.
"""

import dataclasses
import math
from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from amsim.circuits.checks import integer_between, integers_from_one


class Product(eqx.Module):
    """A product of inputs with a weight matrix of shape (rows, columns); the result has its columns last.

    Attributes:
        rows: Products summed per column (static).
        columns: Results per input vector (static).
    """

    rows: eqx.AbstractVar[int]
    columns: eqx.AbstractVar[int]

    @property
    @abstractmethod
    def row_block(self) -> int:
        """Number of rows that cannot be separated, because they share one input channel."""

    @property
    @abstractmethod
    def vector_axes(self) -> tuple[int, ...]:
        """Axes of the inputs that belong to one sample."""

    @abstractmethod
    def sums(
        self,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        edge: Float[Array, ""] | float = 0.0,
    ) -> Float[Array, "..."]:
        """Sum over rows of inputs times matrix, columns last; a matrix of fewer rows takes as many inputs.

        Args:
            inputs: Inputs, or whatever stands in their place, such as a digit of each.
            matrix: The weights, or what stands in their place.
            edge: What stands in the place of an input 0, which the padding of a map is made of: `Coded.zero_digit` for
                digits of inputs.
        """

    @abstractmethod
    def input_sums(self, inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Sum of the inputs that a column sees, broadcastable to the result."""

    @abstractmethod
    def part(self, *, columns: int | None = None, blocks: int | None = None) -> "Product":
        """The same product with fewer columns, or with fewer row blocks."""

    @property
    def input_groups(self) -> int:
        """Equal groups of columns, each with inputs of its own; here all columns see all inputs."""
        return 1

    @property
    def padded(self) -> bool:
        """Whether it puts zeros around its inputs; here not."""
        return False

    @property
    def unpadded(self) -> "Product":
        """The same product of inputs that have their padding already, which is all that its cost depends on."""
        return self

    def padded_size(self, shape: tuple[int, ...]) -> int:
        """Number of inputs of this shape with the zeros around them."""
        return math.prod(shape)

    def passes(self, width: int, slices: int = 1) -> int:
        """Passes over columns that stand side by side and share their inputs; no pass holds columns of two groups.

        Args:
            width: Columns side by side.
            slices: Of them that one column of the product takes, such as one for each bit of a weight.
        """
        return self.input_groups * -(-self.columns // self.input_groups * slices // width)

    @property
    def blocks(self) -> int:
        """Number of separable row blocks."""
        return self.rows // self.row_block

    def tile_blocks(self, line_rows: int) -> int:
        """Row blocks of one tile on a line of `line_rows` rows.

        Raises:
            ValueError: A block has more rows than the line.
        """
        if self.row_block > line_rows:
            raise ValueError(
                f"Argument `rows` must be at least {self.row_block}, the rows that share one input channel, "
                f"but is {line_rows}."
            )
        return min(line_rows // self.row_block, self.blocks)

    def tiles(self, line_rows: int) -> int:
        """Number of tiles on a line of `line_rows` rows."""
        return math.ceil(self.blocks / self.tile_blocks(line_rows))

    def split_inputs(self, inputs: Float[Array, "..."], line_rows: int) -> Float[Array, "tiles ..."]:
        """Inputs of each tile, stacked; missing channels of the last tile are 0 (undriven)."""
        blocks, count = self.tile_blocks(line_rows), self.tiles(line_rows)
        if count == 1:
            # One tile takes all channels, whatever their groups.
            return inputs[None]
        padding = [(0, 0)] * (inputs.ndim - 1) + [(0, blocks * count - self.blocks)]
        padded = jnp.pad(inputs, padding).reshape(*inputs.shape[:-1], count, blocks)
        return jnp.moveaxis(padded, -2, 0)

    def split_matrix(
        self, matrix: Float[Array, "rows columns"], line_rows: int
    ) -> Float[Array, "tiles tile_rows columns"]:
        """Matrix of each tile, stacked; missing rows of the last tile are 0."""
        rows, count = self.tile_blocks(line_rows) * self.row_block, self.tiles(line_rows)
        padded = jnp.pad(matrix, [(0, rows * count - self.rows), (0, 0)])
        return padded.reshape(count, rows, matrix.shape[1])

    def driven_rows(self, line_rows: int) -> Float[Array, "tiles rows"]:
        """1 where a line row of a tile carries a weight, 0 where it is spare."""
        return self.split_matrix(jnp.ones((self.rows, 1)), line_rows)[:, :, 0]


class DenseProduct(Product):
    """Inputs (..., rows) times matrix (rows, columns).

    Attributes:
        rows: Products summed per column (static).
        columns: Results per input vector (static).
    """

    rows: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Check the sizes."""
        integer_between("rows", self.rows, 1)
        integer_between("columns", self.columns, 1)

    def part(self, *, columns: int | None = None, blocks: int | None = None) -> "DenseProduct":
        """The same product with fewer columns or rows."""
        return DenseProduct(self.rows if blocks is None else blocks, self.columns if columns is None else columns)

    @property
    def row_block(self) -> int:
        """1: every row has an input of its own."""
        return 1

    @property
    def vector_axes(self) -> tuple[int, ...]:
        """The rows."""
        return (-1,)

    def sums(
        self,
        inputs: Float[Array, "... rows"],
        matrix: Float[Array, "rows columns"],
        edge: Float[Array, ""] | float = 0.0,
    ) -> Float[Array, "..."]:
        """Plain matrix product; full float32 products, so that integer sums below 2**24 are exact."""
        return jnp.matmul(inputs, matrix, precision=jax.lax.Precision.HIGHEST)

    def input_sums(self, inputs: Float[Array, "... rows"]) -> Float[Array, "... 1"]:
        """Sum of all inputs."""
        return jnp.sum(inputs, axis=-1, keepdims=True)


class ConvolutionProduct(Product):
    """Inputs (batch, *space, channels) times matrix rows in the order (channel, *kernel).

    With `groups` > 1 the columns split into as many groups, each of which sees its own share of the channels. Padding
    stays in the operation: XLA on CPU takes three to five times as long on an array that is padded before.

    Attributes:
        kernel: Spatial kernel shape (static).
        channels: Input channels summed per column (static).
        columns: Filters (static).
        strides: Window strides (static).
        dilation: Kernel dilation (static).
        groups: Feature groups (static).
        padding: Zeros before and behind the map along each axis (static); empty where there are none.
        rows: Products summed per column, kernel positions times channels (static).
    """

    kernel: tuple[int, ...] = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    columns: int = eqx.field(static=True)
    strides: tuple[int, ...] = eqx.field(static=True)
    dilation: tuple[int, ...] = eqx.field(static=True)
    groups: int = eqx.field(static=True, default=1)
    padding: tuple[tuple[int, int], ...] = eqx.field(static=True, default=())
    rows: int = eqx.field(static=True, init=False)

    def __post_init__(self) -> None:
        """Check the sizes, and count the products summed per column."""
        for name in ("channels", "columns", "groups"):
            integer_between(name, getattr(self, name), 1)
        for name in ("kernel", "strides", "dilation"):
            integers_from_one(name, getattr(self, name))
        pairs = self.padding
        if pairs and (len(pairs) != len(self.kernel) or any(len(pair) != 2 or min(pair) < 0 for pair in pairs)):
            raise ValueError(
                f"Argument `padding` must have two counts from 0 up for each of the {len(self.kernel)} axes, but is "
                f"{pairs}."
            )
        self.rows = self.channels * math.prod(self.kernel)

    @property
    def input_groups(self) -> int:
        """The field `groups`."""
        return self.groups

    @property
    def padded(self) -> bool:
        """Whether there are zeros around the map."""
        return any(map(any, self.padding))

    @property
    def unpadded(self) -> "ConvolutionProduct":
        """The same product of padded maps."""
        return dataclasses.replace(self, padding=())

    def padded_size(self, shape: tuple[int, ...]) -> int:
        """Number of inputs of this shape with the zeros around their maps."""
        space = zip(shape[1:-1], self._around, strict=True)
        return shape[0] * math.prod(size + sum(zeros) for size, zeros in space) * shape[-1]

    @property
    def _around(self) -> tuple[tuple[int, int], ...]:
        return self.padding or ((0, 0),) * len(self.kernel)

    def part(self, *, columns: int | None = None, blocks: int | None = None) -> "ConvolutionProduct":
        """The same product with fewer filters or input channels; for counts only where filters are grouped."""
        return dataclasses.replace(
            self,
            columns=self.columns if columns is None else columns,
            channels=self.channels if blocks is None else blocks,
        )

    @property
    def row_block(self) -> int:
        """Kernel positions of one channel."""
        return math.prod(self.kernel)

    @property
    def vector_axes(self) -> tuple[int, ...]:
        """All but the batch: one image, one range."""
        return tuple(range(1, len(self.kernel) + 2))

    def tile_blocks(self, line_rows: int) -> int:
        """Row blocks of one tile; grouped convolutions are not split.

        Raises:
            ValueError: A block, or a grouped convolution, has more rows than the line.
        """
        blocks = super().tile_blocks(line_rows)
        if self.groups > 1 and blocks < self.channels:
            raise ValueError(
                f"Argument `rows` must be at least {self.rows} for a grouped convolution, which is not split into "
                f"tiles, but is {line_rows}."
            )
        return blocks

    def sums(
        self,
        inputs: Float[Array, "..."],
        matrix: Float[Array, "rows columns"],
        edge: Float[Array, ""] | float = 0.0,
    ) -> Float[Array, "..."]:
        """Convolution, columns last; full float32 products.

        Where padding stands for `edge`, the inputs are taken from there: `sum (x - e) w + e sum w`. Whole numbers keep
        their sums to the bit.
        """
        if not self.padded or (isinstance(edge, float) and edge == 0.0):
            return self._convolved(inputs, matrix)
        from_edge = self._convolved(inputs - edge, matrix)
        return from_edge + over_columns(edge * jnp.sum(matrix, axis=0), from_edge.ndim)

    def _convolved(self, inputs: Float[Array, "..."], matrix: Float[Array, "rows columns"]) -> Float[Array, "..."]:
        letters = "HWDABC"[: len(self.kernel)]
        kernel = matrix.reshape(-1, *self.kernel, matrix.shape[1])
        return jax.lax.conv_general_dilated(
            inputs,
            jnp.moveaxis(kernel, 0, -2),
            self.strides,
            self._around,
            rhs_dilation=self.dilation,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
            feature_group_count=self.groups,
            precision=jax.lax.Precision.HIGHEST,
        )

    def input_sums(self, inputs: Float[Array, "..."]) -> Float[Array, "..."]:
        """Sum of the inputs in each window, of each group of channels.

        Not a convolution with a kernel of ones: XLA 0.10.2 on CPU returns garbage for one that it fuses with a
        reduction.
        """
        grouped = jnp.sum(inputs.reshape(*inputs.shape[:-1], self.groups, self.channels), axis=-1)
        windows = jax.lax.reduce_window(
            grouped,
            np.zeros((), grouped.dtype),  # NumPy's, which `jit` does not trace: a traced zero would have no gradient
            jax.lax.add,
            (1, *self.kernel, 1),
            (1, *self.strides, 1),
            ((0, 0), *self._around, (0, 0)),
            window_dilation=(1, *self.dilation, 1),
        )
        return windows if self.groups == 1 else jnp.repeat(windows, self.columns // self.groups, axis=-1)


def over_columns(values: Shaped[Array, "..."], ndim: int) -> Shaped[Array, "..."]:
    """One value or one per column, shaped to broadcast against a result of `ndim` axes, columns last."""
    return values.reshape((1,) * (ndim - 1) + (-1,))
