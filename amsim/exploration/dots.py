"""Dots of an exploration: one trained network on one circuit, at the design point of least energy within the limits."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from amsim.exploration.hardware_points import Deployed, FamilyPoints, PointsOf, RefusedError, family_points
from amsim.exploration.members import Member, weight_bits
from amsim.exploration.records import Place, Record
from amsim.exploration.space import DesignSpace, Limits
from amsim.networks.families import Configuration
from amsim.progress import Progress
from amsim.system.accelerator import Accelerator


@dataclasses.dataclass(frozen=True, eq=False)
class Best:
    """Design point of least energy of one network on one circuit, within the limits.

    Attributes:
        words: What was chosen, in words; empty where no point keeps the limits.
        points: All design points of the network on the family.
        point: Number of the best one; where no point keeps the limits, that of the first one of the circuit.
        energy: By component, J; it and all below are NaN where no point keeps the limits.
        latency: s.
        area: m^2.
        power: Average power, W.
    """

    words: str
    points: FamilyPoints
    point: int
    energy: np.ndarray
    latency: float
    area: float
    power: float

    @property
    def hardware(self) -> Accelerator:
        """The hardware."""
        return self.points.hardware(self.point)

    @property
    def deployed(self) -> Deployed:
        """The hardware, with what codes and ranges of the circuit are chosen on."""
        return Deployed(self.hardware, self.points.variants[int(self.points.variant[self.point])].base)


@dataclasses.dataclass(frozen=True, eq=False)
class Dot:
    """A trained network on one circuit of a family.

    Attributes:
        place: The trained network, the family and the circuit.
        points: Design points.
        allowed: Those within the limits.
        best: The one of least energy among these.
        weights: Bits of all weights.
        macs: Multiply-accumulates per inference.
    """

    place: Place
    points: int
    allowed: int
    best: Best
    weights: int
    macs: int

    @property
    def energy(self) -> float:
        """Energy per inference, J; infinite where no design point keeps the limits."""
        return float(self.best.energy.sum()) if self.allowed else float("inf")


@dataclasses.dataclass(frozen=True, eq=False)
class Reach:
    """How far the design points of an exploration go, for messages.

    Attributes:
        least: Least value of each limited quantity over possible points, by its name.
        keeping: Possible points that keep each limit by itself.
        points: All points.
        fitting: Those whose memories hold the network.
        possible: Those of them that keep the rate.
    """

    least: dict[str, float]
    keeping: dict[str, int]
    points: int = 0
    fitting: int = 0
    possible: int = 0


class Costs:
    """Dots of all networks and families with their cost, which does not depend on training.

    A network that was fine-tuned through a circuit is a dot of its own there, beside the one that was not: where
    records have one, and on every circuit whose dies differ where fine-tuning is asked for.

    Attributes:
        dots: All dots, by place.
        refused: Why a family cannot run a network, by both.
        reach: How far the design points go.
    """

    def __init__(
        self,
        members: Sequence[Member],
        space: DesignSpace,
        limits: Limits,
        report: Progress,
        points_of: PointsOf = family_points,
        recorded: Collection[Place] = (),
        fine_tuning: int = 0,
    ) -> None:
        """Find the cost of every design point, by default by computing it."""
        tuned: dict[Place, list[int]] = {}
        for place in recorded:
            tuned.setdefault(place._replace(fine_tuning=0), []).append(place.fine_tuning)
        self.dots: dict[Place, Dot] = {}
        self._of: dict[Member, list[Dot]] = {member: [] for member in members}
        self.refused: dict[tuple[Member, str], str] = {}
        self.reach = Reach(dict.fromkeys(limits.by_quantity, float("inf")), dict.fromkeys(limits.by_quantity, 0))
        seeds: dict[Configuration, list[Member]] = {}
        for member in members:
            seeds.setdefault(member.configuration, []).append(member)
        total, done = len(seeds) * len(space.families), 0
        for configuration, trained in seeds.items():
            weights = weight_bits(configuration)
            for family in space.families:
                report("cost of networks on families", done, total)
                done += 1
                try:
                    points = points_of(configuration, family, space, limits.rate)
                except RefusedError as error:
                    self.refused |= {(member, family): str(error) for member in trained}
                    continue
                for words, why in points.left_out.items():
                    self.refused |= {(member, f"{family}, {words}"): why for member in trained}
                quantities = _quantities(points, weights, limits)
                self._look(points, quantities, limits)
                for circuit, best in _best_by_circuit(points, quantities, limits).items():
                    asked = {fine_tuning} if fine_tuning and not best[-1].hardware.deterministic else set()
                    for member in trained:
                        place = Place(member, family, circuit)
                        for epochs in sorted({0} | asked | set(tuned.get(place, ()))):
                            one = place._replace(fine_tuning=epochs)
                            self.dots[one] = Dot(one, *best, weights=weights, macs=points.macs)
                            self._of[member].append(self.dots[one])

    def of(self, member: Member) -> list[Dot]:
        """Dots of a network."""
        return self._of[member]

    def least_energy(self, member: Member) -> float:
        """Least energy of a network on any circuit within the limits, J; infinite where there is none."""
        return min((dot.energy for dot in self.of(member)), default=float("inf"))

    def allowed(self, member: Member) -> list[Place]:
        """Places of a network as it was trained, with a design point within the limits."""
        return [dot.place for dot in self.of(member) if dot.allowed and not dot.place.fine_tuning]

    def _look(self, points: FamilyPoints, quantities: Mapping[str, np.ndarray], limits: Limits) -> None:
        least, keeping = dict(self.reach.least), dict(self.reach.keeping)
        for name, limit in limits.by_quantity.items():
            values = quantities[name][points.possible]
            least[name] = min(least[name], float(values.min(initial=np.inf)))
            keeping[name] += int(np.sum(values <= limit))
        counts = (len(points.fits), int(points.fits.sum()), int(points.possible.sum()))
        before = (self.reach.points, self.reach.fitting, self.reach.possible)
        self.reach = Reach(least, keeping, *(old + new for old, new in zip(before, counts, strict=True)))


def _quantities(points: FamilyPoints, weights: int, limits: Limits) -> dict[str, np.ndarray]:
    """Everything that may be limited, at every point."""
    energy = points.energy.sum(axis=1)
    power = energy / points.latency if limits.rate is None else energy * limits.rate
    return {
        "latency": points.latency,
        "area": points.area,
        "power": power,
        "weights": np.full(len(energy), float(weights)),
    }


def _best_by_circuit(
    points: FamilyPoints, quantities: Mapping[str, np.ndarray], limits: Limits
) -> dict[str, tuple[int, int, Best]]:
    """Number of points, of those within the limits, and the one of least energy, by circuit."""
    energy = points.energy.astype(float).sum(axis=1)
    keeps = points.possible.copy()
    for name, limit in limits.by_quantity.items():
        keeps &= quantities[name] <= limit
    circuits = np.asarray(points.circuits)[points.variant]
    found = {}
    for circuit in dict.fromkeys(points.circuits):
        own = circuits == circuit
        among = own & keeps
        found[circuit] = (int(own.sum()), int(among.sum()), _best(points, quantities, energy, own, among))
    return found


def _best(
    points: FamilyPoints,
    quantities: Mapping[str, np.ndarray],
    energy: np.ndarray,
    own: np.ndarray,
    among: np.ndarray,
) -> Best:
    """The point of least energy among some; NaN where there are none."""
    if not among.any():
        first, none = int(np.argmax(own)), np.nan
        return Best("", points, first, np.full(points.energy.shape[1], none), none, none, none)
    point = int(np.argmin(np.where(among, energy, np.inf)))
    latency, area, power = (float(quantities[name][point]) for name in ("latency", "area", "power"))
    return Best(points.words(point), points, point, points.energy[point].astype(float), latency, area, power)


def would_be_on_front(energy: float, accuracy: float, others: Iterable[tuple[float, float]]) -> bool:
    """Whether a dot of an accuracy would be on the front beside others, given as energy and accuracy."""
    return not any(one <= energy and other >= accuracy for one, other in others)


def energy_to_beat(dots: Mapping[Place, Dot], records: Mapping[Place, Record], accuracy: float) -> float:
    """Least energy of the dots that are known to reach an accuracy, J; infinite where none does."""
    reaching = [dot.energy for place, dot in dots.items() if place in records and records[place].mean >= accuracy]
    return min(reaching, default=float("inf"))
