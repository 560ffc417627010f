"""A study on disk: results as they arrive, the study they belong to, and in the end one labelled Zarr store."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from amsim.studies.jobs import Done, Job
from amsim.studies.program import Lanes
from amsim.studies.store_contents import check_harmless, checksums, first_difference, sealed

GROUP = "study"
"""Zarr group beside the labelled arrays: its attributes identify the study, its group `parts` holds results that are
not yet in the labelled arrays."""

WRITE_EVERY, LABEL_EVERY = 1.0, 60.0
"""Seconds between two parts, and between two updates of the labelled arrays."""

FINGERPRINTS = 2
"""Number of the way in which fingerprints are taken; those of 1 left out arrays that compiled functions hold."""

ZARR_FORMAT: Literal[2] = 2
"""Format that every version of Zarr reads, with a settled encoding of text."""


MARK = "amsim.json"
"""File that says that a header has a checksum; stores of earlier versions have neither."""

CHECKSUMS = "checksums.json"
"""File with the checksums of a part, or of the labelled arrays of a study that is not complete."""


class Store:
    """Results of one study in a folder; a study that was killed resumes from there.

    Each part is a folder that appears whole or not at all and holds the outputs of consecutive calls of one job.
    """

    def __init__(self, path: str | Path) -> None:
        """Read what is there; nothing is written yet.

        Raises:
            ValueError: Zarr is not installed, or the path is something other than a store of a study.
        """
        try:
            import zarr  # noqa: F401 -- an extra, imported before any work
        except ImportError:
            raise ValueError("Argument `store` needs Zarr: pip install 'amsim[studies]'.") from None
        self.path = Path(path)
        self._waiting: list[Done] = []
        self._last_part = self._last_label = time.monotonic()
        self._header: dict[str, Any] | None = None
        self._claim: int | None = None
        if self.path.exists():
            self._header = _read_header(self.path)

    @property
    def complete(self) -> bool:
        """Whether the stored study is complete."""
        return self._header is not None and bool(self._header["complete"])

    @property
    def layout(self) -> list[Lanes] | None:
        """Work per call of each job of the stored study; the last bits of its results may depend on it."""
        return None if self._header is None else [Lanes(**one) for one in self._header["layout"]]

    @property
    def _parts(self) -> Path:
        return self.path / GROUP / "parts"

    def begin(self, fingerprint: Mapping[str, Any], jobs: Sequence[Job], empty: xr.Dataset) -> None:
        """Claim the folder for a study, or check that the stored study is this one.

        Raises:
            ValueError: The store holds another study, with the difference named, or one of an earlier amsim that cannot
                be told from others, or another process writes to it.
            OSError: The folder cannot be written.
        """
        plain = json.loads(json.dumps(fingerprint))
        if self._header is not None:
            _check_fingerprints(self.path, self._header)
            _check_same(self.path, self._header["fingerprint"], plain)
            if not self.complete:
                self._claim = _claim_lock(self.path)
                self._header = _read_header(self.path)  # it may have been completed meanwhile
            return
        with _keeping_results(self.path):
            self._parts.parent.mkdir(parents=True, exist_ok=True)
            self._claim = _claim_lock(self.path)
            self._header = _read_header(self.path)
            layout = [vars(job.program.lanes) for job in jobs]
            if self._header is not None:  # another process was faster
                _check_same(self.path, self._header["fingerprint"], plain)
                _check_same(self.path, {"layout": self._header["layout"]}, json.loads(json.dumps({"layout": layout})))
                return
            (self._parts.parent / MARK).write_text("{}")
            self._header = {
                "fingerprints": FINGERPRINTS,
                "fingerprint": plain,
                "layout": layout,
                "items": [job.program.count for job in jobs],
                "complete": False,
            }
            self._write_header()
            self._write_labelled(empty)

    def close(self) -> None:
        """Let other processes write to the store."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def parts(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Every stored call.

        Raises:
            ValueError: A part is damaged.
        """
        for folder in sorted(self._parts.glob("[0-9]*")):
            if folder.name.endswith(".part"):
                with _keeping_results(self.path):
                    shutil.rmtree(folder)
                continue
            try:
                number, first, count = map(int, folder.name.split("-"))
                job, items = jobs[number], jobs[number].program.lanes.items
                whole = _read_part(folder, job, count * items, checked="sha256" in (self._header or {}))
            # What damaged files make the libraries raise is not documented.
            except Exception as error:
                raise ValueError(
                    f"Argument `store` must hold whole parts, but in {self.path} {_line(error)}. Delete the folder "
                    f"{folder} to have this part computed again."
                ) from None
            for index in range(count):
                part = slice(index * items, (index + 1) * items)
                yield job, first + index, {name: values[part] for name, values in whole.items()}

    def load(self) -> xr.Dataset:
        """Whole result of a complete study.

        Raises:
            ValueError: A file of it is damaged.
        """
        try:
            check_contents(self.path)
            with xr.open_zarr(self.path, zarr_format=ZARR_FORMAT, consolidated=True) as held:
                return held.load()
        except Exception as error:
            raise ValueError(
                f"Argument `store` must be undamaged, but in {self.path} {_line(error)}. Give another path, or delete "
                "this folder, to have the study computed again."
            ) from None

    def add(self, done: Done, labelled: Any) -> None:
        """Keep the results of a call; they are written about once per second.

        Args:
            done: The call.
            labelled: Returns the Dataset of all results so far, for readers of the store meanwhile.
        """
        self._waiting.append(done)
        now = time.monotonic()
        if now - self._last_part >= WRITE_EVERY:
            self.flush()
        if now - self._last_label >= LABEL_EVERY:
            self.label(labelled())
            self._last_label = time.monotonic()

    def flush(self) -> None:
        """Write results that have not been written yet."""
        with _keeping_results(self.path):
            for run in _consecutive(self._waiting):
                self._write_part(run)
        self._waiting = []
        self._last_part = time.monotonic()

    def label(self, dataset: xr.Dataset) -> None:
        """Write the results so far for readers of the store."""
        with _keeping_results(self.path):
            self._write_labelled(dataset)

    def finish(self, result: xr.Dataset) -> None:
        """Write the whole result and remove the parts, which it replaces."""
        assert self._header is not None
        self.flush()
        with _keeping_results(self.path):
            self._write_labelled(result)
            self._header |= {"complete": True, "files": checksums(self.path, without=GROUP)}
            self._write_header()
            shutil.rmtree(self._parts, ignore_errors=True)

    def _write_part(self, run: Sequence[Done]) -> None:
        import zarr

        job, first, _ = run[0]
        final = self._parts / f"{job.number}-{first}-{len(run)}"
        temporary = final.with_name(final.name + ".part")
        shutil.rmtree(temporary, ignore_errors=True)
        group = zarr.open_group(temporary, mode="w", zarr_format=ZARR_FORMAT)
        for name in run[0][2]:
            values = np.concatenate([outputs[name] for _, _, outputs in run])
            group.create_array(name, data=values, chunks=values.shape)
        content: dict[str, Any] = {"part": final.name, "files": checksums(temporary, without=CHECKSUMS)}
        content["sha256"] = sealed(content)
        (temporary / CHECKSUMS).write_text(json.dumps(content))
        temporary.replace(final)

    def _write_labelled(self, dataset: xr.Dataset) -> None:
        """Write all arrays beside the old ones, then replace file by file, so that no half-written one is read."""
        whole = self.path / GROUP / "labelled.new"
        shutil.rmtree(whole, ignore_errors=True)
        dataset.to_zarr(whole, mode="w", zarr_format=ZARR_FORMAT, consolidated=True, write_empty_chunks=True)
        content: dict[str, Any] = {"files": checksums(whole, without=CHECKSUMS)}
        content["sha256"] = sealed(content)
        for name in content["files"]:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / name).replace(self.path / name)
        shutil.rmtree(whole)
        temporary = self.path / GROUP / (CHECKSUMS + ".part")
        temporary.write_text(json.dumps(content))
        temporary.replace(self.path / GROUP / CHECKSUMS)

    def _write_header(self) -> None:
        assert self._header is not None
        self._header["sha256"] = _seal(self._header)
        temporary = self.path / GROUP / ".zattrs.part"
        temporary.write_text(json.dumps(self._header, indent=1))
        temporary.replace(self.path / GROUP / ".zattrs")


def check_contents(path: Path) -> None:
    """Compare the labelled arrays of a store with their checksums, where it has them.

    Raises:
        ValueError: A file could run code, is missing or is damaged.
    """
    check_harmless(path)
    if not (path / GROUP / MARK).exists() and not (path / GROUP / ".zattrs").exists():
        return  # a result that was saved without a study
    header = _read_header(path)
    if header is None:
        raise ValueError(f"{path} holds no results yet")
    if "sha256" not in header:
        return  # of an earlier version
    files = header["files"] if header["complete"] else _read_sealed(path / GROUP / CHECKSUMS)["files"]
    difference = first_difference(path, files)
    if difference is not None:
        raise ValueError(f"{difference}{'' if header['complete'] else '; the same sweep writes it again'}")


def _read_sealed(file: Path) -> Any:
    content = json.loads(file.read_text()) if file.is_file() else {}
    if not isinstance(content, dict) or content.get("sha256") != sealed(content):
        raise ValueError(f"{file} is missing or damaged")
    return content


def _read_part(folder: Path, job: Job, length: int, *, checked: bool) -> dict[str, np.ndarray]:
    """Arrays of a part; raises where it is damaged."""
    import zarr

    check_harmless(folder)
    if checked or (folder / CHECKSUMS).exists():
        held = _read_sealed(folder / CHECKSUMS)
        difference = first_difference(folder, held["files"])
        if held["part"] != folder.name or difference is not None:
            raise ValueError(difference or f"part {held['part']} has another name")
    group = zarr.open_group(folder, mode="r", zarr_format=ZARR_FORMAT)
    whole = {name: np.asarray(group[name]) for name in job.program.traced.shapes}
    for name, values in whole.items():
        if values.dtype != job.program.traced.shapes[name].dtype or len(values) != length:
            raise ValueError(f"{name} is of another shape or type")
    return whole


def _seal(header: Mapping[str, Any]) -> str:
    """Checksum of a header but for what identifies the study, which is compared with the study itself."""
    return sealed(header, without=("fingerprint", "fingerprints"))


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def stored_items(path: Path) -> tuple[int, int] | None:
    """Items in a store and in its whole study; None where that is not known.

    Raises:
        ValueError: The path is not a store of a study.
    """
    header = _read_header(path)
    try:
        assert header is not None
        counts = [int(count) for count in header["items"]]
        if header["complete"]:
            return sum(counts), sum(counts)
        items = [int(one["items"]) for one in header["layout"]]
        done = 0
        for folder in (path / GROUP / "parts").glob("[0-9]*"):
            if not folder.name.endswith(".part"):
                job, first, calls = map(int, folder.name.split("-"))
                done += min((first + calls) * items[job], counts[job]) - first * items[job]
        return done, sum(counts)
    except (AssertionError, KeyError, TypeError, ValueError, IndexError):
        return None


def _claim_lock(path: Path) -> int | None:
    """Handle that keeps other processes from writing to a store until it is closed or its process ends.

    None where the system has no such locks.

    Raises:
        ValueError: Another process holds one.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(path / GROUP, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        text = f"Argument `store` must be written by one study at a time, but another one is at work on {path}."
        raise ValueError(text) from None
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle


@contextmanager
def _keeping_results(path: Path) -> Iterator[None]:
    """Add to a failure to write that stored results are kept."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        text = f"the store cannot be written ({why}); what it holds is kept, and the same call goes on from there"
        raise OSError(error.errno, text, str(path)) from error


def _consecutive(waiting: Sequence[Done]) -> list[list[Done]]:
    """Runs of consecutive calls of one job."""
    runs: list[list[Done]] = []
    for done in sorted(waiting, key=lambda one: (one[0].number, one[1])):
        last = runs[-1][-1] if runs else None
        if last is not None and last[0].number == done[0].number and last[1] + 1 == done[1]:
            runs[-1].append(done)
        else:
            runs.append([done])
    return runs


def _read_header(path: Path) -> dict[str, Any] | None:
    """Header of a store; None for a folder that is empty, or holds no more than what is written before a header."""
    group = path / GROUP
    header = group / ".zattrs"
    if path.is_dir() and not group.is_symlink() and header.is_file():
        try:
            found = json.loads(header.read_text())
            whole = {"fingerprint", "layout", "complete"} <= set(found)
        except (ValueError, TypeError, RecursionError):
            whole = False
        if whole and ("sha256" in found or "files" in found or (group / MARK).exists()):
            whole = found.get("sha256") == _seal(found)
        if whole:
            return found
        raise ValueError(
            f"Argument `store` must be undamaged, but the header {header} of {path} is damaged. Give another path, or "
            "delete this folder, to have the study computed again."
        )
    if path.is_dir() and not group.is_symlink() and {one.name for one in path.iterdir()} <= {GROUP}:
        inside = {one.name for one in group.iterdir()} if group.is_dir() else set()
        if inside <= {MARK, ".zattrs.part"}:
            return None
    raise ValueError(f"Argument `store` must be a new path or the store of a study, but {path} is something else.")


def _check_fingerprints(path: Path, header: Mapping[str, Any]) -> None:
    found = header.get("fingerprints", 1)
    if found != FINGERPRINTS:
        writer = "an earlier" if found == 1 else "another"
        left_out = ", which left out arrays that compiled functions hold," if found == 1 else ""
        raise ValueError(
            f"Argument `store` must be new or hold this study, but {path} is of {writer} amsim, whose fingerprint"
            f"{left_out} does not tell whether it holds this study. Give another path; `amsim show` prints what it "
            "holds."
        )


def _check_same(path: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    different = [name for name in dict.fromkeys([*held, *wanted]) if held.get(name) != wanted.get(name)]
    if different:
        pairs = [(name, _short(held.get(name)), _short(wanted.get(name))) for name in different]
        said = "; ".join(f"{name} is {there} there and {here} here" for name, there, here in pairs)
        raise ValueError(
            f"Argument `store` must be new or hold this study, but {path} holds another one: {said}. Give another path."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
