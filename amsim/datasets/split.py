"""Labelled items for training and evaluation, and the error of a file that does not hold what it should."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Array, Integer, Shaped

from amsim.datasets.inputs import Inputs, arrays_of, count_items, items_at


class CorruptFileError(ValueError):
    """A data file is not what its name promises; the text names the file and what is wrong."""

    def __init__(self, path: Path | str, problem: str):
        super().__init__(f"{path}: {problem}.")


def check_sha256(path: Path | str, raw: bytes, expected: str, what: str) -> None:
    """Raise CorruptFileError unless the content has this SHA-256, that of `what`."""
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise CorruptFileError(
            path,
            f"differs from {what}, so results on it would not be comparable: "
            f"the SHA-256 of the content is {found}, expected {expected}",
        )


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of a data set. `len(split)` counts its items; `split[:64]` and `split[indices]` are smaller splits.

    Attributes:
        inputs: The items, shape (batch, ...). Those of `load_dataset`: read-only uint8 pictures, 0 to 255. A dict of
            such arrays is one argument of the network, `fn(params, inputs)`; a tuple of them is as many arguments,
            `fn(params, *inputs)`.
        labels: Index of each item's class, shape (batch,), or one for each place of it, shape (batch, ...). Those of
            `load_dataset`: read-only int32, shape (batch,).

    Raises:
        ValueError: Arrays of different numbers of items.
    """

    inputs: Inputs
    labels: Shaped[np.ndarray | Array, "batch ..."]

    def __post_init__(self) -> None:
        count, labels = count_items(self.inputs), count_items(self.labels, "`labels`")
        if labels != count:
            raise ValueError(f"Argument `labels` must have one entry for each of the {count} inputs, but has {labels}.")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | np.ndarray) -> "Split":
        if not isinstance(index, slice | np.ndarray):
            raise TypeError(f"Argument `index` must be a slice or an array, but is {index!r}.")
        return Split(items_at(self.inputs, index), self.labels[index])

    def __repr__(self) -> str:
        arrays = [(path, np.asarray(array)) for path, array in arrays_of(self.inputs)]
        shapes = ", ".join(f"{path} {array.dtype}{array.shape[1:]}".strip() for path, array in arrays)
        return f"Split({len(self)} items, inputs {shapes})"


def fixed_split(inputs: Shaped[np.ndarray, "items ..."], labels: Integer[np.ndarray, " items"]) -> Split:
    """Split whose arrays cannot be written to, its labels int32."""
    numbers = labels.astype(np.int32)
    for array in (inputs, numbers):
        array.setflags(write=False)
    return Split(inputs, numbers)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled data set in two parts that share no item.

    Attributes:
        name: The name that `load_dataset` knows it by.
        train: What a network may learn from.
        test: What a result is quoted on.
        classes: Name of each class; a label is an index into it.
        source: Where the data come from.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    source: str
