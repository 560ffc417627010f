"""Data sets: the one inside the package, and readers tried on small files made here by separate code."""

import gzip
import hashlib
import re
import runpy
import struct
import tracemalloc
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from amsim.datasets import CorruptFileError, Split, load_dataset
from amsim.datasets import load as datasets

needs_debian_package = pytest.mark.skipif(
    not datasets.DEBIAN_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("AMSIM_DATA", raising=False)


# --- The set inside the package -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mini():
    return load_dataset()


def test_mini_has_the_promised_sizes_and_types(mini):
    assert mini.name == "fashion-mnist-mini"
    assert len(mini.classes) == 10
    for split, count in ((mini.train, 4000), (mini.test, 2000)):
        assert len(split) == count
        assert split.inputs.shape == (count, 28, 28)
        assert split.inputs.dtype == np.uint8
        assert split.labels.shape == (count,)
        assert split.labels.dtype == np.int32


def test_mini_is_stratified(mini):
    assert np.bincount(mini.train.labels).tolist() == [400] * 10
    assert np.bincount(mini.test.labels).tolist() == [200] * 10


def test_mini_is_shuffled(mini):
    # A slice of either part stands for the whole: with 500 draws every class is expected 50 times, sigma 6.7.
    for split in (mini.train, mini.test):
        counts = np.bincount(split[:500].labels, minlength=10)
        assert counts.min() > 50 - 5 * 6.7
        assert counts.max() < 50 + 5 * 6.7


def test_mini_has_no_picture_twice(mini):
    pictures = {picture.tobytes() for split in (mini.train, mini.test) for picture in split.inputs}
    assert len(pictures) == 6000


def test_mini_has_the_published_statistics(mini):
    # Mean 0.2860 and standard deviation 0.3530 of the full set are the usual constants of its normalisation;
    # the mean brightness of one picture scatters by about 0.13, so that of 4000 by 0.002.
    pixels = mini.train.inputs / 255
    assert pixels.mean() == pytest.approx(0.2860, abs=0.008)
    assert pixels.std() == pytest.approx(0.3530, abs=0.008)


def test_mini_labels_belong_to_the_pictures(mini):
    # A nearest-mean classifier reaches about 68 % on Fashion-MNIST; shuffled labels would give 10 %.
    means = np.stack([mini.train.inputs[mini.train.labels == label].mean(axis=0) for label in range(10)]).reshape(
        10, -1
    )
    inputs = mini.test.inputs.reshape(len(mini.test), -1).astype(float)
    distances = (inputs**2).sum(1)[:, None] - 2 * inputs @ means.T + (means**2).sum(1)[None, :]
    assert 0.6 < np.mean(distances.argmin(axis=1) == mini.test.labels) < 0.8


def test_mini_cannot_be_changed_by_accident(mini):
    with pytest.raises(ValueError, match="read-only"):
        mini.train.inputs[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        mini.test.labels[0] = 0


def test_mini_checksum_is_checked(monkeypatch):
    monkeypatch.setattr(datasets, "MINI_SHA256", "0" * 64)
    with pytest.raises(CorruptFileError, match=r"fashion-mnist-mini\.npz: differs from .* expected 0000"):
        load_dataset()


def test_mini_takes_no_folder(tmp_path):
    with pytest.raises(ValueError, match="Argument `folder` must be None for 'fashion-mnist-mini'"):
        load_dataset(folder=tmp_path)


def test_notice_carries_the_licence():
    notice = resources.files("amsim.datasets").joinpath("files", "NOTICE.md").read_text()
    assert "Copyright (c) 2017 Zalando SE" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice


@needs_debian_package
def test_mini_is_what_the_script_makes(mini):
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_fashion_mnist_mini.py"))
    arrays = script["make_arrays"]()
    np.testing.assert_array_equal(arrays["train_images"], mini.train.inputs)
    np.testing.assert_array_equal(arrays["train_labels"], mini.train.labels)
    np.testing.assert_array_equal(arrays["test_images"], mini.test.inputs)
    np.testing.assert_array_equal(arrays["test_labels"], mini.test.labels)


def test_script_packs_reproducibly():
    pack = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_fashion_mnist_mini.py"))["pack"]
    packed = pack({"a": np.arange(5, dtype=np.uint8)})
    assert packed == pack({"a": np.arange(5, dtype=np.uint8)})
    # Date and time of the first member, as DOS counts them: 1 January 1980, midnight.
    assert struct.unpack_from("<HH", packed, 10) == (0, 0x21)


# --- Split ----------------------------------------------------------------------------------------------------------


def test_split_slices_and_selects():
    split = Split(np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6, dtype=np.int32))
    assert isinstance(split[:4], Split)
    assert len(split[:4]) == 4
    np.testing.assert_array_equal(split[1:3].inputs, [[2, 3], [4, 5]])
    np.testing.assert_array_equal(split[1:3].labels, [1, 2])
    chosen = split[np.array([5, 0])]
    np.testing.assert_array_equal(chosen.inputs, [[10, 11], [0, 1]])
    np.testing.assert_array_equal(chosen.labels, [5, 0])
    assert repr(split) == "Split(6 items, inputs uint8(2,))"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda split: split[3], TypeError, "Argument `index` must be a slice or an array, but is 3."),
        (list, TypeError, "Argument `index` must be a slice or an array, but is 0."),
        (
            lambda split: Split(split.inputs, split.labels[:5]),
            ValueError,
            "Argument `labels` must have one entry for each of the 6",
        ),
    ],
)
@pytest.mark.usefixtures("as_a_user_runs_it")
def test_split_refuses(call, error, message):
    split = Split(np.zeros((6, 2), np.uint8), np.arange(6, dtype=np.int32))
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        call(split)


