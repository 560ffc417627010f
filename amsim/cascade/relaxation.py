"""Gating with soft thresholds: reach, misses and power as smooth functions of the thresholds.

An item with the score s passes with the probability `sigmoid((s - threshold) / temperature)`, and reaches a stage with
the product of those before. Towards the temperature 0 this is the hard decision `s > threshold`. Wake-ups are counted
as if no two items shared one, which is exact where a stage is done before the next item comes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from amsim.cascade.stage_cost import StageCost
from amsim.circuits.checked_arguments import checked_arguments
from amsim.circuits.checks import part_of


class SmoothCosts(NamedTuple):
    """Energy per item and service and wake-up times of each stage, for `relaxed_power`; arrays of shape (stages,)."""

    item_energy: Float[Array, " stages"]
    awake_time: Float[Array, " stages"]
    sleep_power: Float[Array, " stages"]

    @staticmethod
    def of(costs: tuple[StageCost, ...]) -> "SmoothCosts":
        """Of the costs of stages."""
        rows = [
            (one.inference_energy + one.wake_up_energy + one.reload_energy, one.service_time + one.wake_up_time,
             one.sleep_power)
            for one in costs
        ]  # fmt: skip
        return SmoothCosts(*(jnp.asarray(column, float) for column in np.transpose(rows)))


@checked_arguments
def soft_reach(
    scores: Float[Array, "stages items"], thresholds: Float[Array, " stages"], temperature: Float[Array, " stages"]
) -> Float[Array, "steps items"]:
    """Probability that an item reaches each stage, and passes the last one: 1, then products of sigmoids.

    Args:
        scores: Scores of every stage on every item.
        thresholds: Thresholds.
        temperature: Width of each threshold, above 0, in the unit of the scores.

    Returns:
        Probabilities, shape (stages + 1, items).

    Raises:
        ValueError: No numbers, or other shapes.
    """
    _check_shapes(scores=(scores, 2), thresholds=(thresholds, 1), temperature=(temperature, 1))
    _check_lengths("scores", scores, thresholds=thresholds, temperature=temperature)
    scores, thresholds, temperature = map(_as_array, (scores, thresholds, temperature))
    passing = jax.nn.sigmoid((scores - thresholds[:, None]) / temperature[:, None])
    return jnp.concatenate([jnp.ones_like(passing[:1]), jnp.cumprod(passing, axis=0)])


@checked_arguments
def relaxed_power(
    costs: SmoothCosts,
    reach: Float[Array, "steps items"],
    labels: Float[Array, " items"],
    *,
    item_rate: Float[Array, ""],
    event_share: Float[Array, ""],
) -> Float[Array, ""]:
    """Average power of the stages in W from the reach of each item, differentiable.

    Args:
        costs: Costs of the stages.
        reach: As from `soft_reach`, or hard decisions as 0 and 1, shape (stages + 1, items).
        labels: 1 for a true event, 0 for background, shape (items,); of both at least one.
        item_rate: Items per second that the first stage takes, 1/s.
        event_share: Fraction of them that are events.

    Raises:
        ValueError: No numbers, or other shapes.
    """
    part_of("costs", costs, SmoothCosts)
    _check_shapes(reach=(reach, 2), labels=(labels, 1), item_rate=(item_rate, 0), event_share=(event_share, 0))
    _check_lengths("reach", reach[:-1], **{"costs.item_energy": costs.item_energy})
    _check_lengths("labels", labels, **{"reach[0]": reach[0]})
    reach, labels = _as_array(reach), _as_array(labels)
    events, background = (reach @ mask / jnp.sum(mask) for mask in (labels, 1.0 - labels))
    rates = item_rate * (event_share * events + (1.0 - event_share) * background)[:-1]
    asleep = jnp.maximum(1.0 - rates * costs.awake_time, 0.0)
    return jnp.sum(rates * costs.item_energy + asleep * costs.sleep_power)


def _as_array(values: Any) -> Any:
    """A list as an array; arrays keep their type."""
    return values if hasattr(values, "ndim") else jnp.asarray(values)


def _check_shapes(**given: tuple[Any, int]) -> None:
    """Raise ValueError unless every named array has so many axes."""
    for name, (values, axes) in given.items():
        if np.ndim(values) != axes:
            raise ValueError(f"Argument `{name}` must have {axes} axes, but has shape {np.shape(values)}.")


def _check_lengths(name: str, values: Any, **others: Any) -> None:
    """Raise ValueError unless other arrays are as long as the named one along its first axis."""
    for other, array in others.items():
        if len(array) != len(values):
            raise ValueError(
                f"Argument `{other}` must be as long as `{name}`, which is {len(values)}, but is {len(array)}."
            )
