"""Training: it learns, it is reproducible, and it says when it cannot."""

import dataclasses

import jax
import numpy as np
import pytest

from amsim.datasets import Dataset, Split, load_dataset
from amsim.networks import ImageNetwork
from amsim.networks.image_network import ConvolutionLayer
from amsim.training.reference_networks import train

SMALL = ImageNetwork(bits=1, input_maps=4, layers=(ConvolutionLayer(3, 3, 16, 1),))


@pytest.fixture(scope="module")
def data() -> Dataset:
    whole = load_dataset()
    return dataclasses.replace(whole, train=whole.train[:1000], test=whole.test[:500])


def test_learns_and_is_reproducible(data):
    seen = []
    first = train(SMALL, data, epochs=3, batch=50, seed=1, progress=lambda *step: seen.append(step))
    again = train(SMALL, data, epochs=3, batch=50, seed=1)
    other = train(SMALL, data, epochs=1, batch=50, seed=2)
    # Chance is 10 %; a linear classifier reaches about 75 % on so few pictures.
    assert first.record["test_accuracy"] > 0.5
    losses = first.record["history"]["loss"]
    assert losses[-1] < losses[0]
    assert seen
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    assert first.record["history"] == again.record["history"]
    assert not np.array_equal(first.params["dense"]["kernel"], other.params["dense"]["kernel"])


def test_latent_weights_stay_inside_their_range(data):
    params = train(SMALL, data, epochs=1, batch=50, learning_rate=0.5).params
    assert max(float(np.abs(layer["kernel"]).max()) for layer in params.values()) <= 1


def test_errors(data):
    with pytest.raises(ValueError, match="`epochs` must be an integer of at least 1, but is 0"):
        train(SMALL, data, epochs=0)
    with pytest.raises(ValueError, match="`batch` must be an integer from 1 to 1000, but is 2000"):
        train(SMALL, data, batch=2000)
    with pytest.raises(FloatingPointError, match="The loss is nan after epoch 1; lower learning_rate"):
        train(SMALL, data, epochs=1, batch=50, learning_rate=1e38)
    with pytest.raises(ValueError, match="`learning_rate` must be finite and at least 0, but is nan"):
        train(SMALL, data, learning_rate=float("nan"))
    empty = Dataset("empty", Split(data.train.inputs[:0], data.train.labels[:0]), data.test, data.classes, data.source)
    with pytest.raises(ValueError, match="`batch` must be an integer from 1 to 0"):
        train(SMALL, empty)
