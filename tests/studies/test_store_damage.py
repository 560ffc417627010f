"""Stores that were damaged, killed or are hostile: one clear error or the right result, never other numbers."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
import stored_numbers
import xarray as xr
from stored_numbers import VALUES, dataset, study

from amsim.report.result_file import open_result
from amsim.studies.store_contents import check_harmless


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    study(folder / "whole")
    study(folder / "begun", stop=2)
    return folder


def other_fields(content: bytes) -> bytes:
    try:
        held = json.loads(content)
    except ValueError:
        return content[::-1]
    changed = {name: 7 if isinstance(value, int) else value for name, value in held.items()}
    changed |= {name: not held[name] for name in ("complete",) if name in held}
    changed |= {"dtype": "<f8"} if "dtype" in held else {}
    return json.dumps(changed).encode()


DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "flipped": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "zeros": lambda content: bytes(len(content)),
    "empty": lambda content: b"",
    "fields": other_fields,
    "no object": lambda content: b"[1]",
    "deleted": None,
}


@pytest.mark.sampled
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["whole", "begun"])
def test_damage_to_any_file_is_an_error_or_changes_nothing(stores, tmp_path, kind, damage):
    shown = open_result(stores / kind)
    for number, file in enumerate(sorted(one for one in (stores / kind).rglob("*") if one.is_file())):
        for use in (open_result, study):
            path = shutil.copytree(stores / kind, tmp_path / f"{number}{use.__name__}")
            hurt = path / file.relative_to(stores / kind)
            if DAMAGES[damage] is None:
                hurt.unlink()
            else:
                hurt.write_bytes(DAMAGES[damage](hurt.read_bytes()))
            try:
                found = use(path)
            except ValueError as error:
                said = str(error)
            else:
                said = str(path)
                expected = shown if use is open_result else dataset(VALUES)
                np.testing.assert_array_equal(found["error"].values, expected["error"].values, str(file))
            assert str(path) in said, file
            assert "\n" not in said


class Killed(BaseException):
    """An end at once, as by a signal."""


EVENTS = ("mkdir", "rename", "replace", "rmdir", "unlink", "open")


def failing(plain, count, limit, fault):
    """The same function of the system, until a number of events has passed."""

    def event(*given, **named):
        if next(count) >= limit:
            raise fault
        return plain(*given, **named)

    return event


@pytest.mark.parametrize("fault", [Killed(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))], ids=["kill", "full"])
def test_a_study_goes_on_after_events_of_the_disk(tmp_path, fault):
    at, ended = 0, False
    while not ended:
        path, count = tmp_path / str(at), iter(range(10**6))
        with pytest.MonkeyPatch.context() as patch:
            for name in EVENTS:
                patch.setattr(os, name, failing(getattr(os, name), count, at, fault))
            try:
                study(path)
                ended = True
            except (Killed, OSError):
                pass
        xr.testing.assert_equal(study(path), dataset(VALUES))
        at += 1 if at < 12 else 13
    assert at > 20


@pytest.mark.parametrize("name", ["study/thesis/chapter.txt", "study/parts/mine.txt", "notes.txt"])
def test_what_amsim_has_not_written_is_kept(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="`store` must be a new path or the store of a study"):
        study(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (".zarray", {"compressor": {"id": "pickle"}}),
        (".zarray", {"compressor": None, "filters": [{"id": "pickle"}]}),
        (".zmetadata", {"metadata": {"a/.zarray": {"filters": [{"id": "json2"}]}}}),
        ("zarr.json", {"codecs": [{"name": "numcodecs.pickle"}]}),
        ("zarr.json", {"codecs": [{"name": "bytes", "configuration": {"codecs": ["pickle"]}}]}),
    ],
)
def test_codecs_that_could_run_code_are_refused(stores, tmp_path, file, content):
    path = shutil.copytree(stores / "begun", tmp_path / "store")
    for folder in (path / "error", *path.glob("study/parts/*/error")):
        (folder / file).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not allowed"):
        check_harmless(path)
    for use in (open_result, study):
        with pytest.raises(ValueError, match="is not allowed"):
            use(path)


def test_links_inside_a_store_are_not_followed(stores, tmp_path):
    path = shutil.copytree(stores / "whole", tmp_path / "store")
    shutil.move(path / "error", tmp_path / "error")
    (path / "error").symlink_to(tmp_path / "error")
    for use in (open_result, study):
        with pytest.raises(ValueError, match="is a link"):
            use(path)


@pytest.mark.sampled
@pytest.mark.parametrize(
    "lost",
    [("sha256",), ("format",), ("sha256", "format"), ("layout",), ("items", "sha256"), ("sha256", "files", "format")],
)
@pytest.mark.parametrize("kind", ["whole", "begun"])
def test_a_header_that_lost_fields_is_damaged(stores, tmp_path, kind, lost):
    path = shutil.copytree(stores / kind, tmp_path / "store")
    header = path / "study" / ".zattrs"
    held = json.loads(header.read_text())
    header.write_text(json.dumps({name: value for name, value in held.items() if name not in lost}))
    for use in (open_result, study):
        with pytest.raises(ValueError, match=r"the header .* is damaged"):
            use(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'["fingerprint", "layout", "complete"]',
        b"7",
        b'{"fingerprint": {"key": 1}, "fingerprints": 2, "layout": 5, "complete": true}',
        b'{"fingerprint": {"key": 1}, "fingerprints": 2, "layout": [{"items": 0, "reads": 1}], "complete": false}',
        b'{"fingerprint": {"key": 1}, "fingerprints": 2, "layout": [{"rows": 1}], "complete": false}',
        b'{"fingerprint": {"key": 1}, "fingerprints": 2, "layout": [], "items": [4], "complete": false}',
    ],
)
def test_hostile_headers_are_damaged(stores, tmp_path, content):
    path = shutil.copytree(stores / "begun", tmp_path / "store")
    (path / "study" / "checksums.json").unlink()  # as an earlier version left it
    (path / "study" / ".zattrs").write_bytes(content)
    for use in (open_result, study):
        with pytest.raises(ValueError, match=r"the header .* is damaged") as refused:
            use(path)
        assert "\n" not in str(refused.value)


@pytest.mark.sampled
@pytest.mark.parametrize("name", [".zattrs", ".zgroup", "error/.zarray", "error/.zattrs", ".zmetadata"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"[]", b"7", b'{"shape": "x", "dtype": "<f4"}'])
def test_hostile_metadata_of_a_saved_result_end_in_one_line(stores, tmp_path, name, content):
    path = shutil.copytree(stores / "whole", tmp_path / "store")
    shutil.rmtree(path / "study")
    (path / name).write_bytes(content)
    if name in ("error/.zattrs", ".zattrs", ".zgroup"):  # read from .zmetadata otherwise
        (path / ".zmetadata").unlink()
    try:
        said = str(open_result(path).attrs and path)
    except ValueError as error:
        said = str(error)
    assert str(path) in said
    assert "\n" not in said


@pytest.mark.parametrize("field", ["shape", "chunks"])
def test_arrays_far_larger_than_their_folder_are_refused(stores, tmp_path, field):
    for kind, use in (("begun", study), ("begun", open_result), ("whole", open_result)):
        path = shutil.copytree(stores / kind, tmp_path / f"{kind}{use.__name__}")
        for folder in (path / "error", *path.glob("study/parts/*/error")):
            held = json.loads((folder / ".zarray").read_text())
            (folder / ".zarray").write_text(json.dumps(held | {field: [10**12]}))
        with pytest.raises(ValueError, match=r"arrays of .*e\+1[23] bytes are declared"):
            use(path)


def test_paths_of_stores(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for path in (tmp_path / "link", tmp_path / "empty", tmp_path / "no" / "such" / "folder"):
        study(path, stop=2)
        xr.testing.assert_equal(study(path), dataset(VALUES))
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "study").write_text("mine")
    with pytest.raises(ValueError, match="is something else"):
        study(tmp_path / "file")
    assert (tmp_path / "file" / "study").read_text() == "mine"


def test_what_a_user_lays_beside_the_parts_is_kept(tmp_path):
    study(tmp_path / "store", stop=2)
    mine = tmp_path / "store" / "study" / "parts" / "2026.part" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    xr.testing.assert_equal(study(tmp_path / "store"), dataset(VALUES))
    assert mine.read_text() == "mine"


def test_chunks_of_zeros_and_nan_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_numbers, "VALUES", np.zeros(4, np.float32))
    study(tmp_path, stop=1)
    assert (tmp_path / "error" / "0").is_file()
    assert (tmp_path / "study" / "parts" / "0-0-1" / "error" / "0").is_file()
