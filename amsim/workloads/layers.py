"""Layers as shapes without weights, and building blocks for networks of them.

A layer counts its work exactly as a site of a deployed network does, so the cost of a network is known before it has
weights.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from amsim.circuits.checks import (
    at_least_one,
    every,
    integer_between,
    integers_from_one,
    one_of,
    part_of,
    text,
    truth_values,
)
from amsim.circuits.contract.products import ConvolutionProduct, DenseProduct
from amsim.circuits.contract.windows import WindowAxis, window_fetches, words_read
from amsim.circuits.contract.work import Work
from amsim.workloads.weight_parts import first_stored

Padding = str | int
"""As in JAX: "SAME" keeps `ceil(size / stride)`, "VALID" adds nothing, a number adds that many zeros on every side."""


def _plain_activity(activity: Any) -> dict[str, Array]:
    part_of("activity", activity, Mapping)
    plain = {}
    for name, value in dict(activity).items():
        floating = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)
        plain[name] = value if floating else jnp.asarray(value, float)
        if plain[name].shape != ():
            raise ValueError(f"Argument `{name}` must be a single number, but has shape {plain[name].shape}.")
        every(name, plain[name])
    return plain


class Layer(eqx.Module):
    """One product of a network, per inference: its work and the statistics of its data.

    Attributes:
        name: Site name, matched by an accelerator's patterns (static).
        work: Product, positions and inputs.
        activity: Data-dependent activity by name, as from a macro's `report` ("nonzero", "toggling", ...), each of
            shape (); empty where nothing is known of the data. "runs" is the average number of times that each of the
            `repeats` runs, where the data decide (loops that end by a condition, branches); once without it.
        weights: Name of the weight (static); layers of equal names share one, stored once, as it is or transposed, and
            in cells once for each shape. Default: the layer's name.
        weight_slices: Number of different weights that its runs use in turn, as in a scan over stacked layers (static);
            all of them are stored.
        weight_parts: Parts of parameters that the weight is made of, each with its name and words (static); layers
            store once what they have in common. Default: one part of the weight's name.
        weights_are_activations: Whether one operand consists of activations and is loaded as weights at each inference,
            from the activation memory (static); it is not stored.
        repeats: Runs of the layer per inference, each on the result of the previous one, as in a recurrent network
            (static): they cannot run side by side.
        input_size: Height and width of the input maps of a convolution (static); () where the layer has none.
        padding: Zeros before and behind along each of them (static).

    Raises:
        ValueError: An activity that is not a single number of at least 0, a size, repeats or slices below 1, or a part
            of another type.
    """

    name: str = eqx.field(static=True)
    work: Work
    activity: dict[str, Array] = eqx.field(default_factory=dict, converter=_plain_activity)
    weights: str = eqx.field(static=True, default="")
    repeats: int = eqx.field(static=True, default=1)
    weight_slices: int = eqx.field(static=True, default=1, kw_only=True)
    weight_parts: tuple[tuple[str, int], ...] = eqx.field(static=True, default=(), kw_only=True)
    weights_are_activations: bool = eqx.field(static=True, default=False, kw_only=True)
    input_size: tuple[int, ...] = eqx.field(static=True, default=())
    padding: tuple[tuple[int, int], ...] = eqx.field(static=True, default=())

    def __post_init__(self) -> None:
        """Name the weight after the layer where it has no name of its own."""
        text(name=self.name, weights=self.weights)
        part_of("work", self.work, Work)
        integers_from_one("input_size", self.input_size)
        truth_values(weights_are_activations=self.weights_are_activations)
        self.weights = self.weights or self.name
        integer_between("repeats", self.repeats, 1)
        integer_between("weight_slices", self.weight_slices, 1)

    @property
    def runs(self) -> Array | int:
        """Runs of the layer per inference, on average."""
        return self.repeats * self.activity["runs"] if "runs" in self.activity else self.repeats

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference, where each of the `repeats` runs once."""
        return self.work.macs * self.repeats

    @property
    def weight_words(self) -> int:
        """Elements of the weight, all slices included."""
        return self.work.product.rows * self.work.product.columns * self.weight_slices

    @property
    def stored_parts(self) -> dict[str, int]:
        """Words of each part of parameters that it stores; none where its weights are activations."""
        if self.weights_are_activations:
            return {}
        return dict(self.weight_parts or ((self.weights, self.weight_words),))

    @property
    def output_words(self) -> int:
        """Elements of the output per inference."""
        return self.work.positions * self.work.product.columns

    @property
    def output_size(self) -> tuple[int, ...]:
        """Height and width of the output maps of a convolution; () of any other layer."""
        product = self.work.product
        if not isinstance(product, ConvolutionProduct):
            return ()
        axes = zip(self.input_size, product.kernel, product.strides, product.dilation, self.padding, strict=True)
        return tuple(WindowAxis(*axis).places for axis in axes)


