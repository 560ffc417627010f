"""ONNX operators of neurons: activations and softmax."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.foreign.operators.registry import Value, aligned, axis_of, operator


def _register_plain(name: str, function: Callable[[Array], Array]) -> None:
    @operator(name)
    def compute(x: Value) -> Value:
        return function(jnp.asarray(x))


_PLAIN: dict[str, Callable[[Array], Array]] = {
    "Relu": lambda x: jnp.maximum(x, 0), "Sigmoid": jax.nn.sigmoid, "Tanh": jnp.tanh, "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign, "HardSwish": lambda x: x * jnp.clip(x / 6 + 0.5, 0, 1),
    "Mish": lambda x: x * jnp.tanh(jax.nn.softplus(x)),
}  # fmt: skip
for _name, _function in _PLAIN.items():
    _register_plain(_name, _function)


@operator("LeakyRelu")
def leaky_relu(x: Value, *, alpha: float = 0.01) -> Value:
    """Leaky rectifier: x above 0, alpha x below."""
    x = jnp.asarray(x)
    return jnp.where(x >= 0, x, alpha * x)


@operator("PRelu")
def prelu(x: Value, slope: Value) -> Value:
    """Rectifier with a learned slope: x above 0, slope x below; the slope broadcasts to x."""
    x, slope = aligned(x, slope)
    return jnp.where(x >= 0, x, slope * x)


@operator("Elu")
def elu(x: Value, *, alpha: float = 1.0) -> Value:
    """Exponential unit: x above 0, alpha (exp(x) - 1) below."""
    return jax.nn.elu(jnp.asarray(x), alpha)


@operator("Selu")
def selu(x: Value, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Value:
    """Scaled ELU."""
    return gamma * jax.nn.elu(jnp.asarray(x), alpha)


@operator("Celu")
def celu(x: Value, *, alpha: float = 1.0) -> Value:
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)."""
    return jax.nn.celu(jnp.asarray(x), alpha)


@operator("HardSigmoid")
def hard_sigmoid(x: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:
    """Straight line alpha x + beta held between 0 and 1."""
    return jnp.clip(alpha * jnp.asarray(x) + beta, 0, 1)


@operator("ThresholdedRelu")
def thresholded_relu(x: Value, *, alpha: float = 1.0) -> Value:
    """Rectifier from a threshold on: x above alpha, else 0."""
    x = jnp.asarray(x)
    return jnp.where(x > alpha, x, 0)


@operator("Gelu")
def gelu(x: Value, *, approximate: str = "none") -> Value:
    """Product of x and the normal CDF of x, or its approximation by tanh."""
    return jax.nn.gelu(jnp.asarray(x), approximate=approximate == "tanh")


@operator("Softmax")
def softmax(x: Value, *, axis: int | None = None, opset: int) -> Value:
    """Softmax along an axis; up to operator set 12 over all axes from this one on."""
    return _normalised(jax.nn.softmax, x, axis, opset)


@operator("LogSoftmax")
def log_softmax(x: Value, *, axis: int | None = None, opset: int) -> Value:
    """Logarithm of softmax."""
    return _normalised(jax.nn.log_softmax, x, axis, opset)


def _normalised(function: Callable[..., Array], x: Value, axis: int | None, opset: int) -> Value:
    x = jnp.asarray(x)
    if opset >= 13:
        return function(x, axis=axis_of(-1 if axis is None else axis, x.ndim))
    first = axis_of(1 if axis is None else axis, x.ndim, one_more=True)
    rows = int(np.prod(x.shape[:first], dtype=np.int64))
    return function(x.reshape(rows, -1), axis=1).reshape(x.shape)


@operator("Hardmax")
def hardmax(x: Value, *, axis: int = -1, opset: int) -> Value:
    """1 at the first largest element along an axis, else 0."""
    if opset < 13:
        raise ValueError("it is of an operator set before 13")
    x = jnp.asarray(x)
    return jax.nn.one_hot(jnp.argmax(x, axis), x.shape[axis], axis=axis, dtype=x.dtype)
