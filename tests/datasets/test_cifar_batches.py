"""CIFAR-10 files: both published layouts are read, and nothing that a file asks for is run."""

import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.datasets import CorruptFileError, load_dataset
from amsim.datasets import cifar_batch as _cifar_batch
from amsim.datasets import load as datasets


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("AMSIM_DATA", raising=False)


PER_FILE = 20
BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def cifar_batch(seed):
    """Pixels as stored, (20, 3072), and labels of which each occurs twice."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (PER_FILE, 3072), np.uint8)
    return pixels, generator.permutation(np.arange(PER_FILE) % 10)


def binary_batch(pixels, labels):
    return b"".join(bytes([label]) + row.tobytes() for row, label in zip(pixels, labels, strict=True))


def python_2_batch(pixels, labels, *, fortran=False):
    """Write a batch as the published archive has it: Python 2's second protocol, text as byte strings."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    content = pixels.tobytes(order="F" if fortran else "C")
    count = len(labels)
    return b"".join(
        [
            b"\x80\x02}q\x01(",
            text(b"batch_label") + b"q\x02" + text(b"training batch 1 of 5") + b"q\x03",
            text(b"labels") + b"q\x04]q\x05(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            text(b"data") + b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85q\x09U\x01b\x87q\x0aRq\x0b(K\x01",
            b"K" + bytes([count]) + b"M\x00\x0c\x86q\x0c",
            b"cnumpy\ndtype\nq\x0dU\x02u1K\x00K\x01\x87q\x0eRq\x0f",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b",
            (b"\x88" if fortran else b"\x89") + b"T" + struct.pack("<i", len(content)) + content + b"tq\x11b",
            text(b"filenames") + b"q\x12]q\x13(" + b"".join(text(b"a_s_%d.png" % i) + b"q\x14" for i in range(count)),
            b"eu.",
        ]
    )


def python_3_batch(pixels, labels, protocol=4):
    return pickle.dumps({b"labels": labels.tolist(), b"data": pixels, b"batch_label": b"one"}, protocol)


def write_cifar(folder, write, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(BATCHES):
        (folder / f"{name}{suffix}").write_bytes(write(*cifar_batch(seed)))
    return folder


@pytest.fixture(autouse=True)
def small_cifar(monkeypatch):
    monkeypatch.setattr(datasets, "CIFAR_IMAGES_PER_FILE", PER_FILE)


def assert_is_small_cifar(data):
    assert data.name == "cifar-10"
    assert " ".join(data.classes) == "airplane automobile bird cat deer dog frog horse ship truck"
    assert data.train.inputs.shape == (5 * PER_FILE, 32, 32, 3)
    assert data.test.inputs.shape == (PER_FILE, 32, 32, 3)
    for split, seeds in ((data.train, range(5)), (data.test, [5])):
        assert split.inputs.dtype == np.uint8
        assert split.labels.dtype == np.int32
        assert not split.inputs.flags.writeable
        batches = [cifar_batch(seed) for seed in seeds]
        np.testing.assert_array_equal(split.labels, np.concatenate([labels for _, labels in batches]))
        pixels = np.concatenate([pixels for pixels, _ in batches])
        for item, row, column, colour in [(0, 0, 0, 0), (3, 5, 7, 1), (PER_FILE - 1, 31, 0, 2), (1, 0, 31, 0)]:
            assert split.inputs[item, row, column, colour] == pixels[item, 1024 * colour + 32 * row + column]
        np.testing.assert_array_equal(np.sort(split.inputs, axis=None), np.sort(pixels, axis=None))


WRITERS = {
    "binary": (binary_batch, ".bin"),
    "python-2": (python_2_batch, ""),
    "python-2-fortran": (lambda *batch: python_2_batch(*batch, fortran=True), ""),
    "python-3-protocol-3": (lambda pixels, labels: python_3_batch(pixels, labels, 3), ""),
    "python-3-protocol-4": (python_3_batch, ""),
}


@pytest.mark.parametrize("version", WRITERS)
def test_cifar_versions(tmp_path, version):
    folder = write_cifar(tmp_path, *WRITERS[version])
    assert_is_small_cifar(load_dataset("cifar-10", folder=folder))


def test_python_2_fixture_is_what_pickle_reads():
    for fortran in (False, True):
        pixels, labels = cifar_batch(0)
        batch = pickle.loads(python_2_batch(pixels, labels, fortran=fortran), encoding="bytes")
        np.testing.assert_array_equal(batch[b"data"], pixels)
        assert batch[b"labels"] == labels.tolist()


@pytest.mark.parametrize(
    ("below", "version"),
    [("cifar-10", "binary"), ("cifar-10-batches-bin", "binary"), ("cifar-10-batches-py", "python-2")],
)
def test_cifar_sub_folders(tmp_path, monkeypatch, below, version):
    write_cifar(tmp_path / below, *WRITERS[version])
    monkeypatch.setenv("AMSIM_DATA", str(tmp_path))
    data = load_dataset("cifar-10")
    assert_is_small_cifar(data)
    assert data.source == f"CIFAR-10 from {tmp_path / below}"


def test_binary_cifar_is_preferred(tmp_path):
    write_cifar(tmp_path, binary_batch, ".bin")
    for name in BATCHES:
        (tmp_path / name).write_bytes(b"never read")
    assert_is_small_cifar(load_dataset("cifar-10", folder=tmp_path))
    # With a binary file lacking, the Python version is read, and refused.
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(CorruptFileError, match="data_batch_1: "):
        load_dataset("cifar-10", folder=tmp_path)


def test_missing_cifar_files_are_named(tmp_path):
    write_cifar(tmp_path, python_2_batch)
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("cifar-10", folder=tmp_path)
    assert f"{tmp_path}: lacks data_batch_4\n" in str(caught.value)
    assert "Unpack the published archive" in str(caught.value)


def test_cifar_without_any_folder():
    with pytest.raises(FileNotFoundError, match="AMSIM_DATA is not set"):
        load_dataset("cifar-10")


def refused(folder, problem, name="data_batch_2"):
    with pytest.raises(CorruptFileError, match=f"{name}: {problem}"):
        load_dataset("cifar-10", folder=folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda raw: raw[:-1], "must have 61460 bytes, but has 61459"),
        (lambda raw: raw + b"\0", "must have at most 61460 bytes, but has 61461"),
        (lambda raw: b"\x0a" + raw[1:], "labels must be 0 to 9, but are 0 to 10"),
    ],
)
def test_wrong_binary_cifar_is_refused(tmp_path, change, problem):
    write_cifar(tmp_path, binary_batch, ".bin")
    path = tmp_path / "data_batch_2.bin"
    path.write_bytes(change(path.read_bytes()))
    refused(tmp_path, problem, name=path.name)


