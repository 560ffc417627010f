"""Data sets of one's own in NumPy archives: labelled items in one part, or in one to train on and one to test on."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from amsim.datasets.split import Split
from amsim.files.array_file import read_array_file

LABELS = ("labels", "label", "y", "targets")
"""Names of the array of labels."""

TRAIN, TEST, UNUSED = "train", "test", "validation"
_PARTS = {"train": TRAIN, "test": TEST, "val": UNUSED, "valid": UNUSED, "validation": UNUSED}
_NAME = re.compile(rf"(?:({'|'.join(_PARTS)})_)?(.+?)(?:_({'|'.join(_PARTS)}))?")

LAYOUT = (
    "`labels` and `inputs` (or an array for each input of an .onnx file by its name), alone or once with `train_` and "
    "once with `test_` before the names"
)


def read_splits(path: Path) -> dict[str, Split]:
    """Parts of the data in an .npz file.

    Arrays are `labels` (or `label`, `y`, `targets`) and the inputs: one array of any name, or one for each input of a
    network by its name. Names with `train_` and `test_` before them, or `_train` and `_test` behind, are of two parts;
    a third part, `val_`, `valid_` or `validation_`, is left aside.

    Args:
        path: The file.

    Returns:
        Parts "train" and "test", or "all" where there is one alone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or holds other arrays, or no item.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    arrays = read_array_file(path)
    for name, array in arrays.items():
        part, inner = _part_of(name)
        given = parts.setdefault(part, {})
        if inner in given:
            raise ValueError(f"{path} must name no array twice, but does so with {name!r}.")
        given[inner] = array
    parts.pop(UNUSED, None)
    if set(parts) not in ({"all"}, {TRAIN, TEST}):
        raise ValueError(f"{path} must hold {LAYOUT}, but has {sorted(arrays)}.")
    return {part: _split(path, given) for part, given in sorted(parts.items())}


def _part_of(name: str) -> tuple[str, str]:
    """Part that an array belongs to, and its name there."""
    match = _NAME.fullmatch(name)
    if match is None or (match[1] and match[3]):
        return "all", name
    part = match[1] or match[3]
    return _PARTS[part] if part else "all", match[2]


def _split(path: Path, arrays: Mapping[str, np.ndarray]) -> Split:
    named = [name for name in LABELS if name in arrays]
    inputs = {name: array for name, array in arrays.items() if name not in named}
    if len(named) != 1 or not inputs:
        raise ValueError(f"{path} must hold {LAYOUT}, but has {sorted(arrays)}.")
    single = next(iter(inputs.values())) if len(inputs) == 1 else None
    found = Split(inputs if single is None else single, arrays[named[0]])
    if len(found) == 0:
        raise ValueError(f"{path} must have at least one item, but its labels are empty.")
    return found
