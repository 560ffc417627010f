"""Published networks as workloads: layer shapes without weights."""

import dataclasses

from amsim.circuits.checks import at_least_one, integers_from_one, truth_values
from amsim.workloads.layers import Layer, Workload, convolution, dense


def binary_image_network(filters: int = 256) -> Workload:
    """Network of the binary chips on 32 x 32 images: eight 2x2 convolutions without padding and a dense layer.

    Maximum pooling follows the fourth and sixth; the image comes as `filters` thermometer-coded maps. 62.9, 251.7 and
    1006.6 M MACs in the convolutions for 64, 128 and 256 filters. Source: facts 1.1 (CIFAR-10).

    Args:
        filters: Filters, and input maps, of every convolution.

    Returns:
        Its layers, without activity.
    """
    at_least_one(filters=filters)
    layers, side = [], 32
    for index in range(8):
        layers.append(convolution(f"conv{index + 1}", side, side, filters, filters, 2, padding="VALID"))
        side = (side - 1) // (2 if index in (3, 5) else 1)
    return Workload(f"binary-image-{filters}", (*layers, dense("dense", side * side * filters, 10)))


def quantised_image_network(
    layers: tuple[int, int, int] = (1, 1, 1), filters: tuple[int, int, int] = (64, 64, 64)
) -> Workload:
    """Networks of Moons et al. (Asilomar'17) on 32 x 32 x 3 images: three blocks of 3x3 convolutions, a classifier.

    Convolutions keep the size of their maps; 2x2 maximum pooling follows each block. Source: facts 4.1, whose three
    logged members have 13.58, 162.2 and 1781 M MACs and 85.7 k, 870 k and 4.77 M weights.

    Args:
        layers: Convolutions in the blocks A, B and C.
        filters: Filters of each convolution in a block.

    Returns:
        Its layers, without activity.

    Raises:
        ValueError: Not three blocks, or a count below 1.
    """
    for name, counts in (("layers", layers), ("filters", filters)):
        integers_from_one(name, counts)
        if len(counts) != 3:
            raise ValueError(f"Argument `{name}` must have three counts, but is {counts}.")
    found: list[Layer] = []
    side, channels = 32, 3
    for block, depth, width in zip("abc", layers, filters, strict=True):
        for index in range(depth):
            found.append(convolution(f"{block}{index + 1}", side, side, channels, width, 3))
            channels = width
        side //= 2
    name = "quantised-image-" + "-".join(f"{depth}x{width}" for depth, width in zip(layers, filters, strict=True))
    return Workload(name, (*found, dense("dense", side * side * channels, 10)))


def alexnet(classifier: bool = False, groups: int = 2) -> Workload:
    """AlexNet (Krizhevsky, Sutskever, Hinton, NIPS'12) on 227 x 227 x 3 images; 666 M MACs in the convolutions.

    The paper's text says 224, which its first layer (11x11, stride 4, 55 x 55 maps) contradicts.

    Args:
        classifier: Whether the three dense layers are included.
        groups: Groups of the second, fourth and fifth convolution: 2 as published (two processors), 1 for one tower.

    Returns:
        Its layers, without activity.
    """
    truth_values(classifier=classifier)
    found = [
        convolution("conv1", 227, 227, 3, 96, 11, 4, "VALID"),
        convolution("conv2", 27, 27, 96, 256, 5, groups=groups),
        convolution("conv3", 13, 13, 256, 384, 3),
        convolution("conv4", 13, 13, 384, 384, 3, groups=groups),
        convolution("conv5", 13, 13, 384, 256, 3, groups=groups),
    ]
    if classifier:
        found += [dense("dense1", 6 * 6 * 256, 4096), dense("dense2", 4096, 4096), dense("dense3", 4096, 1000)]
    return Workload("alexnet", tuple(found))


def vgg16(classifier: bool = False) -> Workload:
    """VGG-16 (Simonyan, Zisserman, ICLR'15, configuration D) on 224 x 224 x 3 images; 15.3 G MACs in the convolutions.

    Args:
        classifier: Whether the three dense layers are included.

    Returns:
        Its layers, without activity.
    """
    truth_values(classifier=classifier)
    found: list[Layer] = []
    side, channels = 224, 3
    for depth, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(depth):
            found.append(convolution(f"conv{len(found) + 1}", side, side, channels, filters, 3))
            channels = filters
        side //= 2
    if classifier:
        found += [dense("dense1", 7 * 7 * 512, 4096), dense("dense2", 4096, 4096), dense("dense3", 4096, 1000)]
    return Workload("vgg16", tuple(found))


def lstm_keyword_spotter(inputs: int = 13, units: int = 80, classes: int = 12, frames: int = 62) -> Workload:
    """Keyword spotter: one LSTM layer over the frames of a recording, and a classifier at its end.

    The four gates are two products per frame with `4 units (inputs + units)` weights: one of the frame's features, one
    of the previous state, which is known only when the previous frame is done. Defaults are assumed, since no such
    shape is published: 30 720 weights fill the 32 kB of Laika at 8 bit, and 62 frames of 16 ms per second make 1.8 M
    MACs, where the audio cascade has 2 M per second (facts 3b). 13 features and 12 classes are usual for cepstral
    coefficients and speech commands.

    Args:
        inputs: Features per frame.
        units: Hidden units.
        classes: Outputs.
        frames: Frames per decision.

    Returns:
        Its layers, without activity.
    """
    at_least_one(inputs=inputs, units=units, classes=classes, frames=frames)
    # A frame starts when the previous one is done, so no two of them share a fetch of the weights.
    gates = [dense("lstm.input", inputs, 4 * units), dense("lstm.recurrent", units, 4 * units)]
    each_frame = [dataclasses.replace(layer, repeats=frames) for layer in gates]
    return Workload("lstm-keyword-spotter", (*each_frame, dense("dense", units, classes)))
