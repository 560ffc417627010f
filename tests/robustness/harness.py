"""Wrong inputs, one at a time, over the public surface: `python tests/robustness/harness.py` prints failures."""

import collections
import inspect
import operator
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from calls_of_rooms import bound_calls, room_calls
from jaxtyping import config
from valid_calls import WorkBegan, calls
from wrong_values import wrong_values

import amsim

SECONDS = 10
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


def outcomes(every: int = 1) -> Iterator[Outcome]:
    """What becomes of wrong values, every so many-th one, of every parameter of every function in the table."""
    number = 0
    config.update("jaxtyping_disable", True)
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        named = {name: (operator.attrgetter(name)(amsim), valid) for name, valid in (calls() | room_calls()).items()}
        for name, (function, valid) in (named | bound_calls()).items():
            for parameter in inspect.signature(function).parameters.values():
                for label, value in wrong_values(parameter).items():
                    number += 1
                    if number % every:
                        continue
                    kind, said = tried(function, {**valid, parameter.name: value}, parameter.name)
                    yield Outcome(name, parameter.name, label, kind, said)
    finally:
        signal.signal(signal.SIGALRM, before)
        config.update("jaxtyping_disable", False)


def tried(function: Any, arguments: dict[str, Any], parameter: str) -> tuple[str, str]:
    """Kind of outcome of a call with one wrong argument, and what was said."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
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


def public_functions() -> set[str]:
    """Functions and classes of the front door, without errors and what only amsim makes."""
    found = {name: getattr(amsim, name) for name in amsim.__all__}
    return {
        name
        for name, value in found.items()
        if inspect.isfunction(value) or (inspect.isclass(value) and not issubclass(value, Exception))
    }


if __name__ == "__main__":
    found = list(outcomes())
    for one in found:
        if one.kind != "ok":
            print(*one, sep=" | ")
    print(len(found), "wrong inputs:", dict(collections.Counter(one.kind for one in found)))
