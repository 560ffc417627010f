"""The face cascade on real faces: a binary network trained here, then the three networks of MTCNN.

Items are grey windows, one per frame of a camera. The first stage is in the style of the binary processors (1-bit
weights and activations, 2x2 convolutions, a thermometer code of the pixels) and runs either on a switched-capacitor
array or on a digital binary one; P-, R- and O-Net run on the 8-bit units of Envision. All memories are of the size of
their networks.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from amsim.cascade.chain import Cascade
from amsim.cascade.stage import Stage
from amsim.cascade.stated_numbers import FACE
from amsim.chips.binary import bankman2018, binareye2018
from amsim.chips.envision import envision2017
from amsim.circuits.checks import at_least_one, integer_between, number_between, one_of
from amsim.circuits.technology.dram import Dram
from amsim.datasets.split import Dataset, Split
from amsim.deployment.front_door import deploy
from amsim.foreign.published.mtcnn import STAGES, load_mtcnn
from amsim.networks.image_configuration import ImageConfiguration
from amsim.networks.quantised import Params
from amsim.progress import Progress
from amsim.recognition.memory import with_memories
from amsim.recognition.recogniser import Recogniser, thresholds_for_recall
from amsim.recognition.windows import EDGE, FaceWindows, load_face_windows, moved_copies
from amsim.system.accelerator import Accelerator
from amsim.training.reference_networks import train

FIRST_EDGE = 16
"""Edge of the window of the first stage, pixels."""

FIRST = ImageConfiguration(
    "binary-2x2", 32, (2, 1, 1), bits=1, input_maps=4, classes=2, input_shape=(FIRST_EDGE, FIRST_EDGE)
).network
"""First stage: four binary 2x2 convolutions of 32 filters and a classifier, 1.1 M one-bit products."""

FAMILIES = ("switched-capacitor", "digital-binary")
"""Arrays that the first stage may run on."""

MTCNN_PROBABILITIES = {"pnet": 0.6, "rnet": 0.7, "onet": 0.7}
"""Probability of a face above which each stage of MTCNN passes a window; of its authors' program (recalled)."""

MTCNN_BITS = 8

MTCNN_ACTIVATIONS = {"pnet": 10 * 10 * 10, "rnet": 22 * 22 * 28, "onet": 46 * 46 * 32}
"""Words of the largest map: that of the first convolution."""


class FirstFaceStage(NamedTuple):
    """The trained first stage.

    Attributes:
        params: Parameters of `FIRST`.
        record: How it was trained, as from `amsim.training.train`.
        seed: Of training and of the crops.
    """

    params: Params
    record: dict[str, Any]
    seed: int


def train_first_face_stage(
    *, epochs: int = 10, crops: int = 3000, seed: int = 0, progress: bool | Progress | None = None
) -> FirstFaceStage:
    """Train the binary first stage on 200 faces, moved and of several contrasts, and on random crops; a minute or two.

    Args:
        epochs: Passes over the windows.
        crops: Crops of pictures without a face.
        seed: Of weights, order, copies and crops.
        progress: As in `amsim.training.train`.

    Raises:
        ImportError: A package of the faces is not installed; the text has the one command that installs it.
    """
    at_least_one(epochs=epochs, crops=crops)
    integer_between("seed", seed, 0, 2**32 - 1)
    fit, choosing = moved_copies(load_face_windows("fit", crops=crops, seed=seed), seed=seed), _choosing(seed)
    parts = [Split(np.asarray(first_windows(one.pixels)), one.labels) for one in (fit, choosing)]
    data = Dataset("face windows", parts[0], parts[1], ("other", "face"), "LFW and ORL faces, random crops")
    trained = train(FIRST, data, epochs=epochs, seed=seed, progress=progress)
    return FirstFaceStage(trained.params, trained.record, seed)


