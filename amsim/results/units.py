"""Numbers with their unit as designers write them: uJ, fF, mm2; the one place for prefixes of plain text."""

import math

PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}

PREFIXED = ("F", "V", "A", "s", "Hz", "J", "W", "Ohm")
"""Units that take an SI prefix."""

SQUARE_MILLIMETRES = 1e6
"""Square millimetres in a square metre."""


def with_prefix(value: float, unit: str, digits: int = 3) -> str:
    """Value with its unit and an SI prefix: `5.19e-05`, "V" is "51.9 uV"; an area is in mm2, and "1" is left out."""
    scale, written = scale_of(value, unit, digits)
    return f"{scale * value:.{digits}g} {written}".rstrip()


def scale_of(largest: float, unit: str, digits: int = 4) -> tuple[float, str]:
    """Factor that brings numbers up to `largest` into 1 .. 1000, and the unit they then have; "" for the unit "1"."""
    if unit == "m2":
        return SQUARE_MILLIMETRES, "mm2"
    if unit not in PREFIXED or not largest or not math.isfinite(largest):
        return 1.0, "" if unit == "1" else unit
    # As it is after rounding: 999.96 V of four digits is 1 kV.
    power = 3 * math.floor(math.log10(float(f"{abs(largest):.{digits}g}")) / 3)
    power = min(max(power, min(PREFIXES)), max(PREFIXES))
    return 10.0**-power, f"{PREFIXES[power]}{unit}"
