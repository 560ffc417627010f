"""Tests that take long, as measured: `pytest` leaves them out, `pytest -m slow` runs them.

Most of the suite's time is compiling, and a few tests take most of it: those that differentiate, batch or simulate
whole arrays. Which these are is measured and not judged: `pytest -m "slow or not slow" --measure` rewrites
`long_tests.json`, the seconds of processor time of every test function whose cases in the test command take more than
LIMIT together. A new test runs until it is measured. Tests that need a word of reason have the marker `slow`
themselves.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT = 2.5
"""Seconds of processor time that the cases of one function may take together in the test command."""

FILE = Path(__file__).with_suffix(".json")
LEFT_OUT = ("left out", True)
"""Property of a case that a marker leaves out of the test command, which does not count its time."""

SECONDS = "seconds of processor time"
"""Property of a report: what its phase took, with the processes it waited for, however busy the machine was."""


def long_tests() -> dict[str, float]:
    """Seconds of each test function that is too long for the test command, by its identifier."""
    return json.loads(FILE.read_text())


def function_of(identifier: str) -> str:
    """Identifier of the function of a case."""
    return identifier.partition("[")[0]


class ProcessorClock:
    """Plugin of each process that says in every report how much processor time its phase took."""

    def __init__(self) -> None:
        self.last = sum(os.times()[:4])

    def pytest_collection_finish(self) -> None:
        """Begin: what was imported and collected before is no test's."""
        self.last = sum(os.times()[:4])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        report = yield
        now = sum(os.times()[:4])
        # Reports of one case share the list of its properties.
        report.user_properties = [*report.user_properties, (SECONDS, now - self.last)]
        self.last = now
        return report


class Stopwatch:
    """Plugin that adds up the seconds of every test function and rewrites the file of long tests."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if LEFT_OUT[0] not in properties:
            self.seconds[function_of(report.nodeid)] += properties[SECONDS]

    def pytest_sessionfinish(self) -> None:
        found = {name: one for name, one in long_tests().items() if name not in self.seconds}
        found |= {name: round(one, 1) for name, one in self.seconds.items() if one > LIMIT}
        FILE.write_text(json.dumps(dict(sorted(found.items())), indent=0) + "\n")
