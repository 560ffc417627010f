"""A streaming 8-bit network from a .tflite file as data: its operations, its tensors and its states."""

from typing import Any, NamedTuple

import numpy as np

OPERATORS = {
    "RESHAPE": "ReshapeOptions", "CONCATENATION": "ConcatenationOptions", "STRIDED_SLICE": "StridedSliceOptions",
    "SPLIT_V": "SplitVOptions", "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions", "LOGISTIC": None, "QUANTIZE": None, "VAR_HANDLE": "VarHandleOptions",
    "READ_VARIABLE": None, "ASSIGN_VARIABLE": None, "CALL_ONCE": None,
}  # fmt: skip
"""Supported operators, each with the name of its options."""

_DTYPES: dict[str, Any] = {"INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32}
_UNSUPPORTED_OPTIONS = {"DilationHFactor": 1, "DilationWFactor": 1, "DepthMultiplier": 1, "EllipsisMask": 0,
                        "NewAxisMask": 0, "ShrinkAxisMask": 0, "WeightsFormat": 0}  # fmt: skip
"""Options with their one supported value."""


class Code(NamedTuple):
    """Code of numbers as 8-bit integers: `scale * (q - zero)` with `lowest <= q <= highest`."""

    scale: np.ndarray
    zero: int
    lowest: int
    highest: int


class StreamTensor(NamedTuple):
    """A tensor: its shape, its code where it has one, and its numbers where the file gives them, decoded."""

    shape: tuple[int, ...]
    code: Code | None
    numbers: np.ndarray | None


class StreamOperation(NamedTuple):
    """An operation with its options, and the places of its inputs and outputs among the tensors; -1 is none."""

    kind: str
    options: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class StreamGraph(NamedTuple):
    """A network that takes some frames at a time and keeps states between them.

    Attributes:
        tensors: All tensors.
        operations: In the order in which they run.
        input: Place of the input, shape (1, frames, features).
        output: Place of the output.
        states: First value of each state by its name, decoded.
    """

    tensors: tuple[StreamTensor, ...]
    operations: tuple[StreamOperation, ...]
    input: int
    output: int
    states: dict[str, np.ndarray]


def read_stream_graph(content: bytes) -> StreamGraph:
    """Graph of a .tflite file with one network and one part that sets its states.

    Args:
        content: The whole file. Its structure is not guarded against damage: check who wrote it first.

    Raises:
        ImportError: The package `tflite` is not installed.
        ValueError: An operator, an option or a type that is not understood.
    """
    try:
        import tflite
    except ImportError:
        raise ImportError(
            "Reading .tflite files needs the package `tflite`: pip install --no-deps tflite==2.18.0 flatbuffers."
        ) from None
    model = tflite.Model.GetRootAsModel(content, 0)
    main, *others = (model.Subgraphs(index) for index in range(model.SubgraphsLength()))
    tensors, operations = _tensors(tflite, model, main), _operations(tflite, model, main)
    states: dict[str, np.ndarray] = {}
    for first in others:
        numbers, names = _tensors(tflite, model, first), {}
        for one in _operations(tflite, model, first):
            if one.kind == "VAR_HANDLE":
                names[one.outputs[0]] = one.options["SharedName"]
            elif one.kind == "ASSIGN_VARIABLE":
                value = numbers[one.inputs[1]].numbers
                assert value is not None
                states[names[one.inputs[0]]] = value
            else:
                raise ValueError(f"The file sets its states by the operator {one.kind}, which is not understood.")
    if main.InputsLength() != 1 or main.OutputsLength() != 1:
        raise ValueError(f"The file has {main.InputsLength()} inputs and {main.OutputsLength()} outputs, not one each.")
    return StreamGraph(tensors, operations, int(main.Inputs(0)), int(main.Outputs(0)), states)


def _tensors(tflite: Any, model: Any, graph: Any) -> tuple[StreamTensor, ...]:
    types = {value: name for name, value in vars(tflite.TensorType).items() if not name.startswith("_")}
    found = []
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        name = types[tensor.Type()]
        shape = tuple(int(tensor.Shape(axis)) for axis in range(tensor.ShapeLength()))
        if name == "RESOURCE":
            found.append(StreamTensor(shape, None, None))
            continue
        if name not in _DTYPES:
            raise ValueError(f"The file has a tensor of the type {name}, which is not understood.")
        dtype: np.dtype[Any] = np.dtype(_DTYPES[name])
        code = None
        quantisation = tensor.Quantization()
        if quantisation is not None and quantisation.ScaleLength():
            zeros = quantisation.ZeroPointAsNumpy()
            if np.ndim(zeros) == 0 or np.any(zeros != zeros[0]):
                raise ValueError("The file has a tensor with a zero point for each channel, which is not understood.")
            limits = np.iinfo(dtype)
            code = Code(quantisation.ScaleAsNumpy(), int(zeros[0]), int(limits.min), int(limits.max))
        buffer, numbers = model.Buffers(tensor.Buffer()), None
        if buffer.DataLength():
            numbers = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype.newbyteorder("<")).reshape(shape)
            if code is not None:
                numbers = _decoded(numbers, code, quantisation.QuantizedDimension())
        found.append(StreamTensor(shape, code, numbers))
    return tuple(found)


def _decoded(numbers: np.ndarray, code: Code, axis: int) -> np.ndarray:
    shape = [1] * numbers.ndim
    shape[axis if len(code.scale) > 1 else 0] = len(code.scale)
    return (code.scale.reshape(shape).astype(np.float64) * (numbers.astype(np.float64) - code.zero)).astype(np.float32)


def _operations(tflite: Any, model: Any, graph: Any) -> tuple[StreamOperation, ...]:
    kinds = {value: name for name, value in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
    found = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind not in OPERATORS:
            raise ValueError(f"The file has the operator {kind}, but understood are {', '.join(OPERATORS)}.")
        options = _options(tflite, operator, OPERATORS[kind])
        for name, only in _UNSUPPORTED_OPTIONS.items():
            if options.get(name, only) != only:
                raise ValueError(f"The file has {kind} with {name} = {options[name]}, but understood is {only}.")
        inputs = tuple(int(operator.Inputs(place)) for place in range(operator.InputsLength()))
        outputs = tuple(int(operator.Outputs(place)) for place in range(operator.OutputsLength()))
        found.append(StreamOperation(kind, options, inputs, outputs))
    return tuple(found)


def _options(tflite: Any, operator: Any, name: str | None) -> dict[str, Any]:
    table = operator.BuiltinOptions()
    if name is None or table is None:
        return {}
    options = getattr(tflite, name)()
    options.Init(table.Bytes, table.Pos)
    wanted = ("Axis", "StrideH", "StrideW", "Padding", "FusedActivationFunction", "BeginMask", "EndMask", "SharedName",
              *_UNSUPPORTED_OPTIONS)  # fmt: skip
    found = {one: getattr(options, one)() for one in wanted if hasattr(options, one)}
    return {one: value.decode() if isinstance(value, bytes) else value for one, value in found.items()}
