"""The voice cascade on real speech: a wake-word detector, an LSTM of the ten digits, and who speaks.

Items are recordings of the Free Spoken Digit Dataset inside amsim, one per second. The event is a wake word spoken by
the owner. All chips are the 65 nm low-power units of `amsim.chips.laika2018`, each with memories of its network's size.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Int

from amsim.cascade.chain import Cascade
from amsim.cascade.stage import Stage
from amsim.cascade.stated_numbers import VOICE
from amsim.chips.audio import laika2018, vocell2019
from amsim.circuits.checks import at_least_one, integer_between, integers_from_one, number_between, shown
from amsim.circuits.technology.dram import Dram
from amsim.datasets.split import Dataset, Split
from amsim.datasets.spoken_digits import CLASSES, SPEAKERS, SpokenRecordings, recordings_with_speakers
from amsim.deployment.chip import Chip
from amsim.deployment.front_door import deploy
from amsim.networks.quantised import Params
from amsim.networks.sequence_network import SequenceNetwork
from amsim.progress import Progress
from amsim.recognition.memory import with_memories
from amsim.recognition.mixtures import fit_mixtures, speaker_log_likelihoods
from amsim.recognition.recogniser import Recogniser, thresholds_for_recall
from amsim.system.accelerator import Accelerator
from amsim.training.reference_networks import train

WAKE_WORDS = (0, 7)
"""Digits that wake the cascade: the two of two syllables."""

DETECTOR = SequenceNetwork("temporal-convolution", width=16, depth=2, bits=4, classes=2)
"""Always-on detector: "a wake word" or not, 4 bit."""

WORDS = SequenceNetwork("lstm", width=64, depth=1, bits=4)
"""Recognition of the ten digits, 4 bit."""

MIXTURE_BITS = 8

CHOOSING = 5
"""One of so many training recordings trains nothing and chooses thresholds."""

STAGES = ("keyword detection", "word recognition", "speaker identification")


class VoiceNetworks(NamedTuple):
    """Trained stages, before an owner is chosen.

    Attributes:
        detector: Parameters of `DETECTOR`.
        words: Parameters of `WORDS`.
        mixtures: Parameters of all speakers' mixtures.
        wake_words: Digits that are wake words.
        new_speaker: Pseudo-speaker that both networks never heard; None if they heard all.
        choosing: Recordings that trained nothing and choose thresholds.
        test: Recordings that test.
    """

    detector: Params
    words: Params
    mixtures: dict[str, Array]
    wake_words: tuple[int, ...]
    new_speaker: int | None
    choosing: SpokenRecordings
    test: SpokenRecordings


def train_voice_networks(
    *,
    wake_words: tuple[int, ...] = WAKE_WORDS,
    new_speaker: int | None = None,
    epochs: int = 20,
    gaussians: int = 8,
    seed: int = 0,
    progress: bool | Progress | None = None,
) -> VoiceNetworks:
    """Train the three stages on the spoken digits inside amsim; a minute or two.

    Of the 2400 training recordings every fifth trains nothing: it chooses thresholds. The 600 test recordings are those
    of `load_dataset("spoken-digits")` in both cases.

    Args:
        wake_words: Digits that wake the cascade.
        new_speaker: None: detector and words learn from recordings of all six pseudo-speakers, and are tested on others
            of the same ("random" division). A pseudo-speaker 1 to 6: they never hear this one. The mixtures of speakers
            learn from all in both cases, since who is to be identified has to be enrolled.
        epochs: Passes over the recordings, of both networks.
        gaussians: Gaussians per speaker.
        seed: Of weights, order and noise.
        progress: As in `amsim.training.train`.

    Returns:
        The trained stages, for `voice_recogniser`.

    Raises:
        ValueError: Wake words that are not some of the ten digits, an unknown speaker, or a count below 1.
    """
    words = _checked_words(wake_words)
    at_least_one(epochs=epochs, gaussians=gaussians)
    integer_between("seed", seed, 0, 2**32 - 1)
    if new_speaker is not None:
        integer_between("new_speaker", new_speaker, 1, SPEAKERS)
    training, test = recordings_with_speakers(new_speaker)
    chooses = np.arange(len(training.digits)) % CHOOSING == CHOOSING - 1
    enrolled, choosing = training.part(~chooses), training.part(chooses)
    heard = enrolled.part(enrolled.speakers != (new_speaker or 0))
    known = choosing.part(choosing.speakers != (new_speaker or 0))
    settings: dict[str, Any] = {"epochs": epochs, "seed": seed, "progress": progress}
    wakes = [Split(one.inputs, _is_wake_word(one, words)) for one in (heard, known)]
    name = "spoken-digits" if new_speaker is None else f"spoken-digits without speaker {new_speaker}"
    detector = train(DETECTOR, Dataset(name, wakes[0], wakes[1], ("other", "wake word"), name), **settings)
    recognition = train(
        WORDS,
        Dataset(name, Split(heard.inputs, heard.digits), Split(known.inputs, known.digits), CLASSES, name),
        **settings,
    )
    mixtures = fit_mixtures(enrolled.inputs, enrolled.speakers, gaussians=gaussians, seed=seed)
    return VoiceNetworks(detector.params, recognition.params, mixtures, words, new_speaker, choosing, test)


def voice_recogniser(
    networks: VoiceNetworks, owner: int = 1, *, recall: float = 0.95, gated: bool = True
) -> Recogniser:
    """The voice cascade of one owner, with thresholds that pass most of each stage's own events.

    Thresholds: detector and words pass a fraction `recall` of the wake words of the choosing recordings that are of
    speakers whom they heard; identification passes that fraction of the owner's choosing recordings.

    Args:
        networks: As from `train_voice_networks`.
        owner: Pseudo-speaker 1 to 6 whose wake words are the events.
        recall: Of each stage, above 0 and at most 1.
        gated: Whether the speaker stage is off between its items and reloads its weights from a memory outside (20 pJ
            per bit, `Dram`'s default); else it leaks all the time.

    Returns:
        Cascade and data. Stage by stage, `test_stages` are: wake word, wake word, owner whatever the word.

    Raises:
        ValueError: An unknown owner, or a fraction out of range.
    """
    integer_between("owner", owner, 1, SPEAKERS)
    number_between("recall", recall, 1e-9, 1.0)
    cascade = _voice_cascade(networks, owner, gated)
    labels = [_stage_labels(networks, one, owner) for one in (networks.choosing, networks.test)]
    choosing, test = (
        Split(one.inputs, (_is_wake_word(one, networks.wake_words) * (one.speakers == owner)).astype(np.int32))
        for one in (networks.choosing, networks.test)
    )
    # A speaker whom the networks never heard tunes nothing of theirs either.
    unheard = networks.choosing.speakers == (networks.new_speaker or 0)
    for name in STAGES[:2]:
        labels[0][name] = np.where(unheard, 0, labels[0][name])
    chosen = cascade.with_thresholds(thresholds_for_recall(cascade, choosing.inputs, labels[0], recall))
    return Recogniser(chosen, choosing, test, labels[0], labels[1])


def _voice_cascade(networks: VoiceNetworks, owner: int, gated: bool) -> Cascade:
    wake: dict[str, Any] = {name: VOICE[name].value for name in ("wake_up_energy", "wake_up_latency")}
    wakes = networks.wake_words
    known = np.asarray(networks.mixtures["speakers"]).tolist()

    def wake_word_margin(logits: Any) -> Any:
        """Largest logit of a wake word less the largest of another."""
        others = [digit for digit in range(len(CLASSES)) if digit not in wakes]
        return logits[:, list(wakes)].max(axis=1) - logits[:, others].max(axis=1)

    chips = [
        deploy(DETECTOR, networks.detector, _hardware(DETECTOR, laika2018(4, rate=None))),
        deploy(WORDS, networks.words, _hardware(WORDS, laika2018(4, rate=None))),
        mixture_chip(networks.mixtures),
    ]
    stages = [
        Stage(STAGES[0], chips[0], score=1, rate=VOICE["window_rate"].value),
        Stage(STAGES[1], chips[1], score=wake_word_margin, **wake),
        Stage(
            STAGES[2], chips[2], score=known.index(owner),
            keeps_memory=not gated, reload_from=Dram() if gated else None, **wake,
        ),
    ]  # fmt: skip
    return Cascade(stages, other_power={"microphone front end": VOICE["front_end"].value})


def _hardware(network: SequenceNetwork, accelerator: Accelerator) -> Accelerator:
    """Units with memories of the network: its weights, and twice the largest product's inputs of all frames."""
    weights = sum(math.prod(shape) for shape in network.kernel_shapes.values()) * network.bits
    widest = max([math.prod(network.input_shape), network.input_shape[0] * 4 * network.width])
    return with_memories(accelerator, weights=weights, activations=2 * 8 * widest)


def mixture_chip(mixtures: dict[str, Array]) -> Chip:
    """The mixtures' product on 8-bit units, with memories of its size."""
    kernel, frames = np.shape(mixtures["kernel"]), DETECTOR.input_shape[0]
    activations = frames * (kernel[0] + kernel[1]) * MIXTURE_BITS
    chip = vocell2019(MIXTURE_BITS, rate=None)
    weights = kernel[0] * kernel[1] * MIXTURE_BITS
    sized = with_memories(chip, weights=weights, activations=activations, banks=(4, 1))
    return deploy(speaker_log_likelihoods, mixtures, sized)


def _is_wake_word(recordings: SpokenRecordings, words: tuple[int, ...]) -> Int[np.ndarray, " batch"]:
    return np.isin(recordings.digits, words).astype(np.int32)


def _stage_labels(networks: VoiceNetworks, recordings: SpokenRecordings, owner: int) -> dict[str, np.ndarray]:
    wakes = _is_wake_word(recordings, networks.wake_words)
    return {STAGES[0]: wakes, STAGES[1]: wakes, STAGES[2]: (recordings.speakers == owner).astype(np.int32)}


def _checked_words(wake_words: Any) -> tuple[int, ...]:
    if not isinstance(wake_words, tuple | list) or not 0 < len(set(wake_words)) < len(CLASSES):
        raise ValueError(f"Argument `wake_words` must be some of the digits 0 to 9, but is {shown(wake_words)}.")
    integers_from_one("wake_words", [one + 1 if isinstance(one, int) else one for one in wake_words])
    if max(wake_words) >= len(CLASSES):
        raise ValueError(f"Argument `wake_words` must be some of the digits 0 to 9, but is {shown(wake_words)}.")
    return tuple(sorted(set(wake_words)))
