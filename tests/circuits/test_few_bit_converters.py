"""Converters at the ends of the resolutions that they allow: a bit is a sign, and more bits never read worse."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import Adc, Comparator, FlashAdc, SarAdc, SingleSlopeAdc, SwitchedCapacitor
from amsim.circuits.adc import select_range, standard_tests
from amsim.system.settings import with_settings

KINDS = {
    "ideal": lambda bits: Adc(bits=bits),
    "bottom-plate": lambda bits: SarAdc(bits=bits),
    "shared-line": lambda bits: SarAdc(bits=bits, topology="shared-line"),
    "split": lambda bits: SarAdc(bits=bits, topology="split", low_bits=min(4, bits - 1)),
    "flash": lambda bits: FlashAdc(levels=2**bits),
    "single-slope": lambda bits: SingleSlopeAdc(bits=bits),
}
# Nothing to split in one bit; a flash ends at 1024 levels.
ALLOWED = {kind: range(1, 17) for kind in KINDS} | {"split": range(2, 17), "flash": range(1, 11)}


def pairs(*wanted):
    return [(kind, bits) for kind in KINDS for bits in wanted if bits in ALLOWED[kind]]


def sums_of(rows, columns=4):
    inputs = jnp.sign(jax.random.normal(jax.random.key(rows), (64, rows)))
    weights = jnp.sign(jax.random.normal(jax.random.key(1), (rows, columns)))
    return inputs, weights, np.asarray(inputs @ weights)


# 256 is long as 255, and 7 odd as it.
@pytest.mark.sampled
@pytest.mark.parametrize("rows", [256, pytest.param(255, marks=pytest.mark.slow), 7, 1])
@pytest.mark.parametrize(("kind", "bits"), pairs(1, 2))
def test_the_middle_transition_tells_signs(kind, bits, rows):
    inputs, weights, sums = sums_of(rows)
    macro = SwitchedCapacitor(rows=rows, columns=4, adc=KINDS[kind](bits))
    read = np.asarray(macro.matmul(inputs, weights))
    lsb = float(macro.adc.lsb(float(rows)))
    if bits == 1 or lsb > 1:
        assert np.all((read > 0) == (sums >= 0))
        np.testing.assert_array_equal(np.asarray(macro.matmul(-inputs, weights))[sums != 0], -read[sums != 0])
        assert np.abs(read).min() == pytest.approx(lsb)
    if 2**bits > rows:
        np.testing.assert_array_equal(read, sums)


@pytest.mark.parametrize("kind", ["ideal", "bottom-plate", "flash", "single-slope"])
def test_a_one_bit_converter_is_a_comparator(kind):
    """The decision at threshold 0 on nominal lines; on those of a die, with the offset of the column's comparator."""
    inputs, weights, sums = sums_of(64)
    comparator = Comparator(offset_sigma=20e-3, trim=None)
    macro = SwitchedCapacitor(
        rows=64, columns=4, adc=KINDS[kind](1).ideal(), mismatch_coefficient=0.0, comparator=comparator
    )
    np.testing.assert_array_equal(np.sign(macro.matmul(inputs, weights)), macro.decide(inputs, weights))
    die = macro.fabricate(jax.random.key(2))
    above = sums + np.asarray(macro.prepare(die).offset) >= 0
    np.testing.assert_array_equal(np.asarray(macro.matmul(inputs, weights, die=die)) > 0, above)
    assert np.any(above != (sums >= 0))


@pytest.mark.parametrize("bits", [1, pytest.param(2, marks=pytest.mark.slow)])  # other programs of the same converters
def test_noise_that_vanishes_leaves_the_noiseless_code(bits):
    inputs, weights, _ = sums_of(64)
    for kind in (kind for kind, allowed in pairs(bits)):
        macro = SwitchedCapacitor(rows=64, columns=4, adc=KINDS[kind](bits), comparator=Comparator(noise=1e-9))
        quiet = dataclasses.replace(macro, temperature=1e-9)
        read = quiet.matmul(inputs, weights, key=jax.random.key(0))
        away = np.asarray(inputs @ weights) != 0
        np.testing.assert_array_equal(np.asarray(read)[away], np.asarray(quiet.matmul(inputs, weights))[away])


LONG_LINE = 1024.0
LONG_SUMS = jnp.asarray(np.random.default_rng(0).binomial(int(LONG_LINE), 0.5, 4000), jnp.float32)


@functools.cache
def chosen_range(bits):
    return select_range(LONG_SUMS, LONG_LINE, bits)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["chosen", "default"])
def test_more_bits_never_read_a_line_worse(kind, method):
    """With the range that suits each resolution, and with full scale over all sums."""
    errors = []
    for bits in (1, 2, 3, 4, 8, 10, 13, 16):
        if bits in ALLOWED[kind]:
            adc = KINDS[kind](bits)
            if method == "chosen":
                adc = dataclasses.replace(adc, range=chosen_range(bits))
            off = adc.convert(LONG_SUMS, LONG_LINE) - LONG_SUMS
            errors.append(float(jnp.sqrt(jnp.mean(off**2))))
    assert errors == sorted(errors, reverse=True)
    # Once a step is a cell, nothing is left.
    assert errors[-1] == 0


