"""Small convolutional image classifiers of 1 to 16 bits or float32, in the style of the published chips and others."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from amsim.circuits.checks import integer_between, integers_from_one, one_of, part_of, truth_values
from amsim.networks.quantised import FLOAT as FLOAT
from amsim.networks.quantised import VARIANCE_FLOOR as VARIANCE_FLOOR
from amsim.networks.quantised import (
    Params,
    Statistics,
    encoded,
    initial_layer,
    initial_scale,
    normalised,
    pooled,
    quantised_activations,
    quantised_weights,
)
from amsim.networks.quantised import plain_convolution as plain_convolution
from amsim.networks.quantised_network import MOST_INPUT_MAPS, QuantisedNetwork

Convolution = Callable[[Array, Array, int, bool, int], Array]
"""Convolution of inputs with a kernel, a stride, whether zeros keep the size, and groups."""

POOLINGS = ("max", "average")


class ConvolutionLayer(NamedTuple):
    """Convolution layer with a square kernel, followed by batch normalisation, activation and pooling.

    Attributes:
        kernel: Side of the kernel.
        stride: Along both axes.
        filters: Number of output maps.
        pool: Side of the pooling window; 1 for no pooling.
        same: Whether zeros around the maps keep their size (divided by the stride).
        groups: Independent groups of maps; as many as input maps for a depthwise convolution.
        shortcut: Whether the quantised inputs of the layer are added to its normalised sums before the activation.
    """

    kernel: int
    stride: int
    filters: int
    pool: int
    same: bool = False
    groups: int = 1
    shortcut: bool = False


FASHION_LAYERS = (
    ConvolutionLayer(3, 2, 64, 1),
    ConvolutionLayer(2, 1, 64, 2),
    ConvolutionLayer(3, 1, 128, 1),
    ConvolutionLayer(2, 1, 128, 1),
    ConvolutionLayer(2, 1, 256, 1),
)


@dataclasses.dataclass(frozen=True)
class ImageNetwork(QuantisedNetwork):
    """Convolutional network with coded input, batch normalisation and quantised activations.

    At 1 bit weights and activations are -1 or +1. At B bits weights are `k / (2**(B-1) - 1)` clipped to -1..1 and
    activations `k / (2**B - 1)` clipped to 0..1; at 32, which stands for float32, weights are not rounded and
    activations are rectified. The range of an input pixel is cut into `input_maps` segments, each a map of its own with
    the activation's levels; at 1 bit that is the thermometer code of the published chips (facts 1.1).

    Attributes:
        bits: Bits of weights, 1 to 16, or 32 for float32.
        input_maps: Maps that encode one pixel, of each colour.
        layers: Convolution layers.
        classes: Number of outputs.
        input_shape: Height and width of an image, and its colours where there are several.
        activation_bits: Bits of activations; None is as weights.
        first_bits: Bits of both operands of the first layer; None is as all others.
        last_bits: Bits of both operands of the last layer, which is dense; None is as all others.
        input_bits: Bits of an input map; None is as the first layer's inputs.
        pooling: "max" of the activations of a window, or "average" of its sums before the activation, so that what
            the next layer reads is on its grid.

    Raises:
        ValueError: A word length or size out of range, groups that do not divide the maps, a shortcut around a layer
            that changes their size or number, or maps that become smaller than a kernel or vanish.
    """

    bits: int
    input_maps: int
    layers: tuple[ConvolutionLayer, ...] = FASHION_LAYERS
    classes: int = 10
    input_shape: tuple[int, ...] = (28, 28)
    activation_bits: int | None = None
    first_bits: int | None = None
    last_bits: int | None = None
    input_bits: int | None = None
    pooling: str = "max"

    def __post_init__(self) -> None:
        """Check word lengths and all sizes."""
        self._check_word_lengths()
        integer_between("input_maps", self.input_maps, 1, MOST_INPUT_MAPS)
        integer_between("classes", self.classes, 1)
        integers_from_one("input_shape", self.input_shape)
        if len(self.input_shape) not in (2, 3):
            raise ValueError(
                "Argument `input_shape` must be a height and a width, and colours where there are several, but is "
                f"{self.input_shape}."
            )
        one_of("pooling", self.pooling, POOLINGS)
        part_of("layers", self.layers, tuple)
        for layer in self.layers:
            part_of("layers", layer, ConvolutionLayer)
        _map_shapes(self)
        self._check_size("layers")

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of its layers, in the order of the flow, as sites have them."""
        return (*(f"conv{index}" for index in range(1, len(self.layers) + 1)), "dense")

    @property
    def kernel_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the weights of each layer, by its name."""
        shapes: dict[str, tuple[int, ...]] = {}
        maps = _map_shapes(self)
        for name, layer, (_, _, channels) in zip(self.layer_names, self.layers, maps, strict=False):
            shapes[name] = (layer.kernel, layer.kernel, channels // layer.groups, layer.filters)
        height, width, channels = maps[-1]
        return shapes | {"dense": (height * width * channels, self.classes)}

    def __call__(
        self, params: Params, inputs: Shaped[ArrayLike, "batch height width *colours"]
    ) -> Float[Array, "batch classes"]:
        """Logits of images, with the stored batch statistics."""
        return self.forward(params, inputs)[0]

    def forward(
        self,
        params: Params,
        inputs: Shaped[ArrayLike, "batch height width *colours"],
        *,
        batch_statistics: bool = False,
        convolution: Convolution = plain_convolution,
    ) -> tuple[Float[Array, "batch classes"], Statistics]:
        """Logits and the batch statistics that were used.

        Args:
            params: As from `initial_params`.
            inputs: Images, integers 0..255 or floats 0..1.
            batch_statistics: Normalise by the statistics of this batch (training) instead of the stored ones.
            convolution: Function that convolves; any of them gives the same result.
        """
        inputs = self._checked(inputs)
        used: Statistics = {}
        values, lengths = self.encode(inputs), list(self.word_lengths.values())
        for index, layer in enumerate(self.layers):
            name = self.layer_names[index]
            kernel = quantised_weights(params[name]["kernel"], lengths[index][0])
            sums = convolution(values, kernel, layer.stride, layer.same, layer.groups)
            sums, used[name] = normalised(sums, params[name], batch_statistics)
            sums = sums + values if layer.shortcut else sums
            bits = lengths[index + 1][1]
            if self.pooling == "average":
                values = quantised_activations(pooled(sums, layer.pool, "average"), bits)
            else:
                values = pooled(quantised_activations(sums, bits), layer.pool)
        flat = values.reshape(values.shape[0], -1)
        sums = flat @ quantised_weights(params["dense"]["kernel"], lengths[-1][0])
        logits, used["dense"] = normalised(sums, params["dense"], batch_statistics)
        return logits, used

    def encode(
        self, inputs: Shaped[ArrayLike, "batch height width *colours"]
    ) -> Float[Array, "batch height width maps"]:
        """Input maps of pixel segments: map m carries pixel values from m / maps to (m + 1) / maps, of each colour."""
        inputs = jnp.asarray(inputs)
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            pixels = inputs.astype(jnp.float32) / 255
        else:
            pixels = inputs.astype(jnp.float32)
        maps = encoded(pixels, self.input_maps, self.word_lengths[self.layer_names[0]][1])
        return maps if len(self.input_shape) == 2 else maps.reshape(*maps.shape[:3], -1)

    def quantised_weights(self, latent: Float[Array, "..."], layer: str | None = None) -> Float[Array, "..."]:
        """Weights on the grid of a layer, or that of layers without a word length of their own."""
        return quantised_weights(latent, self.bits if layer is None else self.word_lengths[layer][0])

    def quantised_activations(self, sums: Float[Array, "..."]) -> Float[Array, "..."]:
        """Activations on their grid; gradient straight through inside the range, 0 outside."""
        return quantised_activations(sums, self.bits if self.activation_bits is None else self.activation_bits)

    def initial_params(self, key: PRNGKeyArray) -> Params:
        """Uniform latent weights, unit statistics; activations start around the middle of their range."""
        shapes, lengths = self.kernel_shapes, list(self.word_lengths.values())
        keys = jax.random.split(key, len(shapes))
        params: Params = {}
        for index, name in enumerate(self.layer_names[:-1]):
            scale = initial_scale(lengths[index + 1][1])
            params[name] = initial_layer(keys[index], shapes[name], *scale, lengths[index][0])
        params["dense"] = initial_layer(keys[-1], shapes["dense"], 2.0, 0.0, lengths[-1][0])
        return params

    def augmented(self, inputs: Array, key: PRNGKeyArray) -> Array:
        """Images for training, each mirrored left to right with probability 1/2."""
        mirrored = jax.random.bernoulli(key, 0.5, (inputs.shape[0], *(1,) * (inputs.ndim - 1)))
        return jnp.where(mirrored, inputs[:, :, ::-1], inputs)


def _map_shapes(network: ImageNetwork) -> list[tuple[int, int, int]]:
    """Height, width and number of the maps that each layer reads, the dense one last; ValueError where they vanish."""
    height, width, *colours = network.input_shape
    shapes = [(height, width, network.input_maps * (colours[0] if colours else 1))]
    for number, layer in enumerate(network.layers, 1):
        integers_from_one("layers", [layer.kernel, layer.stride, layer.filters, layer.pool, layer.groups])
        truth_values(same=layer.same, shortcut=layer.shortcut)
        height, width, channels = shapes[-1]
        if channels % layer.groups or layer.filters % layer.groups:
            raise ValueError(
                f"Argument `layers` must have groups that divide {channels} input and {layer.filters} output maps, but "
                f"layer {number} has {layer.groups}."
            )
        around = 0 if layer.same else layer.kernel - 1
        sides = [-(-(side - around) // layer.stride) for side in (height, width)]
        if layer.shortcut and (*sides, layer.filters) != shapes[-1]:
            raise ValueError(
                f"Argument `layers` must have shortcuts around layers that keep size and number of maps, but layer "
                f"{number} makes {sides[0]} x {sides[1]} x {layer.filters} of {height} x {width} x {channels}."
            )
        height, width = (side // layer.pool for side in sides)
        if min(height, width) < 1:
            raise ValueError(
                f"Argument `layers` must leave maps of at least 1 x 1, but layer {number} makes {height} x {width} of "
                f"{shapes[-1][0]} x {shapes[-1][1]}; fewer layers, smaller kernels or less pooling would do."
            )
        shapes.append((height, width, layer.filters))
    return shapes
