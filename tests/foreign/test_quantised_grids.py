"""Quantisers of ONNX and QONNX graphs are exact on macros of their word length."""

from typing import Any

import numpy as np
import pytest
from onnx_models import model_of, node, runtime, whole

import amsim
from amsim import circuits

DRAWS = np.random.default_rng(0)
WEIGHTS, INPUTS = DRAWS.normal(size=(12, 4)).astype(np.float32), DRAWS.normal(size=(8, 12)).astype(np.float32)
STEPS = np.linspace(0.1, 0.5, 4, dtype=np.float32)


def network_of(nodes: list[Any], constants: dict[str, Any]) -> bytes:
    """A graph from `x` (batch, 12) to `y` (batch, 4)."""
    return model_of(nodes, {"x": INPUTS}, {name: np.asarray(value) for name, value in constants.items()}, ["y"], 17)


def with_quant(bits: int, signed: int, narrow: int, by_column: bool) -> bytes:
    """QONNX `Quant` in front of both operands."""
    domain = {"domain": "qonnx.custom_op.general", "narrow": narrow, "rounding_mode": "ROUND"}
    return network_of(
        [
            node("Quant", ["x", "sx", "z", "b"], ["xq"], signed=signed, **domain),
            node("Quant", ["w", "sw", "z", "b"], ["wq"], signed=1, **domain),
            node("MatMul", ["xq", "wq"], ["y"]),
        ],
        {
            "sx": np.float32(0.3),
            "sw": STEPS[None] if by_column else np.float32(0.3),
            "z": np.float32(0),
            "b": np.float32(bits),
            "w": WEIGHTS,
        },
    )


def with_integers(zero_point: int, unsigned: bool, by_column: bool, transposed: bool) -> bytes:
    """`QuantizeLinear` and `DequantizeLinear` about the inputs, weights kept as bytes."""
    steps = STEPS / 10 if by_column else np.float32(0.02)
    words = np.clip(np.round(WEIGHTS / steps), -128, 127).astype(np.int8)
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["xi"]),
        node("DequantizeLinear", ["xi", "sx", "zx"], ["xq"]),
        node("DequantizeLinear", ["wi", "sw", "zw"], ["wd"], axis=0 if transposed else 1),
        node("Transpose", ["wd"], ["wq"], perm=[1, 0] if transposed else [0, 1]),
        node("MatMul", ["xq", "wq"], ["y"]),
    ]
    constants = {
        "sx": np.float32(0.025),
        "zx": (np.uint8 if unsigned else np.int8)(zero_point),
        "sw": steps,
        "zw": np.zeros(np.shape(steps), np.int8),
        "wi": words.T.copy() if transposed else words,
    }
    return network_of(nodes, constants)


GRAPHS = {
    "2 bits": (2, with_quant(2, 1, 0, False)),
    "3 bits by column": (3, with_quant(3, 1, 0, True)),
    "4 bits narrow": (4, with_quant(4, 1, 1, True)),
    "4 bits unsigned": (4, with_quant(4, 0, 0, False)),
    "8 bits unsigned narrow": (8, with_quant(8, 0, 1, True)),
    "signed bytes": (8, with_integers(0, False, True, False)),
    "signed bytes with zero-point": (8, with_integers(3, False, False, True)),
    "bytes with zero-point": (8, with_integers(100, True, True, True)),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("calibrated", [False, True])
def test_a_quantised_graph_is_exact_on_words_of_its_length(name: str, calibrated: bool) -> None:
    bits, graph = GRAPHS[name]
    network, params = amsim.load_onnx(graph)
    macro = circuits.DigitalBinary(rows=16, weight_bits=bits, input_bits=bits)
    if calibrated:
        chip = amsim.calibrate(network, params, macro, INPUTS, symmetric="zero-point" not in name).chip
    else:
        chip = amsim.deploy(network, params, macro)
    right = np.asarray(network(params, INPUTS))
    np.testing.assert_allclose(chip(INPUTS), right, atol=2e-6 * np.abs(right).max())


def run_time(graph: bytes, x: np.ndarray) -> np.ndarray:
    """Outputs of ONNX Runtime, which saturates products of larger weights than 7 bits on processors without VNNI."""
    return np.asarray(runtime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0])


