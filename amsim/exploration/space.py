"""What an exploration may choose, and the limits that a choice has to keep."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from amsim.chips.designs import FAMILIES, is_family
from amsim.circuits.checks import integers_from_one, is_real_number, number_between, part_of, shown, words
from amsim.circuits.technology.sram import Sram
from amsim.results.provenance import described
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE

WEIGHT_MEMORIES = tuple(size * KILOBYTE for size in (4.0, 16.0, 64.0, 261.5))
ACTIVATION_MEMORIES = tuple(size * KILOBYTE for size in (4.0, 16.0, 64.0))
"""Capacities that are tried, bits; the largest are those of the designs that `amsim.compare` compares."""

CHOSEN_OTHERWISE = {
    r"weight_memory(\.capacity)?": "is `weight_memory`",
    r"activation_memory(\.capacity)?": "is `activation_memory`",
    r"power(\.rate)?": "is `Limits.rate`",
    r"spreads(\..+)?\.count|spreads(\.[^.]+)?": "is `copies`",
    r"(.*\.)?supply": "candidates choose",
    r"(.*\.)?comparator(\.noise)?": "candidates choose",
}
"""Paths that settings may not have, as patterns, with what chooses them."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits that a design has to keep; None is no limit.

    Attributes:
        latency: Largest time of one inference, s.
        area: Largest chip area, m^2.
        power: Largest average power, W: energy per inference times the rate, or over the time of one inference where
            no rate is given.
        weights: Most bits of weights.
        rate: Inferences per second that the design has to do, 1/s; the time between them is idle and leaks. None lets
            them run back to back.

    Raises:
        ValueError: A limit that is not a number above 0.
    """

    latency: float | None = None
    area: float | None = None
    power: float | None = None
    weights: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        """Check that every limit is a number above 0."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                number_between(field.name, value, 1e-300, float("inf"))

    @property
    def by_quantity(self) -> dict[str, float]:
        """Limits that are given, by what they limit."""
        limited = ("latency", "area", "power", "weights")
        return {name: float(getattr(self, name)) for name in limited if getattr(self, name) is not None}


@dataclasses.dataclass(frozen=True)
class DesignSpace:
    """Hardware that an exploration chooses among, for every network.

    A family stands on the memories and the control of `amsim.chips.designs.Design`, with the word lengths of the
    network at each site. Its supplies, and for analog arrays the noise of the comparators, are the candidates of
    `amsim.compare`. All combinations are computed.

    Attributes:
        families: Circuit families: "switched-capacitor", "digital-binary", "multi-precision", or registered classes.
        copies: Parallelism: copies of the macros side by side.
        weight_memory: Capacities of the weight memory, bits.
        activation_memory: Capacities of the activation memory, bits.
        settings: Further settings of the hardware by path (`amsim.system.settings`), with the values to try; a family
            without the setting does without. Those of macros count as another circuit, whose accuracy is its own.
            Supplies and noises of comparators are none: candidates choose them.

    Raises:
        ValueError: An unknown family, an empty or impossible choice, or a value twice.
    """

    families: Sequence[str] = FAMILIES
    copies: Sequence[int] = (1,)
    weight_memory: Sequence[float | int] = WEIGHT_MEMORIES
    activation_memory: Sequence[float | int] = ACTIVATION_MEMORIES
    settings: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check each choice."""
        for name in words("families", self.families):
            if name not in FAMILIES and not is_family(name):
                raise ValueError(
                    f"Argument `families` must have {', '.join(FAMILIES)} or registered classes "
                    f"(`amsim.circuits.register`), but has {name!r}."
                )
        integers_from_one("copies", self.copies)
        for name in ("weight_memory", "activation_memory"):
            for value in _some(name, getattr(self, name)):
                number_between(name, value, 1.0, float("inf"))
                Sram(capacity=value)
        part_of("settings", self.settings, Mapping)
        for path, values in self.settings.items():
            part_of("settings", path, str)
            _different(f"settings[{path!r}]", values)
            for pattern, what in CHOSEN_OTHERWISE.items():
                if re.fullmatch(pattern, path):
                    raise ValueError(f"Argument `settings` must not have {path!r}, which {what}.")
        for name in ("families", "copies", "weight_memory", "activation_memory"):
            _different(name, getattr(self, name))


def _different(name: str, values: Any) -> None:
    """Raise ValueError unless values are a list without a value twice; values need not be hashable."""
    several = _some(name, values)
    if len({float(one) if is_real_number(one) else described(one) for one in several}) < len(several):
        raise ValueError(f"Argument `{name}` must have different values, but is {shown(values)}.")


def _some(name: str, values: Any) -> Sequence[Any]:
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"Argument `{name}` must be a list of at least one value, but is {shown(values)}.")
    return values


def with_rate(accelerator: Accelerator, rate: float | None) -> Accelerator:
    """The accelerator at a rate of inferences, 1/s; None leaves it as it is."""
    if rate is None:
        return accelerator
    return dataclasses.replace(accelerator, power=dataclasses.replace(accelerator.power, rate=rate))
