"""Keys of the dies that a training meets, and of those it never meets."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from amsim.circuits.checks import integer_between, one_key, shown

REDRAWN, NOMINAL = "redrawn", "nominal"


class DieStream(NamedTuple):
    """Keys of the dies of a training: step number to die.

    Attributes:
        kind: "redrawn" at each step, an "ensemble" met in turn, one "held" die, or the "nominal" macros.
        key: Key of the stream of dies, or of the held die itself.
        members: Number of dies of an ensemble.
        fresh: Key of the stream of dies that training never meets.
    """

    kind: str
    key: PRNGKeyArray
    members: int
    fresh: PRNGKeyArray

    @staticmethod
    def of(dies: Any, key: PRNGKeyArray) -> "DieStream":
        """Stream for the argument `dies` of `fine_tune`, which `check_dies` has found to be in order."""
        stream, fresh = jax.random.split(key)
        if isinstance(dies, str):
            return DieStream(dies, stream, 0, fresh)
        if isinstance(dies, jax.Array):
            return DieStream("held", dies, 1, fresh)
        return DieStream("ensemble", stream, int(dies), fresh)

    def at(self, step: Int[Array, ""] | int) -> PRNGKeyArray | None:
        """Key of the die of a step; None is the nominal macros."""
        if self.kind == NOMINAL:
            return None
        if self.kind == "held":
            return self.key
        return jax.random.fold_in(self.key, step if self.kind == REDRAWN else step % self.members)

    def met(self, steps: int, most: int) -> list[PRNGKeyArray | None]:
        """Keys of the dies that a training of so many steps has met: all, or the last `most` where they are redrawn."""
        if self.kind in (NOMINAL, "held"):
            return [self.at(0)]
        first = max(steps - most, 0) if self.kind == REDRAWN else 0
        last = steps if self.kind == REDRAWN else min(self.members, steps, most)
        return [self.at(step) for step in range(first, last)]

    def for_validation(self, count: int) -> list[PRNGKeyArray | None]:
        """Keys of the dies of validation: the die or macros trained for, else dies that training never meets."""
        if self.kind in (NOMINAL, "held"):
            return [self.at(0)]
        # Another stream than that of the report, which must not show the dies that the best epoch was chosen on.
        stream = jax.random.fold_in(self.fresh, 1)
        return [jax.random.fold_in(stream, number) for number in range(count)]

    @property
    def unseen(self) -> PRNGKeyArray:
        """Key of the dies of the report, which neither training nor validation meets."""
        return jax.random.fold_in(self.fresh, 0)


def check_dies(name: str, dies: Any) -> None:
    """Raise ValueError unless dies are "redrawn", "nominal", a number of them or the key of one."""
    if isinstance(dies, jax.Array):
        one_key(name, dies)
    elif isinstance(dies, int | np.integer) and not isinstance(dies, bool):
        integer_between(name, dies, 1)
    elif not isinstance(dies, str) or dies not in (REDRAWN, NOMINAL):
        raise ValueError(
            f"Argument `{name}` must be 'redrawn', 'nominal', a number of dies or the key of one as `amsim.deploy` "
            f"takes it, but is {shown(dies)}."
        )
