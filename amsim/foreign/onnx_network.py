"""A network from an ONNX file as a JAX function of its parameters and inputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.files.path_argument import checked_path
from amsim.files.regular_file import named_in_errors
from amsim.foreign.graph_file import Graph, GraphInput, Node, read_graph
from amsim.foreign.operators.registry import LARGEST_KNOWN, Value, evaluate, limited

_FAILURES = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, RuntimeError)
"""Errors of an operation on operands that it does not support."""


class OnnxNetwork:
    """Function `network(params, *inputs)` that computes an ONNX graph.

    Traceable: `jit`, `grad`, `vmap` and `amsim.deploy` take it. What the file fixes, such as shapes to reshape to, is
    known while tracing. Where the file fixes a batch of one in all inputs, several items are computed as one after the
    other by `jax.vmap`.

    Attributes:
        inputs: Name, type and sizes of each input, in order.
        input_names: Names of the inputs, in order.
        output_names: Names of the outputs; one is returned as it is, several as a tuple.
    """

    def __init__(self, graph: Graph) -> None:
        self.__name__ = graph.name or "network"
        self.inputs = graph.inputs
        self.input_names = tuple(one.name for one in graph.inputs)
        self.output_names = graph.outputs
        self._graph = graph
        # Compiled as a whole, so that sizes are checked before anything is computed.
        self._compiled = jax.jit(self._outputs)

    def __call__(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """Outputs of the network.

        Args:
            params: As `load_onnx` returned them, or others of the same names and shapes.
            *inputs: One array for each of `input_names`, or one dict of all of them by name.

        Raises:
            ValueError: Other parameters or inputs than the network takes, or an operation that cannot be done.
        """
        arrays, given = self._checked_params(params), self._arrays(inputs)
        if _is_batch_of_single(self._graph.inputs, given):
            return self._of_items(arrays, given)
        for one, array in zip(self._graph.inputs, given, strict=True):
            _check_input(one, array)
        return self._compiled(arrays, given)

    def _checked_params(self, params: Mapping[str, Any]) -> dict[str, Array]:
        names = self._graph.parameters
        if not isinstance(params, Mapping) or set(params) != names:
            given = sorted(map(str, params)) if isinstance(params, Mapping) else type(params).__name__
            different = sorted(names.symmetric_difference(given)) if isinstance(given, list) else given
            raise ValueError(f"Argument `params` must have the names of the file's parameters; different: {different}.")
        arrays = {name: jnp.asarray(value) for name, value in params.items()}
        for name, array in arrays.items():
            wanted = self._graph.tensors[name].shape
            if array.shape != wanted:
                raise ValueError(f"Argument `params` must have {name!r} of shape {wanted}, but it has {array.shape}.")
        return arrays

    def _arrays(self, inputs: tuple[Any, ...]) -> list[Array]:
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            if set(inputs[0]) != set(self.input_names):
                given = ", ".join(sorted(map(str, inputs[0])))
                raise ValueError(f"Argument `inputs` must be {self.input_names} by name, but has {given}.")
            inputs = tuple(inputs[0][name] for name in self.input_names)
        if len(inputs) != len(self.input_names):
            raise ValueError(f"Argument `inputs` must be {self.input_names}, but there are {len(inputs)}.")
        return [jnp.asarray(given) for given in inputs]

    def _of_items(self, params: dict[str, Array], inputs: list[Array]) -> Any:
        """Outputs for several items of a network whose file fixes a batch of one."""
        found = jax.vmap(self._compiled, (None, 0))(params, [array[:, None] for array in inputs])
        for name, output in zip(self.output_names, jax.tree.leaves(found), strict=True):
            if output.ndim < 2 or output.shape[1] != 1:
                raise ValueError(
                    f"Argument `inputs` must have the one item for which the file fixes its shapes, but has "
                    f"{len(inputs[0])}: output {name!r} of shape {output.shape[1:]} has no axis of items to join."
                )
        return jax.tree.map(lambda output: output[:, 0], found)

    def _outputs(self, params: dict[str, Array], inputs: list[Array]) -> Any:
        tensors = self._graph.tensors
        values: dict[str, Value] = {**tensors, **params, **dict(zip(self.input_names, inputs, strict=True))}
        computed = 0
        for node in self._graph.nodes:
            settings = node.operator.settings
            taken = [
                None if not name else tensors[name] if place in settings and name in tensors else values[name]
                for place, name in enumerate(node.inputs)
            ]
            results = _results(node, taken, self._graph.opset)
            computed += sum(result.size for result in results if isinstance(result, np.ndarray))
            if computed > LARGEST_KNOWN:
                raise ValueError(f"ONNX node {node.title} computes too many numbers that depend on the file alone.")
            values |= {name: value for name, value in zip(node.outputs, results, strict=False) if name}
        found = [jnp.asarray(values[name]) for name in self.output_names]
        return found[0] if len(found) == 1 else tuple(found)


def _results(node: Node, inputs: list[Value | None], opset: int) -> tuple[Value, ...]:
    wanted = max((place + 1 for place, name in enumerate(node.outputs) if name), default=0)
    try:
        with np.errstate(all="ignore"):
            found = evaluate(node.operator, inputs, node.attributes, opset=opset, outputs=wanted)
        results = found if isinstance(found, tuple) else (found,)
        if len(results) < wanted:
            raise ValueError(f"it has {len(results)} outputs, but {wanted} are asked for")
        for result in results:
            limited(result.shape)
    except _FAILURES as error:
        raise ValueError(f"ONNX node {node.title} cannot be computed: {error}.") from error
    return tuple(np.asarray(result) if isinstance(result, np.generic) else result for result in results)


def _is_batch_of_single(wanted: Sequence[GraphInput], given: Sequence[Array]) -> bool:
    """Whether all inputs have the same number of items, other than one, where the file fixes a batch of one in all."""
    items = {array.shape[0] if array.ndim else 1 for array in given}
    single = all(one.sizes is not None and one.sizes[:1] == (1,) for one in wanted)
    return (
        single
        and len(items) == 1
        and items != {1}
        and all(map(_is_of_kind, wanted, given))
        and all(_fits((None, *(one.sizes or ())[1:]), array) for one, array in zip(wanted, given, strict=True))
    )


def _is_of_kind(wanted: GraphInput, given: Array) -> bool:
    kinds = (np.floating, np.integer, np.bool_)
    return any(np.issubdtype(wanted.dtype, kind) and jnp.issubdtype(given.dtype, kind) for kind in kinds)


def _fits(sizes: tuple[int | None, ...] | None, given: Array) -> bool:
    return sizes is None or (
        len(sizes) == given.ndim
        and all(size is None or size == found for size, found in zip(sizes, given.shape, strict=True))
    )


def _check_input(wanted: GraphInput, given: Array) -> None:
    if _is_of_kind(wanted, given) and _fits(wanted.sizes, given):
        return
    sizes, hint = wanted.sizes, ""
    if sizes and sizes[0] is not None and _fits((None, *sizes[1:]), given):
        hint = f" The file fixes a batch of {sizes[0]}: give as many items at a time, as `batch={sizes[0]}` does."
    raise ValueError(
        f"Argument `inputs` must have {wanted.name!r} of type {wanted.dtype} and shape {sizes}, but it has "
        f"{given.dtype} and {given.shape}.{hint}"
    )


def load_onnx(source: str | Path | bytes) -> tuple[OnnxNetwork, dict[str, Array]]:
    """Read a network from an ONNX or QONNX file.

    Args:
        source: Path of the file, or its bytes. Weights may lie in other files beside it, which need the path.

    Returns:
        The function `network(params, *inputs)` and its parameters by name, for `amsim.deploy`.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The package `onnx` is not installed.
        ValueError: Operators that are not supported, all of them with their counts and nodes; a file that is
            damaged or too large, or whose weights lie in a file that is missing, too short or outside of its folder.

    Validity: operator sets 7 to 25, without control flow, training or sparse tensors. Sizes may be left open; shapes
    that depend on the values of inputs are refused when the network is called. Sums of products of integers are exact
    up to 2**24. Nothing outside of the file's folder is read.
    """
    with named_in_errors(None if isinstance(source, bytes) else checked_path("source", source)):
        graph = read_graph(source)
        network = OnnxNetwork(graph)
    return network, {name: jnp.asarray(graph.tensors[name]) for name in sorted(graph.parameters)}
