"""Calls of a study, computed by the workers of a dask.distributed cluster."""

import dataclasses
import math
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from amsim.studies.jobs import Done, Job
from amsim.studies.measured import Measured
from amsim.studies.program import Lanes, Population, Program, trace

RETRIES = 3
"""Attempts after the first at a piece of work that fails."""

PIECES_PER_WORKER, LARGEST_PIECE = 8, 16
"""Pieces of work per worker, and most calls per piece."""


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """Everything that a worker needs to compute calls of a job: plain data and the measured function."""

    study: str
    number: int
    measured: Measured
    hardware: Any
    network: Any
    function: int
    values: dict[str, np.ndarray]
    points: int
    population: Population
    lanes: Lanes
    wide: bool
    fingerprint: str


def run_on_cluster(
    client: Any, measured: Measured, remaining: Sequence[tuple[Job, int]], study: str
) -> Generator[Done, None, None]:
    """Compute calls on the workers of a client and yield them as they finish.

    Work of a worker that dies moves to another one, and failed work is retried.

    Args:
        client: A `dask.distributed.Client`.
        measured: Study or function that is measured.
        remaining: The calls.
        study: Name of this study, different from others on the same workers.
    """
    from distributed import as_completed

    workers = max(len(client.scheduler_info(n_workers=-1)["workers"]), 1)
    size = min(max(math.ceil(len(remaining) / (PIECES_PER_WORKER * workers)), 1), LARGEST_PIECE)
    orders: dict[int, Any] = {}
    jobs: dict[Any, tuple[Job, list[int]]] = {}
    try:
        for piece in _pieces(remaining, size):
            job, numbers = piece[0][0], [number for _, number in piece]
            if job.number not in orders:
                # As a task, not as scattered data: what a dead worker held is computed again.
                orders[job.number] = client.submit(_keep, _order(job, measured, study), pure=False, retries=RETRIES)
            future = client.submit(_compute, orders[job.number], numbers, pure=False, retries=RETRIES)
            jobs[future] = (job, numbers)
        for future in as_completed(list(jobs), loop=client.loop):
            job, numbers = jobs.pop(future)
            for number, outputs in zip(numbers, future.result(), strict=True):
                yield job, number, outputs
    finally:
        client.cancel([*jobs, *orders.values()])


def _pieces(remaining: Sequence[tuple[Job, int]], size: int) -> Iterator[list[tuple[Job, int]]]:
    piece: list[tuple[Job, int]] = []
    for one in remaining:
        if piece and (len(piece) == size or piece[-1][0] is not one[0]):
            yield piece
            piece = []
        piece.append(one)
    if piece:
        yield piece


def _order(job: Job, measured: Measured, study: str) -> Order:
    return Order(
        study=study,
        number=job.number,
        measured=measured,
        hardware=job.group.hardware,
        network=job.group.network,
        function=job.function,
        values=dict(job.group.values),
        points=len(job.group.places),
        population=job.program.population,
        lanes=job.program.lanes,
        wide=jnp.result_type(float) == np.float64,
        fingerprint=job.program.traced.fingerprint(),
    )


def _keep(order: Order) -> Order:
    return order


_programs: dict[tuple[str, int], Program] = {}
_lock = threading.Lock()


def match_precision(wide: bool) -> None:
    """Compute in float64 on this worker, or not, as the process does that gives it work."""
    if (jnp.result_type(float) == np.float64) != wide:
        jax.config.update("jax_enable_x64", wide)


def _compute(order: Order, numbers: list[int]) -> list[dict[str, np.ndarray]]:
    """Outputs of calls of a job on a worker, which compiles its program once."""
    match_precision(order.wide)
    with _lock:
        program = _programs.get((order.study, order.number))
        if program is None:
            program = _compile(order)
            # Programs of an earlier study are not needed again.
            for key in [key for key in _programs if key[0] != order.study]:
                del _programs[key]
            _programs[order.study, order.number] = program
    return [program.call(number) for number in numbers]


def _compile(order: Order) -> Program:
    measurement = order.measured.measurements(order.hardware, order.network)[order.function]
    traced = trace(measurement, order.hardware, tuple(order.values), order.population.key_kind)
    if traced.fingerprint() != order.fingerprint:
        raise RuntimeError("A worker traces another program for the same study: its versions or its data differ.")
    program = Program(traced, order.values, order.points, order.population, order.lanes)
    program.compiled()
    return program
