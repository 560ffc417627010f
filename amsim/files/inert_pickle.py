"""Pickles read as data: nothing that a file names is looked up or called.

A pickle is a program for a small stack machine that may name any function to call. Here its instructions are walked by
a reader that builds strings, numbers and containers only, and keeps the few calls that stand for an array as records.
"""

import io
import itertools
import pickletools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

_Kind = TypeVar("_Kind")

# Number of values that each instruction takes off the stack; None: all since the last mark.
_OPERANDS: dict[str, int | None] = {
    **dict.fromkeys(("PROTO", "FRAME", "MARK", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"), 0),
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "EMPTY_LIST", "EMPTY_DICT"), 0),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING", "SHORT_BINUNICODE", "BINUNICODE"), 0),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "EMPTY_TUPLE", "GLOBAL"), 0),
    **dict.fromkeys(("TUPLE1", "APPEND", "BUILD", "STOP"), 1),
    **dict.fromkeys(("TUPLE2", "SETITEM", "STACK_GLOBAL", "REDUCE", "NEWOBJ"), 2),
    "TUPLE3": 3,
    **dict.fromkeys(("TUPLE", "APPENDS", "SETITEMS"), None),
}


@dataclass(frozen=True)
class Name:
    """A function or class that the file names; it is never looked up."""

    text: str


@dataclass
class Call:
    """A call that the file asks for and that is not made, with the state that the result would be given."""

    function: str
    arguments: tuple[object, ...]
    state: object = None


@dataclass(frozen=True)
class Rules:
    """What one kind of file may contain.

    Attributes:
        kind: Name of the kind of file in errors, such as "batch".
        names: Functions and classes that it may name, each as "module name".
        instructions: Maximum number of instructions: without a limit, a file of empty lists could fill the memory.
        classes: Whether it may ask for an object by its class (NEWOBJ).
        built: Function that replaces a call once it has its state.
    """

    kind: str
    names: Collection[str]
    instructions: int
    classes: bool = False
    built: Callable[[Call], object] = lambda call: call


def read_pickle(file: io.BytesIO, rules: Rules) -> object:
    """Value that a pickle (protocols 2 to 4) describes; the file position is left after its end.

    Raises:
        ValueError: It contains something that the rules do not allow, or is damaged.
        LookupError: It is damaged.
    """
    stack: list[object] = []
    marks: list[int] = []
    memo: dict[int, object] = {}
    instructions: Iterator[tuple[pickletools.OpcodeInfo, Any, Any]] = pickletools.genops(file)
    for opcode, argument, _ in itertools.islice(instructions, rules.instructions):
        if opcode.name not in _OPERANDS or (opcode.name == "NEWOBJ" and not rules.classes):
            raise ValueError(f"uses the pickle instruction {opcode.name}, which no {rules.kind} needs")
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
            case "APPEND" | "APPENDS":
                of_kind(stack[-1], list).extend(operands)
            case "SETITEM" | "SETITEMS":
                # Only strings as keys: to hash a tuple that nests deeply could overflow the interpreter's stack.
                keys = [key if isinstance(key, bytes) else of_kind(key, str) for key in operands[::2]]
                of_kind(stack[-1], dict).update(zip(keys, operands[1::2], strict=True))
            case "BUILD":
                call = of_kind(stack[-1], Call)
                call.state = operands[0]
                stack[-1] = rules.built(call)
            case "STOP":
                return operands[0]
            case _:
                stack.append(_value(opcode.name, argument, operands, rules))
    raise ValueError(f"has more than {rules.instructions} pickle instructions")


def _value(instruction: str, argument: Any, operands: list[object], rules: Rules) -> object:
    """Value that an instruction puts on the stack."""
    match instruction:
        case "NONE" | "NEWTRUE" | "NEWFALSE":
            return {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[instruction]
        case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" | "TUPLE":
            return tuple(operands)
        case "EMPTY_LIST":
            return []
        case "EMPTY_DICT":
            return {}
        case "GLOBAL":
            return _admit_name(argument, rules)
        case "STACK_GLOBAL":
            return _admit_name(" ".join(of_kind(operand, str) for operand in operands), rules)
        case "REDUCE" | "NEWOBJ":
            return Call(of_kind(operands[0], Name).text, of_kind(operands[1], tuple))
        case _:  # an integer or a string
            return argument


def _admit_name(name: str, rules: Rules) -> Name:
    if name not in rules.names:
        raise ValueError(f"asks for the function {name[:80]!r}, which no {rules.kind} needs; nothing was run")
    return Name(name)


def of_kind(value: object, kind: type[_Kind]) -> _Kind:
    """The value; raises ValueError unless it is of the kind that a well-formed file has there."""
    if not isinstance(value, kind):
        raise ValueError(f"is not a well-formed pickle: {kind.__name__} expected")
    return value
