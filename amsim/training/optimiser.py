"""Optimisers of optax, whose arithmetic needs mixed types even where the user enforces strict ones."""

import jax
import numpy as np
import optax
from jaxtyping import Float, PyTree

from amsim.files.program_digest import program_digest


def adam_with_cosine(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Adam whose learning rate falls from this value to 0 as a cosine over so many steps, and is in its state."""
    schedule = optax.cosine_decay_schedule(learning_rate, steps)
    return optax.inject_hyperparams(optax.adam)(learning_rate=schedule)


def initial_state(optimiser: optax.GradientTransformation, trained: PyTree) -> PyTree:
    """State of an optimiser before the first update of these leaves."""
    with jax.numpy_dtype_promotion("standard"):
        return optimiser.init(trained)


def update(
    optimiser: optax.GradientTransformation, gradient: PyTree, state: PyTree, trained: PyTree
) -> tuple[PyTree, PyTree]:
    """Leaves and state of the optimiser after one update."""
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimiser.update(gradient, state, trained)
        return optax.apply_updates(trained, updates), state


def schedule_values(schedule: optax.Schedule, steps: int) -> Float[np.ndarray, " steps"]:
    """Values of a schedule at so many steps, from 0."""
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray([schedule(step) for step in range(steps)], float)


def optimiser_digest(optimiser: optax.GradientTransformation, trained: PyTree) -> str:
    """Fingerprint of the computation of an optimiser from its first state on, its constants included."""

    def first_update(trained: PyTree) -> PyTree:
        return optimiser.update(trained, optimiser.init(trained), trained)

    with jax.numpy_dtype_promotion("standard"):
        return program_digest(jax.make_jaxpr(first_update)(trained), derivatives=False)[:16]
