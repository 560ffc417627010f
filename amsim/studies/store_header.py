"""Header of a store: which study it belongs to, how its work is laid out and which files its result consists of."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amsim.studies.program import Lanes
from amsim.studies.store_contents import CHECKSUMS, check_harmless, first_difference, read_sealed, sealed, write_sealed
from amsim.studies.store_lock import GROUP

FINGERPRINTS = 2
"""Number of the way in which fingerprints are taken; those of 1 left out arrays that compiled functions hold."""

FORMAT = 2
"""Number of the form of a header; those of 1 have neither this number nor any checksum."""

EARLIER_PARTS = "earlier_parts"
"""Field with the names of parts that a version without checksums wrote before the study went on here."""

ONLY_SINCE_CHECKSUMS = {"format", "sha256", "files", EARLIER_PARTS}
"""Fields that no header without a checksum has."""

HEADER = ".zattrs"

IDENTITY = ("fingerprint", "fingerprints")
"""Fields that identify the study: they are compared with the study itself, so that no checksum covers them."""


def new_header(fingerprint: Mapping[str, Any], layout: list[dict[str, int]], items: list[int]) -> dict[str, Any]:
    """Header of a study that begins."""
    study = {"fingerprints": FINGERPRINTS, "fingerprint": dict(fingerprint)}
    return {"format": FORMAT, **study, "layout": layout, "items": items, "complete": False}


def has_checksums(header: Mapping[str, Any]) -> bool:
    """Whether a header is of a version that wrote checksums."""
    return not ONLY_SINCE_CHECKSUMS.isdisjoint(header)


def write_header(path: Path, header: dict[str, Any]) -> None:
    """Seal the header and write it, whole or not at all."""
    write_sealed(path / GROUP / HEADER, header, without=IDENTITY)


def read_header(path: Path) -> dict[str, Any] | None:
    """Header of a store; None for a folder that is empty, or holds no more than what is written before a header.

    Raises:
        ValueError: The path is something else, or its header is damaged.
    """
    group = path / GROUP
    file = group / HEADER
    if path.is_dir() and not group.is_symlink() and (group.is_dir() or not group.exists()):
        # Looked at before the header, which another process may write at any moment.
        fresh = _names(path) <= {GROUP} and _names(group) <= {HEADER + ".part"}
        if file.is_file() and not file.is_symlink():
            return _whole(path, file)
        if fresh:
            return None
    raise ValueError(f"Argument `store` must be a new path or the store of a study, but {path} is something else.")


def check_study(path: Path, header: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
    """Raise ValueError unless a store holds the study of a fingerprint; the difference is named."""
    found = header.get("fingerprints", 1)
    if found != FINGERPRINTS:
        writer = "an earlier" if found == 1 else "another"
        left_out = ", which left out arrays that compiled functions hold," if found == 1 else ""
        raise ValueError(
            f"Argument `store` must be new or hold this study, but {path} is of {writer} amsim, whose fingerprint"
            f"{left_out} does not tell whether it holds this study. Give another path; `amsim show` prints what it "
            "holds."
        )
    check_same(path, header["fingerprint"], fingerprint)


def check_same(path: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError with every difference between what a store says of its study and what is asked for."""
    different = [name for name in dict.fromkeys([*held, *wanted]) if held.get(name) != wanted.get(name)]
    if different:
        pairs = [(name, _short(held.get(name)), _short(wanted.get(name))) for name in different]
        said = "; ".join(f"{name} is {there} there and {here} here" for name, there, here in pairs)
        raise ValueError(
            f"Argument `store` must be new or hold this study, but {path} holds another one: {said}. Give another path."
        )


def check_contents(path: Path) -> None:
    """Compare the labelled arrays of a store with their checksums, where it has them.

    Raises:
        ValueError: A file could run code, is missing or is damaged.
    """
    of_study = not _names(path / GROUP).isdisjoint({HEADER, CHECKSUMS, "parts"})
    header = read_header(path) if of_study else None  # its damage is told in other words
    check_harmless(path)
    if not of_study:
        return  # a result that was saved without a study
    if header is None:
        raise ValueError(f"{path} holds no results yet")
    if not has_checksums(header):
        return
    files = header["files"] if header["complete"] else read_sealed(path / GROUP / CHECKSUMS)["files"]
    difference = first_difference(path, files)
    if difference is not None:
        raise ValueError(f"{difference}{'' if header['complete'] else '; the same sweep writes it again'}")


def _names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()} if folder.is_dir() else set()


def _whole(path: Path, file: Path) -> dict[str, Any]:
    """Content of a header.

    Raises:
        ValueError: It is damaged.
    """
    try:
        found = json.loads(file.read_bytes())
        whole = isinstance(found, dict) and _well_formed(found)
        # Its checksum may be what is missing, but nothing else that comes with checksums may then be there.
        if whole and (has_checksums(found) or (path / GROUP / CHECKSUMS).exists()):
            whole = found.get("sha256") == sealed(found, without=IDENTITY) and found["complete"] is isinstance(
                found.get("files"), dict
            )
    except (ValueError, TypeError, RecursionError):
        whole = False
    if whole:
        return dict(found)
    raise ValueError(
        f"Argument `store` must be undamaged, but the header {file} of {path} is damaged. Give another path, or "
        "delete this folder, to have the study computed again."
    )


def _well_formed(found: Mapping[str, Any]) -> bool:
    layout, items = found.get("layout"), found.get("items")
    if not (isinstance(found.get("fingerprint"), dict) and isinstance(found.get("complete"), bool)):
        return False
    if not (isinstance(layout, list) and _counts(value for one in layout for value in vars(Lanes(**one)).values())):
        return False
    return items is None or (isinstance(items, list) and len(items) == len(layout) and _counts(items))


def _counts(values: Iterable[Any]) -> bool:
    return all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in values)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
