"""ONNX operators as JAX functions; importing the package fills their registry."""

from amsim.foreign.operators import activations as activations
from amsim.foreign.operators import convolution as convolution
from amsim.foreign.operators import dense as dense
from amsim.foreign.operators import elementwise as elementwise
from amsim.foreign.operators import indexing as indexing
from amsim.foreign.operators import integer_products as integer_products
from amsim.foreign.operators import pooling as pooling
from amsim.foreign.operators import quantisation as quantisation
from amsim.foreign.operators import quantised_layers as quantised_layers
from amsim.foreign.operators import recurrent as recurrent
from amsim.foreign.operators import reduction as reduction
from amsim.foreign.operators import resizing as resizing
from amsim.foreign.operators import shapes as shapes
