"""Converters against their own transitions, closed forms, and standard tests of another package."""

import dataclasses
import math

import adctoolbox
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits.adc import Adc, FlashAdc, SarAdc, SingleSlopeAdc, linearity, select_range, standard_tests
from amsim.circuits.adc.survey import few_bit_energy, survey_energy

SAR = SarAdc(bits=6, unit_capacitance=2e-17)
FAMILIES = {
    "sar": SAR,
    "sar-split": dataclasses.replace(SAR, topology="split", low_bits=3),
    "sar-shared": dataclasses.replace(SAR, topology="shared-line"),
    "flash": FlashAdc(levels=64, offset_sigma=0.4),
    "single-slope": SingleSlopeAdc(bits=6, bow_sigma=1.0, gain_sigma=0.02),
}
IDEAL = {
    "ideal": Adc(bits=6),
    "sar": SarAdc(bits=6, mismatch_coefficient=0.0),
    "sar-split": SarAdc(bits=6, mismatch_coefficient=0.0, topology="split", low_bits=2),
    "sar-shared": SarAdc(bits=6, mismatch_coefficient=0.0, topology="shared-line"),
    "flash": FlashAdc(levels=64, offset_sigma=0.0, ladder_mismatch=0.0),
    "single-slope": SingleSlopeAdc(bits=6, gain_sigma=0.0, bow_sigma=0.0, delay_sigma=0.0),
}
ROWS = 256.0


@eqx.filter_jit
def convert(converter, cells, die=None, key=None, sampled=0.0, decision=0.0):
    return converter.convert(cells, ROWS, 1.0, die=die, key=key, sampled_noise=sampled, decision_noise=decision)


def line_values(count=2000, columns=3, seed=0):
    return np.random.default_rng(seed).uniform(-20, 280, (count, columns)).astype(np.float32)


def codes_of(read):
    """Codes from 0 of values as read: 64 levels of four cells around 128."""
    return np.rint((np.asarray(read, float) - 128) / 4).astype(int) + 32


@pytest.mark.parametrize("name", IDEAL)
def test_without_errors_every_family_rounds(name):
    converter, values = IDEAL[name], line_values()
    expected = 128 + 4 * np.clip(np.rint((values - 128) / 4), -32, 31)
    np.testing.assert_array_equal(convert(converter, jnp.asarray(values)), expected)
    die = converter.fabricate(jax.random.key(0), 3)
    np.testing.assert_array_equal(convert(converter, jnp.asarray(values), die), expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_die_reads_between_its_transitions(name):
    """The code is the number of the die's own transitions at or below the value."""
    converter, values = FAMILIES[name], line_values()
    die = converter.fabricate(jax.random.key(1), 3)
    transitions = np.asarray(converter.transitions(die), float)
    assert transitions.shape == (3, 63)
    assert np.all(np.diff(transitions, axis=1) >= 0)
    places = (values.astype(float) - 128) / 4
    expected = np.stack([np.searchsorted(transitions[c], places[:, c], side="right") for c in range(3)], axis=1)
    found = codes_of(convert(converter, jnp.asarray(values), die))
    clear = np.min(np.abs(places[:, :, None] - transitions[None]), axis=2) > 1e-4
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], expected[clear])
    ideal = converter.ideal()
    assert not np.array_equal(found, codes_of(convert(ideal, jnp.asarray(values))))


@pytest.mark.parametrize("name", FAMILIES)
def test_static_variance_is_that_of_many_dies(name):
    converter = FAMILIES[name]
    if name == "flash":
        converter = dataclasses.replace(converter, offset_sigma=0.2)  # thresholds that rarely change places
    # One column a die: the columns of a die may share a ramp.
    keys = jax.random.split(jax.random.key(2), 4000)
    many = np.asarray(jax.jit(jax.vmap(lambda key: converter.transitions(converter.fabricate(key, 1))))(keys), float)
    ideal = np.arange(63) - 31.5
    measured = np.mean((many - ideal) ** 2)
    assert float(converter.static_variance()) == pytest.approx(measured, rel=0.12)


