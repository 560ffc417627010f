"""Choice of the parameters that a training changes, by their names."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from amsim.circuits.checks import regular_expression, words
from amsim.deployment.chip import leaf_name

Trainable = str | Sequence[str] | Callable[[str], bool] | None
"""Pattern or patterns of whole names such as `dense.kernel`, or a function of a name; None is all."""


def trained_leaves(params: PyTree, trainable: Trainable) -> tuple[PyTree, list[str]]:
    """Tree of True and False, and the names of the leaves that are trained.

    Args:
        params: All parameters; only floating-point arrays can be trained.
        trainable: Which of them are.

    Raises:
        ValueError: A pattern that is not a regular expression or matches no name, or no leaf is chosen.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    names = [leaf_name(path) for path, leaf in leaves if eqx.is_inexact_array(leaf)]
    patterns = [] if trainable is None or callable(trainable) else _patterns(trainable)
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            raise ValueError(f"Argument `trainable` must match parameters, but {pattern!r} matches none of {names}.")

    def chosen(name: str) -> bool:
        if callable(trainable):
            return bool(trainable(name))
        return trainable is None or any(re.fullmatch(pattern, name) for pattern in patterns)

    trained = [name for name in names if chosen(name)]
    if not trained:
        raise ValueError(f"Argument `trainable` must choose at least one parameter, but chooses none of {names}.")
    tree = jax.tree_util.tree_map_with_path(
        lambda path, leaf: eqx.is_inexact_array(leaf) and leaf_name(path) in trained, params
    )
    return tree, trained


def check_trainable(trainable: Any) -> None:
    """Raise ValueError unless it is None, a function, or a pattern or patterns."""
    if not (trainable is None or callable(trainable) or isinstance(trainable, str)):
        words("trainable", trainable)


def _patterns(trainable: str | Sequence[str]) -> list[str]:
    patterns = [trainable] if isinstance(trainable, str) else words("trainable", trainable)
    for pattern in patterns:
        regular_expression("trainable", pattern)
    return patterns
