"""The front door: its names, the stub that lists them, and how little it loads."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import amsim

STUB = Path(__file__).parent.parent / "amsim" / "__init__.pyi"


def fresh(code: str, *arguments: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_stub_has_the_names_of_the_table():
    imported = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name
                imported[alias.name] = node.module
    rooms = {name for name, module in imported.items() if module == "amsim"}
    assert rooms == set(amsim._ROOMS)
    names = {name: f"amsim.{room}" for name, room in amsim._ROOM_OF.items()}
    assert {name: module for name, module in imported.items() if name not in rooms} == names
    assert set(amsim.__all__) == {*imported, "__version__"}


def test_every_name_is_there():
    listed = dir(amsim)
    assert len(amsim.__all__) > 50
    for name in amsim.__all__:
        assert getattr(amsim, name) is not None
        assert name in listed
    assert amsim.reestimated is amsim.reestimate_statistics
    assert amsim.__version__ == importlib.metadata.version("amsim")


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError, match="no attribute 'deplo'"):
        amsim.deplo  # noqa: B018
    with pytest.raises(ImportError, match="'parameter_fit'"):
        from amsim import parameter_fit  # noqa: F401


ROOMS = """
import sys
import amsim
for name in sys.argv[1:]:
    assert getattr(amsim, name).__name__ == f"amsim.{name}"
import jax
jax.config.update("jax_num_cpu_devices", 2)  # refused once a backend has started
jax.config.update("jax_enable_x64", True)
macro = amsim.circuits.SwitchedCapacitor(rows=8, columns=4)
print(len(jax.devices()), macro.unit_capacitance.dtype)
"""


def test_rooms_are_attributes_after_a_plain_import_and_start_no_backend():
    assert fresh(ROOMS, *amsim._ROOMS).split() == ["2", "float64"]


HEAVY = {"jax", "numpy", "equinox", "xarray", "scipy", "matplotlib", "optax", "pydantic"}
IMPORT = """
import sys
import amsim
print(*sys.modules)
"""
HELP = """
import sys
from amsim.command_line import main
try:
    main()
finally:
    print(*sys.modules)
"""


def test_an_import_and_the_help_load_nothing_heavy():
    """Else `amsim --help` would take seconds; times are measured by `benchmarks/imports.py`."""
    assert not HEAVY & set(fresh(IMPORT).split())
    *shown, loaded = fresh(HELP, "--help").splitlines()
    assert any("compare" in line for line in shown)
    assert not HEAVY & set(loaded.split())


def test_version_of_the_command():
    code = "from amsim.command_line import main; main()"
    assert fresh(code, "--version") == f"amsim {importlib.metadata.version('amsim')}\n"


def test_an_earlier_name_of_a_room_stays():
    assert amsim.measurement is amsim.characterisation
