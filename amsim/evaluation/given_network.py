"""A network as a user names it: a reference network, a file, or a function with its parameters."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from amsim.circuits.checks import part_of, shown
from amsim.datasets.inputs import arrays_of, count_items, first_arguments
from amsim.deployment.front_door import params_on_device
from amsim.files.library_error import first_line
from amsim.files.path_argument import checked_path
from amsim.files.regular_file import argument_in_errors
from amsim.foreign.item_inputs import ItemNumbers, NetworkOfItems
from amsim.foreign.onnx_network import OnnxNetwork, load_onnx
from amsim.networks.quantised_network import QuantisedNetwork
from amsim.networks.registry import NETWORKS, named_network

Network = Any
"""Name of a reference network, path of an `.onnx` or `.npz` file, or a tuple (function, parameters)."""

ENDINGS = (".npz", ".onnx")


class GivenNetwork(NamedTuple):
    """A network with its parameters.

    Attributes:
        name: Name of the reference network or of the file, or that of the function.
        function: `function(params, inputs)`.
        params: Its parameters.
    """

    name: str
    function: Callable[..., Any]
    params: PyTree


def given_network(argument: str, network: Network, numbers: ItemNumbers | None = None) -> GivenNetwork:
    """Network of whatever names or holds one.

    Args:
        argument: Name of the argument, for messages.
        network: See `Network`.
        numbers: Numbers of the floating-point inputs of an ONNX network; None is the default.

    Raises:
        ValueError: Something else, an unknown name, a file that is no network, parameters that are no finite numbers,
            or a package that is missing, with the command that installs it.
        FileNotFoundError: There is no such file.
    """
    part_of("numbers", numbers, ItemNumbers, optional=True)
    if isinstance(network, str | os.PathLike):
        path = checked_path(argument, network, "the name of a reference network, the path of a file, or (fn, params)")
        with argument_in_errors(argument):
            return GivenNetwork(path.name, *network_of(path, argument, numbers))
    if isinstance(network, QuantisedNetwork):
        raise ValueError(
            f"Argument `{argument}` must have parameters, but is a network without weights: give (network, params), as "
            "`amsim.networks.load(name)` returns them."
        )
    if not isinstance(network, tuple) or len(network) != 2 or not callable(network[0]):
        raise ValueError(
            f"Argument `{argument}` must be the name of a reference network, the path of a file that ends in "
            f"{' or '.join(ENDINGS)}, or a tuple (fn, params), but is {shown(network)}."
        )
    function, params = network
    try:
        params = params_on_device(params)
    except ValueError as error:
        raise ValueError(f"Argument `{argument}` cannot be used: {error}") from None
    function = NetworkOfItems(function, numbers or ItemNumbers()) if isinstance(function, OnnxNetwork) else function
    return GivenNetwork(getattr(function, "__name__", type(function).__name__), function, params)


def network_of(
    name: str | Path, argument: str = "name", numbers: ItemNumbers | None = None
) -> tuple[Callable[..., Any], Any]:
    """A reference network by name, or the network of an `.npz` or `.onnx` file, as a function of items of data.

    Args:
        name: Name or file.
        argument: Name of the argument, for messages.
        numbers: Numbers of the inputs of an `.onnx` file; None is the default.

    Raises:
        ValueError: No such network, a file that is not one, or the package that reads it is missing.
        OSError: The file cannot be read.
    """
    text = str(name)
    if text.endswith(".onnx"):
        try:
            network, params = load_onnx(Path(name))
        except ImportError as error:
            raise ValueError(f"Network {text} cannot be read: {error}") from None
        return NetworkOfItems(network, numbers or ItemNumbers()), params
    if not text.endswith(".npz") and text not in NETWORKS:
        near = difflib.get_close_matches(text, NETWORKS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"Argument `{argument}` must be one of {', '.join(NETWORKS)}, or a file that ends in "
            f"{' or '.join(ENDINGS)}, but is {shown(text)}.{hint}"
        )
    return named_network(argument, name)


def check_takes(argument: str, network: GivenNetwork, inputs: Any) -> Any:
    """Shapes of the outputs of a network for some items, which nothing is computed for.

    Args:
        argument: Name of the argument that the inputs are of, for messages.
        network: The network.
        inputs: Some items.

    Returns:
        Outputs as `jax.ShapeDtypeStruct`.

    Raises:
        ValueError: The network does not take such inputs.
    """
    items = first_arguments(inputs, min(count_items(inputs), 2))
    shapes = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, jax.dtypes.canonicalize_dtype(one.dtype)),
                          jax.tree.map(np.asarray, items))  # fmt: skip
    try:
        return eqx.filter_eval_shape(network.function, network.params, *shapes)
    except Exception as error:  # of any framework
        of_items = ", ".join(f"{path} {np.shape(one)[1:]}".strip() for path, one in arrays_of(inputs))
        raise ValueError(
            f"Argument `{argument}` has items of shape {of_items}, which network {network.name} does not take: "
            f"{first_line(error)}"
        ) from None