@pytest.mark.sampled
@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("shift", [0.0, 3.5, -40.0])
def test_ranges_of_few_bits_are_what_their_method_says(bits, shift):
    rows = 200.0
    values = jnp.asarray(np.random.default_rng(8).normal(100 + shift, 12, 5000), jnp.float32)

    def error(full_scale):
        return float(jnp.mean((Adc(bits=bits, range=full_scale).convert(values, rows) - values) ** 2))

    best = float(select_range(values, rows, bits, method="minimum-error"))
    assert error(best) <= 1.02 * min(error(one) for one in np.linspace(0.01, 2.0, 300))
    if shift == 0:
        # Max, IRE Trans. Inf. Theory 6 (1960): steps of 1.596 and 0.996 sigma suit a Gaussian best.
        assert best * rows / 2**bits == pytest.approx({1: 1.596, 2: 0.9957}[bits] * 12, rel=0.06)
        assert error(best) / 144 == pytest.approx({1: 0.3634, 2: 0.1188}[bits], rel=0.05)
    full = float(select_range(values, rows, bits, method="min-max"))
    assert float(Adc(bits=bits, range=full * 1.0001).clipped_fraction(values, rows)) == 0
    most = float(select_range(values, rows, bits, method="percentile", coverage=0.9))
    assert float(Adc(bits=bits, range=most).clipped_fraction(values, rows)) <= 0.101


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", KINDS)
def test_more_bits_never_come_for_free(kind):
    """Each in area, energy and time, alone and as a setting of an array."""
    macro = SwitchedCapacitor(rows=8, columns=2, adc=KINDS[kind](ALLOWED[kind][0]))
    setting = "macro.adc.levels" if kind == "flash" else "macro.adc.bits"
    found = []
    for bits in ALLOWED[kind]:
        adc = KINDS[kind](bits)
        change = {setting: adc.levels if kind == "flash" else bits}
        change |= {"macro.adc.low_bits": adc.low_bits} if kind == "split" else {}
        array = with_settings(macro, change)
        assert float(array.area) == pytest.approx(float(macro.area + 2 * (adc.area - macro.adc.area)), rel=1e-5)
        supply, decision = jnp.asarray(0.6), jnp.asarray(50e-15)
        found.append([float(adc.area), float(adc.energy(supply, decision)), float(adc.conversion_time(64.0))])
    area, energy, time = np.diff(found, axis=0).T
    assert np.all(area > 0)
    assert np.all(energy > 0)
    # A flash compares all levels at once.
    assert np.all(time >= 0 if kind == "flash" else time > 0)


def test_area_of_an_ideal_converter():
    """2660 um^2 at 8 bits (facts 6.3); between resolutions the ratio of facts 6.4, 10**-0.0369 * 2 per bit."""
    areas = np.array([float(Adc(bits=bits).area) for bits in range(1, 17)])
    assert areas[7] == pytest.approx(2660e-12, rel=1e-6, abs=0)
    np.testing.assert_allclose(areas[1:] / areas[:-1], 2 * 10**-0.0369, rtol=1e-5)
    # A copy of another resolution has the area of that one; an area of one's own stays.
    for bits in (1, 6, 16):
        copy = dataclasses.replace(dataclasses.replace(Adc(range=0.5), bits=bits), linear_capacitance=1e-15)
        assert float(copy.area) == float(Adc(bits=bits).area)
        own = dataclasses.replace(Adc(bits=8, area=1e-9), bits=bits)
        assert float(own.area) == pytest.approx(1e-9, rel=1e-6, abs=0)
    traced = jax.jit(lambda area: Adc(bits=6, area=area).area)(jnp.asarray(2660e-12))
    assert float(traced) == pytest.approx(2660e-12, rel=1e-6, abs=0)
    assert float(dataclasses.replace(Adc(bits=4, area=0), bits=6).area) == 0


def test_a_line_of_one_bit_with_a_chosen_range_follows_its_sums():
    inputs, weights, sums = sums_of(64)
    macro = SwitchedCapacitor(rows=64, columns=4, adc=Adc(bits=1)).with_selected_range(inputs, weights)
    read = np.asarray(macro.matmul(inputs, weights))
    assert np.all((read > 0) == (sums >= 0))
    assert np.mean((read - sums) ** 2) < 0.4 * np.mean(sums**2)


@pytest.mark.parametrize("kind", ["ideal", "bottom-plate", "flash", "single-slope"])
def test_standard_tests_of_one_bit(kind):
    """A square wave: 8 / pi^2 of its power is the sine, so that it has 0.99 effective bits less than none at all."""
    adc = KINDS[kind](1)
    cycles = standard_tests.coherent_cycles(4096, 400.0)
    wave = jnp.asarray(standard_tests.full_scale_sine(2, 4096, cycles), jnp.float32)
    codes = np.asarray(adc.read_codes(wave, die=None, noise=None), float)
    assert set(codes) == {-1.0, 0.0}
    fit = standard_tests.fit_sine(codes)
    share = 8 / np.pi**2
    assert fit.sndr == pytest.approx(10 * np.log10(share / (1 - share)), abs=0.1)
    assert fit.offset == pytest.approx(-0.5, abs=1e-3)
    np.testing.assert_array_equal(np.asarray(adc.transitions()), [-0.5])
