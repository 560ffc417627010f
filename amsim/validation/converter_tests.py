"""Standard tests of converters and comparators against the result that a known error must give."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from amsim.circuits import Adc, Comparator, Converter, SarAdc, SwitchedCapacitor
from amsim.circuits.adc import standard_tests
from amsim.circuits.adc.sar import SarDie
from amsim.validation.rung import Rung

SAMPLES = 2**14
CELLS_PER_CODE = 4.0


def _sine_codes(
    converter: Converter,
    *,
    samples: int = SAMPLES,
    overdrive: float = 0.0,
    die: SarDie | None = None,
    noise: float = 0.0,
) -> np.ndarray:
    """Codes, around 0, of a coherent sine over the whole range; noise is sampled on the line, in LSB."""
    cycles = standard_tests.coherent_cycles(samples, 0.043 * samples)
    wave = standard_tests.full_scale_sine(converter.levels, samples, cycles, overdrive=overdrive)
    rows = CELLS_PER_CODE * converter.levels
    read = converter.convert(
        jnp.asarray(rows / 2 + CELLS_PER_CODE * wave[:, None], float),
        rows,
        die=die,
        sampled_noise=CELLS_PER_CODE * noise,
        key=jax.random.key(0) if noise else None,
    )
    return np.rint((np.asarray(read, np.float64)[:, 0] - rows / 2) / CELLS_PER_CODE)


def _effective_bits(noise: float) -> float:
    return standard_tests.fit_sine(_sine_codes(Adc(bits=8), noise=noise)).enob


def _largest_dnl() -> float:
    """DNL at mid range of a 6-bit search whose largest capacitor is half a unit too large."""
    converter = SarAdc(bits=6, unit_capacitance=1e-15, mismatch_coefficient=0.01 * math.sqrt(1e-15))
    draws = jnp.zeros((1, 8)).at[0, 5].set(0.5 / (0.01 * math.sqrt(32)))
    codes = _sine_codes(converter, samples=2**16, overdrive=4.0, die=SarDie(draws, jnp.zeros((1,))))
    return float(np.max(standard_tests.sine_code_density(codes + 32, 64).dnl))


def _offset() -> float:
    """Offset that a sine fit finds when every transition is 1.5 LSB too high."""
    converter = SarAdc(bits=6, mismatch_coefficient=0.0, offset_sigma=1.5)
    codes = _sine_codes(converter, overdrive=-4.0, die=SarDie(jnp.zeros((1, 8)), jnp.ones((1,))))
    return -0.5 - standard_tests.fit_sine(codes).offset


def _share_decided_right() -> float:
    """Fraction of right decisions one count above and below the threshold, at a comparator noise of one count."""
    macro = SwitchedCapacitor(rows=16, mismatch_coefficient=0.0, temperature=0.0)
    noise = 1.0 / macro.counts_per_volt
    macro = dataclasses.replace(macro, comparator=Comparator(noise=noise, offset_sigma=0.0, trim=None))
    # Sums of 0 and -2: the threshold of 0 is realised half way. Both sides, since the tie break moves it by a 64th.
    above = np.where(np.arange(16) % 2, 1.0, -1.0)
    below = np.where(np.arange(16) == 1, -1.0, above)
    inputs = np.repeat(np.stack([above, below]), 1000, axis=0)
    decisions = np.asarray(macro.decide(inputs, np.ones((16, 64)), key=jax.random.key(0)))
    return float(np.mean((decisions > 0) == (np.sum(inputs, axis=1, keepdims=True) >= 0)))


CONVERTER_TESTS = (
    Rung(
        name="effective bits, ideal 8-bit ADC",
        level="converter test",
        unit="bit",
        model=lambda: _effective_bits(0.0),
        reference=8.0,
        tolerance=0.05,
        absolute=True,
        kind="derived",
        source="sine test of IEEE Std 1241",
    ),
    Rung(
        name="effective bits, 0.5 LSB of noise",
        level="converter test",
        unit="bit",
        model=lambda: _effective_bits(0.5),
        reference=7.0,
        tolerance=0.05,
        absolute=True,
        kind="derived",
        source="8 - log2(1 + 3) / 2 by hand",
    ),
    Rung(
        name="DNL, MSB half a unit too large",
        level="converter test",
        unit="LSB",
        model=_largest_dnl,
        reference=0.488,
        tolerance=0.03,
        absolute=True,
        kind="derived",
        source="1.5 / (62.5 / 62) - 1 by hand",
    ),
    Rung(
        name="offset of 1.5 LSB by sine fit",
        level="converter test",
        unit="LSB",
        model=_offset,
        reference=1.5,
        tolerance=0.02,
        absolute=True,
        kind="derived",
        source="sine fit of IEEE Std 1241",
    ),
    Rung(
        name="right decisions one sigma away",
        level="converter test",
        unit="1",
        model=_share_decided_right,
        reference=0.841345,
        tolerance=0.005,
        kind="derived",
        source="normal CDF Phi(1)",
    ),
)
"""Rungs of converters and comparators."""
