"""The one place where optax computes: it mixes types on purpose, which a user may have forbidden."""

import jax
import numpy as np
import optax
from jaxtyping import Float, PyTree

from amsim.files.program_digest import program_digest


def first_state(optimiser: optax.GradientTransformation, trained: PyTree) -> PyTree:
    """State of an optimiser before the first update of these leaves."""
    with jax.numpy_dtype_promotion("standard"):
        return optimiser.init(trained)


def updated(
    optimiser: optax.GradientTransformation, gradient: PyTree, state: PyTree, trained: PyTree
) -> tuple[PyTree, PyTree]:
    """The leaves after an update, and the optimiser's state."""
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimiser.update(gradient, state, trained)
        return optax.apply_updates(trained, updates), state


def scheduled(schedule: optax.Schedule, steps: int) -> Float[np.ndarray, " steps"]:
    """Values of a schedule at so many steps, from 0."""
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray([schedule(step) for step in range(steps)], float)


def optimiser_digest(optimiser: optax.GradientTransformation, trained: PyTree) -> str:
    """Fingerprint of what an optimiser does, its constants included."""
    with jax.numpy_dtype_promotion("standard"):
        return program_digest(jax.make_jaxpr(optimiser.update)(trained, optimiser.init(trained), trained))[:16]
