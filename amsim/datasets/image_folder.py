"""Pictures in folders by class as labelled items: PNG, PGM and PPM, JPEG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amsim.datasets.split import Split

ENDINGS = (".png", ".pgm", ".ppm", ".jpg", ".jpeg")
_FORMATS = ("PNG", "PPM", "JPEG")  # no other of Pillow's readers, whatever a file says that it is

LARGEST_FOLDER = 2**30
"""Most bytes of all pixels of a folder."""

TRAIN, TEST = "train", "test"


def read_image_folder(folder: Path) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Labelled pictures of a folder: a sub-folder for each class, or `train` and `test` with such sub-folders.

    Classes are numbered in the order of their names. Pictures are all of one size and kind, 8 bits per number: grey
    ones, shape (height, width), or coloured ones, shape (height, width, 3). Other files are refused, hidden ones are
    left aside.

    Args:
        folder: The folder.

    Returns:
        Parts "train" and "test", or "all" where there is one alone; and the names of the classes.

    Raises:
        ValueError: No class or no picture, another file, pictures of several sizes or kinds, or more than
            `LARGEST_FOLDER`.
    """
    inside = _folders(folder)
    if {one.name for one in inside} == {TRAIN, TEST}:
        train, test = folder / TRAIN, folder / TEST
        classes = _classes(train)
        if _classes(test) != classes:
            raise ValueError(f"{test} must have the classes of {train}, {', '.join(classes)}, but has others.")
        return {TEST: _read(test, classes), TRAIN: _read(train, classes)}, classes
    classes = _classes(folder)
    return {"all": _read(folder, classes)}, classes


def _folders(folder: Path) -> list[Path]:
    found = [one for one in sorted(folder.iterdir()) if not one.name.startswith(".")]
    for one in found:
        if not one.is_dir():
            raise ValueError(f"{folder} must have a folder of pictures for each class, but has the file {one.name}.")
    return found


def _classes(folder: Path) -> tuple[str, ...]:
    names = tuple(one.name for one in _folders(folder))
    if len(names) < 2:
        raise ValueError(
            f"{folder} must have a folder of pictures for each of at least 2 classes, but has {len(names)}."
        )
    return names


def _read(folder: Path, classes: Sequence[str]) -> Split:
    images: list[np.ndarray] = []
    labels: list[int] = []
    total = 0
    for label, name in enumerate(classes):
        paths = [one for one in sorted((folder / name).iterdir()) if not one.name.startswith(".")]
        if not paths:
            raise ValueError(f"{folder / name} must have at least one picture, but is empty.")
        for path in paths:
            image = _picture(path)
            total += image.nbytes
            if total > LARGEST_FOLDER:
                raise ValueError(f"{folder} has pictures of more than {LARGEST_FOLDER} bytes.")
            if images and image.shape != images[0].shape:
                raise ValueError(
                    f"{folder} must have pictures of one size and kind, but {path.relative_to(folder)} has shape "
                    f"{image.shape} and the first one {images[0].shape}."
                )
            images.append(image)
            labels.append(label)
    return Split(np.stack(images), np.asarray(labels, np.int32))


def _picture(path: Path) -> np.ndarray:
    from PIL import Image

    if path.suffix.lower() not in ENDINGS or not path.is_file():
        raise ValueError(f"{path} is no picture; known are {', '.join(ENDINGS)}.")
    try:
        with Image.open(path, formats=_FORMATS) as file:
            if file.mode not in ("L", "P", "RGB"):
                raise ValueError(f"its kind {file.mode!r} is neither grey nor coloured with 8 bits per number")
            return np.asarray(file.convert("RGB") if file.mode == "P" else file, np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {str(error).rstrip('.')}.") from None
