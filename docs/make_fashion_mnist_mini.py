"""Make `amsim/datasets/files/fashion-mnist-mini.npz` from the full Fashion-MNIST.

Run it from the root of the repository as `python docs/make_fashion_mnist_mini.py [FOLDER]`, with FOLDER as for
`amsim.datasets.load.load_dataset("fashion-mnist", folder=FOLDER)`. It prints the SHA-256 that
`amsim/datasets/load.py` must name.

The archive carries no times, so the same pictures give the same file. (Another version of zlib may compress to other
bytes; the arrays inside do not depend on it.)
"""

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

from amsim import Split, load_dataset

TARGET = Path(__file__).parents[1] / "amsim" / "datasets" / "files" / "fashion-mnist-mini.npz"
SEED = 0
PER_CLASS = {"train": 400, "test": 200}


def choose(split: Split, per_class: int, generator: np.random.Generator) -> Split:
    """Draw `per_class` items of every class without replacement; they keep the order of the full set."""
    chosen = [
        generator.choice(np.flatnonzero(split.labels == label), per_class, replace=False)
        for label in np.unique(split.labels)
    ]
    return split[np.sort(np.concatenate(chosen))]


def make_arrays(folder: str | None = None) -> dict[str, np.ndarray]:
    """Choose both parts, each from the part of the same name of the full set."""
    full = load_dataset("fashion-mnist", folder=folder)
    generator = np.random.default_rng(SEED)
    arrays = {}
    for part, split in (("train", full.train), ("test", full.test)):
        chosen = choose(split, PER_CLASS[part], generator)
        arrays[f"{part}_images"] = chosen.inputs
        arrays[f"{part}_labels"] = chosen.labels.astype(np.uint8)
    return arrays


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Write an `.npz` archive as `numpy.savez_compressed` does, but with a fixed date and fixed permissions."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            members.writestr(member, content.getvalue(), compress_type=zipfile.ZIP_DEFLATED, compresslevel=9)
    return archive.getvalue()


if __name__ == "__main__":
    data = pack(make_arrays(sys.argv[1] if len(sys.argv) > 1 else None))
    TARGET.write_bytes(data)
    print(f"{TARGET}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