def integer_network() -> tuple[bytes, np.ndarray]:
    """`QLinearConv` by channel, pooling of codes and `QLinearMatMul`, as static quantisation writes them."""
    draws = np.random.default_rng(1)
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        node("QLinearConv", ["q", "sx", "zx", "conv.w", "sw", "zw", "sa", "za", "conv.b"], ["c"], pads=[1, 1, 1, 1]),
        node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", ["m", "flat"], ["f"]),
        node("QLinearMatMul", ["f", "sa", "za", "out.w", "so", "zo", "sy", "zy"], ["r"]),
        node("DequantizeLinear", ["r", "sy", "zy"]),
    ]
    stored = {
        "sx": np.float32(0.02), "zx": np.uint8(100), "sa": np.float32(0.1), "za": np.uint8(10), "sy": np.float32(0.5),
        "zy": np.uint8(128), "so": np.float32(0.01), "zo": np.int8(3), "flat": whole(0, -1),
        "conv.w": draws.integers(-64, 64, (8, 2, 3, 3)).astype(np.int8), "zw": np.zeros(8, np.int8),
        "sw": draws.uniform(0.002, 0.01, 8).astype(np.float32), "conv.b": draws.integers(-900, 900, 8).astype(np.int32),
        "out.w": draws.integers(-64, 64, (32, 5)).astype(np.int8),
    }  # fmt: skip
    x = draws.normal(size=(6, 2, 4, 4)).astype(np.float32)
    return model_of(nodes, {"x": x}, {name: np.asarray(one) for name, one in stored.items()}, ["y"], 17), x


def network_with_bytes_of_data() -> tuple[bytes, np.ndarray]:
    """`MatMulInteger` and a padded `ConvInteger` whose zero points only the data tell: dynamic quantisation."""
    draws = np.random.default_rng(2)
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("ConvInteger", ["q", "conv.w", "z"], ["c"], pads=[1, 1, 1, 1]),
        node("Cast", ["c"], ["cf"], to=1),
        node("Mul", ["cf", "s"], ["a"]),
        node("Reshape", ["a", "flat"], ["f"]),
        node("DynamicQuantizeLinear", ["f"], ["fq", "fs", "fz"]),
        node("MatMulInteger", ["fq", "out.w", "fz"], ["r"]),
        node("Cast", ["r"], ["rf"], to=1),
        node("Mul", ["rf", "fs"]),
    ]
    stored = {
        "conv.w": draws.integers(-64, 64, (4, 2, 3, 3)).astype(np.int8), "flat": whole(0, -1),
        "out.w": draws.integers(-64, 64, (64, 5)).astype(np.int8),
    }  # fmt: skip
    x = draws.uniform(-1, 2, (6, 2, 4, 4)).astype(np.float32)
    return model_of(nodes, {"x": x}, stored, ["y"], 17), x


@pytest.mark.sampled(2)
@pytest.mark.parametrize("make", [integer_network, network_with_bytes_of_data])
@pytest.mark.parametrize(
    "macro",
    [
        circuits.DigitalBinary(rows=16, weight_bits=8, input_bits=8),
        circuits.MultiPrecision(weight_bits=8, input_bits=8),
        circuits.SwitchedCapacitor(rows=64, weight_bits=8, input_bits=8).ideal(),
    ],
    ids=lambda macro: type(macro).__name__,
)
def test_a_network_of_integers_is_that_of_the_run_time_on_words_of_its_length(make: Any, macro: Any) -> None:
    graph, x = make()
    network, params = amsim.load_onnx(graph)
    chip = amsim.deploy(network, params, macro)
    want = run_time(graph, x)
    assert np.unique(want).size > 10
    if make is integer_network:
        np.testing.assert_array_equal(chip(x), want)
    else:  # scales of the data are computed in another order
        np.testing.assert_allclose(chip(x), want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
    sites = [row for row in chip.sites(x) if not row.reason]
    assert [row.name for row in sites] == ["conv", "out"]
    fixed = ["-100 to 155", "-10 to 245"] if make is integer_network else ["0 to 255", "0 to 255"]
    assert [row.input_range for row in sites] == fixed
