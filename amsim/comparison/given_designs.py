"""Designs of a comparison as a user names them: families at a word length, published chips, hardware of one's own."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from amsim.chips.designs import DEFAULT_DESIGNS, FAMILIES, Design, design, named_design
from amsim.chips.presets import PRESETS
from amsim.circuits.checks import shown, words
from amsim.comparison.network_facts import NetworkFacts
from amsim.system.accelerator import Accelerator

FREE_WORD_LENGTHS = (4, 8)
"""Word lengths that a network which fixes none is put on: those that most networks stand without training."""

BY_ROLE = {"digital_sites": "last", "image_sites": "first"}
"""Arguments of published chips that are a pattern of sites, by the role of these."""


@dataclasses.dataclass(frozen=True, eq=False)
class GivenDesign:
    """Hardware that is compared as it is given: its settings are its own, not chosen by the procedure.

    Attributes:
        name: Name in the comparison.
        hardware: A macro, an `Accelerator`, rules, or a function of `amsim.chips`.

    Raises:
        ValueError: A name that is no text or empty, or something that is no hardware.
    """

    name: str
    hardware: Any

    def __post_init__(self) -> None:
        """Check name and hardware."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"Argument `name` must be a text that is not empty, but is {shown(self.name)}.")
        if not inspect.isfunction(self.hardware):
            Accelerator.of(self.hardware)

    def accelerator(self, *, first: str | None = None, last: str | None = None) -> Accelerator:
        """The hardware; where a published chip treats sites by a pattern, these are found by their role.

        Args:
            first: Pattern of the sites that the data feed.
            last: Pattern of the sites whose results are the outputs.
        """
        if not inspect.isfunction(self.hardware):
            return Accelerator.of(self.hardware)
        taken = inspect.signature(self.hardware).parameters
        roles = {"first": first, "last": last}
        patterns = {name: roles[role] for name, role in BY_ROLE.items() if name in taken and roles[role]}
        return self.hardware(**patterns)


AnyDesign = Design | GivenDesign


def given_designs(argument: str, designs: Any) -> list[AnyDesign] | None:
    """Designs that are named or given; None for None.

    Args:
        argument: Name of the argument, for messages.
        designs: Names `FAMILY-Nb` and of published chips; or a mapping of names to these or to hardware.

    Raises:
        ValueError: No design, one twice, an unknown name, or something that is no hardware.
    """
    if designs is None:
        return None
    if isinstance(designs, Mapping):
        found = [_of_hardware(argument, name, one) for name, one in designs.items()]
    else:
        names: Sequence[str] = words(argument, designs)
        if len(set(names)) < len(names):
            raise ValueError(f"Argument `{argument}` must not name a design twice, but is {', '.join(names)}.")
        found = [_named(argument, name) for name in names]
    if not found:
        raise ValueError(f"Argument `{argument}` must name at least one design, but is empty.")
    return found


def _named(argument: str, name: str) -> AnyDesign:
    return GivenDesign(name, PRESETS[name]) if name in PRESETS else named_design(argument, name)


def _of_hardware(argument: str, name: Any, one: Any) -> AnyDesign:
    if not isinstance(name, str) or not name:
        raise ValueError(f"Argument `{argument}` must have texts as names, but has {shown(name)}.")
    if isinstance(one, str):
        named = _named(argument, one)
        return named if named.name == name else GivenDesign(name, named.accelerator())
    if not (inspect.isfunction(one) and one in PRESETS.values()):
        try:
            one = Accelerator.of(one)
        except ValueError as error:
            raise ValueError(f"Argument `{argument}` has no hardware under {name!r}: {error}") from None
    return GivenDesign(name, one)


def default_designs(facts: NetworkFacts | None) -> list[AnyDesign]:
    """Designs where none are named: without a network the default ones, else all families at its word length.

    Args:
        facts: What the network fixes; None is without one.
    """
    if facts is None:
        return [design(name) for name in DEFAULT_DESIGNS]
    lengths = FREE_WORD_LENGTHS if facts.bits is None else (facts.bits,)
    return [Design(family, length) for length in lengths for family in FAMILIES]
