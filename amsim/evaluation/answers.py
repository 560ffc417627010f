"""Answers of a classifier: which are right, from one score per class or from one logit for two classes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Num, PyTree

from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Split
from amsim.statistics.precision import summing_dtype


def class_scores(logits: Num[Array, "... classes"]) -> Num[Array, "... scores"]:
    """Scores of at least two classes, of which the largest is the answer.

    One logit z is that of a sigmoid, the score of class 1 over that of class 0: (0, z), so that z > 0 is class 1.
    Numbers of fewer than 32 bits become float32, exactly, for losses to be summed in.
    """
    logits = logits.astype(summing_dtype(logits.dtype))
    return jnp.concatenate([jnp.zeros_like(logits), logits], axis=-1) if logits.shape[-1] == 1 else logits


def are_right(logits: Num[Array, "... classes"], labels: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Which answers are right: the first class of the largest score; none where a score is NaN or all are -inf."""
    scores = class_scores(logits)
    right = jnp.argmax(scores, axis=-1).astype(jnp.int32) == labels.astype(jnp.int32)
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        return right
    return right & (jnp.max(scores, axis=-1) > -jnp.inf)


def check_logits(logits: Any, items: int, highest: int | None, name: str = "data") -> None:
    """Check the shape of the outputs of a classifier.

    Args:
        logits: Outputs for a batch.
        items: Items of the batch.
        highest: Highest label of the data, or None where it is not known.
        name: Name of the argument whose labels they are, for messages.

    Raises:
        ValueError: There is not one row of logits per item, or no logit for the highest label.
    """
    shape = getattr(logits, "shape", type(logits).__name__)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != items or 0 in shape:
        raise ValueError(
            f"Argument `fn` must give logits of shape ({items}, classes) for {items} items, or ({items}, 1) to tell "
            f"two classes apart, but gives {shape}."
        )
    if highest is not None:
        check_classes(name, shape[1], highest)


def check_classes(name: str, logits: int, highest: int) -> None:
    """Raise ValueError unless so many logits per item have one for the highest label; one tells two classes apart."""
    if highest >= max(logits, 2):
        given = "1 logit per item, which tells classes 0 and 1 apart" if logits == 1 else f"{logits} logits per item"
        raise ValueError(
            f"Argument `{name}` must have labels of classes that the network knows, but has {highest}, and `fn` gives "
            f"{given}."
        )


def check_answers(fn: Callable[..., Any], params: PyTree, batch: int, **given: Split) -> None:
    """Check, without computing anything, that a network has a logit for each label of its data.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        batch: Items that it takes at once.
        **given: Items by the name of their argument, for messages; labels are numbers of classes, of items or of
            places inside them.

    Raises:
        ValueError: There is not one row of logits per item, or no logit for the highest label.
    """
    for name, items in given.items():
        count = min(batch, len(items))
        logits = eqx.filter_eval_shape(fn, *_shapes((params, *first_arguments(items.inputs, count))))
        highest = int(np.max(items.labels))
        if np.ndim(items.labels) == 1:
            check_logits(logits, count, highest, name)
        else:
            check_classes(name, logits.shape[-1], highest)


def _shapes(arrays: PyTree) -> PyTree:
    """Shapes in place of NumPy's arrays, which would be computed with."""
    return jax.tree.map(
        lambda leaf: jax.eval_shape(jnp.asarray, leaf) if isinstance(leaf, np.ndarray) else leaf, arrays
    )
