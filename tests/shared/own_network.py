"""A designer's own network and data: two convolutions in an ONNX file, the same function in JAX, and labelled items."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIDE, CLASSES, ITEMS = 10, 3, 60


def parameters() -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    sizes = {"stem": (4, 1, 3, 3), "body": (6, 4, 3, 3), "head": (6 * 2 * 2, CLASSES)}
    return {
        name: (draws.normal(size=size) / np.sqrt(np.prod(size[1:]))).astype(np.float32) for name, size in sizes.items()
    }


def network(params: Any, inputs: Any) -> Any:
    """Logits of images, shape (batch, side, side): bytes, or floats from 0 to 1."""
    pixels = jnp.asarray(inputs)
    values = pixels.astype(jnp.float32) / 255 if pixels.dtype == jnp.uint8 else pixels
    values = values.reshape(-1, 1, SIDE, SIDE)
    layout = ("NCHW", "OIHW", "NCHW")
    for name, stride in (("stem", 1), ("body", 2)):
        values = jax.lax.conv_general_dilated(values, params[name], (stride, stride), "VALID", dimension_numbers=layout)
        values = jax.nn.relu(values)
    values = values[:, :, :2, :2]
    return values.reshape(len(values), -1) @ params["head"]


def onnx_file(path: Path) -> Path:
    """The same network as a file, written by the helpers of the package `onnx`."""
    import onnx

    helper = onnx.helper
    whole = {"starts": [0, 0], "ends": [2, 2], "axes": [2, 3]}
    stored = parameters() | {name: np.array(value, np.int64) for name, value in whole.items()}
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["a"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "body"], ["c"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Slice", ["d", "starts", "ends", "axes"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two_convolutions",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", CLASSES])],
        [onnx.numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def items() -> tuple[np.ndarray, np.ndarray]:
    """Pictures as bytes, and the classes that the network itself gives them, one in ten wrong."""
    draws = np.random.default_rng(1)
    images = draws.integers(0, 256, size=(ITEMS, SIDE, SIDE), dtype=np.uint8)
    logits = np.asarray(network(parameters(), images))
    labels = np.argmax(logits - logits.mean(axis=0), axis=1)
    labels[::10] = (labels[::10] + 1) % CLASSES
    return images, labels.astype(np.int64)
