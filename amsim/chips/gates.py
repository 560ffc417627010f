"""Logic of presets: stated at 28 nm and 0.9 V, and exact in the fits of a node at the preset's own supply."""

import dataclasses
from typing import Any

from jaxtyping import Array, Float

from amsim.circuits.technology.process import Process
from amsim.circuits.technology.technology import Technology


def capacitance_at(supply: Any, capacitance: Any) -> Float[Array, ""]:
    """Capacitance whose `C V^2` at this supply is the energy of logic of `capacitance` in 28 nm, F.

    The fit of 28 nm is a parabola, `C V^2` within 5 %. A part of this capacitance then costs, at the supply, exactly
    the energy of the fits in any process.

    Args:
        supply: V.
        capacitance: As `CellLibrary` states it, at 0.9 V, F.
    """
    plain = Technology(process=Process(extrapolate=True))
    return plain.switching_energy(capacitance, supply) / supply**2


def gates_at(supply: Any, process: Process) -> Technology:
    """Gates of a process whose capacitances are those of `capacitance_at`.

    Args:
        supply: V.
        process: Node of the gates.
    """
    plain = Technology(process=Process(extrapolate=True)).equivalent(supply)
    return dataclasses.replace(plain, process=process)
