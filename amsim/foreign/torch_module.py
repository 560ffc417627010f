"""A network from a PyTorch module: exported to an ONNX graph in memory, and read by the one reader of such graphs."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Array

from amsim.circuits.checks import shown
from amsim.foreign.onnx_network import OnnxNetwork, load_onnx


def from_torch(module: Any, example: Any) -> tuple[OnnxNetwork, dict[str, Array]]:
    """Network of a PyTorch module, in evaluation mode.

    Args:
        module: A `torch.nn.Module`, which is not changed.
        example: An input of the module, items first: a tensor or array, or a tuple of them for a module of several.
            Only its shape and type matter. The number of items is left open, wherever the module allows it.

    Returns:
        The function `network(params, *inputs)` and its parameters by their names in the module, such as `0.weight`, for
        `amsim.deploy`. Inputs are those of `Module.forward`, in PyTorch's layout; several outputs come as a tuple.

    Raises:
        ImportError: `torch`, `onnxscript` or `onnx` is not installed; the text says how to.
        ValueError: Another kind of module or example, operations that PyTorch cannot export, or operators that amsim
            does not support, all of them with their counts.

    Validity: what `torch.onnx.export` takes: no branch or loop that data decide. Batch normalisation stays an operation
    of its own, dropout does nothing. Parameters are copies: the module's later training does not change them.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"Argument `module` must be a torch.nn.Module, but is {shown(module)}.")
    tensors = _tensors(torch, example)
    with _evaluation_mode(module):
        model = _exported(torch, module, tensors)
    model.graph.name = type(module).__name__
    return load_onnx(model.SerializeToString())


def _torch() -> Any:
    try:
        import onnxscript  # noqa: F401 - what `torch.onnx` exports with
        import torch
    except ImportError:
        raise ImportError("Networks of PyTorch need `torch` and `onnxscript`: pip install 'amsim[torch]'.") from None
    return torch


def _tensors(torch: Any, example: Any) -> tuple[Any, ...]:
    several = isinstance(example, tuple)
    given = example if several else (example,)
    allowed = "a tensor, an array or a tuple of them, with items first"
    found = []
    for place, one in enumerate(given):
        name = f"example[{place}]" if several else "example"
        try:
            tensor = one if isinstance(one, torch.Tensor) else torch.as_tensor(np.array(one))
        except (TypeError, ValueError):
            raise ValueError(f"Argument `{name}` must be {allowed}, but is {shown(one)}.") from None
        if not isinstance(one, torch.Tensor) and not hasattr(one, "shape"):
            raise ValueError(f"Argument `{name}` must be {allowed}, but is {shown(one)}.")
        if tensor.ndim == 0 or 0 in tensor.shape:
            raise ValueError(f"Argument `{name}` must be {allowed}, but has shape {tuple(tensor.shape)}.")
        found.append(tensor)
    if not found:
        raise ValueError(f"Argument `example` must be {allowed}, but is empty.")
    return tuple(found)


@contextmanager
def _evaluation_mode(module: Any) -> Iterator[None]:
    modes = {one: one.training for one in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for one, training in modes.items():
            one.training = training


def _exported(torch: Any, module: Any, tensors: tuple[Any, ...]) -> Any:
    """ONNX model with any number of items where the module allows it, else with that of the example."""
    try:
        names = inspect.signature(module.forward).bind(*tensors).arguments
    except TypeError as error:
        raise ValueError(f"Argument `example` must be the inputs of {type(module).__name__}: {error}.") from None
    free = {0: torch.export.Dim.AUTO}
    shapes = {name: (free,) * len(one) if isinstance(one, tuple) else free for name, one in names.items()}
    # Torch takes a size of 1 for fixed, and marks tensors whose size it has left open, so that these are copies.
    several = tuple(torch.cat([one, one] if one.shape[0] == 1 else [one]).detach() for one in tensors)
    failures = []
    for inputs, dynamic in ((several, shapes), (tensors, None)):
        try:
            with warnings.catch_warnings():  # of torch about its own inside
                warnings.simplefilter("ignore", FutureWarning)
                warnings.simplefilter("ignore", DeprecationWarning)
                # Not optimised, since that folds normalisation into weights, which then are not those of the module.
                program = torch.onnx.export(
                    module, inputs, dynamo=True, dynamic_shapes=dynamic, optimize=False, verbose=False
                )
        except Exception as error:  # whatever the module raises while it is traced
            failures.append(error)
        else:
            return program.model_proto
    raise ValueError(f"Argument `module` cannot be exported by PyTorch: {_root(failures[-1])}.") from failures[-1]


def _root(error: BaseException) -> str:
    """What went wrong at the root of a chain of errors, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
