"""Outputs of small members of the families against plain loops in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.networks import ImageConfiguration, SequenceNetwork


def grid(values, bits, signed):
    """Values on the grid of a word: signed in -1..1, unsigned in 0..1; -1 and +1 at one bit."""
    if bits == 32:
        return values if signed else np.maximum(values, 0)
    if bits == 1:
        return np.where(values >= 0, 1.0, -1.0)
    steps = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return np.round(np.clip(values, -1.0 if signed else 0.0, 1.0) * steps) / steps


def normalised(sums, layer):
    return (sums - layer["mean"]) / np.sqrt(layer["variance"] + 1e-3) * layer["gain"] + layer["shift"]


def convolved(values, kernel, layer):
    """One image (height, width, channels), one output number at a time; zeros in halves, the larger one behind."""
    side = kernel.shape[0]
    if layer.same:
        total = [max((-(-size // layer.stride) - 1) * layer.stride + side - size, 0) for size in values.shape[:2]]
        values = np.pad(values, [*((one // 2, one - one // 2) for one in total), (0, 0)])
    places = [range(0, size - side + 1, layer.stride) for size in values.shape[:2]]
    found = np.zeros((len(places[0]), len(places[1]), layer.filters))
    inside, outside = values.shape[2] // layer.groups, layer.filters // layer.groups
    for i, top in enumerate(places[0]):
        for j, left in enumerate(places[1]):
            for filter_ in range(layer.filters):
                first = filter_ // outside * inside
                window = values[top : top + side, left : left + side, first : first + inside]
                found[i, j, filter_] = np.sum(window * kernel[..., filter_])
    return found


def pooled(values, side, function):
    height, width = values.shape[0] // side, values.shape[1] // side
    return np.array(
        [
            [function(values[i * side : (i + 1) * side, j * side : (j + 1) * side], axis=(0, 1)) for j in range(width)]
            for i in range(height)
        ]
    )


def image_logits(network, params, image):
    lengths = network.word_lengths
    names = network.layer_names
    places = np.arange(network.input_maps)
    bits = lengths["conv1"][1]
    segments = (image[..., None] * network.input_maps - places).reshape(*image.shape[:2], -1)
    values = np.where(segments >= 0.5, 1.0, -1.0) if bits == 1 else grid(segments, bits, signed=False)
    for layer, name, following in zip(network.layers, names, names[1:], strict=False):
        sums = convolved(values, grid(params[name]["kernel"], lengths[name][0], signed=True), layer)
        sums = normalised(sums, params[name]) + (values if layer.shortcut else 0.0)
        sums = pooled(sums, layer.pool, np.mean) if network.pooling == "average" else sums
        values = grid(sums, lengths[following][1], signed=False)
        values = pooled(values, layer.pool, np.max) if network.pooling == "max" else values
    return normalised(
        values.ravel() @ grid(params["dense"]["kernel"], lengths["dense"][0], signed=True), params["dense"]
    )


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def recurrent_logits(network, params, sequence):
    names, lengths = network.layer_names, network.word_lengths
    shares = np.clip(sequence / (2 * network.input_range) + 0.5, 0, 1)
    values, width = grid(shares, lengths[names[0]][1], signed=False), network.width
    for place in range(0, len(names) - 1, 2):
        name, recurrent, following = names[place : place + 3]
        kernels = [grid(params[one]["kernel"], lengths[one][0], signed=True) for one in (name, recurrent)]
        state, cell, states = np.zeros(width), np.zeros(width), []
        for frame in values:
            new = normalised(frame @ kernels[0], params[name])
            old = (grid(state, lengths[recurrent][1], signed=True) @ kernels[1]) * params[recurrent]["gain"]
            new_parts, old_parts = (one.reshape(-1, width) for one in (new, old))
            if network.topology == "gru":
                keep, reset = sigmoid(new_parts[:2] + old_parts[:2])
                state = (1 - keep) * np.tanh(new_parts[2] + reset * old_parts[2]) + keep * state
            else:
                write, forget, candidate, show = new_parts + old_parts
                cell = sigmoid(forget + 1) * cell + sigmoid(write) * np.tanh(candidate)
                state = sigmoid(show) * np.tanh(cell)
            states.append(state)
        values = grid(np.array(states), lengths[following][1], signed=True)
    kernel = grid(params["dense"]["kernel"], lengths["dense"][0], signed=True)
    return normalised(values[-1] @ kernel, params["dense"])


def drawn(network):
    """Parameters with statistics, gains and shifts that are none of their first values, and one item."""
    generator = np.random.default_rng(3)
    params = network.initial_params(jax.random.key(0))
    for layer in params.values():
        # First weights are within +-0.5, all of which 2 bits round to 0.
        layer["kernel"] = jnp.asarray(generator.uniform(-1, 1, layer["kernel"].shape), jnp.float32)
        for part in sorted(set(layer) - {"kernel"}):
            layer[part] = jnp.asarray(layer[part] + generator.uniform(0.05, 0.3, layer[part].shape), jnp.float32)
        if "variance" in layer:
            # About that of the sums, so that activations do not all saturate.
            layer["variance"] = layer["variance"] * (layer["kernel"][..., 0].size / 9)
    return params, generator.uniform(size=network.input_shape).astype(np.float32)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("topology", "settings"),
    [
        ("residual", {"bits": 2, "activation_bits": 4, "first_bits": 8, "last_bits": 3}),
        ("depthwise-separable", {"bits": 3, "pooling": "average"}),
        ("residual", {"bits": 1, "input_maps": 2, "pooling": "stride"}),
        ("binary-2x2", {"bits": 32}),
    ],
)
def test_image_networks_compute_what_a_plain_loop_does(topology, settings):
    network = ImageConfiguration(topology, 3, (2, 1), classes=4, input_shape=(7, 6, 2), **settings).network
    params, image = drawn(network)
    expected = image_logits(network, jax.tree.map(lambda one: np.asarray(one, float), params), image.astype(float))
    np.testing.assert_allclose(network(params, image[None])[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("topology", ["gru", "lstm"])
@pytest.mark.parametrize("bits", [1, 4])
def test_recurrent_networks_compute_what_a_plain_loop_does(topology, bits):
    network = SequenceNetwork(topology, 3, 2, bits, last_bits=8, classes=4, input_shape=(5, 4))
    params, sequence = drawn(network)
    expected = recurrent_logits(
        network, jax.tree.map(lambda one: np.asarray(one, float), params), sequence.astype(float)
    )
    np.testing.assert_allclose(network(params, sequence[None])[0], expected, rtol=1e-4, atol=1e-4)
