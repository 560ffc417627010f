"""Charge-domain lines against a circuit simulator: recorded cases, and a small array simulated on request."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from amsim import spice
from amsim.circuits import BiasDac, ChargeLine, SwitchedCapacitor, adc
from amsim.noise import ktc_sigma
from amsim.validation.rung import Rung

FEMTO = 1e-15


def _farads(*femtofarads: float) -> Float[Array, " capacitors"]:
    return jnp.asarray([value * FEMTO for value in femtofarads], float)


def _levels(pattern: str) -> Float[Array, " capacitors"]:
    """1 for a bottom plate that goes high; units, then bias bits."""
    return jnp.asarray([float(one) for one in pattern.replace(" ", "")])


def _mismatched_line() -> Float[Array, ""]:
    units = (0.8140232, 0.8290965, 0.7890338, 0.8374247, 0.8459576, 0.8271099, 0.8092094, 0.7969462)
    line = ChargeLine(
        _farads(*units, 0.8448957, 1.633831, 3.265166), parasitic=1.843904e-15, supply=0.839, reset_level=0.4195
    )
    return line.settled_voltage(_levels("10010011 110"))


def _matched_settling() -> Float[Array, ""]:
    units = (0.957151, 0.973697, 0.999144, 0.9722005, 0.9782262, 0.9719263, 0.9857488, 0.9932696)
    line = ChargeLine(
        _farads(*units, 0.9748592, 2.007442, 3.965679, 7.965138),
        parasitic=2.642579e-15,
        supply=0.805,
        reset_level=0.4025,
    )
    branch = 3037.2202175 * line.capacitances[0]
    return line.settling_matched(_levels("11110010 0101"), jnp.asarray(9.623091e-13, float), branch)


def _unequal_settling() -> Float[Array, ""]:
    units = (1.098002, 1.14869, 1.09219, 1.109456, 1.123032, 1.114124, 1.148204, 1.116358)
    more = (1.152412, 1.114279, 1.117199, 1.112581, 1.104349, 1.128674, 1.106073, 1.14436)
    line = ChargeLine(
        _farads(*units, *more, 1.096152, 2.263706, 4.533904), parasitic=3.718394e-15, supply=0.744, reset_level=0.372
    )
    resistances = jnp.full((19,), 4126.85)
    return line.settling(_levels("1001000001000001 001"), jnp.asarray(8.340121e-13, float), resistances)


def _supply_energy() -> Float[Array, ""]:
    line = ChargeLine(
        _farads(*[1.03316] * 8, 1.03316, 2.066321, 4.132641), parasitic=4.505206e-15, supply=0.865, reset_level=0.4325
    )
    return line.supply_energy(_levels("00001011 111"))


def _droop() -> Float[Array, ""]:
    units = (1.140863, 1.134769, 1.136466, 1.124462, 1.125838, 1.128997, 1.14145, 1.15045)
    line = ChargeLine(
        _farads(*units, 1.153746, 2.271899, 4.587587), parasitic=3.030095e-15, supply=0.819, reset_level=0.4095
    )
    start = line.settled_voltage(_levels("01001001 000"))
    return line.drooped_voltage(start, jnp.asarray(7.089e-7, float), jnp.asarray(591.25e6, float))


def _sampled_noise() -> Float[Array, ""]:
    units = (1.055237, 1.07394, 1.065238, 1.074876, 1.063243, 1.089099, 1.068891, 1.071763)
    more = (1.063164, 1.064577, 1.089845, 1.064456, 1.067451, 1.08769, 1.07572, 1.04444)
    return ktc_sigma(jnp.sum(_farads(*units, *more)) + 2.245074e-15, 300.0)


def _search_transition() -> Float[Array, ""]:
    levels = adc.bottom_plate_levels(
        _farads(0.9720987, 1.8645, 3.843441, 7.555867),
        0.789,
        dummy=0.929668e-15,
        parasitic=4.388793e-15,
        comparator_offset=2.4288e-3,
    )
    return adc.transition_levels(levels)[7]


def _simulated_array() -> xr.Dataset:
    """Twelve mismatched cells on each of two lines, random operands, simulated when called."""
    macro = SwitchedCapacitor(
        rows=12, columns=2, mismatch_coefficient=0.05 * math.sqrt(FEMTO), bias_dac=BiasDac(bits=3)
    )
    operands = np.random.default_rng(0)
    weights, inputs = operands.choice([-1.0, 1.0], (12, 2)), operands.choice([-1.0, 1.0], (3, 12))
    return spice.run(macro, macro.fabricate(jax.random.key(0)), weights, inputs, timeout=60.0)


def _worst_voltage() -> float:
    """Largest difference between a line and the simulator, V."""
    found = _simulated_array()
    return float(abs(found["line_voltage"] - found["line_voltage_spice"]).max())


def _worst_energy() -> float:
    """Largest relative difference between an energy and the simulator."""
    found = _simulated_array()
    return float(abs(found["supply_energy"] / found["supply_energy_spice"] - 1.0).max())


SIMULATOR_CASES = (
    Rung(
        name="line of mismatched capacitors",
        level="circuit simulator",
        unit="V",
        model=_mismatched_line,
        reference=0.7599483198667573,
        tolerance=1e-5,
        kind="predicted",
        source="ngspice 39, case P-mismatch-00",
    ),
    Rung(
        name="settling, drivers matched",
        level="circuit simulator",
        unit="V",
        model=_matched_settling,
        reference=0.8541198602866437,
        tolerance=2e-5,
        kind="predicted",
        source="ngspice 39, case P-settling-00",
    ),
    Rung(
        name="settling, drivers all alike",
        level="circuit simulator",
        unit="V",
        model=_unequal_settling,
        reference=0.4907345737880864,
        tolerance=2e-5,
        kind="predicted",
        source="ngspice 39, case P-settling-01",
    ),
    Rung(
        name="droop through an open switch",
        level="circuit simulator",
        unit="V",
        model=_droop,
        reference=0.5402766304652761,
        tolerance=1e-5,
        kind="predicted",
        source="ngspice 39, case P-droop-00",
    ),
    Rung(
        name="supply energy of an evaluation",
        level="circuit simulator",
        unit="J",
        model=_supply_energy,
        reference=3.737531928357507e-15,
        tolerance=1e-4,
        kind="predicted",
        source="ngspice 39, case P-energy-00",
    ),
    Rung(
        name="sampled noise of a line",
        level="circuit simulator",
        unit="V",
        model=_sampled_noise,
        reference=0.0004624683895455748,
        tolerance=1e-4,
        kind="predicted",
        source="ngspice 39, case P-noise-00",
    ),
    Rung(
        name="middle level of a 4-bit search",
        level="circuit simulator",
        unit="V",
        model=_search_transition,
        # A search in the simulator put it within a thousandth of 49.3 mV on either side of the middle.
        reference=(0.3899185, 0.3900171),
        tolerance=0.0,
        kind="predicted",
        source="ngspice 39, case P-sar-00",
    ),
    Rung(
        name="live array: worst line",
        level="circuit simulator",
        unit="V",
        model=_worst_voltage,
        reference=0.0,
        tolerance=1e-6,
        absolute=True,
        kind="predicted",
        source="ngspice as installed",
    ),
    Rung(
        name="live array: worst energy",
        level="circuit simulator",
        unit="1",
        model=_worst_energy,
        reference=0.0,
        tolerance=1e-5,
        absolute=True,
        kind="predicted",
        source="ngspice as installed",
    ),
)
"""Rungs of the circuit simulator; the inputs of the recorded cases are those of the golden cases of the same name."""
