"""Synthetic speech with labels, from installed packages, to test voice and keyword detectors on.

No package holds recordings of wake words, so a synthesiser says them: scores compare hardware with hardware on the same
sounds, and say nothing of how well a network does on people.
"""

import ctypes
import functools
from typing import Any

import numpy as np
from jaxtyping import Float, Int16
from scipy.signal import resample_poly

from amsim.circuits.checks import integer_between, number_between, one_of
from amsim.datasets.split import Split
from amsim.foreign.published.package_file import Package
from amsim.foreign.published.silero_vad import WINDOW
from amsim.foreign.published.wake_word import WAKE_WORDS

ESPEAK = Package("espeakng_loader", "espeakng-loader==0.2.4")
FRONT_END = Package("pymicro_features", "pymicro-features==2.0.2")

RATE = 16_000
"""Samples per second."""

VOICES = tuple(
    f"{accent}{speaker}"
    for speaker in ("", "+f3", "+m3", "+f2", "+m1", "+f5", "+m7", "+f4", "+m2", "+f1", "+m6", "+m8")
    for accent in ("en-us", "en-gb-x-rp", "en-gb-scotland")
)
"""Voices of the synthesiser: each of twelve speakers in three accents."""

SPOKEN = {"alexa": "alexa", "hey_jarvis": "hey jarvis", "hey_mycroft": "hey mycroft", "okay_nabu": "okay nah boo"}
"""Text for the synthesiser, by wake word."""

SENTENCES = (
    "the weather is fine today", "okay now what", "a lecture on physics", "hey charlie come here", "my soft coat",
    "turn on the kitchen light", "alas a relic", "hey jar of honey", "open a new bottle", "seven minutes past nine",
)  # fmt: skip
"""Sentences without a wake word, some of them close in sound."""

_BACKGROUND = 20.0
"""Root mean square of the noise under every clip, steps of 16-bit audio."""
_RETRIEVE, _RATE_PARAMETER, _UTF8 = 2, 1, 1  # of speak_lib.h


