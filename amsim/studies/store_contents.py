"""Files of a store, checked before they are used: no links, harmless codecs, content as it was written."""

import hashlib
import json
import math
import operator
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

CODECS = ("blosc", "bz2", "delta", "fixedscaleoffset", "gzip", "lz4", "lzma", "shuffle", "vlen-utf8", "zlib", "zstd")
"""Codecs that only unpack numbers and text."""

CODECS_OF_FORMAT_3 = (*CODECS, "bytes", "crc32c", "transpose")
"""The same, with those that only arrange bytes in the third format of Zarr."""

METADATA = (".zarray", ".zmetadata", "zarr.json")
"""Files that name codecs."""

CHECKSUMS = "checksums.json"
"""File with the checksums of a part, or of the labelled arrays of a study that is not complete."""

SMALL, COMPRESSION = 2**26, 4096
"""Bytes that arrays of any folder may take in memory, and those that each byte of its files adds; Blosc, which Zarr
takes by itself, saves a factor of 255 at most."""


def check_harmless(path: Path) -> None:
    """Refuse what could run code or lead out of a folder, before a library opens it.

    Raises:
        ValueError: A file is a link or no plain file, metadata are not JSON, a codec is not a known harmless one, or
            arrays are far larger than the folder.
    """
    size = declared = 0
    for file in _entries(path):
        size += file.stat().st_size
        if file.name in (".zgroup", ".zattrs"):
            content = _read_json(file)
            # Zarr prints tracebacks of its own beside the error where these are damaged.
            if not isinstance(content, dict) or (file.name == ".zgroup" and content.get("zarr_format") != 2):
                raise ValueError(f"{file} is damaged")
        if file.name in METADATA:
            content = _read_json(file)
            allowed = CODECS_OF_FORMAT_3 if file.name == "zarr.json" else CODECS
            for name in _codecs(content):
                if name not in allowed:
                    raise ValueError(f"codec {name!r} is not allowed, but is in {file}")
            try:
                declared += sum(_array_sizes(content))
            except (TypeError, ValueError):
                raise ValueError(f"{file} is damaged: it has an array of unknown size") from None
    if declared > SMALL + COMPRESSION * size:
        raise ValueError(f"arrays of {declared:.3g} bytes are declared in {path}, which has {size:.3g}")


def checksums(folder: Path, *, without: str) -> dict[str, str]:
    """SHA-256 of every file of a folder by its path in there, but for one entry on top."""
    files = (one for one in _entries(folder) if one.relative_to(folder).parts[0] != without)
    return {file.relative_to(folder).as_posix(): _of_file(file) for file in files}


def first_difference(folder: Path, held: Mapping[str, str]) -> str | None:
    """What is wrong with the first file that is missing or not as it was written; None where all are."""
    for name, expected in held.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if _of_file(file) != expected:
            return f"{name} is damaged"
    return None


def sealed(content: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> str:
    """SHA-256 of JSON content, but for some of its fields."""
    kept = {name: value for name, value in content.items() if name not in (*without, "sha256")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def write_sealed(file: Path, content: dict[str, Any], *, without: tuple[str, ...] = ()) -> None:
    """Give content its checksum and write it, whole or not at all."""
    content["sha256"] = sealed(content, without=without)
    temporary = file.with_name(file.name + ".part")
    temporary.write_text(json.dumps(content, indent=1))
    temporary.replace(file)


def read_sealed(file: Path) -> Any:
    """Content of a file of checksums.

    Raises:
        ValueError: It is missing or damaged.
    """
    content = _read_json(file) if file.is_file() else {}
    whole = isinstance(content, dict) and isinstance(content.get("files"), dict)
    if not whole or content.get("sha256") != sealed(content):
        raise ValueError(f"{file} is missing or damaged")
    return content


def _of_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


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
        return json.loads(file.read_bytes())
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


def _array_sizes(content: Any) -> Iterator[int]:
    """Bytes of every array and of one chunk of it, in metadata of the second format of Zarr."""
    if isinstance(content, dict):
        if "shape" in content and "dtype" in content:
            item = np.dtype(content["dtype"]).itemsize
            for axis in ("shape", "chunks"):
                yield item * math.prod(operator.index(one) for one in content.get(axis, ()))
        for one in content.values():
            yield from _array_sizes(one)
