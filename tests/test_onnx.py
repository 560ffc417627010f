"""Networks from ONNX files against ONNX Runtime: each operator on graphs drawn at random."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

Draw = Callable[..., np.ndarray]


def model_of(
    nodes: Sequence[Any],
    inputs: dict[str, np.ndarray],
    stored: dict[str, np.ndarray],
    outputs: Sequence[str],
    opset: int,
) -> bytes:
    """A model; its inputs leave the first size open."""
    graph = helper.make_graph(
        list(nodes),
        "drawn",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), ["n", *value.shape[1:]] if value.ndim else []
            )
            for name, value in inputs.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()


def agrees(
    nodes: Sequence[Any],
    inputs: dict[str, np.ndarray],
    stored: dict[str, np.ndarray] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> tuple[Any, Any]:
    """Check a graph against ONNX Runtime; returns the network and its parameters."""
    data = model_of(nodes, inputs, stored or {}, outputs, opset)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # As the file says: an optimised product of integers is approximate.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    want = session.run(list(outputs), inputs)
    network, params = amsim.load_onnx(data)
    found = network(params, *inputs.values())
    for one, got in zip(want, found if len(outputs) > 1 else (found,), strict=True):
        assert got.shape == one.shape
        assert jnp.issubdtype(got.dtype, jnp.floating) == np.issubdtype(one.dtype, np.floating)
        scale = max(1.0, float(np.max(np.abs(one[np.isfinite(one)]), initial=0))) if one.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(got, one, rtol=1e-5, atol=1e-5 * scale)
    return network, params


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


@pytest.fixture
def draws() -> np.random.Generator:
    return np.random.default_rng(0)


def real(draws: np.random.Generator, *shape: int) -> np.ndarray:
    return draws.normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
def test_convolution(axes: int, auto_pad: str) -> None:
    draws = np.random.default_rng(axes)
    for group in (1, 2, 4):
        kernel = draws.integers(1, 4, axes)
        options: dict[str, Any] = {"strides": draws.integers(1, 3, axes).tolist(), "group": group}
        if auto_pad == "NOTSET":
            options["pads"] = draws.integers(0, 3, 2 * axes).tolist()
            options["dilations"] = draws.integers(1, 3, axes).tolist()
        stored = {"w": real(draws, 8, 4 // group, *kernel), "b": real(draws, 8)}
        x = real(draws, 2, 4, *draws.integers(7, 10, axes))
        agrees([node("Conv", ["x", "w", "b"], auto_pad=auto_pad, **options)], {"x": x}, stored)


@pytest.mark.parametrize("axes", [1, 2])
def test_transposed_convolution(axes: int) -> None:
    for group, draws in ((1, np.random.default_rng(1)), (2, np.random.default_rng(2))):
        kernel, strides = draws.integers(2, 4, axes), draws.integers(1, 4, axes)
        x = real(draws, 2, 4, *draws.integers(3, 6, axes))
        stored = {"w": real(draws, 4, 3, *kernel), "b": real(draws, 3 * group)}
        plain: dict[str, Any] = {"strides": strides.tolist(), "group": group}
        padded = plain | {
            "pads": draws.integers(0, 2, 2 * axes).tolist(),
            "dilations": draws.integers(1, 3, axes).tolist(),
        }
        extra = plain | {"output_padding": [int(stride) - 1 for stride in strides]}
        sized = plain | {"output_shape": [int(n * s) for n, s in zip(x.shape[2:], strides, strict=True)]}
        same = [plain | {"auto_pad": "SAME_UPPER"}] if np.all(kernel >= strides) else []
        for options in (plain, padded, extra, sized, *same):
            agrees([node("ConvTranspose", ["x", "w", "b"], **options)], {"x": x}, stored)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("axes", [1, 2])
def test_pooling(kind: str, axes: int, draws: np.random.Generator) -> None:
    x = real(draws, 2, 3, *draws.integers(7, 11, axes))
    for options in (
        {},
        {"auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER"},
        {"pads": [1] * 2 * axes},
        {"pads": [1] * axes + [0] * axes, "ceil_mode": 1},
        {"pads": [1] * 2 * axes, "ceil_mode": 1, "count_include_pad": 1},
    ):
        if kind == "MaxPool":
            options.pop("count_include_pad", None)
        size = {"kernel_shape": draws.integers(2, 4, axes).tolist(), "strides": draws.integers(1, 3, axes).tolist()}
        agrees([node(kind, ["x"], **size, **options)], {"x": x}, opset=19)


def test_global_pooling_and_response_normalisation(draws: np.random.Generator) -> None:
    x = real(draws, 2, 6, 5, 4)
    for name in ("GlobalAveragePool", "GlobalMaxPool"):
        agrees([node(name, ["x"])], {"x": x})
    agrees([node("LRN", ["x"], size=3, alpha=0.2, beta=0.6, bias=1.5)], {"x": x})


def test_matrix_products(draws: np.random.Generator) -> None:
    for left, right in [
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((4,), (4, 5)),
        ((2, 4), (3, 4, 5)),
        ((3, 4), (4,)),
    ]:
        agrees([node("MatMul", ["x", "w"])], {"x": real(draws, *left)}, {"w": real(draws, *right)})
    for bias in ((5,), (3, 5), (3, 1), ()):
        for turned in (0, 1):
            x, w = real(draws, *((4, 3) if turned else (3, 4))), real(draws, *((5, 4) if turned else (4, 5)))
            options = {"alpha": 0.7, "beta": 1.3, "transA": turned, "transB": turned}
            agrees([node("Gemm", ["x", "w", "c"], **options)], {"x": x}, {"w": w, "c": real(draws, *bias)})
    agrees([node("Gemm", ["x", "w"])], {"x": real(draws, 3, 4)}, {"w": real(draws, 4, 5)})


def test_normalisation(draws: np.random.Generator) -> None:
    x = real(draws, 2, 6, 5, 4)
    stored = {"s": real(draws, 6), "b": real(draws, 6), "m": real(draws, 6), "v": real(draws, 6) ** 2 + 0.1}
    agrees([node("BatchNormalization", ["x", "s", "b", "m", "v"], epsilon=1e-3)], {"x": x}, stored)
    few = {name: stored[name] for name in "sb"}
    agrees([node("InstanceNormalization", ["x", "s", "b"])], {"x": x}, few)
    agrees([node("GroupNormalization", ["x", "s", "b"], num_groups=3)], {"x": x}, few, opset=21)
    layer = {"s": real(draws, 5, 4), "b": real(draws, 5, 4)}
    agrees([node("LayerNormalization", ["x", "s", "b"], axis=-2)], {"x": x}, layer)


SINGLE = {
    "Relu": {}, "Sigmoid": {}, "Tanh": {}, "Softplus": {}, "Softsign": {}, "HardSwish": {}, "Mish": {},
    "Elu": {"alpha": 0.7}, "LeakyRelu": {"alpha": 0.2}, "Selu": {}, "Celu": {"alpha": 0.8},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "ThresholdedRelu": {"alpha": 0.4}, "Neg": {}, "Abs": {}, "Floor": {}, "Ceil": {}, "Sign": {}, "Round": {},
    "Exp": {}, "Reciprocal": {}, "Sin": {}, "Cos": {}, "Tan": {}, "Atan": {}, "Sinh": {}, "Cosh": {}, "Erf": {},
    "Identity": {}, "IsNaN": {}, "Softmax": {"axis": 1}, "LogSoftmax": {"axis": -1}, "Hardmax": {"axis": 1}, "Gelu": {},
    "Flatten": {"axis": 2}, "Transpose": {"perm": [2, 0, 1]}, "Shape": {}, "Size": {}, "Dropout": {},
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_operator_of_one_tensor(name: str) -> None:
    x = 1.5 * real(np.random.default_rng(len(name)), 3, 4, 5)
    opset = 20 if name == "Gelu" else 18
    agrees([node(name, ["x"], **SINGLE[name])], {"x": x}, opset=opset)


def test_operators_with_a_limited_domain(draws: np.random.Generator) -> None:
    x = draws.uniform(0.05, 0.95, (3, 4)).astype(np.float32)
    for name in ("Sqrt", "Log", "Asin", "Acos"):
        agrees([node(name, ["x"])], {"x": x})
    agrees([node("Gelu", ["x"], approximate="tanh")], {"x": x}, opset=20)


def test_softmax_of_old_operator_sets(draws: np.random.Generator) -> None:
    for axis in (0, 2):
        for name in ("Softmax", "LogSoftmax"):
            agrees([node(name, ["x"], axis=axis)], {"x": real(draws, 2, 3, 4)}, opset=11)


def test_arithmetic_of_two_tensors(draws: np.random.Generator) -> None:
    for name in ("Add", "Sub", "Mul", "Div", "Greater", "Less", "LessOrEqual", "GreaterOrEqual", "Equal", "Max", "Min"):
        for right in ((4,), (3, 1), (2, 3, 4), ()):
            agrees([node(name, ["x", "w"])], {"x": real(draws, 2, 3, 4)}, {"w": real(draws, *right)})
    agrees([node("Pow", ["x", "w"])], {"x": np.abs(real(draws, 2, 3))}, {"w": real(draws, 3)})
    agrees([node("PRelu", ["x", "w"])], {"x": real(draws, 2, 3, 4)}, {"w": real(draws, 3, 1)})
    for name in ("Sum", "Mean", "Max", "Min"):
        agrees([node(name, ["x", "a", "b"])], {"x": real(draws, 2, 3)}, {"a": real(draws, 3), "b": real(draws, 1, 1)})
    flags = {"x": real(draws, 2, 3) > 0, "z": real(draws, 2, 3) > 0}
    for name in ("And", "Or", "Xor"):
        agrees([node(name, ["x", "z"])], flags)
    agrees([node("Not", ["x"])], {"x": flags["x"]})
    agrees([node("Where", ["c", "x", "w"])], {"c": flags["x"], "x": real(draws, 2, 3)}, {"w": real(draws, 3)})
    integers = {"x": draws.integers(-20, 20, (3, 4)).astype(np.int32)}
    for name in ("Div", "Mod", "Add", "Mul"):
        agrees([node(name, ["x", "w"])], integers, {"w": np.array([3, -4, 5, -7], np.int32)})


def test_clip_by_inputs_and_by_attributes(draws: np.random.Generator) -> None:
    x, bound = {"x": real(draws, 3, 4)}, {"low": np.float32(-0.5), "high": np.float32(0.4)}
    bounds = {name: np.asarray(value) for name, value in bound.items()}
    _, params = agrees([node("Clip", ["x", "low", "high"])], x, bounds)
    assert not params
    agrees([node("Clip", ["x", "", "high"])], x, {"high": bounds["high"]})
    agrees([node("Clip", ["x"], min=-0.5, max=0.4)], x, opset=9)


REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
              "ReduceSumSquare", "ReduceLogSumExp")  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    x = {"x": real(np.random.default_rng(0), 2, 3, 4)}
    agrees([node(name, ["x", "axes"], keepdims=0)], x, {"axes": whole(1, -1)}, opset=18)
    agrees([node(name, ["x"])], x, opset=18)
    if name != "ReduceSum":
        agrees([node(name, ["x"], axes=[0, 2])], x, opset=12)


def test_places_of_extremes(draws: np.random.Generator) -> None:
    x = {"x": draws.integers(0, 4, (3, 5)).astype(np.float32)}
    for name in ("ArgMax", "ArgMin"):
        for last in (0, 1):
            agrees([node(name, ["x"], axis=1, keepdims=last, select_last_index=last)], x)


def test_shapes(draws: np.random.Generator) -> None:
    x = {"x": real(draws, 2, 3, 4)}
    agrees([node("Reshape", ["x", "s"])], x, {"s": whole(0, -1, 2)})
    agrees([node("Squeeze", ["u", "a"]), node("Unsqueeze", ["x", "a"], ["u"])][::-1], x, {"a": whole(1, -1)})
    agrees([node("Unsqueeze", ["x"], axes=[0, 3])], x, opset=11)
    agrees([node("Expand", ["x", "s"])], x, {"s": whole(5, 1, 3, 1)})
    agrees([node("Tile", ["x", "s"])], x, {"s": whole(1, 2, 3)})
    agrees([node("Concat", ["x", "w", "x"], axis=-2)], x, {"w": real(draws, 2, 1, 4)})
    agrees([node("Cast", ["x"], to=6)], {"x": 9 * x["x"]})
    agrees([node("Transpose", ["x"])], x)
    span = {"b": np.array(2.0, np.float32), "e": np.array(9.5, np.float32), "s": np.array(0.5, np.float32)}
    agrees([node("Range", ["b", "e", "s"], ["r"]), node("ReduceMean", ["r"], ["m"]), node("Mul", ["x", "m"])], x, span)
    maps = {"x": real(draws, 2, 8, 4, 6)}
    for mode in ("DCR", "CRD"):
        agrees([node("DepthToSpace", ["x"], blocksize=2, mode=mode)], maps)
    agrees([node("SpaceToDepth", ["x"], blocksize=2)], maps)
    agrees([node("Trilu", ["x"], upper=0)], maps)
    agrees([node("CumSum", ["x", "a"])], maps, {"a": np.array(2)})


def test_parts(draws: np.random.Generator) -> None:
    x = {"x": real(draws, 5, 6, 4)}
    agrees([node("Gather", ["x", "i"], axis=1)], x, {"i": whole(0, -1, 3, 3).reshape(2, 2)})
    agrees([node("Gather", ["w", "x"])], {"x": draws.integers(-7, 7, (3, 2))}, {"w": real(draws, 7, 3)})
    agrees([node("GatherElements", ["x", "i"], axis=1)], x, {"i": draws.integers(-6, 6, (5, 3, 4))})
    far = np.iinfo(np.int64).max
    for begin, end, axes, steps in [
        ((1,), (far,), (1,), (2,)),
        ((-1, 0), (-far, 3), (1, 2), (-2, 1)),
        ((10, -3), (-10, -1), (-1, 0), (-1, 1)),
    ]:
        numbers = {"b": whole(*begin), "e": whole(*end), "a": whole(*axes), "s": whole(*steps)}
        agrees([node("Slice", ["x", "b", "e", "a", "s"])], x, numbers)
    agrees([node("Slice", ["x"], starts=[1, 0], ends=[4, -1])], x, opset=9)
    agrees([node("Split", ["x", "s"], ["y", "z"], axis=1)], x, {"s": whole(2, 4)}, ("y", "z"))
    agrees([node("Split", ["x"], ["y", "z", "v"], axis=1)], x, {}, ("y", "z", "v"))
    agrees([node("Split", ["x"], ["y", "z"], axis=0, num_outputs=2)], x, {}, ("y", "z"), opset=18)


def test_padding(draws: np.random.Generator) -> None:
    x, pads = {"x": real(draws, 4, 5, 4)}, draws.integers(0, 3, 6)
    for mode in ("reflect", "edge"):
        agrees([node("Pad", ["x", "p"], mode=mode)], x, {"p": pads})
    agrees([node("Pad", ["x", "p"], mode="wrap")], x, {"p": pads}, opset=19)
    agrees([node("Pad", ["x", "p", "c"])], x, {"p": pads - 1, "c": np.array(2.5, np.float32)})
    agrees([node("Pad", ["x", "p", "", "a"])], x, {"p": whole(1, 2), "a": whole(-1)}, opset=18)
    agrees([node("Pad", ["x"], pads=pads.tolist(), value=1.5)], x, opset=10)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("transformation", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
def test_resampling(mode: str, transformation: str) -> None:
    x = {"x": real(np.random.default_rng(0), 1, 2, 5, 6)}
    options = {"mode": mode, "coordinate_transformation_mode": transformation}
    for factors in ((2.0, 3.0), (1.7, 2.3), (0.6, 0.5)):
        nearest = {"nearest_mode": "floor"} if mode == "nearest" and min(factors) >= 1 else {}
        stored = {"s": np.array([1, 1, *factors], np.float32)}
        agrees([node("Resize", ["x", "", "s"], **options, **nearest)], x, stored)
    agrees([node("Resize", ["x", "", "", "n"], **options)], x, {"n": whole(1, 2, 8, 9)})


def test_resampling_of_old_operator_sets() -> None:
    x, scales = {"x": real(np.random.default_rng(0), 1, 2, 3, 4)}, {"s": np.array([1, 1, 2, 3], np.float32)}
    for mode in ("nearest", "linear"):
        agrees([node("Upsample", ["x", "s"], mode=mode)], x, scales, opset=9)
        agrees([node("Resize", ["x", "s"], mode=mode)], x, scales, opset=10)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent(kind: str, direction: str) -> None:
    draws = np.random.default_rng(1)
    gates, ways, units = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 1 + (direction == "bidirectional"), 5
    stored = {
        "w": real(draws, ways, gates * units, 3),
        "r": real(draws, ways, gates * units, units),
        "b": real(draws, ways, 2 * gates * units),
        "h": real(draws, ways, 2, units),
    }
    inputs, outputs = ["x", "w", "r", "b", "", "h"], ["y", "last"]
    if kind == "LSTM":
        stored |= {"c": real(draws, ways, 2, units), "p": real(draws, ways, 3 * units)}
        inputs, outputs = [*inputs, "c", "p"], [*outputs, "cell"]
    x = {"x": real(draws, 7, 2, 3)}
    options: dict[str, Any] = {"direction": direction, "hidden_size": units}
    agrees([node(kind, inputs, outputs, **options)], x, stored, outputs)
    bare = {name: stored[name] for name in "wr"}
    agrees([node(kind, ["x", "w", "r"], ["", "y"], **options)], x, bare)
    if kind == "GRU":
        options |= {"linear_before_reset": 1}
        agrees([node(kind, inputs, outputs, **options)], x, stored, outputs)
    names = {"LSTM": ["Relu", "Tanh", "Softsign"], "GRU": ["Sigmoid", "Relu"], "RNN": ["Relu"]}[kind] * ways
    agrees([node(kind, ["x", "w", "r"], activations=names, **options)], x, {n: v / 4 for n, v in bare.items()})


def test_integer_quantisation_of_the_standard(draws: np.random.Generator) -> None:
    x = {"x": 3 * real(draws, 2, 3, 4)}
    for kind in (np.int8, np.uint8):
        stored = {"s": np.array(0.05, np.float32), "z": np.array(3, kind)}
        both = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"])]
        agrees(both, x, stored, ("q", "y"))
    scales = {"s": np.array([0.1, 0.02, 0.3], np.float32), "z": np.array([1, -2, 3], np.int8)}
    agrees([node("QuantizeLinear", ["x", "s", "z"], axis=1)], x, scales)
    weights = {"q": draws.integers(-128, 128, (4, 3)).astype(np.int8)} | scales
    product = [node("DequantizeLinear", ["q", "s", "z"], ["w"]), node("MatMul", ["x", "w"])]
    network, params = agrees(product, x, weights)
    assert set(params) == {"q"}
    assert [row.name for row in amsim.deploy(network, params, circuits.Exact()).sites(x["x"])] == ["q"]


def test_shape_arithmetic_is_done_while_tracing(draws: np.random.Generator) -> None:
    """The batch size taken from the input, as exporters write a flattening."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Unsqueeze", ["batch", "axis"], ["first"]),
        node("Constant", [], ["rest"], value=numpy_helper.from_array(whole(-1))),
        node("Concat", ["first", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("Cast", ["shape"], ["number"], to=1),
        node("Div", ["number", "two"], ["half"]),
        node("Floor", ["half"], ["floor"]),
        node("Cast", ["floor"], ["whole"], to=7),
        node("Slice", ["whole", "axis", "one"], ["few"]),
        node("ConstantOfShape", ["few"], ["zeros"]),
        node("Add", ["flat", "zeros"]),
    ]
    stored = {"zero": np.array(0), "axis": whole(0), "one": whole(1), "two": np.array([2.0], np.float32)}
    stored["two"] = stored["two"].reshape(())
    nodes.insert(0, node("Constant", [], ["two"], value_float=2.0))
    del stored["two"]
    agrees(nodes, {"x": real(draws, 2, 3, 4)}, stored)


def three_layers(draws: np.random.Generator) -> bytes:
    nodes = [
        node("Conv", ["x", "features.0.weight", "features.0.bias"], ["a"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "norm.scale", "norm.bias", "norm.mean", "norm.variance"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["d"], ["e"]),
        node("Gemm", ["e", "hidden.weight", "hidden.bias"], ["f"], transB=1),
        node("PRelu", ["f", "hidden.slope"], ["g"]),
        node("MatMul", ["g", "readout"], ["h"]),
        node("Softmax", ["h"]),
    ]
    stored = {
        "features.0.weight": real(draws, 4, 2, 3, 3),
        "features.0.bias": real(draws, 4),
        "norm.scale": real(draws, 4),
        "norm.bias": real(draws, 4),
        "norm.mean": real(draws, 4),
        "norm.variance": real(draws, 4) ** 2 + 0.5,
        "hidden.weight": real(draws, 6, 36),
        "hidden.bias": real(draws, 6),
        "hidden.slope": real(draws, 6),
        "readout": real(draws, 6, 3),
    }
    return model_of(nodes, {"x": real(draws, 2, 2, 6, 6)}, stored, ["y"], 17)


def test_deployed_network_is_the_network_and_its_sites_have_the_names_of_the_file(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    network, params = amsim.load_onnx(three_layers(draws))
    assert network.input_names == ("x",)
    x = real(draws, 3, 2, 6, 6)
    chip = amsim.deploy(network, params, circuits.Exact())
    np.testing.assert_allclose(chip(x), network(params, x), rtol=1e-6, atol=1e-7)
    assert [row.name for row in chip.sites(x)] == ["features.0", "hidden", "readout"]
    chip.save(tmp_path / "chip")
    assert np.array_equal(amsim.load_chip(tmp_path / "chip", network)(x), chip(x))
    rules = {"features.*": circuits.MultiPrecision(weight_bits=8), ".*": circuits.Exact()}
    assert np.max(np.abs(amsim.deploy(network, params, rules)(x) - network(params, x))) < 0.1

    def loss(params: Any, run: Callable[..., Any]) -> jax.Array:
        return jnp.sum(run(params, x) ** 2)

    want = jax.grad(loss)(params, network)
    got = jax.grad(loss)(params, lambda params, x: amsim.deploy(network, params, circuits.Exact())(x))
    for name, gradient in want.items():
        np.testing.assert_allclose(got[name], gradient, rtol=1e-4, atol=1e-6)
    assert all(float(jnp.max(jnp.abs(want[name]))) > 0 for name in ("features.0.weight", "readout"))


def test_recurrent_network_is_deployed() -> None:
    draws = np.random.default_rng(0)
    stored = {"cell.w": real(draws, 1, 20, 3), "cell.r": real(draws, 1, 20, 5), "head.w": real(draws, 5, 2)}
    nodes = [
        node("LSTM", ["x", "cell.w", "cell.r"], ["", "last"], hidden_size=5),
        node("Squeeze", ["last", "axis"], ["state"]),
        node("MatMul", ["state", "head.w"]),
    ]
    x = real(draws, 6, 2, 3)
    network, params = agrees(nodes, {"x": x}, stored | {"axis": whole(0)})
    chip = amsim.deploy(network, params, circuits.Exact())
    np.testing.assert_allclose(chip(x), network(params, x), rtol=1e-6, atol=1e-7)
    assert {row.name for row in chip.sites(x)} == {"cell.w", "cell.r", "head"}


def test_network_of_a_path_under_jit_and_vmap(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    (tmp_path / "n.onnx").write_bytes(three_layers(draws))
    network, params = amsim.load_onnx(tmp_path / "n.onnx")
    x = real(draws, 4, 1, 2, 6, 6)
    loop = np.stack([network(params, one) for one in x])
    np.testing.assert_allclose(jax.vmap(network, (None, 0))(params, x), loop, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(jax.jit(network)(params, x[0]), loop[0], rtol=1e-6, atol=1e-7)


def quantised_by_loop(
    x: np.ndarray, scale: Any, zero: Any, bits: int, signed: bool, narrow: bool, mode: str
) -> np.ndarray:
    """QONNX's definition, one number after another in float64."""
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    modes = {
        "ROUND": round, "CEIL": np.ceil, "FLOOR": np.floor, "DOWN": np.trunc,
        "HALF_UP": lambda v: np.sign(v) * np.floor(abs(v) + 0.5),
    }  # fmt: skip
    scale, zero = (np.broadcast_to(one, x.shape) for one in (scale, zero))
    result = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        code = float(x[place]) / float(scale[place]) + float(zero[place])
        code = (1 if code >= 0 else -1) if bits == 1 and signed else modes[mode](min(max(code, low), high))
        result[place] = (code - zero[place]) * scale[place]
    return result


@pytest.mark.parametrize("mode", ["ROUND", "CEIL", "FLOOR", "DOWN", "HALF_UP"])
def test_quantisation_of_qonnx(mode: str, draws: np.random.Generator) -> None:
    # Steps are powers of two, so that ties are ties in float32 too.
    x = (draws.integers(-80, 80, (4, 3)) / 16).astype(np.float32)
    for bits, signed, narrow in [(1, 1, 0), (2, 1, 1), (4, 1, 0), (4, 0, 0), (4, 0, 1), (8, 1, 1)]:
        for scale, zero in [(0.125, 0.0), (0.5, 1.0), (1.0, 0.0), (np.array([[0.25, 0.5, 2.0]]), 0.0)]:
            stored = {"s": np.asarray(scale, np.float32), "z": np.asarray(zero, np.float32)}
            stored["b"] = np.array(bits, np.float32)
            options = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
            quant = node("Quant", ["x", "s", "z", "b"], domain="qonnx.custom_op.general", **options)
            network, params = amsim.load_onnx(model_of([quant], {"x": x}, stored, ["y"], 17))
            assert not params
            want = quantised_by_loop(x, scale, zero, bits, bool(signed), bool(narrow), mode)
            np.testing.assert_array_equal(network({}, x), want.astype(np.float32))


def test_bipolar_network_is_deployed_on_comparators() -> None:
    draws = np.random.default_rng(0)
    domain = "qonnx.custom_op.general"
    nodes = [
        node("BipolarQuant", ["x", "one"], ["a"], domain=domain),
        node("BipolarQuant", ["first.weight", "one"], ["v"], domain=domain),
        node("MatMul", ["a", "v"], ["b"]),
        node("BipolarQuant", ["b", "one"], ["c"], domain=domain),
        node("BipolarQuant", ["last.weight", "half"], ["w"], domain=domain),
        node("MatMul", ["c", "w"]),
    ]
    stored = {"one": np.array(1.0, np.float32), "half": np.array(0.5, np.float32)}
    stored |= {"first.weight": real(draws, 15, 7), "last.weight": real(draws, 7, 3)}
    x = real(draws, 6, 15)
    network, params = amsim.load_onnx(model_of(nodes, {"x": x}, stored, ["y"], 17))
    assert set(params) == {"first.weight", "last.weight"}

    def signs(values: np.ndarray) -> np.ndarray:
        return np.where(values >= 0, 1.0, -1.0)

    want = signs(signs(x) @ signs(stored["first.weight"])) @ (0.5 * signs(stored["last.weight"]))
    np.testing.assert_allclose(network(params, x), want, rtol=1e-6)
    chip = amsim.deploy(network, params, circuits.DigitalBinary())
    np.testing.assert_allclose(chip(x), want, rtol=1e-6)
    sites = amsim.deploy(network, params, circuits.SwitchedCapacitor()).sites(x)
    assert [(row.name, row.readout) for row in sites] == [("first", "comparator"), ("last", "number")]


def test_gradient_of_quantisation_goes_straight_through() -> None:
    stored = {"s": np.array(0.5, np.float32), "z": np.array(0, np.float32), "b": np.array(3, np.float32)}
    x = np.array([-9.0, -1.1, 0.3, 1.2, 9.0], np.float32)
    for mode in ("ROUND", "FLOOR"):
        quant = node("Quant", ["x", "s", "z", "b"], domain="qonnx.custom_op.general", rounding_mode=mode)
        network, _ = amsim.load_onnx(model_of([quant], {"x": x}, stored, ["y"], 17))
        np.testing.assert_array_equal(jax.grad(lambda x, run=network: jnp.sum(run({}, x)))(x), [0, 1, 1, 1, 0])


def test_in_64_bits() -> None:
    with jax.enable_x64(True):
        draws = np.random.default_rng(0)
        w, x = draws.normal(size=(4, 3)), draws.normal(size=(2, 4))
        network, params = amsim.load_onnx(model_of([node("MatMul", ["x", "w"])], {"x": x}, {"w": w}, ["y"], 17))
        assert params["w"].dtype == jnp.float64
        np.testing.assert_allclose(network(params, x), x @ w, rtol=1e-14)


def test_published_graph_has_a_site_for_every_convolution() -> None:
    """ShuffleNet as the onnx package ships it, with constant weights: grouped, depthwise, shuffled."""
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_shufflenet.onnx"
    if not path.is_file():
        pytest.skip("this version of onnx ships no published graphs")
    products = [one.input[1] for one in onnx.load(path).graph.node if one.op_type in ("Conv", "Gemm", "MatMul")]
    network, params = amsim.load_onnx(path)
    shape = jax.ShapeDtypeStruct((1, 3, 224, 224), jnp.float32)
    sites = amsim.deploy(network, params, circuits.Exact()).sites(shape)
    assert [row.name for row in sites] == products
    assert not any(row.reason for row in sites)
