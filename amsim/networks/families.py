"""Families of trainable networks by the names that a command, a record and a grid give them."""

from typing import Any

from amsim.networks.image_configuration import ImageConfiguration
from amsim.networks.sequence_network import SequenceNetwork
from amsim.networks.storage import Network

Configuration = ImageConfiguration | SequenceNetwork

FAMILIES: dict[str, Any] = {"images": ImageConfiguration, "sequences": SequenceNetwork}
"""Class of each family's configurations."""


def network_of(configuration: Configuration) -> Network:
    """The network of a configuration."""
    return configuration.network if isinstance(configuration, ImageConfiguration) else configuration
