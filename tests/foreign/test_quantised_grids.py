"""Quantisers of ONNX and QONNX graphs are exact on macros of their word length."""

from typing import Any

import numpy as np
import pytest
from onnx_models import model_of, node

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
