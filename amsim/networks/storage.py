"""Trained networks as files: integer weight codes and float32 statistics in a compressed array file, no pickle."""

import json
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from amsim.files.array_file import write_array_file
from amsim.files.path_argument import checked_path
from amsim.networks.image_network import ConvolutionLayer, ImageNetwork, Params

FORMAT = "amsim-network-1"
LARGEST_FILE = 64 * 2**20


class CorruptNetworkError(ValueError):
    """A network file is damaged, of another format, or inconsistent."""


def save_network(path: Path, network: ImageNetwork, params: Params) -> None:
    """Write a network, its weights as the integers that they are quantised to, so that loading gives the same outputs.

    The file appears whole or not at all.

    Args:
        path: File to write, a NumPy archive.
        network: The network.
        params: Its parameters.
    """
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
    if not path.is_file():
        raise FileNotFoundError(f"Network file {path} does not exist.")
    try:
        arrays = _read_arrays(path)
        header = json.loads(str(arrays.pop("header")))
        if header.pop("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        network = ImageNetwork(
            bits=header["bits"],
            input_maps=header["input_maps"],
            layers=tuple(ConvolutionLayer(*map(int, layer)) for layer in header["layers"]),
            classes=header["classes"],
            input_shape=tuple(header["input_shape"]),
        )
        return network, _checked_params(network, arrays)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise CorruptNetworkError(f"Network file {path} cannot be used: {error}.") from None


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_FILE:
            raise ValueError(f"it unpacks to {size} bytes, more than the {LARGEST_FILE} that a network may have")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


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
            if not np.all(np.isfinite(values)) or (part == "kernel" and np.max(np.abs(values.astype(int))) > steps + 1):
                raise ValueError(f"array {name}.{part} has values outside its range")
            params[name][part] = jnp.asarray(values.astype(np.float32) / (steps if part == "kernel" else 1))
    if arrays:
        raise ValueError(f"unexpected arrays {sorted(arrays)}")
    return params


def _weight_steps(network: ImageNetwork) -> int:
    return max(2 ** (network.bits - 1) - 1, 1)
