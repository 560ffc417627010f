"""Training of an exploration: a budget of steps, halved towards the front, and the accuracy of a network on dies."""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from amsim.circuits.checks import at_least_one, integer_between, number_between
from amsim.comparison.procedure import BATCH, chosen_calibration, tuned_params
from amsim.datasets.division import set_aside
from amsim.datasets.split import Dataset, Split
from amsim.evaluation.item_values import values_on_dies
from amsim.evaluation.scoring import SCORINGS
from amsim.exploration.hardware_points import Deployed
from amsim.exploration.members import Member
from amsim.exploration.records import Place
from amsim.networks.quantised import Params
from amsim.networks.storage import Network, save_network
from amsim.statistics.crossed_interval import bounded_interval
from amsim.training.reference_networks import train

HELD_OUT = 0.2
"""Share of the training items that networks are ranked by, and not trained on; a fifth, as in five-fold validation."""


@dataclasses.dataclass(frozen=True)
class TrainingBudget:
    """Steps of training that an exploration may spend, and how they go where the front is.

    Successive halving (Jamieson and Talwalkar, AISTATS 2016; Karnin et al., ICML 2013): every round may spend the same
    share of the steps on fewer networks, those nearest to the front of accuracy on items held out from training
    against least energy. Each round trains from the start, with a schedule of its own length.

    Attributes:
        steps: Steps of all trainings together, at most.
        rounds: Rounds.
        reduction: Networks of a round for each network of the next.
        batch: Items per step.
        learning_rate: Initial learning rate of Adam.
        fine_tuning: Epochs of fine-tuning, beyond the steps: through each circuit whose dies differ, where the network
            would be on the front if it lost nothing there and does not reach every accuracy as it was trained.

    Raises:
        ValueError: A count below 1, epochs below 0, or a learning rate that is not a number above 0.
    """

    steps: int
    rounds: int = 2
    reduction: int = 3
    batch: int = 64
    learning_rate: float = 5e-3
    fine_tuning: int = 0

    def __post_init__(self) -> None:
        """Check counts and rate."""
        at_least_one(steps=self.steps, rounds=self.rounds, batch=self.batch)
        integer_between("reduction", self.reduction, 2)
        integer_between("fine_tuning", self.fine_tuning, 0, 2**20)
        number_between("learning_rate", self.learning_rate, 1e-12, float("inf"))

    def plan(self, networks: int) -> list[tuple[int, int]]:
        """Networks of each round, and steps of each of them.

        Args:
            networks: Networks that there are.

        Raises:
            ValueError: The steps are too few for one step of each network.
        """
        counts = [math.ceil(networks / self.reduction**number) for number in range(self.rounds)]
        found = [(count, self.steps // (self.rounds * count)) for count in counts if count]
        if any(steps < 1 for _, steps in found):
            raise ValueError(
                f"Argument `training` must have at least {self.rounds * networks} steps for {networks} networks in "
                f"{self.rounds} rounds, but has {self.steps}."
            )
        return found


def divided(data: Dataset, seed: int) -> tuple[Split, Split]:
    """Items to train on, and items held out to rank networks by."""
    return set_aside("HELD_OUT", HELD_OUT, data.train, jax.random.key(seed))


def whole_steps(steps: int, items: int, budget: TrainingBudget) -> int:
    """Steps that a training of at most so many takes: whole passes over the items, or all of less than one pass."""
    in_a_pass = items // min(budget.batch, items)
    return steps if steps < in_a_pass else steps - steps % in_a_pass


def trained_member(
    member: Member, items: tuple[Split, Split], data: Dataset, budget: TrainingBudget, steps: int
) -> tuple[Params, float]:
    """Parameters of a network after so many steps, as `whole_steps` gives, and its accuracy on the items held out.

    Raises:
        FloatingPointError: The training diverges.
    """
    own, held_out = items
    batch = min(budget.batch, len(own))
    epochs = steps // (len(own) // batch)
    if not epochs:  # less than a pass over the items is a pass over fewer of them, of all classes
        order = np.asarray(jax.random.permutation(jax.random.key(member.seed), len(own)))
        own = own[np.sort(order[: steps * batch])]
    parts = dataclasses.replace(data, train=own, test=held_out)
    rate = budget.learning_rate
    found = train(member.network, parts, epochs=max(epochs, 1), batch=batch, learning_rate=rate, seed=member.seed)
    return found.params, float(found.record["test_accuracy"])


def accuracy_on_dies(
    network: Network, params: Params, circuits: Sequence[Deployed], data: Dataset, dies: int, seed: int
) -> list[tuple[float, float, float]]:
    """Mean accuracy with its 95 % interval over dies and test items, of a network on circuits of one family.

    Codes and converters' ranges are those of least error times energy on training items, as in `amsim.compare`, chosen
    once for the family at each choice of its macros' settings.

    Args:
        network: The network.
        params: Its parameters.
        circuits: The circuits.
        data: Training and test items.
        dies: Dies of each circuit.
        seed: Fixes dies and reads.
    """
    scoring, key = SCORINGS["accuracy"], jax.random.key(seed)
    bases = {base.words: base.accelerator for _, base in circuits}
    calibrations = {
        words: chosen_calibration(network, params, base, data.train, False, None) for words, base in bases.items()
    }
    batch = min(BATCH, len(data.test))
    found = []
    for hardware, base in circuits:
        calibration = calibrations[base.words]
        values = values_on_dies(
            scoring.of_items, network, params, hardware, data.test, key, dies, batch=batch, calibration=calibration
        )
        settled = scoring.settle(values, np.asarray(data.test.labels)).astype(float)
        mean, low, high = bounded_interval(settled, deterministic=hardware.deterministic)
        found.append((mean, low, high))
    return found


def fine_tuned(member: Member, params: Params, circuit: Deployed, data: Dataset, epochs: int, seed: int) -> Params:
    """Parameters trained further through a circuit, on the training items that networks are not ranked by.

    Args:
        member: The network.
        params: Its parameters.
        circuit: The circuit; ranges of its converters are chosen for these parameters and kept.
        data: Training and test items.
        epochs: Passes over the items.
        seed: Fixes order, dies and reads, none of which `accuracy_on_dies` draws.

    Raises:
        TrainingDivergedError: The training diverges.
    """
    network, own = member.network, divided(data, seed)[0]
    calibration = chosen_calibration(network, params, circuit.base.accelerator, data.train, False, None)
    return tuned_params(network, params, circuit.hardware, own, calibration, epochs, seed)


def nearest_to_front(energy: np.ndarray, accuracy: np.ndarray, count: int) -> np.ndarray:
    """Numbers of so many networks that lie nearest to the front of accuracy against energy, in rising order.

    Fronts are taken off one after the other, each by falling accuracy.

    Args:
        energy: Least energy of each network, J, shape (networks,).
        accuracy: Its accuracy, shape (networks,).
        count: Networks to keep.
    """
    left = list(range(len(energy)))
    chosen: list[int] = []
    while left and len(chosen) < count:
        front = [
            one
            for one in left
            if not any(
                energy[other] <= energy[one]
                and accuracy[other] >= accuracy[one]
                and (energy[other] < energy[one] or accuracy[other] > accuracy[one])
                for other in left
            )
        ]
        chosen += sorted(front, key=lambda one: -accuracy[one])
        left = [one for one in left if one not in front]
    return np.sort(np.asarray(chosen[:count], int))


def save_weights(folder: Path, member: Member, steps: int, params: Params, tuned: Place | None = None) -> None:
    """Write the weights of a trained network; the file of one that was fine-tuned names the circuit too."""
    name = f"{member.name}-{steps}steps"
    if tuned is not None:
        name = tuned_name(f"{name}-{tuned.family}", tuned.circuit)
    save_network(folder / f"{name}.npz", member.network, params)


def tuned_name(network: str, circuit: str) -> str:
    """Name without spaces of a network that was fine-tuned through a circuit."""
    return f"{network}-tuned-{re.sub('[^0-9A-Za-z.=_]+', '-', circuit)}"
