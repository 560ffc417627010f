"""Small classifiers of sequences of feature vectors, such as cepstral coefficients of speech, of 1 to 16 bits."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from amsim.circuits.checks import integer_between, integers_from_one, number_between, one_of
from amsim.networks.image_network import Convolution
from amsim.networks.quantised import (
    Params,
    Statistics,
    encoded,
    initial_layer,
    initial_scale,
    normalised,
    plain_convolution,
    quantised_activations,
    quantised_weights,
    word_length_marks,
)
from amsim.networks.quantised_network import MOST_INPUT_MAPS, MOST_LAYERS, QuantisedNetwork

SEQUENCE_TOPOLOGIES = ("dense", "temporal-convolution", "gru", "lstm")

_GATES = {"gru": 3, "lstm": 4}

TRAINING_NOISE = 0.2
"""Standard deviation of the noise on features in training, in their unit."""


@dataclasses.dataclass(frozen=True)
class SequenceNetwork(QuantisedNetwork):
    """Classifier of sequences: dense layers, convolutions over time, or recurrent layers and their last state.

    Weights and activations have the grids of `ImageNetwork`. A feature in `-input_range..input_range` is coded as a
    pixel in 0..1 is there. A recurrent layer ("gru": Cho et al., arXiv 1406.1078; "lstm": Hochreiter and Schmidhuber,
    1997, with forget gates) is two products per frame: one of all frames with batch normalisation, and one of the
    previous state, on the grid of a signed word in -1..1. The state itself, gates and cells are not rounded, since they
    are no operands of a product.

    Attributes:
        topology: One of "dense", "temporal-convolution" (each convolution followed by maximum pooling of two frames),
            "gru" and "lstm".
        width: Units, or filters, of each hidden layer.
        depth: Hidden layers.
        bits: Bits of weights, 1 to 16, or 32 for float32.
        activation_bits: Bits of activations; None is as weights.
        first_bits: Bits of both operands of the first product; None is as all others.
        last_bits: Bits of both operands of the last layer, which is dense; None is as all others.
        input_maps: Maps that encode one feature.
        input_bits: Bits of an input map; None is as the first product's inputs.
        input_range: Largest feature that is not clipped.
        kernel: Frames of a convolution's window.
        classes: Number of outputs.
        input_shape: Frames, and features of a frame.

    Raises:
        ValueError: An unknown topology, a word length, size or range out of range, or fewer frames than are pooled.
    """

    topology: str = "temporal-convolution"
    width: int = 32
    depth: int = 2
    bits: int = 4
    activation_bits: int | None = None
    first_bits: int | None = None
    last_bits: int | None = None
    input_maps: int = 1
    input_bits: int | None = None
    input_range: float = 3.0
    kernel: int = 3
    classes: int = 10
    input_shape: tuple[int, int] = (32, 13)

    def __post_init__(self) -> None:
        """Check topology, word lengths and sizes."""
        one_of("topology", self.topology, SEQUENCE_TOPOLOGIES)
        self._check_word_lengths()
        for name in ("width", "kernel", "classes"):
            integer_between(name, getattr(self, name), 1)
        integer_between("depth", self.depth, 1, MOST_LAYERS)
        integer_between("input_maps", self.input_maps, 1, MOST_INPUT_MAPS)
        number_between("input_range", self.input_range, 1e-6, 1e6)
        integers_from_one("input_shape", self.input_shape)
        if len(self.input_shape) != 2:
            raise ValueError(f"Argument `input_shape` must be frames and features, but is {self.input_shape}.")
        if self.topology == "temporal-convolution" and self.input_shape[0] < 2**self.depth:
            raise ValueError(
                f"Argument `depth` must be at most {int(math.log2(self.input_shape[0]))}, since each convolution "
                f"halves the {self.input_shape[0]} frames, but is {self.depth}."
            )
        self._check_size("width")

    @property
    def name(self) -> str:
        """Name that tells its topology, depth, width and word lengths, such as `gru-1x32-w4a4`."""
        size = f"{self.depth}x{self.width}"
        size += f"k{self.kernel}" if self.topology == "temporal-convolution" and self.kernel != 3 else ""
        return "-".join([self.topology, size, *word_length_marks(self)])

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of its products, in the order of the flow, as sites have them."""
        stem = {"dense": "hidden", "temporal-convolution": "conv"}.get(self.topology, self.topology)
        names = [f"{stem}{number}" for number in range(1, self.depth + 1)]
        if self.topology in _GATES:
            names = [f"{name}.{part}" for name in names for part in ("input", "recurrent")]
        return (*names, "dense")

    @property
    def kernel_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the weights of each product, by its name."""
        frames, features = self.input_shape
        features *= self.input_maps
        if self.topology in _GATES:
            gates = _GATES[self.topology] * self.width
            rows = [features, *(self.width,) * (2 * self.depth - 1)]
            shapes: list[tuple[int, ...]] = [*((count, gates) for count in rows), (self.width, self.classes)]
        elif self.topology == "dense":
            rows = [frames * features, *(self.width,) * self.depth]
            shapes = [*((count, self.width) for count in rows[:-1]), (rows[-1], self.classes)]
        else:
            channels = [features, *(self.width,) * (self.depth - 1)]
            last = frames // 2**self.depth * self.width
            shapes = [*((self.kernel, 1, count, self.width) for count in channels), (last, self.classes)]
        return dict(zip(self.layer_names, shapes, strict=True))

    def __call__(
        self, params: Params, inputs: Real[ArrayLike, "batch frames features"]
    ) -> Float[Array, "batch classes"]:
        """Logits of sequences, with the stored batch statistics."""
        return self.forward(params, inputs)[0]

    def forward(
        self,
        params: Params,
        inputs: Real[ArrayLike, "batch frames features"],
        *,
        batch_statistics: bool = False,
        convolution: Convolution = plain_convolution,
    ) -> tuple[Float[Array, "batch classes"], Statistics]:
        """Logits and the batch statistics that were used.

        Args:
            params: As from `initial_params`.
            inputs: Features of each frame.
            batch_statistics: Normalise by the statistics of this batch (training) instead of the stored ones.
            convolution: Function that convolves; any of them gives the same result.
        """
        used: Statistics = {}
        names, values = self.layer_names, self.encode(self._checked(inputs))
        weights = {
            name: quantised_weights(params[name]["kernel"], bits) for name, (bits, _) in self.word_lengths.items()
        }
        reads = [activation for _, activation in self.word_lengths.values()]
        if self.topology in _GATES:
            for index in range(0, len(names) - 1, 2):
                name, recurrent = names[index : index + 2]
                gates, used[name] = normalised(values @ weights[name], params[name], batch_statistics)
                states = self._states(gates, weights[recurrent], params[recurrent]["gain"], reads[index + 1])
                values = quantised_weights(states, reads[index + 2])
            values = values[:, -1]
        elif self.topology == "dense":
            values = values.reshape(values.shape[0], -1)
            for index, name in enumerate(names[:-1]):
                sums, used[name] = normalised(values @ weights[name], params[name], batch_statistics)
                values = quantised_activations(sums, reads[index + 1])
        else:
            values = values[:, :, None, :]
            for index, name in enumerate(names[:-1]):
                sums = convolution(values, weights[name], 1, True, 1)
                sums, used[name] = normalised(sums, params[name], batch_statistics)
                values = _of_two_frames(quantised_activations(sums, reads[index + 1]))
        sums = values.reshape(values.shape[0], -1) @ weights["dense"]
        logits, used["dense"] = normalised(sums, params["dense"], batch_statistics)
        return logits, used

    def encode(self, inputs: Real[ArrayLike, "batch frames features"]) -> Float[Array, "batch frames maps"]:
        """Input maps of features: the segments of a pixel's range, laid over `-input_range..input_range`."""
        shares = jnp.clip(jnp.asarray(inputs, jnp.float32) * (0.5 / self.input_range) + 0.5, 0, 1)
        maps = encoded(shares, self.input_maps, self.word_lengths[self.layer_names[0]][1])
        return maps.reshape(*maps.shape[:2], -1)

    def initial_params(self, key: PRNGKeyArray) -> Params:
        """Uniform latent weights, unit statistics; sums of recurrent products start with a variance of about 1/3."""
        shapes, lengths = self.kernel_shapes, list(self.word_lengths.values())
        keys = jax.random.split(key, len(shapes))
        params: Params = {}
        for index, (name, shape) in enumerate(shapes.items()):
            bits = lengths[index][0]
            if name == "dense":
                params[name] = initial_layer(keys[index], shape, 2.0, 0.0, bits)
            elif name.endswith(".recurrent"):
                # Of weights -1 and +1; of as many zeros as both of these; uniform.
                variance = {1: 1.0, 2: 1 / 2}.get(bits, 1 / 12)
                layer = initial_layer(keys[index], shape, 1 / math.sqrt(3 * self.width * variance), 0.0, bits)
                params[name] = {"kernel": layer["kernel"], "gain": layer["gain"]}
            elif name.endswith(".input"):
                params[name] = initial_layer(keys[index], shape, 1.0, 0.0, bits)
            else:
                params[name] = initial_layer(keys[index], shape, *initial_scale(lengths[index + 1][1]), bits)
        return params

    def augmented(self, inputs: Array, key: PRNGKeyArray) -> Array:
        """Sequences for training, with Gaussian noise of `TRAINING_NOISE` on each feature."""
        return inputs + TRAINING_NOISE * jax.random.normal(key, inputs.shape, inputs.dtype)

    def _states(
        self, gates: Float[Array, "batch frames gates"], kernel: Array, gain: Array, bits: int
    ) -> Float[Array, "batch frames width"]:
        """States after each frame of a recurrent layer, from its gates' sums over inputs."""
        update = _gru_update if self.topology == "gru" else _lstm_update

        def frame(carry: tuple[Array, Array], sums: Array) -> tuple[tuple[Array, Array], Array]:
            previous = (quantised_weights(carry[0], bits) @ kernel) * gain.reshape(1, -1)
            carry = update(sums, previous, carry)
            return carry, carry[0]

        start = jnp.zeros((gates.shape[0], self.width), gates.dtype)
        _, states = jax.lax.scan(frame, (start, start), jnp.swapaxes(gates, 0, 1))
        return jnp.swapaxes(states, 0, 1)


def _gru_update(sums: Array, previous: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    """State of a gated recurrent unit; it has no other cell."""
    (update, reset, new), (update_h, reset_h, new_h) = (jnp.split(part, 3, axis=-1) for part in (sums, previous))
    keep = jax.nn.sigmoid(update + update_h)
    candidate = jnp.tanh(new + jax.nn.sigmoid(reset + reset_h) * new_h)
    return (1 - keep) * candidate + keep * carry[0], carry[1]


def _lstm_update(sums: Array, previous: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    """State and cell of a long short-term memory, whose cell starts by keeping most of its value (forget gate + 1)."""
    write, forget, new, show = jnp.split(sums + previous, 4, axis=-1)
    cell = jax.nn.sigmoid(forget + 1) * carry[1] + jax.nn.sigmoid(write) * jnp.tanh(new)
    return jax.nn.sigmoid(show) * jnp.tanh(cell), cell


def _of_two_frames(values: Float[Array, "batch frames 1 filters"]) -> Float[Array, "batch half 1 filters"]:
    """Largest value of each two frames; the last of an odd number is dropped."""
    batch, frames, one, filters = values.shape
    return values[:, : frames // 2 * 2].reshape(batch, frames // 2, 2, one, filters).max(axis=2)