# --- Names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fashion_mnist", "fashion-mnist"), ("CIFAR10", "cifar-10"), ("fashion-mnist-mimi", "fashion-mnist-mini")],
)
def test_unknown_name_suggests_the_nearest(name, meant):
    with pytest.raises(ValueError, match="Argument `name` must be one of") as caught:
        load_dataset(name)
    assert "'fashion-mnist-mini', 'fashion-mnist', 'cifar-10'" in str(caught.value)
    assert f"but is {name!r}. Did you mean {meant!r}?" in str(caught.value)


def test_far_name_suggests_nothing():
    with pytest.raises(ValueError, match="but is 'zzz'") as caught:
        load_dataset("zzz")
    assert "Did you mean" not in str(caught.value)


# --- Fashion-MNIST in full ------------------------------------------------------------------------------------------


@needs_debian_package
def test_full_fashion_mnist():
    data = load_dataset("fashion-mnist")
    assert data.train.inputs.shape == (60000, 28, 28)
    assert data.test.inputs.shape == (10000, 28, 28)
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.train.labels.dtype == np.int32
    # The first labels as every tutorial prints them, and the usual constants of the normalisation.
    assert data.train.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert data.train.inputs.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert data.train.inputs.std() / 255 == pytest.approx(0.3530, abs=5e-5)
    assert str(datasets.DEBIAN_FOLDER) in data.source


TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (
    f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
PICTURES = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
CLASSES = np.array([3, 1, 4, 1, 5, 9, 2], np.uint8)


def idx_bytes(array):
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A folder like the published one, with 4 + 3 pictures, known to the reader as the published content."""
    contents = {
        TRAIN_IMAGES: PICTURES[:4],
        TRAIN_LABELS: CLASSES[:4],
        TEST_IMAGES: PICTURES[4:],
        TEST_LABELS: CLASSES[4:],
    }
    folder = tmp_path / "fashion"
    folder.mkdir()
    for name, array in contents.items():
        (folder / name).write_bytes(gzip.compress(idx_bytes(array)))
    table = tuple(
        datasets.IdxFile(name, array.shape, hashlib.sha256(idx_bytes(array)).hexdigest())
        for name, array in contents.items()
    )
    monkeypatch.setattr(datasets, "FASHION_FILES", table)
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path / "no-such-package")
    return folder


def assert_is_small_fashion(data):
    assert data.name == "fashion-mnist"
    np.testing.assert_array_equal(data.train.inputs, PICTURES[:4])
    np.testing.assert_array_equal(data.train.labels, CLASSES[:4])
    np.testing.assert_array_equal(data.test.inputs, PICTURES[4:])
    np.testing.assert_array_equal(data.test.labels, CLASSES[4:])
    assert data.train.labels.dtype == np.int32
    assert not data.train.inputs.flags.writeable
    assert not data.train.labels.flags.writeable


def test_idx_round_trip(fashion):
    assert_is_small_fashion(load_dataset("fashion-mnist", folder=fashion))
    assert_is_small_fashion(load_dataset("fashion-mnist", folder=str(fashion)))


def test_environment_names_the_folder(fashion, monkeypatch):
    monkeypatch.setenv("AMSIM_DATA", str(fashion))
    data = load_dataset("fashion-mnist")
    assert_is_small_fashion(data)
    assert data.source == f"Fashion-MNIST from {fashion}"


def test_environment_names_the_folder_above(fashion, monkeypatch):
    fashion.rename(fashion.parent / "fashion-mnist")
    monkeypatch.setenv("AMSIM_DATA", str(fashion.parent))
    assert_is_small_fashion(load_dataset("fashion-mnist"))


def test_package_folder_is_tried_last(fashion, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", fashion)
    assert_is_small_fashion(load_dataset("fashion-mnist"))
    monkeypatch.setenv("AMSIM_DATA", str(tmp_path / "empty"))
    assert_is_small_fashion(load_dataset("fashion-mnist"))
    with pytest.raises(FileNotFoundError):  # a folder asked for is not replaced by another
        load_dataset("fashion-mnist", folder=tmp_path / "empty")


def test_compressed_again_is_the_same_content(fashion):
    for path in fashion.iterdir():
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(content, compresslevel=0, mtime=1))
    assert_is_small_fashion(load_dataset("fashion-mnist", folder=fashion))


def test_missing_files_are_named(fashion):
    (fashion / TRAIN_LABELS).unlink()
    (fashion / TEST_IMAGES).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("fashion-mnist", folder=fashion)
    text = str(caught.value)
    assert f"{fashion}: lacks {TRAIN_LABELS}, {TEST_IMAGES}\n" in text
    assert f"{fashion / 'fashion-mnist'}: no such folder" in text
    assert "package dataset-fashion-mnist" in text
    assert "`folder`" in text
    assert "AMSIM_DATA" in text


def test_missing_folders_are_named(fashion, monkeypatch, tmp_path):
    monkeypatch.setenv("AMSIM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("fashion-mnist")
    for place in (tmp_path / "nowhere", tmp_path / "nowhere" / "fashion-mnist", datasets.DEBIAN_FOLDER):
        assert f"{place}: no such folder" in str(caught.value)


def rewrite(path, change):
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda raw: b"\0\0\x0d" + raw[3:], "must start with the IDX magic number 00000803, not 00000d03"),
        (lambda raw: b"", "must start with the IDX magic number 00000803, not nothing"),
        (
            lambda raw: raw[:7] + b"\x05" + raw[8:],
            r"must have the shape \(4, 28, 28\), but its header says \(5, 28, 28",
        ),
        (lambda raw: raw[:9], "must hold 3152 bytes once decompressed, but holds 9"),
        (lambda raw: raw[:-1], "must hold 3152 bytes once decompressed, but holds 3151"),
        (lambda raw: raw + b"\0", "must hold 3152 bytes once decompressed, but holds more"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "differs from the published Fashion-MNIST, so results"),
    ],
)
def test_wrong_idx_content_is_refused(fashion, change, problem):
    rewrite(fashion / TRAIN_IMAGES, change)
    with pytest.raises(CorruptFileError, match=f"{TRAIN_IMAGES}: {problem}"):
        load_dataset("fashion-mnist", folder=fashion)


def test_another_set_under_the_same_name_is_refused(fashion):
    # MNIST itself has files of the same names and shapes.
    rewrite(fashion / TEST_LABELS, lambda raw: raw[:8] + b"\1\2\3")
    with pytest.raises(CorruptFileError, match=f"{TEST_LABELS}: differs"):
        load_dataset("fashion-mnist", folder=fashion)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-20],  # cut off within the data
        lambda packed: packed[:-4],  # cut off within the checks after it
        lambda packed: b"not gzip" + packed,
        lambda packed: packed[:100] + bytes([packed[100] ^ 255]) + packed[101:],
        lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:],  # wrong CRC
        lambda packed: packed + b"more",
        lambda packed: packed[:10] + b"\xff" + packed[11:],  # a block of a kind that does not exist
    ],
)
def test_damaged_gzip_is_refused(fashion, damage):
    path = fashion / TRAIN_IMAGES
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptFileError, match=TRAIN_IMAGES):
        load_dataset("fashion-mnist", folder=fashion)


def test_decompression_bomb_is_not_unpacked(fashion):
    rewrite(fashion / TRAIN_IMAGES, lambda raw: raw + bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError, match="but holds more"):
            load_dataset("fashion-mnist", folder=fashion)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_corrupt_file_is_a_value_error():
    assert issubclass(CorruptFileError, ValueError)
