"""ONNX graphs drawn for a test, and their comparison with ONNX Runtime."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import amsim

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


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


def real(draws: np.random.Generator, *shape: int) -> np.ndarray:
    return draws.normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)
