"""Noise, mismatch and charge of a capacitor line against closed forms, by hand or published."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits import ChargeLine
from amsim.noise import MOM_FRINGE_COEFFICIENT, capacitor_mismatch_sigma, ktc_sigma
from amsim.noise.lumped import charge_sharing_snr, layer_conversion_energy, least_sampling_energy
from amsim.validation.rung import Rung

UNITS, BIAS = 1024, 511
"""Unit capacitors and bias section of Bankman's neuron (facts 1.1, 1.3)."""

GONUGONDLA = {1: (12.2, 18.9), 3: (20.2, 23.7), 9: (26.9, 28.5)}
"""Compute SNR, dB, with and without charge injection, for a capacitor in fF (facts 5.4)."""


def _line(capacitors: int) -> ChargeLine:
    return ChargeLine(jnp.full((capacitors,), 1e-15), parasitic=0.0, supply=0.6)


def _line_step() -> Float[Array, ""]:
    one_cell = jnp.zeros((UNITS + BIAS,)).at[0].set(1.0)
    return _line(UNITS + BIAS).settled_voltage(one_cell)


def _redistribution_energy() -> Float[Array, ""]:
    half = jnp.where(jnp.arange(UNITS) < UNITS // 2, 1.0, 0.0)
    return _line(UNITS).supply_energy(half)


def _compute_snr(femtofarads: int, injecting: bool) -> Rung:
    setting = {} if injecting else {"injecting_capacitance": 0.0}
    return Rung(
        name=f"SNR of {femtofarads} fF, {'with' if injecting else 'no'} injection",
        level="closed form",
        unit="dB",
        model=lambda: charge_sharing_snr(6, 6, femtofarads * 1e-15, 1.0, **setting),
        reference=GONUGONDLA[femtofarads][0 if injecting else 1],
        tolerance=0.1,
        absolute=True,
        kind="derived",
        source="Gonugondla TCAD'22 (facts 5.4)",
    )


CLOSED_FORMS = (
    Rung(
        name="kT/C noise of 1 fF",
        level="closed form",
        unit="V",
        model=lambda: ktc_sigma(1e-15, 300.0),
        reference=2.035e-3,
        tolerance=0.001,
        kind="derived",
        source="sqrt(kT/C) by hand (facts 5.1)",
    ),
    Rung(
        name="kT/C noise of 1535 fF",
        level="closed form",
        unit="V",
        model=lambda: ktc_sigma(1535e-15, 300.0),
        reference=51.9e-6,
        tolerance=0.002,
        kind="derived",
        source="sqrt(kT/C) by hand (facts 1.3)",
    ),
    Rung(
        name="least energy, 8-bit sample",
        level="closed form",
        unit="J",
        model=lambda: least_sampling_energy(8),
        reference=3.26e-15,
        tolerance=0.002,
        kind="derived",
        source="12 k T 4^B (facts 5.1)",
    ),
    Rung(
        name="line step of one cell",
        level="closed form",
        unit="V",
        model=_line_step,
        reference=0.391e-3,
        tolerance=0.002,
        kind="derived",
        source="0.6 V / 1535 by hand (facts 1.3)",
    ),
    Rung(
        name="mismatch of 1024 cells, in cells",
        level="closed form",
        unit="1",
        model=lambda: UNITS**0.5 * capacitor_mismatch_sigma(1e-15, MOM_FRINGE_COEFFICIENT),
        reference=0.27,
        tolerance=0.02,
        kind="derived",
        source="32 x 0.85 % by hand (facts 1.3)",
    ),
    Rung(
        name="charge-redistribution energy",
        level="closed form",
        unit="J",
        model=_redistribution_energy,
        reference=0.092e-12,
        tolerance=0.005,
        kind="derived",
        source="N C V^2 p (1 - p) by hand",
    ),
    *(_compute_snr(size, injecting) for injecting in (True, False) for size in GONUGONDLA),
    Rung(
        name="conversion at 10.5 effective bits",
        level="closed form",
        unit="J",
        model=lambda: layer_conversion_energy(10.5),
        reference=0.3e-12,
        tolerance=0.001,
        kind="derived",
        source="Rekhi DAC'19 (facts 5.5)",
        note="The law is recalled from memory.",
    ),
    Rung(
        name="MAC, 12-bit ADC for 8 products",
        level="closed form",
        unit="J",
        model=lambda: layer_conversion_energy(12.0) / 8,
        reference=300e-15,
        tolerance=0.1,
        kind="predicted",
        source="Rekhi DAC'19 (facts 5.5)",
        note="The abstract states about 300 fJ; the law and the 12 bits are recalled.",
    ),
)
"""Rungs of noise, mismatch and charge."""
