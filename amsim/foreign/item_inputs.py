"""Items of a data set as inputs of a network file: their numbers and their axes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from amsim.circuits.checks import real_numbers, shown
from amsim.foreign.graph_file import GraphInput
from amsim.foreign.onnx_network import OnnxNetwork

BYTE_FULL_SCALE = 255.0
"""Byte that is 1 for a network of floats, as in `torchvision.transforms.ToTensor`."""


@dataclasses.dataclass(frozen=True)
class ItemNumbers:
    """Numbers of a network's floating-point inputs: `(number / full_scale - mean) / deviation`.

    Attributes:
        full_scale: Number of the data that is 1; None is 255 for bytes and 1 for all others.
        mean: Subtracted, one number or one for each channel.
        deviation: Divided by, above 0, one number or one for each channel.

    Raises:
        ValueError: A number that is not finite, or a full scale or deviation that is not above 0.
    """

    full_scale: float | None = None
    mean: float | Sequence[float] = 0.0
    deviation: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        full_scale = 1.0 if self.full_scale is None else self.full_scale
        for name, given in (("full_scale", full_scale), ("mean", self.mean), ("deviation", self.deviation)):
            numbers = real_numbers(name, given, (0,) if name == "full_scale" else (0, 1))
            wrong = numbers[~np.isfinite(numbers) | ((numbers <= 0) if name != "mean" else False)]
            if wrong.size or not numbers.size:
                allowed = "finite" if name == "mean" else "finite and above 0"
                raise ValueError(f"Argument `{name}` must be {allowed}, but is {shown(given)}.")

    def of(self, items: Shaped[Array, "batch ..."], wanted: GraphInput) -> Array:
        """Numbers in the type of the input; those of other types than floats stay as they are."""
        if not np.issubdtype(wanted.dtype, np.floating):
            return items
        kind = jax.dtypes.canonicalize_dtype(wanted.dtype)
        default = BYTE_FULL_SCALE if items.dtype == jnp.uint8 else 1.0
        full_scale = default if self.full_scale is None else self.full_scale
        numbers = items.astype(jnp.promote_types(kind, jnp.float32))
        if full_scale != 1.0:
            numbers = numbers / full_scale
        if self.mean != 0.0 or self.deviation != 1.0:
            numbers = (numbers - _by_channel(self.mean, numbers)) / _by_channel(self.deviation, numbers)
        return numbers.astype(kind)


class NetworkOfItems:
    """Network of a file as a function of the items of a data set: `network(params, items)`.

    Axes of one place are added or left out, channels that stand last or first are moved to where the file has them, and
    a map of one channel becomes a row or comes from one.

    Attributes:
        network: The network of the file.
        numbers: Numbers of its inputs.
    """

    def __init__(self, network: OnnxNetwork, numbers: ItemNumbers) -> None:
        self.__name__ = network.__name__
        self.network, self.numbers = network, numbers

    def __call__(self, params: Mapping[str, Any], items: Any) -> Any:
        """Outputs for a batch of items: an array, or a dict of arrays by the names of the network's inputs.

        Raises:
            ValueError: Items that cannot be brought to the inputs without a guess.
        """
        wanted, names = self.network.inputs, self.network.input_names
        given = items if isinstance(items, Mapping) else {names[0]: items}
        if set(given) != set(names):
            raise ValueError(
                f"The data must have the network's inputs {', '.join(names)} by name, but have {', '.join(given)}."
            )
        arrays = [jnp.asarray(given[one.name]) for one in wanted]
        return self.network(
            params,
            *(self.numbers.of(_in_axes(array, one), one) for array, one in zip(arrays, wanted, strict=True)),
        )


def _in_axes(items: Shaped[Array, "batch ..."], wanted: GraphInput) -> Array:
    """Items with the axes of an input, the first of which counts them."""
    if wanted.sizes is None:
        return items
    shape, sizes = items.shape[1:], wanted.sizes[1:]
    channels_first, channels_last = (shape[-1:] + shape[:-1]), (shape[1:] + shape[:1])
    if _match(shape, sizes):
        return items
    if _match([size for size in shape if size != 1], [size for size in sizes if size != 1]):
        long = iter(size for size in shape if size != 1)
        return items.reshape(len(items), *(1 if size == 1 else next(long) for size in sizes))
    if len(shape) > 2 and _match(channels_first, sizes):
        return jnp.moveaxis(items, -1, 1)
    if len(shape) > 2 and _match(channels_last, sizes):
        return jnp.moveaxis(items, 1, -1)
    known = None not in sizes and math.prod(size or 0 for size in sizes) == math.prod(shape)
    rows = sorted(sum(size != 1 for size in one) for one in (shape, sizes))
    if known and rows[0] == 1 and rows[1] <= 2:
        return items.reshape(len(items), *(size or 1 for size in sizes))
    raise ValueError(
        f"The data have items of shape {shape}, which do not become the input {wanted.name!r} of shape {sizes} by "
        "adding axes of 1, moving channels or flattening a map of one channel; give items of that shape."
    )


def _match(shape: Sequence[int], sizes: Sequence[int | None]) -> bool:
    return len(shape) == len(sizes) and all(size in (None, one) for one, size in zip(shape, sizes, strict=True))


def _by_channel(values: float | Sequence[float], numbers: Array) -> Array:
    """One number, or one for each channel: the first axis of an item if it has as many places, else the last."""
    array = jnp.asarray(values, numbers.dtype)
    if array.ndim == 0:
        return array
    axis = next((one for one in (1, numbers.ndim - 1) if numbers.shape[one] == len(array)), None)
    if axis is None:
        raise ValueError(
            f"There are numbers for {len(array)} channels, but the network's items have shape {numbers.shape[1:]}."
        )
    return array.reshape([-1 if place == axis else 1 for place in range(numbers.ndim)])