class Workload(eqx.Module):
    """Network as a list of layers, in the order in which they run.

    Attributes:
        name: Name of the network (static).
        layers: Its layers.

    Raises:
        ValueError: No layer, two layers of one name, or layers that share a weight of different numbers of words.
    """

    name: str = eqx.field(static=True)
    layers: tuple[Layer, ...]

    def __check_init__(self) -> None:
        """Check names and shared weights."""
        text(name=self.name)
        part_of("layers", self.layers, Sequence)
        for layer in self.layers:
            part_of("layers", layer, Layer)
        if not self.layers:
            raise ValueError("Argument `layers` must have at least one layer, but is empty.")
        names = [layer.name for layer in self.layers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"Argument `layers` must have layers of different names, but two are {twice!r}.")
        self._check_shared_weights()

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_words(self) -> int:
        """Weights of the network, shared ones counted once and activations not at all."""
        return sum(sum(new.values()) for new in first_stored([layer.stored_parts for layer in self.layers]))

    @property
    def activation_words(self) -> int:
        """Largest working set of a layer, in words: the buffer size for its inputs and outputs."""
        return max(layer.work.input_words + layer.output_words for layer in self.layers)

    def with_activity(self, **activity: Any) -> "Workload":
        """The same workload with these activities in every layer, in addition to those that it has.

        Args:
            **activity: Numbers of at least 0, by the name in a macro's `report`.

        Raises:
            ValueError: An activity that is not a single number of at least 0.
        """
        layers = tuple(dataclasses.replace(layer, activity=layer.activity | activity) for layer in self.layers)
        return dataclasses.replace(self, layers=layers)

    def _check_shared_weights(self) -> None:
        """Raise ValueError where layers share a weight, or a part of one, of another number of words."""
        shapes: dict[str, tuple[int, ...]] = {}
        parts: dict[str, int] = {}
        for layer in self.layers:
            shape: tuple[int, ...] = (layer.work.product.rows, layer.work.product.columns)
            shape += (layer.weight_slices,) if layer.weight_slices > 1 else ()
            if math.prod(shapes.setdefault(layer.weights, shape)) != math.prod(shape):
                raise ValueError(
                    f"Argument `layers` must share weights of one size, but {layer.weights!r} has the shapes "
                    f"{shapes[layer.weights]} and {shape}."
                )
            for name, words in layer.stored_parts.items():
                if parts.setdefault(name, words) != words:
                    raise ValueError(
                        f"Argument `layers` must share parts of one size, but {name!r} has {parts[name]} and {words} "
                        "words."
                    )


def dense(name: str, rows: int, columns: int, positions: int = 1, *, weights: str = "") -> Layer:
    """Dense layer of `rows * columns * positions` MACs.

    Args:
        name: Site name.
        rows: Inputs.
        columns: Outputs.
        positions: Input vectors per inference, such as the frames of a recording.
        weights: Name of a weight that other layers share.

    Returns:
        The layer, without activity.

    Raises:
        ValueError: A count below 1.
    """
    at_least_one(rows=rows, columns=columns, positions=positions)
    return Layer(name, Work(DenseProduct(rows, columns), positions, positions * rows, 1.0), weights=weights)


def convolution(
    name: str,
    height: int,
    width: int,
    channels: int,
    filters: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = "SAME",
    groups: int = 1,
    *,
    weights: str = "",
) -> Layer:
    """Convolution with a square kernel, of `positions * kernel^2 * channels / groups * filters` MACs.

    Args:
        name: Site name.
        height: Height of the input maps.
        width: Width of the input maps.
        channels: Input maps, all groups together.
        filters: Output maps, all groups together.
        kernel: Side of the window.
        stride: Step of the window along both axes.
        padding: "SAME", "VALID" or zeros on every side.
        groups: Independent groups of maps. No macro splits the rows of a grouped convolution into tiles: it needs
            lines of `kernel^2 channels / groups` rows.
        weights: Name of a weight that other layers share.

    Returns:
        The layer, without activity.

    Raises:
        ValueError: A count below 1, groups that do not divide the maps, or a window larger than the padded map.
    """
    at_least_one(
        height=height, width=width, channels=channels, filters=filters, kernel=kernel, stride=stride, groups=groups
    )
    if channels % groups or filters % groups:
        raise ValueError(
            f"Argument `groups` must divide {channels} `channels` and {filters} `filters`, but is {groups}."
        )
    product = ConvolutionProduct(
        kernel=(kernel, kernel),
        channels=channels // groups,
        columns=filters,
        strides=(stride, stride),
        dilation=(1, 1),
        groups=groups,
    )
    zeros = (_zeros(height, kernel, stride, padding), _zeros(width, kernel, stride, padding))
    axes = [
        WindowAxis(size, kernel, stride, padding=around) for size, around in zip((height, width), zeros, strict=True)
    ]
    shortest = min(axis.size + sum(axis.padding) for axis in axes)
    if shortest < kernel:
        raise ValueError(f"Argument `kernel` must be at most {shortest}, the padded input, but is {kernel}.")
    work = Work(
        product=product,
        positions=math.prod(axis.places for axis in axes),
        input_words=words_read(axes) * channels,
        window_fetches=window_fetches(axes),
    )
    return Layer(name, work, weights=weights, input_size=(height, width), padding=zeros)


def _zeros(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and behind one axis; JAX puts the larger half of an odd number behind."""
    if isinstance(padding, int):
        integer_between("padding", padding, 0)
        return padding, padding
    one_of("padding", padding, ("SAME", "VALID"))
    if padding == "VALID":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
