"""Memories as entries of ZigZag's accelerator file, innermost first in its hierarchy. Energies in pJ, areas in mm^2."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from amsim.circuits.technology.sram import Dram, Sram

DRAM_WORD = 64
"""Bits of a DRAM access in the files; amsim's energy is per bit, so the choice cancels."""

DRAM_CAPACITY = 10**12
"""Bits; ZigZag requires the outermost memory to hold everything."""


def register_entry(size: int, width: int, operands: Sequence[str], serves: Sequence[str]) -> dict[str, Any]:
    """Entry of registers that cost nothing, one for each row (D2) or column (D1) that they do not serve."""
    return {
        "size": size,
        "r_cost": 0.0,
        "w_cost": 0.0,
        "area": 0.0,
        "latency": 1,
        "operands": list(operands),
        "ports": _ports(width, operands, operands),
        "served_dimensions": list(serves),
    }


def sram_entry(memory: Sram, operands: Sequence[str], off_chip: Sequence[str]) -> dict[str, Any]:
    """Entry of an SRAM that serves the whole array; `off_chip` names the operands that it gets from DRAM."""
    width = memory.organisation.word_width
    word = jnp.asarray(float(width))
    return {
        "size": int(memory.capacity),
        "r_cost": float(memory.energy(word)) * 1e12,
        "w_cost": float(memory.write_energy(word)) * 1e12,
        "area": float(memory.area()) * 1e6,
        "latency": 1,
        "operands": list(operands),
        "ports": _ports(width, operands, [operand for operand in operands if operand in off_chip]),
        "served_dimensions": ["D1", "D2"],
    }


def dram_entry(memory: Dram | None, operands: Sequence[str]) -> dict[str, Any]:
    """Entry of the outermost memory."""
    if memory is None:
        raise ValueError("Argument `hardware` must have a `dram`, since the network does not fit its memories.")
    word = float(memory.energy(jnp.asarray(float(DRAM_WORD)))) * 1e12
    return {
        "size": DRAM_CAPACITY,
        "r_cost": word,
        "w_cost": word,
        "area": 0.0,
        "latency": 1,
        "operands": list(operands),
        "ports": _ports(DRAM_WORD, operands, ()),
        "served_dimensions": ["D1", "D2"],
    }


def _ports(width: int, operands: Sequence[str], from_above: Sequence[str]) -> list[dict[str, Any]]:
    """Read and write port; an access of fewer bits than a word costs its share, as in amsim."""
    reads = [f"{operand}, tl" for operand in operands]
    writes = [f"{operand}, fh" for operand in from_above]
    if "O" in operands:
        writes.append("O, fl")
    if "O" in from_above:
        reads.append("O, th")
    kinds = {"read": ("r_port_1", reads), "write": ("w_port_1", writes)}
    return [
        {"name": name, "type": kind, "bandwidth_min": 1, "bandwidth_max": width, "allocation": allocation}
        for kind, (name, allocation) in kinds.items()
        if allocation
    ]
