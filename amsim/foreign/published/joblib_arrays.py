"""Arrays of a joblib file, read without unpickling: the file is taken as data, and nothing that it names is run."""

import io
import math
import pickletools
from typing import Any, NamedTuple

import numpy as np

LARGEST_CONTENT = 2**28
"""Bytes that a file may unpack to."""

_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_NAMES = (_WRAPPER, ("numpy", "ndarray"), ("numpy", "dtype"))
_MARK = object()


class _Global(NamedTuple):
    """A name that the file mentions; it is never looked up."""

    module: str
    name: str


class _Made(NamedTuple):
    """What the file says of an object: of which kind, made of what, and with which state."""

    kind: _Global
    arguments: tuple[Any, ...]
    state: list[Any]


def read_joblib_arrays(content: bytes) -> list[np.ndarray]:
    """Arrays of a list that `joblib.dump(list, path, compress="lz4")` wrote, in order.

    A joblib file is a pickle with the numbers of each array behind its description. The stream is walked opcode by
    opcode with `pickletools`, which only reads; descriptions may name joblib's array, `numpy.ndarray` and
    `numpy.dtype`, and any other name or opcode is refused.

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
        found = _walk(file)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, StopIteration) as error:
        raise ValueError(f"Argument `content` must be a list of arrays by joblib, but {error}.") from None
    if not isinstance(found, list) or not found or not all(isinstance(one, np.ndarray) for one in found):
        raise ValueError("Argument `content` must be a list of arrays by joblib, but holds something else.")
    return found


def _walk(file: io.BytesIO) -> Any:
    stack: list[Any] = []
    memo: list[Any] = []
    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_MARK)
            case "MEMOIZE":
                memo.append(stack[-1])
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "SHORT_BINUNICODE" | "BININT" | "BININT1" | "BININT2":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE":
                stack.append({"EMPTY_LIST": [], "EMPTY_DICT": {}, "EMPTY_TUPLE": ()}[opcode.name])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(opcode.name[-1])
                stack[-size:] = [tuple(stack[-size:])]
            case "TUPLE":
                items = _since_mark(stack)
                stack.append(tuple(items))
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = _since_mark(stack)
                stack[-1].extend(items)
            case "SETITEMS":
                items = _since_mark(stack)
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if (module, name) not in _NAMES:
                    raise ValueError(f"it names {module}.{name}")
                stack.append(_Global(module, name))
            case "NEWOBJ" | "REDUCE":
                arguments, kind = stack.pop(), stack.pop()
                stack.append(_Made(kind, arguments, []))
            case "BUILD":
                state = stack.pop()
                stack[-1].state.append(state)
                if stack[-1].kind == _WRAPPER:
                    stack[-1] = _array(file, state)
            case _:
                raise ValueError(f"it has the opcode {opcode.name}")
    raise ValueError("it has no end")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1 - next(index for index, one in enumerate(reversed(stack)) if one is _MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _array(file: io.BytesIO, state: dict[str, Any]) -> np.ndarray:
    """The numbers that follow an array's description: one byte that counts padding, the padding, the numbers."""
    (kind, *_), ((_, order, *_),) = state["dtype"].arguments, state["dtype"].state
    if order != "<" or kind not in ("f4", "f8") or state["order"] not in ("C", "F"):
        raise ValueError(f"it has an array of type {order}{kind} in order {state['order']}")
    dtype, shape = np.dtype(f"<{kind}"), tuple(state["shape"])
    if state.get("numpy_array_alignment_bytes") is not None:
        file.read(file.read(1)[0])
    size = math.prod(shape) * dtype.itemsize
    numbers = file.read(size) if 0 <= size <= LARGEST_CONTENT else b""
    if len(numbers) != size:
        raise ValueError(f"an array of shape {shape} is cut off")
    return np.frombuffer(numbers, dtype).reshape(shape, order=state["order"])
