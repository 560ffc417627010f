"""Trained networks of other people: against joblib, NumPy, ONNX Runtime and TensorFlow Lite, and on hardware."""

import hashlib
import pickle
from collections import deque
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.foreign import published
from amsim.foreign.published.faces import face_windows, load_face_pictures, random_crops
from amsim.foreign.published.joblib_arrays import read_joblib_arrays
from amsim.foreign.published.mtcnn import PACKAGE, STAGES
from amsim.foreign.published.package_file import Package
from amsim.foreign.published.silero_vad import CONTEXT, WINDOW
from amsim.foreign.published.spoken_words import speech_features, synthetic_speech
from amsim.statistics.intervals import roc_area


def needs(name):
    missing = published.missing_packages(name)
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {' '.join(missing)}")


def leaves_close(found, wanted, tolerance):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1e-6, float(jnp.max(jnp.abs(other)))))


# What needs no package: files are found without an import, known by their digest, and never run.


def test_a_file_is_taken_only_from_the_known_package(tmp_path, monkeypatch):
    folder = tmp_path / "somebodys_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "weights").write_bytes(b"numbers")
    monkeypatch.syspath_prepend(tmp_path)
    package = Package("somebodys_package", "somebodys-package==1.0")
    assert package.read("weights", hashlib.sha256(b"numbers").hexdigest()) == b"numbers"
    with pytest.raises(ValueError, match=r"not the known file .*pip install --no-deps somebodys-package==1\.0"):
        package.read("weights", "0" * 64)
    with pytest.raises(ValueError, match="has no other"):
        package.read("other", "0" * 64)
    absent = Package("not_there_at_all", "not-there==2")
    assert not absent.installed
    with pytest.raises(ImportError, match=r"`not_there_at_all` is not installed.*pip install --no-deps not-there==2"):
        absent.read("weights", "0" * 64)


class Harmful:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([Harmful()], r"it asks for the function .builtins print"),
        ([np.zeros(3)], r"it asks for the function .numpy"),
        ({"a": 1}, "holds something else"),
        ([1.5], "the pickle instruction BINFLOAT"),
        ([], "holds something else"),
        (["text"], "holds something else"),
    ],
)
def test_other_pickles_are_refused_and_not_run(content, reason, capsys):
    frame = pytest.importorskip("lz4.frame")
    with pytest.raises(ValueError, match=f"list of arrays by joblib, but .*{reason}"):
        read_joblib_arrays(frame.compress(pickle.dumps(content, protocol=4)))
    assert capsys.readouterr().out == ""


def test_unknown_names():
    for load in (published.load_mtcnn, published.load_wake_word, published.load_detector, published.wake_word_split):
        with pytest.raises(ValueError, match=r"must be one of .*'nonsense'"):
            load("nonsense")
    with pytest.raises(ValueError, match="`share`"):
        published.load_detector("pnet", share=0.0)


# Faces.


@needs("pnet")
def test_weights_are_those_that_joblib_reads():
    joblib = pytest.importorskip("joblib")
    for stage in STAGES:
        network, params = published.load_mtcnn(stage)
        wanted = joblib.load(PACKAGE.folder() / network.file)
        found = read_joblib_arrays(PACKAGE.read(network.file, network.sha256))
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
        assert (
            sum(leaf.size for leaf in jax.tree.leaves(params)) == {"pnet": 6632, "rnet": 100178, "onet": 389040}[stage]
        )


