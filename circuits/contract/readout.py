"""How lines of a site are read as numbers: digits of both operands, range and centre of the converters, and why."""

from typing import Any, NamedTuple

from amsim.circuits.selection.codes import DigitSet

Coding = tuple[DigitSet, DigitSet]
"""Digits of inputs and of weights."""


class Readout(NamedTuple):
    """Choice for the lines of one site.

    Attributes:
        coding: Digits of inputs and of weights.
        full_scale: Range of the converters relative to the swing of the driven rows, 1.
        centre: Shift of the lines by their bias DACs, counts, shape (tiles, slices); None leaves them as they are.
        error: Expected squared error of an output, in squares of the product of both codes' steps.
        energy: Energy of array and readout for one output vector, J.
        reason: Why, in words.
    """

    coding: Coding
    full_scale: float
    centre: Any
    error: float
    energy: float
    reason: str


def coding_name(coding: Coding) -> str:
    """Name of a coding, such as "bipolar x ternary"."""
    return "{} x {}".format(*coding)
