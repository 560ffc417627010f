"""Data sets by name: small ones inside the package, and readers for the full sets that a user has on disk.

Nothing is fetched from anywhere, and nothing in a data file can run code. A file with other content is
refused rather than repaired: results carry the name of the data set, so one name must always mean the same items.
"""

import difflib
import gzip
import os
import reprlib
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from amsim.datasets import cifar_batch as _cifar_batch
from amsim.datasets.embedded import embedded_arrays
from amsim.datasets.split import CorruptFileError, Dataset, check_sha256, fixed_split
from amsim.datasets.spoken_digits import SPEAKERS, load_spoken_digits
from amsim.files.path_argument import checked_path
from amsim.files.regular_file import open_regular_file, read_regular_file

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_dataset(name: str = "fashion-mnist-mini", *, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set by name.

    | name | train / test | inputs | where from |
    | --- | --- | --- | --- |
    | `fashion-mnist-mini` | 4000 / 2000 | (28, 28) | inside the package; every class equally often |
    | `spoken-digits` | 2400 / 600 | (32, 13) | inside the package; 60 random recordings of each digit to test |
    | `spoken-digits-new-speaker-1` to `-6` | 2500 / 500 | (32, 13) | the same; one pseudo-speaker to test |
    | `fashion-mnist` | 60000 / 10000 | (28, 28) | a folder of the four published `.gz` files |
    | `cifar-10` | 50000 / 10000 | (32, 32, 3) | a folder of the unpacked binary or Python version |

    With no `folder`, the folder that the environment variable `AMSIM_DATA` names is searched, then, for Fashion-MNIST,
    where Debian's package `dataset-fashion-mnist` puts it. Files may lie in the folder itself or in a sub-folder with
    the set's name (CIFAR-10: or the archive's, `cifar-10-batches-bin` or `cifar-10-batches-py`). Of the two versions
    of CIFAR-10 the binary one is preferred.

    Spoken digits are 13 mel-frequency cepstral coefficients of 32 frames of the Free Spoken Digit Dataset, float32,
    standardised on the training part. They come without speakers: a pseudo-speaker is a cluster of alike recordings,
    498 to 502 in number with 47 to 52 of each digit, where the set has 500 and 50.

    Args:
        name: One of the names above.
        folder: Where the files of a full set are; not for a set inside the package.

    Returns:
        The set, pictures uint8 and labels int32. Fashion-MNIST is checked against the published content by
        SHA-256; CIFAR-10 by sizes, label range and the published number of pictures per class.

    Raises:
        ValueError: The name is unknown, or a folder is given for a set inside the package.
        FileNotFoundError: Files are missing; the text says which, where they were sought and how to get them.
        CorruptFileError: A file does not hold what it should.
    """
    if not isinstance(name, str) or name not in _LOADERS:
        close = difflib.get_close_matches(str(name).lower().replace("_", "-"), _LOADERS, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Argument `name` must be one of {', '.join(map(repr, _LOADERS))}, but is {reprlib.repr(name)}.{hint}"
        )
    return _LOADERS[name](None if folder is None else checked_path("folder", folder))


# --- Fashion-MNIST, the part inside the package ---------------------------------------------------------------------

# Of the file that docs/make_fashion_mnist_mini.py writes.
MINI_SHA256 = "8f6ea60fe981c63aa9abab6d7d4908d9ede49e8b7e2e8c58a5e22f312b9eb1ad"


def _load_mini(folder: Path | None) -> Dataset:
    name = "fashion-mnist-mini"
    _check_no_folder(name, folder)
    arrays = embedded_arrays("fashion-mnist-mini.npz", MINI_SHA256)
    train, test = (fixed_split(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test"))
    return Dataset(name, train, test, FASHION_CLASSES, "subset of Fashion-MNIST (Zalando SE, MIT) inside amsim")


def _load_speech(name: str, speaker: int | None, folder: Path | None) -> Dataset:
    _check_no_folder(name, folder)
    return load_spoken_digits(name, speaker)


def _check_no_folder(name: str, folder: Path | None) -> None:
    if folder is not None:
        raise ValueError(f"Argument `folder` must be None for {name!r}, which is inside the package, but is {folder}.")


# --- Fashion-MNIST, in full -----------------------------------------------------------------------------------------

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class IdxFile:
    """A gzip-compressed file in the IDX format: the shape of its bytes and the SHA-256 of its decompressed content.

    Attributes:
        name: Of the file.
        shape: Of its bytes.
        sha256: Hash of the decompressed content, hexadecimal.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str


