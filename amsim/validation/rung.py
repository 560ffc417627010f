"""One rung of the ladder of trust: a value of the model, a reference from elsewhere, and their tolerance."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jax.typing import ArrayLike

from amsim.circuits.checks import one_of, text

LEVELS = (
    "closed form",
    "circuit simulator",
    "converter test",
    "digital exactness",
    "published chip",
    "published accuracy",
    "published curve",
)
"""Levels of the ladder, from the ground up."""

KINDS = ("calibrated on this number", "predicted", "derived")
"""Evidence of a rung. Calibrated: a constant of the model was chosen to meet it. Predicted: nothing was. Derived: the
reference is the law that the model states, evaluated elsewhere, so that it checks the code and not the physics."""


@dataclass(frozen=True)
class Rung:
    """A value of the model and its reference.

    Attributes:
        name: Unique on the ladder.
        level: One of `LEVELS`.
        unit: SI unit of model and reference; "1" for none, "bit", "dB", "LSB", "TOPS/W" or
            "points" (of accuracy) where those are usual.
        model: Computes the value from the public interface, a number in the unit. A `SpiceError` leaves the rung out.
        reference: A number, or the ends (low, high) of a range; not computed by amsim.
        tolerance: Largest allowed distance from the reference or its range: t allows a factor of `1 + t` either way,
            or with `absolute`, a distance of t in the unit.
        kind: One of `KINDS`.
        source: Where the reference is from.
        absolute: Whether the tolerance is in the unit; a reference of 0 needs that.
        held_out: Whether the reference was set aside before anything was calibrated.
        note: Reason of a miss, or a remark on the reference.

    Raises:
        ValueError: An empty text, an unknown level or kind, a reference that is not finite or falls from low to high,
            a tolerance that is not finite or negative, or one relative to 0.
    """

    name: str
    level: str
    unit: str
    model: Callable[[], ArrayLike]
    reference: float | tuple[float, float]
    tolerance: float
    kind: str
    source: str
    absolute: bool = False
    held_out: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        """Check the declaration."""
        for field in ("name", "unit", "source"):
            text(**{field: getattr(self, field)})
            if not getattr(self, field).strip():
                raise ValueError(f"Argument `{field}` of a rung must not be empty, but is for {self.name!r}.")
        one_of("level", self.level, LEVELS)
        one_of("kind", self.kind, KINDS)
        low, high = self.ends
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(
                f"Argument `reference` of {self.name!r} must be finite, and a range must rise, but is {self.reference}."
            )
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(
                f"Argument `tolerance` of {self.name!r} must be finite and at least 0, but is {self.tolerance}."
            )
        if not self.absolute and low <= 0 <= high:
            raise ValueError(
                f"Argument `absolute` of {self.name!r} must be True, but is False: a tolerance relative to a reference "
                f"of {self.reference} means nothing."
            )

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high end of the reference; equal where it is a number."""
        return self.reference if isinstance(self.reference, tuple) else (self.reference, self.reference)

    def nearest_end(self, value: float) -> float:
        """End of the reference that a value is compared with."""
        low, high = self.ends
        return low if abs(value - low) <= abs(value - high) else high

    def ratio(self, value: float) -> float:
        """Ratio of a value to the nearest end of the reference; NaN where that is 0."""
        end = self.nearest_end(value)
        return value / end if end else math.nan

    def within(self, value: float) -> bool:
        """Whether a value is within the tolerance; never for one that is not finite.

        A relative tolerance t allows a factor of `1 + t` either way: 1 means within a factor of two.
        """
        (low, high), slack = self.ends, self.tolerance
        if self.absolute:
            return low - slack <= value <= high + slack
        factor = 1.0 + slack
        return (low / factor if low > 0 else low * factor) <= value <= (high * factor if high > 0 else high / factor)
