"""CIFAR-10 batch files: from bytes to images and labels, without executing anything in the file.

Two published layouts hold the same pictures. The binary one is a plain table of bytes. The Python one is a pickle,
which is read as data.
"""

import io

import numpy as np
from jaxtyping import Int32, UInt8

from amsim.files.inert_pickle import Call, Rules, of_kind, read_pickle

PIXELS = 3 * 32 * 32  # a red, a green and a blue plane of 32 rows by 32 columns, in this order
CLASS_COUNT = 10
BINARY_BYTES_PER_IMAGE = 1 + PIXELS  # the label, then the pixels
# A pickled batch adds a label and a file name to each picture, some 31 bytes; the rest is margin.
PICKLED_BYTES_PER_IMAGE = PIXELS + 1024
# A label takes one instruction of the pickle, a file name two.
PICKLED_INSTRUCTIONS_PER_IMAGE = 8

Batch = tuple[UInt8[np.ndarray, "batch 32 32 3"], Int32[np.ndarray, " batch"]]

_RECONSTRUCT = frozenset({"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"})
_ADMITTED = _RECONSTRUCT | {"numpy ndarray", "numpy dtype"}


def parse_binary(raw: bytes, count: int) -> Batch:
    """Read a batch of the binary version: `count` records of one label byte and 3072 pixel bytes.

    Raises:
        ValueError: The length is wrong or a label is not 0 to 9; the text says what is wrong.
    """
    expected = count * BINARY_BYTES_PER_IMAGE
    if len(raw) != expected:
        raise ValueError(f"must have {expected} bytes, but has {len(raw)}")
    records = np.frombuffer(raw, np.uint8).reshape(count, BINARY_BYTES_PER_IMAGE)
    return _finish(records[:, 1:], records[:, 0].astype(np.int32))


def parse_pickled(raw: bytes, count: int) -> Batch:
    """Read a batch of the Python version: a pickled dict with the entries `data` and `labels`.

    Files as published (protocol 2 of Python 2) and the same written again by Python 3 (protocols 3 and 4) are read.

    Raises:
        ValueError: The file asks for a function that no batch needs, or is not such a dict of `count` pictures.
    """
    try:
        tree = of_kind(_whole_pickle(raw, 1000 + count * PICKLED_INSTRUCTIONS_PER_IMAGE), dict)
    except (IndexError, KeyError) as error:
        raise ValueError("is not a well-formed pickle") from error
    except ValueError as error:
        raise ValueError(str(error)[:200]) from None  # pickletools may quote all of the file
    # Python 2 wrote byte strings where Python 3 writes text.
    entries = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in tree.items()}
    labels = entries.get("labels")
    if not isinstance(labels, list) or len(labels) != count or not all(type(label) is int for label in labels):
        raise ValueError(f"must have an entry `labels` that lists {count} integers")
    return _finish(_pixels(entries.get("data"), count), np.array(labels, np.int32))


def _finish(pixels: UInt8[np.ndarray, "batch 3072"], labels: Int32[np.ndarray, " batch"]) -> Batch:
    """Check the labels and put the colour planes last."""
    if labels.size and not 0 <= labels.min() <= labels.max() < CLASS_COUNT:
        raise ValueError(f"labels must be 0 to {CLASS_COUNT - 1}, but are {labels.min()} to {labels.max()}")
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def _whole_pickle(raw: bytes, limit: int) -> object:
    """Value that a pickle of at most `limit` instructions describes."""
    file = io.BytesIO(raw)
    found = read_pickle(file, Rules("batch", _ADMITTED, limit))
    if file.tell() != len(raw):
        raise ValueError("goes on after its end")
    return found


def _pixels(data: object, count: int) -> UInt8[np.ndarray, "batch 3072"]:
    """Turn the record of a NumPy array of bytes into the array."""
    problem = f"must have an entry `data` that is a {count} x {PIXELS} array of bytes"
    # The state of a pickled array: version, shape, dtype, whether the first axis runs fastest, content.
    if not (isinstance(data, Call) and data.function in _RECONSTRUCT):
        raise ValueError(problem)
    if not (isinstance(data.state, tuple) and len(data.state) == 5):
        raise ValueError(problem)
    _, shape, dtype, fortran, content = data.state
    if not (isinstance(dtype, Call) and dtype.function == "numpy dtype" and dtype.arguments[:1] in (("u1",), ("|u1",))):
        raise ValueError(problem)
    # Python 2 wrote the content as a byte string, which pickletools hands out as text.
    content = content.encode("latin-1") if isinstance(content, str) else content
    if shape != (count, PIXELS) or not isinstance(content, bytes) or len(content) != count * PIXELS:
        raise ValueError(problem)
    return np.frombuffer(content, np.uint8).reshape(count, PIXELS, order="F" if fortran is True else "C")
