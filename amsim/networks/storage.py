"""Trained networks as files: integer weight codes and float32 statistics in a compressed array file, no pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from amsim.circuits.checks import part_of
from amsim.files.array_file import read_own_file, write_array_file
from amsim.files.path_argument import checked_path
from amsim.networks.image_network import ConvolutionLayer, ImageNetwork, Params

FORMAT = "amsim-network-1"
LARGEST_FILE = 64 * 2**20
"""Most bytes that its arrays may unpack to."""

LARGEST_SIZE = 2**16
"""Largest side, number of maps or of classes in a file."""


class CorruptNetworkError(ValueError):
    """A network file is damaged, of another format, or inconsistent."""


def save_network(path: Path, network: ImageNetwork, params: Params) -> None:
    """Write a network, its weights as the integers that they are quantised to, so that loading gives the same outputs.

    The file appears whole or not at all.

    Args:
        path: File to write, a NumPy archive.
        network: The network.
        params: Its parameters.

    Raises:
        ValueError: It is not such a network, or its parameters are not arrays by layer and name.
    """
    part_of("network", network, ImageNetwork)
    part_of("params", params, Mapping)
    for name, layer in params.items():
        part_of(f"params[{name!r}]", layer, Mapping)
    header = {
        "format": FORMAT,
        "bits": network.bits,
        "input_maps": network.input_maps,
        "layers": [list(layer) for layer in network.layers],
        "classes": network.classes,
        "input_shape": list(network.input_shape),
    }
    arrays: dict[str, np.ndarray] = {"header": np.asarray(json.dumps(header))}
    for name, layer in params.items():
        for part, values in layer.items():
            if part == "kernel":
                codes = np.asarray(network.quantised_weights(values)) * _weight_steps(network)
                arrays[f"{name}.{part}"] = np.round(codes).astype(np.int8)
            else:
                arrays[f"{name}.{part}"] = np.asarray(values, np.float32)
    write_array_file(checked_path("path", path), arrays)


def load_network(path: Path) -> tuple[ImageNetwork, Params]:
    """Read a network written by `save_network`.

    Args:
        path: The file.

    Returns:
        The network and its parameters.

    Raises:
        FileNotFoundError: There is no such file.
        CorruptNetworkError: The file is damaged, of another format, or its arrays do not fit its header.
    """
    path = checked_path("path", path)
    try:
        return read_own_file(path, _network, LARGEST_FILE)
    except FileNotFoundError:
        raise FileNotFoundError(f"Network file {path} does not exist.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise CorruptNetworkError(f"Network file {path} cannot be used: {str(error).rstrip('.')}.") from None


def _network(arrays: dict[str, np.ndarray]) -> tuple[ImageNetwork, Params]:
    header = json.loads(str(arrays.pop("header")))
    _check_header(header, len(arrays))
    network = ImageNetwork(
        bits=header["bits"],
        input_maps=header["input_maps"],
        layers=tuple(ConvolutionLayer(*layer) for layer in header["layers"]),
        classes=header["classes"],
        input_shape=tuple(header["input_shape"]),
    )
    return network, _checked_params(network, arrays)


def _check_header(header: Any, arrays: int) -> None:
    """Raise for sizes that are none, or that no file of so many arrays can have, before anything is built from them."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    if set(header) != {"format", "bits", "input_maps", "layers", "classes", "input_shape"}:
        raise ValueError(f"it has the entries {sorted(header)}")
    layers, shape = header["layers"], header["input_shape"]
    if not isinstance(layers, list) or not 1 <= len(layers) <= arrays:
        raise ValueError(f"it must have layers, at most one for each of its {arrays} arrays")
    if not isinstance(shape, list) or len(shape) not in (2, 3):
        raise ValueError(f"its input shape {shape!r} must have 2 or 3 sizes")
    if any(not isinstance(layer, list) or len(layer) != len(ConvolutionLayer._fields) for layer in layers):
        raise ValueError(f"each layer must have {', '.join(ConvolutionLayer._fields)}")
    sizes = [header["bits"], header["input_maps"], header["classes"], *shape, *(size for one in layers for size in one)]
    for size in sizes:
        if type(size) is not int or not 1 <= size <= LARGEST_SIZE:
            raise ValueError(f"its sizes must be whole numbers from 1 to {LARGEST_SIZE}, but one is {str(size)[:40]}")


def _checked_params(network: ImageNetwork, arrays: dict[str, np.ndarray]) -> Params:
    import jax

    expected = jax.eval_shape(network.initial_params, jax.random.key(0))
    steps = _weight_steps(network)
    params: Params = {}
    for name, layer in expected.items():
        params[name] = {}
        for part, shape in layer.items():
            values = arrays.pop(f"{name}.{part}")
            if values.shape != shape.shape:
                raise ValueError(f"array {name}.{part} has shape {values.shape}, expected {shape.shape}")
            if values.dtype != (np.int8 if part == "kernel" else np.float32):
                raise ValueError(f"array {name}.{part} is of type {values.dtype}")
            if part == "variance" and np.min(values, initial=0) < 0:
                raise ValueError(f"array {name}.{part} has a variance below 0")
            if not np.all(np.isfinite(values)):
                raise ValueError(f"array {name}.{part} has values outside its range")
            codes = np.abs(values.astype(int)) if part == "kernel" else np.ones(1)
            if np.max(codes) > steps or (network.bits == 1 and np.min(codes) < 1):
                raise ValueError(f"array {name}.{part} has codes that {network.bits} bits do not have")
            params[name][part] = jnp.asarray(values.astype(np.float32) / (steps if part == "kernel" else 1))
    if arrays:
        raise ValueError(f"unexpected arrays {sorted(arrays)}")
    return params


def _weight_steps(network: ImageNetwork) -> int:
    return max(2 ** (network.bits - 1) - 1, 1)
