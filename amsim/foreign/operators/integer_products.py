"""ONNX operators that multiply integers: `MatMulInteger`, `ConvInteger`, `QLinearMatMul`, `QLinearConv`.

Integers are multiplied as floating-point numbers, like all products of a network, so that they become sites of a chip;
sums are exact up to 2**24, which products of bytes over 518 rows cannot pass. A site takes the codes themselves, with
their zero point taken off: a macro of the codes' word length multiplies them exactly.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.foreign.operators.convolution import convolution
from amsim.foreign.operators.dense import matrix_product
from amsim.foreign.operators.quantisation import codes
from amsim.foreign.operators.registry import RUNTIME_DOMAIN, Ints, Value, aligned, operator
from amsim.foreign.operators.spatial import per_axis, window_padding


@operator("MatMulInteger", settings=(2, 3), weights=(0, 1))
def integer_matrix_product(a: Value, b: Value, a_zero: Value | None = None, b_zero: Value | None = None) -> Value:
    """Product of matrices of integers, (a - a zero) (b - b zero), as 32-bit integers."""
    return whole_numbers(_matrix_sums(a, b, a_zero, b_zero))


@operator("ConvInteger", settings=(2, 3), weights=(1,))
def integer_convolution(
    x: Value,
    weight: Value,
    x_zero: Value | None = None,
    weight_zero: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Convolution of integers, (x - x zero) * (w - w zero), as 32-bit integers; the padding stands for 0."""
    window: dict[str, Any] = {"auto_pad": auto_pad, "dilations": dilations, "kernel_shape": kernel_shape, "pads": pads}
    return whole_numbers(_convolution_sums(x, weight, x_zero, weight_zero, group=group, strides=strides, **window))


@operator("QLinearMatMul", settings=(1, 2, 4, 5, 6, 7), weights=(0, 3))
def quantised_matrix_product(
    a: Value, a_scale: Value, a_zero: Value, b: Value, b_scale: Value, b_zero: Value, y_scale: Value, y_zero: Value
) -> Value:
    """Product of quantised matrices, quantised again: round(a b a scale b scale / y scale) + y zero.

    Zero points are taken off a and b.
    """
    sums = _matrix_sums(a, b, a_zero, b_zero)
    factor = _product(_of_rows(a, a_scale), b_scale) / y_scale.reshape(())
    return codes(_product(sums, factor), y_zero, y_zero.dtype)


