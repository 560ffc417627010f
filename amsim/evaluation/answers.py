"""Answers of a classifier: which are right, from one score per class or from one logit for two classes."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Num

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


def check_logits(logits: Any, items: int, highest: int | None) -> None:
    """Check the shape of the outputs of a classifier.

    Args:
        logits: Outputs for a batch.
        items: Items of the batch.
        highest: Highest label of the data, or None where it is not known.

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
        check_classes(shape[1], highest)


def check_classes(logits: int, highest: int) -> None:
    """Raise ValueError unless so many logits per item have one for the highest label; one tells two classes apart."""
    if highest >= max(logits, 2):
        given = "1 logit per item, which tells classes 0 and 1 apart" if logits == 1 else f"{logits} logits per item"
        raise ValueError(
            f"Argument `data` must have labels of classes that the network knows, but has {highest}, and `fn` gives "
            f"{given}."
        )
