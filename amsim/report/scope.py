"""What is modelled in a result, by the hardware that it states, and what amsim leaves out altogether."""

from collections.abc import Iterator
from typing import Any

MODELLED = {
    "SwitchedCapacitor": (
        "capacitor mismatch, layout gradients, offsets after a modelled trim, converter INL, kT/C and comparator "
        "noise, settling, droop and drift, where the parts that have them are given"
    ),
    "DigitalBinary": "XNOR and popcount, exact; weight cells that fail at low supply, where they are given",
    "MultiPrecision": "integers of 1 to 16 bit with a saturating accumulator; supply and clock scale with precision",
    "Measured": "a measured or simulated transfer table, with its own noise",
    "Exact": "nothing of a circuit: the product unchanged",
}
"""Errors and effects of each family of macros."""

NOT_MODELLED = (
    "voltage-overscaled logic",
    "failing cells of the multi-precision unit and of the SRAMs in the accuracy",
    "networks on chip",
    "buses between memories and arrays and the writing of weights into cells",
    "sensors and interfaces",
    "wake-up energy and the loss of data in unpowered memory",
    "SRAM access time against the clock",
    "charge injected by the switches that combine bits",
    "dielectric absorption",
    "capacitor voltage coefficients",
    "comparator hysteresis and coupling between lines",
)
"""What no result of amsim has in it, in the words of the README."""

FIRST_ORDER = (
    "Energies are first order; sums below 2**24 are exact in float32; 0.5-1.1 V at 28 nm; SRAM of 1 kB to 4 MB."
)
"""Range of validity of every result."""


def modelled(hardware: Any) -> list[str]:
    """A line for each kind of macro in a description of hardware: its effects, and the parts that it leaves out."""
    lines: dict[str, None] = {}
    for macro in _macros(hardware):
        kind = macro["type"]
        absent = sorted(name.replace("_", " ") for name, value in macro.items() if value is None)
        line = f"{kind}: {MODELLED.get(kind, 'a family that this page does not know')}."
        lines[line + (f" None here: {', '.join(absent)}." if absent else "")] = None
    return list(lines)


def macro_types(hardware: Any) -> list[str]:
    """Types of the macros in a description of hardware."""
    return list(dict.fromkeys(macro["type"] for macro in _macros(hardware)))


def _macros(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        for one in content:
            yield from _macros(one)
    elif isinstance(content, dict):
        inside = content.get("macros")
        if isinstance(inside, list):
            yield from _macros(inside)
        elif isinstance(content.get("type"), str):
            yield content
