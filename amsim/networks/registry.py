"""Reference networks by name."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from amsim.circuits.checks import one_of
from amsim.files.path_argument import checked_path
from amsim.networks.image_configuration import ImageConfiguration
from amsim.networks.quantised import Params
from amsim.networks.storage import Network, load_network

REFERENCES = {
    "binary-fashion": ImageConfiguration("reference", 64, bits=1, input_maps=16),
    "2-bit-fashion": ImageConfiguration("reference", 64, bits=2, input_maps=4),
    "4-bit-fashion": ImageConfiguration("reference", 64, bits=4, input_maps=1),
    "8-bit-fashion": ImageConfiguration("reference", 64, bits=8, input_maps=1),
}
"""Configurations of the reference networks, as members of the family of image networks."""

NETWORKS = {name: configuration.network for name, configuration in REFERENCES.items()}
"""Reference networks: one topology at four word lengths, trained on Fashion-MNIST."""


def load(name: str | Path) -> tuple[Network, Params]:
    """Reference network of a name, or network of a file.

    Args:
        name: One of `NETWORKS`, or the path of a file that ends in `.npz`.

    Returns:
        The network function `network(params, inputs) -> logits` and its parameters.

    Raises:
        ValueError: There is no such reference network.
        FileNotFoundError: There is no such file.
        amsim.networks.storage.CorruptNetworkError: The file is damaged.
    """
    return named_network("name", name)


def named_network(argument: str, name: Any) -> tuple[Network, Params]:
    """Network of a name or file; an error speaks of the argument."""
    text = str(checked_path(argument, name, "the name of a reference network or the path of a file"))
    if text.endswith(".npz"):
        return load_network(Path(text))
    one_of(argument, text, NETWORKS)
    with as_file(files("amsim.networks") / "weights" / f"{text}.npz") as path:
        return load_network(path)