def synthetic_speech(text: str, voice: str, *, speed: int = 150) -> Int16[np.ndarray, " samples"]:
    """Speech of eSpeak NG at 16 kHz.

    Args:
        text: English.
        voice: One of `VOICES`, or another of the synthesiser's.
        speed: Words a minute.

    Raises:
        ImportError: The package `espeakng-loader` is not installed.
        ValueError: The synthesiser does not have the voice.
    """
    library, rate, chunks, _ = _synthesiser()
    chunks.clear()
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"Argument `voice` must be a voice of eSpeak NG, but is {voice!r}.")
    library.espeak_SetParameter(_RATE_PARAMETER, speed, 0)
    content = text.encode() + b"\0"
    library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    common = np.gcd(rate, RATE)
    sound = resample_poly(np.concatenate(chunks).astype(float), RATE // common, rate // common)
    return np.clip(np.round(sound), -(2**15), 2**15 - 1).astype(np.int16)


@functools.cache
def _synthesiser() -> tuple[Any, int, list[np.ndarray], Any]:
    """Library, its sample rate, the list that collects pieces of sound, and the callback that fills it."""
    ESPEAK.folder()  # raises where it is not installed
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    chunks: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def take(sound: Any, count: int, _: Any) -> int:
        if sound and count > 0:
            chunks.append(np.ctypeslib.as_array(sound, (count,)).copy())
        return 0

    rate = library.espeak_Initialize(_RETRIEVE, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0:
        raise RuntimeError(f"eSpeak NG does not start: it answers {rate}.")
    library.espeak_SetSynthCallback(take)
    # The callback is kept, so that it lives as long as the library.
    return library, rate, chunks, take


def speech_features(audio: Int16[np.ndarray, " samples"]) -> Float[np.ndarray, "frames 40"]:
    """Features that the keyword networks were trained on: 40 bands, noise removed, one frame every 10 ms.

    Args:
        audio: At 16 kHz.

    Raises:
        ImportError: The package `pymicro-features` is not installed.
    """
    FRONT_END.folder()  # raises where it is not installed
    from pymicro_features import MicroFrontend

    front_end = MicroFrontend()
    front_end.reset()
    frames = [front_end.process_samples(audio[start : start + 160].tobytes()).features
              for start in range(0, len(audio) - 159, 160)]  # fmt: skip
    return np.array([frame for frame in frames if frame], np.float32)


def wake_word_split(name: str, *, voices: int = 12, sentences: int = 6, seconds: float = 2.4, seed: int = 0) -> Split:
    """Features of a wake word (label 1), the others and further sentences (label 0), each in every voice.

    Args:
        name: One of `WAKE_WORDS`.
        voices: The first so many of `VOICES`.
        sentences: The first so many of `SENTENCES`.
        seconds: Length of a clip; speech starts after 0.8 s of background, and longer sentences are cut off.
        seed: Of the background noise.

    Returns:
        Features of shape (clip, frames, 40) and labels of shape (clip,).

    Raises:
        ImportError: A package is not installed.
        ValueError: The name is unknown, or a number is out of range.
    """
    one_of("name", name, WAKE_WORDS)
    integer_between("sentences", sentences, 0, len(SENTENCES))
    _check_clips(voices, seconds, seed)
    texts = [SPOKEN[name], *(text for other, text in SPOKEN.items() if other != name), *SENTENCES[:sentences]]
    draws = np.random.default_rng(seed)
    clips = [
        speech_features(_clip(synthetic_speech(text, voice), 0.8, seconds, draws))
        for text in texts
        for voice in VOICES[:voices]
    ]
    labels = np.repeat([1, 0], [voices, voices * (len(texts) - 1)]).astype(np.int32)
    return Split(np.stack(clips), labels)


def voice_split(*, voices: int = 6, seconds: float = 2.56, noise: float = 10.0, seed: int = 0) -> Split:
    """Speech in noise, with a label for each window of the voice detector.

    A window is speech (1) where the clean sound is within 30 dB of the clip's loudest window, silence (0) where it is
    more than 60 dB below, and left out (-1) between, where either answer is right.

    Args:
        voices: The first so many of `VOICES`, each with as many sentences as there are.
        seconds: Length of a clip; speech starts after 0.8 s.
        noise: Signal over noise while speaking, dB; half of the noise's power is white, half falls as 1/f.
        seed: Of the noise.

    Returns:
        Audio of shape (clip, samples), -1 to 1, and labels of shape (clip, windows).

    Raises:
        ImportError: A package is not installed.
        ValueError: A number is out of range.
    """
    _check_clips(voices, seconds, seed)
    number_between("noise", noise, -100.0, 200.0)
    draws = np.random.default_rng(seed)
    sounds, labels = [], []
    for index, voice in enumerate(VOICES[:voices]):
        clean = _clip(synthetic_speech(SENTENCES[index % len(SENTENCES)], voice), 0.8, seconds, None).astype(float)
        windows = clean[: len(clean) // WINDOW * WINDOW].reshape(-1, WINDOW)
        power = np.mean(windows**2, axis=1)
        level = 10 * np.log10(np.maximum(power / power.max(), 1e-12))
        labels.append(np.where(level > -30, 1, np.where(level < -60, 0, -1)))
        speaking = np.mean(power[level > -30])
        sounds.append(clean + np.sqrt(speaking * 10 ** (-noise / 10)) * _noise(len(clean), draws))
    audio = np.stack(sounds) / 2**15
    return Split(
        (audio / np.max(np.abs(audio), axis=1, keepdims=True) / 2).astype(np.float32), np.array(labels, np.int32)
    )


def _check_clips(voices: Any, seconds: Any, seed: Any) -> None:
    integer_between("voices", voices, 1, len(VOICES))
    # Speech starts after 0.8 s.
    number_between("seconds", seconds, 1.0, 600.0)
    integer_between("seed", seed, 0, 2**32 - 1)


def _clip(speech: np.ndarray, start: float, seconds: float, draws: np.random.Generator | None) -> np.ndarray:
    sound = np.zeros(round(seconds * RATE))
    first = round(start * RATE)
    speech = speech[: len(sound) - first]
    sound[first : first + len(speech)] = speech
    if draws is not None:
        sound += _BACKGROUND * draws.standard_normal(len(sound))
    return np.clip(np.round(sound), -(2**15), 2**15 - 1).astype(np.int16)


def _noise(count: int, draws: np.random.Generator) -> np.ndarray:
    white, spectrum = draws.standard_normal(count), np.fft.rfft(draws.standard_normal(count))
    # Flat below 50 Hz, which no loudspeaker reproduces.
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.fft.rfftfreq(count, 1 / RATE), 50.0)), count)
    return (white + pink / pink.std()) / np.sqrt(2)
