"""Small convolutional image classifiers of 1 to 8 bits in the style of the published binary chips."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from amsim.circuits.checks import integer_between, integers_from_one, part_of
from amsim.noise.gradients import decision, rounded

Params = dict[str, dict[str, Array]]
Statistics = dict[str, dict[str, Array]]
Convolution = Callable[[Array, Array, int], Array]

VARIANCE_FLOOR = 1e-3
"""Added to the variance in batch normalisation."""


class ConvolutionLayer(NamedTuple):
    """Convolution layer with a square kernel, followed by batch normalisation, activation and maximum pooling.

    Attributes:
        kernel: Side of the kernel.
        stride: Along both axes.
        filters: Number of output maps.
        pool: Side of the pooling window after the activation; 1 for no pooling.
    """

    kernel: int
    stride: int
    filters: int
    pool: int


FASHION_LAYERS = (
    ConvolutionLayer(3, 2, 64, 1),
    ConvolutionLayer(2, 1, 64, 2),
    ConvolutionLayer(3, 1, 128, 1),
    ConvolutionLayer(2, 1, 128, 1),
    ConvolutionLayer(2, 1, 256, 1),
)


def plain_convolution(inputs: Array, kernel: Array, stride: int) -> Array:
    """Convolution without padding, channels last."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(inputs, kernel, (stride, stride), "VALID", dimension_numbers=layout)


