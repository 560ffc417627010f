"""The one check of data, wherever they come in: a split, a pair of inputs and labels, or inputs alone."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from amsim.datasets.inputs import Inputs, arrays_of, count_items, map_arrays
from amsim.datasets.split import Dataset, Split

LabelledData = Any
"""A `Split`, a tuple (inputs, labels), or a dict or object with `inputs` and `labels`."""


def labelled_items(name: str, data: LabelledData) -> Split:
    """Items with labels of any kind, as arrays of NumPy.

    Args:
        name: Name of the argument, for messages.
        data: See `LabelledData`.

    Raises:
        ValueError: Something else, no items, another number of labels than of items, or inputs or labels that are not
            real and finite numbers.
    """
    pair = _pair(data)
    if pair is None:
        hint = "; take its `.train` or `.test`" if isinstance(data, Dataset) else ""
        raise ValueError(
            f"Argument `{name}` must be a Split, such as `dataset.train`, or a tuple (inputs, labels), but is of type "
            f"{type(data).__name__}{hint}."
        )
    inputs, labels = _checked(f"`{name}`", pair[0]), _array(f"`{name}` in its labels", pair[1])
    if labels.dtype.kind in "US" and labels.size:
        text = str(labels.ravel()[0])[:40]
        raise ValueError(
            f"Argument `{name}` in its labels must be real numbers, but is text such as {text!r}; "
            "`np.unique(labels, return_inverse=True)[1]` numbers the classes."
        )
    count = count_items(inputs)
    if labels.ndim == 0 or len(labels) != count:
        raise ValueError(
            f"Argument `{name}` must have one label for each of its {count} items, but its labels have shape "
            f"{labels.shape}. Several inputs of a network stand together in a dict, or in a tuple inside a Split."
        )
    return Split(inputs, _checked(f"`{name}` in its labels", labels))


def class_items(name: str, data: LabelledData) -> Split:
    """Items labelled with classes: whole numbers from 0, shape (items,).

    Args:
        name: Name of the argument, for messages.
        data: See `LabelledData`.

    Raises:
        ValueError: As `labelled_items`, or labels of another shape, type or sign.
    """
    split = labelled_items(name, data)
    return Split(split.inputs, class_labels(name, split.labels))


def class_labels(name: str, labels: Any) -> np.ndarray:
    """Labels as numbers of classes.

    Args:
        name: Name of the argument whose labels they are, for messages.
        labels: Whole numbers or truth values, shape (items,).

    Raises:
        ValueError: They have another shape or type, or one is below 0 or above 2**31 - 1.
    """
    if np.ndim(labels) != 1:
        raise ValueError(
            f"Argument `{name}` must have one label for each item, but its labels have shape {np.shape(labels)}; "
            f"{_of_several_axes(np.asarray(labels))}."
        )
    return class_numbers(name, labels).astype(np.int32, copy=False)


def _of_several_axes(labels: np.ndarray) -> str:
    """What labels with several axes may be meant as, and what makes numbers of classes of them."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "`labels[:, 0]` are such labels"
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return "one-hot labels become numbers of classes by `labels.argmax(axis=1)`"
    return "places inside items are scored by `amsim.evaluate_detector`"


def class_numbers(name: str, labels: Any) -> np.ndarray:
    """Labels of items or of places inside them as they are, once they are found to be numbers of classes.

    Args:
        name: Name of the argument whose labels they are, for messages.
        labels: Whole numbers or truth values.

    Raises:
        ValueError: They have another type, or one is below 0 or above 2**31 - 1.
    """
    found = np.asarray(labels)
    if found.dtype.kind not in "biu":
        whole = found.dtype.kind == "f" and bool(np.all(found == np.round(found)))
        hint = "; `labels.astype(int)` are such labels" if whole else ""
        raise ValueError(
            f"Argument `{name}` must have whole numbers as labels, the number of each item's class from 0, but they "
            f"are of type {found.dtype}{hint}."
        )
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < 2**31:
        wrong = int(found.min()) if found.min() < 0 else int(found.max())
        raise ValueError(f"Argument `{name}` must have labels from 0 to 2**31 - 1, but has {wrong}.")
    return found


def sample_inputs(name: str, data: Any) -> Inputs:
    """Inputs alone, of labelled items or as they are.

    Args:
        name: Name of the argument, for messages.
        data: An array, a dict of arrays, a `Split`, or a tuple (inputs, labels).

    Raises:
        ValueError: No items, or inputs that are not real and finite numbers.
    """
    pair = _pair(data)
    if pair is None and not isinstance(data, Dataset | tuple):
        return _checked(f"`{name}`", getattr(data, "inputs", data))
    return labelled_items(name, data).inputs


def network_inputs(name: str, inputs: Any) -> Inputs:
    """Inputs as a network takes them, where a tuple has one array for each of its arguments.

    Args:
        name: Name of the argument, for messages.
        inputs: An array, or a dict or tuple of arrays.

    Raises:
        ValueError: No items, or inputs that are not real and finite numbers.
    """
    return _checked(f"`{name}`", inputs)


def has_labels(data: Any) -> bool:
    """Whether data are inputs with labels."""
    return _pair(data) is not None


def _pair(data: Any) -> tuple[Any, Any] | None:
    """Inputs and labels of labelled data; None for anything else."""
    if isinstance(data, tuple):
        return data if len(data) == 2 else None
    if isinstance(data, Mapping):
        return (data["inputs"], data["labels"]) if set(data) == {"inputs", "labels"} else None
    return (data.inputs, data.labels) if hasattr(data, "inputs") and hasattr(data, "labels") else None


def _array(argument: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except ValueError:  # of lists of different lengths
        raise ValueError(f"Argument {argument} must be an array, but its rows differ in length.") from None


def _checked(argument: str, inputs: Inputs) -> Inputs:
    """Arrays of NumPy, all of the same number of items and of finite numbers."""
    count = count_items(inputs, argument)
    if count == 0:
        raise ValueError(f"Argument {argument} must have at least one item, but is empty.")
    found = map_arrays(functools.partial(_array, argument), inputs)
    for (path, given), (_, array) in zip(arrays_of(inputs), arrays_of(found), strict=True):
        where = f"{argument}{path and f' at {path}'}"
        floating = jnp.issubdtype(array.dtype, jnp.floating)
        if not (floating or jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == bool):
            raise ValueError(f"Argument {where} must be real numbers, but is of type {array.dtype}.")
        masked = int(np.sum(np.ma.getmaskarray(given))) if isinstance(given, np.ma.MaskedArray) else 0
        wrong = masked or (int(np.sum(~np.isfinite(array))) if floating else 0)
        if wrong:
            raise ValueError(f"Argument {where} must be finite, but has {wrong} NaN, infinite or masked values.")
    return found
