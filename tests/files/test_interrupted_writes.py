"""A write that is killed, or meets a full disk, leaves the old file; two processes save side by side."""

import errno
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from amsim.files.array_file import read_own_file, write_array_file
from amsim.files.whole_file import check_replaceable

EVENTS = ("open", "os.rename", "os.chmod", "os.remove")
"""Audit events by which a write touches the disk (`sys.audit`)."""


def save(path, value):
    write_array_file(path, {"a": np.full(1000, value)})


def saved(path):
    return read_own_file(path, lambda arrays: set(arrays["a"].tolist()))


def die_at(number, path):
    """Overwrite in a process of its own that ends at its event of this number; whether it came that far."""
    child = os.fork()
    if not child:
        seen = 0

        def count(event, arguments):
            nonlocal seen
            if event in EVENTS:
                seen += 1
                if seen == number:
                    os._exit(1)

        sys.addaudithook(count)
        save(path, 2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_kill_at_any_event_of_the_disk_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "x.npz"
    number = 1
    save(path, 1)
    while die_at(number, path):
        assert saved(path) in ({1}, {2})
        save(path, 1)
        number += 1
    assert number > 4
    assert saved(path) == {2}


@pytest.mark.parametrize("fails", ["write_bytes", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, fails):
    save(tmp_path / "x.npz", 1)
    whole = getattr(Path, fails)

    def full(path, content):
        if fails == "write_bytes":
            whole(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, fails, full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "x.npz", 2)
    assert saved(tmp_path / "x.npz") == {1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_two_processes_save_side_by_side(tmp_path):
    path = tmp_path / "x.npz"

    def save_often(value):
        for _ in range(50):
            save(path, value)

    started = [multiprocessing.get_context("fork").Process(target=save_often, args=(value,)) for value in (1, 2)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    assert saved(path) in ({1}, {2})
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_replaced_is_found_out_before_the_work(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "old").write_text("old")
    for path in ("folder", "pipe", "n" * 256, "missing/file"):
        with pytest.raises(ValueError, match="`checkpoint` must be a file that can be written"):
            check_replaceable(tmp_path / path, "checkpoint")
    for path in ("old", "new", "n" * 255):
        check_replaceable(tmp_path / path, "checkpoint")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "old", "pipe"]


def test_a_folder_that_cannot_be_written_is_found_out_before_the_work(tmp_path):
    if os.geteuid():
        tmp_path.chmod(0o500)
        place = tmp_path / "x"
    else:
        place = Path("/proc/x")  # the superuser writes nearly everywhere else
    with pytest.raises(ValueError, match="`checkpoint` must be a file that can be written"):
        check_replaceable(place, "checkpoint")
