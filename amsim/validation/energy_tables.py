"""Energy of memories, gates, converters and nodes against published tables and fits."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits import Adc, Process, Sram, Technology
from amsim.circuits.adc import survey_energy
from amsim.circuits.technology.technology import adder_tree_full_adders
from amsim.validation.rung import Rung

KILOBYTE = 8 * 1024.0
HOROWITZ = "Horowitz ISSCC'14 (facts 7.1)"
STILLMAKER = "Stillmaker 2017 (facts 7.2)"


def _cache_read(kilobytes: float) -> Float[Array, ""]:
    memory = Sram(kilobytes * KILOBYTE, 0.9, process=Process("45nm"))
    return memory.energy(jnp.asarray(64.0))


def _node_ratio(node: str, supply: float) -> Float[Array, ""]:
    """Energy per event relative to 45 nm at 0.9 V."""
    return Process(node).energy_ratio(supply) / Process("45nm").energy_ratio(0.9)


def _popcount_energy() -> Float[Array, ""]:
    """Energy per MAC of XNOR and ripple tree of 1024 inputs, everything toggling, J."""
    gates = Technology()
    adders = adder_tree_full_adders(1024) / 1024
    return gates.energy("xor", 0.9) + adders * gates.energy("full_adder", 0.9)


def _cache(kilobytes: float, reference: float, tolerance: float, kind: str, note: str) -> Rung:
    return Rung(
        name=f"64-bit read of {kilobytes:g} kB at 45 nm",
        level="closed form",
        unit="J",
        model=lambda: _cache_read(kilobytes),
        reference=reference,
        tolerance=tolerance,
        kind=kind,
        source=HOROWITZ,
        note=note,
    )


def _node(node: str, supply: float, reference: float) -> Rung:
    return Rung(
        name=f"{node} at {supply:g} V over 45nm at 0.9 V",
        level="closed form",
        unit="1",
        model=lambda: _node_ratio(node, supply),
        reference=reference,
        tolerance=0.015,
        kind="derived",
        source=STILLMAKER,
        note="28 nm lies between the published 32 and 20 nm." if node == "28nm" else "",
    )


def _survey(bits: float, reference: float) -> Rung:
    return Rung(
        name=f"survey conversion, {bits:g} bit, 28 nm",
        level="closed form",
        unit="J",
        model=lambda: survey_energy(bits, 1e8, 28e-9),
        reference=reference,
        tolerance=0.01,
        kind="derived",
        source="Accelergy plug-in (facts 6.3)",
    )


ENERGY_TABLES = (
    _cache(8.0, 10e-12, 0.1, "calibrated on this number", "Anchor of the law of memories."),
    _cache(32.0, 20e-12, 0.1, "calibrated on this number", "The exponent 0.5 of the capacity is from this value."),
    _cache(1024.0, 100e-12, 0.3, "predicted", "The table itself grows with the exponent 0.46 up to here."),
    _node("65nm", 1.0, 1.91),
    _node("28nm", 0.6, 0.24),
    _node("16nm", 0.8, 0.17),
    _node("7nm", 0.7, 0.068),
    Rung(
        name="full adder at 28 nm, 0.9 V",
        level="closed form",
        unit="J",
        model=lambda: Technology().energy("full_adder", 0.9),
        reference=3.40e-15,
        tolerance=0.005,
        kind="calibrated on this number",
        source="ZigZag-IMC (facts 7.3)",
    ),
    Rung(
        name="XNOR and popcount, a MAC, 0.9 V",
        level="closed form",
        unit="J",
        model=_popcount_energy,
        reference=7.6e-15,
        tolerance=0.01,
        kind="derived",
        source="gates by hand (facts 7.3)",
    ),
    _survey(4.0, 0.72e-12),
    _survey(8.0, 1.33e-12),
    Rung(
        name="column conversion, 8 bit, 0.9 V",
        level="closed form",
        unit="J",
        model=lambda: Adc(bits=8).energy(jnp.asarray(0.9)),
        reference=701e-15,
        tolerance=0.005,
        kind="derived",
        source="ZigZag-IMC (facts 6.4)",
    ),
)
"""Rungs of energy."""
