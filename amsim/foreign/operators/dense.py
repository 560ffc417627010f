"""ONNX operators of matrices and of normalisation."""

import jax.numpy as jnp
from jaxtyping import Array

from amsim.foreign.operators.registry import Ints, Value, aligned, axis_of, limited, operator


@operator("MatMul")
def matrix_product(a: Value, b: Value) -> Value:
    """Product of matrices, over leading axes that broadcast."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.ndim < 1 or b.ndim < 1:
        raise ValueError("it multiplies a number that is no matrix")
    if a.ndim > 1 and b.ndim > 2:
        limited((*jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
        axes = max(a.ndim, b.ndim)
        a, b = (value.reshape((1,) * (axes - value.ndim) + value.shape) for value in (a, b))
    elif b.ndim == 2:
        limited((*a.shape[:-1], b.shape[-1]))
    return jnp.matmul(a, b)


@operator("Gemm")
def general_product(
    a: Value,
    b: Value,
    c: Value | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Value:
    """Product with an addition: alpha a b + beta c."""
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"it multiplies arrays of shapes {a.shape} and {b.shape}, which are not matrices")
    a, b = a.T if transA else a, b.T if transB else b
    limited((a.shape[0], b.shape[1]))
    result = a @ b
    # Factors of 1 are left out, so that what stands behind a product stays simple.
    result = result if alpha == 1.0 else alpha * result
    if c is None:
        return result
    result, added = aligned(result, jnp.asarray(c))
    return result + (added if beta == 1.0 else beta * added)


@operator("Einsum")
def index_sum(*values: Value, equation: str) -> Value:
    """Products of tensors summed over the indices that the result does not have, in Einstein's notation."""
    if not values:
        raise ValueError("it has no input")
    return jnp.einsum(equation, *map(jnp.asarray, values))


@operator("BatchNormalization")
def batch_normalisation(
    x: Value,
    scale: Value,
    bias: Value,
    mean: Value,
    variance: Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
    outputs: int,
) -> Value:
    """Normalise: scale (x - mean) / sqrt(variance + epsilon) + bias, by channel, with the statistics of the file."""
    if training_mode or not spatial or outputs != 1:
        raise ValueError("it normalises by the statistics of its input, as in training")
    x = jnp.asarray(x)
    scale, bias, mean, variance = (_by_channel(x, value) for value in (scale, bias, mean, variance))
    return (x - mean) * (scale / jnp.sqrt(variance + epsilon)) + bias


@operator("InstanceNormalization")
def instance_normalisation(x: Value, scale: Value, bias: Value, *, epsilon: float = 1e-5) -> Value:
    """Normalise each map by its own mean and variance over space."""
    x = jnp.asarray(x)
    return _normalised(x, tuple(range(2, x.ndim)), epsilon) * _by_channel(x, scale) + _by_channel(x, bias)


@operator("LayerNormalization")
def layer_normalisation(
    x: Value,
    scale: Value,
    bias: Value | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int,
) -> Value:
    """Normalise by mean and variance over all axes from one on."""
    if outputs != 1:
        raise ValueError("it returns its mean and deviation")
    x = jnp.asarray(x)
    normalised, scale = aligned(_normalised(x, tuple(range(axis_of(axis, x.ndim), x.ndim)), epsilon), scale)
    scaled = jnp.multiply(normalised, scale)
    return scaled if bias is None else jnp.add(*aligned(scaled, bias))


@operator("GroupNormalization")
def group_normalisation(
    x: Value, scale: Value, bias: Value, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1, opset: int
) -> Value:
    """Normalise groups of channels by their own mean and variance."""
    x = jnp.asarray(x)
    if opset < 21:
        raise ValueError("it is of an operator set before 21")
    if num_groups < 1 or x.ndim < 2 or x.shape[1] % num_groups:
        raise ValueError(f"its {x.shape} cannot be split into {num_groups} groups")
    split = x.reshape(x.shape[0], num_groups, -1)
    return _normalised(split, (2,), epsilon).reshape(x.shape) * _by_channel(x, scale) + _by_channel(x, bias)


def _normalised(x: Array, axes: Ints, epsilon: float) -> Array:
    centred = x - jnp.mean(x, axes, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, axes, keepdims=True) + epsilon)


def _by_channel(x: Array, values: Value) -> Array:
    if x.ndim < 2 or values.shape != x.shape[1:2]:
        raise ValueError(f"it has values of shape {values.shape} for channels of an array of shape {x.shape}")
    return jnp.asarray(values).reshape((1, -1) + (1,) * (x.ndim - 2))