@needs("pnet")
def test_face_network_equals_plain_loops():
    network, params = published.load_mtcnn("rnet")
    window = face_windows(load_face_pictures().lfw_faces[:1], network.size)
    layers = {
        name: {key: np.asarray(value, np.float64) for key, value in layer.items()} for name, layer in params.items()
    }
    x = window[0].astype(np.float64)
    for number, pool in ((1, (3, True)), (2, (3, False)), (3, None)):
        kernel = layers[f"conv{number}"]["kernel"]
        k, rows, columns = kernel.shape[0], x.shape[0] - kernel.shape[0] + 1, x.shape[1] - kernel.shape[0] + 1
        y = np.array([[np.tensordot(x[r : r + k, c : c + k], kernel, 3) for c in range(columns)] for r in range(rows)])
        y = y + layers[f"conv{number}"]["bias"]
        x = np.maximum(y, 0) + layers[f"prelu{number}"]["slope"] * np.minimum(y, 0)
        if pool is not None:
            size, same = pool
            if same:  # 22 pixels become 11, with one more behind
                x = np.pad(x, ((0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
            places = range(0, len(x) - size + 1, 2)
            x = np.array([[x[r : r + size, c : c + size].max(axis=(0, 1)) for c in places] for r in places])
    y = x.transpose(1, 0, 2).ravel() @ layers["dense"]["kernel"] + layers["dense"]["bias"]
    y = np.maximum(y, 0) + layers["prelu_dense"]["slope"] * np.minimum(y, 0)
    outputs = network(params, jnp.asarray(window))
    for name, found in (("face", outputs.face), ("box", outputs.box)):
        np.testing.assert_allclose(found[0], y @ layers[name]["kernel"] + layers[name]["bias"], rtol=1e-4, atol=1e-5)
    assert outputs.landmarks is None


@needs("pnet")
@pytest.mark.parametrize(
    "stage",
    # The first stage is the smallest; the second one is compared with plain loops above.
    [STAGES[0], *(pytest.param(stage, marks=pytest.mark.slow) for stage in STAGES[1:])],
)
def test_faces_are_found(stage):
    network, params = published.load_mtcnn(stage)
    pictures, score = load_face_pictures(), jax.jit(network.score)
    crops = random_crops(400)
    groups = pictures.lfw_faces, pictures.lfw_others, pictures.orl_faces[::4], crops
    faces, others, orl, none = (np.asarray(score(params, face_windows(group, network.size))) for group in groups)
    assert roc_area(np.concatenate([faces, others]), np.repeat([1, 0], 100)) > 0.9995
    assert np.mean(faces > 0) >= 0.98
    assert np.mean(orl > 0) >= 0.98
    assert np.mean(others > 0) == 0
    assert np.mean(none > 0) <= 0.02


@needs("pnet")
def test_first_stage_scans_a_picture():
    network, params = published.load_mtcnn("pnet")
    picture = jnp.asarray(face_windows(load_face_pictures().orl_faces[:1], 16))
    scanned = network(params, picture)
    assert scanned.face.shape == (1, 3, 3, 2)
    alone = network.logits(params, picture[:, 2:14, 4:16])
    np.testing.assert_allclose(scanned.face[0, 1, 2], alone[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="windows of 12 x 12"):
        network.logits(params, picture)
    with pytest.raises(ValueError, match="`inputs`"):
        published.load_mtcnn("onet")[0](params, picture)


@needs("pnet")
def test_ideal_hardware_leaves_faces_and_gradients_as_they_are():
    network, params = published.load_mtcnn("pnet")
    data = published.face_split(network.size, lfw=4, orl=2, crops=4)
    chip = amsim.deploy(network, params, circuits.Exact())
    leaves_close(chip(data.inputs), network(params, data.inputs), 1e-5)

    def loss(score, params):
        return jnp.mean((score(params) - data.labels.astype(np.float32)) ** 2)

    on_chip = jax.grad(lambda p: loss(lambda q: amsim.deploy(network.score, q, circuits.Exact())(data.inputs), p))(
        params
    )
    leaves_close(on_chip, jax.grad(lambda p: loss(lambda q: network.score(q, data.inputs), p))(params), 1e-4)
    wide = circuits.MultiPrecision(weight_bits=16, input_bits=16, accumulator_bits=48)
    leaves_close(amsim.deploy(network.logits, params, wide)(data.inputs), network.logits(params, data.inputs), 1e-3)


# Voices.


@needs("silero_vad")
def test_voice_network_equals_onnx_runtime_and_its_chip():
    runtime = pytest.importorskip("onnxruntime")
    network, params = published.load_silero_vad()
    data = published.voice_split(voices=2, seconds=1.6)
    found = jax.jit(network.__call__)(params, data.inputs)
    assert found.shape == data.labels.shape == (2, int(1.6 * 16000) // WINDOW)
    folder = published.detectors.silero_vad.PACKAGE.folder()
    session = runtime.InferenceSession(folder / "data/silero_vad_16k_sequence.onnx")
    for audio, probabilities in zip(data.inputs, found, strict=True):
        padded = np.pad(audio, (CONTEXT, 0))
        windows = np.stack([padded[n * WINDOW : (n + 1) * WINDOW + CONTEXT] for n in range(len(probabilities))])
        state = np.zeros((1, 1, 128), np.float32)
        wanted = session.run(None, {"input": windows, "h": state, "c": state})[0]
        np.testing.assert_allclose(probabilities, wanted, rtol=0, atol=2e-5)
    known = data.labels >= 0
    assert roc_area(np.asarray(found)[known], data.labels[known]) > 0.95
    chip = amsim.deploy(network, params, circuits.Exact())
    np.testing.assert_allclose(chip(data.inputs), found, rtol=0, atol=1e-5)
    assert [row.inside for row in chip.sites() if row.name.startswith("onnx::LSTM_210")] == ["scan of 50"]


# Wake words.


@needs("alexa")
def test_keyword_network_equals_tensorflow_lite():
    # The published arithmetic rounds sums of integers half up, this one half to even.
    from pymicro_wakeword import MicroWakeWord, Model

    for name in ("alexa", "hey_mycroft"):
        network, params = published.load_wake_word(name)
        speech = synthetic_speech(name.replace("_", " "), "en-us")
        features = speech_features(np.pad(speech, (12000, 6000)))
        reference = MicroWakeWord.from_builtin(Model(name))
        reference.sliding_window_size, reference._probabilities = 1, deque(maxlen=1)
        wanted = [reference.process_streaming_prob(frame.reshape(1, 1, -1)) for frame in features][2::3]
        found = jax.jit(network.__call__)(params, features[np.newaxis])[0]
        assert np.max(wanted) > 0.9
        assert np.mean(np.abs(found - np.array(wanted))) < 1 / 256
        # On a steep flank one rounding more or less moves an output by several levels.
        np.testing.assert_allclose(found, wanted, rtol=0, atol=24 / 256)


@needs("alexa")
def test_keyword_network_keeps_its_outputs_on_hardware():
    network, params = published.load_wake_word("alexa")
    data = published.wake_word_split("alexa", voices=2, sentences=1, seconds=1.8)
    plain = jax.jit(network.__call__)(params, data.inputs)
    assert plain.shape == (10, data.inputs.shape[1] // network.stride)
    chip = amsim.deploy(network, params, circuits.MultiPrecision(weight_bits=8, input_bits=16))
    # Its weights have 8 bits; its inputs have zero points, which 8 bits without one cannot meet.
    # As beside TFLite: a sum on the other side of a rounding moves what follows; which ones are depends on the speech,
    # whose synthesiser keeps a state from call to call.
    assert np.mean(np.abs(chip(data.inputs) - plain)) < 0.1 / 256
    np.testing.assert_allclose(chip(data.inputs), plain, rtol=0, atol=24 / 256)
    score = np.asarray(network.score(params, data.inputs))
    assert score[:2].min() > score[2:].max() or roc_area(score, data.labels) > 0.9
    gradient = jax.grad(lambda p: jnp.sum(network(p, data.inputs[:1])))(params)
    exact = jax.grad(lambda p: jnp.sum(amsim.deploy(network, p, circuits.Exact())(data.inputs[:1])))(params)
    leaves_close(exact, gradient, 1e-4)
    assert float(jnp.max(jnp.abs(gradient["conv1"]["kernel"]))) > 0
    with pytest.raises(ValueError, match="`features`"):
        network(params, data.inputs[:, :2])


def test_which_packages_are_missing_is_said():
    missing = published.missing_packages("silero_vad")
    assert ("silero-vad==6.2.3" in missing) == (find_spec("silero_vad") is None)
