"""Tensors and attributes of an ONNX file as NumPy arrays and plain numbers, checked against the content of the file."""

import math
from typing import Any

import numpy as np

from amsim.foreign.operators.registry import LARGEST_TENSOR
from amsim.foreign.operators.shapes import ELEMENT_TYPES

MOST_AXES = 16
EXTERNAL = 1
_FIELDS = {np.float32: "float_data", np.float64: "double_data", np.int64: "int64_data"}
_WIDE = (np.uint32, np.uint64)


def read_tensor(tensor: Any) -> np.ndarray:
    """Numbers of a `TensorProto`; never from another file.

    Raises:
        ValueError: It lies in another file, is of a type that no operator takes, or holds more or fewer numbers than
            its shape says.
    """
    name = tensor.name or "of an attribute"
    if tensor.data_location == EXTERNAL or tensor.external_data:
        raise ValueError(
            f"tensor {name!r} lies in another file, which is never read; `onnx.save(onnx.load(path), new_path)` makes "
            "one file of both, as `torch.onnx.export(..., external_data=False)` does"
        )
    if tensor.data_type not in ELEMENT_TYPES:
        raise ValueError(f"tensor {name!r} has the unsupported type number {tensor.data_type}")
    dtype, dims = ELEMENT_TYPES[tensor.data_type], tuple(tensor.dims)
    elements = math.prod(dims)
    if len(dims) > MOST_AXES or any(size < 0 for size in dims) or elements > LARGEST_TENSOR:
        raise ValueError(f"tensor {name!r} has the shape {str(dims)[:80]}")
    if tensor.HasField("segment"):
        raise ValueError(f"tensor {name!r} is a segment of a larger one")
    values = _raw(tensor, dtype) if tensor.HasField("raw_data") else _listed(tensor, dtype, elements)
    if values is None or values.size != elements:
        raise ValueError(f"tensor {name!r} of shape {dims} does not hold {elements} numbers")
    return values.reshape(dims)


def _raw(tensor: Any, dtype: Any) -> np.ndarray | None:
    data = tensor.raw_data
    if len(data) % np.dtype(dtype).itemsize:
        return None
    if dtype is np.bool_:
        return np.frombuffer(data, np.uint8) != 0
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype)


def _listed(tensor: Any, dtype: Any, elements: int) -> np.ndarray | None:
    field = getattr(tensor, _FIELDS.get(dtype, "uint64_data" if dtype in _WIDE else "int32_data"))
    if len(field) != elements:
        return None
    if dtype in _FIELDS:
        return np.asarray(field, dtype)
    numbers = np.asarray(field, np.uint64 if dtype in _WIDE else np.int64)
    # Half precision is listed by its bits.
    kind = np.dtype(np.uint16 if dtype is np.float16 else np.uint8 if dtype is np.bool_ else dtype)
    if numbers.size and (numbers.min() < np.iinfo(kind).min or numbers.max() > np.iinfo(kind).max):
        return None
    return numbers.astype(kind).view(dtype) if dtype is np.float16 else numbers.astype(dtype)


def read_attribute(attribute: Any) -> Any:
    """Value of an `AttributeProto`: int, float, str, array, or a tuple of the first three.

    Raises:
        ValueError: It is a graph, a reference or of another type.
    """
    if attribute.ref_attr_name:
        raise ValueError(f"its attribute `{attribute.name}` stands for an argument of a function")
    kinds = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
    if attribute.type not in kinds:
        raise ValueError(f"its attribute `{attribute.name}` is of the unsupported type number {attribute.type}")
    value = getattr(attribute, kinds[attribute.type])
    if attribute.type == 4:
        return read_tensor(value)
    if attribute.type in (3, 8):
        strings = tuple(one.decode("utf-8", "strict") for one in ([value] if attribute.type == 3 else value))
        return strings[0] if attribute.type == 3 else strings
    return tuple(value) if attribute.type in (6, 7) else value
