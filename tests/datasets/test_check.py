"""The one check of data: which forms are taken, and what is refused by name."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import load_dataset
from amsim.datasets import Split
from amsim.datasets.check import class_items, labelled_items, sample_inputs
from amsim.datasets.inputs import first_arguments, network_arguments

INPUTS, LABELS = np.arange(12, dtype=np.float32).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
SEVERAL = {"tokens": np.arange(6), "mask": np.ones((6, 3), bool)}


@pytest.mark.parametrize(
    "data",
    [
        Split(INPUTS, LABELS),
        (INPUTS, LABELS),
        {"inputs": INPUTS, "labels": LABELS},
        Split(jnp.asarray(INPUTS), jnp.asarray(LABELS)),
        (INPUTS.tolist(), LABELS.tolist()),
        (INPUTS.astype(np.float16), LABELS.astype(np.uint8)),
        (jnp.asarray(INPUTS, jnp.bfloat16), LABELS),
    ],
)
def test_forms_of_labelled_data(data):
    found = class_items("data", data)
    np.testing.assert_array_equal(np.asarray(found.inputs, np.float32), INPUTS)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.labels.dtype == np.int32
    np.testing.assert_array_equal(np.asarray(sample_inputs("data", data), np.float32), INPUTS)


def test_truth_values_are_two_classes():
    assert class_items("data", (INPUTS, LABELS > 0)).labels.tolist() == [0, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("inputs", [SEVERAL, (SEVERAL["tokens"], SEVERAL["mask"]), {"one": {"two": SEVERAL["mask"]}}])
def test_several_arrays_keep_their_structure(inputs):
    split = Split(inputs, LABELS)
    assert len(split) == 6
    part = split[np.array([4, 0])]
    assert part.labels.tolist() == [1, 0]
    found = class_items("data", split)
    assert type(found.inputs) is type(inputs)
    assert len(network_arguments(inputs)) == (2 if isinstance(inputs, tuple) else 1)
    assert {len(array) for array in jax.tree.leaves(first_arguments(found.inputs, 2))} == {2}
    assert "Split(6 items" in repr(split)


def test_samples_need_no_labels():
    assert sample_inputs("data", SEVERAL).keys() == SEVERAL.keys()
    np.testing.assert_array_equal(sample_inputs("data", INPUTS), INPUTS)
    np.testing.assert_array_equal(sample_inputs("data", INPUTS.tolist()), INPUTS)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            INPUTS,
            "`data` must be a Split, such as `dataset.train`, or a tuple (inputs, labels), but is of type ndarray",
        ),
        (None, "`data` must be a Split, .* NoneType"),
        (3, "`data` must be a Split, .* int"),
        (SEVERAL, "`data` must be a Split, .* dict"),
        (load_dataset(), "`data` must be a Split, .* Dataset; take its `.train` or `.test`"),
        ((INPUTS, LABELS[:5]), "`data` must have one label for each of its 6 items, but its labels have shape (5,)"),
        ((INPUTS, 3), "but its labels have shape ()"),
        ((INPUTS, INPUTS, LABELS), "`data` must be a Split, .* tuple"),
        ((INPUTS[:0], LABELS[:0]), "`data` must have at least one item, but is empty"),
        ((INPUTS[0, 0], LABELS), "`data` must be an array, .* but it has no axis"),
        (({"a": INPUTS, "b": INPUTS[:4]}, LABELS), "the same number of items .* ['a'] has 6, ['b'] has 4"),
        (({}, LABELS), "`data` must be an array, .* but has no array"),
        ((INPUTS + np.nan, LABELS), "`data` must be finite, but has 12 NaN"),
        (({"a": INPUTS, "b": INPUTS + np.inf}, LABELS), "`data` at ['b'] must be finite"),
        ((INPUTS * 1j, LABELS), "`data` must be real numbers, but is of type complex"),
        ((INPUTS.astype(str), LABELS), "`data` must be real numbers, but is of type <U"),
        ((INPUTS.astype(object), LABELS), "`data` must be real numbers, but is of type object"),
        ((np.ma.masked_less(INPUTS, 3), LABELS), "`data` must be finite, but has 3 NaN, infinite or masked values"),
        ((INPUTS, LABELS + 0.5), "`data` must have whole numbers as labels"),
        ((INPUTS, LABELS.astype(str)), "`data` in its labels must be real numbers"),
        ((INPUTS, np.where(LABELS == 0, np.nan, 1.0)), "`data` in its labels must be finite"),
        ((INPUTS, LABELS - 1), "`data` must have labels from 0 to 2**31 - 1, but has -1"),
        ((INPUTS, LABELS.reshape(6, 1)), "`data` must have one label for each item, but its labels have shape (6, 1)"),
        ((INPUTS, np.eye(3)[LABELS]), "`data` must have one label for each item, but its labels have shape (6, 3)"),
    ],
)
def test_what_is_refused(data, text):
    pattern = re.escape(text).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=pattern):
        class_items("data", data)


@pytest.mark.parametrize(
    "data", [(INPUTS, INPUTS, INPUTS), (INPUTS,), (), (INPUTS, INPUTS[:3]), load_dataset(), "a", None]
)
def test_samples_that_are_refused(data):
    with pytest.raises(ValueError, match="Argument `data`"):
        sample_inputs("data", data)


def test_labels_of_places_and_of_other_kinds_are_the_callers():
    assert labelled_items("data", (INPUTS, INPUTS)).labels.shape == (6, 2)
