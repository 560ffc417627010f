"""Rounds of training of an exploration, each kept in the store of a study, so that the same call goes on there."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from amsim.datasets.split import Dataset, Split
from amsim.evaluation.accuracy import plain_accuracy
from amsim.exploration.dots import Costs, Dot, energy_to_beat
from amsim.exploration.members import Member
from amsim.exploration.records import Place, Record
from amsim.exploration.training import (
    TrainingBudget,
    accuracy_on_dies,
    divided,
    nearest_to_front,
    save_weights,
    trained_member,
    whole_steps,
)
from amsim.progress import Progress
from amsim.studies.jobs import Outputs
from amsim.studies.program import Lanes

TRAINED_HERE = "trained here"
"""Source of an accuracy that was measured in this call."""

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
    """One network in one round.

    Attributes:
        number: Number of the job, in all rounds.
        member: The network.
        program: Its work.
    """

    number: int
    member: Member
    program: OneTraining


def jobs_of(members: Sequence[Member], rounds: int, costs: Costs) -> list[TrainingJob]:
    """Every network in every round, round by round; those that a round leaves out never run."""
    each = [member for _ in range(rounds) for member in members]
    return [TrainingJob(number, member, OneTraining(len(costs.of(member)))) for number, member in enumerate(each)]


def _diverged(dots: int) -> dict[str, np.ndarray]:
    """Outputs of a training that diverged."""
    shapes = OneTraining(dots).shapes
    return {name: np.full((1, *one.shape), np.nan) for name, one in shapes.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Rounds:
    """Training of the networks whose accuracy is not known, as far as a budget goes.

    Attributes:
        members: The networks.
        costs: Dots with their cost.
        data: Training and test items.
        budget: Steps of training.
        accuracies: Accuracies that are asked for.
        dies: Dies of each circuit.
        seed: Fixes dies, reads and the items held out.
        weights: Folder that takes the weights of every trained network; None is none.
        given: Places whose accuracy is from records; nothing is measured there.
    """

    members: Sequence[Member]
    costs: Costs
    data: Dataset
    budget: TrainingBudget
    accuracies: Sequence[float]
    dies: int
    seed: int
    weights: Path | None
    given: Collection[Place]

    def run(
        self,
        jobs: Sequence[TrainingJob],
        records: dict[Place, Record],
        remarks: dict[Place, str],
        stored: Mapping[int, Outputs],
        report: Progress,
    ) -> Iterator[tuple[TrainingJob, int, Outputs]]:
        """Train round by round; records and remarks follow, and what is not stored yet is yielded as it comes.

        A network trains where some of its dots have less energy than any that is known to reach the accuracies, and
        is deployed on these circuits alone. A longer training replaces a shorter one unless it misses an accuracy that
        the shorter one reached.

        Args:
            jobs: Those of `jobs_of`.
            records: Known accuracies; grows.
            remarks: Why there is none; grows.
            stored: Outputs by number of the job.
            report: Progress.
        """
        items = divided(self.data, self.seed)
        left = sorted(range(len(self.members)), key=lambda one: self.costs.least_energy(self.members[one]))
        plan = self.budget.plan(len(self.members))
        done, total = 0, sum(count for count, _ in plan)
        for number, (count, affordable) in enumerate(plan):
            steps = whole_steps(affordable, len(items[0]), self.budget)
            ranking: dict[int, float] = {}
            for one in left[:count]:
                job = jobs[number * len(self.members) + one]
                report(f"training {job.member.configuration.name}", done, total)
                done += 1
                wanted = self._wanted(job.member, records, remarks)
                if not wanted:
                    continue
                outputs = stored.get(job.number)
                if outputs is None:
                    outputs = self._outputs(job, wanted, items, steps)
                    yield job, 0, outputs
                if np.isnan(outputs["ranking"][0]):
                    untold = [dot.place for dot in wanted if dot.place not in records]
                    remarks |= dict.fromkeys(untold, "its training diverged; a lower learning rate may help")
                    continue
                ranking[one] = float(outputs["ranking"][0])
                self._keep(job.member, outputs, steps, records, remarks)
            left = self._next(ranking, plan[number + 1][0] if number + 1 < len(plan) else 0)

    def _next(self, ranking: Mapping[int, float], count: int) -> list[int]:
        """Networks of the next round, those of least energy first."""
        trained = list(ranking)
        energy = np.asarray([self.costs.least_energy(self.members[one]) for one in trained])
        kept = nearest_to_front(energy, np.asarray(list(ranking.values())), count)
        return [trained[place] for place in kept]

    def _wanted(self, member: Member, records: Mapping[Place, Record], remarks: dict[Place, str]) -> list[Dot]:
        """Dots of a network that may have the least energy at one of the accuracies."""
        beaten = max(energy_to_beat(self.costs.dots, records, accuracy) for accuracy in self.accuracies)
        found = []
        for dot in self.costs.of(member):
            if not dot.allowed or dot.place in self.given:
                continue
            if dot.energy < beaten:
                found.append(dot)
            elif dot.place not in records:
                remarks[dot.place] = "not trained, since less energy reaches every accuracy that is asked for"
        return found

    def _outputs(
        self, job: TrainingJob, wanted: Sequence[Dot], items: tuple[Split, Split], steps: int
    ) -> dict[str, np.ndarray]:
        """Train a network and deploy it; NaN for dots that are not wanted, and for all where the training diverges."""
        network, dots = job.member.network, self.costs.of(job.member)
        try:
            params, ranking = trained_member(job.member, items, self.data, self.budget, steps)
        except FloatingPointError:
            return _diverged(len(dots))
        if self.weights is not None:
            save_weights(self.weights, job.member, steps, params)
        found: dict[Place, tuple[float, float, float]] = {}
        for family in dict.fromkeys(dot.place.family for dot in wanted):
            of_family = [dot for dot in wanted if dot.place.family == family]
            rows = accuracy_on_dies(network, params, of_family, self.data, self.dies, self.seed)
            found |= {dot.place: row for dot, row in zip(of_family, rows, strict=True)}
        none = (np.nan,) * INTERVAL
        accuracy = np.asarray([found.get(dot.place, none) for dot in dots], float)
        plain = plain_accuracy(network, params, self.data.test)
        return {
            "ranking": np.asarray([ranking], float),
            "plain": np.asarray([plain], float),
            "accuracy": accuracy[None],
        }

    def _keep(
        self,
        member: Member,
        outputs: Outputs,
        steps: int,
        records: dict[Place, Record],
        remarks: dict[Place, str],
    ) -> None:
        for dot, (mean, low, high) in zip(self.costs.of(member), outputs["accuracy"][0], strict=True):
            if np.isnan(mean):
                continue
            plain, dies = float(outputs["plain"][0]), 1 if dot.best.hardware.deterministic else self.dies
            new = Record(float(mean), float(low), float(high), plain, steps, TRAINED_HERE, dies)
            old = records.get(dot.place)
            reached = [one for one in self.accuracies if old is not None and old.mean >= one]
            if all(new.mean >= one for one in reached):
                records[dot.place] = new
                remarks.pop(dot.place, None)
