"""The README's examples run as they stand, one after another, and its pictures exist."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import amsim

README = (Path(__file__).parents[2] / "README.md").read_text()


def run_examples(capsys):
    """What all examples print, and the accuracy that they measure."""
    first, *others = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert others
    names = {}
    for example in (first, *others):
        exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "conv1" in printed
    assert "comparator" in printed
    accuracy, low, high = map(float, re.findall(r"(0\.\d+) \((0\.\d+) \.\. ([01]\.\d+)\)", printed)[0])
    assert low <= accuracy <= high
    return accuracy


def test_examples_call_what_exists_with_arguments_that_it_takes():
    checked = set()
    names = {"amsim": amsim}
    for example in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), names)
        for call in (node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Call)):
            path = ast.unparse(call.func)
            # Not what examples make themselves, and methods of it.
            if re.fullmatch(r"[\w.]+", path) and path.partition(".")[0] in names:
                keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
                inspect.signature(eval(path, names)).bind(*call.args, **keywords)
                checked.add(path)
    assert {"amsim.deploy", "amsim.evaluate", "amsim.calibrate", "amsim.sweep", "circuits.SwitchedCapacitor"} <= checked


@pytest.mark.slow  # every tool once on a trained network; above, each call is one that exists
def test_examples_run_and_are_accurate(capsys):
    assert run_examples(capsys) > 0.8


def test_pictures_exist():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parents[2] / path).is_file(), path


def test_no_placeholder_is_left():
    assert "@@" not in README
