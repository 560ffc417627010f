"""What the families of networks have in common: word lengths by layer, latent weights, the shape of an item."""

import math
from abc import ABC, abstractmethod

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from amsim.networks.quantised import FLOAT, Params, check_word_length

MOST_WEIGHTS = 2**26
"""Most weights of a network: as many as its file may hold."""

MOST_LAYERS = 1000
"""Most layers of a kind that a setting may ask for."""

MOST_INPUT_MAPS = 1024
"""Most maps that encode one pixel or feature."""


class QuantisedNetwork(ABC):
    """Network of layers with word lengths of their own, of which the first and the last one may differ.

    Attributes:
        bits: Bits of weights, 1 to 16, or 32 for float32.
        activation_bits: Bits of activations; None is as weights.
        first_bits: Bits of both operands of the first layer; None is as all others.
        last_bits: Bits of both operands of the last layer; None is as all others.
        input_bits: Bits of an input map; None is as the first layer's inputs.
        input_shape: Shape of an item.
    """

    bits: int
    activation_bits: int | None
    first_bits: int | None
    last_bits: int | None
    input_bits: int | None
    input_shape: tuple[int, ...]

    @property
    @abstractmethod
    def layer_names(self) -> tuple[str, ...]:
        """Names of its layers, in the order of the flow, as sites have them."""

    @property
    @abstractmethod
    def kernel_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the weights of each layer, by its name."""

    @property
    def word_lengths(self) -> dict[str, tuple[int, int]]:
        """Bits of a weight and of an input of each layer, by its name; 32 is float32."""
        activations = self.bits if self.activation_bits is None else self.activation_bits
        found = dict.fromkeys(self.layer_names, (self.bits, activations))
        first, last = self.layer_names[0], self.layer_names[-1]
        for name, both in ((first, self.first_bits), (last, self.last_bits)):
            found[name] = found[name] if both is None else (both, both)
        found[first] = (found[first][0], found[first][1] if self.input_bits is None else self.input_bits)
        return found

    @property
    def trainable(self) -> str:
        """Pattern of the trainable parameters: all but the batch statistics."""
        return r".*\.(kernel|gain|shift)"

    def constrained(self, params: Params) -> Params:
        """Parameters with latent weights clipped to -1..1, beyond which a quantised weight does not change."""
        quantised = {name for name, (weights, _) in self.word_lengths.items() if weights != FLOAT}
        return {
            name: layer | {"kernel": jnp.clip(layer["kernel"], -1, 1)} if name in quantised else layer
            for name, layer in params.items()
        }

    def _check_word_lengths(self) -> None:
        check_word_length("bits", self.bits)
        for name in ("activation_bits", "first_bits", "last_bits", "input_bits"):
            check_word_length(name, getattr(self, name), optional=True)

    def _check_size(self, argument: str) -> None:
        """Raise ValueError for more weights than can be trained or stored; an error speaks of the argument."""
        weights = sum(map(math.prod, self.kernel_shapes.values()))
        if weights > MOST_WEIGHTS:
            raise ValueError(
                f"Argument `{argument}` must make a network of at most {MOST_WEIGHTS} weights, but makes one of "
                f"{weights}."
            )

    def _checked(self, inputs: ArrayLike) -> Array:
        """A batch of items of the network's shape."""
        inputs = jnp.asarray(inputs)
        if inputs.shape[1:] != self.input_shape:
            sizes = ", ".join(map(str, self.input_shape))
            raise ValueError(f"Argument `inputs` must have shape (batch, {sizes}), but has shape {inputs.shape}.")
        return inputs
