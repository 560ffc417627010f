"""Families of image networks: topology, width, depth and word lengths as one small configuration."""

import dataclasses

from amsim.circuits.checks import integer_between, integers_from_one, one_of
from amsim.networks.image_network import FASHION_LAYERS, ConvolutionLayer, ImageNetwork
from amsim.networks.quantised import word_length_marks
from amsim.networks.quantised_network import MOST_LAYERS

IMAGE_TOPOLOGIES = ("plain", "residual", "depthwise-separable", "binary-2x2", "reference")
IMAGE_POOLINGS = ("max", "average", "stride")

BLOCKS = 3
"""Blocks of a network whose width and depth are single numbers, as in the networks of Asilomar'17 (facts 4.1)."""

REFERENCE_WIDTH = FASHION_LAYERS[0].filters


@dataclasses.dataclass(frozen=True)
class ImageConfiguration:
    """Member of a family of image networks; `network` is the network itself, which trains, deploys and has a cost.

    Topologies, as blocks of convolutions with batch normalisation and activation, and a dense classifier:

    - "plain": 3x3 convolutions that keep the size of their maps, pooling after each block (Moons et al., Asilomar'17,
      facts 4.1).
    - "residual": the same products, with the quantised inputs of each convolution but the first of a block added to its
      normalised sums (identity shortcuts around single convolutions: Liu et al., "Bi-Real Net", arXiv 1808.00278).
    - "depthwise-separable": after a first 3x3 convolution each one is a 3x3 depthwise and a 1x1 convolution (Howard et
      al., "MobileNets", arXiv 1704.04861).
    - "binary-2x2": 2x2 convolutions without padding, pooling after each block but the last, as the binary chips run
      with depth (4, 2, 2) and one width (facts 1.1).
    - "reference": the topology of the reference networks, whose width is 64; its depth is fixed.

    Attributes:
        topology: One of the above.
        width: Filters of each convolution of a block: one number for all blocks, or one for each.
        depth: Convolutions of a block: one number for all blocks, or one for each.
        bits: Bits of weights, 1 to 16, or 32 for float32.
        activation_bits: Bits of activations; None is as weights.
        first_bits: Bits of both operands of the first layer; None is as all others.
        last_bits: Bits of both operands of the last layer; None is as all others.
        input_maps: Maps that encode one pixel, of each colour: a thermometer code where they have 1 bit.
        input_bits: Bits of an input map; None is as the first layer's inputs.
        pooling: "max", "average", or "stride": the last convolution of a block steps by two and nothing is pooled.
        classes: Number of outputs.
        input_shape: Height and width of an image, and its colours where there are several.

    Raises:
        ValueError: An unknown topology or pooling, widths and depths of different numbers of blocks, settings that the
            topology does not have, or what `ImageNetwork` refuses.
    """

    topology: str = "plain"
    width: int | tuple[int, ...] = 32
    depth: int | tuple[int, ...] = 1
    bits: int = 4
    activation_bits: int | None = None
    first_bits: int | None = None
    last_bits: int | None = None
    input_maps: int = 1
    input_bits: int | None = None
    pooling: str = "max"
    classes: int = 10
    input_shape: tuple[int, ...] = (28, 28)

    def __post_init__(self) -> None:
        """Check every setting by building the network."""
        one_of("topology", self.topology, IMAGE_TOPOLOGIES)
        one_of("pooling", self.pooling, IMAGE_POOLINGS)
        for name in ("width", "depth"):
            given = getattr(self, name)
            if isinstance(given, tuple | list):
                integers_from_one(name, given)
            else:
                integer_between(name, given, 1)
        for depth in self.depth if isinstance(self.depth, tuple | list) else (self.depth,):
            integer_between("depth", depth, 1, MOST_LAYERS)
        _ = self.network

    @property
    def name(self) -> str:
        """Name that tells its topology, widths, depths and word lengths, such as `plain-1x32-1x32-1x32-w4a4`."""
        pooling = [self.pooling] if self.pooling != "max" else []
        return "-".join([self.topology, *_sizes(self), *word_length_marks(self), *pooling])

    @property
    def network(self) -> ImageNetwork:
        """The network of this configuration."""
        return ImageNetwork(
            self.bits,
            self.input_maps,
            self._layers,
            self.classes,
            self.input_shape,
            activation_bits=self.activation_bits,
            first_bits=self.first_bits,
            last_bits=self.last_bits,
            input_bits=self.input_bits,
            pooling="average" if self.pooling == "average" else "max",
        )

    @property
    def _layers(self) -> tuple[ConvolutionLayer, ...]:
        if self.topology == "reference":
            return self._reference_layers
        blocks = _blocks(self.width, self.depth)
        layers: list[ConvolutionLayer] = []
        for number, (width, depth) in enumerate(blocks, 1):
            reduces = self.topology != "binary-2x2" or number < len(blocks)
            for index in range(depth):
                halves = reduces and index == depth - 1
                layers += self._convolution(layers[-1].filters if layers else None, width, index, halves)
        return tuple(layers)

    def _convolution(self, channels: int | None, width: int, index: int, halves: bool) -> list[ConvolutionLayer]:
        """One convolution of a block, which may be two products; `channels` is None for the first of the network."""
        stride, pool = (2, 1) if self.pooling == "stride" else (1, 2)
        stride, pool = (stride, pool) if halves else (1, 1)
        if self.topology == "binary-2x2":
            return [ConvolutionLayer(2, stride, width, pool)]
        if self.topology == "depthwise-separable" and channels is not None:
            depthwise = ConvolutionLayer(3, stride, channels, 1, same=True, groups=channels)
            return [depthwise, ConvolutionLayer(1, 1, width, pool, same=True)]
        shortcut = self.topology == "residual" and index > 0 and stride == 1
        return [ConvolutionLayer(3, stride, width, pool, same=True, shortcut=shortcut)]

    @property
    def _reference_layers(self) -> tuple[ConvolutionLayer, ...]:
        if not isinstance(self.width, int) or self.depth != 1 or self.pooling != "max":
            raise ValueError(
                f"Argument `topology` must be another one than 'reference', which has one width, the depth 1 and the "
                f"pooling 'max', for width {self.width}, depth {self.depth} and pooling {self.pooling!r}."
            )
        return tuple(
            layer._replace(filters=self.width * (layer.filters // REFERENCE_WIDTH)) for layer in FASHION_LAYERS
        )


def _blocks(width: int | tuple[int, ...], depth: int | tuple[int, ...]) -> list[tuple[int, int]]:
    """Width and depth of each block."""
    counts = {name: len(value) for name, value in (("width", width), ("depth", depth)) if not isinstance(value, int)}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise ValueError(
            f"Argument `width` must be one number or one for each block, as `depth`, but they are {width} and {depth}."
        )
    number = next(iter(counts.values()), BLOCKS)
    widths, depths = ((value,) * number if isinstance(value, int) else value for value in (width, depth))
    return list(zip(widths, depths, strict=True))


def _sizes(configuration: ImageConfiguration) -> list[str]:
    if configuration.topology == "reference":
        return [str(configuration.width)]
    blocks = _blocks(configuration.width, configuration.depth)
    return [f"{depth}x{width}" for width, depth in blocks]
