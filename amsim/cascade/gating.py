"""Decisions of a cascade on data: batches of what each stage is to see, and nothing else."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from amsim.cascade.chain import Cascade
from amsim.cascade.stage import Stage
from amsim.circuits.checked_arguments import checked_arguments
from amsim.datasets.check import network_inputs
from amsim.datasets.inputs import Inputs, count_items, items_at, map_arrays, network_arguments
from amsim.deployment.chip import Chip
from amsim.evaluation.batches import batch_key


class Decisions(NamedTuple):
    """What a cascade decided on each item.

    Attributes:
        passed: Whether a stage passed an item; False where it did not compute it. Shape (stages, items).
        scores: Scores, NaN where a stage did not compute an item. Shape (stages, items).
        computed: Items that each stage computed, shape (stages,).
    """

    passed: Bool[np.ndarray, "stages items"]
    scores: Float[np.ndarray, "stages items"]
    computed: Int[np.ndarray, " stages"]


@checked_arguments
def gated_decisions(
    cascade: Cascade, inputs: Inputs, *, key: PRNGKeyArray | None = None, batch: int = 250
) -> Decisions:
    """Decisions of a cascade, each stage computed on the items that all stages before passed.

    Args:
        cascade: Stages with chips.
        inputs: Items, as the stages take them: an array, or a dict or tuple of arrays.
        key: Draws the reads of all stages; None is no dynamic noise.
        batch: Items computed at once. The last batch of a stage is filled up with its own last item.

    Raises:
        ValueError: No cascade, a stage without a chip, inputs that are not finite numbers or that a stage does not
            take, scores of another shape, no key, or a count below 1; the text names the stage.
    """
    inputs = network_inputs("inputs", inputs)
    items = count_items(inputs)
    passed = np.zeros((len(cascade.stages), items), bool)
    scores = np.full((len(cascade.stages), items), np.nan)
    computed = np.zeros(len(cascade.stages), int)
    reached = np.arange(items)
    for number, (stage, stage_key) in enumerate(zip(cascade.stages, stage_keys(cascade, key), strict=True)):
        if not len(reached):
            break
        found = stage_scores(stage, inputs, reached, key=stage_key, batch=batch)
        scores[number, reached], computed[number] = found, len(reached)
        reached = reached[found > float(stage.threshold)]
        passed[number, reached] = True
    return Decisions(passed, scores, computed)


@checked_arguments
def all_scores(
    cascade: Cascade, inputs: Inputs, *, key: PRNGKeyArray | None = None, batch: int = 250
) -> Float[np.ndarray, "stages items"]:
    """Scores of every stage on every item, for a choice of thresholds; arguments and errors as `gated_decisions`."""
    inputs = network_inputs("inputs", inputs)
    everything = np.arange(count_items(inputs))
    keyed = zip(cascade.stages, stage_keys(cascade, key), strict=True)
    return np.stack([stage_scores(stage, inputs, everything, key=one, batch=batch) for stage, one in keyed])


def stage_keys(cascade: Cascade, key: PRNGKeyArray | None) -> list[PRNGKeyArray | None]:
    """A key for the reads of each stage."""
    count = len(cascade.stages)
    return [None] * count if key is None else list(jax.random.split(key, count))


def stage_arguments(stage: Stage, inputs: Inputs) -> tuple[Any, ...]:
    """Arguments of a stage's network for some items."""
    own = inputs if stage.inputs is None else stage.inputs(inputs)
    return network_arguments(map_arrays(jnp.asarray, own))


def stage_scores(
    stage: Stage, inputs: Inputs, items: Int[np.ndarray, " items"], *, key: PRNGKeyArray | None, batch: int
) -> Float[np.ndarray, " items"]:
    """Scores of one stage on some of the items.

    Args:
        stage: The stage.
        inputs: All items.
        items: Numbers of the items to compute, at least one.
        key: Draws the reads; the noise of an item follows from its place among those computed.
        batch: Items computed at once.

    Raises:
        ValueError: As `gated_decisions`.
    """
    if not isinstance(stage.chip, Chip):
        raise ValueError(
            f"Argument `cascade` must have a chip at stage {stage.name!r} to decide on data, but it states its rates."
        )
    # Powers of two: how many items reach a stage differs by die, and each size is another program.
    size = min(batch, 1 << (len(items) - 1).bit_length())
    filled = np.concatenate([items, np.repeat(items[-1:], -len(items) % size)])
    chip = stage.chip.prepared()
    found = []
    for first in range(0, len(filled), size):
        arguments = stage_arguments(stage, items_at(inputs, filled[first : first + size]))
        try:
            outputs = chip(*arguments, key=batch_key(key, first, size, len(filled)))
        except (TypeError, ValueError) as error:
            shapes = ", ".join(str(np.shape(one)) for one in jax.tree.leaves(arguments))
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"Argument `data` does not fit stage {stage.name!r}, whose network cannot take inputs of shape "
                f"{shapes} ({reason}); `Stage(inputs=...)` may change them."
            ) from error
        scores = np.asarray(stage.scores(outputs), float)
        if scores.shape != (size,):
            raise ValueError(
                f"Argument `score` of stage {stage.name!r} must give one score per item, {size} here, but gives "
                f"{len(scores)}."
            )
        found.append(scores)
    return np.concatenate(found)[: len(items)]
