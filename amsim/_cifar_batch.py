"""CIFAR-10 batch files: from bytes to images and labels, with nothing in the file executed.

Two published layouts hold the same pictures. The binary one is a plain table of bytes. The Python one is a pickle, a
program for a small stack machine that may name any function to call; here its instructions are walked by a reader that
builds strings, numbers and containers only, and keeps the few calls that stand for an array as records.
"""

import itertools
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int32, UInt8

PIXELS = 3 * 32 * 32  # a red, a green and a blue plane of 32 rows by 32 columns, in this order
CLASS_COUNT = 10
BINARY_BYTES_PER_IMAGE = 1 + PIXELS  # the label, then the pixels
# A pickled batch adds a label and a file name to each picture, some 31 bytes; the rest is reserve.
PICKLED_BYTES_PER_IMAGE = PIXELS + 1024
# A label takes one instruction of the pickle, a file name two; without a limit, a file of empty lists fills the memory.
PICKLED_INSTRUCTIONS_PER_IMAGE = 8

_Kind = TypeVar("_Kind")
Batch = tuple[UInt8[np.ndarray, "batch 32 32 3"], Int32[np.ndarray, " batch"]]

_RECONSTRUCT = frozenset({"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"})
_ADMITTED = _RECONSTRUCT | {"numpy ndarray", "numpy dtype"}

# How many values each instruction takes off the stack; None: all since the last mark.
_OPERANDS: dict[str, int | None] = {
    **dict.fromkeys(("PROTO", "FRAME", "MARK", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"), 0),
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "EMPTY_LIST", "EMPTY_DICT"), 0),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING", "SHORT_BINUNICODE", "BINUNICODE"), 0),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "EMPTY_TUPLE", "GLOBAL"), 0),
    **dict.fromkeys(("TUPLE1", "APPEND", "BUILD", "STOP"), 1),
    **dict.fromkeys(("TUPLE2", "SETITEM", "STACK_GLOBAL", "REDUCE"), 2),
    "TUPLE3": 3,
    **dict.fromkeys(("TUPLE", "APPENDS", "SETITEMS"), None),
}


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
        tree = _expect(_walk(raw, 1000 + count * PICKLED_INSTRUCTIONS_PER_IMAGE), dict)
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


@dataclass(frozen=True)
class _Name:
    """A function or class that the file names; it is never looked up."""

    text: str


@dataclass
class _Call:
    """A call that the file asks for and that is not made, with the state that the result would be given."""

    function: str
    arguments: tuple[object, ...]
    state: object = None


def _pixels(data: object, count: int) -> UInt8[np.ndarray, "batch 3072"]:
    """Turn the record of a NumPy array of bytes into the array."""
    problem = f"must have an entry `data` that is a {count} x {PIXELS} array of bytes"
    # The state of a pickled array: version, shape, dtype, whether the first axis runs fastest, content.
    if not (isinstance(data, _Call) and data.function in _RECONSTRUCT):
        raise ValueError(problem)
    if not (isinstance(data.state, tuple) and len(data.state) == 5):
        raise ValueError(problem)
    _, shape, dtype, fortran, content = data.state
    if not (
        isinstance(dtype, _Call) and dtype.function == "numpy dtype" and dtype.arguments[:1] in (("u1",), ("|u1",))
    ):
        raise ValueError(problem)
    # Python 2 wrote the content as a byte string, which pickletools hands out as text.
    content = content.encode("latin-1") if isinstance(content, str) else content
    if shape != (count, PIXELS) or not isinstance(content, bytes) or len(content) != count * PIXELS:
        raise ValueError(problem)
    return np.frombuffer(content, np.uint8).reshape(count, PIXELS, order="F" if fortran is True else "C")


def _walk(raw: bytes, limit: int) -> object:
    """Follow at most `limit` instructions of a pickle (protocols 2 to 4) and return the value it describes."""
    stack: list[object] = []
    marks: list[int] = []
    memo: dict[int, object] = {}
    instructions: Iterator[tuple[pickletools.OpcodeInfo, Any, Any]] = pickletools.genops(raw)
    for opcode, argument, position in itertools.islice(instructions, limit):
        if opcode.name not in _OPERANDS:
            raise ValueError(f"uses the pickle instruction {opcode.name}, which no batch needs")
        count = _OPERANDS[opcode.name]
        first = marks.pop() if count is None else len(stack) - count
        if not 0 <= first <= len(stack):
            raise IndexError("the stack is empty")
        operands = stack[first:]
        del stack[first:]
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                memo[len(memo) if argument is None else argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" | "TUPLE":
                stack.append(tuple(operands))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND" | "APPENDS":
                _expect(stack[-1], list).extend(operands)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM" | "SETITEMS":
                # Only strings as keys: to hash a tuple that nests deeply could overflow the interpreter's stack.
                keys = [key if isinstance(key, bytes) else _expect(key, str) for key in operands[::2]]
                _expect(stack[-1], dict).update(zip(keys, operands[1::2], strict=True))
            case "GLOBAL":
                stack.append(_admit(argument))
            case "STACK_GLOBAL":
                stack.append(_admit(" ".join(_expect(operand, str) for operand in operands)))
            case "REDUCE":
                stack.append(_Call(_expect(operands[0], _Name).text, _expect(operands[1], tuple)))
            case "BUILD":
                _expect(stack[-1], _Call).state = operands[0]
            case "STOP":
                if position + 1 != len(raw):
                    raise ValueError("goes on after its end")
                return operands[0]
            case _:  # an integer or a string
                stack.append(argument)
    raise ValueError(f"has more than {limit} pickle instructions")


def _admit(name: str) -> _Name:
    if name not in _ADMITTED:
        raise ValueError(f"asks for the function {name[:80]!r}, which no batch needs; nothing was run")
    return _Name(name)


def _expect(value: object, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind):
        raise ValueError(f"is not a well-formed pickle: {kind.__name__} expected")
    return value
