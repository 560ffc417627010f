"""Operators of ONNX Runtime between quantised tensors: sums, products, pooling, activations and joins of codes.

Each takes off scale and zero point, computes in floating point, and quantises its result: codes differ from those of
ONNX Runtime by one step where a result lies in the middle of two.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.foreign.operators.activations import leaky_relu
from amsim.foreign.operators.integer_products import integer_matrix_product_in_units
from amsim.foreign.operators.pooling import average_pool
from amsim.foreign.operators.quantisation import codes, from_integers, to_bytes_of_data
from amsim.foreign.operators.registry import RUNTIME_DOMAIN, Ints, Value, aligned, axis_of, operator

RUNTIME = (RUNTIME_DOMAIN,)
OF_ONE, OF_TWO = (1, 2, 3, 4), (1, 2, 4, 5, 6, 7)
"""Places of scales and zero points of operators of one and of two tensors."""


def _register_pair(name: str, function: Callable[[Array, Array], Array]) -> None:
    @operator(name, settings=OF_TWO, domains=RUNTIME)
    def compute(
        a: Value,
        a_scale: Value,
        a_zero: Value | None,
        b: Value,
        b_scale: Value,
        b_zero: Value | None,
        y_scale: Value,
        y_zero: Value | None = None,
    ) -> Value:
        both = aligned(_in_units(a, a_scale, a_zero), _in_units(b, b_scale, b_zero))
        return _quantised(function(*both), y_scale, y_zero, a)


_register_pair("QLinearAdd", jnp.add)
_register_pair("QLinearMul", jnp.multiply)


@operator("QLinearSigmoid", settings=OF_ONE, domains=RUNTIME)
def quantised_sigmoid(
    x: Value, x_scale: Value, x_zero: Value | None, y_scale: Value, y_zero: Value | None = None
) -> Value:
    """Logistic function."""
    return _quantised(1 / (1 + jnp.exp(-_in_units(x, x_scale, x_zero))), y_scale, y_zero, x)


@operator("QLinearLeakyRelu", settings=OF_ONE, domains=RUNTIME)
def quantised_leaky_relu(
    x: Value, x_scale: Value, x_zero: Value | None, y_scale: Value, y_zero: Value | None = None, *, alpha: float = 0.01
) -> Value:
    """Leaky rectifier."""
    return _quantised(leaky_relu(_in_units(x, x_scale, x_zero), alpha=alpha), y_scale, y_zero, x)


@operator("QLinearGlobalAveragePool", settings=OF_ONE, domains=RUNTIME)
def quantised_global_average_pool(
    x: Value, x_scale: Value, x_zero: Value, y_scale: Value, y_zero: Value, *, channels_last: int = 0
) -> Value:
    """Mean of each map over its space."""
    space = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
    return _quantised(jnp.mean(_in_units(x, x_scale, x_zero), space, keepdims=True), y_scale, y_zero, x)


@operator("QLinearAveragePool", settings=OF_ONE, domains=RUNTIME)
def quantised_average_pool(
    x: Value,
    x_scale: Value,
    x_zero: Value | None,
    y_scale: Value,
    y_zero: Value | None = None,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Ints = (),
    pads: Ints = (),
    strides: Ints = (),
) -> Value:
    """Mean of each window."""
    maps = _in_units(x, x_scale, x_zero)
    pooled = average_pool(
        jnp.moveaxis(maps, -1, 1) if channels_last else maps,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return _quantised(jnp.moveaxis(pooled, 1, -1) if channels_last else pooled, y_scale, y_zero, x)


@operator("QLinearConcat", settings=tuple(place for place in range(1024) if place % 3 != 2), domains=RUNTIME)
def quantised_concatenation(y_scale: Value, y_zero: Value, *parts: Value, axis: int) -> Value:
    """Tensors one after another along an axis; each comes with its scale and zero point."""
    if not parts or len(parts) % 3:
        raise ValueError(f"it has {len(parts)} inputs, which are not tensors with scale and zero point each")
    found = [_in_units(*parts[place : place + 3]) for place in range(0, len(parts), 3)]
    return _quantised(jnp.concatenate(found, axis_of(axis, found[0].ndim)), y_scale, y_zero, parts[0])


@operator("DynamicQuantizeMatMul", settings=(2, 3), weights=(1,), domains=RUNTIME)
def product_with_quantised_data(
    a: Value, b: Value, b_scale: Value, b_zero: Value | None = None, bias: Value | None = None
) -> Value:
    """Product of data with a quantised matrix, after `DynamicQuantizeLinear` of the data."""
    a_codes, a_scale, a_zero = to_bytes_of_data(a)
    return integer_matrix_product_in_units(a_codes, b, a_scale, b_scale, a_zero, b_zero, bias)


def _in_units(x: Value, scale: Value, zero: Value | None) -> Array:
    return jnp.asarray(from_integers(x, scale, zero))


def _quantised(values: Array, scale: Value, zero: Value | None, like: Value) -> Array:
    """Codes of the type of the zero point, or of another tensor where there is none."""
    zero = None if zero is None else zero.reshape(())
    return codes(values / scale, zero, np.dtype(like.dtype) if zero is None else zero.dtype)