def face_recogniser(
    first: FirstFaceStage,
    family: str = "digital-binary",
    *,
    recall: float = 0.95,
    crops: int = 1000,
    gated: bool = True,
) -> Recogniser:
    """The face cascade with its first stage on one of two arrays; everything else is the same.

    The first threshold passes a fraction `recall` of the choosing part's faces on the array's nominal die; those of
    MTCNN are its own.

    Args:
        first: As from `train_first_face_stage`.
        family: One of `FAMILIES`.
        recall: Of the first stage, above 0 and at most 1.
        crops: Crops of pictures without a face in the test part.
        gated: Whether the chips of MTCNN are off between their windows and reload their weights from a memory outside
            (20 pJ per bit, `Dram`'s default, without refresh: a non-volatile one); else they leak all the time.

    Raises:
        ValueError: An unknown family, or a fraction or count out of range.
        ImportError: A package is not installed; the text has the one command that installs it.
    """
    one_of("family", family, FAMILIES)
    number_between("recall", recall, 1e-9, 1.0)
    integer_between("crops", crops, 1, 100_000)
    choosing, test = _choosing(first.seed), load_face_windows("test", crops=crops, seed=first.seed + 1)
    cascade = _face_cascade(first, family, gated)
    name, watching = cascade.names[0], Cascade(cascade.stages[:1])
    threshold = thresholds_for_recall(watching, choosing.pixels, {name: choosing.labels}, recall)[0]
    later = [math.log(one / (1 - one)) for one in MTCNN_PROBABILITIES.values()]
    labels = [dict.fromkeys(cascade.names, one.labels) for one in (choosing, test)]
    return Recogniser(cascade.with_thresholds([threshold, *later]), choosing.split, test.split, *labels)


def first_stage_hardware(family: str) -> Accelerator:
    """Array of the first stage, one column per filter and one row per product of the widest layer.

    Cells, comparators, clocks, supplies and control are those of `bankman2018` and `binareye2018`; memories are alike.

    Args:
        family: One of `FAMILIES`.
    """
    one_of("family", family, FAMILIES)
    shapes = FIRST.kernel_shapes
    rows = max(math.prod(shape[:-1]) for name, shape in shapes.items() if name != "dense")
    columns = max(shape[-1] for name, shape in shapes.items() if name != "dense")
    if family == "switched-capacitor":
        chip = bankman2018()
        digital, array = chip.macros
        macros: tuple[Any, ...] = (
            dataclasses.replace(digital, rows=shapes["dense"][0], columns=shapes["dense"][1]),
            dataclasses.replace(array, rows=rows, columns=columns),
        )
    else:
        chip = binareye2018()
        macros = (dataclasses.replace(chip.macros[0], rows=rows, columns=columns),)
    weights = sum(math.prod(shape) for shape in shapes.values())
    # The widest map, written while the one before is read.
    activations = 2 * (FIRST_EDGE - 1) ** 2 * columns
    return with_memories(dataclasses.replace(chip, macros=macros), weights=weights, activations=activations)


def first_windows(pixels: Any) -> Any:
    """Windows as the first stage takes them: 16 x 16, 0 to 1."""
    return _shrunk(pixels, FIRST_EDGE) / 255


def _face_cascade(first: FirstFaceStage, family: str, gated: bool) -> Cascade:
    wake: dict[str, Any] = {name: FACE[name].value for name in ("wake_up_energy", "wake_up_latency")}
    watching = deploy(FIRST, first.params, first_stage_hardware(family))
    stages = [Stage("binary network", watching, score=1, inputs=first_windows, rate=FACE["frame_rate"].value)]
    for name in STAGES:
        network, params = load_mtcnn(name)
        chip = deploy(network.score, params, _mtcnn_hardware(name, params))
        stages.append(
            Stage(
                f"{name[0].upper()}-Net", chip, inputs=_mtcnn_windows(network.size),
                keeps_memory=not gated, reload_from=Dram() if gated else None, **wake,
            )
        )  # fmt: skip
    return Cascade(stages, other_power={"image sensor": FACE["sensor"].value})


def _mtcnn_hardware(name: str, params: Any) -> Accelerator:
    kernels = [
        layer["kernel"] for head, layer in params.items() if "kernel" in layer and head not in ("box", "landmarks")
    ]
    weights = sum(int(np.size(one)) for one in kernels) * MTCNN_BITS
    chip = dataclasses.replace(envision2017(MTCNN_BITS), dram=None)
    activations = 2 * MTCNN_ACTIVATIONS[name] * MTCNN_BITS
    return with_memories(chip, weights=weights, activations=activations, banks=(32, 32))


def _mtcnn_windows(edge: int) -> Any:
    def windows(pixels: Any) -> Any:
        return jnp.repeat((_shrunk(pixels, edge)[..., None] - 127.5) / 128, 3, axis=-1)

    return windows


def _shrunk(pixels: Any, edge: int) -> Any:
    """Means of the pixels that fall on each pixel of a smaller window, whose edge divides that of the items."""
    factor = EDGE // edge
    return jnp.asarray(pixels).reshape(-1, edge, factor, edge, factor).mean(axis=(2, 4))


def _choosing(seed: int) -> FaceWindows:
    return load_face_windows("choosing", crops=400, seed=seed + 2)
