"""Networks as layer shapes: building blocks and published networks."""

from amsim.workloads.layers import Layer as Layer
from amsim.workloads.layers import Padding as Padding
from amsim.workloads.layers import Workload as Workload
from amsim.workloads.layers import convolution as convolution
from amsim.workloads.layers import dense as dense
from amsim.workloads.networks import alexnet as alexnet
from amsim.workloads.networks import binary_image_network as binary_image_network
from amsim.workloads.networks import lstm_keyword_spotter as lstm_keyword_spotter
from amsim.workloads.networks import quantised_image_network as quantised_image_network
from amsim.workloads.networks import vgg16 as vgg16
