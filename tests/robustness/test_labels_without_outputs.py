"""Labels that a network has no output for end in one error that names their argument, before any work."""

import re

import jax
import numpy as np
import pytest

import amsim
from amsim.circuits import SwitchedCapacitor
from amsim.networks import ConvolutionLayer, ImageNetwork
from amsim.training import train

PARAMS = np.full((3, 2), 0.1, np.float32)
HARDWARE = SwitchedCapacitor(rows=4, columns=2)
ITEMS = amsim.Split(np.ones((4, 3), np.float32), np.array([0, 1, 1, 0]))
WRONG = amsim.Split(ITEMS.inputs, np.array([0, 1, 7, 0]))
KEY = {"key": jax.random.key(0)}
SEARCH = KEY | {"variables": {"macro.unit_capacitance": (1e-15, 2e-15)}, "accuracy": 0.5, "steps": 1, "dies": 1}
TRAINING = KEY | {"epochs": 1, "batch": 2}


def network(params, inputs):
    return inputs @ params


@pytest.mark.parametrize(
    ("function", "items", "options", "argument"),
    [
        (amsim.unseen_dies_report, {"test": WRONG}, KEY, "test"),
        (amsim.unseen_dies_report, {"test": ITEMS, "train": WRONG}, KEY, "train"),
        (amsim.fine_tune, {"data": WRONG}, TRAINING, "data"),
        (amsim.fine_tune, {"data": ITEMS, "validation": WRONG}, TRAINING, "validation"),
        (amsim.fine_tune, {"data": ITEMS, "validation": amsim.HeldOut(WRONG)}, TRAINING, "validation"),
        (amsim.repair, {"samples": WRONG, "test": ITEMS}, KEY, "samples"),
        (amsim.repair, {"samples": ITEMS, "test": WRONG}, KEY, "test"),
        (amsim.calibrate, {"data": WRONG}, {}, "data"),
        (amsim.calibrate, {"data": ITEMS, "test": WRONG}, {}, "test"),
        (amsim.design_circuit, {"data": WRONG}, SEARCH, "data"),
        (amsim.design_circuit, {"data": ITEMS, "check": WRONG}, SEARCH, "check"),
        (amsim.design_circuit, {"data": ITEMS, "check": amsim.FinalCheck(WRONG)}, SEARCH, "check"),
    ],
)
def test_argument_of_the_labels_is_named(function, items, options, argument, monkeypatch):
    monkeypatch.setattr(jax, "jit", None)  # nothing is compiled before the error
    said = f"Argument `{argument}` must have labels of classes that the network knows, but has 7, and `fn` gives 2"
    with pytest.raises(ValueError, match=re.escape(said)):
        function(network, PARAMS, HARDWARE, **items, **options)


@pytest.mark.parametrize("part", ["train", "test"])
def test_reference_training_looks_at_both_parts(part):
    images = np.ones((4, 12, 12), np.uint8)
    good, wrong = amsim.Split(images, ITEMS.labels), amsim.Split(images, np.array([0, 1, 77, 0]))
    network = ImageNetwork(bits=1, input_maps=2, layers=(ConvolutionLayer(3, 2, 4, 1),), input_shape=(12, 12))
    data = amsim.Dataset(
        "made up", classes=tuple("abcdefghij"), source="", **({"train": good, "test": good} | {part: wrong})
    )
    with pytest.raises(ValueError, match=f"`data.{part}` must have labels .* has 77"):
        train(network, data, epochs=1, batch=2)


def test_a_loss_of_ones_own_that_is_not_finite_tells_the_labels():
    def loss(outputs, labels):
        return (outputs[:, 0] / (labels.astype(float) * 0.0)).sum()

    with pytest.raises(amsim.TrainingDivergedError, match="takes the labels of `data`, from 0 to 7"):
        amsim.fine_tune(network, PARAMS, HARDWARE, WRONG, loss=loss, **TRAINING)
