"""Training of members of the families: each learns in a step, and a saved one is the same network."""

import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from amsim import Dataset, Split
from amsim.command_line.application import app
from amsim.networks import ImageConfiguration, ImageNetwork, SequenceNetwork, load_network
from amsim.networks.quantised import plain_convolution
from amsim.training.reference_networks import patch_convolution, train

MIXED = {"bits": 2, "activation_bits": 3, "first_bits": 8, "last_bits": 8}


def separable(shape, classes=4, items=64, low=0.0):
    """Items of each class about a mean of its own, in low..low + 1."""
    generator = np.random.default_rng(0)
    labels = np.arange(items) % classes
    means = generator.uniform(size=(classes, *shape))
    inputs = np.clip(means[labels] + 0.1 * generator.normal(size=(items, *shape)), 0, 1).astype(np.float32)
    split = Split(inputs + np.float32(low), labels.astype(np.int32))
    return Dataset("separable", split, split, tuple("abcd"), "made here")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("topology", "settings"),
    [
        ("residual", MIXED),
        ("depthwise-separable", {"bits": 4}),
        ("binary-2x2", {"bits": 1, "input_maps": 4}),
        ("temporal-convolution", {"bits": 1}),
        ("gru", MIXED),
        ("lstm", {"bits": 32}),
    ],
)
def test_a_few_steps_lower_the_loss(topology, settings, monkeypatch):
    # On the same items before and after the step.
    for kind in (ImageNetwork, SequenceNetwork):
        monkeypatch.setattr(kind, "augmented", lambda self, inputs, key: inputs)
    if topology in ("gru", "lstm", "temporal-convolution"):
        # What is learnt from lies around the middle of the range: one bit tells no two values above it apart.
        network = SequenceNetwork(topology, 8, 1, classes=4, input_shape=(6, 5), input_range=0.5, **settings)
    else:
        network = ImageConfiguration(topology, 4, (2,), classes=4, input_shape=(8, 8), **settings).network
    data = separable(network.input_shape, low=0.0 if isinstance(network, ImageNetwork) else -0.5)
    result = train(network, data, epochs=8, batch=64, learning_rate=5e-3)
    first, *_, last = result.record["history"]["loss"]
    assert last < first
    json.dumps(result.record)


@pytest.mark.sampled
@pytest.mark.parametrize("groups", [1, 6, 2])
@pytest.mark.parametrize(("stride", "side"), [(1, 9), (2, 8), (2, 9)])
def test_padded_patches_are_the_plain_convolution(groups, stride, side):
    filters = 6 if groups == 6 else 4
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.normal(keys[0], (2, side, side, 6))
    kernel = jax.random.normal(keys[1], (3, 3, 6 // groups, filters))
    arguments = (inputs, kernel, stride, True, groups)
    np.testing.assert_allclose(patch_convolution(*arguments), plain_convolution(*arguments), atol=1e-5)


@pytest.mark.slow  # starts processes
def test_the_command_trains_a_member(tmp_path):
    settings = ["topology=residual", "width=2", "depth=1,1", "bits=2", "last_bits=8"]
    given = [one for text in settings for one in ("--set", text)]
    ran = CliRunner().invoke(
        app,
        [
            "train",
            "images",
            *given,
            "--data",
            "fashion-mnist-mini",
            "--epochs",
            "1",
            "--batch",
            "2000",
            "--out",
            str(tmp_path),
        ],
    )
    assert ran.exit_code == 0, ran.output
    name = "residual-1x2-1x2-w2a2-last8"
    network, _ = load_network(tmp_path / f"{name}.npz")
    assert network == ImageConfiguration("residual", 2, (1, 1), bits=2, last_bits=8).network
    assert json.loads((tmp_path / f"{name}.json").read_text())["network"]["last_bits"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images", "--set", "widht=4"], "Did you mean 'width'"),
        (["images", "--set", "width"], "must have the form name=value, but is 'width'"),
        (["images", "--set", "width=wide"], "`width` must be an integer"),
        (["images", "--set", "width=4", "--set", "width=8"], "must give each setting once, but gives width twice"),
        (["images", "--set", f"width={'9' * 5000}"], "`width` must be an integer"),
        (["sequences", "--data", "fashion-mnist-mini"], "`--data` must have features in floating point"),
        (["binary-fashion", "--set", "width=4"], "must be given with a family"),
        (["sequences", "--data", "fashion-mnist-mini", "--set", "topology=gru", "--set", "depth=0"], "`depth` must be"),
    ],
)
def test_wrong_settings_are_refused_by_name(arguments, message, as_a_user_runs_it):
    data = [] if "--data" in arguments else ["--data", "fashion-mnist-mini"]
    with pytest.raises(ValueError, match=message):
        CliRunner().invoke(app, ["train", *arguments, *data], catch_exceptions=False)