@pytest.mark.parametrize(("name", "problem"), [("test_batch", "test_batch"), ("data_batch_1", "data_batch_1 to 5")])
def test_unbalanced_cifar_is_refused(tmp_path, name, problem):
    write_cifar(tmp_path, binary_batch, ".bin")
    pixels, labels = cifar_batch(0)
    labels[np.argmax(labels == 0)] = 1
    (tmp_path / f"{name}.bin").write_bytes(binary_batch(pixels, labels))
    with pytest.raises(CorruptFileError, match=f"{problem} must hold every class equally often"):
        load_dataset("cifar-10", folder=tmp_path)


class Evil:
    """Its pickle makes whoever loads it create a file."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", ["whole", "data", "label", "unused"])
def test_malicious_pickle_does_not_run(tmp_path, protocol, place):
    folder = write_cifar(tmp_path / "cifar", python_2_batch)
    marker = tmp_path / "marker"
    evil = Evil(os.mkdir, str(marker))
    pixels, labels = cifar_batch(1)
    batch = {"data": pixels.tobytes(), "labels": labels.tolist()}
    evil_batch = {
        "whole": evil,
        "data": batch | {"data": evil},
        "label": batch | {"labels": [*batch["labels"][1:], evil]},
        "unused": batch | {"more": evil},
    }[place]
    raw = pickle.dumps(evil_batch, protocol)
    pickle.loads(raw)
    assert marker.is_dir()  # the fixture is truly malicious
    marker.rmdir()
    (folder / "data_batch_2").write_bytes(raw)
    with pytest.raises(CorruptFileError, match="data_batch_2: "):
        load_dataset("cifar-10", folder=folder)
    assert not marker.exists()


def test_function_asked_for_is_named(tmp_path):
    write_cifar(tmp_path, python_2_batch)
    for raw in (b"\x80\x02cos\nsystem\n(U\x04truetR.", pickle.dumps(Evil(os.mkdir, "x"), 4)):
        (tmp_path / "data_batch_2").write_bytes(raw)
        refused(tmp_path, "asks for the function '(os system|posix mkdir)', which no batch needs; nothing was run")


def test_admitted_names_are_not_called_either(tmp_path):
    # Were numpy.ndarray called, it would object to the size -1.
    raw = b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\xff\x85R."
    with pytest.raises(ValueError, match="dict expected"):
        _cifar_batch.parse_pickled(raw, 1)


# The first part of a batch of one picture, and the calls of its array.
LABELLED = b"\x80\x02}(U\x06labels]K\x01aU\x04data"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n)R"
DTYPE = b"cnumpy\ndtype\nU\x02u1\x85R"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "pickle exhausted"),
        (b"\x80\x02}", "pickle exhausted"),
        (b"\x80\x02].", "dict expected"),
        (b"\x80\x02}.more", "goes on after its end"),
        (b"\x80\x02.", "not a well-formed pickle$"),
        (b"\x80\x02h\x07.", "not a well-formed pickle$"),
        (b"\x80\x02q\x07.", "not a well-formed pickle$"),
        (b"\x80\x02t.", "not a well-formed pickle$"),
        (b"\x80\x02K\x01\x87.", "not a well-formed pickle$"),
        (b"\x80\x02}K\x01K\x01(\x86t.", "not a well-formed pickle$"),
        (b"\x80\x02}(U\x01au.", "shorter"),
        (b"\x80\x02}))s.", "str expected"),
        (b"\x80\x02}K\x01K\x01s.", "str expected"),
        (b"\x80\x02]K\x01K\x01s.", "str expected"),
        (b"\x80\x02]U\x01aK\x01s.", "dict expected"),
        (b"\x80\x02}K\x01a.", "list expected"),
        (b"\x80\x02}}b.", ": Call expected"),
        (b"\x80\x02})R.", ": Name expected"),
        (b"\x80\x02cnumpy\ndtype\n}R.", "tuple expected"),
        (b"\x80\x02cnumpy\ndtype\n}b.", ": Call expected"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "instruction NEWOBJ"),
        (b"\x80\x02(cnumpy\ndtype\no.", "instruction OBJ"),
        (b"\x80\x02(inumpy\ndtype\n.", "instruction INST"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x02Pname\n.", "instruction PERSID"),
        (b"\x80\x02" + b"]" * 1100 + b"}.", "more than 1008 pickle instructions"),
        (b"S" + b"x" * 5000 + b"\n.", "^no string quotes.{0,185}$"),
        (b"\x80\x02}.", "must have an entry `labels` that lists 1 integers"),
        (b"\x80\x02}U\x06labels]K\x01as.", "must have an entry `data` that is a 1 x 3072 array of bytes"),
        (b"\x80\x02}U\x06labels]\x88as.", "must have an entry `labels`"),
        (b"\x80\x02}U\x06labelsK\x01s.", "must have an entry `labels`"),
        (LABELLED + b"]u.", "must have an entry `data`"),
        (LABELLED + RECONSTRUCT + b"u.", "must have an entry `data`"),
        (LABELLED + RECONSTRUCT + b"K\x01bu.", "must have an entry `data`"),
        (LABELLED + RECONSTRUCT + b"(K\x01K\x01NK\x01K\x01tbu.", "must have an entry `data`"),
        (LABELLED + RECONSTRUCT + b"(K\x01K\x01M\x00\x0c\x86" + DTYPE + b"\x89Ntbu.", "must have an entry `data`"),
        (b"\x80\x02}U\x06labels](K\x01K\x02es.", "must have an entry `labels`"),
    ],
)
def test_wrong_pickle_is_refused(raw, problem):
    with pytest.raises(ValueError, match=problem):
        _cifar_batch.parse_pickled(raw, 1)


GOOD = python_2_batch(np.arange(3072, dtype=np.uint8)[None], np.array([7]))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"K\x07", b"K\x0a", "labels must be 0 to 9, but are 10 to 10"),
        (b"K\x07", b"J\xff\xff\xff\xff", "labels must be 0 to 9, but are -1 to -1"),
        (b"U\x02u1", b"U\x02i1", "entry `data`"),
        (b"U\x02u1", b"U\x01O", "entry `data`"),
        (b"K\x01M\x00\x0c\x86", b"M\x00\x0cK\x01\x86", "entry `data`"),
        (b"K\x01M\x00\x0c\x86", b"M\x00\x0c\x85", "entry `data`"),
        (b"_reconstruct", b"scalar", "asks for the function 'numpy.core.multiarray scalar'"),
        (b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", "entry `data`"),
        (b"(K\x03U\x01|NNN", b"(K\x03U\x01|NN", None),  # the state of the dtype is not used
        (b"\x89T", b"\x89K\x00T", "entry `data`"),
    ],
)
def test_wrong_array_in_pickle_is_refused(old, new, problem):
    assert GOOD.count(old) == 1
    changed = GOOD.replace(old, new)
    if problem is None:
        assert _cifar_batch.parse_pickled(changed, 1)[1].tolist() == [7]
        return
    with pytest.raises(ValueError, match=problem):
        _cifar_batch.parse_pickled(changed, 1)


def test_short_array_content_is_refused():
    short = python_2_batch(np.zeros((1, 3071), np.uint8), np.array([7]))
    with pytest.raises(ValueError, match="entry `data`"):
        _cifar_batch.parse_pickled(short, 1)


def test_too_large_pickle_is_not_read(tmp_path):
    write_cifar(tmp_path, python_2_batch)
    with (tmp_path / "data_batch_2").open("wb") as file:
        file.truncate(10**10)  # a sparse file
    refused(tmp_path, "must have at most 81920 bytes, but has 10000000000")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data())
def test_damaged_pickle_is_refused_or_read(data):
    """Whatever happens to the bytes, the answer is a batch or a ValueError, never another exception."""
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        # Most damage near the start and the end, where the instructions are.
        position = data.draw(st.integers(-60, 260)) % len(raw)
        raw[position] = data.draw(st.integers(0, 255))
    try:
        images, labels = _cifar_batch.parse_pickled(bytes(raw), 1)
    except ValueError:
        return
    assert images.shape == (1, 32, 32, 3)
    assert 0 <= labels[0] <= 9
