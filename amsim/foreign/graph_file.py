"""Reader of ONNX files into checked graphs: nothing in a file runs, and nothing outside its folder is read."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from amsim.files.path_argument import checked_path
from amsim.files.regular_file import read_regular_file
from amsim.foreign.operators.registry import LARGEST_TENSOR, Operator, find_operator, supported_operators
from amsim.foreign.operators.shapes import ELEMENT_TYPES
from amsim.foreign.tensor_file import TensorReader

LARGEST_FILE = 2**30
"""Largest size of a file, bytes."""
OLDEST_OPSET, NEWEST_OPSET = 7, 25
NAMED_NODES, LONGEST_NAME = 3, 60
"""Nodes that an error names of each operator, and letters of a name that it shows."""


class Node(NamedTuple):
    """One operation: its operator, and the names of the tensors it reads and writes; an empty one is left out."""

    title: str
    operator: Operator
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class GraphInput(NamedTuple):
    """Input of a network: its name, the type of its elements, and its sizes, None where any is allowed."""

    name: str
    dtype: np.dtype
    sizes: tuple[int | None, ...] | None


class Graph(NamedTuple):
    """A network as its file gives it.

    Attributes:
        name: Name of the graph.
        opset: Version of the operator set.
        nodes: Operations in an order in which they can run.
        tensors: Numbers of the file by name.
        parameters: Names of those that are parameters.
        inputs: Inputs of the network.
        outputs: Names of its outputs.
    """

    name: str
    opset: int
    nodes: tuple[Node, ...]
    tensors: dict[str, np.ndarray]
    parameters: frozenset[str]
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]


def read_graph(source: str | Path | bytes) -> Graph:
    """Graph of an ONNX file or of its bytes.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The package `onnx` is not installed.
        ValueError: The file is too large, damaged, or needs an unsupported feature, or tensors that lie in another file
            cannot be read from its folder.
    """
    model = _parsed(source)
    _check_text(model)
    _refuse_unsupported(model)
    graph, reader = model.graph, TensorReader(None if isinstance(source, bytes) else Path(source).parent)
    tensors = {}
    for tensor in graph.initializer:
        if not tensor.name or tensor.name in tensors:
            raise ValueError(f"ONNX file has tensor {tensor.name!r} twice or without a name.")
        tensors[tensor.name] = _in_file(reader.tensor, tensor)
    stored = set(tensors)
    nodes = []
    for place, node in enumerate(graph.node):
        if node.op_type in ("Constant", "ConstantOfShape"):
            constant = _constant(node, tensors, reader)
            if constant is not None:
                if len(node.output) != 1 or node.output[0] in tensors:
                    raise ValueError(f"ONNX file writes {list(node.output)} twice or not as a single constant.")
                tensors[node.output[0]] = constant
                continue
        nodes.append(_node(place, node, reader))
    inputs = tuple(_input(one) for one in graph.input if one.name not in stored)
    outputs = tuple(one.name for one in graph.output)
    _check_flow(nodes, tensors, inputs, outputs)
    version = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    return Graph(graph.name, version, tuple(nodes), tensors, _parameters(nodes, tensors, stored), inputs, outputs)


def _parsed(source: str | Path | bytes) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ImportError("Reading ONNX files needs the package `onnx`: pip install 'amsim[onnx]'.") from None
    if isinstance(source, str | Path):
        path = checked_path("source", source)
        try:
            data = read_regular_file(path, LARGEST_FILE)
        except FileNotFoundError:
            raise FileNotFoundError(f"ONNX file {path} does not exist.") from None
    else:
        data = source
    if not 0 < len(data) <= LARGEST_FILE:
        raise ValueError(f"ONNX file has {len(data)} bytes, but must have 1 to {LARGEST_FILE}.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"ONNX file is damaged or not an ONNX file: {error}.") from None
    return model


def _check_text(model: Any) -> None:
    """Names are text; other strings come as bytes."""
    graph = model.graph
    names = [graph.name, *(one.domain for one in model.opset_import)]
    names += [one.name for part in (graph.initializer, graph.input, graph.output) for one in part]
    for node in graph.node:
        names += [node.name, node.domain, node.op_type, *node.input, *node.output]
        names += [text for one in node.attribute for text in (one.name, one.ref_attr_name)]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("ONNX file is damaged: a name is no text.")


def _refuse_unsupported(model: Any) -> None:
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not model.HasField("graph") or not model.graph.output or len(versions) != 1:
        raise ValueError("ONNX file is damaged or not an ONNX file: it has no graph with outputs and one operator set.")
    if not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        raise ValueError(
            f"ONNX file has operator set {versions[0]}, but supported are {OLDEST_OPSET} to {NEWEST_OPSET}."
        )
    if model.graph.sparse_initializer:
        raise ValueError("ONNX file has sparse tensors, which are not supported.")
    own = {(one.domain, one.name) for one in model.functions}
    unsupported: dict[str, list[str]] = {}
    for place, node in enumerate(model.graph.node):
        known = (node.domain, node.op_type) not in own and find_operator(node.domain, node.op_type) is not None
        if node.op_type != "Constant" and not known:
            unsupported.setdefault(f"{node.domain}.{node.op_type}".lstrip("."), []).append(node.name or str(place))
    if unsupported:
        found = ", ".join(f"{name} ({_counted(nodes)})" for name, nodes in sorted(unsupported.items()))
        supported = ", ".join(supported_operators())
        raise ValueError(f"ONNX file has operators that are not supported: {found}. Supported are {supported}.")


def _counted(nodes: list[str]) -> str:
    """Number of nodes and the first names, or the places of those without a name."""
    named = ", ".join(name[:LONGEST_NAME] for name in nodes[:NAMED_NODES])
    return f"{len(nodes)}: {named}{', ...' if len(nodes) > NAMED_NODES else ''}"


def _constant(node: Any, tensors: dict[str, np.ndarray], reader: TensorReader) -> np.ndarray | None:
    """Value of a constant that depends on the file alone; None if it needs its node."""
    attributes = {one.name: _in_file(reader.attribute, one) for one in node.attribute}
    if node.op_type == "ConstantOfShape":
        sizes = tensors.get(node.input[0]) if len(node.input) == 1 else None
        number = attributes.get("value", np.zeros(1, np.float32))
        if sizes is None or sizes.ndim != 1 or not isinstance(number, np.ndarray) or number.size != 1:
            return None
        return _filled(sizes, number)
    if len(attributes) != 1 or node.input or node.domain not in ("", "ai.onnx"):
        raise ValueError(f"ONNX file has a constant {list(node.output)} of {sorted(attributes)}.")
    ((name, value),) = attributes.items()
    dtypes = {"value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64,
              "value_ints": np.int64}  # fmt: skip
    if name not in dtypes or isinstance(value, str):
        raise ValueError(f"ONNX file has a constant {list(node.output)} with the unsupported attribute `{name}`.")
    constant = np.asarray(value, dtypes[name])
    if constant.dtype.kind not in "biuf":
        raise ValueError(f"ONNX file has a constant {list(node.output)} that is not of numbers.")
    return constant


def _filled(sizes: np.ndarray, number: np.ndarray) -> np.ndarray:
    shape = tuple(int(size) for size in sizes)
    elements = 1
    for size in shape:
        elements *= size
    if min(shape, default=0) < 0 or elements > LARGEST_TENSOR:
        raise ValueError(f"ONNX file has a constant of shape {shape}, more than {LARGEST_TENSOR} elements.")
    # One number seen everywhere, so that a small file takes little memory.
    return np.broadcast_to(number.reshape(()), shape)


def _node(place: int, node: Any, reader: TensorReader) -> Node:
    title = f"{node.name or place!r} ({node.op_type})"
    attributes: dict[str, Any] = {}
    for one in node.attribute:
        if one.name in attributes:
            raise ValueError(f"ONNX node {title} has its attribute `{one.name}` twice.")
        attributes[one.name] = _in_file(reader.attribute, one)
    one = find_operator(node.domain, node.op_type)
    assert one is not None
    return Node(title, one, attributes, tuple(node.input), tuple(node.output))


def _in_file(read: Any, part: Any) -> Any:
    try:
        return read(part)
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"ONNX file cannot be used: {error}.") from None


def _input(one: Any) -> GraphInput:
    kind = one.type.tensor_type
    if not one.name or not one.type.HasField("tensor_type") or kind.elem_type not in ELEMENT_TYPES:
        raise ValueError(f"ONNX file has the input {one.name!r}, which is not a tensor of a supported type.")
    sizes = None
    if kind.HasField("shape"):
        sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
    return GraphInput(one.name, np.dtype(ELEMENT_TYPES[kind.elem_type]), sizes)


def _check_flow(
    nodes: list[Node], tensors: dict[str, np.ndarray], inputs: tuple[GraphInput, ...], outputs: tuple[str, ...]
) -> None:
    """Every tensor is written once, before it is read."""
    written = {*tensors, *(one.name for one in inputs)}
    if len(written) != len(tensors) + len(inputs):
        raise ValueError("ONNX file has an input twice, or as a constant too.")
    for node in nodes:
        missing = [name for name in node.inputs if name and name not in written]
        if missing:
            raise ValueError(f"ONNX node {node.title} reads {missing[0]!r}, which nothing before it writes.")
        for name in filter(None, node.outputs):
            if name in written:
                raise ValueError(f"ONNX node {node.title} writes {name!r} a second time.")
            written.add(name)
    missing = [name for name in outputs if name not in written]
    if missing:
        raise ValueError(f"ONNX file returns {missing[0]!r}, which nothing writes.")


def _parameters(nodes: list[Node], tensors: dict[str, np.ndarray], stored: set[str]) -> frozenset[str]:
    """Tensors of real numbers that an operator takes as data, and integers that it takes as weights.

    Of constants written in the graph itself only those with two axes or more: the others are numbers of a formula.
    """
    found = set()
    for node in nodes:
        for place, name in enumerate(node.inputs):
            if name not in tensors or place in node.operator.settings:
                continue
            real = np.issubdtype(tensors[name].dtype, np.floating)
            is_weight = place in node.operator.weights and tensors[name].ndim > 0
            if (real and (name in stored or tensors[name].ndim >= 2)) or is_weight:
                found.add(name)
    elements = sum(tensors[name].size for name in found)
    if elements > LARGEST_TENSOR:
        raise ValueError(f"ONNX file has {elements} parameters, more than {LARGEST_TENSOR}.")
    return frozenset(found)
