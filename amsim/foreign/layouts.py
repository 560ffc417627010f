"""Conversion of weight layouts from other frameworks to that of JAX networks: inputs first, outputs last."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from amsim.circuits.checks import shown


def from_torch_linear(weight: Shaped[Array, "outputs inputs"]) -> Shaped[Array, "inputs outputs"]:
    """Weight of a PyTorch linear layer, so that the layer is `x @ weight + bias`.

    Args:
        weight: As `torch.nn.Linear` holds it, shape (outputs, inputs).

    Returns:
        The transposed matrix, shape (inputs, outputs): the layout of Keras, Flax and Haiku.

    Raises:
        ValueError: `weight` is not a matrix.
    """
    _check_axes(weight, (2,), "(outputs, inputs)")
    return weight.T


def from_torch_convolution(weight: Shaped[Array, "outputs inputs *space"]) -> Shaped[Array, "*space inputs outputs"]:
    """Kernel of a PyTorch convolution in the layout of Keras, Flax and Haiku: OIHW to HWIO, and so in 1-D and 3-D.

    Args:
        weight: As `torch.nn.Conv1d`, `Conv2d` and `Conv3d` hold it, shape (outputs, inputs / groups, *space).

    Returns:
        The kernel of shape (*space, inputs / groups, outputs), for maps with channels last.

    Raises:
        ValueError: `weight` does not have 3 to 5 axes.
    """
    _check_axes(weight, (3, 4, 5), "(outputs, inputs, *space)")
    return jnp.moveaxis(weight, (1, 0), (-2, -1))


def _check_axes(weight: Any, axes: tuple[int, ...], shape: str) -> None:
    found = getattr(weight, "shape", None)
    if not isinstance(found, tuple) or len(found) not in axes:
        given = shown(weight) if found is None else f"has shape {found}"
        raise ValueError(f"Argument `weight` must be an array of shape {shape}, but {'is ' * (found is None)}{given}.")
