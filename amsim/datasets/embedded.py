"""Data files inside the package."""

import io
from importlib import resources

import numpy as np

from amsim.datasets.split import check_sha256


def embedded_arrays(name: str, sha256: str) -> dict[str, np.ndarray]:
    """Arrays of a data file inside the package.

    Raises:
        CorruptFileError: The file is not the one that this version of amsim was made with.
    """
    file = resources.files("amsim.datasets").joinpath("files", name)
    raw = file.read_bytes()
    check_sha256(str(file), raw, sha256, "the file that this version of amsim was made with")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return dict(arrays)