@pytest.mark.parametrize("name", [*FAMILIES, "ideal"])
def test_noise_makes_decisions_random_near_a_transition(name):
    """Half a step above a transition of one standard deviation of noise: the rate of lower codes is a normal tail."""
    converter = IDEAL[name]
    values = jnp.full((40000, 1), 128.0 + 4.0)  # the middle of a code
    sigma = 2.0  # cells: a transition is one sigma away on either side
    sampled = codes_of(convert(converter, values, None, jax.random.key(3), sampled=sigma))
    tail = 0.15866
    assert np.mean(sampled < 33) == pytest.approx(tail, abs=0.01)
    assert np.mean(sampled > 33) == pytest.approx(tail, abs=0.01)
    decided = codes_of(convert(converter, values, None, jax.random.key(4), decision=sigma))
    # A search or a ladder of comparators errs a little differently, never not at all.
    assert 0.2 < np.mean(decided != 33) < 0.45
    assert np.array_equal(decided, codes_of(convert(converter, values, None, jax.random.key(4), decision=sigma)))
    np.testing.assert_array_equal(codes_of(convert(converter, values)), 33)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradient_goes_straight_through(name):
    converter = FAMILIES[name]
    die = converter.fabricate(jax.random.key(5), 3)
    values = jnp.asarray(line_values(50))
    slope = jax.grad(lambda v: jnp.sum(convert(converter, v, die)))(values)
    inside = (np.asarray(values) > 10) & (np.asarray(values) < 245)
    # A ramp of the wrong slope also has the wrong derivative.
    np.testing.assert_allclose(np.asarray(slope)[inside], 1.0, rtol=0.1 if name == "single-slope" else 1e-5)
    static = eqx.filter_grad(lambda c: jnp.mean((convert(c, values, die) - values) ** 2))(converter)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(static))


def sine_codes(converter, die=None, samples=2**14, overdrive=0.0):
    cycles = standard_tests.coherent_cycles(samples, 0.043 * samples)
    wave = standard_tests.full_scale_sine(64, samples, cycles, overdrive=overdrive)
    read = convert(converter, jnp.asarray(128 + 4 * wave[:, None], jnp.float32), die)
    return codes_of(read)[:, 0], cycles


def test_sndr_of_an_ideal_converter():
    codes, cycles = sine_codes(Adc(bits=6))
    fit = standard_tests.fit_sine(codes.astype(float))
    spectrum = standard_tests.coherent_spectrum(codes.astype(float), cycles)
    assert fit.sndr == pytest.approx(6.0206 * 6 + 1.761, abs=0.25)
    assert spectrum.sndr == pytest.approx(fit.sndr, abs=0.05)
    assert fit.enob == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("name", FAMILIES)
