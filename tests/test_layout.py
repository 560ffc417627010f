"""The repository's shape: one package, imports that go down only, names and units complete."""

import ast
import sys
from pathlib import Path

import pytest

import amsim

ROOT = Path(__file__).parent.parent
FLOORS = {"noise": ("amsim.noise",), "circuits": ("amsim.noise", "amsim.circuits")}


def imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return names + [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def test_bare_names_are_not_imported():
    import amsim.circuits
    import amsim.noise

    assert amsim.noise.__name__ == "amsim.noise"
    assert "noise" not in sys.modules
    assert "circuits" not in sys.modules


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_go_down_only(floor):
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            if name.startswith("amsim"):
                assert name.startswith(FLOORS[floor]), f"{path.name} imports {name}"


def test_front_door():
    for name in ("deploy", "evaluate", "compare", "load_dataset", "Accelerator"):
        assert callable(getattr(amsim, name))
    from amsim import chips, circuits, networks, plot

    assert all(module.__doc__ for module in (chips, circuits, networks, plot))


def test_every_stored_file_is_free_of_pickle():
    import numpy as np

    files = sorted(
        path for room in ("datasets/files", "networks/weights") for path in (ROOT / "amsim" / room).glob("*.npz")
    )
    assert len(files) >= 5
    for path in files:
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)
    weights = [path for path in files if "fashion-mnist" not in path.name]
    assert sum(path.stat().st_size for path in weights) < 3_000_000
