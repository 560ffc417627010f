"""Arrays of a joblib file, read without unpickling: the file is taken as data, and nothing that it names is run."""

import io
import math
from functools import partial

import numpy as np

from amsim.files.inert_pickle import Call, Rules, of_kind, read_pickle

LARGEST_CONTENT = 2**28
"""Bytes that a file may unpack to."""

MOST_INSTRUCTIONS = 100_000
"""Pickle instructions that a file may have; an array takes a few dozen."""

_WRAPPER = "joblib.numpy_pickle NumpyArrayWrapper"
_NAMES = (_WRAPPER, "numpy ndarray", "numpy dtype")


def read_joblib_arrays(content: bytes) -> list[np.ndarray]:
    """Arrays of a list that `joblib.dump(list, path, compress="lz4")` wrote, in order.

    A joblib file is a pickle with the numbers of each array behind its description. It is read as data; descriptions
    may name joblib's array, `numpy.ndarray` and `numpy.dtype`, and any other name is refused.

    Args:
        content: The whole file, an LZ4 frame.

    Returns:
        Little-endian float32 or float64 arrays.

    Raises:
        ImportError: The package `lz4` is not installed.
        ValueError: The file is damaged, too large, or anything else than a list of such arrays.
    """
    try:
        import lz4.frame
    except ImportError:
        raise ImportError("Reading these weights needs the package `lz4`: pip install lz4.") from None
    try:
        file = io.BytesIO(lz4.frame.LZ4FrameDecompressor().decompress(content, LARGEST_CONTENT))
        rules = Rules("list of arrays", _NAMES, MOST_INSTRUCTIONS, classes=True, built=partial(_built, file))
        found = read_pickle(file, rules)
    except ValueError as error:
        raise ValueError(f"Argument `content` must be a list of arrays by joblib, but it {error}.") from None
    except (TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise ValueError(f"Argument `content` must be a list of arrays by joblib, but is damaged: {error}.") from None
    if not isinstance(found, list) or not found or not all(isinstance(one, np.ndarray) for one in found):
        raise ValueError("Argument `content` must be a list of arrays by joblib, but holds something else.")
    return found


def _built(file: io.BytesIO, call: Call) -> object:
    """The array itself in the place of its description."""
    return _array(file, call) if call.function == _WRAPPER else call


def _array(file: io.BytesIO, call: Call) -> np.ndarray:
    """The numbers that follow an array's description: one byte that counts padding, the padding, the numbers."""
    state = of_kind(call.state, dict)
    described = of_kind(state["dtype"], Call)
    (kind, *_), (_, order, *_) = described.arguments, of_kind(described.state, tuple)
    if order != "<" or kind not in ("f4", "f8") or state["order"] not in ("C", "F"):
        raise ValueError(f"has an array of type {order}{kind} in order {state['order']}")
    dtype, shape = np.dtype(f"<{kind}"), tuple(state["shape"])
    if state.get("numpy_array_alignment_bytes") is not None:
        file.read(file.read(1)[0])
    size = math.prod(shape) * dtype.itemsize
    numbers = file.read(size) if 0 <= size <= LARGEST_CONTENT else b""
    if len(numbers) != size:
        raise ValueError(f"has an array of shape {shape} that is cut off")
    return np.frombuffer(numbers, dtype).reshape(shape, order=state["order"])
