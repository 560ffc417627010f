"""Study files with data of their own, `[study] data = "x.npz"`: wrong arrays end in one line, before any work."""

import numpy as np
import pytest

from amsim.studies.study_file.study import read_study

IMAGES, LABELS = np.zeros((6, 28, 28), np.uint8), np.array([0, 1, 2, 3, 4, 9])
FLOATS = np.zeros((6, 28, 28), np.float32)
STUDY = """[study]
network = "binary-fashion"
data = "x.npz"
dies = 1
quantities = ["accuracy"]
[hardware]
macro = "DigitalBinary"
[axes]
macro.supply = [0.65]
"""
WRONG = {
    "nan": (FLOATS * np.nan, LABELS, "must be finite"),
    "infinite": (FLOATS + np.inf, LABELS, "must be finite"),
    "complex": (FLOATS * 1j, LABELS, "must be real numbers"),
    "text": (np.full((6, 28, 28), "a"), LABELS, "must be real numbers"),
    "dates": (np.zeros((6, 28, 28), "M8[s]"), LABELS, "not of numbers or text"),
    "objects": (np.full((6, 28, 28), None), LABELS, "not of numbers or text"),
    "one number": (np.array(1.0), LABELS, "the same number of items"),
    "no items": (IMAGES[:0], LABELS[:0], "at least one item"),
    "too few labels": (IMAGES, LABELS[:3], "one entry for each of the 6 inputs"),
    "nan labels": (IMAGES, LABELS * np.nan, "must be finite"),
    "fractions": (IMAGES, LABELS + 0.5, "whole numbers as labels"),
    "floats": (IMAGES, LABELS.astype(float), "whole numbers as labels"),
    "complex labels": (IMAGES, LABELS * 1j, "must be real numbers"),
    "text labels": (IMAGES, LABELS.astype(str), "must be real numbers"),
    "object labels": (IMAGES, LABELS.astype(object), "not of numbers or text"),
    "labels below 0": (IMAGES, LABELS - 1, "labels from 0"),
    "labels of places": (IMAGES, np.zeros((6, 2), int), "one label for each item"),
    "unknown class": (IMAGES, LABELS + 1, "has 10, and `fn` gives 10 logits"),
    "huge label": (IMAGES, LABELS + 2**40, "labels from 0 to"),
    "other sizes": (IMAGES[:, :3], LABELS, "28"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_are_refused(tmp_path, monkeypatch, case):
    """The text names the file of the study and that of the data, or the table and key."""
    monkeypatch.chdir(tmp_path)
    inputs, labels, message = WRONG[case]
    np.savez(tmp_path / "x.npz", inputs=inputs, labels=labels)
    (tmp_path / "study.toml").write_text(STUDY)
    with pytest.raises(ValueError, match=message) as refused:
        read_study(tmp_path / "study.toml").run()
    assert "\n" not in str(refused.value)
    assert "x.npz" in str(refused.value) or "study.toml: Argument `" in str(refused.value)
    assert {one.name for one in tmp_path.iterdir()} == {"study.toml", "x.npz"}


@pytest.mark.parametrize(
    "arrays",
    [{}, {"labels": LABELS}, {"inputs": IMAGES}, {"inputs": IMAGES, "labels": LABELS, "more": IMAGES}],
    ids=["nothing", "labels alone", "inputs alone", "another array"],
)
def test_a_file_of_other_arrays_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    (tmp_path / "study.toml").write_text(STUDY)
    with pytest.raises(ValueError, match=r"\[study\] data: ") as refused:
        read_study(tmp_path / "study.toml")
    assert "\n" not in str(refused.value)
