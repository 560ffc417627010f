"""Files of every kind, cut and with bytes flipped: the same content or one clear ValueError that names the file.

Weights of other programs and tables carry no checksum: a flipped number in them is another number.
"""

import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.characterisation.table import read_table
from amsim.networks.image_network import ConvolutionLayer, ImageNetwork
from amsim.networks.storage import load_network, save_network
from amsim.training.fine_tuning.checkpoint import TrainingState, read_checkpoint, write_checkpoint

WEIGHTS = np.linspace(-1, 1, 48).reshape(16, 3).astype(np.float32)
SETTINGS = {"epochs": 2, "functions": {"loss": "amsim.cross_entropy"}}


def product(params, inputs):
    return inputs @ params["w"]


def state():
    params = {"w": jnp.asarray(WEIGHTS)}
    return TrainingState(params, {"m": jnp.zeros(3)}, params, 1, 1, False, {"loss": [0.5, 0.25]}, [0.5])


def write_chip(path):
    amsim.deploy(product, {"w": jnp.asarray(WEIGHTS)}, circuits.DigitalBinary(), key=jax.random.key(0)).save(path)


def write_network(path):
    layers = (ConvolutionLayer(3, 1, 2, 1),)
    network = ImageNetwork(bits=2, input_maps=1, layers=layers, classes=2, input_shape=(8, 8))
    shapes = jax.eval_shape(network.initial_params, jax.random.key(0))
    save_network(path, network, jax.tree.map(lambda one: jnp.full(one.shape, 0.5, one.dtype), shapes))


def write_safetensors(path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [16, 3], "data_offsets": [0, 192]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + WEIGHTS.tobytes())


def write_onnx(path):
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    ends = [make.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("x", 16), ("y", 3))]
    node = make.make_node("MatMul", ["x", "w"], ["y"])
    graph = make.make_graph([node], "g", ends[:1], ends[1:], [onnx.numpy_helper.from_array(WEIGHTS, "w")])
    path.write_bytes(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)]).SerializeToString())


KINDS = {
    "chip.npz": (write_chip, lambda path: amsim.load_chip(path, product)),
    "network.npz": (write_network, load_network),
    "checkpoint.npz": (
        lambda path: write_checkpoint(path, SETTINGS, state()),
        lambda path: vars(read_checkpoint(path, SETTINGS, state())),
    ),
    "data.npz": (lambda path: np.savez(path, w=WEIGHTS), amsim.load_weights),
    "weights.safetensors": (write_safetensors, amsim.load_weights),
    "network.onnx": (write_onnx, lambda path: amsim.load_onnx(path).params),
    "table.csv": (
        lambda path: path.write_text("column,count,mean,sigma\n0,-1,-1.5,0.1\n0,0,0.0,0.2\n0,1,1.5,0.1\n"),
        lambda path: [read_table(path).mean],
    ),
}
WITH_CHECKSUM = ("chip.npz", "network.npz", "checkpoint.npz", "data.npz")


def damaged(whole):
    lengths = (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1)
    yield from (whole[:length] for length in lengths)
    for place in np.linspace(0, len(whole) - 1, 20).astype(int):
        for flip in (0x01, 0xFF):
            yield whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_clear_error(tmp_path, kind):
    write, read = KINDS[kind]
    path = tmp_path / kind
    write(path)
    whole, found, refused = path.read_bytes(), jax.tree.leaves(read(path)), 0
    for content in damaged(whole):
        path.write_bytes(content)
        try:
            again = jax.tree.leaves(read(path))
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(path) in str(error)
        else:
            if kind in WITH_CHECKSUM:
                assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))
    assert refused >= 10


def changed(path, **arrays):
    with np.load(path) as file:
        held = dict(file)
    assert set(arrays) <= set(held)
    np.savez(path, **held | arrays)


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("chip.npz", "array0", lambda one: one * 2),
        ("network.npz", "dense.kernel", lambda one: one - 1),
        ("checkpoint.npz", "array0", lambda one: one * 2),
    ],
)
def test_a_changed_number_is_found(tmp_path, kind, name, change):
    write, read = KINDS[kind]
    path = tmp_path / kind
    write(path)
    with np.load(path) as file:
        new = change(file[name])
    changed(path, **{name: new})
    with pytest.raises(ValueError, match=rf"{kind} cannot be used: its content does not match its checksum"):
        read(path)


def test_files_without_a_checksum_are_of_earlier_versions(tmp_path):
    for kind in ("chip.npz", "network.npz", "checkpoint.npz"):
        write, read = KINDS[kind]
        write(tmp_path / kind)
        found = jax.tree.leaves(read(tmp_path / kind))
        with np.load(tmp_path / kind) as file:
            np.savez(tmp_path / kind, **{name: file[name] for name in file if name != "checksum"})
        again = jax.tree.leaves(read(tmp_path / kind))
        assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))
