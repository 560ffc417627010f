"""The how-tos of the documentation run as they stand."""

import re
from pathlib import Path

import pytest

from amsim.files import part_classes

PAGES = sorted((Path(__file__).parents[2] / "docs" / "how_tos").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_how_to_runs(page, capsys, monkeypatch):
    monkeypatch.setattr(part_classes, "_REGISTERED", {})
    examples = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert examples
    names = {"__name__": page.stem}
    for example in examples:
        exec(compile(example, page.name, "exec"), names)
    assert "nan" not in capsys.readouterr().out.lower()
