"""Rounds of training of an exploration, each kept in the store of a study, so that the same call goes on there."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from amsim.datasets.split import Dataset
from amsim.exploration.dots import Costs, Dot, energy_to_beat, would_be_on_front
from amsim.exploration.jobs import INTERVAL, TrainingJob
from amsim.exploration.members import Member
from amsim.exploration.orders import Cluster, TrainingOrder, Workplace
from amsim.exploration.records import Place, Record
from amsim.exploration.training import TrainingBudget, divided, nearest_to_front, save_weights, whole_steps
from amsim.networks.quantised import Params
from amsim.progress import Progress
from amsim.studies.jobs import Outputs

TRAINED_HERE = "trained here"
"""Source of an accuracy that was measured in this call."""


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
        client: Client of a cluster that trains; None trains here.
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
    client: Any = None

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
        the shorter one reached. After the rounds, networks are fine-tuned through circuits, from the longest training.

        Args:
            jobs: Those of `jobs_of`.
            records: Known accuracies; grows.
            remarks: Why there is none; grows.
            stored: Outputs by number of the job.
            report: Progress.
        """
        plan = self.budget.plan(len(self.members))
        tuned = jobs[len(plan) * len(self.members) :]
        last: dict[Member, tuple[int, Params | None]] = {}
        counted = _Counted(report, sum(count for count, _ in plan) + len(tuned))
        with closing(Workplace(self.data) if self.client is None else Cluster(self.client, self.data)) as workplace:
            known = _Known(records, remarks, stored, workplace)
            yield from self._train(jobs, plan, known, last, counted)
            yield from self._fine_tune(tuned, known, last, counted)

    def _train(
        self,
        jobs: Sequence[TrainingJob],
        plan: Sequence[tuple[int, int]],
        known: "_Known",
        last: dict[Member, tuple[int, Params | None]],
        report: "_Counted",
    ) -> Iterator[tuple[TrainingJob, int, Outputs]]:
        """Train round by round; steps and parameters of the longest training of each network follow in `last`."""
        items = len(divided(self.data, self.seed)[0])
        left = sorted(range(len(self.members)), key=lambda one: self.costs.least_energy(self.members[one]))
        for number, (count, affordable) in enumerate(plan):
            steps = whole_steps(affordable, items, self.budget)
            own = {one: jobs[number * len(self.members) + one] for one in left[:count]}
            known.expect((job, self._order(job.member, steps, self._wanted(job, known))) for job in own.values())
            ranking: dict[int, float] = {}
            for one, job in own.items():
                report(f"training {job.member.configuration.name}")
                wanted = self._wanted(job, known)
                beaten = [dot.place for dot in self._unknown(job) if dot not in wanted]
                untrained = [place for place in beaten if place not in known.records]
                why = "not trained, since less energy reaches every accuracy that is asked for"
                known.remarks |= dict.fromkeys(untrained, why)
                if not wanted:
                    continue
                outputs, params, new = known.outputs(job, self._order(job.member, steps, wanted))
                if params is not None and self.weights is not None:
                    save_weights(self.weights, job.member, steps, params)
                if new:
                    yield job, 0, outputs
                if np.isnan(outputs["ranking"][0]):
                    untold = [dot.place for dot in wanted if dot.place not in known.records]
                    known.remarks |= dict.fromkeys(untold, "its training diverged; a lower learning rate may help")
                    continue
                ranking[one], last[job.member] = float(outputs["ranking"][0]), (steps, params)
                self._keep(job, outputs, steps, known)
            left = self._next(ranking, plan[number + 1][0] if number + 1 < len(plan) else 0)

    def _fine_tune(
        self,
        jobs: Sequence[TrainingJob],
        known: "_Known",
        last: Mapping[Member, tuple[int, Params | None]],
        report: "_Counted",
    ) -> Iterator[tuple[TrainingJob, int, Outputs]]:
        """Fine-tune through circuits where that may reach the front, those of least energy first."""
        jobs = sorted(jobs, key=lambda job: job.dots[0].energy)
        trained = [job for job in jobs if job.member in last]

        def order(job: TrainingJob) -> TrainingOrder:
            steps, params = last[job.member]
            return self._order(job.member, steps, job.dots, params)

        known.expect((job, order(job)) for job in trained if self._not_tuned(job.dots[0], known) is None)
        for job in jobs:
            (dot,) = job.dots
            report(f"fine-tuning {job.member.configuration.name}")
            if not self._unknown(job):
                continue
            why = self._not_tuned(dot, known) if job in trained else "not fine-tuned, since it was not trained here"
            if why is None:
                own = order(job)
                outputs, params, new = known.outputs(job, own)
                if params is not None and self.weights is not None:
                    save_weights(self.weights, job.member, own.steps, params, dot.place)
                if new:
                    yield job, 0, outputs
                self._keep(job, outputs, own.steps, known)
                why = "its fine-tuning diverged" if np.isnan(outputs["plain"][0]) else None
            if why is not None:
                known.remarks[dot.place] = why

    def _not_tuned(self, dot: Dot, known: "_Known") -> str | None:
        """Why a network is not fine-tuned through a circuit; None where it is."""
        own = known.records.get(dot.place._replace(fine_tuning=0))
        if not dot.allowed or own is None:
            return "not fine-tuned, since its accuracy before is not known"
        if own.mean >= max(self.accuracies):
            return "not fine-tuned, since it reaches every accuracy that is asked for"
        others = [(one.energy, known.records[place].mean) for place, one in self.costs.dots.items()
                  if one.allowed and place in known.records]  # fmt: skip
        if not would_be_on_front(dot.energy, own.plain, others):
            return "not fine-tuned, since no more energy reaches its accuracy without circuits"
        if dot.energy >= self._beaten(known):
            return "not fine-tuned, since less energy reaches every accuracy that is asked for"
        return None

    def _next(self, ranking: Mapping[int, float], count: int) -> list[int]:
        """Networks of the next round, those of least energy first."""
        trained = list(ranking)
        energy = np.asarray([self.costs.least_energy(self.members[one]) for one in trained])
        kept = nearest_to_front(energy, np.asarray(list(ranking.values())), count)
        return [trained[place] for place in kept]

    def _beaten(self, known: "_Known") -> float:
        """Least energy that is known to reach every accuracy, J."""
        return max(energy_to_beat(self.costs.dots, known.records, accuracy) for accuracy in self.accuracies)

    def _unknown(self, job: TrainingJob) -> list[Dot]:
        """Dots of a network within the limits whose accuracy is not from records."""
        return [dot for dot in job.dots if dot.allowed and dot.place not in self.given]

    def _wanted(self, job: TrainingJob, known: "_Known") -> list[Dot]:
        """Dots of a network that may have the least energy at one of the accuracies."""
        beaten = self._beaten(known)
        return [dot for dot in self._unknown(job) if dot.energy < beaten]

    def _order(self, member: Member, steps: int, dots: Sequence[Dot], params: Params | None = None) -> TrainingOrder:
        circuits = {dot.place: dot.best.deployed for dot in dots}
        return TrainingOrder(member, steps, circuits, self.budget, self.dies, self.seed, params)

    def _keep(self, job: TrainingJob, outputs: Outputs, steps: int, known: "_Known") -> None:
        for dot, (mean, low, high) in zip(job.dots, outputs["accuracy"][0], strict=True):
            if np.isnan(mean):
                continue
            plain, dies = float(outputs["plain"][0]), 1 if dot.best.hardware.deterministic else self.dies
            new = Record(float(mean), float(low), float(high), plain, steps, TRAINED_HERE, dies)
            old = known.records.get(dot.place)
            reached = [one for one in self.accuracies if old is not None and old.mean >= one]
            if all(new.mean >= one for one in reached):
                known.records[dot.place] = new
                known.remarks.pop(dot.place, None)


