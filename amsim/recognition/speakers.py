"""What speaker identification does with voices that it knows, and with those of nobody who is enrolled."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from amsim.circuits.checks import number_between, part_of
from amsim.deployment.chip import Chip
from amsim.recognition.mixtures import speaker_log_likelihoods
from amsim.recognition.voices import VoiceNetworks, mixture_chip


class SpeakerReport(NamedTuple):
    """Identification by the mixtures on the test recordings.

    Attributes:
        recordings: Number of test recordings.
        accuracy: Fraction given to the right one of the enrolled speakers, products on the macro.
        reference_accuracy: The same in float32.
        known_accepted: Fraction of the other enrolled speakers' recordings that pass as an owner's, mean over owners,
            where the owner's own pass with the given recall.
        unknown_accepted: The same of speakers whose mixture is left out: voices that nobody enrolled.
    """

    recordings: int
    accuracy: float
    reference_accuracy: float
    known_accepted: float
    unknown_accepted: float


def speaker_report(networks: VoiceNetworks, *, recall: float = 0.95) -> SpeakerReport:
    """Identification of known voices, and acceptance of known and unknown others as the owner.

    A voice that is not enrolled cannot be identified; it can only be refused. Each speaker in turn is the owner, and
    each other one in turn is unknown: its mixture is left out of the comparison that the score makes. Thresholds pass
    a fraction `recall` of the owner's choosing recordings.

    Args:
        networks: As from `train_voice_networks`.
        recall: Of the owner's recordings, above 0 and at most 1.

    Raises:
        ValueError: Networks of another kind, or a fraction out of range.
    """
    part_of("networks", networks, VoiceNetworks)
    number_between("recall", recall, 1e-9, 1.0)
    chip = mixture_chip(networks.mixtures)
    test, choosing = (_values(chip, one.inputs) for one in (networks.test, networks.choosing))
    plain = jax.jit(speaker_log_likelihoods)(networks.mixtures, jnp.asarray(networks.test.inputs))
    names = np.asarray(networks.mixtures["speakers"])
    place = np.searchsorted(names, networks.test.speakers)
    known, unknown = [], []
    for owner in range(len(names)):
        own = networks.choosing.speakers == names[owner]
        everyone = [one for one in range(len(names)) if one != owner]
        for other in everyone:
            # The threshold is that of the whole system, since who is unknown cannot have changed it.
            threshold = np.quantile(_margin(choosing[own], owner, everyone), 1 - recall)
            left = [one for one in everyone if one != other]
            theirs = test[place == other]
            known.append((_margin(theirs, owner, everyone) > threshold).mean())
            unknown.append((_margin(theirs, owner, left) > threshold).mean())
    return SpeakerReport(
        len(place), float((test.argmax(1) == place).mean()), float((np.asarray(plain).argmax(1) == place).mean()),
        float(np.mean(known)), float(np.mean(unknown)),
    )  # fmt: skip


def _margin(values: Float[np.ndarray, "batch speakers"], owner: int, others: list[int]) -> Float[np.ndarray, " batch"]:
    return values[:, owner] - values[:, others].max(axis=1)


def _values(chip: Chip, inputs: Float[np.ndarray, "batch frames features"]) -> Float[np.ndarray, "batch speakers"]:
    return np.asarray(chip(inputs), float)
