"""Jobs of an exploration, as the store of a study keeps them: one for each training and each fine-tuning."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from amsim.exploration.dots import Costs, Dot
from amsim.exploration.members import Member
from amsim.studies.program import Lanes

INTERVAL = 3
"""Numbers of an accuracy: its mean and the ends of its interval."""


@dataclasses.dataclass(frozen=True)
class OneTraining:
    """Work of a job: a single call, whose outputs are the accuracies of all dots of a network.

    Attributes:
        dots: Dots of the network.
    """

    dots: int

    @property
    def lanes(self) -> Lanes:
        """Work of one call."""
        return Lanes(1, 1)

    @property
    def count(self) -> int:
        """Trainings."""
        return 1

    @property
    def calls(self) -> int:
        """Number of calls."""
        return 1

    @property
    def shapes(self) -> Mapping[str, jax.ShapeDtypeStruct]:
        """Accuracy to rank by, plain accuracy, and mean and interval of each dot."""
        shapes = {"ranking": (), "plain": (), "accuracy": (self.dots, INTERVAL)}
        return {name: jax.ShapeDtypeStruct(shape, np.dtype(float)) for name, shape in shapes.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingJob:
    """One network in one round, or one that is fine-tuned through a circuit after them.

    Attributes:
        number: Number of the job, in all rounds and after them.
        member: The network.
        dots: Dots whose accuracy it gives.
    """

    number: int
    member: Member
    dots: Sequence[Dot]

    @property
    def program(self) -> OneTraining:
        """Its work."""
        return OneTraining(len(self.dots))


def jobs_of(members: Sequence[Member], rounds: int, costs: Costs) -> list[TrainingJob]:
    """Every network in every round, round by round, then every fine-tuning; those that are left out never run."""
    every = [(member, [one for one in costs.of(member) if not one.place.fine_tuning]) for member in members]
    tuned = [(member, [one]) for member in members for one in costs.of(member) if one.place.fine_tuning]
    return [TrainingJob(number, *one) for number, one in enumerate([*every * rounds, *tuned])]
