"""Tensors and attributes of an ONNX file as NumPy arrays and plain numbers, read by `onnx` and checked here.

Weights may lie in a second file beside the first one, as `torch.onnx.export` writes them ("external data"). `onnx`
reads it from the folder of the first file alone: no absolute path, none that leaves the folder, no link, no device.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from amsim.foreign.operators.registry import LARGEST_TENSOR
from amsim.foreign.operators.shapes import ELEMENT_TYPES

MOST_AXES = 16
LARGEST_EXTERNAL = 2**30
"""Bytes that are read from other files, of all tensors together."""
EXTERNAL_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})
"""What a file may say of a tensor that lies in another one."""


class TensorReader:
    """Reader of the tensors of one file.

    Attributes:
        folder: Folder of the file, which its second files lie in; None where only its bytes are known.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._left = LARGEST_EXTERNAL

    def tensor(self, tensor: Any) -> np.ndarray:
        """Numbers of a `TensorProto`.

        Raises:
            ValueError: It is of a type that no operator takes, holds more or fewer numbers than its shape says, or
                lies in another file that is missing, too short, outside the folder, or not known.
        """
        from onnx import external_data_helper, numpy_helper

        name = tensor.name or "of an attribute"
        if tensor.data_type not in ELEMENT_TYPES:
            raise ValueError(f"tensor {name!r} has the unsupported type number {tensor.data_type}")
        dtype, dims = np.dtype(ELEMENT_TYPES[tensor.data_type]), tuple(tensor.dims)
        elements = math.prod(dims)
        if len(dims) > MOST_AXES or any(size < 0 for size in dims) or elements > LARGEST_TENSOR:
            raise ValueError(f"tensor {name!r} has the shape {str(dims)[:80]}")
        if tensor.HasField("segment"):
            raise ValueError(f"tensor {name!r} is a segment of a larger one")
        if external_data_helper.uses_external_data(tensor) or tensor.external_data:
            self._load(tensor, name, elements * dtype.itemsize)
        try:
            with warnings.catch_warnings():  # of listed numbers that are none of their type, which are refused below
                warnings.simplefilter("ignore")
                values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, OverflowError):
            values = None
        if values is None or values.shape != dims or not _holds(tensor, values):
            raise ValueError(f"tensor {name!r} of shape {dims} does not hold {elements} numbers of its type")
        return np.asarray(values.view(np.uint8) != 0) if values.dtype == np.bool_ else values

    def _load(self, tensor: Any, name: str, size: int) -> None:
        """Load a tensor of `size` bytes from the file beside, into itself."""
        from onnx import external_data_helper
        from onnx.checker import ValidationError

        if self.folder is None:
            raise ValueError(
                f"tensor {name!r} lies in another file: give the path of the file, whose folder it is sought in, or "
                "make one file of both by `onnx.save(onnx.load(path), new_path)`"
            )
        said = {entry.key: entry.value for entry in tensor.external_data}
        unknown = sorted(set(said) - EXTERNAL_KEYS)
        if unknown:
            raise ValueError(f"tensor {name!r} lies in another file, of which it says {unknown[0][:80]!r}")
        if said.setdefault("length", str(size)) != str(size):
            raise ValueError(f"tensor {name!r} of {size} bytes lies in {said['length'][:20]!r} bytes of another file")
        # So that no more is read than the tensor has, where the file leaves its length open.
        tensor.external_data.add(key="length", value=said["length"])
        self._left -= size
        if self._left < 0:
            raise ValueError(f"its tensors take more than {LARGEST_EXTERNAL} bytes of other files")
        try:
            # Earlier versions of `onnx` follow links.
            if not Path(self.folder, said.get("location", "")).resolve().is_relative_to(self.folder.resolve()):
                raise ValueError(f"{said['location'][:80]!r} lies outside of the folder of the file")
            external_data_helper.load_external_data_for_tensor(tensor, str(self.folder))
        except (ValidationError, ValueError, OverflowError, OSError, MemoryError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ValueError(f"tensor {name!r} lies in another file, which cannot be read: {reason}") from None
        if len(tensor.raw_data) != size:
            raise ValueError(
                f"tensor {name!r} of {size} bytes lies in another file, which has {len(tensor.raw_data)} of them"
            )
        # Versions of `onnx` differ in whether they do so.
        tensor.data_location = 0
        del tensor.external_data[:]

    def attribute(self, attribute: Any) -> Any:
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
            return self.tensor(value)
        if attribute.type in (3, 8):
            strings = tuple(one.decode("utf-8", "strict") for one in ([value] if attribute.type == 3 else value))
            return strings[0] if attribute.type == 3 else strings
        return tuple(value) if attribute.type in (6, 7) else value


def _holds(tensor: Any, values: np.ndarray) -> bool:
    """Whether short integers that are listed as wider ones are what was listed."""
    listed = values.dtype.kind in "iu" and not tensor.HasField("raw_data") and len(tensor.int32_data) > 0
    return not listed or bool(np.array_equal(values.ravel(), np.asarray(tensor.int32_data, np.int64)))
