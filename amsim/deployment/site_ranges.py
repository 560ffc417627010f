"""Choices of calibration per site: codes of the operands and range of the readout."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from amsim.circuits.checks import part_of, text, words
from amsim.circuits.contract.macro import Macro
from amsim.circuits.fields import Quantity, optional_array, quantity
from amsim.circuits.selection.codes import IntegerCode
from amsim.workloads.use_names import known_as


class SiteRanges(eqx.Module):
    """The choice for one site; None keeps what the site has without calibration.

    Attributes:
        inputs: Code of its inputs.
        weights: Code of its weights, signed and without a zero-point, one scale or one per column.
        readout: Full scale of its converters, as their field `range`, 1.
        tuning: Shift by the bias DACs of fused neurons towards the upper decision, counts, shape (columns,).
        offset: Correction added to results read as numbers, in units of inputs times weights, shape (columns,).
        centre: Shift of lines read by converters, as the field `readout_centre` of their array, counts.
        reason: Why this was chosen, as `chip.sites()` prints it (static).

    Raises:
        ValueError: A part of the wrong kind, a range that is not above 0, or an offset or tuning that is not finite.
    """

    inputs: IntegerCode | None = None
    weights: IntegerCode | None = None
    readout: Quantity | None = quantity("readout", unit="1", positive=True, optional=True)
    tuning: Float[Array, " columns"] | None = eqx.field(converter=optional_array("tuning"), default=None)
    offset: Float[Array, " columns"] | None = eqx.field(converter=optional_array("offset"), default=None)

    centre: Float[Array, "..."] | None = eqx.field(converter=optional_array("centre"), default=None)
    reason: str = eqx.field(static=True, default="")

    def __repr__(self) -> str:
        parts = ("inputs", "weights", "readout", "tuning", "offset", "centre")
        held = [name for name in parts if getattr(self, name) is not None]
        return f"SiteRanges({', '.join(held) or 'nothing chosen'})"

    def __check_init__(self) -> None:
        """Check the codes."""
        part_of("reason", self.reason, str)
        part_of("inputs", self.inputs, IntegerCode, optional=True)
        part_of("weights", self.weights, IntegerCode, optional=True)

    def macro(self, macro: Macro) -> Macro:
        """The macro as this site uses it."""
        if self.readout is not None:
            macro = macro.with_readout_range(self.readout)
        return macro if self.centre is None else macro.with_readout_centre(self.centre)


def _by_name(sites: Any) -> dict[Any, Any]:
    part_of("sites", sites, Mapping)
    return dict(sites)


def shortened(names: Iterable[str], most: int = 6) -> str:
    """Names in a short list, as objects print what they hold."""
    held = list(names)
    return ", ".join(held) if len(held) <= most else f"{', '.join(held[: most - 1])}, ... {held[-1]}"


class Calibration(eqx.Module):
    """The choice for each site by name; sites without an entry are not calibrated.

    The entry of a layer, such as `tower`, holds for all its uses but those with an entry of their own (`tower#2`;
    `tower#1` is the first).

    Attributes:
        sites: Choices by name.

    Raises:
        ValueError: A name that is not text, or a choice that is not `SiteRanges`.
    """

    sites: dict[str, SiteRanges] = eqx.field(default_factory=dict, converter=_by_name)

    def __check_init__(self) -> None:
        """Check names and choices."""
        for name, ranges in self.sites.items():
            part_of("sites", name, str)
            part_of(f"sites[{name!r}]", ranges, SiteRanges)

    def __repr__(self) -> str:
        return f"Calibration({len(self.sites)} sites: {shortened(self.sites) or 'none'})"

    def of(self, name: str) -> SiteRanges:
        """Choice for a site: its own, or else that of its layer."""
        text(name=name)
        return next((self.sites[one] for one in known_as(name) if one in self.sites), SiteRanges())

    def only(self, names: Collection[str]) -> "Calibration":
        """Choices for these sites only."""
        kept = {one for name in words("names", names) for one in known_as(name)}
        return Calibration({name: ranges for name, ranges in self.sites.items() if name in kept})

    def without_readout(self) -> "Calibration":
        """The codes alone, for readouts that need no range."""
        return Calibration({name: SiteRanges(one.inputs, one.weights) for name, one in self.sites.items()})
