"""Spoken digits inside the package: cepstral coefficients of real recordings, divided at random or by speaker."""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from amsim.datasets.embedded import embedded_arrays
from amsim.datasets.split import Dataset, fixed_split

FRAMES = 32
"""Frames of an item; 2 % of the recordings are longer, and their last frames are left out."""

SPEAKERS = 6

SHA256 = "347592647a39698a9698d165b9a889d7d0445ae21d49604a8244ead8242c68c7"
"""Of the file that docs/make_spoken_digits.py writes."""

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SOURCE = "coefficients of the Free Spoken Digit Dataset (CC BY-SA 4.0) inside amsim"


def load_spoken_digits(name: str, speaker: int | None = None) -> Dataset:
    """Recordings of digits as sequences of coefficients, (32, 13) float32.

    Each coefficient has mean 0 and standard deviation 1 over the frames of the training part. A recording ends with the
    last frame: frames before it are 0, the mean.

    Args:
        name: Name of the set.
        speaker: Pseudo-speaker 1 to 6 whose recordings are the test part; None takes 60 random ones of each digit.

    Returns:
        The set: 2400 recordings to train with and 600 to test, or all of five pseudo-speakers and those of the sixth.

    Raises:
        amsim.datasets.split.CorruptFileError: The file is not the one that this version of amsim was made with.
    """
    arrays = _arrays()
    test = arrays["held_out"] if speaker is None else arrays["speakers"] == speaker
    lengths, labels = arrays["lengths"].astype(int), arrays["labels"]
    features = arrays["features"].astype(np.float32)
    inputs = _padded(_standardised(features, np.repeat(~test, lengths)), lengths)
    return Dataset(
        name, fixed_split(inputs[~test], labels[~test]), fixed_split(inputs[test], labels[test]), CLASSES, SOURCE
    )


class SpokenRecordings(NamedTuple):
    """Recordings of digits with who speaks.

    Attributes:
        inputs: Coefficients, as of `load_dataset("spoken-digits")`; frames before a recording are 0.
        digits: Digit of each recording.
        speakers: Pseudo-speaker of each recording, 1 to 6.
    """

    inputs: Float[np.ndarray, "batch frames coefficients"]
    digits: Int[np.ndarray, " batch"]
    speakers: Int[np.ndarray, " batch"]

    def part(self, chosen: Bool[np.ndarray, " batch"]) -> "SpokenRecordings":
        """Some of the recordings, in their order."""
        return SpokenRecordings(*(array[chosen] for array in self))


def recordings_with_speakers(new_speaker: int | None = None) -> tuple[SpokenRecordings, SpokenRecordings]:
    """The 2400 training and 600 test recordings of "spoken-digits", with their speakers.

    Args:
        new_speaker: Pseudo-speaker whose training recordings do not count for the mean and deviation of the
            coefficients, since nothing is to be learnt from them; None counts all.
    """
    arrays = _arrays()
    test, speakers = arrays["held_out"], arrays["speakers"].astype(np.int32)
    lengths = arrays["lengths"].astype(int)
    known = ~test & (speakers != new_speaker)
    features = _standardised(arrays["features"].astype(np.float32), np.repeat(known, lengths))
    everything = SpokenRecordings(_padded(features, lengths), arrays["labels"].astype(np.int32), speakers)
    return everything.part(~test), everything.part(test)


@cache
def _arrays() -> dict[str, np.ndarray]:
    return embedded_arrays("spoken-digits.npz", SHA256)


def _standardised(
    features: Float[np.ndarray, "frames coefficients"], trained: Bool[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames coefficients"]:
    """Features with mean 0 and deviation 1 over the frames that are learnt from."""
    known = features[trained].astype(np.float64)
    return ((features - known.mean(axis=0)) / known.std(axis=0)).astype(np.float32)


def _padded(
    features: Float[np.ndarray, "frames coefficients"], lengths: Int[np.ndarray, " recordings"]
) -> Float[np.ndarray, "recordings window coefficients"]:
    """The first frames of each recording, at the end of a window."""
    found = np.zeros((len(lengths), FRAMES, features.shape[1]), np.float32)
    for item, recording in zip(found, np.split(features, np.cumsum(lengths)[:-1]), strict=True):
        part = recording[:FRAMES]
        item[FRAMES - len(part) :] = part
    return found
