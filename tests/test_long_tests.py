"""The list of tests that are too long for the test command is of tests that exist, and is written as measured."""

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import long_tests
from long_tests import LEFT_OUT, LIMIT, Stopwatch

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
        properties = [list(LEFT_OUT)] if name == "grid[3]" else []
        report = SimpleNamespace(nodeid=f"a.py::test_{name}", duration=seconds, user_properties=properties)
        stopwatch.pytest_runtest_logreport(report)
    stopwatch.pytest_sessionfinish()
    assert long_tests.long_tests() == {"a.py::test_grid": 4, "a.py::test_new": 4, "a.py::test_not_run": 9}
