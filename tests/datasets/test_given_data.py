"""Data of one's own: archives in one part or two, folders of pictures, arrays; what is refused names the argument."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import amsim
from amsim.datasets.array_data import read_splits
from amsim.datasets.given_data import given_dataset
from amsim.datasets.image_folder import read_image_folder

DRAWS = np.random.default_rng(0)
IMAGES, LABELS = DRAWS.integers(0, 256, (8, 5, 4), dtype=np.uint8), np.arange(8) % 2
NAMES = {
    "prefix": ("train_inputs", "train_labels", "test_inputs", "test_labels"),
    "suffix": ("x_train", "y_train", "x_test", "y_test"),
    "images": ("train_images", "train_labels", "test_images", "test_labels"),
}


@pytest.mark.parametrize("case", NAMES)
def test_archive_of_two_parts(tmp_path, case):
    arrays = dict(zip(NAMES[case], (IMAGES, LABELS, IMAGES[:3], LABELS[:3]), strict=True))
    np.savez(tmp_path / "a.npz", val_images=IMAGES, val_labels=LABELS, **arrays)
    found = given_dataset("data", tmp_path / "a.npz")
    assert (found.name, len(found.train), len(found.test)) == ("a.npz", 8, 3)
    np.testing.assert_array_equal(found.test.inputs, IMAGES[:3])
    np.testing.assert_array_equal(found.train.labels, LABELS)


def test_what_comes_in_one_part_is_divided_the_same_way_each_time(tmp_path):
    np.savez(tmp_path / "a.npz", inputs=IMAGES, labels=LABELS)
    found, again = (given_dataset("data", one) for one in (tmp_path / "a.npz", (IMAGES, LABELS)))
    np.testing.assert_array_equal(found.test.inputs, again.test.inputs)
    together = np.concatenate([found.train.inputs, found.test.inputs])
    assert len(found.train) == len(found.test) == 4
    assert sorted(map(bytes, together)) == sorted(map(bytes, IMAGES))
    two = given_dataset("data", (amsim.Split(IMAGES[:5], LABELS[:5]), amsim.Split(IMAGES[5:], LABELS[5:])))
    assert (len(two.train), len(two.test)) == (5, 3)


def test_several_inputs_keep_their_names(tmp_path):
    np.savez(tmp_path / "a.npz", left=IMAGES, right=IMAGES, labels=LABELS)
    found = read_splits(tmp_path / "a.npz")["all"]
    assert set(found.inputs) == {"left", "right"}


def test_sets_by_name_and_as_they_are():
    whole = amsim.load_dataset()
    assert given_dataset("data", "fashion-mnist-mini").name == whole.name
    few = dataclasses.replace(whole, test=whole.test[:5])
    assert len(given_dataset("data", few).test) == 5


def pictures(folder, mode="L", size=(4, 5), ending="png", count=3):
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            levels = DRAWS.integers(0, 256, (*size[::-1], *((3,) if mode == "RGB" else ())), dtype=np.uint8)
            Image.fromarray(levels).save(folder / label / f"{number}.{ending}")


@pytest.mark.parametrize(
    ("ending", "mode"), [("png", "L"), ("png", "RGB"), ("pgm", "L"), ("jpg", "RGB"), ("jpeg", "L")]
)
def test_pictures_by_class(tmp_path, ending, mode):
    pictures(tmp_path / "own", mode, ending=ending)
    (tmp_path / "own" / ".hidden").write_text("left aside")
    parts, classes = read_image_folder(tmp_path / "own")
    assert classes == ("cat", "dog")
    assert parts["all"].inputs.shape == (6, 5, 4, 3)[: 4 if mode == "RGB" else 3]
    np.testing.assert_array_equal(parts["all"].labels, [0, 0, 0, 1, 1, 1])
    with Image.open(tmp_path / "own" / "dog" / f"0.{ending}") as first:
        np.testing.assert_array_equal(parts["all"].inputs[3], np.asarray(first))
    found = given_dataset("data", str(tmp_path / "own"))
    assert (found.name, found.classes, len(found.test)) == ("own", ("cat", "dog"), 3)


def test_pictures_to_train_and_to_test_on(tmp_path):
    pictures(tmp_path / "train")
    pictures(tmp_path / "test", count=1)
    found = given_dataset("data", tmp_path)
    assert (len(found.train), len(found.test)) == (6, 2)


def test_folders_that_are_refused(tmp_path):
    def refused(message):
        with pytest.raises(ValueError, match=message) as error:
            given_dataset("data", tmp_path)
        assert "`data`" in str(error.value)
        assert "\n" not in str(error.value)

    refused("at least 2 classes, but has 0")
    pictures(tmp_path)
    (tmp_path / "cat" / "readme.txt").write_text("no picture")
    refused("readme.txt is no picture")
    (tmp_path / "cat" / "readme.txt").unlink()
    Image.fromarray(np.zeros((5, 4, 4), np.uint8)).save(tmp_path / "cat" / "3.png")
    refused("'RGBA' is neither grey nor coloured")
    Image.fromarray(np.zeros((6, 4), np.uint8)).save(tmp_path / "cat" / "3.png")
    refused(r"shape \(6, 4\) and the first one \(5, 4\)")
    (tmp_path / "cat" / "3.png").write_bytes(b"GIF89a no PNG")
    refused("cannot be read as a picture")
    (tmp_path / "cat" / "3.png").unlink()
    (tmp_path / "list.csv").write_text("")
    refused("has the file list.csv")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": IMAGES}, "must hold `labels`"),
        ({"train_inputs": IMAGES, "train_labels": LABELS}, "once with `test_`"),
        ({"labels": LABELS, "y": LABELS, "inputs": IMAGES}, "must hold `labels`"),
        ({"x_train": IMAGES, "train_x": IMAGES, "y_train": LABELS}, "name no array twice"),
        ({"inputs": IMAGES[:0], "labels": LABELS[:0]}, "at least one item"),
        ({"inputs": IMAGES[:1], "labels": LABELS[:1]}, "at least 2 items"),
    ],
)
def test_archives_that_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        given_dataset("data", tmp_path / "a.npz")
    assert "`data`" in str(error.value)


@pytest.mark.parametrize("wrong", [3, b"a", [], "imagenet", (IMAGES,), (IMAGES, LABELS, LABELS), lambda: 0])
def test_other_things_are_refused(wrong):
    with pytest.raises(ValueError, match="`data` must be"):
        given_dataset("data", wrong)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"`data`: Array file no.npz does not exist"):
        given_dataset("data", "no.npz")
