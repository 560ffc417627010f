"""ONNX operators on integers against ONNX Runtime: products, quantised layers, codes of 8 and 16 bits."""

from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from onnx_models import model_of, node, onnx, runtime

import amsim
from amsim.foreign.operators import integer_products

ReferenceEvaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
MICROSOFT = {"domain": "com.microsoft"}
BYTES = (np.uint8, np.int8)


def drawn(draws: np.random.Generator, kind: Any, *shape: int) -> np.ndarray:
    """Bytes of all values; signed ones of 7 bits, since ONNX Runtime saturates larger products without VNNI."""
    low, high = (-64, 63) if kind is np.int8 else (np.iinfo(kind).min, np.iinfo(kind).max)
    return draws.integers(low, high + 1, shape).astype(kind)


def scalar(kind: Any, value: float) -> np.ndarray:
    return np.asarray(value, kind)


def agrees(
    nodes: list[Any],
    inputs: dict[str, np.ndarray],
    stored: dict[str, np.ndarray],
    steps: int = 0,
    outputs: tuple[str, ...] = ("y",),
    opset: int = 21,
    by_reference: bool = False,
) -> Any:
    """Check a graph: the same type, and codes that differ by so many steps at most, few of them at all."""
    model = onnx.load_model_from_string(model_of(nodes, inputs, stored, outputs, opset))
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    model.ir_version = 10
    if by_reference:
        want = ReferenceEvaluator(model).run(list(outputs), inputs)
    else:
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        want = session.run(list(outputs), inputs)
    network, params = amsim.load_onnx(model.SerializeToString())
    found = network(params, *inputs.values())
    for one, got in zip(want, found if len(outputs) > 1 else (found,), strict=True):
        got = np.asarray(got)
        assert (got.shape, got.dtype) == (one.shape, one.dtype)
        if one.dtype.kind == "f":
            np.testing.assert_allclose(got, one, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(one).max())))
        else:
            differ = np.abs(got.astype(np.int64) - one.astype(np.int64))
            assert differ.max() <= steps
            assert np.mean(differ > 0) <= 0.02
    return network, params


def test_bytes_at_both_ends_of_their_range() -> None:
    a, b = np.tile(np.asarray([[0, 255]], np.uint8), (3, 8)), np.tile(np.asarray([[-128, 127]], np.int8).T, (8, 4))
    network, params = amsim.load_onnx(model_of([node("MatMulInteger", ["a", "b"])], {"a": a}, {"b": b}, ["y"], 21))
    np.testing.assert_array_equal(network(params, a), a.astype(np.int64) @ b.astype(np.int64))


@pytest.mark.sampled
@pytest.mark.parametrize("kinds", list(product(BYTES, BYTES)))
@pytest.mark.parametrize("zeros", ["none", "numbers", "by row and column"])
def test_matrix_product_of_integers(kinds: tuple[Any, Any], zeros: str) -> None:
    draws = np.random.default_rng(0)
    for shape in ((4, 7), (2, 4, 7)):
        a, b = drawn(draws, kinds[0], *shape), drawn(draws, kinds[1], 7, 5)
        names, stored = ["a", "b"], {"b": b}
        if zeros != "none":
            names = ["a", "b", "za", "zb"]
            stored |= {"za": scalar(kinds[0], 100), "zb": scalar(kinds[1], 3)}
        by_row = zeros == "by row and column"
        if by_row:
            stored |= {"za": drawn(draws, kinds[0], 4)[:, None], "zb": drawn(draws, kinds[1], 5)}
            if len(shape) == 3:
                stored["za"] = stored["za"][None].repeat(2, 0)
        # The run time takes one zero point for all rows, the reference any.
        _, params = agrees([node("MatMulInteger", names)], {"a": a}, stored, by_reference=by_row)
        assert set(params) == {"b"}
        both = {"a": a, "b": b}
        agrees([node("MatMulInteger", names)], both, {n: v for n, v in stored.items() if n != "b"}, by_reference=by_row)


