"""A cascade: stages in order, each of which runs only on what the one before passes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.cascade.stage import Stage
from amsim.circuits.checks import number_between, shown

if TYPE_CHECKING:
    # Fields convert lists and numbers, which type checkers do not follow.
    Stages = Any
    Powers = Any
else:
    Stages = tuple[Stage, ...]
    Powers = dict[str, Float[Array, ""]]


def _stages(stages: Any) -> tuple[Stage, ...]:
    if not isinstance(stages, Sequence) or not stages or not all(isinstance(one, Stage) for one in stages):
        raise ValueError(f"Argument `stages` must be a list of at least one Stage, but is {shown(stages)}.")
    return tuple(stages)


def _powers(powers: Any) -> dict[str, Any]:
    if powers is None:
        return {}
    if not isinstance(powers, Mapping) or not all(isinstance(name, str) for name in powers):
        raise ValueError(f"Argument `other_power` must be powers in W by name, but is {shown(powers)}.")
    for name, value in powers.items():
        if not isinstance(value, Array):
            number_between(f"other_power[{name!r}]", value, 0.0, float("inf"))
    return {name: jnp.asarray(value, float) for name, value in powers.items()}


class Cascade(eqx.Module):
    """Detectors in order; a stage computes an item only if all stages before passed it.

    Attributes:
        stages: The stages, the one that is always watching first; it has a `rate`.
        other_power: Constant powers beside the chips by name, such as a sensor or a front end, W; shown apart.

    Raises:
        ValueError: No stage, two of one name, a first one without a rate, or a power below 0.
    """

    stages: Stages = eqx.field(converter=_stages)
    other_power: Powers = eqx.field(converter=_powers, default=None, kw_only=True)

    def __check_init__(self) -> None:
        """Check names and the first stage."""
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError(f"Argument `stages` must have a name of its own for each, but has {', '.join(names)}.")
        if self.stages[0].rate is None:
            raise ValueError(
                f"Argument `rate` of the first stage {names[0]!r} must be the items per second that it is offered, but "
                "is None."
            )

    @property
    def names(self) -> list[str]:
        """Names of the stages."""
        return [stage.name for stage in self.stages]

    @property
    def watch_rate(self) -> float:
        """Items per second that the first stage is offered, 1/s."""
        rate = self.stages[0].rate
        assert rate is not None  # checked where the cascade is made
        return float(rate)

    @property
    def thresholds(self) -> Float[Array, " stages"]:
        """Thresholds of the stages."""
        return jnp.stack([stage.threshold for stage in self.stages])

    def with_thresholds(self, thresholds: Float[Array, " stages"] | Sequence[float]) -> "Cascade":
        """The same cascade with other thresholds.

        Args:
            thresholds: One for each stage.

        Raises:
            ValueError: Another number of them, or one that is not finite.
        """
        if len(thresholds) != len(self.stages):
            raise ValueError(
                f"Argument `thresholds` must have one for each of {len(self.stages)} stages, but has {len(thresholds)}."
            )
        stages = [
            dataclasses.replace(stage, threshold=value) for stage, value in zip(self.stages, thresholds, strict=True)
        ]
        return dataclasses.replace(self, stages=tuple(stages))
