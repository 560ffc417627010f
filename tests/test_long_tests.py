"""The list of tests that are too long for the test command is of tests that exist, and is written as measured."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import long_tests
import pytest
from long_tests import LEFT_OUT, LIMIT, SECONDS, ProcessorClock, Stopwatch

ROOT = Path(__file__).parents[1]


def test_every_long_test_exists():
    functions = {
        f"{path.relative_to(ROOT).as_posix()}::{part.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for part in ast.walk(ast.parse(path.read_text()))
        if isinstance(part, ast.FunctionDef)
    }
    listed = long_tests.long_tests()
    assert listed
    assert set(listed) <= functions, sorted(set(listed) - functions)
    assert all(seconds >= LIMIT for seconds in listed.values())


def test_the_list_is_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(long_tests, "FILE", tmp_path / "long.json")
    before = {"a.py::test_not_run": 9.0, "a.py::test_short_now": 8.0, "a.py::test_grid": 5.0}
    long_tests.FILE.write_text(json.dumps(before))
    stopwatch = Stopwatch()
    monkeypatch.setattr(long_tests, "LIMIT", 3.0)
    for name, seconds in [("short_now", 0.5), ("grid[1]", 2), ("grid[2]", 2), ("grid[3]", 99), ("new", 1), ("new", 3)]:
        # As they come from another process, where tuples are lists.
        properties = [[SECONDS, seconds], *([list(LEFT_OUT)] if name == "grid[3]" else [])]
        report = SimpleNamespace(nodeid=f"a.py::test_{name}", user_properties=properties)
        stopwatch.pytest_runtest_logreport(report)
    stopwatch.pytest_sessionfinish()
    assert long_tests.long_tests() == {"a.py::test_grid": 4, "a.py::test_new": 4, "a.py::test_not_run": 9}


def test_the_clock_counts_work_and_what_was_waited_for():
    clock = ProcessorClock()
    report = SimpleNamespace(user_properties=[LEFT_OUT])
    clock.last -= 1000  # a long collection
    clock.pytest_collection_finish()
    wrapper = clock.pytest_runtest_makereport()
    next(wrapper)
    subprocess.run([sys.executable, "-c", "while __import__('time').process_time() < 0.3: pass"], check=True)
    with pytest.raises(StopIteration):
        wrapper.send(report)
    assert report.user_properties[0] == LEFT_OUT
    assert 0.25 < dict(report.user_properties)[SECONDS] < 1000
