"""How units are written: SI symbols without prefixes, as in "V", "J V2", "F^0.5" and "1/s"."""

import re

SYMBOLS = (
    "m", "kg", "s", "A", "K", "mol", "cd", "rad", "Hz", "N", "Pa", "J", "W", "C", "V", "F", "Ohm", "S", "Wb", "T", "H",
    "bit", "LSB", "dB",
)  # fmt: skip
"""Units of which others are made: those of the SI, bits, steps of a converter and decibels."""

NOT_GIVEN = "unit not given"
"""Unit of quantities without a label, such as outputs of a user's own function."""

_FACTOR = rf"(?:{'|'.join(SYMBOLS)})(?:[2-9]|\^-?\d+(?:\.\d+)?)?"
_PRODUCT = rf"{_FACTOR}(?: {_FACTOR})*"
_UNIT = re.compile(rf"(?:1|{_PRODUCT})(?:/{_PRODUCT})?")


def is_unit(text: str) -> bool:
    """Whether a text is a unit; "1" is that of a dimensionless number."""
    return isinstance(text, str) and _UNIT.fullmatch(text) is not None


def check_unit(unit: str) -> None:
    """Raise ValueError unless a text is a unit."""
    if not is_unit(unit):
        raise ValueError(
            "Argument `unit` must be made of SI symbols without prefixes, such as 'V', 'J/bit' or 'F^0.5', or be '1', "
            f"but is {unit!r}."
        )
