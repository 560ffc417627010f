"""ONNX files that are broken, hostile or ask for too much: a clear error, and nothing run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.foreign.tensor_file import TensorReader

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
X = np.ones((2, 4), np.float32)


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


def model_of(
    *nodes: Any, stored: dict[str, np.ndarray] | None = None, opset: int = 17, outputs: Sequence[str] = ("y",)
) -> Any:
    tensors = {"w": WEIGHT} if stored is None else stored
    graph = helper.make_graph(
        list(nodes),
        "drawn",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def product() -> Any:
    return model_of(node("MatMul", ["x", "w"]))


def refused(model: Any, words: str, *inputs: Any) -> None:
    """The file is refused when it is read, or when its network is first called."""

    def use() -> None:
        network, params = amsim.load_onnx(model if isinstance(model, bytes) else model.SerializeToString())
        network(params, *(inputs or (X,)))

    with pytest.raises(ValueError, match=words):
        use()


def test_all_unsupported_operators_in_one_error() -> None:
    branch = helper.make_graph([], "branch", [], [])
    names = ["first", "", "c" * 100, "d"]
    model = model_of(
        *(node("If", ["x"], [f"a{n}"], name=n, then_branch=branch, else_branch=branch) for n in names),
        node("NonZero", ["x"], ["c"]),
        node("Attention", ["x"], ["d"], domain="com.microsoft"),
        node("MatMul", ["x", "w"]),
    )
    found = rf"If \(4: first, 1, {'c' * 60}, \.\.\.\), NonZero \(1: 4\), com.microsoft.Attention \(1: 5\)\."
    refused(model, rf"not supported: {found} Supported are .*Conv.*com.microsoft.QGemm")


def test_functions_of_a_file_do_not_replace_operators() -> None:
    model = product()
    one = helper.make_function(
        "", "MatMul", ["a", "b"], ["c"], [node("Add", ["a", "b"], ["c"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(one)
    refused(model, r"not supported: MatMul \(1: 0\)")


def test_truncated_and_random_files() -> None:
    whole = product().SerializeToString()
    for length in range(len(whole)):
        try:
            network, params = amsim.load_onnx(whole[:length])
        except ValueError:
            continue
        assert set(params) <= {"w"}  # cut behind the graph
    draws = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in draws.integers(0, len(whole), 3):
            damaged[place] = draws.integers(256)
        try:
            network, params = amsim.load_onnx(bytes(damaged))
            network(params, X)
        except ValueError:
            pass
    refused(b"", "0 bytes")
    refused(b"\x08" * 50, "damaged")
    refused(draws.bytes(1000), "damaged")
    with pytest.raises(FileNotFoundError):
        amsim.load_onnx("nowhere.onnx")


def test_deep_nesting_is_refused() -> None:
    branch = helper.make_graph([], "branch", [], []).SerializeToString()
    for _ in range(200):  # each graph in an attribute of a node of the next
        for tag in (0x32, 0x2A, 0x0A):
            size = b""
            length = len(branch)
            while length > 127:
                size += bytes([length & 127 | 128])
                length >>= 7
            branch = bytes([tag]) + size + bytes([length]) + branch
    data = product().SerializeToString()
    size, length = b"", len(branch)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    refused(data + b"\x3a" + size + bytes([length]) + branch, "damaged")


@pytest.mark.parametrize(
    ("dims", "words"),
    [
        ((4, 4), "does not hold 16 numbers"),
        ((2**62, 2**62), "has the shape"),
        ((2**32, 2**32), "has the shape"),
        ((-4, -3), "has the shape"),
        ((1,) * 20 + (12,), "has the shape"),
        ((3,), "does not hold 3 numbers"),
    ],
)
def test_sizes_that_the_file_does_not_hold(dims: tuple[int, ...], words: str) -> None:
    for listed in (False, True):
        model = product()
        tensor = model.graph.initializer[0]
        if listed:
            tensor.ClearField("raw_data")
            tensor.float_data.extend(WEIGHT.ravel().tolist())
        del tensor.dims[:]
        tensor.dims.extend(dims)
        refused(model, words)


def test_listed_numbers_of_each_type() -> None:
    for dtype, values in [
        (np.float32, [1.5, -2.0]), (np.float64, [1.5, -2.0]), (np.float16, [1.5, -2.0]), (np.int8, [-128, 127]),
        (np.uint8, [0, 255]), (np.int64, [-(2**40), 3]), (np.bool_, [True, False]), (np.uint64, [0, 2**40]),
        (np.int32, [-5, 7]),
    ]:  # fmt: skip
        array = np.array(values, dtype)
        tensor = helper.make_tensor("t", helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, values)
        assert not tensor.HasField("raw_data")
        found = TensorReader().tensor(tensor)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
    for flag in (True, False):
        found = TensorReader().tensor(numpy_helper.from_array(np.array(flag), "t"))
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.bool_
        assert bool(found) is flag
    tensor = helper.make_tensor("t", onnx.TensorProto.INT8, [1], [1])
    tensor.int32_data[0] = 300
    with pytest.raises(ValueError, match="does not hold"):
        TensorReader().tensor(tensor)


def test_small_files_that_ask_for_much_memory() -> None:
    huge, numbers = np.array([2**20, 2**20], np.int64), {"s": np.array([2**20, 2**20], np.int64)}
    refused(model_of(node("ConstantOfShape", ["s"], ["z"]), node("Identity", ["z"]), stored=numbers), "elements")
    refused(model_of(node("Expand", ["x", "s"]), stored={"s": np.array([2**20, 2**20, 2, 4])}), "elements")
    refused(model_of(node("Tile", ["x", "s"]), stored={"s": huge}), "elements")
    refused(model_of(node("Pad", ["x", "s"]), stored={"s": np.array([0, 0, 2**30, 2**30])}), "elements")
    refused(model_of(node("Resize", ["x", "", "s"]), stored={"s": np.array([1e5, 1e5], np.float32)}), "elements")
    tall, wide = np.zeros((2**14, 1), np.float32), np.zeros((1, 2**15), np.float32)
    refused(model_of(node("Add", ["t", "w"]), stored={"t": tall, "w": wide}), "elements")
    refused(model_of(node("MatMul", ["t", "w"]), stored={"t": tall, "w": wide}), "elements")
    # Each constant alone is small enough, all together are not.
    fills = [node("ConstantOfShape", ["s"], [f"z{place}"]) for place in range(5)]
    sums = [node("Add", ["x", f"z{place}"], [f"y{place}"]) for place in range(5)]
    refused(model_of(*fills, *sums, stored={"s": np.array([2**24, 4])}, outputs=["y0"]), "parameters, more than")
    twice = [node("Concat", [f"a{i}", f"a{i}"], [f"a{i + 1}"], axis=0) for i in range(40)]
    refused(model_of(*twice, node("Reshape", ["x", "a40"]), stored={"a0": np.array([2, 4])}), "too many numbers")


def test_graphs_that_are_not_whole() -> None:
    refused(model_of(node("MatMul", ["x", "missing"])), "nothing before it writes")
    refused(model_of(node("Relu", ["a"], ["y"]), node("Relu", ["y"], ["a"])), "nothing before it writes")
    refused(model_of(node("Relu", ["x"]), node("Relu", ["x"])), "a second time")
    refused(model_of(node("Relu", ["x"], ["z"])), "nothing writes")
    refused(model_of(node("Relu", ["x"]), opset=3), "operator set 3")
    refused(model_of(node("Relu", ["x"]), opset=99), "operator set 99")
    model = product()
    model.graph.sparse_initializer.add()
    refused(model, "sparse")


def test_operations_that_cannot_be_done() -> None:
    refused(model_of(node("MatMul", ["x"])), r"'0'|0 \(MatMul\).*inputs or attributes are wrong")
    refused(model_of(node("MatMul", ["x", ""])), "is left out")
    refused(model_of(node("MatMul", ["w", "x"])), "MatMul.* cannot be computed")
    refused(model_of(node("Relu", ["x"], strange=1)), "`strange` is not supported")
    refused(model_of(node("Relu", ["x"], opset=1)), "`opset` is not supported")
    refused(model_of(node("LeakyRelu", ["x"], alpha="much")), "wrong kind")
    refused(model_of(node("Concat", ["x", "x"], axis=7)), "axis 7")
    refused(model_of(node("Reshape", ["x", "s"]), stored={"s": np.array([3, 5])}), "Reshape.* cannot be computed")
    refused(model_of(node("Div", ["s", "z"]), stored={"s": np.array([3]), "z": np.array([0])}), "by 0")
    refused(model_of(node("Split", ["x"], ["y", "z"], axis=1, split=[1, 9]), opset=11), "splits 4")
    cast = node("Cast", ["x"], ["s"], to=7)
    refused(model_of(cast, node("Reshape", ["w", "s"])), "depends on data or parameters")


def test_other_parameters_and_inputs() -> None:
    network, params = amsim.load_onnx(product().SerializeToString())
    for wrong, words in [
        ({}, r"different: \['w'\]"),
        (params | {"v": params["w"]}, r"different: \['v'\]"),
        ({"w": jnp.zeros((3, 3))}, "of shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            network(wrong, X)
    for inputs in ((), (X, X), (X[0],), (np.ones((2, 5), np.float32),), (np.ones((2, 4), np.int32),)):
        with pytest.raises(ValueError, match="Argument `inputs` must"):
            network(params, *inputs)


def test_what_is_no_network(tmp_path: Path) -> None:
    """Files of other kinds, and a graph that holds nothing to put on a chip."""
    for name, content in (("a.txt", b"a network in words\n" * 40), ("b.npz", b"PK\x03\x04" + bytes(200)), ("c", b"{}")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be used: ONNX file is damaged or not an ONNX file"):
            amsim.load_onnx(tmp_path / name)
    network, params = amsim.load_onnx(model_of(node("Relu", ["x"]), stored={}).SerializeToString())
    assert not params
    with pytest.raises(amsim.DeploymentError, match="no product of a parameter with an input"):
        amsim.deploy(network, params, circuits.Exact()).sites(X)
    text = model_of(node("MatMul", ["x", "w"]))
    text.graph.initializer[0].CopyFrom(helper.make_tensor("w", onnx.TensorProto.STRING, [1], [b"a"]))
    refused(text, "unsupported type number 8")