def test_zero_points_of_rows_in_one_axis() -> None:
    """As the operator's text has them, where the reference takes a column."""
    draws = np.random.default_rng(0)
    a, b, zeros = drawn(draws, np.uint8, 4, 7), drawn(draws, np.int8, 7, 5), drawn(draws, np.uint8, 4)
    data = model_of([node("MatMulInteger", ["a", "b", "za"])], {"a": a}, {"b": b, "za": zeros}, ["y"], 21)
    network, params = amsim.load_onnx(data)
    np.testing.assert_array_equal(network(params, a), (a.astype(int) - zeros[:, None]) @ b.astype(int))


WINDOWS: list[dict[str, Any]] = [
    {},
    {"pads": [1, 0, 1, 2], "strides": [2, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"dilations": [2, 1], "group": 2},
    {"group": 4, "pads": [1, 1, 1, 1]},
]


@pytest.mark.parametrize("window", WINDOWS)
def test_convolution_of_integers(window: dict[str, Any]) -> None:
    draws = np.random.default_rng(1)
    for kind in BYTES:
        x, w = {"x": drawn(draws, np.uint8, 2, 4, 7, 6)}, drawn(draws, kind, 8, 4 // window.get("group", 1), 3, 2)
        agrees([node("ConvInteger", ["x", "w"], **window)], x, {"w": w})
        zeros = {"zx": scalar(np.uint8, 130), "zw": scalar(kind, 2)}
        agrees([node("ConvInteger", ["x", "w", "zx", "zw"], **window)], x, {"w": w} | zeros)


def quantised_convolution(draws: np.random.Generator, kinds: Any, by_channel: bool, bias: bool) -> dict[str, Any]:
    x_kind, w_kind = kinds
    scales = draws.uniform(0.005, 0.02, 8).astype(np.float32)
    zeros = np.zeros(8, w_kind) if w_kind is np.int8 else drawn(draws, w_kind, 8)
    stored = {
        "sx": scalar(np.float32, 0.03),
        "zx": scalar(x_kind, 110),
        "sw": scales if by_channel else scales[:1].reshape(()),
        "zw": zeros if by_channel else zeros[:1].reshape(()),
        "sy": scalar(np.float32, 0.4),
        "zy": scalar(x_kind, 90),
    }
    return stored | ({"b": draws.integers(-9000, 9000, 8).astype(np.int32)} if bias else {})


@pytest.mark.sampled
@pytest.mark.parametrize("kinds", [(np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)])
@pytest.mark.parametrize("window", WINDOWS)
def test_quantised_convolution(kinds: Any, window: dict[str, Any]) -> None:
    draws = np.random.default_rng(2)
    for by_channel, bias in product((False, True), (False, True)):
        stored = quantised_convolution(draws, kinds, by_channel, bias)
        stored["w"] = drawn(draws, kinds[1], 8, 4 // window.get("group", 1), 3, 2)
        names = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", *(["b"] if bias else [])]
        # The run time has no zero points of weights by channel, the reference no types but the first.
        _, params = agrees(
            [node("QLinearConv", names, **window)], {"x": drawn(draws, kinds[0], 2, 4, 7, 6)}, stored, steps=1,
            by_reference=by_channel and kinds[1] is np.uint8,
        )  # fmt: skip
        assert set(params) == ({"w", "b"} if bias else {"w"})


@pytest.mark.parametrize("kinds", [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
def test_quantised_matrix_product(kinds: Any) -> None:
    draws = np.random.default_rng(3)
    for shape, by_column in product(((4, 7), (2, 4, 7)), (False, True)):
        scales = draws.uniform(0.005, 0.02, 5).astype(np.float32)
        stored = {
            "sa": scalar(np.float32, 0.03), "za": scalar(kinds[0], 110), "b": drawn(draws, kinds[1], 7, 5),
            "sb": scales if by_column else scales[:1].reshape(()),
            "zb": np.zeros(5, kinds[1]) if by_column else scalar(kinds[1], 3),
            "sy": scalar(np.float32, 0.3), "zy": scalar(kinds[0], 100),
        }  # fmt: skip
        nodes = [node("QLinearMatMul", ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"])]
        _, params = agrees(nodes, {"a": drawn(draws, kinds[0], *shape)}, stored, steps=1)
        assert set(params) == {"b"}


def test_sums_of_a_chip_become_the_nearest_whole_numbers() -> None:
    """A chip's sums are close to whole numbers; to cut them off would lose one of most."""
    sums = np.array([2.9999, 3.0001, -2.9999, -3.0001], np.float32)
    found = integer_products.integer_matrix_product(np.ones((4, 1), np.int8), np.ones((1, 1), np.int8))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(integer_products.whole_numbers(jnp.asarray(sums)), [3, 3, -3, -3])


def test_bytes_of_data() -> None:
    draws = np.random.default_rng(4)
    for x in (draws.normal(size=(3, 5)), draws.uniform(2, 3, (3, 5)), -draws.uniform(2, 3, (3, 5)), np.zeros((3, 5))):
        outputs = ("y", "s", "z")
        agrees([node("DynamicQuantizeLinear", ["x"], outputs)], {"x": x.astype(np.float32)}, {}, 0, outputs)


@pytest.mark.parametrize("kind", BYTES)
def test_product_with_bytes_of_data(kind: Any) -> None:
    """What `onnxruntime.quantization.quantize_dynamic` writes, in its parts and fused."""
    draws = np.random.default_rng(5)
    x = {"x": draws.normal(size=(6, 7)).astype(np.float32)}
    stored = {"w": drawn(draws, kind, 7, 5), "sw": scalar(np.float32, 0.02), "zw": scalar(kind, 7)}
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z", "zw"], ["i"]),
        node("Cast", ["i"], ["f"], to=1),
        node("Mul", ["s", "sw"], ["scale"]),
        node("Mul", ["f", "scale"], ["y"]),
    ]
    agrees(nodes, x, stored)
    stored["b"] = draws.normal(size=5).astype(np.float32)
    agrees([node("DynamicQuantizeMatMul", ["x", "w", "sw", "zw", "b"], **MICROSOFT)], x, stored)
    maps, w = {"x": draws.normal(size=(2, 4, 6, 6)).astype(np.float32)}, {"w": drawn(draws, kind, 8, 2, 3, 3)}
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("ConvInteger", ["q", "w", "z", "zw"], ["i"], pads=[1, 0, 1, 2], group=2, strides=[2, 1]),
        node("Cast", ["i"], ["f"], to=1),
        node("Mul", ["f", "s"], ["y"]),
    ]
    agrees(nodes, maps, w | {"zw": stored["zw"]})


@pytest.mark.parametrize("kind", BYTES)
def test_products_of_the_run_time(kind: Any) -> None:
    draws = np.random.default_rng(6)
    a = {"a": drawn(draws, np.uint8, 4, 7)}
    stored = {
        "sa": scalar(np.float32, 0.03), "za": scalar(np.uint8, 110), "w": drawn(draws, kind, 7, 5),
        "sw": draws.uniform(0.005, 0.02, 5).astype(np.float32), "zw": np.zeros(5, kind),
        "c": draws.normal(size=5).astype(np.float32), "sy": scalar(np.float32, 0.3), "zy": scalar(np.uint8, 90),
    }  # fmt: skip
    agrees([node("MatMulIntegerToFloat", ["a", "w", "sa", "sw", "za", "zw", "c"], **MICROSOFT)], a, stored)
    agrees([node("MatMulIntegerToFloat", ["a", "w", "sa", "sw"], **MICROSOFT)], a, stored)
    stored["c"] = draws.integers(-5000, 5000, 5).astype(np.int32)
    for turned in (0, 1):
        names = ["a", "sa", "za", "w", "sw", "zw", "c", "sy", "zy"]
        given = stored | {"w": stored["w"].T.copy() if turned else stored["w"]}
        options = MICROSOFT | {"transB": turned}
        agrees([node("QGemm", names, **options)], a, given, steps=1)
        agrees([node("QGemm", names[:7], **options)], a, given)


PAIRS = ("QLinearAdd", "QLinearMul")
SINGLES: dict[str, dict[str, Any]] = {
    "QLinearSigmoid": {}, "QLinearLeakyRelu": {"alpha": 0.2},
    "QLinearGlobalAveragePool": {"channels_last": 0},
    "QLinearAveragePool": {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1]},
}  # fmt: skip


@pytest.mark.parametrize("kind", BYTES)
def test_layers_between_codes(kind: Any) -> None:
    draws = np.random.default_rng(7)
    x = {"x": drawn(draws, kind, 2, 4, 6, 5)}
    stored = {
        "sx": scalar(np.float32, 0.03), "zx": scalar(kind, 60), "sz": scalar(np.float32, 0.02), "zz": scalar(kind, 40),
        "sy": scalar(np.float32, 0.05), "zy": scalar(kind, 70), "z": drawn(draws, kind, 4, 1, 1),
        "unit": scalar(np.float32, 1 / 256), "low": scalar(kind, np.iinfo(kind).min),
    }  # fmt: skip
    for name in PAIRS:
        agrees([node(name, ["x", "sx", "zx", "z", "sz", "zz", "sy", "zy"], **MICROSOFT)], x, stored, steps=1)
    for name, options in SINGLES.items():
        ends = ["unit", "low"] if name == "QLinearSigmoid" else ["sy", "zy"]
        agrees([node(name, ["x", "sx", "zx", *ends], **options, **MICROSOFT)], x, stored, steps=1)
    parts = ["sy", "zy", "x", "sx", "zx", "other", "sz", "zz"]
    both = x | {"other": drawn(draws, kind, 2, 3, 6, 5)}
    agrees([node("QLinearConcat", parts, axis=1, **MICROSOFT)], both, stored, steps=1)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_codes_of_16_bits(kind: Any) -> None:
    draws = np.random.default_rng(8)
    x = {"x": 3 * draws.normal(size=(2, 3, 4)).astype(np.float32)}
    both = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"])]
    for scale in (1e-4, 1e-5):  # within the range of the codes, and beyond
        agrees(both, x, {"s": scalar(np.float32, scale), "z": scalar(kind, 300)}, 1, ("q", "y"))
    by_channel = {"s": np.array([1e-4, 2e-4, 3e-4], np.float32), "z": np.array([1, 2, 3], kind)}
    agrees([node("QuantizeLinear", ["x", "s", "z"], axis=1)], x, by_channel, 1)
    of_the_run_time = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], **MICROSOFT),
        node("DequantizeLinear", ["q", "s", "z"], **MICROSOFT),
    ]
    agrees(of_the_run_time, x, {"s": scalar(np.float32, 1e-4), "z": scalar(kind, 300)}, 1, ("q", "y"))
    kinds = {np.uint16: 4, np.int16: 5}
    agrees([node("QuantizeLinear", ["x", "s"], output_dtype=kinds[kind])], x, {"s": scalar(np.float32, 1e-4)}, 1)
    product = [node("DequantizeLinear", ["q", "s", "z"], ["w"]), node("MatMul", ["x", "w"])]
    _, params = agrees(product, x, by_channel | {"q": drawn(draws, kind, 4, 3)})
    assert set(params) == {"q"}


@pytest.mark.parametrize(
    ("nodes", "stored", "words"),
    [
        ([node("MatMulInteger", ["x", "w"])], {"w": np.ones((4, 3), np.int8)}, "float32, which are not integers"),
        ([node("QuantizeLinear", ["x", "s", "z"])], {"s": np.float32(1), "z": np.int32(0)}, "of type int32"),
        ([node("QuantizeLinear", ["x", "s"], output_dtype=17)], {"s": np.float32(1)}, "integers of 8 and 16 bits"),
        ([node("QLinearConcat", ["s", "z", "x", "s"], axis=0, **MICROSOFT)], {"s": np.float32(1), "z": np.int8(0)},
         "has 2 inputs"),
    ],
)  # fmt: skip
def test_what_is_not_of_integers_is_refused(nodes: list[Any], stored: dict[str, Any], words: str) -> None:
    stored = {name: np.asarray(value) for name, value in stored.items()}
    x = {"x": np.ones((2, 4), np.float32)}
    network, params = amsim.load_onnx(model_of(nodes, x, stored, ["y"], 21))
    with pytest.raises(ValueError, match=words):
        network(params, x["x"])
