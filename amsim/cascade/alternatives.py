"""Alternatives of stages: other supplies, word lengths or circuits, or none, and all combinations of them."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp

from amsim.cascade.chain import Cascade
from amsim.cascade.stage import Stage, StatedDetector
from amsim.circuits.checks import number_between, one_of, part_of, shown
from amsim.circuits.technology.process import Process
from amsim.deployment.chip import Chip
from amsim.system.supply import scaled_to_supply

Choices = Mapping[str, Sequence[Stage | None]]
"""Alternatives of a stage by its name; None leaves it out."""


def stage_at_supply(stage: Stage, supply: float, *, process: Process | None = None) -> Stage:
    """The stage with its hardware at another supply, on the same die; its name tells the supply.

    Args:
        stage: A stage.
        supply: V.
        process: As in `amsim.system.scaled_to_supply`.

    Raises:
        ValueError: As `amsim.system.scaled_to_supply`.
    """
    part_of("stage", stage, Stage)
    number_between("supply", supply, 1e-3, 10.0)
    accelerator = scaled_to_supply(stage.accelerator, process)(jnp.asarray(supply, float))
    chip: Chip | StatedDetector
    if isinstance(stage.chip, Chip):
        chip = dataclasses.replace(stage.chip, accelerator=accelerator)
    else:
        chip = dataclasses.replace(stage.chip, hardware=accelerator)
    return dataclasses.replace(stage, name=f"{stage.name} at {supply:g} V", chip=chip)


def arrangements(cascade: Cascade, choices: Choices | None) -> Iterator[tuple[str, Cascade]]:
    """Every combination of alternatives as a cascade, by the names of its stages.

    Args:
        cascade: A cascade.
        choices: Alternatives of stages by name; None among them leaves the stage out.

    Raises:
        ValueError: No cascade, an unknown name, or alternatives that are not stages or None.
    """
    part_of("cascade", cascade, Cascade)
    given = {} if choices is None else choices
    if not isinstance(given, Mapping):
        raise ValueError(f"Argument `choices` must be lists of stages by name, but is {shown(choices)}.")
    for name, several in given.items():
        one_of("choices", name, cascade.names)
        wrong = not isinstance(several, Sequence) or not several
        if wrong or not all(one is None or isinstance(one, Stage) for one in several):
            raise ValueError(f"Argument `choices` must have stages or None for {name!r}, but has {shown(several)}.")
    return _combined(cascade, _named_options(cascade, given))


def _combined(cascade: Cascade, options: list[Sequence[Stage | None]]) -> Iterator[tuple[str, Cascade]]:
    for combination in itertools.product(*options):
        stages = [one for one in combination if one is not None]
        if not stages:
            continue
        stages[0] = dataclasses.replace(stages[0], rate=cascade.stages[0].rate)
        yield " + ".join(one.name for one in stages), dataclasses.replace(cascade, stages=tuple(stages))


def _named_options(cascade: Cascade, given: Choices) -> list[Sequence[Stage | None]]:
    """Alternatives of every stage; no two stages of one name, by which they are told apart."""
    options = [given.get(stage.name, [stage]) for stage in cascade.stages]
    names = [one.name for several in options for one in several if one is not None]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"Argument `choices` must have stages of different names, but has {twice[0]!r} twice.")
    return options