@operator("QLinearConv", settings=(1, 2, 4, 5, 6, 7), weights=(3, 8))
def quantised_convolution(
    x: Value,
    x_scale: Value,
    x_zero: Value,
    weight: Value,
    weight_scale: Value,
    weight_zero: Value,
    y_scale: Value,
    y_zero: Value,
    bias: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = (),
    group: int = 1,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Convolution of quantised maps, quantised again: round((x * w + b) x scale w scale / y scale) + y zero.

    Zero points are taken off x and w. The bias is of 32-bit integers with the scale of the product. Scale and zero
    point of the weight may be one for each channel of the result.
    """
    window: dict[str, Any] = {"auto_pad": auto_pad, "dilations": dilations, "kernel_shape": kernel_shape, "pads": pads}
    sums = _convolution_sums(x, weight, x_zero, weight_zero, group=group, strides=strides, **window)
    if bias is not None:
        sums = sums + _by_channel(_numbers(bias), sums.ndim)
    return codes(sums * _by_channel(x_scale * weight_scale / y_scale, sums.ndim), y_zero, y_zero.dtype)


@operator("MatMulIntegerToFloat", settings=(2, 3, 4, 5), weights=(0, 1), domains=(RUNTIME_DOMAIN,))
def integer_matrix_product_in_units(
    a: Value,
    b: Value,
    a_scale: Value,
    b_scale: Value,
    a_zero: Value | None = None,
    b_zero: Value | None = None,
    bias: Value | None = None,
) -> Value:
    """Product of quantised matrices in the unit of their scales: (a - a zero) (b - b zero) a scale b scale + bias."""
    found = _product(_matrix_sums(a, b, a_zero, b_zero), _product(_of_rows(a, a_scale), b_scale))
    return found if bias is None else jnp.add(*aligned(found, bias))


@operator("QGemm", settings=(1, 2, 4, 5, 7, 8), weights=(0, 3, 6), domains=(RUNTIME_DOMAIN,))
def quantised_general_product(
    a: Value,
    a_scale: Value,
    a_zero: Value,
    b: Value,
    b_scale: Value,
    b_zero: Value,
    c: Value | None = None,
    y_scale: Value | None = None,
    y_zero: Value | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Value:
    """Product of quantised matrices and a 32-bit bias, alpha (a b + c), in units of the scales or quantised again."""
    a, b = (turned.T if turn else turned for turned, turn in ((a, transA), (b, transB)))
    sums = _matrix_sums(a, b, a_zero, b_zero)
    sums = sums if c is None else jnp.add(*aligned(sums, _numbers(c)))
    factor = _product(np.float32(alpha) * a_scale, b_scale)
    if y_scale is None:
        return _product(sums, factor)
    if y_zero is None:
        raise ValueError("it has the scale of its result, but not the zero point")
    return codes(_product(sums, factor / y_scale.reshape(())), y_zero, y_zero.dtype)


def _matrix_sums(a: Value, b: Value, a_zero: Value | None, b_zero: Value | None) -> Array:
    """(a - a zero) (b - b zero); a zero point is one number, one for each row of a or one for each column of b."""
    a_zero = None if a_zero is None else _of_rows(a, a_zero)
    if a_zero is None or not isinstance(a_zero, jax.Array):
        return matrix_product(_less(a, a_zero), _less(b, b_zero))
    # Taken off after the product, for a site takes codes whose range is known.
    weight = _less(b, b_zero)
    sums = _product(_numbers(a_zero), jnp.sum(weight, axis=-2, keepdims=weight.ndim > 1))
    return jnp.subtract(*aligned(matrix_product(_numbers(a), weight), sums))


def _convolution_sums(
    x: Value,
    weight: Value,
    x_zero: Value | None,
    weight_zero: Value | None,
    *,
    auto_pad: str,
    dilations: Ints,
    group: int,
    kernel_shape: Ints,
    pads: Ints,
    strides: Ints,
) -> Array:
    """Convolution of x - x zero with w - w zero, padded by zeros."""
    axes = x.ndim - 2
    if weight_zero is not None and weight_zero.size > 1:
        weight_zero = weight_zero.reshape(-1, *(1,) * (axes + 1))
    kernel = _less(weight, weight_zero)
    window: dict[str, Any] = {"dilations": dilations, "group": group, "kernel_shape": kernel_shape, "strides": strides}
    if x_zero is None or not isinstance(x_zero, jax.Array):
        return convolution(_less(x, x_zero), kernel, auto_pad=auto_pad, pads=pads, **window)
    # Taken off after the product, for a site takes codes whose range is known; so the padding is of zero points.
    steps, spread = per_axis("strides", strides, axes, 1), per_axis("dilations", dilations, axes, 1)
    around = window_padding(auto_pad, pads, x.shape[2:], weight.shape[2:], steps, spread)
    padded = jax.lax.pad(x, x_zero.reshape(()), [(0, 0, 0), (0, 0, 0), *((low, high, 0) for low, high in around)])
    of_zero = _numbers(x_zero).reshape(()) * jnp.sum(kernel, axis=tuple(range(1, kernel.ndim)))
    return convolution(_numbers(padded), kernel, **window) - _by_channel(of_zero, x.ndim)


def _less(x: Value, zero: Value | None) -> Array:
    """Integers less their zero point as floating-point numbers; a zero point of 0 is left out."""
    numbers = _numbers(x)
    if zero is None or (isinstance(zero, np.ndarray) and not np.any(zero)):
        return numbers
    return jnp.subtract(*aligned(numbers, _numbers(zero) if zero.size > 1 else _numbers(zero).reshape(())))


def _numbers(x: Value) -> Array:
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"it multiplies values of type {x.dtype}, which are not integers")
    return jnp.asarray(x).astype(jnp.float32)


def _of_rows(a: Value, value: Value) -> Value:
    """One number, or one for each row of a matrix as a column."""
    return value if value.ndim != 1 or value.size == 1 or a.ndim < 2 else value[:, None]


def _product(one: Value, other: Value) -> Value:
    one, other = aligned(one, other)
    return one * other


def _by_channel(values: Value, axes: int) -> Value:
    return values.reshape((1, -1) + (1,) * (axes - 2))


def whole_numbers(sums: Array) -> Array:
    """Sums as 32-bit integers, rounded: a conversion alone cuts off, and sums of a chip are close to whole ones."""
    return jnp.round(sums).astype(jnp.int32)
