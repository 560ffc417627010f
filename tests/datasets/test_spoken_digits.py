"""Spoken digits: what the file holds, both divisions, standardisation, and the script that makes it."""

import hashlib
import runpy
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from amsim import load_dataset
from amsim.datasets import spoken_digits
from amsim.datasets.split import CorruptFileError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stored():
    with np.load(ROOT / "amsim" / "datasets" / "files" / "spoken-digits.npz") as arrays:
        return dict(arrays)


def test_the_random_division(stored):
    data = load_dataset("spoken-digits")
    assert (len(data.train), len(data.test), data.classes[3]) == (2400, 600, "three")
    assert data.train.inputs.shape[1:] == (32, 13)
    assert (data.train.inputs.dtype, data.train.labels.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [60] * 10)
    assert not data.train.inputs.flags.writeable
    # No recording is in both parts, nor a second time in one.
    items = [item.tobytes() for part in (data.train, data.test) for item in part.inputs]
    assert len(set(items)) == 3000
    np.testing.assert_array_equal(np.bincount(stored["labels"]), [300] * 10)


def test_a_new_speaker_is_in_the_test_part_alone(stored):
    sizes = [np.sum(stored["speakers"] == one) for one in range(1, 7)]
    assert min(sizes) >= 498
    assert max(sizes) <= 502
    data = load_dataset("spoken-digits-new-speaker-2")
    assert len(data.test) == sizes[1]
    np.testing.assert_array_equal(data.test.labels, stored["labels"][stored["speakers"] == 2])
    assert len(data.train) + len(data.test) == 3000


def test_features_are_standardised_on_the_training_part_and_end_with_the_window(stored):
    data = load_dataset("spoken-digits")
    ends = np.cumsum(stored["lengths"].astype(int))
    chosen = np.flatnonzero(~stored["held_out"])
    recordings = [stored["features"][ends[i] - stored["lengths"][i] : ends[i]].astype(float) for i in chosen]
    frames = np.concatenate(recordings)
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    for place in (0, 7, 2399):
        expected = ((recordings[place] - mean) / deviation)[:32]
        np.testing.assert_allclose(data.train.inputs[place][32 - len(expected) :], expected, atol=1e-4)
        assert np.all(data.train.inputs[place][: 32 - len(expected)] == 0)


def test_the_notice_names_source_and_licence():
    folder = resources.files("amsim.datasets").joinpath("files")
    notice = folder.joinpath("SPOKEN_DIGITS_NOTICE.md").read_text()
    assert "https://creativecommons.org/licenses/by-sa/4.0/" in notice
    assert "https://github.com/Jakobovski/free-spoken-digit-dataset" in notice
    assert "SPOKEN_DIGITS_NOTICE.md" in folder.joinpath("NOTICE.md").read_text()


def test_another_file_is_refused(monkeypatch):
    monkeypatch.setattr(spoken_digits, "SHA256", "0" * 64)
    spoken_digits._arrays.cache_clear()
    with pytest.raises(CorruptFileError, match="expected 0000"):
        load_dataset("spoken-digits")


def test_no_folder_and_no_seventh_speaker(tmp_path):
    with pytest.raises(ValueError, match="`folder` must be None for 'spoken-digits'"):
        load_dataset("spoken-digits", folder=tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'spoken-digits-new-speaker-"):
        load_dataset("spoken-digits-new-speaker-7")


def test_the_script_refuses_another_archive_and_finds_speakers(tmp_path, monkeypatch, stored):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    script = runpy.run_path(str(ROOT / "docs" / "make_spoken_digits.py"))
    (tmp_path / "digits.npz").write_bytes(b"other")
    with pytest.raises(SystemExit, match=hashlib.sha256(b"other").hexdigest()):
        script["make_arrays"](tmp_path / "digits.npz")
    found = script["speakers_of"](stored["features"], stored["lengths"].astype(int), stored["labels"])
    np.testing.assert_array_equal(found, stored["speakers"])
