"""The registry of ONNX operators: each name with the function that computes it."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

if TYPE_CHECKING:
    # Operators take both kinds, which type checkers do not follow through the two libraries.
    Value = Any
else:
    Value = Array | np.ndarray | np.generic
"""A tensor of the graph: of NumPy where it is known before any input is seen, else of JAX."""
Ints = tuple[int, ...]
Floats = tuple[float, ...]
Strings = tuple[str, ...]

LARGEST_TENSOR = 2**28
"""Elements that one tensor of a graph may have; a small file can ask for any size."""
LARGEST_KNOWN = 2**24
"""Elements that are computed while a graph is traced, for one tensor and for all together."""
STANDARD_DOMAINS = ("", "ai.onnx")
QUANTISATION_DOMAINS = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
RUNTIME_DOMAIN = "com.microsoft"
"""Domain of the operators that ONNX Runtime adds."""
OF_THE_GRAPH = ("opset", "outputs")
"""Keywords of an operator's function that no attribute gives: version of the operator set, number of results."""


class Operator(NamedTuple):
    """How an operator is computed.

    Attributes:
        compute: Function of the inputs; its keywords are the attributes, those of `OF_THE_GRAPH` aside.
        settings: Places of inputs that are settings rather than data: numbers of the file there are not parameters.
        weights: Places of inputs that are parameters even as integers.
    """

    compute: Callable[..., Any]
    settings: tuple[int, ...]
    weights: tuple[int, ...]


_OPERATORS: dict[tuple[str, str], Operator] = {}


def operator(
    *names: str,
    settings: tuple[int, ...] = (),
    weights: tuple[int, ...] = (),
    domains: tuple[str, ...] = STANDARD_DOMAINS,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the function of one or more operators, in each of the domains."""

    def register(compute: Callable[..., Any]) -> Callable[..., Any]:
        for domain in domains:
            for name in names:
                _OPERATORS[domain, name] = Operator(compute, settings, weights)
        return compute

    return register


def find_operator(domain: str, name: str) -> Operator | None:
    """The operator of this name, or None where it is not supported."""
    return _OPERATORS.get((domain, name))


def supported_operators() -> tuple[str, ...]:
    """Names of all operators, in alphabetical order; those of ONNX Runtime alone with their domain."""
    standard = {name for domain, name in _OPERATORS if domain != RUNTIME_DOMAIN}
    added = {name for domain, name in _OPERATORS if domain == RUNTIME_DOMAIN} - standard
    return tuple(sorted([*standard, *(f"{RUNTIME_DOMAIN}.{name}" for name in added)]))


def evaluate(one: Operator, inputs: Sequence[Value | None], attributes: Mapping[str, Any], **of_graph: int) -> Any:
    """Results of an operator.

    Raises:
        ValueError: An attribute or a number of inputs that the operator does not have.
    """
    signature = inspect.signature(one.compute)
    keywords = {p.name: p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    for name, value in attributes.items():
        if name not in keywords or name in OF_THE_GRAPH:
            raise ValueError(f"its attribute `{name}` is not supported")
        if not _is_of_kind(value, keywords[name].annotation):
            raise ValueError(f"its attribute `{name}` has a value of the wrong kind, {str(value)[:80]}")
    taken = dict(attributes) | {name: value for name, value in of_graph.items() if name in keywords}
    try:
        bound = signature.bind(*inputs, **taken)
    except TypeError as error:
        raise ValueError(f"its inputs or attributes are wrong: {error}") from None
    positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    absent = [p.name for p in positional if p.default is p.empty and bound.arguments[p.name] is None]
    if absent:
        raise ValueError(f"its input {absent[0]} is left out")
    return one.compute(*inputs, **taken)


def _is_of_kind(value: Any, annotation: Any) -> bool:
    if isinstance(annotation, types.UnionType):
        return any(_is_of_kind(value, one) for one in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, typing.get_args(annotation)[0]) for item in value)
    return isinstance(value, annotation)


def numbers_of(name: str, value: Value | None) -> Ints | None:
    """A setting as plain integers.

    Raises:
        ValueError: It depends on the inputs of the network.
    """
    if value is None:
        return None
    return tuple(int(number) for number in np.atleast_1d(known(name, value)))


def known(name: str, value: Value) -> np.ndarray:
    """A setting as a NumPy array.

    Raises:
        ValueError: It depends on the inputs of the network.
    """
    if isinstance(value, jax.Array):
        raise ValueError(f"its input `{name}` depends on data or parameters, but must be known from the file")
    return value


def library(*values: Value | None) -> Any:
    """NumPy where all values are known, so that the result is known too; else JAX."""
    return jnp if any(isinstance(value, jax.Array) for value in values) else np


def limited(shape: Sequence[int], *operands: Value) -> Ints:
    """Return shape.

    Args:
        shape: Shape of a result.
        operands: What it is made from, if the result may be known while tracing.

    Raises:
        ValueError: It has a negative size or more elements than `LARGEST_TENSOR`; than `LARGEST_KNOWN` where its
            operands are known.
    """
    most = LARGEST_KNOWN if operands and library(*operands) is np else LARGEST_TENSOR
    elements = 1
    for size in shape:
        if size < 0:
            raise ValueError(f"a result has the negative size {size}")
        elements *= int(size)
    if elements > most:
        raise ValueError(f"a result has {elements} elements, more than the {most} that one may have")
    return tuple(int(size) for size in shape)


def aligned(*values: Value) -> tuple[Value, ...]:
    """Values with axes of size 1 in front, so that all have the same number of axes and broadcast."""
    axes = max(value.ndim for value in values)
    limited(np.broadcast_shapes(*(value.shape for value in values)), *values)
    return tuple(value.reshape((1,) * (axes - value.ndim) + value.shape) for value in values)


def axis_of(axis: int, axes: int, *, one_more: bool = False) -> int:
    """An axis counted from the front.

    Raises:
        ValueError: There is no such axis.
    """
    end = axes + one_more
    if not -axes <= axis < end:
        raise ValueError(f"its axis {axis} is none of {axes} axes")
    return axis + axes if axis < 0 else axis
