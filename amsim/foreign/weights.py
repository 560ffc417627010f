"""Weights from other frameworks: safetensors and NumPy archives as nested dicts of arrays."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from amsim.files.array_file import LARGEST_CONTENT, read_array_file
from amsim.files.path_argument import checked_path
from amsim.files.regular_file import read_regular_file

_TYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8,
    "BOOL": np.bool_,
}  # fmt: skip


def load_weights(path: str | Path) -> dict[str, Any]:
    """Read the weights of a network, `conv1.weight` as `weights["conv1"]["weight"]`.

    Args:
        path: A file `.safetensors`, or `.npz` of NumPy.

    Returns:
        Arrays in the layout of the framework that wrote them, in dicts nested as their names are dotted.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: It is a safetensors file, and the package `safetensors` is not installed.
        ValueError: It is of another kind, damaged, larger than 1 GiB unpacked, or has a name both for an array and for
            a group of arrays.

    Validity: files hold numbers only; pickled ones (`.pt`, `.pth`, `.pkl`) can run code and are refused. Integers of
    64 bits become 32 bits wide unless `jax_enable_x64` is set.
    """
    path = checked_path("path", path)
    readers = {".safetensors": _read_safetensors, ".npz": read_array_file}
    if path.suffix not in readers:
        raise ValueError(f"Argument `path` must end in {' or '.join(readers)}, but is {str(path)!r}.")
    try:
        flat = readers[path.suffix](path)
    except FileNotFoundError:
        raise FileNotFoundError(f"Weight file {path} does not exist.") from None
    text = [name for name, values in flat.items() if values.dtype.kind == "U"]
    if text:
        raise ValueError(f"Weight file {path} cannot be used: {text[0]!r} is text.")
    return _nested(path, {name: jnp.asarray(values) for name, values in flat.items()})


def _nested(path: Path, flat: dict[str, Array]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, values in flat.items():
        *groups, last = name.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {}) if isinstance(place, dict) else place
        if not isinstance(place, dict) or last in place:
            raise ValueError(f"Weight file {path} cannot be used: {name!r} is an array and a group, or stands twice.")
        place[last] = values
    return tree


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError:
        raise ImportError("Reading .safetensors needs `safetensors`: pip install 'amsim[safetensors]'.") from None
    data = read_regular_file(path, LARGEST_CONTENT)
    try:
        return {name: _array(name, entry) for name, entry in deserialize(data)}
    except (SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"Weight file {path} cannot be used: {reason}.") from None


def _array(name: str, entry: dict[str, Any]) -> np.ndarray:
    """Numbers of one entry; `safetensors.numpy` does not know all types that JAX has."""
    if entry["dtype"] not in _TYPES:
        raise ValueError(f"array {name!r} is of the unsupported type {entry['dtype']!r}")
    dtype, content = np.dtype(_TYPES[entry["dtype"]]), entry["data"]
    if dtype == np.bool_:
        return (np.frombuffer(content, np.uint8) != 0).reshape(entry["shape"])
    return np.frombuffer(content, dtype).reshape(entry["shape"])
