"""ONNX networks and the items of data: fixed batches, inputs by name, pictures of bytes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.foreign.item_inputs import ItemNumbers, NetworkOfItems

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

DRAWS = np.random.default_rng(0)
KEY = jax.random.key(0)
DIGITAL = circuits.DigitalBinary(rows=64, columns=8, weight_bits=8, input_bits=8)
FLOAT, BYTE, WORD = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.INT64


def loaded(nodes: list[Any], inputs: dict[str, Any], stored: dict[str, np.ndarray], kind: int = FLOAT) -> Any:
    """Network with inputs of these sizes, the first of which may be a name."""
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info(name, kind, sizes) for name, sizes in inputs.items()],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return amsim.load_onnx(model.SerializeToString())


def pictures(batch: Any) -> Any:
    """A convolution and a product, with the batch in every shape as converters of other tools leave it."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Reshape", ["b", "flat"], ["c"]),
        helper.make_node("MatMul", ["c", "w"], ["y"]),
    ]
    draws = np.random.default_rng(1)
    stored = {
        "kernel": draws.normal(size=(3, 1, 3, 3)).astype(np.float32),
        "w": draws.normal(size=(3 * 16, 4)).astype(np.float32),
        "flat": np.array([batch if isinstance(batch, int) else -1, 48]),
    }
    return loaded(nodes, {"x": [batch, 1, 4, 4]}, stored)


ITEMS = DRAWS.normal(size=(10, 1, 4, 4)).astype(np.float32)


def test_a_batch_of_one_in_the_file_computes_several_items():
    (fixed, params), (free, _) = pictures(1), pictures("n")
    expected = np.asarray(free(params, ITEMS))
    np.testing.assert_allclose(fixed(params, ITEMS), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fixed(params, ITEMS[:1]), expected[:1], rtol=1e-5, atol=1e-5)
    chips = [amsim.deploy(network, params, DIGITAL) for network in (fixed, free)]
    np.testing.assert_allclose(*[chip(ITEMS) for chip in chips], rtol=1e-5, atol=1e-5)
    assert [row.name for row in chips[0].sites()] == [row.name for row in chips[1].sites()] == ["kernel", "w"]
    costs = [chip.cost(ITEMS) for chip in chips]
    np.testing.assert_allclose(costs[0]["energy"], costs[1]["energy"], rtol=1e-5)
    data = (ITEMS, np.argmax(expected, axis=1))
    found = [amsim.evaluate(one, params, DIGITAL, data, key=KEY, dies=1, batch=4) for one in (fixed, free)]
    assert float(found[0].accuracy_mean) == float(found[1].accuracy_mean) > 0.5


def test_other_fixed_batches_say_how():
    network, params = pictures(2)
    with pytest.raises(ValueError, match="The file fixes a batch of 2: give as many items at a time, as `batch=2`"):
        amsim.evaluate(network, params, DIGITAL, (ITEMS, np.zeros(10, int)), key=KEY, dies=1)
    found = amsim.evaluate(network, params, DIGITAL, (ITEMS, np.zeros(10, int)), key=KEY, dies=1, batch=2)
    free, _ = pictures("n")
    expected = amsim.evaluate(free, params, DIGITAL, (ITEMS, np.zeros(10, int)), key=KEY, dies=1)
    assert float(found.accuracy_mean) == float(expected.accuracy_mean)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], r"output 'y' of shape \(\) has no axis of items"),
        ([helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])], r"output 'y' of shape \(3, 1\) has no axis"),
    ],
)
def test_outputs_that_cannot_be_joined(nodes, text):
    network, params = loaded(nodes, {"x": [1, 3]}, {})
    with pytest.raises(ValueError, match=text):
        network(params, np.ones((4, 3), np.float32))


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 1), (3,), (0,)])
def test_other_shapes_stay_refused(shape):
    network, params = loaded([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}, {})
    with pytest.raises(ValueError, match="Argument `inputs` must have 'x'"):
        network(params, np.ones(shape, np.float32))


