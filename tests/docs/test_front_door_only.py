"""Notebooks, how-tos and the README come in by the front door: they use no file inside of a room."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how_tos").glob("*.md"))]


def _public_names():
    spec = importlib.util.spec_from_file_location("public_names", ROOT / "docs" / "public_names.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


names = _public_names()


def inside(name: str) -> str | None:
    """Module that a dotted name goes into without it being handed on, or None."""
    module, *words = name.split(".")
    for word in words:
        offered = names.public_names(module)
        if word not in offered:
            return f"{module}.{word}"
        if not names.source(f"{module}.{word}").exists():
            return None  # a function or class, whose own names are its business
        module = f"{module}.{word}"
    return None


def used(code: str) -> list[str]:
    """Full names of amsim that code imports or reaches through what it imported."""
    found, local = [], {}
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "amsim":
                    found.append(alias.name)
                    local[alias.asname or "amsim"] = alias.name if alias.asname else "amsim"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "amsim":
            for alias in node.names:
                found.append(f"{node.module}.{alias.name}")
                local[alias.asname or alias.name] = found[-1]
    for node in ast.walk(tree):
        words, one = [], node
        while isinstance(one, ast.Attribute):
            words.insert(0, one.attr)
            one = one.value
        if words and isinstance(one, ast.Name) and one.id in local:
            found.append(".".join([local[one.id], *words]))
    return found


def code_of(path: Path) -> str:
    text = path.read_text()
    return text if path.suffix == ".py" else "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.stem)
def test_examples_use_the_front_door_only(path):
    found = used(code_of(path))
    assert found
    assert not {name: inside(name) for name in found if inside(name)}


def test_what_is_inside_is_found():
    assert len(PAGES) > 8
    assert len(NOTEBOOKS) >= 11
    assert inside("amsim.circuits.SwitchedCapacitor.ideal") is None
    assert inside("amsim.foreign.published.load_detector") is None
    assert inside("amsim.deployment.deploy") == "amsim.deployment"
    code = "import amsim\nfrom amsim import system as s\ns.cost.IDLE\namsim.characterisation.table.read_table(1).x"
    wrong = {inside(name) for name in used(code)} - {None}
    assert wrong == {"amsim.system.cost", "amsim.characterisation.table"}
