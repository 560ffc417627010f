"""Files appear whole or not at all, with any name, mode and number of writers; nothing writes in place."""

import ast
import os
import stat
import threading
from pathlib import Path

import pytest

from amsim.files.whole_file import write_whole, write_whole_text

ROOT = Path(__file__).parents[2]
WRITES = {"write_text", "write_bytes", "savefig", "to_netcdf", "savez", "savez_compressed", "tofile", "savetxt"}


def test_a_users_part_file_stays(tmp_path):
    (tmp_path / "x.part").write_text("mine")
    write_whole_text(tmp_path / "x", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "new", "x.part": "mine"}


def test_longest_name(tmp_path):
    write_whole_text(tmp_path / ("n" * 255), "new")
    assert (tmp_path / ("n" * 255)).read_text() == "new"


def test_modes_and_links(tmp_path):
    old, plain, link = tmp_path / "old", tmp_path / "plain", tmp_path / "link"
    old.write_text("old")
    old.chmod(0o640)
    link.symlink_to(old)
    plain.touch()
    write_whole_text(link, "new")
    write_whole_text(tmp_path / "fresh", "new")
    assert link.is_symlink()
    assert old.read_text() == "new"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert (tmp_path / "fresh").stat().st_mode == plain.stat().st_mode


def test_a_failed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "x").write_text("old")

    def fail(path):
        path.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_whole(tmp_path / "x", fail)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_two_writers(tmp_path):
    failures = []

    def save(letter):
        for _ in range(50):
            try:
                write_whole_text(tmp_path / "x", letter * 1000)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=save, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (tmp_path / "x").read_text() in ("a" * 1000, "b" * 1000)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pipe_is_no_target(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="must be a file or free"):
        write_whole_text(tmp_path / "pipe", "new")


def test_nothing_is_written_in_place():
    """Every call that writes a file stands inside a call of `write_whole`; stores have a way of their own."""
    places = [*(ROOT / "amsim").rglob("*.py"), *(ROOT / "circuits").rglob("*.py"), *(ROOT / "noise").rglob("*.py")]
    allowed = {ROOT / "amsim/studies/store_contents.py"}
    found = [f"{place.name}:{line}" for place in places if place not in allowed for line in _writes_in_place(place)]
    assert not found


def _writes_in_place(place: Path) -> list[int]:
    tree = ast.parse(place.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    inside = {
        id(part)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "write_whole"
        for part in ast.walk(call)
    }
    return [call.lineno for call in calls if id(call) not in inside and _writes(call)]


def _writes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "open":
        modes = [one.value for one in ast.walk(call) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return any(len(mode) <= 3 and set(mode) & set("wax+") for mode in modes)
    in_memory = call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == "buffer"
    return name in WRITES and not in_memory
