"""ONNX operators of pooling."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.foreign.operators.registry import Ints, Value, limited, operator
from amsim.foreign.operators.spatial import for_whole_windows, per_axis, window_padding


class _Windows(NamedTuple):
    kernel: Ints
    strides: Ints
    dilations: Ints
    padding: list[tuple[int, int]]
    padding_of_map: list[tuple[int, int]]

    def reduce(self, x: Array, start: Any, function: Callable[..., Any], padding: list[tuple[int, int]]) -> Array:
        """Reduce the windows of a map (batch, channels, *space)."""
        return jax.lax.reduce_window(
            x,
            np.asarray(start, x.dtype),
            function,
            (1, 1, *self.kernel),
            (1, 1, *self.strides),
            [(0, 0), (0, 0), *padding],
            window_dilation=(1, 1, *self.dilations),
        )


def _windows(
    x: Array, kernel_shape: Ints, strides: Ints, dilations: Ints, auto_pad: str, pads: Ints, ceil_mode: int
) -> _Windows:
    space = x.shape[2:]
    if not space or not kernel_shape:
        raise ValueError(f"it pools an array of shape {x.shape} with windows of size {kernel_shape}")
    kernel = per_axis("kernel_shape", kernel_shape, len(space), 1)
    strides = per_axis("strides", strides, len(space), 1)
    dilations = per_axis("dilations", dilations, len(space), 1)
    padding = window_padding(auto_pad, pads, space, kernel, strides, dilations)
    of_map = padding
    if ceil_mode and auto_pad == "NOTSET":
        padding = for_whole_windows(padding, space, kernel, strides, dilations)
    limited([size + low + high for size, (low, high) in zip(x.shape, [(0, 0), (0, 0), *padding], strict=True)])
    return _Windows(kernel, strides, dilations, padding, of_map)


@operator("MaxPool")
def max_pool(
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = (),
    kernel_shape: Ints = (),
    pads: Ints = (),
    storage_order: int = 0,
    strides: Ints = (),
    outputs: int,
) -> Value:
    """Largest element of each window."""
    if outputs != 1:
        raise ValueError("it returns places of its maxima")
    x = jnp.asarray(x)
    windows = _windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    start = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return windows.reduce(x, start, jax.lax.max, windows.padding)


@operator("AveragePool")
def average_pool(
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints = (),
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Mean of each window; zeros of the padding count only with `count_include_pad`."""
    x = jnp.asarray(x)
    windows = _windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    sums = windows.reduce(x, 0, jax.lax.add, windows.padding)
    # Padding that only completes the last window never counts.
    around = [(0, 0), (0, 0), *windows.padding_of_map]
    ones = jnp.ones((1, 1, *x.shape[2:]), x.dtype)
    counted = jnp.pad(ones, around, constant_values=float(bool(count_include_pad)))
    pairs = zip(windows.padding, windows.padding_of_map, strict=True)
    completing = [(low - map_low, high - map_high) for (low, high), (map_low, map_high) in pairs]
    counts = windows.reduce(counted, 0, jax.lax.add, completing)
    return sums / counts


@operator("LpPool")
def lp_pool(
    x: Value,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = (),
    kernel_shape: Ints = (),
    p: int = 2,
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Lp norm of each window."""
    x = jnp.asarray(x)
    windows = _windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    return windows.reduce(jnp.abs(x) ** p, 0, jax.lax.add, windows.padding) ** (1.0 / p)


@operator("GlobalAveragePool")
def global_average_pool(x: Value) -> Value:
    """Mean over space."""
    x = jnp.asarray(x)
    return jnp.mean(x, tuple(range(2, x.ndim)), keepdims=True)


@operator("GlobalMaxPool")
def global_max_pool(x: Value) -> Value:
    """Largest element over space."""
    x = jnp.asarray(x)
    return jnp.max(x, tuple(range(2, x.ndim)), keepdims=True)


@operator("LRN")
def local_response_normalisation(
    x: Value, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Value:
    """Divide by neighbouring channels: x / (bias + alpha / size * sum of squares over `size` channels) ** beta."""
    x = jnp.asarray(x)
    before = (size - 1) // 2
    squares = jax.lax.reduce_window(
        x**2,
        np.zeros((), x.dtype),
        jax.lax.add,
        (1, size) + (1,) * (x.ndim - 2),
        (1,) * x.ndim,
        [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (x.ndim - 2),
    )
    return x / (bias + alpha / size * squares) ** beta
