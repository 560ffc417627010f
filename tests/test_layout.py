"""The repository's shape: storeys whose imports go down only, no circle, every folder in the wheel, safe data files."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import amsim

ROOT = Path(__file__).parent.parent

STOREYS = (
    ("noise", "results", "files", "progress"),
    ("circuits", "datasets"),
    ("statistics", "workloads", "networks", "foreign", "spice"),
    ("system", "plot"),
    ("deployment", "chips", "zigzag"),
    ("evaluation", "characterisation"),
    ("calibration", "training", "validation", "cascade"),
    ("studies", "search", "repairs", "comparison", "recognition"),
    ("report",),
    ("exploration",),
    ("command_line", "__init__"),
)
"""The law, ground floor first: a file imports from its own room and from storeys below (`docs/architecture.md`)."""

STOREY_OF = {room: number for number, rooms in enumerate(STOREYS) for room in rooms}


def files() -> dict[str, Path]:
    """Every file of the package by the name of its module; a package stands for its `__init__`."""
    found = {}
    for folder, prefix in (("amsim", "amsim"), ("circuits", "amsim.circuits"), ("noise", "amsim.noise")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder).with_suffix("").parts
            if folder == "amsim" and inside[0] in ("circuits", "noise"):
                continue  # the links, where a tool follows them
            found[".".join([prefix, *inside]).removesuffix(".__init__")] = path
    return found


FILES = files()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


def imported(node: ast.AST) -> set[str]:
    """Modules of amsim that a statement imports; `from room import file` is that file."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name in FILES}
    if isinstance(node, ast.ImportFrom) and node.module in FILES:
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        return {name if name in FILES else node.module for name in names}
    return set()


@cache
def imports(module: str) -> frozenset[str]:
    return frozenset(name for node in ast.walk(tree(module)) for name in imported(node)) - {module}


def room(module: str) -> str:
    return "__init__" if module == "amsim" else module.split(".")[1]


def circles(edges: dict[str, frozenset[str]]) -> list[str]:
    """Members of circles: what reaches itself."""

    def reaches(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(edges[start])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += edges[one]
        return seen

    return sorted(one for one in edges if one in reaches(one))


def test_every_room_has_a_storey():
    assert {room(module) for module in FILES} == set(STOREY_OF)


@pytest.mark.parametrize("name", STOREY_OF)
def test_imports_go_down_only(name):
    wrong = [
        f"{module} imports {other}"
        for module in FILES
        if room(module) == name
        for other in imports(module)
        if room(other) != name and STOREY_OF[room(other)] >= STOREY_OF[name]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_is_in_an_import_circle():
    assert len(FILES) > 200
    assert circles({module: imports(module) for module in FILES}) == []


def test_a_circle_is_found():
    edges = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b"), "d": frozenset("a")}
    assert circles(edges) == ["b", "c"]


def test_no_import_is_hidden():
    """Under `TYPE_CHECKING`, or in a function; commands of the command line may load what they need when they run."""
    hidden = []
    for module in FILES:
        places = [one for one in ast.walk(tree(module)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        if room(module) == "command_line":
            places = []
        places += [
            one for one in ast.walk(tree(module)) if isinstance(one, ast.If) and "TYPE_CHECKING" in ast.dump(one.test)
        ]
        hidden += [f"{module}: {name}" for place in places for node in ast.walk(place) for name in imported(node)]
    assert not hidden, "\n".join(hidden)


def test_rooms_are_folders():
    assert {path.name for path in (ROOT / "amsim").glob("*.py")} == {"__init__.py", "progress.py"}


def test_a_room_hands_on_no_name_of_its_own_files():
    """`amsim.room.name` would be a function or a file, depending on what was imported first."""
    for module, path in FILES.items():
        if path.name == "__init__.py":
            for node in tree(module).body:
                # `from room import file` hands on the file itself.
                inner = isinstance(node, ast.ImportFrom) and node.module != module
                names = {alias.asname or alias.name for alias in node.names} if inner else set()
                wrong = {name for name in names if f"{module}.{name}" in FILES}
                assert not wrong, f"{module} hands on {wrong}, which are files too"


def test_every_folder_is_in_the_wheel():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {module for module, path in FILES.items() if path.name == "__init__.py"}
    assert set(settings["packages"]) == folders
    assert {module.rpartition(".")[0] for module in FILES} - {""} <= folders
    kinds = (".npz", ".typed", ".pyi", ".mplstyle", ".html", ".css", ".js")
    data = {path for path in (ROOT / "amsim").rglob("*") if path.is_file() and path.suffix in kinds}
    named = {
        path
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    assert len(data) >= 10
    assert data <= named


def test_bare_names_are_not_imported():
    import amsim.circuits
    import amsim.noise

    assert amsim.noise.__name__ == "amsim.noise"
    assert "noise" not in sys.modules
    assert "circuits" not in sys.modules


def test_front_door():
    for name in ("deploy", "evaluate", "compare", "load_dataset", "Accelerator"):
        assert callable(getattr(amsim, name))
    from amsim import chips, circuits, networks, plot

    assert all(module.__doc__ for module in (chips, circuits, networks, plot))


def test_every_stored_file_is_free_of_pickle():
    rooms = ("datasets/files", "networks/weights")
    files = sorted(path for room in rooms for path in (ROOT / "amsim" / room).glob("*.npz"))
    assert len(files) >= 5
    for path in files:
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)
    weights = [path for path in files if "fashion-mnist" not in path.name]
    assert sum(path.stat().st_size for path in weights) < 3_000_000


def test_the_architecture_page_shows_the_storeys():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (`[^|]+`) \|", page, re.MULTILINE))
    shown = {int(number): tuple(re.findall(r"`(\w+)`", rooms)) for number, rooms in rows.items()}
    assert shown == dict(enumerate(STOREYS))
    drawn = re.findall(r">(\w+)</text>", (ROOT / "docs" / "architecture.svg").read_text())
    assert [name for name in drawn if not name.isdigit()] == [name for rooms in STOREYS for name in rooms]
