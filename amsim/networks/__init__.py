"""Reference networks and their trained weights, and the families of networks that they belong to."""

from amsim.networks.image_configuration import ImageConfiguration as ImageConfiguration
from amsim.networks.image_network import ConvolutionLayer as ConvolutionLayer
from amsim.networks.image_network import ImageNetwork as ImageNetwork
from amsim.networks.registry import NETWORKS as NETWORKS
from amsim.networks.registry import load as load
from amsim.networks.sequence_network import SequenceNetwork as SequenceNetwork
from amsim.networks.storage import CorruptNetworkError as CorruptNetworkError
from amsim.networks.storage import load_network as load_network
from amsim.networks.storage import save_network as save_network