def test_standard_tests_agree_with_adctoolbox(name):
    converter = FAMILIES[name]
    die = converter.fabricate(jax.random.key(6), 1)
    codes, cycles = sine_codes(converter, die)
    ours = standard_tests.fit_sine(codes.astype(float))
    theirs = adctoolbox.analyze_spectrum(codes.astype(float), win_type="boxcar", side_bin=0, create_plot=False)
    assert ours.sndr == pytest.approx(theirs["sndr_dbc"], abs=0.1)
    assert ours.enob == pytest.approx(theirs["enob"], abs=0.02)
    spectrum = standard_tests.coherent_spectrum(codes.astype(float), cycles)
    assert spectrum.sfdr == pytest.approx(theirs["sfdr_dbc"], abs=0.1)
    fitted = adctoolbox.fit_sine_4param(codes.astype(float), max_iterations=10)
    assert ours.amplitude == pytest.approx(float(fitted["amplitude"]), rel=1e-5)
    assert ours.frequency == pytest.approx(float(fitted["frequency"]), rel=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_code_density_finds_the_transitions_linearity(name):
    converter = FAMILIES[name]
    die = converter.fabricate(jax.random.key(7), 1)
    static = linearity(jnp.asarray(np.asarray(converter.transitions(die))[0]))
    codes, _ = sine_codes(converter, die, samples=2**17, overdrive=4.0)
    by_sine = standard_tests.sine_code_density(codes, 64)
    np.testing.assert_allclose(by_sine.inl, static.inl, atol=0.03)
    np.testing.assert_allclose(by_sine.dnl, static.dnl, atol=0.03)
    ramp = np.linspace(-20, 280, 2**17, dtype=np.float32)[:, None]
    by_ramp = standard_tests.ramp_code_density(codes_of(convert(converter, jnp.asarray(ramp), die))[:, 0], 64)
    np.testing.assert_allclose(by_ramp.inl, static.inl, atol=0.01)
    theirs = adctoolbox.analyze_inl_from_ramp(
        codes_of(convert(converter, jnp.asarray(ramp), die))[:, 0], num_bits=6, create_plot=False
    )
    # The other package gives one DNL for each inner code, as here.
    width = np.asarray(theirs["dnl"], float)
    np.testing.assert_allclose(width[-62:] - width[-62:].mean(), by_ramp.dnl - by_ramp.dnl.mean(), atol=0.02)


def test_energy_and_time_by_hand():
    supply, decision = jnp.asarray(0.9), jnp.asarray(20e-15)
    ideal = (100e-15 * 8 + 1e-18 * 4**8) * 0.81
    assert float(Adc(bits=8).energy(supply, decision)) == pytest.approx(8 * 20e-15 + ideal, rel=1e-5, abs=0)
    # facts 6.4: 701 fJ at 8 bit and 0.9 V without the comparator, which is what the fit includes.
    assert float(Adc(bits=8).energy(supply)) == pytest.approx(701e-15, rel=2e-3, abs=0)
    flash = FlashAdc(levels=11)
    assert float(flash.energy(supply, decision)) == pytest.approx(10 * (20e-15 + 4.2e-15 * 0.81), rel=1e-5)
    slope = SingleSlopeAdc(bits=6, clock=1e9)
    assert float(slope.conversion_time(64.0)) >= 64e-9 * 0.99
    time = 8 * (0.00653e-9 * 1024 + 0.640e-9)
    assert float(SarAdc(bits=8).conversion_time(1024.0)) == pytest.approx(time, rel=1e-4)


def test_survey_fit_gives_the_published_figures():
    """facts 6.3: 28 nm 0.72, 0.83, 1.33 pJ at 4, 6, 8 bit; 65 nm 3.50 and 6.49 pJ at 4 and 8 bit."""
    for node, bits, expected in (
        (28e-9, 4, 0.72),
        (28e-9, 6, 0.83),
        (28e-9, 8, 1.33),
        (65e-9, 4, 3.50),
        (65e-9, 8, 6.49),
    ):
        assert float(survey_energy(bits, 1e8, node)) * 1e12 == pytest.approx(expected, rel=0.02)
    with pytest.raises(ValueError, match="`enob`"):
        survey_energy(3, 1e8, 28e-9)
    assert callable(few_bit_energy)


def test_survey_checks_known_arguments_beside_traced_ones():
    compiled = jax.jit(lambda rate, bits=8: survey_energy(bits, rate, 28e-9), static_argnames="bits")
    assert float(compiled(1e8)) == pytest.approx(float(survey_energy(8, 1e8, 28e-9)), rel=1e-5)
    with pytest.raises(ValueError, match="`enob`"):
        compiled(1e8, bits=3)


def test_ranges_are_what_their_method_says():
    values = jnp.asarray(np.random.default_rng(8).normal(128, 10, 20000), jnp.float32)
    full = float(select_range(values, ROWS, 4, method="min-max"))
    outside = Adc(bits=4, range=full).clipped_fraction(values, ROWS)
    assert float(outside) < 1e-4
    most = float(select_range(values, ROWS, 4, method="percentile", coverage=0.99))
    assert float(Adc(bits=4, range=most).clipped_fraction(values, ROWS)) == pytest.approx(0.01, abs=0.002)
    best = float(select_range(values, ROWS, 4, method="minimum-error"))

    def error(one):
        return float(jnp.mean((Adc(bits=4, range=one).convert(values, ROWS) - values) ** 2))

    grid = np.linspace(0.05, full, 200)
    assert error(best) <= 1.05 * min(error(one) for one in grid)
    # A 4-bit converter of a Gaussian clips near three sigma: its range is about six sigma of 256 rows.
    assert best == pytest.approx(2 * 2.9 * 10 / 256, rel=0.2)
    assert most < full


STUCK = {
    "stuck": np.full(4096, 17),
    "stuck at 0": np.zeros(4096),
    "a constant after arithmetic": np.full(4096, 17.0) * (1 + 2e-16 * (np.arange(4096) % 3)),
    "empty": np.zeros(0),
    "too short": np.arange(7.0),
    "not a number": np.full(4096, np.nan),
    "one not a number": np.where(np.arange(4096) == 9, np.nan, np.cos(np.arange(4096))),
    "infinite": np.where(np.arange(4096) == 9, np.inf, np.cos(np.arange(4096))),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", STUCK)
@pytest.mark.parametrize(
    "test",
    [
        standard_tests.fit_sine,
        lambda record: standard_tests.fit_sine(record, 401 / 4096),
        lambda record: standard_tests.coherent_spectrum(record, 401),
        lambda record: standard_tests.sine_code_density(record, 64),
        lambda record: standard_tests.ramp_code_density(record, 64),
    ],
)
def test_a_record_without_a_signal_is_refused(test, name):
    with pytest.raises(ValueError, match=r"`(samples|codes)` must"):
        test(STUCK[name])


def test_a_record_without_the_signal_has_no_effective_bits():
    """Signals elsewhere: at half the rate, a step, noise, a drift, a single glitch."""
    n = np.arange(4096)
    records = [n % 2, n > 2000, np.random.default_rng(0).integers(0, 2, n.size), n, n == 77]
    for record in (one.astype(float) for one in records):
        spectrum = standard_tests.coherent_spectrum(record, 401)
        assert spectrum.enob < 0
        assert spectrum.thd > -30
        assert standard_tests.fit_sine(record, 401 / 4096).enob < 0
    with pytest.raises(ValueError, match=r"a sine of at least 0\.5 cycles"):
        standard_tests.fit_sine(n)
    fit = standard_tests.fit_sine((n == 77).astype(float))
    assert fit.enob < 0
    assert 0 <= fit.frequency <= 0.5


@pytest.mark.parametrize("density", [standard_tests.sine_code_density, standard_tests.ramp_code_density])
def test_a_converter_of_two_codes_has_no_code_density(density):
    """A stuck bit that leaves the ends only: no step lies between them, and a DNL of 0 / 0 is no number."""
    with pytest.raises(ValueError, match="codes between 0 and 7"):
        density(np.repeat([0, 7], 500), 8)
    found = density(np.repeat([0, 3, 7], 500), 8)
    assert np.all(np.isfinite(found.dnl))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: SarAdc(bits=0), "`bits`"),
        (lambda: SarAdc(topology="round"), "`topology`"),
        (lambda: FlashAdc(levels=1), "`levels`"),
        (lambda: SingleSlopeAdc(clock=0.0), "`clock`"),
        (lambda: select_range(jnp.zeros(3), 8.0, 4, method="best"), "`method`"),
        (lambda: select_range(jnp.zeros(0), 8.0, 4), "`cells`"),
        (lambda: standard_tests.fit_sine(np.zeros(3)), "`samples`"),
        (lambda: standard_tests.sine_code_density(np.array([0, 1, 1, 5]), 4), "`codes`"),
        (lambda: standard_tests.sine_code_density(np.array([1, 1, 2]), 4), "overdrive the range"),
    ],
)
def test_bad_arguments_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_die_of_another_converter_is_refused():
    die = FAMILIES["flash"].fabricate(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="`die`"):
        SAR.convert(jnp.zeros((2, 3)), ROWS, die=die)
    with pytest.raises(ValueError, match="`die`"):
        FAMILIES["flash"].convert(jnp.zeros((2, 4)), ROWS, die=die)
    assert math.isfinite(float(SAR.area))