# The hashes are of the decompressed files: to compress the same content again is legitimate.
FASHION_FILES = (
    IdxFile(
        "train-images-idx3-ubyte.gz",
        (60000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    IdxFile("train-labels-idx1-ubyte.gz", (60000,), "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    IdxFile(
        "t10k-images-idx3-ubyte.gz",
        (10000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    IdxFile("t10k-labels-idx1-ubyte.gz", (10000,), "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
)


def _load_fashion(folder: Path | None) -> Dataset:
    name = "fashion-mnist"
    advice = (
        "On Debian, install the package dataset-fashion-mnist; elsewhere put the four files of Fashion-MNIST into a "
        "folder and pass it as `folder` or name it in the environment variable AMSIM_DATA."
    )
    system = () if folder is not None else (DEBIAN_FOLDER,)
    places = (*_places(folder, (name,)), *system)
    place, _ = _find("Fashion-MNIST", places, (tuple(file.name for file in FASHION_FILES),), advice)
    arrays = [_read_idx(place / file.name, file) for file in FASHION_FILES]
    return Dataset(
        name, fixed_split(*arrays[:2]), fixed_split(*arrays[2:]), FASHION_CLASSES, f"Fashion-MNIST from {place}"
    )


def _read_idx(path: Path, file: IdxFile) -> UInt8[np.ndarray, "..."]:
    """Read an IDX file: two zero bytes, 8 for unsigned bytes, the number of axes, big-endian sizes, then the bytes."""
    header = struct.pack(f">HBB{len(file.shape)}I", 0, 8, len(file.shape), *file.shape)
    size = len(header) + int(np.prod(file.shape))
    try:
        with open_regular_file(path) as packed, gzip.open(packed) as stream:
            raw = stream.read(size + 1)  # never more than this, whatever the file would decompress to
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorruptFileError(path, f"is not a complete gzip file ({error})") from error
    if raw[:4] != header[:4]:
        found = raw[:4].hex() or "nothing"
        raise CorruptFileError(path, f"must start with the IDX magic number {header[:4].hex()}, not {found}")
    if len(raw) >= len(header) and raw[: len(header)] != header:
        shape = struct.unpack_from(f">{len(file.shape)}I", raw, 4)
        raise CorruptFileError(path, f"must have the shape {file.shape}, but its header says {shape}")
    if len(raw) != size:
        held = "more" if len(raw) > size else len(raw)
        raise CorruptFileError(path, f"must hold {size} bytes once decompressed, but holds {held}")
    check_sha256(path, raw, file.sha256, "the published Fashion-MNIST")
    return np.frombuffer(raw, np.uint8, offset=len(header)).reshape(file.shape)


# --- CIFAR-10 -------------------------------------------------------------------------------------------------------

CIFAR_IMAGES_PER_FILE = 10000


def _load_cifar(folder: Path | None) -> Dataset:
    name = "cifar-10"
    advice = (
        "Unpack the published archive of CIFAR-10, its binary version (`.bin` files) or its Python version (the same "
        "names without `.bin`), and pass the folder as `folder` or name it in the environment variable AMSIM_DATA."
    )
    pickled = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    binary = tuple(f"{stem}.bin" for stem in pickled)
    places = _places(folder, (name, "cifar-10-batches-bin", "cifar-10-batches-py"))
    place, files = _find("CIFAR-10", places, (binary, pickled), advice)
    images, labels = zip(*(_read_cifar(place / file) for file in files), strict=True)
    train = fixed_split(np.concatenate(images[:-1]), np.concatenate(labels[:-1]))
    test = fixed_split(images[-1], labels[-1])
    for part, content in (("data_batch_1 to 5", train), ("test_batch", test)):
        occurrences = np.bincount(content.labels, minlength=len(CIFAR_CLASSES))
        if np.any(occurrences != len(content) // len(CIFAR_CLASSES)):
            raise CorruptFileError(place, f"{part} must hold every class equally often, not {occurrences} times")
    return Dataset(name, train, test, CIFAR_CLASSES, f"CIFAR-10 from {place}")


def _read_cifar(path: Path) -> _cifar_batch.Batch:
    count = CIFAR_IMAGES_PER_FILE
    binary = path.suffix == ".bin"
    limit = count * (_cifar_batch.BINARY_BYTES_PER_IMAGE if binary else _cifar_batch.PICKLED_BYTES_PER_IMAGE)
    if path.stat().st_size > limit:
        raise CorruptFileError(path, f"must have at most {limit} bytes, but has {path.stat().st_size}")
    parse = _cifar_batch.parse_binary if binary else _cifar_batch.parse_pickled
    try:
        return parse(read_regular_file(path, limit), count)
    except ValueError as error:
        raise CorruptFileError(path, str(error)) from error


# --- Shared ---------------------------------------------------------------------------------------------------------


def _places(folder: Path | None, below: Sequence[str]) -> list[Path]:
    """List the folders to search: `folder`, else the one that AMSIM_DATA names, each with its sub-folders `below`."""
    root = folder or os.environ.get("AMSIM_DATA")
    if not root:
        return []
    root = Path(root).expanduser()
    return [root, *(root / name for name in below)]


def _find(
    title: str, places: Sequence[Path], choices: Sequence[tuple[str, ...]], advice: str
) -> tuple[Path, tuple[str, ...]]:
    """Return the first place that holds all files of a choice, and that choice; an earlier choice goes first."""
    for names in choices:
        for place in places:
            if all((place / name).is_file() for name in names):
                return place, names
    lines = [f"{title} was not found. Looked in:"]
    for place in places:
        lacking = min(([name for name in names if not (place / name).is_file()] for names in choices), key=len)
        lines.append(f"  {place}: {'lacks ' + ', '.join(lacking) if place.is_dir() else 'no such folder'}")
    if not places:
        lines.append("  no folder: none was given, and the environment variable AMSIM_DATA is not set")
    raise FileNotFoundError("\n".join([*lines, advice]))


_LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "fashion-mnist-mini": _load_mini,
    "fashion-mnist": _load_fashion,
    "cifar-10": _load_cifar,
    "spoken-digits": partial(_load_speech, "spoken-digits", None),
    **{
        f"spoken-digits-new-speaker-{one}": partial(_load_speech, f"spoken-digits-new-speaker-{one}", one)
        for one in range(1, SPEAKERS + 1)
    },
}

DATASETS = tuple(_LOADERS)
"""Names that `load_dataset` knows."""
