"""Wrong inputs, one at a time, over the public surface: `python tests/robustness/harness.py` prints failures."""

import contextlib
import importlib
import inspect
import itertools
import operator
import re
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import circuit_calls
import method_calls
from calls_of_rooms import bound_calls, room_calls
from cascade_calls import CASCADES_BY_DESIGN, cascade_calls
from circuit_calls import PARTS_BY_DESIGN
from jaxtyping import config
from method_calls import METHODS_BY_DESIGN
from valid_calls import BY_DESIGN, NOT_TRIED, WorkBegan, calls
from wrong_values import wrong_values

import amsim

SECONDS = 10
FRONT_DOOR = calls() | room_calls() | cascade_calls()
FOLDERS = tuple(
    str((Path(amsim.__file__).parent.parent / folder).resolve()) for folder in ("amsim", "circuits", "noise")
)


class Outcome(NamedTuple):
    """What became of one wrong value."""

    function: str
    parameter: str
    value: str
    kind: str
    said: str


class _TooLongError(BaseException):
    """The alarm."""


def _ring(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


class Case(NamedTuple):
    """A parameter of a function, a valid call of which is known, and wrong values for it."""

    name: str
    function: Callable[..., Any]
    valid: dict[str, Any]
    parameter: str
    values: dict[str, Any]


def front_door() -> Iterator[Case]:
    """Every parameter of every function in the tables of valid calls."""
    named = {name: (operator.attrgetter(name)(amsim), valid) for name, valid in FRONT_DOOR.items()}
    for name, (function, valid) in (named | bound_calls()).items():
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind not in circuit_calls.SEVERAL:
                yield Case(name, function, valid, parameter.name, wrong_values(parameter))


def parts_and_physics() -> Iterator[Case]:
    """Every field of every public part of `amsim.circuits` and argument of every function of `amsim.noise`."""
    for name, function in circuit_calls.public().items():
        valid = circuit_calls.valid(name, function)
        for parameter in circuit_calls.parameters(function):
            values = wrong_values(parameter, circuit_calls.kind_of_value(parameter))
            yield Case(name, function, valid, parameter.name, values)


def methods() -> Iterator[Case]:
    """Every argument of every public method of the parts and function of `amsim.circuits`."""
    for name, function in method_calls.public().items():
        valid = method_calls.valid(function)
        for parameter in circuit_calls.parameters(function):
            yield Case(name, function, valid, parameter.name, method_calls.wrong(parameter))


def outcomes(cases: Iterable[Case], every: int = 1) -> Iterator[Outcome]:
    """What becomes of wrong values, every so many-th one; they are tried in an empty folder."""
    numbers = itertools.count(1)
    config.update("jaxtyping_disable", True)
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        for case in cases:
            chosen = {label: value for label, value in case.values.items() if next(numbers) % every == 0}
            yield from in_a_new_folder(case, chosen) if chosen else ()
    finally:
        signal.signal(signal.SIGALRM, before)
        config.update("jaxtyping_disable", False)


def in_a_new_folder(case: Case, values: dict[str, Any]) -> list[Outcome]:
    """What becomes of wrong values of one parameter; a file that one leaves in the folder is a kind of its own."""
    found, seen = [], set[str]()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for label, value in values.items():
            kind, said = tried(case.function, {**case.valid, case.parameter: value}, case.parameter)
            left = {one.name for one in Path().iterdir()} - seen
            seen |= left
            if left:
                kind, said = "file", f"left {', '.join(sorted(left))} behind; {said}"
            found.append(Outcome(case.name, case.parameter, label, kind, said))
    return found


def tried(function: Any, arguments: dict[str, Any], parameter: str) -> tuple[str, str]:
    """Kind of outcome of a call with one wrong argument, and what was said."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with warnings.catch_warnings():
            # Before the check that refuses it.
            warnings.filterwarnings("ignore", message="A JAX array is being set as static")
            function(**arguments)
    except WorkBegan:
        return "silent", "work began"
    except _TooLongError:
        return "hang", f"longer than {SECONDS} s"
    except Exception as error:
        return judged(error, parameter), f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "silent", "accepted"


def judged(error: Exception, parameter: str) -> str:
    """Ok: ValueError or TypeError of one line that names the argument, raised in amsim's own code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    own = trace is not None and str(Path(trace.tb_frame.f_code.co_filename).resolve()).startswith(FOLDERS)
    if not isinstance(error, ValueError | TypeError) or not own:
        return "traceback"
    text = str(error)
    return "ok" if "\n" not in text and re.search(rf"`{parameter}[`.\[(]", text) else "confusing"


ROOMS = (
    "calibration", "cascade", "characterisation", "chips", "comparison", "datasets", "foreign", "foreign.published",
    "networks", "plot", "repairs", "results", "search", "spice", "statistics", "system", "training", "validation",
    "workloads", "zigzag",
)  # fmt: skip
"""Rooms whose names users may call; those of circuits and noise are found one by one."""


def names_of_rooms() -> set[str]:
    """Functions and classes that rooms hand on under their own name, and that no valid call stands for."""
    tried = {id(getattr(case.function, "function", case.function)) for case in front_door()}
    tried |= {id(getattr(amsim, name)) for name in NOT_TRIED}
    found = {
        f"{room}.{name}": value
        for room in ROOMS
        for name, value in vars(importlib.import_module(f"amsim.{room}")).items()
        if not name.startswith("_") and callable_of_users(value)
    }
    return {name for name, value in found.items() if id(value) not in tried}


def callable_of_users(value: Any) -> bool:
    """Whether this is a function or a class that takes arguments, and no error."""
    error = inspect.isclass(value) and issubclass(value, Exception)
    return (
        (inspect.isfunction(value) or inspect.isclass(value))
        and not error
        and bool(inspect.signature(value).parameters)
    )


def public_functions() -> set[str]:
    """Functions and classes of the front door, without errors and what only amsim makes."""
    found = {name: getattr(amsim, name) for name in amsim.__all__}
    return {
        name
        for name, value in found.items()
        if inspect.isfunction(value) or (inspect.isclass(value) and not issubclass(value, Exception))
    }


if __name__ == "__main__":
    found = list(outcomes([*front_door(), *parts_and_physics(), *methods()]))
    by_design = BY_DESIGN.keys() | CASCADES_BY_DESIGN.keys() | PARTS_BY_DESIGN.keys() | METHODS_BY_DESIGN.keys()
    counts = dict.fromkeys(("ok", "by design", "confusing", "silent", "traceback", "hang", "file"), 0)
    for one in found:
        kind = "by design" if one.kind != "ok" and one[:3] in by_design else one.kind
        counts[kind] += 1
        if kind not in ("ok", "by design"):
            print(*one, sep=" | ")
    print(len(found), "wrong inputs:", counts)
