"""Study files with networks of ONNX files: bytes and pictures, several inputs, what is refused."""

import json
import re
import tomllib

import jax
import jsonschema
import numpy as np
import pytest

import amsim
from amsim.foreign.item_inputs import ItemNumbers, NetworkOfItems
from amsim.studies.study_file.layout import json_schema
from amsim.studies.study_file.study import read_study

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

HARDWARE = '[hardware]\nmacro = "DigitalBinary"\nweight_bits = 8\ninput_bits = 8\n[axes]\nmacro.supply = [0.65]\n'
WEIGHTS = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """A classifier as PyTorch exports it, and one of two inputs with data of these names."""
    maps = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    sums = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("MatMul", ["s", "w"], ["y"])]
    draws = np.random.default_rng(1)
    arrays = {name: draws.normal(size=(12, 10)).astype(np.float32) for name in ("a", "b")}
    np.savez(tmp_path / "sums.npz", labels=np.argmax(arrays["a"] + arrays["b"], axis=1), **arrays)
    for name, nodes, inputs, weights in (
        ("maps", maps, {"x": ["batch", 1, 28, 28]}, WEIGHTS),
        ("sums", sums, {"a": [1, 10], "b": [1, 10]}, np.eye(10, dtype=np.float32)),
    ):
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(one, onnx.TensorProto.FLOAT, sizes) for one, sizes in inputs.items()],
            [helper.make_empty_tensor_value_info("y")],
            [numpy_helper.from_array(weights, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (tmp_path / f"{name}.onnx").write_bytes(model.SerializeToString())
    return tmp_path


def study(folder, text, hardware=HARDWARE):
    path = folder / "study.toml"
    path.write_text(f"[study]\ndies = 1\nquantities = ['accuracy', 'energy']\n{text}\n{hardware}")
    jsonschema.validate(tomllib.loads(path.read_text()), json.loads(json.dumps(json_schema())))
    return path


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ("", ItemNumbers()),
        ("inputs = { full_scale = 1 }", ItemNumbers(1.0)),
        ("inputs = { mean = 0.2860, deviation = [0.3530] }", ItemNumbers(mean=0.2860, deviation=[0.3530])),
    ],
)
def test_pictures_of_bytes(folder, keys, numbers):
    found = read_study(study(folder, f'network = "maps.onnx"\nimages = 8\n{keys}')).run()
    network, params = amsim.load_onnx(folder / "maps.onnx")
    data = amsim.load_dataset().test[:8]
    pixels = data.inputs[:, None].astype(np.float32) / (numbers.full_scale or 255)
    given = (pixels - np.float32(numbers.mean)) / np.ravel(numbers.deviation).astype(np.float32)[0]
    macro = amsim.circuits.DigitalBinary(weight_bits=8, input_bits=8)
    expected = amsim.evaluate(network, params, macro, (given, data.labels), key=jax.random.key(0), dies=1)
    assert float(found["accuracy"].mean()) == float(expected.accuracy_mean)


def test_several_inputs_by_name(folder):
    found = read_study(study(folder, 'network = "sums.onnx"\ndata = "sums.npz"\nbatch = 5')).run()
    assert float(found["accuracy"].mean()) > 0.8


def test_networks_as_an_axis(folder):
    axis = HARDWARE + 'network = ["maps.onnx", "binary-fashion"]\n'
    path = study(folder, "images = 6\ninputs = { full_scale = 100 }", axis)
    given = read_study(path)
    (networks,) = [axis["network"] for axis in given.axes if "network" in axis]
    assert isinstance(networks[0][1], NetworkOfItems)
    assert networks[0][1].numbers == ItemNumbers(100.0)
    assert networks[1] == "binary-fashion"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('network = "maps.onnx"\ninputs = { full_scale = 0 }', "`full_scale` must be above 0"),
        ('network = "maps.onnx"\ninputs = { deviation = [1, -1] }', "`deviation` must be above 0"),
        ('network = "maps.onnx"\ninputs = { scale = 3 }', "scale"),
        ('network = "maps.onnx"\ninputs = { mean = [1, 2] }', "numbers for 2 channels"),
        ('network = "maps.onnx"\ndata = "sums.npz"', "must have the network's inputs x by name, but have a, b"),
        ('network = "binary-fashion"\ndata = "sums.npz"', "several arrays beside `labels` are inputs of an .onnx file"),
        ('network = "sums.onnx"', "must have the network's inputs a, b by name, but have a"),
    ],
)
def test_what_is_wrong_is_said(folder, text, message):
    """As ValueError, which the command line shows in one line."""
    path = folder / "study.toml"
    path.write_text(f"[study]\ndies = 1\nquantities = ['accuracy']\nimages = 4\n{text}\n{HARDWARE}")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_study(path).run()