@dataclasses.dataclass(frozen=True)
class ImageNetwork:
    """Convolutional network with thermometer-coded input, batch normalisation and quantised activations.

    At 1 bit weights and activations are -1 or +1. At B bits weights are `k / (2**(B-1) - 1)` clipped to -1..1 and
    activations `k / (2**B - 1)` clipped to 0..1. The range of an input pixel is cut into `input_maps` segments, each a
    map of its own with the activation's levels; at 1 bit that is the thermometer code of the published chips
    (facts 1.1).

    Attributes:
        bits: Bits of weights and activations, 1 to 8.
        input_maps: Maps that encode one pixel.
        layers: Convolution layers.
        classes: Number of outputs.
        input_shape: Height and width of an image.
    """

    bits: int
    input_maps: int
    layers: tuple[ConvolutionLayer, ...] = FASHION_LAYERS
    classes: int = 10
    input_shape: tuple[int, int] = (28, 28)

    def __post_init__(self) -> None:
        """Check the word length and all sizes."""
        integer_between("bits", self.bits, 1, 8)
        integer_between("input_maps", self.input_maps, 1)
        integer_between("classes", self.classes, 1)
        integers_from_one("input_shape", self.input_shape)
        if len(self.input_shape) != 2:
            raise ValueError(f"Argument `input_shape` must be a height and a width, but is {self.input_shape}.")
        part_of("layers", self.layers, tuple)
        for layer in self.layers:
            part_of("layers", layer, ConvolutionLayer)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of its layers, in the order of the flow, as sites have them."""
        return (*(f"conv{index}" for index in range(1, len(self.layers) + 1)), "dense")

    def __call__(
        self, params: Params, inputs: Shaped[ArrayLike, "batch height width"]
    ) -> Float[Array, "batch classes"]:
        """Logits of images, with the stored batch statistics."""
        return self.forward(params, inputs)[0]

    def forward(
        self,
        params: Params,
        inputs: Shaped[ArrayLike, "batch height width"],
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
        values = self.encode(inputs)
        for index, layer in enumerate(self.layers, 1):
            name = f"conv{index}"
            sums = convolution(values, self.quantised_weights(params[name]["kernel"]), layer.stride)
            sums, used[name] = _normalised(sums, params[name], batch_statistics)
            values = _pooled(self.quantised_activations(sums), layer.pool)
        flat = values.reshape(values.shape[0], -1)
        sums = flat @ self.quantised_weights(params["dense"]["kernel"])
        logits, used["dense"] = _normalised(sums, params["dense"], batch_statistics)
        return logits, used

    def encode(self, inputs: Shaped[ArrayLike, "batch height width"]) -> Float[Array, "batch height width maps"]:
        """Input maps of pixel segments: map m carries pixel values from m / maps to (m + 1) / maps."""
        inputs = jnp.asarray(inputs)
        if jnp.issubdtype(inputs.dtype, jnp.integer):
            pixels = inputs.astype(jnp.float32) / 255
        else:
            pixels = inputs.astype(jnp.float32)
        segments = pixels[..., None] * self.input_maps - jnp.arange(self.input_maps, dtype=pixels.dtype).reshape(
            1, 1, 1, -1
        )
        return decision(segments - 0.5) if self.bits == 1 else self.quantised_activations(segments)

    def quantised_weights(self, latent: Float[Array, "..."]) -> Float[Array, "..."]:
        """Weights on their grid; gradient straight through."""
        if self.bits == 1:
            return decision(latent, "straight-through")
        steps = 2 ** (self.bits - 1) - 1
        return rounded(jnp.clip(latent, -1, 1) * steps) / steps

    def quantised_activations(self, sums: Float[Array, "..."]) -> Float[Array, "..."]:
        """Activations on their grid; gradient straight through inside the range, 0 outside."""
        if self.bits == 1:
            return decision(sums, "clipped")
        steps = 2**self.bits - 1
        return rounded(jnp.clip(sums, 0, 1) * steps) / steps

    def initial_params(self, key: PRNGKeyArray) -> Params:
        """Uniform latent weights, unit statistics; activations start around the middle of their range."""
        keys = jax.random.split(key, len(self.layers) + 1)
        gain, shift = (1.0, 0.0) if self.bits == 1 else (0.5, 0.25)
        params: Params = {}
        side, channels = self.input_shape[0], self.input_maps
        for index, (layer, layer_key) in enumerate(zip(self.layers, keys[:-1], strict=True), 1):
            shape = (layer.kernel, layer.kernel, channels, layer.filters)
            params[f"conv{index}"] = _initial_layer(layer_key, shape, gain, shift)
            side = ((side - layer.kernel) // layer.stride + 1) // layer.pool
            channels = layer.filters
        params["dense"] = _initial_layer(keys[-1], (side * side * channels, self.classes), 2.0, 0.0)
        return params

    @property
    def trainable(self) -> str:
        """Pattern of the trainable parameters: all but the batch statistics."""
        return r".*\.(kernel|gain|shift)"

    def constrained(self, params: Params) -> Params:
        """Parameters with latent weights clipped to -1..1, beyond which a quantised weight does not change."""
        return {name: layer | {"kernel": jnp.clip(layer["kernel"], -1, 1)} for name, layer in params.items()}

    def _checked(self, inputs: ArrayLike) -> Array:
        inputs = jnp.asarray(inputs)
        if inputs.ndim != 3 or inputs.shape[1:] != self.input_shape:
            height, width = self.input_shape
            raise ValueError(
                f"Argument `inputs` must have shape (batch, {height}, {width}), but has shape {inputs.shape}."
            )
        return inputs


def _initial_layer(key: PRNGKeyArray, shape: tuple[int, ...], gain: float, shift: float) -> dict[str, Array]:
    filters = shape[-1]
    return {
        "kernel": jax.random.uniform(key, shape, minval=-0.5, maxval=0.5),
        "gain": jnp.full((filters,), gain),
        "shift": jnp.full((filters,), shift),
        "mean": jnp.zeros((filters,)),
        "variance": jnp.ones((filters,)),
    }


def _normalised(sums: Array, layer: dict[str, Array], batch_statistics: bool) -> tuple[Array, dict[str, Array]]:
    statistics = {"mean": layer["mean"], "variance": layer["variance"]}
    if batch_statistics:
        axes = tuple(range(sums.ndim - 1))
        statistics = {"mean": jnp.mean(sums, axis=axes), "variance": jnp.var(sums, axis=axes)}
    ones = (1,) * (sums.ndim - 1)
    gain = layer["gain"] * jax.lax.rsqrt(statistics["variance"] + VARIANCE_FLOOR)
    centred = sums - statistics["mean"].reshape(*ones, -1)
    return centred * gain.reshape(*ones, -1) + layer["shift"].reshape(*ones, -1), statistics


def _pooled(values: Array, side: int) -> Array:
    if side == 1:
        return values
    batch, height, width, channels = values.shape
    cells = values[:, : height // side * side, : width // side * side]
    # Maximum over reshaped axes, since the gradient of a window maximum is several times slower on CPU.
    return cells.reshape(batch, height // side, side, width // side, side, channels).max(axis=(2, 4))
