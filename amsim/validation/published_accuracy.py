"""Rungs of accuracy: what networks lose on published chips, predicted on dies of the presets."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from amsim import chips, networks
from amsim.circuits.exact import Exact
from amsim.datasets.load import load_dataset
from amsim.datasets.split import Split
from amsim.deployment.front_door import check_deployable
from amsim.evaluation.item_values import values_on_dies
from amsim.evaluation.scoring import SCORINGS
from amsim.statistics.crossed_interval import crossed_interval
from amsim.statistics.intervals import MeanInterval
from amsim.system.accelerator import Accelerator
from amsim.validation.rung import Rung

TOLERANCE = 1.5
"""Points of accuracy between a loss and a published one: about two standard errors of a difference on 500 images.

The interval of two dies is wider, 1.5 to 4 points to either side, so that it tells only what loses several points.
"""

IMAGES = {1: 500, 4: 250}
"""Test images by word length; those of several bits take a read for each pair of bits."""

DIES = 2

STAND_IN = "Reference network on Fashion-MNIST in place of the published one on CIFAR-10, a harder task."
FIRST_LAYER = (
    "The network's first layer, 9 rows on the smallest part of the line that can be gated, 576 rows, has 1/64 of the "
    "signal against the noise of the comparator; the published one has 27 rows, and where it ran is not known. With "
    "the first layer digital the rung above is met."
)


def accuracy_loss(
    fn: Callable[..., Any], params: Any, hardware: Any, data: Split, *, dies: int = DIES, seed: int = 1
) -> MeanInterval:
    """Accuracy that a network loses on dies of hardware, against itself computed exactly on the same images.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Labelled images.
        dies: Number of dies, one read each.
        seed: Draws dies and reads.

    Returns:
        Mean and 95 % interval over dies and images (`amsim.statistics.crossed_interval`), points (1 point is 0.01 of
        all answers).
    """
    accelerator, exact = (check_deployable(fn, params, one) for one in (hardware, Exact()))
    key = jax.random.key(seed)
    is_right = SCORINGS["accuracy"].of_items
    right = values_on_dies(is_right, fn, params, accelerator, data, key, dies)
    plain = values_on_dies(is_right, fn, params, exact, data, key, 1)
    return crossed_interval(100.0 * (plain.astype(float) - right), deterministic=accelerator.deterministic)


def _loss(chip: Callable[[], Accelerator], bits: int) -> float:
    fn, params = networks.load("binary-fashion" if bits == 1 else f"{bits}-bit-fashion")
    return accuracy_loss(fn, params, chip(), load_dataset().test[: IMAGES[bits]]).mean


def accuracy_rungs() -> tuple[Rung, ...]:
    """Accuracy lost on every chip that has published it, on our reference networks as stand-ins.

    The ranges of converters are those of the presets; no image takes part in a choice.
    """
    jia = functools.partial(chips.jia2020, weight_bits=4, input_bits=4)
    first_digital = functools.partial(jia, digital_sites="conv1")
    measured: dict[str, tuple[Callable[[], Accelerator], int, float, str, str]] = {
        "Bankman, accuracy lost": (chips.bankman2018, 1, 0.0, "Bankman JSSC'19, recalled (facts 1.2)", STAND_IN),
        "Valavi, accuracy lost": (chips.valavi2019, 1, 0.0, "Valavi JSSC'19, recalled (facts 1b)", STAND_IN),
        "Jia'20, accuracy lost at 1 bit": (chips.jia2020, 1, 0.5, "Jia JSSC'20 (facts 1b)", STAND_IN),
        "Jia'20, accuracy lost at 4 bit": (first_digital, 4, 0.3, "Jia JSSC'20 (facts 1b)", STAND_IN),
        "Jia'20, accuracy lost at 4 bit, all on the array": (jia, 4, 0.3, "Jia JSSC'20 (facts 1b)", FIRST_LAYER),
        "C3SRAM, accuracy lost": (chips.c3sram2020, 1, 3.0, "C3SRAM JSSC'20 (facts 1b)", STAND_IN),
    }
    return tuple(
        Rung(
            name, "published accuracy", "points", functools.partial(_loss, chip, bits), reference, TOLERANCE,
            "predicted", source, absolute=True, note=note,
        )
        for name, (chip, bits, reference, source, note) in measured.items()
    )  # fmt: skip
