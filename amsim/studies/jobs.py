"""Work of a study: one program per group of points and measured function, in numbered calls."""

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from amsim.evaluation.accuracy import population_keys
from amsim.studies.measured import Measured
from amsim.studies.plan import Group
from amsim.studies.program import Lanes, Population, Program, Traced, fitting_program, trace


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """One measured function on the points of one group.

    Attributes:
        number: Number of the job in the study.
        group: The points.
        function: Number of the measured function in its group.
        program: Compiled program that computes it.
    """

    number: int
    group: Group
    function: int
    program: Program


@runtime_checkable
class StoredProgram(Protocol):
    """Work in numbered calls whose results a store keeps, whatever does it: a compiled program, a training."""

    @property
    def lanes(self) -> Lanes:
        """Work of one call."""

    @property
    def count(self) -> int:
        """Items in all."""

    @property
    def calls(self) -> int:
        """Number of calls for all items."""

    @property
    def shapes(self) -> Mapping[str, Any]:
        """Shape and dtype of each output by name."""


@runtime_checkable
class StoredJob(Protocol):
    """Part of a study whose results a store keeps."""

    @property
    def number(self) -> int:
        """Number of the job in the study."""

    @property
    def program(self) -> StoredProgram:
        """Its work."""


Outputs = Mapping[str, np.ndarray]
"""Results of one call by name, shape (items, reads, ...)."""

Done = tuple[Job, int, Outputs]
"""A finished call of a job."""


def population(key: PRNGKeyArray, dies: int, reads: int) -> Population:
    """Dies and reads of a key, those of `amsim.evaluate`; each is the same for any number of them."""
    dies_data, reads_data = (np.asarray(jax.random.key_data(keys)) for keys in population_keys(key, dies, reads))
    return Population(dies_data, reads_data, str(jax.random.key_impl(key)))


def prepare(
    measured: Measured,
    groups: Sequence[Group],
    everyone: Population,
    *,
    memory_limit: int | float | None,
    layout: Callable[[Sequence[Traced]], Sequence[Lanes] | None],
) -> tuple[Job, ...]:
    """Jobs of a study, traced; the work per call comes from `layout`, else from the free memory."""
    traced = [
        (group, function, trace(measurement, group.hardware, tuple(group.values), everyone.key_kind))
        for group in groups
        for function, measurement in enumerate(measured.measurements(group.hardware, group.network))
    ]
    given = layout([program for _, _, program in traced])
    jobs = []
    for number, (group, function, program) in enumerate(traced):
        some, points = population_for(everyone, program), len(group.places)
        if given is None:
            made = fitting_program(program, group.values, points, some, memory_limit)
        else:
            made = Program(program, group.values, points, some, given[number])
        jobs.append(Job(number, group, function, made))
    return tuple(jobs)


def population_for(everyone: Population, traced: Traced) -> Population:
    """Dies and reads between which the results of a function differ."""
    if traced.scope == "point" or traced.repeats:
        return everyone.first()
    if traced.scope == "die":
        return Population(everyone.die_keys, everyone.read_keys[:, :1], everyone.key_kind)
    return everyone


def run_here(remaining: Sequence[tuple[Job, int]]) -> Generator[Done, None, None]:
    """Compute calls one after the other in this process."""
    for job, number in remaining:
        yield job, number, job.program.call(number)
