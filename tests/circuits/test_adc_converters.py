"""The converter families against their transitions, the ideal converter, closed-form variances and charge balance."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from converters_with_errors import COLUMNS, FINE, ROUGH, convert, in_codes, named
from hypothesis import given, settings
from hypothesis import strategies as st

from amsim.circuits.adc import Adc, FlashAdc, SarAdc, SingleSlopeAdc, bottom_plate_levels, split_levels
from amsim.noise import PESSIMISTIC_COEFFICIENT

# One program instead of one for each operation.
fabricated = eqx.filter_jit(lambda adc, key, columns: adc.fabricate(key, columns))
transitions_of = eqx.filter_jit(lambda adc, die: adc.transitions(die))

# Static behaviour.


@settings(deadline=None, max_examples=30)
@given(
    family=st.sampled_from(["bottom-plate", "shared-line", "split", "flash", "single-slope"]),
    bits=st.sampled_from([1, 2, 5, 9]),
    range_=st.floats(0.0625, 2.0, width=32),
    rows=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
)
def test_without_errors_all_families_read_the_codes_of_the_ideal_converter(family, bits, range_, rows, seed):
    generator = np.random.default_rng(seed)
    halves = np.arange(-rows, 3 * rows + 1) / 2  # on and between levels: ties
    cells = np.concatenate([halves, generator.uniform(-0.5 * rows, 1.5 * rows, 300)]).astype(np.float32)
    # One shape and a traced number of rows: a program for each family and number of bits, not for each draw.
    cells = jnp.asarray(np.resize(cells, 1501))[:, None] * jnp.ones((1, COLUMNS))
    driven = jnp.asarray(rows, float)
    adc = {"flash": lambda: FlashAdc(levels=2**bits), "single-slope": lambda: SingleSlopeAdc(bits=bits)}.get(
        family, lambda: SarAdc(bits=max(bits, 2), topology=family, low_bits=max(bits // 2, 1))
    )()
    adc = eqx.tree_at(lambda one: one.range, adc, jnp.asarray(range_))
    reference = Adc(bits=max(bits, 2) if isinstance(adc, SarAdc) else bits, range=range_)
    wanted = convert(reference, cells, driven)
    die = fabricated(adc, jax.random.key(seed), COLUMNS)
    ideal = adc.ideal()
    assert_same_codes(convert(adc, cells, driven), wanted, reference, float(rows))
    assert_same_codes(convert(ideal, cells, driven, die), wanted, reference, float(rows))
    assert np.all(np.diff(transitions_of(ideal, die), axis=-1) == 1)


def assert_same_codes(read, wanted, adc, rows):
    """The codes bit for bit; values too where a step is a whole number of cells."""
    lsb, centre = (float(part) for part in adc.scale(rows))
    np.testing.assert_array_equal(np.rint((read - centre) / lsb), np.rint((wanted - centre) / lsb))
    # `centre + lsb code` is compiled with one rounding or with two: an ulp of the largest term.
    largest = np.float32(max(np.abs(wanted).max(), np.abs(wanted - centre).max()) + lsb)
    allowed = 0.0 if lsb == np.rint(lsb) else 1.5 * np.spacing(largest)
    np.testing.assert_allclose(read, wanted, rtol=0, atol=allowed)


def test_one_bit_search_is_a_sign():
    cells = jnp.asarray([0.0, 0.49, 0.5, 1.0, 1.5, 2.0])
    adc = {"range": 1.0, "bits": 1}
    np.testing.assert_array_equal(SarAdc(**adc).convert(cells, 2.0), Adc(**adc).convert(cells, 2.0))


@named(ROUGH)
def test_codes_change_at_the_transitions(adc):
    adc, rows, middle = in_codes(adc)
    die = adc.fabricate(jax.random.key(3), COLUMNS)
    transitions = np.asarray(adc.transitions(die))
    assert transitions.shape == (COLUMNS, adc.levels - 1)
    assert np.all(np.diff(transitions, axis=1) >= 0)
    ideal = np.arange(adc.lowest_code + 1, adc.highest_code + 1) - 0.5
    assert np.abs(transitions - ideal).max() > 0.5
    values = np.random.default_rng(0).uniform(-adc.levels, adc.levels, (2000, COLUMNS)).astype(np.float32)
    read = np.asarray(convert(adc, jnp.asarray(values) + middle, rows, die)) - middle
    clear = np.abs(values[..., None] - transitions).min(-1) > 1e-4
    for column in range(COLUMNS):
        codes = np.searchsorted(transitions[column], values[:, column], side="right") + adc.lowest_code
        np.testing.assert_array_equal(read[:, column][clear[:, column]], codes[clear[:, column]])
    assert clear.mean() > 0.95


def test_every_converter_of_a_die_is_its_own():
    adc, rows, middle = in_codes(ROUGH["bottom-plate"])
    die = adc.fabricate(jax.random.key(0), COLUMNS)
    cells = jnp.linspace(0.0, 2 * middle, 200)[:, None] * jnp.ones((1, COLUMNS))
    read = np.asarray(convert(adc, cells, rows, die))
    swapped = jax.tree.map(lambda draws: draws[::-1], die)
    np.testing.assert_array_equal(convert(adc, cells, rows, swapped), read[:, ::-1])
    assert len({column.tobytes() for column in read.T}) == COLUMNS


@pytest.mark.parametrize("topology", ["bottom-plate", "split"])
def test_search_weights_are_those_of_the_explicit_array(topology):
    """Weights by deviations in units against the charge balance in farads and volts."""
    unit, bits, low = 0.7e-15, 7, 3
    adc = SarAdc(
        bits=bits,
        topology=topology,
        low_bits=low,
        unit_capacitance=unit,
        mismatch_coefficient=PESSIMISTIC_COEFFICIENT,
        low_parasitic=0.4e-15,
        parasitic=9e-15,
        bridge_scale=1.1,
    )
    die = adc.fabricate(jax.random.key(5), 2)
    sigma = float(PESSIMISTIC_COEFFICIENT / math.sqrt(unit))
    places = np.arange(bits) if topology == "bottom-plate" else np.r_[np.arange(low), np.arange(bits - low)]
    ideal_bridge = 2**low / (2**low - 1) * 1.1
    for column in range(2):
        draws = np.asarray(die.capacitors[column], np.float64)
        capacitors = jnp.asarray(unit * (2.0**places + sigma * np.sqrt(2.0**places) * draws[:bits]), jnp.float32)
        dummy = unit * (1 + sigma * draws[bits])
        if topology == "bottom-plate":
            wanted = bottom_plate_levels(capacitors, 1.0, dummy=dummy)
        else:
            bridge = unit * (ideal_bridge + sigma * math.sqrt(ideal_bridge) * draws[bits + 1])
            wanted = split_levels(capacitors, 1.0, low_bits=low, bridge=bridge, dummy=dummy, low_parasitic=0.4e-15)
        np.testing.assert_allclose(adc.dac_levels(die).weights[column], wanted.weights * 2**bits, rtol=2e-5)
    # One volt of comparator offset, seen at the input, with the nominal array.
    capacitors, more = jnp.asarray(unit * 2.0**places, jnp.float32), {"parasitic": 9e-15, "comparator_offset": 1.0}
    if topology == "bottom-plate":
        seen = bottom_plate_levels(capacitors, 1.0, dummy=unit, **more).offset
    else:
        more |= {"bridge": unit * ideal_bridge, "low_parasitic": 0.4e-15}
        seen = split_levels(capacitors, 1.0, low_bits=low, dummy=unit, **more).offset
    assert float(adc.comparator_referral) == pytest.approx(-float(seen), rel=1e-5)


@pytest.mark.sampled(3)
@named(FINE)
def test_static_variance_is_that_of_many_dies(adc):
    dies = 6000
    found = np.asarray(transitions_of(adc, fabricated(adc, jax.random.key(1), dies)))
    if isinstance(adc, SingleSlopeAdc):  # one ramp a die
        keys = jax.random.split(jax.random.key(1), dies)
        found = np.asarray(jax.jit(jax.vmap(lambda key: adc.transitions(adc.fabricate(key, 1))[0]))(keys))
    ideal = np.arange(adc.lowest_code + 1, adc.highest_code + 1) - 0.5
    squares = np.mean((found - ideal) ** 2, axis=1)
    # Within four standard errors and the second order of the formula.
    tolerance = 4 * squares.std() / math.sqrt(dies) + 0.02 * squares.mean()
    assert float(adc.static_variance()) == pytest.approx(squares.mean(), abs=tolerance)
    assert float(adc.ideal().static_variance()) < 1e-9
    assert float(adc.quantisation_variance()) == pytest.approx(1 / 12)


# Energy, time, area.


def test_energy_of_a_conventional_search_from_its_charges():
    """Mean over all codes of `V_ref` times the charge that the reference delivers in the steps of the search."""
    bits, supply = 4, 0.7
    adc = SarAdc(bits=bits, linear_capacitance=0.0)
    units = np.r_[1.0, 2.0 ** np.arange(bits)]  # dummy first
    energies = []
    for code in range(2**bits):
        state, energy = np.zeros(bits + 1), 0.0
        for bit in reversed(range(bits)):
            # The trial connects a bit while the one tried before is taken back where it was rejected.
            new = state.copy()
            new[bit + 1] = 1
            if bit < bits - 1 and not code >> (bit + 1) & 1:
                new[bit + 2] = 0
            line = np.sum(units * (new - state)) / units.sum()
            energy += np.sum(units * new * ((new - state) - line))
            state = new
        energies.append(energy)
    wanted = np.mean(energies) * 1e-15 * supply**2
    assert float(adc.energy(jnp.asarray(supply))) == pytest.approx(wanted, rel=1e-5, abs=0)
    more = SarAdc(bits=bits).energy(jnp.asarray(supply), 2e-14)
    assert float(more) == pytest.approx(wanted + bits * (2e-14 + 100e-15 * supply**2), rel=1e-5, abs=0)


def test_energy_time_and_area():
    supply = jnp.asarray(0.9)
    approx = {"rel": 1e-5, "abs": 0}
    assert float(Adc(bits=8).energy(supply, 1e-14)) == pytest.approx(8e-14 + (8e-13 + 4.0**8 * 1e-18) * 0.81, **approx)
    assert float(FlashAdc(levels=11).energy(supply, 1e-14)) == pytest.approx(10 * (1e-14 + 4.2e-15 * 0.81), **approx)
    assert float(SingleSlopeAdc(bits=6).energy(supply, 1e-14)) == pytest.approx(64 * (1e-14 + 4.2e-15 * 0.81), **approx)
    shared = SarAdc(bits=4, topology="shared-line", linear_capacitance=0.0)
    assert float(shared.energy(supply)) == pytest.approx(15e-15 * 0.81, **approx)
    split = SarAdc(bits=8, topology="split", low_bits=4)
    assert float(split.array_capacitance) == pytest.approx((15 + 16 + 16 / 15) * 1e-15, **approx)
    assert float(SarAdc(bits=8).array_capacitance) == pytest.approx(256e-15, **approx)
    # facts 6.4: B (0.00653 ns rows + 0.640 ns), and 10**(1.206 - 0.0369 B) 2**B um^2.
    for adc, decisions in ((Adc(bits=8), 8), (SarAdc(bits=6), 6), (FlashAdc(levels=11), 1)):
        assert float(adc.conversion_time(256)) == pytest.approx(decisions * (0.00653 * 256 + 0.64) * 1e-9, **approx)
    assert float(SingleSlopeAdc(bits=8, clock=2e9).conversion_time(256)) == pytest.approx(128e-9, **approx)
    # 0.497 mm^2 of 256 converters in 65 nm (facts 1b), its capacitors apart; 1.5 against 28 nm (facts 7.2).
    capacitors, to_28_nm = 256e-15 / 2e-3, (2 / 3 * 0.46 + 1 / 3 * 0.21) / 1.5
    logic = (0.497e-6 / 256 - capacitors) * to_28_nm
    assert float(SarAdc(bits=8).area) == pytest.approx(capacitors + logic, **approx)
    grown = 10 ** (-0.0369 * 2) * 4
    assert float(SarAdc(bits=10).area) == pytest.approx(4 * capacitors + logic * grown, **approx)
    assert float(FlashAdc(levels=11).area) == pytest.approx(10 * 25e-12, **approx)
    assert float(SingleSlopeAdc(bits=8).area) == pytest.approx(20e-12 + 8 * 3.68e-12, **approx)
    assert [adc.comparators for adc in (Adc(), SarAdc(), SingleSlopeAdc(), FlashAdc(levels=11))] == [1, 1, 1, 10]


@named(FINE | {"ideal": Adc(bits=5)})
def test_clipped_counts_values_beyond_the_outermost_codes(adc):
    adc, rows, middle = in_codes(adc)
    values = np.linspace(-1.5 * adc.levels, 1.5 * adc.levels, 1001, dtype=np.float32)
    wanted = np.mean((values < adc.lowest_code - 0.5) | (values > adc.highest_code + 0.5))
    assert float(adc.clipped_fraction(jnp.asarray(values) + middle, rows)) == pytest.approx(wanted, abs=0.003)


# Dies and errors.


def test_dies_have_columns_first_and_share_the_ramp():
    key = jax.random.key(0)
    for adc in (SarAdc(bits=4), FlashAdc(levels=11), SingleSlopeAdc(bits=4)):
        die = adc.fabricate(key, 7)
        assert all(leaf.shape[0] == 7 for leaf in jax.tree.leaves(die))
        assert eqx.tree_equal(die, adc.fabricate(key, 7))
    ramp = SingleSlopeAdc().fabricate(key, 7)
    assert len(np.unique(ramp.gain)) == len(np.unique(ramp.bow)) == 1
    assert len(np.unique(ramp.delay)) == 7
    assert Adc().fabricate(key, 7) is None


def test_wrong_settings_and_dies():
    key = jax.random.key(0)
    cells = jnp.ones((2, 3))
    for call, words in [
        (lambda: SarAdc(bits=17), "`bits` must be an integer from 1 to 16, but is 17"),
        (lambda: SarAdc(topology="bottom_plate"), "Did you mean 'bottom-plate'"),
        (lambda: SarAdc(bits=4, topology="split"), "`low_bits` must be an integer from 1 to 3, but is 4"),
        (lambda: SarAdc(bits=1, topology="split", low_bits=1), "`bits` must be an integer from 2 to 16, but is 1"),
        (lambda: FlashAdc(levels=1), "`levels` must be an integer from 2 to 1024, but is 1"),
        (lambda: SingleSlopeAdc(clock=0.0), "`clock` must be finite and above 0"),
        (lambda: SarAdc().convert(cells, 8.0, die=FlashAdc().fabricate(key, 3)), "must be a SarDie"),
        (lambda: Adc().convert(cells, 8.0, die=FlashAdc().fabricate(key, 3)), "must be None"),
        (lambda: SarAdc().convert(cells, 8.0, die=SarAdc(bits=7).fabricate(key, 3)), "`capacitors` of shape"),
        (lambda: SarAdc().convert(cells, 8.0, die=SarAdc().fabricate(key, 4)), "of shape (3,), but of shape (4,)"),
        (lambda: FlashAdc().convert(cells, 8.0, die=FlashAdc(levels=8).fabricate(key, 3)), "`comparators` of shape"),
        (lambda: FlashAdc().convert(cells, 8.0, die=FlashAdc().fabricate(key, 4)), "but of shape (4, 15)"),
        (lambda: SingleSlopeAdc().convert(cells, 8.0, die=SingleSlopeAdc().fabricate(key, 4)), "`gain` of shape"),
        (lambda: SarAdc().fabricate(key, 0), "`columns` must be an integer of at least 1, but is 0"),
    ]:
        with pytest.raises(ValueError, match=r".") as caught:
            call()
        assert words in str(caught.value)
