"""Trainings of an exploration as orders, and who carries them out: this process, or the workers of a cluster."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from amsim.datasets.split import Dataset
from amsim.evaluation.accuracy import plain_accuracy
from amsim.exploration.hardware_points import Deployed
from amsim.exploration.members import Member
from amsim.exploration.records import Place
from amsim.exploration.training import TrainingBudget, accuracy_on_dies, divided, fine_tuned, trained_member
from amsim.networks.quantised import Params
from amsim.studies.cluster import RETRIES, match_precision


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingOrder:
    """Everything that the training of a network needs beside the data, as plain arrays and numbers.

    Attributes:
        member: The network.
        steps: Steps of its training.
        circuits: What it is deployed on afterwards, by place: circuits of the network as it was trained, or the one
            that it is fine-tuned through first.
        budget: How it is trained.
        dies: Dies of each circuit.
        seed: Fixes dies, reads and the items held out.
        params: Parameters after the training, where they are known; None trains.
        wide: Whether to compute in float64.
    """

    member: Member
    steps: int
    circuits: Mapping[Place, Deployed]
    budget: TrainingBudget
    dies: int
    seed: int
    params: Params | None = None
    wide: bool = dataclasses.field(default_factory=lambda: bool(jnp.result_type(float) == np.float64))


class Trained(NamedTuple):
    """What an order gives.

    Attributes:
        params: Parameters, after fine-tuning where that is asked for.
        ranking: Accuracy on the items held out; NaN where it was not trained here.
        plain: Accuracy on the test items without circuits.
        rows: Mean accuracy with its interval, by place.
    """

    params: Params
    ranking: float
    plain: float
    rows: dict[Place, tuple[float, float, float]]


def carried_out(order: TrainingOrder, data: Dataset) -> Trained | None:
    """Train a network and deploy it; None where the training diverges."""
    member, params, ranking = order.member, order.params, float("nan")
    tuned = {place: one for place, one in order.circuits.items() if place.fine_tuning}
    try:
        if params is None:
            items = divided(data, order.seed)
            params, ranking = trained_member(member, items, data, order.budget, order.steps)
        for place, circuit in tuned.items():
            params = fine_tuned(member, params, circuit, data, place.fine_tuning, order.seed)
    except FloatingPointError:
        return None
    rows: dict[Place, tuple[float, float, float]] = {}
    for family in dict.fromkeys(place.family for place in order.circuits):
        places = [place for place in order.circuits if place.family == family]
        circuits = [order.circuits[place] for place in places]
        found = accuracy_on_dies(member.network, params, circuits, data, order.dies, order.seed)
        rows |= dict(zip(places, found, strict=True))
    return Trained(params, ranking, plain_accuracy(member.network, params, data.test), rows)


class Workplace:
    """Carries orders out in this process, when they are asked for.

    Args:
        data: Training and test items.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def expect(self, orders: Iterable[tuple[int, TrainingOrder]]) -> None:
        """Take note of orders with numbers, of which some will be asked for, and of those of an earlier note no more.

        Here nothing is begun before it is needed, and no order is made.
        """

    def outcome(self, number: int, order: TrainingOrder) -> Trained | None:
        """What an order gives; one of its number that was expected may have more circuits."""
        return carried_out(order, self.data)

    def close(self) -> None:
        """Leave nothing running."""


class Cluster(Workplace):
    """Gives orders to workers ahead of time; what turns out not to be needed is dropped.

    What an order gives does not depend on its other circuits, so that the dots are those of one process.

    Args:
        client: A `dask.distributed.Client`.
        data: Training and test items.
    """

    def __init__(self, client: Any, data: Dataset) -> None:
        super().__init__(data)
        self.client = client
        # As a task, not as scattered data: what a dead worker held is computed again.
        self.held = client.submit(_same, data, pure=False, retries=RETRIES)
        self.futures: dict[int, Any] = {}

    def expect(self, orders: Iterable[tuple[int, TrainingOrder]]) -> None:
        """Give orders to the workers."""
        self._drop()
        self.futures = {number: self._submit(order) for number, order in orders}

    def outcome(self, number: int, order: TrainingOrder) -> Trained | None:
        """Wait for a worker."""
        future = self.futures.pop(number, None) or self._submit(order)
        found: Trained | None = future.result()
        return found

    def close(self) -> None:
        """Cancel what is not needed any more."""
        self._drop()
        self.client.cancel([self.held])

    def _submit(self, order: TrainingOrder) -> Any:
        return self.client.submit(_on_worker, order, self.held, pure=False, retries=RETRIES)

    def _drop(self) -> None:
        self.client.cancel(list(self.futures.values()))
        self.futures = {}


def _same(data: Dataset) -> Dataset:
    return data


def _on_worker(order: TrainingOrder, data: Dataset) -> Trained | None:
    match_precision(order.wide)
    return carried_out(order, data)