@pytest.mark.parametrize("batch", ["n", 1])
def test_several_inputs_by_name(batch):
    network, params = loaded(
        [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("MatMul", ["s", "w"], ["y"])],
        {"a": [batch, 4], "b": [batch, 4]},
        {"w": np.eye(4, dtype=np.float32)[:, :3]},
    )
    a, b = np.random.default_rng(2).integers(-3, 4, (2, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(network(params, {"b": b, "a": a}), (a + b)[:, :3], rtol=1e-5, atol=1e-6)
    labels = np.argmax((a + b)[:, :3], axis=1)
    found = amsim.evaluate(network, params, DIGITAL, ({"a": a, "b": b}, labels), key=KEY, dies=1, batch=4)
    assert float(found.accuracy_mean) > 0.8
    with pytest.raises(ValueError, match=r"must be \('a', 'b'\) by name, but has a, c"):
        network(params, {"a": a, "c": b})


BYTES = DRAWS.integers(0, 256, (5, 4, 4)).astype(np.uint8)


@pytest.mark.parametrize(
    ("items", "sizes", "expected"),
    [
        (BYTES, [1, 4, 4], BYTES[:, None] / 255),
        (BYTES, [4, 4, 1], BYTES[..., None] / 255),
        (BYTES, [16], BYTES.reshape(5, 16) / 255),
        (BYTES.reshape(5, 16), [1, 4, 4], BYTES[:, None] / 255),
        (BYTES[:, None], [4, 4], BYTES / 255),
        (BYTES, ["h", "w"], BYTES / 255),
        (np.stack([BYTES] * 3, axis=-1), [3, 4, 4], np.stack([BYTES] * 3, axis=1) / 255),
        (np.stack([BYTES] * 3, axis=1), [4, 4, 3], np.stack([BYTES] * 3, axis=-1) / 255),
        (BYTES.astype(np.float64), [1, 4, 4], BYTES[:, None]),
        (BYTES.astype(np.int32), [1, 4, 4], BYTES[:, None]),
        (BYTES > 99, [4, 4], BYTES > 99),
    ],
)
def test_items_become_inputs(items, sizes, expected):
    network, params = loaded([helper.make_node("Identity", ["x"], ["y"])], {"x": ["n", *sizes]}, {})
    found = NetworkOfItems(network, ItemNumbers())(params, items)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.asarray(expected, np.float32), rtol=1e-6)


def test_numbers_by_channel():
    """As `torchvision.transforms.Normalize` after `ToTensor`."""
    colours = np.stack([BYTES, BYTES[::-1], BYTES // 2], axis=-1)
    mean, deviation = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    expected = (colours / 255 - np.array(mean)) / np.array(deviation)
    for sizes, order in (([3, 4, 4], (0, 3, 1, 2)), ([4, 4, 3], (0, 1, 2, 3))):
        network, params = loaded([helper.make_node("Identity", ["x"], ["y"])], {"x": ["n", *sizes]}, {})
        found = NetworkOfItems(network, ItemNumbers(None, mean, deviation))(params, colours)
        np.testing.assert_allclose(found, expected.transpose(order), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="numbers for 2 channels"):
        NetworkOfItems(network, ItemNumbers(1.0, [0.0, 1.0]))(params, colours)
    found = NetworkOfItems(network, ItemNumbers(100.0, 0.5))(params, colours)
    np.testing.assert_allclose(found, colours / 100 - 0.5, rtol=1e-5, atol=1e-6)


def test_whole_numbers_stay_whole():
    network, params = loaded([helper.make_node("Identity", ["x"], ["y"])], {"x": ["n", 16]}, {}, WORD)
    found = NetworkOfItems(network, ItemNumbers())(params, BYTES)
    np.testing.assert_array_equal(found, BYTES.reshape(5, 16))


@pytest.mark.parametrize(
    ("shape", "sizes"), [((4, 4, 3), [48]), ((4, 6), [6, 4]), ((4, 4), [5, 4]), ((16,), [2, 2, 4]), ((3, 4), [1, 4, 4])]
)
def test_what_would_be_a_guess_is_refused(shape, sizes):
    network, params = loaded([helper.make_node("Identity", ["x"], ["y"])], {"x": ["n", *sizes]}, {})
    with pytest.raises(ValueError, match="The data have items of shape"):
        NetworkOfItems(network, ItemNumbers())(params, np.zeros((2, *shape), np.uint8))
