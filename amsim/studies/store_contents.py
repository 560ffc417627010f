"""Files of a store, checked before they are used: no links, harmless codecs, content as it was written."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CODECS = ("blosc", "bz2", "delta", "fixedscaleoffset", "gzip", "lz4", "lzma", "shuffle", "vlen-utf8", "zlib", "zstd")
"""Codecs that only unpack numbers and text."""

CODECS_OF_FORMAT_3 = (*CODECS, "bytes", "crc32c", "transpose")
"""The same, with those that only arrange bytes in the third format of Zarr."""

METADATA = (".zarray", ".zmetadata", "zarr.json")
"""Files that name codecs."""


def check_harmless(path: Path) -> None:
    """Refuse what could run code or lead out of a folder, before a library opens it.

    Raises:
        ValueError: A file is a link or no plain file, metadata are not JSON, or a codec is not a known harmless one.
    """
    for file in _entries(path):
        if file.name in METADATA:
            allowed = CODECS_OF_FORMAT_3 if file.name == "zarr.json" else CODECS
            for name in _codecs(_read_json(file)):
                if name not in allowed:
                    raise ValueError(f"codec {name!r} is not allowed, but is in {file}")


def checksums(folder: Path, *, without: str) -> dict[str, str]:
    """SHA-256 of every file of a folder by its path in there, but for one entry on top."""
    files = (one for one in _entries(folder) if one.relative_to(folder).parts[0] != without)
    return {file.relative_to(folder).as_posix(): _sha256(file.read_bytes()) for file in files}


def first_difference(folder: Path, held: Mapping[str, str]) -> str | None:
    """What is wrong with the first file that is missing or not as it was written; None where all are."""
    for name, expected in held.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if _sha256(file.read_bytes()) != expected:
            return f"{name} is damaged"
    return None


def sealed(content: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> str:
    """SHA-256 of JSON content, but for some of its fields."""
    kept = {name: value for name, value in content.items() if name not in (*without, "sha256")}
    return _sha256(json.dumps(kept, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entries(path: Path) -> Iterator[Path]:
    """Every file below a folder."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            one = Path(folder, name)
            if one.is_symlink() or not (one.is_file() or one.is_dir()):
                raise ValueError(f"{one} is a link or no plain file, which is not followed")
        folders.sort()
        yield from (Path(folder, name) for name in sorted(files))


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (ValueError, RecursionError):
        raise ValueError(f"{file} is damaged: it is not JSON") from None


def _codecs(content: Any) -> Iterator[Any]:
    """Names of all codecs in metadata, at any depth; a codec that is given in another way stands for its own name."""
    if isinstance(content, list):
        for one in content:
            yield from _codecs(one)
    if isinstance(content, dict):
        for key, value in content.items():
            if key in ("compressor", "filters", "codecs", "index_codecs"):
                for one in value if isinstance(value, list) else [value]:
                    if one is not None:
                        yield one.get("id", one.get("name")) if isinstance(one, dict) else str(one)
            yield from _codecs(value)
