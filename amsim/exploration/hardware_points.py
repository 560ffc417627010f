"""Every design point of one network on one circuit family with its exact cost, in one program where shapes allow."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from amsim.chips.designs import WORD_LENGTHS, Design
from amsim.chips.word_length import with_word_lengths
from amsim.comparison.procedure import candidates
from amsim.deployment.chip import chip_of, traced_chip
from amsim.exploration.members import Configuration, network_of, workload_of
from amsim.exploration.space import DesignSpace, with_rate
from amsim.files.part_classes import registered_class
from amsim.networks.storage import Network
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE
from amsim.system.many_points import cost_at_points
from amsim.system.settings import check_path, continuous_settings, with_settings

MEMORIES = ("weight_memory.capacity", "activation_memory.capacity")


class Variant(NamedTuple):
    """Hardware without a choice of memories.

    Attributes:
        circuit: What its accuracy depends on, in words; empty where all dies and settings give the same answers.
        words: All that was chosen, in words.
        accelerator: The hardware.
    """

    circuit: str
    words: str
    accelerator: Accelerator


@dataclasses.dataclass(frozen=True, eq=False)
class FamilyPoints:
    """Design points of one network on one family.

    Attributes:
        variants: Hardware without a choice of memories.
        variant: Number of the variant of each point, shape (points,).
        memories: Bits of weight and activation memory of each point, shape (points, 2).
        energy: By component, J, shape (points, components).
        latency: s, shape (points,).
        area: m^2, shape (points,).
        possible: Whether the network fits the memories, or there is a DRAM, and the rate is kept, shape (points,).
    """

    variants: Sequence[Variant]
    variant: np.ndarray
    memories: np.ndarray
    energy: np.ndarray
    latency: np.ndarray
    area: np.ndarray
    possible: np.ndarray

    def hardware(self, point: int) -> Accelerator:
        """Hardware of a point."""
        own = self.variants[int(self.variant[point])].accelerator
        return with_settings(own, dict(zip(MEMORIES, map(float, self.memories[point]), strict=True)))

    def words(self, point: int) -> str:
        """What was chosen at a point, in words."""
        weights, activations = self.memories[point] / KILOBYTE
        own = self.variants[int(self.variant[point])].words
        return f"{own}, {weights:g} kB of weights, {activations:g} kB of activations"


@dataclasses.dataclass(frozen=True)
class _Question:
    """What the design points of a network on a family depend on; two of one text are one."""

    configuration: Configuration
    family: str
    text: str
    space: DesignSpace = dataclasses.field(compare=False)
    rate: float | None


def family_points(configuration: Configuration, family: str, space: DesignSpace, rate: float | None) -> FamilyPoints:
    """Cost of every design point of a network on a family, as `Accelerator.cost` of the hardware there.

    They are kept, so that further questions on the same networks, such as other limits, are answered at once.

    Args:
        configuration: The network.
        family: The family.
        space: Hardware to choose among.
        rate: Inferences per second, 1/s, or None.

    Raises:
        ValueError: The family cannot run the network; the text says why.
    """
    what = (space, registered_class(family), jnp.result_type(float))
    return _points(_Question(configuration, family, repr(what), space, rate))


@functools.lru_cache(maxsize=1024)
def _points(question: _Question) -> FamilyPoints:
    configuration, family, space, rate = question.configuration, question.family, question.space, question.rate
    workload = workload_of(configuration)
    _check_deploys(configuration, family)
    variants = list(_variants(configuration, family, space, rate))
    memories = np.asarray(list(itertools.product(space.weight_memory, space.activation_memory)), float)
    parts = []
    for members in _sharing_a_program([one.accelerator for one in variants]):
        hardware = [variants[index].accelerator for index in members]
        values = _columns(hardware, memories)
        cost = cost_at_points(hardware[0], workload, values)
        own = {name: cost[name].values for name in ("energy", "latency", "area")}
        own["possible"] = cost["fits"].values & cost["keeps_rate"].values
        own |= {"variant": np.repeat(members, len(memories)), "memories": np.tile(memories, (len(members), 1))}
        parts.append(own)
    return FamilyPoints(variants, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def family_hardware(network: Network, family: str) -> Accelerator:
    """Hardware of a family with the word lengths of a network.

    Raises:
        ValueError: A word length that no macro of the family has.
    """
    longest = max(max(pair) for pair in network.word_lengths.values())
    bits = next((one for one in WORD_LENGTHS if one >= longest), WORD_LENGTHS[-1])
    names = network.layer_names
    own = Design(family, bits).accelerator(first=names[0], last=names[-1])
    return with_word_lengths(own, network.word_lengths)


def _check_deploys(configuration: Configuration, family: str) -> None:
    """Raise DeploymentError where a family cannot read a network, such as a comparator a sum of more levels."""
    network = network_of(configuration)
    params = jax.eval_shape(network.initial_params, jax.random.key(0))
    chip = chip_of(network, params, family_hardware(network, family), (None,), None)
    traced_chip(chip, (jax.ShapeDtypeStruct((1, *network.input_shape), jnp.float32),))


def check_settings(space: DesignSpace) -> None:
    """Raise ValueError unless every setting of a space is one of some family."""
    for path in space.settings:
        wrong = []
        for family in space.families:
            try:
                check_path(Design(family, WORD_LENGTHS[-1]).accelerator(), path)
                break
            except ValueError as error:
                wrong.append(str(error))
        else:
            raise ValueError(f"Argument `settings` must have settings of a family. {wrong[0]}")


def _variants(configuration: Configuration, family: str, space: DesignSpace, rate: float | None) -> Iterator[Variant]:
    own = with_rate(family_hardware(network_of(configuration), family), rate)
    settings = {path: values for path, values in space.settings.items() if _has(own, path)}
    points = [dict(zip(settings, point, strict=True)) for point in itertools.product(*settings.values())]
    for candidate, point, copies in itertools.product(candidates(own), points, space.copies):
        changed = with_settings(candidate.accelerator, point) if point else candidate.accelerator
        spreads = tuple(dataclasses.replace(one, count=copies) for one in changed.spreads)
        changed = dataclasses.replace(changed, spreads=spreads) if copies > 1 else changed
        of_macros = [f"{path}={value}" for path, value in point.items() if path.startswith("macro")]
        circuit = ([] if changed.deterministic else [candidate.setting]) + of_macros
        words = [candidate.setting, *(f"{path}={value}" for path, value in point.items())]
        words += [f"{copies} copies"] if copies > 1 else []
        yield Variant(", ".join(circuit), ", ".join(words), changed)


def _has(hardware: Accelerator, path: str) -> bool:
    try:
        check_path(hardware, path)
    except ValueError:
        return False
    return True


def _sharing_a_program(hardware: Sequence[Accelerator]) -> list[list[int]]:
    """Numbers of accelerators that differ in continuous numbers only."""
    groups: dict[Any, list[int]] = {}
    for number, one in enumerate(hardware):
        arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(one)]
        fixed = tuple(leaf.tobytes() if leaf.ndim else b"" for leaf in arrays)
        groups.setdefault((jax.tree.structure(one), fixed), []).append(number)
    return list(groups.values())


def _columns(hardware: Sequence[Accelerator], memories: np.ndarray) -> dict[str, np.ndarray]:
    """Values of each setting that differs, at every combination of hardware and memories."""
    numbers = [continuous_settings(one) for one in hardware]
    scalars = [path for path, value in numbers[0].items() if value.shape == () and path not in MEMORIES]
    columns = {path: np.asarray([float(one[path]) for one in numbers]) for path in scalars}
    found = {path: np.repeat(one, len(memories)) for path, one in columns.items() if np.ptp(one) > 0}
    tiled = np.tile(memories, (len(hardware), 1))
    return found | {path: tiled[:, number] for number, path in enumerate(MEMORIES)}
