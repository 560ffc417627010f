"""Every design point of one network on one circuit family with its cost, in one program where shapes allow."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from amsim.chips.designs import WORD_LENGTHS, Design
from amsim.chips.word_length import with_word_lengths
from amsim.comparison.procedure import candidates
from amsim.deployment.chip import chip_of, traced_chip
from amsim.exploration.members import workload_of
from amsim.exploration.space import DesignSpace, with_rate
from amsim.files.part_classes import registered_class
from amsim.networks.families import Configuration, network_of
from amsim.networks.storage import Network
from amsim.results.provenance import described
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE
from amsim.system.many_points import cost_at_points
from amsim.system.settings import check_path, continuous_settings, with_settings

MEMORIES = ("weight_memory.capacity", "activation_memory.capacity")

KEPT = 256
"""Pairs of a network and a family whose design points are kept, more than most searches have; by default 10 kB each."""


class RefusedError(ValueError):
    """A family cannot run a network; the text says why."""


class Base(NamedTuple):
    """Hardware of a family with settings of its macros, before candidates: what codes and ranges are chosen on.

    Attributes:
        words: The settings in words, such as "macro.adc.bits=6"; empty without any.
        accelerator: The hardware.
    """

    words: str
    accelerator: Accelerator


class Deployed(NamedTuple):
    """What a trained network is deployed on.

    Attributes:
        hardware: The hardware.
        base: What codes and ranges of its circuit are chosen on.
    """

    hardware: Accelerator
    base: Base


class Variant(NamedTuple):
    """Hardware without a choice of memories.

    Attributes:
        circuit: What its accuracy depends on, in words; empty where all dies and settings give the same answers.
        words: All that was chosen, in words.
        accelerator: The hardware.
        base: What its codes and ranges are chosen on; variants of one circuit family share it where settings agree.
    """

    circuit: str
    words: str
    accelerator: Accelerator
    base: Base


@dataclasses.dataclass(frozen=True, eq=False)
class FamilyPoints:
    """Design points of one network on one family.

    Attributes:
        circuits: What the accuracy of each variant, hardware without a choice of memories, depends on, in words.
        choices: All that was chosen for each variant, in words.
        make: Makes the variants; where costs are known they are needed for a few points only.
        variant: Number of the variant of each point, shape (points,).
        memories: Bits of weight and activation memory of each point, shape (points, 2).
        energy: By component, J, shape (points, components).
        latency: s, shape (points,).
        area: m^2, shape (points,).
        fits: Whether the network fits the memories, or there is a DRAM, shape (points,).
        keeps_rate: Whether an inference is done before the next one, shape (points,).
        macs: Multiply-accumulates per inference.
        left_out: Why settings of macros are left out with which the family cannot run the network, by their words.
    """

    circuits: Sequence[str]
    choices: Sequence[str]
    make: Callable[[], Sequence[Variant]]
    variant: np.ndarray
    memories: np.ndarray
    energy: np.ndarray
    latency: np.ndarray
    area: np.ndarray
    fits: np.ndarray
    keeps_rate: np.ndarray
    macs: int
    left_out: Mapping[str, str]

    @functools.cached_property
    def variants(self) -> Sequence[Variant]:
        """Hardware without a choice of memories."""
        return self.make()

    @property
    def possible(self) -> np.ndarray:
        """Whether there can be such hardware, shape (points,)."""
        return np.asarray(self.fits & self.keeps_rate)

    def hardware(self, point: int) -> Accelerator:
        """Hardware of a point."""
        own = self.variants[int(self.variant[point])].accelerator
        return with_settings(own, dict(zip(MEMORIES, map(float, self.memories[point]), strict=True)))

    def words(self, point: int) -> str:
        """What was chosen at a point, in words."""
        weights, activations = self.memories[point] / KILOBYTE
        own = self.choices[int(self.variant[point])]
        return f"{own}, {weights:g} kB of weights, {activations:g} kB of activations"


PointsOf = Callable[[Configuration, str, DesignSpace, float | None], FamilyPoints]
"""Gives the design points of a network on a family, as `family_points` does."""


@dataclasses.dataclass(frozen=True)
class _Question:
    """What the design points of a network on a family depend on; two of one text are one."""

    configuration: Configuration
    family: str
    registered: type | None
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
        RefusedError: The family cannot run the network; the text says why.
        ValueError: A value of a setting that the hardware refuses.
    """
    text = f"{described(space)} {jnp.result_type(float)}"
    return _points(_Question(configuration, family, registered_class(family), text, space, rate))


@functools.lru_cache(maxsize=KEPT)
def _points(question: _Question) -> FamilyPoints:
    configuration, family, space, rate = question.configuration, question.family, question.space, question.rate
    workload = workload_of(configuration)
    own = _own_hardware(configuration, family)
    bases, left_out = _bases(configuration, family, own, space)
    variants = list(_variants(with_rate(own, rate), bases, space))
    memories = np.asarray(list(itertools.product(space.weight_memory, space.activation_memory)), float)
    parts = []
    for members in _sharing_a_program([one.accelerator for one in variants]):
        hardware = [variants[index].accelerator for index in members]
        values = _columns(hardware, memories)
        cost = cost_at_points(hardware[0], workload, values)
        part = {name: cost[name].values for name in ("energy", "latency", "area")}
        part |= {name: cost[name].values for name in ("fits", "keeps_rate")}
        part |= {"variant": np.repeat(members, len(memories)), "memories": np.tile(memories, (len(members), 1))}
        parts.append(part)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    circuits, choices = [one.circuit for one in variants], [one.words for one in variants]
    return FamilyPoints(circuits, choices, lambda: variants, **whole, macs=int(workload.macs), left_out=left_out)


