"""Trained networks as files: integer weight codes and float32 statistics in a compressed array file, no pickle."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from amsim.circuits.checks import part_of, shown
from amsim.files.array_file import read_own_file, write_array_file
from amsim.files.path_argument import checked_path
from amsim.networks.image_network import ConvolutionLayer, ImageNetwork
from amsim.networks.quantised import FLOAT, Params, quantised_weights, weight_steps
from amsim.networks.sequence_network import SequenceNetwork

Network = ImageNetwork | SequenceNetwork
"""Network that has files."""

FORMAT = "amsim-network-1"
"""Of image networks with one word length of up to 8 bits, convolutions without padding and maximum pooling."""

GENERAL_FORMAT = "amsim-network-2"
"""Of all others, with all their settings."""

KINDS: dict[str, type[Network]] = {"images": ImageNetwork, "sequences": SequenceNetwork}

LARGEST_FILE = 64 * 2**20
"""Most bytes that its arrays may unpack to."""

LARGEST_SIZE = 2**16
"""Largest side, number of maps or of classes in a file."""

_EARLIER_FIELDS = ("bits", "input_maps", "layers", "classes", "input_shape")
_EARLIER_LAYER = 4
"""Settings of a layer in `FORMAT`."""


class CorruptNetworkError(ValueError):
    """A network file is damaged, of another format, or inconsistent."""


def check_network(name: str, network: Any) -> None:
    """Raise ValueError unless this is a network that has files."""
    if not isinstance(network, Network):
        allowed = " or ".join(kind.__name__ for kind in get_args(Network))
        raise ValueError(f"Argument `{name}` must be of type {allowed}, but is {shown(network)}.")


def save_network(path: Path, network: Network, params: Params) -> None:
    """Write a network, its weights as the integers that they are quantised to, so that loading gives the same outputs.

    The file appears whole or not at all.

    Args:
        path: File to write, a NumPy archive.
        network: The network.
        params: Its parameters.

    Raises:
        ValueError: It is not such a network, or its parameters are not arrays by layer and name.
    """
    check_network("network", network)
    part_of("params", params, Mapping)
    for name, layer in params.items():
        part_of(f"params[{name!r}]", layer, Mapping)
    arrays: dict[str, np.ndarray] = {"header": np.asarray(json.dumps(_header(network)))}
    lengths = network.word_lengths
    for name, layer in params.items():
        for part, values in layer.items():
            if part == "kernel" and lengths[name][0] != FLOAT:
                bits = lengths[name][0]
                codes = np.asarray(quantised_weights(values, bits)) * weight_steps(bits)
                arrays[f"{name}.{part}"] = np.round(codes).astype(_code_type(bits))
            else:
                arrays[f"{name}.{part}"] = np.asarray(values, np.float32)
    write_array_file(checked_path("path", path), arrays)


def load_network(path: Path) -> tuple[Network, Params]:
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


def _code_type(bits: int) -> type[np.generic]:
    return np.float32 if bits == FLOAT else np.int8 if bits <= 8 else np.int16


def _header(network: Network) -> dict[str, Any]:
    """Settings of a network, in the earlier format where that has them all, so that its files do not change."""
    fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    if isinstance(network, ImageNetwork):
        later = {one.name: one.default for one in dataclasses.fields(network) if one.name not in _EARLIER_FIELDS}
        plain = all(layer == layer._replace(same=False, groups=1, shortcut=False) for layer in network.layers)
        if network.bits <= 8 and plain and all(fields[name] == value for name, value in later.items()):
            layers = [list(layer[:_EARLIER_LAYER]) for layer in network.layers]
            return {"format": FORMAT} | {name: fields[name] for name in _EARLIER_FIELDS} | {"layers": layers}
    kind = next(name for name, one in KINDS.items() if isinstance(network, one))
    return {"format": GENERAL_FORMAT, "kind": kind, "settings": fields}


def _network(arrays: dict[str, np.ndarray]) -> tuple[Network, Params]:
    header = json.loads(str(arrays.pop("header")))
    if not isinstance(header, dict) or header.get("format") not in (FORMAT, GENERAL_FORMAT):
        raise ValueError(f"it is not of format {FORMAT} or {GENERAL_FORMAT}")
    network: Network
    if header["format"] == FORMAT:
        _check_entries("", header, {"format", *_EARLIER_FIELDS})
        settings = {name: header[name] for name in _EARLIER_FIELDS}
        network = _image_network(settings, len(arrays), _EARLIER_LAYER)
    else:
        _check_entries("", header, {"format", "kind", "settings"})
        kind, settings = header["kind"], header["settings"]
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(settings, dict):
            raise ValueError(f"its kind must be one of {', '.join(KINDS)}, with settings, but is {str(kind)[:40]}")
        _check_entries("settings with ", settings, {field.name for field in dataclasses.fields(KINDS[kind])})
        if kind == "images":
            network = _image_network(settings, len(arrays), len(ConvolutionLayer._fields))
        else:
            network = _sequence_network(settings, len(arrays))
    return network, _checked_params(network, arrays)


def _check_entries(what: str, found: dict[str, Any], expected: set[str]) -> None:
    if set(found) != expected:
        raise ValueError(f"it has {what}the entries {sorted(found)}")


def _image_network(settings: dict[str, Any], arrays: int, settings_of_layer: int) -> ImageNetwork:
    """Network of a header, of which sizes that no file of so many arrays can have are refused before it is built."""
    layers = settings["layers"]
    if not isinstance(layers, list) or not 1 <= len(layers) <= arrays:
        raise ValueError(f"it must have layers, at most one for each of its {arrays} arrays")
    if any(not isinstance(layer, list) or len(layer) != settings_of_layer for layer in layers):
        raise ValueError(f"each layer must have {', '.join(ConvolutionLayer._fields[:settings_of_layer])}")
    counts = ("kernel", "stride", "filters", "pool", "groups")
    for layer in (ConvolutionLayer(*layer) for layer in layers):
        _check_sizes([getattr(layer, name) for name in counts])
    _check_settings({name: value for name, value in settings.items() if name != "layers"})
    shape = tuple(settings["input_shape"])
    return ImageNetwork(**settings | {"layers": tuple(ConvolutionLayer(*one) for one in layers), "input_shape": shape})


def _sequence_network(settings: dict[str, Any], arrays: int) -> SequenceNetwork:
    _check_settings(settings)
    if not isinstance(settings["depth"], int) or settings["depth"] > arrays:
        raise ValueError(f"it must have at most one layer for each of its {arrays} arrays")
    return SequenceNetwork(**settings | {"input_shape": tuple(settings["input_shape"])})


def _check_settings(settings: dict[str, Any]) -> None:
    """Raise for sizes that are none; words, missing word lengths and ranges are checked by the network itself."""
    shape = settings["input_shape"]
    if not isinstance(shape, list) or len(shape) not in (2, 3):
        raise ValueError(f"its input shape {str(shape)[:40]} must have 2 or 3 sizes")
    others = [value for name, value in settings.items() if name not in ("input_shape", "input_range")]
    _check_sizes([*shape, *(value for value in others if not isinstance(value, str) and value is not None)])


def _check_sizes(sizes: list[Any]) -> None:
    for size in sizes:
        if type(size) is not int or not 1 <= size <= LARGEST_SIZE:
            raise ValueError(f"its sizes must be whole numbers from 1 to {LARGEST_SIZE}, but one is {str(size)[:40]}")


def _checked_params(network: Network, arrays: dict[str, np.ndarray]) -> Params:
    expected = jax.eval_shape(network.initial_params, jax.random.key(0))
    params: Params = {}
    for name, layer in expected.items():
        bits = network.word_lengths[name][0]
        params[name] = {}
        for part, shape in layer.items():
            if f"{name}.{part}" not in arrays:
                raise ValueError(f"it lacks the array {name}.{part}")
            values, coded = arrays.pop(f"{name}.{part}"), part == "kernel" and bits != FLOAT
            if values.shape != shape.shape:
                raise ValueError(f"array {name}.{part} has shape {values.shape}, expected {shape.shape}")
            if values.dtype != (_code_type(bits) if coded else np.float32):
                raise ValueError(f"array {name}.{part} is of type {values.dtype}")
            if part == "variance" and np.min(values, initial=0) < 0:
                raise ValueError(f"array {name}.{part} has a variance below 0")
            if not np.all(np.isfinite(values)):
                raise ValueError(f"array {name}.{part} has values outside its range")
            steps = weight_steps(bits) if coded else 1
            codes = np.abs(values.astype(int)) if coded else np.ones(1)
            if np.max(codes) > steps or (coded and bits == 1 and np.min(codes) < 1):
                raise ValueError(f"array {name}.{part} has codes that {bits} bits do not have")
            params[name][part] = jnp.asarray(values.astype(np.float32) / steps)
    if arrays:
        raise ValueError(f"unexpected arrays {sorted(arrays)}")
    return params
