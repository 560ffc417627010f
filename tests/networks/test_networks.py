"""Reference networks: grids, thermometer code, accuracy, and files that are damaged."""

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import networks
from amsim.datasets import load_dataset
from amsim.evaluation.accuracy import plain_accuracy
from amsim.networks import CorruptNetworkError, ImageNetwork, load_network, save_network
from amsim.networks.image_network import ConvolutionLayer, plain_convolution
from amsim.training.reference_networks import patch_convolution

AIMS = {"binary-fashion": 0.87, "2-bit-fashion": 0.88, "4-bit-fashion": 0.895, "8-bit-fashion": 0.895}
SMALL = (ConvolutionLayer(3, 2, 4, 1), ConvolutionLayer(2, 1, 6, 2))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_embedded_networks_reach_their_accuracy(name):
    net, params = networks.load(name)
    test = load_dataset().test
    # 2000 images: a standard deviation of 0.7 % allows for what the subset differs from the full test set.
    assert plain_accuracy(net, params, test) > AIMS[name] - 0.02


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_weights_and_activations_are_on_their_grid(bits):
    net = ImageNetwork(bits=bits, input_maps=2)
    values = jnp.linspace(-2, 2, 4001)
    weights, activations = np.asarray(net.quantised_weights(values)), np.asarray(net.quantised_activations(values))
    if bits == 1:
        assert set(weights) == set(activations) == {-1.0, 1.0}
    else:
        steps = 2 ** (bits - 1) - 1
        expected = np.clip(np.round(np.clip(values, -1, 1) * steps), -steps, steps) / steps
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
        assert len(set(activations)) == 2**bits
        assert activations.min() == 0
        assert activations.max() == 1


def test_thermometer_code():
    net = ImageNetwork(bits=1, input_maps=4)
    maps = net.encode(jnp.full((1, 28, 28), 0.5))
    # Half grey fills the two lower of four segments; pixels as integers and as fractions agree.
    np.testing.assert_array_equal(maps[0, 0, 0], [1, 1, -1, -1])
    pixels = jnp.arange(28 * 28, dtype=jnp.uint8).reshape(1, 28, 28)
    np.testing.assert_array_equal(net.encode(pixels), net.encode(pixels.astype(jnp.float32) / 255))


def test_patch_convolution_equals_the_plain_one():
    keys = jax.random.split(jax.random.key(0))
    inputs, kernel = jax.random.normal(keys[0], (2, 9, 9, 3)), jax.random.normal(keys[1], (3, 3, 3, 5))
    for stride in (1, 2):
        np.testing.assert_allclose(
            patch_convolution(inputs, kernel, stride), plain_convolution(inputs, kernel, stride), atol=1e-5
        )


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_files_round_trip_bit_for_bit(tmp_path, bits):
    net = ImageNetwork(bits=bits, input_maps=2, layers=SMALL, input_shape=(12, 12))
    params = net.initial_params(jax.random.key(bits))
    save_network(tmp_path / "net.npz", net, params)
    again, loaded = load_network(tmp_path / "net.npz")
    images = np.arange(2 * 144, dtype=np.uint8).reshape(2, 12, 12)
    assert again == net
    np.testing.assert_array_equal(net(params, images), again(loaded, images))
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]


def test_wrong_inputs_and_names():
    net, params = networks.load("binary-fashion")
    with pytest.raises(ValueError, match=r"`inputs` must have shape \(batch, 28, 28\), but has shape \(2, 32, 32\)"):
        net(params, np.zeros((2, 32, 32), np.uint8))
    with pytest.raises(ValueError, match=r"`name` must be one of .*binary-fashion.* Did you mean 'binary-fashion'"):
        networks.load("binary-fashon")
    with pytest.raises(ValueError, match="`bits` must be an integer from 1 to 16, or 32 for float32, but is 17"):
        ImageNetwork(bits=17, input_maps=1)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz does not exist"):
        networks.load(tmp_path / "nothing.npz")


def damaged(name, tmp_path):
    net = ImageNetwork(bits=2, input_maps=2, layers=SMALL, input_shape=(12, 12))
    path = tmp_path / "net.npz"
    save_network(path, net, net.initial_params(jax.random.key(0)))
    raw = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    if name == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif name == "flipped":
        with zipfile.ZipFile(path) as archive:
            inside = archive.getinfo("conv2.kernel.npy").header_offset + 90
        path.write_bytes(raw[:inside] + bytes([raw[inside] ^ 255]) + raw[inside + 1 :])
    elif name == "not an archive":
        path.write_bytes(b"weights")
    elif name == "object array":
        np.savez(path, **(arrays | {"conv1.gain": np.array([{}], dtype=object)}), allow_pickle=True)
    elif name == "missing array":
        np.savez(path, **{key: value for key, value in arrays.items() if key != "dense.gain"})
    elif name == "surplus array":
        np.savez(path, **(arrays | {"extra": np.zeros(3)}))
    elif name == "wrong shape":
        np.savez(path, **(arrays | {"conv1.gain": np.ones(3, np.float32)}))
    elif name == "not finite":
        np.savez(path, **(arrays | {"conv1.gain": np.full(4, np.nan, np.float32)}))
    elif name == "code out of range":
        np.savez(path, **(arrays | {"conv1.kernel": np.full_like(arrays["conv1.kernel"], 9)}))
    else:
        np.savez(path, **(arrays | {"header": np.asarray('{"format": "other"}')}))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "truncated",
        "flipped",
        "not an archive",
        "object array",
        "missing array",
        "surplus array",
        "wrong shape",
        "not finite",
        "code out of range",
        "other format",
    ],
)
def test_damaged_files_are_refused(tmp_path, name):
    path = damaged(name, tmp_path)
    with pytest.raises(CorruptNetworkError, match=r"net\.npz cannot be used"):
        networks.load(path)
