"""Files of every kind, cut and with bytes flipped: the same content or one clear ValueError that names the file.

Weights of other programs and tables carry no checksum: a flipped number in them is another number.
"""

import dataclasses
import json
import os
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
    "network.onnx": (write_onnx, lambda path: amsim.load_onnx(path)[1]),
    "table.csv": (
        lambda path: path.write_text("column,count,mean,sigma\n0,-1,-1.5,0.1\n0,1,1.5,0.1\n"),
        lambda path: [read_table(path).count_read.values],
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
    whole, found, errors = path.read_bytes(), jax.tree.leaves(read(path)), []
    for content in damaged(whole):
        path.write_bytes(content)
        try:
            again = jax.tree.leaves(read(path))
        except ValueError as error:
            errors.append(str(error))
        else:
            if kind in WITH_CHECKSUM:
                assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))
    assert len(errors) >= 10
    assert [text for text in errors if "\n" in text or str(path) not in text] == []


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


@pytest.mark.parametrize("kind", KINDS)
def test_pipes_devices_and_folders_are_no_files(tmp_path, kind):
    os.mkfifo(tmp_path / kind)
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / kind).symlink_to("/dev/zero")
    (tmp_path / "folder" / kind).mkdir(parents=True)
    for path in (tmp_path / kind, tmp_path / "device" / kind, tmp_path / "folder" / kind):
        with pytest.raises(ValueError, match=r"must be an (ordinary|existing) file"):
            KINDS[kind][1](path)


def with_other_array(path, kind):
    """A chip file of an earlier amsim, without checksum, with an array changed."""
    with np.load(path) as file:
        held = {name: file[name] for name in file if name != "checksum"}
    header = json.loads(held["header"].tobytes())
    weights = header["params"]["tree"]["dict"]["w"]["array"]
    units = header["dies"]["tuple"][0]["fields"]["units"]["array"]
    if kind == "shape":
        held[units] = held[units][:, :-1]
    else:
        held[{"parameter": weights, "die": units}[kind]][0, 0] = np.nan
    np.savez(path, **held)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("parameter", r"`params\['w'\]` must be finite"),
        ("die", r"`dies\[0\].units` must be finite"),
        ("shape", "its die 0 has other parts or shapes than a die of its macro"),
    ],
)
def test_chips_with_nan_or_other_shapes_are_refused(tmp_path, kind, words):
    path = tmp_path / "chip.npz"
    hardware = circuits.SwitchedCapacitor(rows=16, columns=4)
    amsim.deploy(product, {"w": jnp.asarray(WEIGHTS)}, hardware, key=jax.random.key(0)).save(path)
    with_other_array(path, kind)
    with pytest.raises(ValueError, match=rf"chip.npz cannot be used: .*{words}"):
        amsim.load_chip(path, product)


def test_a_chip_with_nan_is_not_saved(tmp_path):
    chip = amsim.deploy(product, {"w": jnp.asarray(WEIGHTS)}, circuits.Exact())
    with pytest.raises(ValueError, match=r"`params\['w'\]` must be finite"):
        dataclasses.replace(chip, params={"w": jnp.full((16, 3), jnp.nan)}).save(tmp_path / "chip.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [1, 4])
def test_bits_that_are_not_those_of_the_weights_are_refused(tmp_path, bits):
    write_network(tmp_path / "network.npz")
    with np.load(tmp_path / "network.npz") as file:
        header = json.loads(str(file["header"])) | {"bits": bits}
    changed(tmp_path / "network.npz", header=np.asarray(json.dumps(header)))
    with pytest.raises(ValueError, match=r"codes that 1 bits do not have|does not match its checksum"):
        load_network(tmp_path / "network.npz")