@dataclasses.dataclass(eq=False)
class _Known:
    """What is known while an exploration trains.

    Attributes:
        records: Accuracies.
        remarks: Why there is none.
        stored: Outputs of earlier calls by number of the job.
        workplace: Who trains.
    """

    records: dict[Place, Record]
    remarks: dict[Place, str]
    stored: Mapping[int, Outputs]
    workplace: Workplace

    def expect(self, orders: Iterable[tuple[TrainingJob, TrainingOrder]]) -> None:
        """Take note of what will probably be asked for."""
        self.workplace.expect(
            (job.number, one) for job, one in orders if one.circuits and job.number not in self.stored
        )

    def outputs(self, job: TrainingJob, order: TrainingOrder) -> tuple[Outputs, Params | None, bool]:
        """Outputs of a job, parameters where they were trained now, and whether that is new.

        NaN for dots that are not wanted, and for all where the training diverges.
        """
        stored = self.stored.get(job.number)
        if stored is not None:
            return stored, None, False
        found = self.workplace.outcome(job.number, order)
        none = (np.nan,) * INTERVAL
        rows = {} if found is None else {place: row for place, row in found.rows.items() if place in order.circuits}
        numbers = (np.nan, np.nan) if found is None else (found.ranking, found.plain)
        outputs = dict(zip(("ranking", "plain"), (np.asarray([one], float) for one in numbers), strict=True))
        outputs["accuracy"] = np.asarray([[rows.get(dot.place, none) for dot in job.dots]], float)
        return outputs, None if found is None else found.params, True


@dataclasses.dataclass(eq=False)
class _Counted:
    """Progress through so many trainings, of which some are left out."""

    report: Progress
    total: int
    done: int = 0

    def __call__(self, phase: str) -> None:
        """Say what begins."""
        self.report(phase, self.done, self.total)
        self.done += 1
