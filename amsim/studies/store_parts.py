"""Parts of a store: results of consecutive calls of one job, each in a folder of its own."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amsim.studies.jobs import Outputs, StoredJob
from amsim.studies.store_contents import CHECKSUMS, check_harmless, first_difference, read_sealed

StoredDone = tuple[StoredJob, int, Outputs]
"""A finished call of a job."""

ZARR_FORMAT: Literal[2] = 2
"""Format that every version of Zarr reads, with a settled encoding of text."""


def part_names(folder: Path) -> list[str]:
    """Names of the whole parts in the folder of all parts: number of the job, first call, calls."""
    names = (one.name for one in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name for name in names if re.fullmatch("[0-9]+-[0-9]+-[0-9]+", name))


def read_part(folder: Path, job: StoredJob, length: int, *, checked: bool) -> dict[str, np.ndarray]:
    """Arrays of a part.

    Raises:
        ValueError: It is damaged; other errors of Zarr where it has no checksums.
    """
    import zarr

    check_harmless(folder)
    if checked or (folder / CHECKSUMS).exists():
        held = read_sealed(folder / CHECKSUMS)
        difference = first_difference(folder, held["files"])
        if held["part"] != folder.name or difference is not None:
            raise ValueError(difference or f"part {held['part']} has another name")
    group = zarr.open_group(folder, mode="r", zarr_format=ZARR_FORMAT)
    whole = {name: np.asarray(group[name]) for name in job.program.shapes}
    for name, values in whole.items():
        if values.dtype != job.program.shapes[name].dtype or len(values) != length:
            raise ValueError(f"{name} is of another shape or type")
    return whole


def every_chunk() -> Any:
    """Context in which Zarr writes chunks of zeros or NaN too, so that a missing one is known."""
    import zarr

    return zarr.config.set({"array.write_empty_chunks": True})


def consecutive(waiting: Sequence[StoredDone]) -> list[list[StoredDone]]:
    """Runs of consecutive calls of one job."""
    runs: list[list[StoredDone]] = []
    for done in sorted(waiting, key=lambda one: (one[0].number, one[1])):
        last = runs[-1][-1] if runs else None
        if last is not None and last[0].number == done[0].number and last[1] + 1 == done[1]:
            runs[-1].append(done)
        else:
            runs.append([done])
    return runs
