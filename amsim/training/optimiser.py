"""Optimisers of optax, in the types that their arithmetic needs whatever the types of the parameters.

Numbers of an optimiser, such as a decay of 0.999 or an epsilon of 1e-8, are 1 and 0 in a format of 16 bits, and a
parameter of 16 bits does not move by less than a rounding step. So short parameters have copies in float32 that the
optimiser works on (Micikevicius et al., "Mixed precision training", arXiv 1710.03740), kept with its state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from amsim.files.program_digest import program_digest
from amsim.statistics.precision import summing_dtype


def adam_with_cosine(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Adam whose learning rate falls from this value to 0 as a cosine over so many steps, and is in its state."""
    schedule = optax.cosine_decay_schedule(learning_rate, steps)
    return optax.inject_hyperparams(optax.adam)(learning_rate=schedule)


SMALLEST_SIZE = 0.1
"""Root mean square of a parameter below which its steps shrink no more, so that zeros move too."""


def adam_by_size(relative_rate: float, steps: int) -> optax.GradientTransformation:
    """Adam whose steps are a share of each parameter's root mean square, falling to 0 as a cosine over so many steps.

    Latent weights of size 1 and scales of size 0.01 so turn over in as many steps, whatever network they are of.
    """
    schedule = optax.cosine_decay_schedule(relative_rate, steps)

    def rule(learning_rate: Any) -> optax.GradientTransformation:
        sizes = optax.scale_by_param_block_rms(SMALLEST_SIZE)
        return optax.chain(optax.scale_by_adam(), sizes, optax.scale_by_learning_rate(learning_rate))

    return optax.inject_hyperparams(rule)(learning_rate=schedule)


class ShortParameters(NamedTuple):
    """State of an optimiser of parameters of which some have fewer than 32 bits.

    Attributes:
        copies: The parameters, the short ones in float32.
        state: State of the optimiser of the copies.
    """

    copies: PyTree
    state: PyTree


def initial_state(optimiser: optax.GradientTransformation, trained: PyTree) -> PyTree:
    """State of an optimiser before the first update of these leaves."""
    copies = _in_full_precision(trained)
    with jax.numpy_dtype_promotion("standard"):
        state = optimiser.init(copies)
    return ShortParameters(copies, state) if _has_short(trained) else state


def update(
    optimiser: optax.GradientTransformation, gradient: PyTree, state: PyTree, trained: PyTree
) -> tuple[PyTree, PyTree]:
    """Leaves and state of the optimiser after one update."""
    if isinstance(state, ShortParameters):
        # A parameter that is not its rounded copy was changed since, by a constraint for instance.
        copies = jax.tree.map(_present, state.copies, trained)
        copies, inner = update(optimiser, _in_full_precision(gradient), state.state, copies)
        after = jax.tree.map(lambda copy, leaf: copy.astype(leaf.dtype), copies, trained)
        return after, ShortParameters(copies, inner)
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimiser.update(gradient, state, trained)
        return optax.apply_updates(trained, updates), state


def schedule_values(schedule: optax.Schedule, steps: int) -> Float[np.ndarray, " steps"]:
    """Values of a schedule at so many steps, from 0."""
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray([schedule(step) for step in range(steps)], float)


def optimiser_digest(optimiser: optax.GradientTransformation, trained: PyTree) -> str:
    """Fingerprint of the computation of an optimiser from its first state on, its constants included."""
    copies = _in_full_precision(trained)

    def first_update(trained: PyTree) -> PyTree:
        return optimiser.update(trained, optimiser.init(trained), trained)

    with jax.numpy_dtype_promotion("standard"):
        return program_digest(jax.make_jaxpr(first_update)(copies), derivatives=False)[:16]


def _has_short(trained: PyTree) -> bool:
    return any(summing_dtype(leaf.dtype) != leaf.dtype for leaf in jax.tree.leaves(trained))


def _in_full_precision(leaves: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf.astype(summing_dtype(leaf.dtype)), leaves)


def _present(copy: Array, leaf: Array) -> Array:
    return jnp.where(copy.astype(leaf.dtype) == leaf, copy, leaf.astype(copy.dtype))
