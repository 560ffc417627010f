"""Networks from elsewhere: ONNX and QONNX graphs, modules of PyTorch, models of Keras, weights of both."""

from amsim.foreign import published as published
from amsim.foreign.item_inputs import ItemNumbers as ItemNumbers
from amsim.foreign.keras_model import from_keras as from_keras
from amsim.foreign.layouts import from_torch_convolution as from_torch_convolution
from amsim.foreign.layouts import from_torch_linear as from_torch_linear
from amsim.foreign.onnx_network import OnnxNetwork as OnnxNetwork
from amsim.foreign.onnx_network import load_onnx as load_onnx
from amsim.foreign.torch_module import from_torch as from_torch
from amsim.foreign.weights import load_weights as load_weights
