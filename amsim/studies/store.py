"""A study on disk: results as they arrive, the study they belong to, and in the end one labelled Zarr store."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from amsim.files.library_error import first_line
from amsim.studies.jobs import Outputs, StoredJob
from amsim.studies.program import Lanes
from amsim.studies.store_contents import CHECKSUMS, checksums, write_sealed
from amsim.studies.store_header import (
    EARLIER_PARTS,
    FORMAT,
    check_contents,
    check_same,
    check_study,
    has_checksums,
    new_header,
    read_header,
    write_header,
)
from amsim.studies.store_lock import GROUP, claim_lock
from amsim.studies.store_parts import ZARR_FORMAT, StoredDone, consecutive, every_chunk, part_names, read_part

AnyJob = TypeVar("AnyJob", bound=StoredJob)

WRITE_EVERY, LABEL_EVERY = 1.0, 60.0
"""Seconds between two parts, and between two updates of the labelled arrays."""


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
        self._waiting: list[StoredDone] = []
        self._last_part = self._last_label = time.monotonic()
        self._header: dict[str, Any] | None = None
        self._claim: int | None = None
        if self.path.exists():
            self._header = read_header(self.path)

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

    def begin(self, fingerprint: Mapping[str, Any], jobs: Sequence[StoredJob], empty: xr.Dataset) -> None:
        """Claim the folder for a study, or check that the stored study is this one.

        Raises:
            ValueError: The store holds another study, with the difference named, or one of an earlier amsim that cannot
                be told from others, or another process writes to it.
            OSError: The folder cannot be written.
        """
        plain = json.loads(json.dumps(fingerprint))
        layout = [vars(job.program.lanes) for job in jobs]
        if self._header is not None:
            check_study(self.path, self._header, plain)
            if self.complete:
                return
        with _keeping_results(self.path):
            self._parts.parent.mkdir(parents=True, exist_ok=True)
            self._claim = claim_lock(self.path)
            self._header = read_header(self.path)  # another process may have written meanwhile
            if self._header is None:
                self._header = new_header(plain, layout, [job.program.count for job in jobs])
                write_header(self.path, self._header)
                self._write_labelled(empty)
                return
            check_study(self.path, self._header, plain)
            check_same(self.path, {"layout": [vars(one) for one in self.layout or ()]}, {"layout": layout})
            if not self.complete and not has_checksums(self._header):
                self._add_checksums()

    def close(self) -> None:
        """Let other processes write to the store."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def parts(self, jobs: Sequence[AnyJob]) -> Iterator[tuple[AnyJob, int, Outputs]]:
        """Every stored call.

        Raises:
            ValueError: A part is damaged.
        """
        assert self._header is not None
        without = self._header.get(EARLIER_PARTS, ())
        for folder in (self._parts / name for name in part_names(self._parts)):
            try:
                number, first, count = map(int, folder.name.split("-"))
                job, items = jobs[number], jobs[number].program.lanes.items
                if first + count > job.program.calls:
                    raise ValueError(f"part {folder.name} goes beyond the study")
                whole = read_part(folder, job, count * items, checked=folder.name not in without)
            # What damaged files make the libraries raise is not documented.
            except Exception as error:
                raise ValueError(
                    f"Argument `store` must hold whole parts, but in {self.path} {first_line(error)}. Delete the "
                    f"folder {folder} to have this part computed again."
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
                f"Argument `store` must be undamaged, but in {self.path} {first_line(error)}. Give another path, or "
                "delete this folder, to have the study computed again."
            ) from None

    def add(self, done: StoredDone, labelled: Any) -> None:
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
            for run in consecutive(self._waiting):
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
            self._header |= {"complete": True, "files": self._write_labelled(result)}
            write_header(self.path, self._header)
            self._remove_parts()

    def _write_part(self, run: Sequence[StoredDone]) -> None:
        import zarr

        job, first, _ = run[0]
        final = self._parts / f"{job.number}-{first}-{len(run)}"
        temporary = final.with_name(final.name + ".part")
        shutil.rmtree(temporary, ignore_errors=True)
        group = zarr.open_group(temporary, mode="w", zarr_format=ZARR_FORMAT)
        with every_chunk():
            for name in run[0][2]:
                values = np.concatenate([outputs[name] for _, _, outputs in run])
                group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=values.shape)[...] = values
        content = {"part": final.name, "files": checksums(temporary, without=CHECKSUMS)}
        write_sealed(temporary / CHECKSUMS, content)
        temporary.replace(final)

    def _write_labelled(self, dataset: xr.Dataset) -> dict[str, str]:
        """Write all arrays beside the old ones, then replace file by file, so that no half-written one is read.

        Returns:
            Checksums of the files.
        """
        whole = self.path / GROUP / "labelled.new"
        shutil.rmtree(whole, ignore_errors=True)
        with every_chunk():
            dataset.to_zarr(whole, mode="w", zarr_format=ZARR_FORMAT, consolidated=True)
        files = checksums(whole, without=CHECKSUMS)
        for name in files:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / name).replace(self.path / name)
        shutil.rmtree(whole)
        self._write_checksums(files)
        return files

    def _write_checksums(self, files: dict[str, str]) -> None:
        write_sealed(self.path / GROUP / CHECKSUMS, {"files": files})

    def _add_checksums(self) -> None:
        """Let a store of an earlier version go on as one of this version."""
        assert self._header is not None
        self._header |= {"format": FORMAT, EARLIER_PARTS: part_names(self._parts)}
        write_header(self.path, self._header)
        self._write_checksums(checksums(self.path, without=GROUP))

    def _remove_parts(self) -> None:
        """Remove the parts, and their folder unless something else is in there."""
        for folder in self._parts.glob("[0-9]*-[0-9]*-[0-9]*"):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            self._parts.rmdir()


def stored_items(path: Path) -> tuple[int, int] | None:
    """Items in a store and in its whole study; None where that is not known.

    Raises:
        ValueError: The path is not a store of a study.
    """
    header = read_header(path)
    if header is None or "items" not in header:
        return None
    counts = header["items"]
    if header["complete"]:
        return sum(counts), sum(counts)
    items = [one["items"] for one in header["layout"]]
    try:
        done = 0
        for name in part_names(path / GROUP / "parts"):
            job, first, calls = map(int, name.split("-"))
            done += min((first + calls) * items[job], counts[job]) - first * items[job]
        return done, sum(counts)
    except (ValueError, IndexError):
        return None


@contextmanager
def _keeping_results(path: Path) -> Iterator[None]:
    """Add to a failure to write that stored results are kept."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        text = f"the store cannot be written ({why}); what it holds is kept, and the same call goes on from there"
        raise OSError(error.errno, text, str(path)) from error