def family_variants(configuration: Configuration, family: str, space: DesignSpace) -> list[Variant]:
    """Hardware of a family for a network, without a choice of memories, in the order of `FamilyPoints.variants`.

    Raises:
        RefusedError: The family cannot run the network; the text says why.
    """
    own = _own_hardware(configuration, family)
    return list(_variants(own, _bases(configuration, family, own, space)[0], space))


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


def _own_hardware(configuration: Configuration, family: str) -> Accelerator:
    """Hardware of a family for a network, at its own settings."""
    try:
        return family_hardware(network_of(configuration), family)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def _bases(
    configuration: Configuration, family: str, own: Accelerator, space: DesignSpace
) -> tuple[list[tuple[Base, dict[str, Any]]], dict[str, str]]:
    """Hardware at every combination of settings, with these settings, and why others cannot run the network.

    Raises:
        RefusedError: None can.
        ValueError: A value that the hardware refuses.
    """
    network = network_of(configuration)
    settings = {path: values for path, values in space.settings.items() if _has(own, path)}
    found: list[tuple[Base, dict[str, Any]]] = []
    deployed: dict[str, Base | str] = {}
    for point in (dict(zip(settings, one, strict=True)) for one in itertools.product(*settings.values())):
        _check_taken(own, point, f"{family} with {configuration.name}")
        of_macros = {path: value for path, value in point.items() if path.startswith("macro")}
        words = _words(of_macros)
        if words not in deployed:
            base = Base(words, with_settings(own, of_macros) if of_macros else own)
            deployed[words] = _reason(network, base) or base
        one = deployed[words]
        if isinstance(one, Base):
            found.append((one, point))
    left_out = {words: one for words, one in deployed.items() if isinstance(one, str)}
    if not found:
        raise RefusedError(next(iter(left_out.values())))
    return found, left_out


def _reason(network: Network, base: Base) -> str | None:
    """Why hardware cannot read a network, such as a comparator a sum of more levels; None where it can."""
    params = jax.eval_shape(network.initial_params, jax.random.key(0))
    try:
        chip = chip_of(network, params, base.accelerator, (None,), None)
        traced_chip(chip, (jax.ShapeDtypeStruct((1, *network.input_shape), jnp.float32),))
    except ValueError as error:
        return str(error)
    return None


def _check_taken(own: Accelerator, point: Mapping[str, Any], where: str) -> None:
    """Raise ValueError, with the first path at fault, unless hardware takes the values of settings together."""
    together = _refusal(own, point)
    if together is None:
        return
    alone = ((f"settings[{path!r}]", _refusal(own, {path: value})) for path, value in point.items())
    name, refusal = next((one for one in alone if one[1] is not None), ("settings", together))
    raise ValueError(f"Argument `{name}` must have values that {where} takes. {refusal}")


def _refusal(own: Accelerator, point: Mapping[str, Any]) -> str | None:
    """What hardware says against values of settings; None where it takes them."""
    try:
        with_settings(own, point)
    except (ValueError, TypeError) as error:
        return str(error)
    return None


def check_settings(space: DesignSpace) -> None:
    """Raise ValueError unless every setting of a space is one of some family, which takes each of its values."""
    if not space.settings:
        return
    hardware = [Design(family, bits).accelerator() for family in space.families for bits in reversed(WORD_LENGTHS)]
    for path, values in space.settings.items():
        having = [one for one in hardware if _has(one, path)]
        if not having:
            raise ValueError(
                f"Argument `settings` must have settings of a family. {_refusal(hardware[0], {path: values[0]})}"
            )
        for value in values:
            refusals = [_refusal(one, {path: value}) for one in having]
            if all(one is not None for one in refusals):
                raise ValueError(f"Argument `settings[{path!r}]` must have values that a family takes. {refusals[0]}")


def _variants(own: Accelerator, bases: Sequence[tuple[Base, dict[str, Any]]], space: DesignSpace) -> Iterator[Variant]:
    for candidate, (base, point), copies in itertools.product(candidates(own), bases, space.copies):
        changed = with_settings(candidate.accelerator, point) if point else candidate.accelerator
        spreads = tuple(dataclasses.replace(one, count=copies) for one in changed.spreads)
        changed = dataclasses.replace(changed, spreads=spreads) if copies > 1 else changed
        circuit = ([] if changed.deterministic else [candidate.setting]) + ([base.words] if base.words else [])
        words = [candidate.setting, *([_words(point)] if point else [])]
        words += [f"{copies} copies"] if copies > 1 else []
        yield Variant(", ".join(circuit), ", ".join(words), changed, base)


def _words(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}={value}" for path, value in point.items())


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
