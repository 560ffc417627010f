"""ONNX operators of convolution."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from amsim.foreign.operators.registry import Ints, Value, limited, operator
from amsim.foreign.operators.spatial import halves, per_axis, window_padding

SPACE = "DHW"


@operator("Conv")
def convolution(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Convolution of maps (batch, channels, *space) with a kernel (out, in / group, *space)."""
    x, weight = jnp.asarray(x), jnp.asarray(weight)
    kernel = _kernel(x, weight, kernel_shape)
    strides = per_axis("strides", strides, len(kernel), 1)
    dilations = per_axis("dilations", dilations, len(kernel), 1)
    padding = window_padding(auto_pad, pads, x.shape[2:], kernel, strides, dilations)
    maps = jax.lax.conv_general_dilated(
        x,
        weight,
        strides,
        padding,
        rhs_dilation=dilations,
        dimension_numbers=_layout(len(kernel)),
        feature_group_count=group,
    )
    return _with_bias(maps, bias)


@operator("ConvTranspose")
def transposed_convolution(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    output_padding: Ints = (),
    output_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Transposed convolution with a kernel (in, out / group, *space)."""
    x, weight = jnp.asarray(x), jnp.asarray(weight)
    kernel = _kernel(x, weight, kernel_shape)
    axes = len(kernel)
    strides, dilations = per_axis("strides", strides, axes, 1), per_axis("dilations", dilations, axes, 1)
    extra = per_axis("output_padding", output_padding, axes, 0, low=0)
    spans = [(width - 1) * dilation + 1 for width, dilation in zip(kernel, dilations, strict=True)]
    whole = [(size - 1) * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = output_shape or tuple(size * stride for size, stride in zip(x.shape[2:], strides, strict=True))
        sizes = zip(whole, spans, extra, per_axis("output_shape", wanted, axes, 1), strict=True)
        # Elements cut off at the two ends; the odd one goes to the start unless the padding is SAME_UPPER.
        cut = [before + span + more - want for before, span, more, want in sizes]
        if not output_shape and min(cut) < 0:
            raise ValueError("its padding is SAME with a stride beyond its kernel, on which run times do not agree")
        order = "SAME_UPPER" if auto_pad == "SAME_UPPER" else "SAME_LOWER"
        padding = [halves(max(one, 0), order) for one in cut]
        extra = tuple(more + max(-one, 0) for more, one in zip(extra, cut, strict=True))
    else:
        padding = window_padding(auto_pad, pads, x.shape[2:], kernel, strides, dilations)
    ends = zip(spans, padding, extra, strict=True)
    around = [(span - 1 - low, span - 1 - high + more) for span, (low, high), more in ends]
    if x.shape[1] != weight.shape[0] or group < 1 or weight.shape[0] % group:
        raise ValueError(f"its kernel of shape {weight.shape} does not fit {x.shape[1]} channels in {group} groups")
    maps = jax.lax.conv_general_dilated(
        x,
        _turned(weight, group),
        (1,) * axes,
        around,
        lhs_dilation=strides,
        rhs_dilation=dilations,
        dimension_numbers=_layout(axes),
        feature_group_count=group,
    )
    return _with_bias(maps, bias)


def _turned(weight: Array, group: int) -> Array:
    """A kernel (in, out / group, *space) as (out, in / group, *space), mirrored in space."""
    inputs, outputs, *space = weight.shape
    split = weight.reshape(group, inputs // group, outputs, *space)
    moved = jnp.swapaxes(split, 1, 2).reshape(group * outputs, inputs // group, *space)
    return jnp.flip(moved, tuple(range(2, moved.ndim)))


def _kernel(x: Array, weight: Array, kernel_shape: Ints) -> Ints:
    axes = x.ndim - 2
    if not 1 <= axes <= len(SPACE) or weight.ndim != x.ndim:
        raise ValueError(f"it convolves an array of shape {x.shape} with a kernel of shape {weight.shape}")
    if kernel_shape and kernel_shape != weight.shape[2:]:
        raise ValueError(f"its attribute `kernel_shape` is {kernel_shape}, but its kernel has shape {weight.shape}")
    if math.prod(weight.shape) == 0:
        raise ValueError("its kernel is empty")
    return weight.shape[2:]


def _layout(axes: int) -> tuple[str, str, str]:
    space = SPACE[-axes:]
    return f"NC{space}", f"OI{space}", f"NC{space}"


def _with_bias(maps: Array, bias: Value | None) -> Array:
    limited(maps.shape)
    return maps if bias is None else maps + jnp.asarray(bias).reshape((1, -1) + (1,) * (maps.ndim - 2))
