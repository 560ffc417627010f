"""Inputs of a network as data: one array, or a dict or tuple of arrays, all with the items along their first axis."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

Inputs = Any
"""An array, or a pytree of arrays such as a dict; each has the items along its first axis."""


def map_arrays(function: Callable[..., Any], *inputs: Inputs) -> Inputs:
    """The same structure with what a function gives for each array; a list counts as an array."""
    return jax.tree.map(function, *inputs, is_leaf=lambda part: isinstance(part, list))


def arrays_of(inputs: Inputs) -> list[tuple[str, Any]]:
    """Arrays of inputs, each with the path to it, which is empty for a single one."""
    found = jax.tree_util.tree_leaves_with_path(inputs, is_leaf=lambda part: isinstance(part, list))
    return [(jax.tree_util.keystr(path), array) for path, array in found]


def count_items(inputs: Inputs, argument: str = "`inputs`") -> int:
    """Number of items of inputs.

    Args:
        inputs: The arrays.
        argument: What they are, for messages.

    Raises:
        ValueError: There is no array, an array has no axis, or they differ in their number of items.
    """
    counts = {
        path: len(array) if isinstance(array, list) or np.ndim(array) else None for path, array in arrays_of(inputs)
    }
    first = next(iter(counts.values()), None)
    if first is None or any(count != first for count in counts.values()):
        found = ", ".join(f"{path or 'it'} has {'no axis' if n is None else n}" for path, n in counts.items())
        raise ValueError(
            f"Argument {argument} must be an array, or a dict or tuple of arrays, with the same number of items along "
            f"the first axis of each, but {found or 'has no array'}."
        )
    return first


def items_at(inputs: Inputs, index: slice | np.ndarray) -> Inputs:
    """Some of the items, in the same structure."""
    return map_arrays(lambda array: (np.asarray(array) if isinstance(array, list) else array)[index], inputs)


def first_arguments(inputs: Inputs, items: int) -> tuple[Any, ...]:
    """Arguments of a network for the first items."""
    return network_arguments(items_at(inputs, slice(items)))


def network_arguments(inputs: Inputs) -> tuple[Any, ...]:
    """Arguments of a network behind its parameters: a tuple has one array for each, anything else is one argument."""
    return inputs if type(inputs) is tuple else (inputs,)
