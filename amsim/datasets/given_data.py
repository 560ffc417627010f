"""Data as a user names them: a data set by its name, a file, a folder of pictures, or arrays, always in two parts."""

import os
from collections.abc import Mapping
from typing import Any

import jax

from amsim.datasets.array_data import read_splits
from amsim.datasets.check import has_labels, labelled_items
from amsim.datasets.division import set_aside
from amsim.datasets.image_folder import read_image_folder
from amsim.datasets.load import DATASETS, load_dataset
from amsim.datasets.split import Dataset, Split
from amsim.files.path_argument import checked_path
from amsim.files.regular_file import argument_in_errors

GivenData = Any
"""Name of a data set, path of an `.npz` file or of a folder of pictures by class, a `Dataset`, a `Split`, a tuple
(inputs, labels), or a tuple of two splits to train on and to test on."""

TEST_SHARE = 0.5
"""Share of the items to test on, where the data come in one part; which ones is always drawn with the same key."""


def given_dataset(argument: str, data: GivenData) -> Dataset:
    """Data set of whatever names or holds one.

    Items that come in one part are divided at random, always in the same way: half of them to train on, which also
    means to choose by, half to test on.

    Args:
        argument: Name of the argument, for messages.
        data: See `GivenData`.

    Returns:
        Data set of two parts that share no item.

    Raises:
        ValueError: Something else, an unknown name, a file or folder that holds no such data, or a single item.
        FileNotFoundError: There is no such file.
    """
    if isinstance(data, Dataset):
        parts = {"train": data.train, "test": data.test}
        return _dataset(argument, data.name, parts, data.classes, data.source)
    if isinstance(data, str | os.PathLike):
        return _named(argument, data)
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(one, Split) for one in data):
        return _dataset(argument, "arrays", dict(zip(("train", "test"), data, strict=True)), (), "arrays")
    if isinstance(data, bytes) or not has_labels(data):
        raise ValueError(
            f"Argument `{argument}` must be the name of a data set, the path of an .npz file or of a folder of "
            f"pictures by class, a Dataset, a Split, a tuple (inputs, labels) or a tuple of two splits, but is of type "
            f"{type(data).__name__}."
        )
    return _dataset(argument, "arrays", {"all": labelled_items(argument, data)}, (), "arrays")


def _named(argument: str, data: Any) -> Dataset:
    path = checked_path(argument, data, "the name of a data set or the path of an .npz file or a folder of pictures")
    text = str(path)
    if text in DATASETS:
        return load_dataset(text)
    with argument_in_errors(argument):
        if path.suffix == ".npz":
            return _dataset(argument, path.name, read_splits(path), (), str(path))
        if path.is_dir():
            parts, classes = read_image_folder(path)
            return _dataset(argument, path.resolve().name, parts, classes, str(path))
    raise ValueError(
        f"Argument `{argument}` must be one of {', '.join(DATASETS)}, an .npz file or a folder of pictures by class, "
        f"but is {text!r}."
    )


def _dataset(argument: str, name: str, parts: Mapping[str, Split], classes: tuple[str, ...], source: str) -> Dataset:
    if "all" not in parts:
        return Dataset(name, parts["train"], parts["test"], classes, source)
    whole = labelled_items(argument, parts["all"])
    if len(whole) < 2:
        raise ValueError(f"Argument `{argument}` must have at least 2 items, to choose by one and test on another.")
    train, test = set_aside(argument, TEST_SHARE, whole, jax.random.key(0))
    return Dataset(name, train, test, classes, f"{source}, {len(test)} of {len(whole)} items drawn to test on")
