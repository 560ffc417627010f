"""Networks from ONNX files against ONNX Runtime: each operator on graphs drawn at random."""

from typing import Any

import numpy as np
import pytest
from onnx_models import agrees, node, numpy_helper, real, whole


@pytest.fixture
def draws() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.sampled
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


def test_einstein_sums(draws: np.random.Generator) -> None:
    x = {"x": real(draws, 2, 3, 4)}
    for equation, *shapes in [
        ("bti,io->bto", (4, 5)),
        ("bti , oi -> bto", (5, 4)),
        ("...i,io->...o", (4, 5)),
        ("bti,bsi->bts", (2, 6, 4)),
        ("bii->b",),
        ("bti",),
        ("bti->ib",),
        ("bti,tij,jk->bk", (3, 4, 5), (5, 2)),
        ("bti,t->bi", (3,)),
    ]:
        given = {"x": real(draws, 2, 3, 3)} if "ii" in equation else x
        stored = {f"w{place}": real(draws, *shape) for place, shape in enumerate(shapes)}
        agrees([node("Einsum", ["x", *stored], equation=equation)], given, stored)


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
    "Asinh": {}, "Identity": {}, "IsNaN": {}, "Softmax": {"axis": 1}, "LogSoftmax": {"axis": -1},
    "Hardmax": {"axis": 1}, "Gelu": {},
    "Flatten": {"axis": 2}, "Transpose": {"perm": [2, 0, 1]}, "Shape": {}, "Size": {}, "Dropout": {},
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_operator_of_one_tensor(name: str) -> None:
    x = 1.5 * real(np.random.default_rng(len(name)), 3, 4, 5)
    opset = 20 if name == "Gelu" else 18
    agrees([node(name, ["x"], **SINGLE[name])], {"x": x}, opset=opset)


def test_operators_with_a_limited_domain(draws: np.random.Generator) -> None:
    x = draws.uniform(0.05, 0.95, (3, 4)).astype(np.float32)
    for name in ("Sqrt", "Log", "Asin", "Acos", "Atanh"):
        agrees([node(name, ["x"])], {"x": x})
    agrees([node("Acosh", ["x"])], {"x": 1 + x})
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


def test_blocks(draws: np.random.Generator) -> None:
    x = {"x": real(draws, 3, 4, 5)}
    for batch, indices in (
        (0, [[0, 1], [2, -1]]),
        (0, [[[1]], [[-3]]]),
        (0, [[2, 3, 4]]),
        (1, [[1], [-1], [0]]),
        (1, [[[1, 0], [3, -1]], [[0, 4], [2, 2]], [[1, 1], [0, 0]]]),
        (2, draws.integers(-5, 5, (3, 4, 1)).tolist()),
    ):
        agrees([node("GatherND", ["x", "i"], batch_dims=batch)], x, {"i": np.array(indices)})
    stored = {"i": np.array([[0], [2], [-2], [2]]), "u": real(draws, 4, 4, 5)}
    for reduction in ("add", "mul", "max", "min"):
        agrees([node("ScatterND", ["x", "i", "u"], reduction=reduction)], x, stored, opset=18)
        elements = {"i": draws.integers(-4, 4, (2, 6, 5)), "u": real(draws, 2, 6, 5)}
        agrees([node("ScatterElements", ["x", "i", "u"], axis=1, reduction=reduction)], x, elements, opset=18)
    agrees([node("ScatterND", ["x", "i", "u"])], x, {"i": np.array([[0, 1], [2, -1]]), "u": real(draws, 2, 5)})
    apart = {"i": np.array([[[1], [-1]]]).reshape(1, 2, 1), "u": real(draws, 1, 2, 1)}
    agrees([node("ScatterElements", ["x", "i", "u"], axis=1)], x, apart)


def test_largest_members(draws: np.random.Generator) -> None:
    for x in ({"x": real(draws, 3, 6, 2)}, {"x": draws.integers(-3, 3, (3, 6, 2)).astype(np.float32)}):
        for largest in (0, 1):
            for count, axis in ((3, 1), (1, -1), (6, 1)):
                options = {"axis": axis, "largest": largest}
                agrees([node("TopK", ["x", "k"], ["y", "i"], **options)], x, {"k": whole(count)}, ("y", "i"))


def test_one_hot(draws: np.random.Generator) -> None:
    stored = {"d": whole(6), "v": np.array([-0.5, 2.0], np.float32)}
    for axis in (-1, 0, 1):
        agrees([node("OneHot", ["x", "d", "v"], axis=axis)], {"x": draws.integers(-7, 7, (3, 4))}, stored)


def test_infinite_numbers() -> None:
    x = {"x": np.array([[1, np.inf, -np.inf, np.nan]], np.float32)}
    for options in ({}, {"detect_negative": 0}, {"detect_positive": 0}):
        agrees([node("IsInf", ["x"], **options)], x)


def test_padding(draws: np.random.Generator) -> None:
    x, pads = {"x": real(draws, 4, 5, 4)}, draws.integers(0, 3, 6)
    for mode in ("reflect", "edge"):
        agrees([node("Pad", ["x", "p"], mode=mode)], x, {"p": pads})
    agrees([node("Pad", ["x", "p"], mode="wrap")], x, {"p": pads}, opset=19)
    agrees([node("Pad", ["x", "p", "c"])], x, {"p": pads - 1, "c": np.array(2.5, np.float32)})
    agrees([node("Pad", ["x", "p", "", "a"])], x, {"p": whole(1, 2), "a": whole(-1)}, opset=18)
    agrees([node("Pad", ["x"], pads=pads.tolist(), value=1.5)], x, opset=10)


@pytest.mark.sampled
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


def test_sizes_of_decimal_scales_are_those_of_the_run_time() -> None:
    x = {"x": real(np.random.default_rng(0), 1, 1, 10, 10)}
    for scale in (0.7, 0.9, 1.1, 2.3):
        agrees([node("Resize", ["x", "", "s"], mode="linear")], x, {"s": np.array([1, 1, scale, scale], np.float32)})


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
