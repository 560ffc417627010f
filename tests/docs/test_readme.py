"""The README's examples run as they stand, one after another, and its pictures exist."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_example_runs(capsys, monkeypatch):
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
    assert accuracy > 0.8


def test_pictures_exist():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parents[2] / path).is_file(), path


def test_no_placeholder_is_left():
    assert "@@" not in README
