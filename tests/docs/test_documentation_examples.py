"""The how-tos of the documentation run as they stand; parts for packages that are not installed are left out."""

import contextlib
import importlib.util
import re
from pathlib import Path

import jax
import pytest

from amsim.files import part_classes

PAGES = sorted((Path(__file__).parents[2] / "docs" / "how_tos").glob("*.md"))
OPTIONAL = ("torch", "keras")
"""Packages that a test environment may lack: PyTorch brings some 2.5 GB of CUDA libraries on Linux."""


def needs(example, package):
    return re.search(rf"^(import|from) {package}\b", example, re.MULTILINE) is not None


@pytest.mark.sampled(6)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_how_to_runs(page, capsys, monkeypatch):
    monkeypatch.setattr(part_classes, "_REGISTERED", {})
    examples = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    absent = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    examples = [one for one in examples if not any(needs(one, name) for name in absent)]
    assert examples
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    names = {"__name__": page.stem}
    for example in examples:
        with contextlib.ExitStack() as stack:
            if needs(example, "keras"):  # which relies on what JAX does by default
                stack.enter_context(jax.numpy_rank_promotion("allow"))
                stack.enter_context(jax.numpy_dtype_promotion("standard"))
            exec(compile(example, page.name, "exec"), names)
    assert "nan" not in capsys.readouterr().out.lower()
