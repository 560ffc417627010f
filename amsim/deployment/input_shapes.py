"""Shapes of the inputs that each chip last saw."""

import weakref
from typing import Any

import jax
import numpy as np


def shapes_of(inputs: Any) -> Any:
    """Inputs as `jax.ShapeDtypeStruct`, of the types that JAX gives them."""
    return jax.tree.map(_shape_of, inputs)


def _shape_of(leaf: Any) -> Any:
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    if not jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    weak = getattr(leaf, "weak_type", isinstance(leaf, int | float | complex))
    return jax.ShapeDtypeStruct(np.shape(leaf), dtype, weak_type=weak)


class LastShapes:
    """Shapes last seen by each owner, as long as it lives.

    Owners are told apart by identity and are not changed: a frozen pytree stays as it is, so that nothing compiled
    depends on what it has seen, and a copy of it has seen nothing.
    """

    def __init__(self) -> None:
        """Nothing seen."""
        self._shapes: dict[int, Any] = {}

    def keep(self, owner: Any, shapes: Any) -> None:
        """Keep shapes for an owner in place of those it saw before."""
        if id(owner) not in self._shapes:
            # Another object may have the same identity once this one is gone.
            weakref.finalize(owner, self._shapes.pop, id(owner)).atexit = False
        self._shapes[id(owner)] = shapes

    def of(self, owner: Any) -> Any:
        """Shapes that an owner last saw; None where it has seen none."""
        return self._shapes.get(id(owner))
