"""Choice of coding, centre and range of a converter's lines, against plain NumPy loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits import Adc, BiasDac, Comparator, IntegerCode, Operands, SarAdc, SwitchedCapacitor
from amsim.circuits.charge.readout_choice import choose_readout, line_moments, moments_of
from amsim.circuits.contract.products import DenseProduct
from amsim.circuits.contract.readout import Readout

ROWS, COLUMNS = 60, 12
RNG = np.random.default_rng(5)
X = RNG.integers(0, 4, (400, ROWS)) * (RNG.random((400, ROWS)) < 0.3)
W = RNG.integers(-1, 2, (ROWS, COLUMNS))


def coded(x_digits: str, w_digits: str) -> Operands:
    x_code = IntegerCode(jnp.ones(()), 2, False, digit_set=x_digits)
    w_code = IntegerCode(jnp.ones(()), 2, True, digit_set=w_digits)
    product = DenseProduct(ROWS, COLUMNS)
    return Operands(product, jnp.asarray(X, jnp.float32), jnp.asarray(W, jnp.float32), x_code, w_code)


def array(**settings: object) -> SwitchedCapacitor:
    return SwitchedCapacitor(
        **({"rows": 64, "columns": 24, "weight_bits": 2, "input_bits": 2, "adc": Adc(bits=8)} | settings)
    )


@pytest.mark.parametrize("centre", [-6.0, "columns"])
@pytest.mark.parametrize(("x_digits", "w_digits"), [("bipolar", "bipolar"), ("unipolar", "ternary")])
def test_a_shifted_line_reads_the_same_sum(centre, x_digits, w_digits):
    """Without errors the converter takes away what the bias DAC has added; and ranges follow the shift."""
    slices = COLUMNS * (2 if w_digits == "bipolar" else 1)
    shift = 2.0 * RNG.integers(-12, 13, (1, slices)) if centre == "columns" else centre
    macro = array(readout_centre=shift).ideal()
    np.testing.assert_allclose(macro.multiply(coded(x_digits, w_digits)), X @ W, atol=1e-3)


def test_the_range_lies_around_the_shift():
    """Sums far from the middle clip in a narrow range, and do not once their columns are shifted there."""
    high = Operands.dense(np.ones((1, ROWS)), np.ones((ROWS, 2)))
    plain = SwitchedCapacitor(rows=64, columns=2, adc=Adc(bits=4, range=0.25))
    assert abs(float(plain.multiply(high)[0, 0]) - ROWS) > 30
    moved = plain.with_readout_centre(-50.0)
    assert float(moved.multiply(high)[0, 0]) == pytest.approx(ROWS, abs=0.6)
    assert float(plain.report(high)["clipped_adc"]) == 1
    assert float(moved.report(high)["clipped_adc"]) == 0


def test_the_bias_dac_of_a_die_shifts_with_its_own_capacitors():
    """The DAC's mismatch is an error of the read: that of explicit capacitors, by the margin of a comparator."""
    macro = SwitchedCapacitor(
        rows=64, columns=8, mismatch_coefficient=2e-8, temperature=0.0, adc=Adc(bits=12, range=2.0),
        comparator=Comparator(noise=0.0, offset_sigma=0.0, trim=None), readout_centre=101.0, bias_dac=BiasDac(bits=7),
    )  # fmt: skip
    die = macro.fabricate(jax.random.key(1))
    ones = Operands.dense(np.ones((1, ROWS)), np.ones((ROWS, 8)))
    read = np.asarray(macro.multiply(ones, die=die))[0]
    # A neuron of threshold -101 has the same DAC code; its margin is the line's value about the middle.
    neuron = circuits.Neuron(jnp.ones(()), jnp.asarray(100.0))
    with_dac = np.asarray(macro.margin(ones, neuron, die=die))[0] - np.asarray(macro.margin(ones, neuron))[0]
    assert np.std(with_dac) > 2
    # The converter resolves a cell, two counts.
    np.testing.assert_allclose(read - ROWS, with_dac, atol=1.1)


def test_moments_are_those_of_a_loop():
    for x_digits in ("bipolar", "unipolar"):
        profile = line_moments(array(), array().coded(coded("bipolar", "ternary")))
        found = moments_of(profile, "bipolar", x_digits)
        for place in range(2):
            bits = (X >> place) & 1
            digits = 2 * bits - 1 if x_digits == "bipolar" else bits
            sums = digits @ W
            np.testing.assert_allclose(found.mean[0, place], sums.mean(axis=0), rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(found.variance[0, place], sums.var(axis=0), rtol=1e-3, atol=1e-3)


def choice(macro: SwitchedCapacitor) -> Readout:
    codings = macro.codings(coded("bipolar", "bipolar").input_range, circuits.ValueRange(-1.0, 1.0))
    profiles = {one: macro.readout_profiles(coded("bipolar", one[1])) for one in codings}
    operands = coded("bipolar", "bipolar")
    return macro.chosen_readout(operands.product, operands.input_range, operands.weight_range, profiles)


@pytest.mark.parametrize("bits", [4, 8])
def test_the_predicted_error_is_that_of_reads(bits):
    """The expected squared error against that of many reads of many dies, in the readout that is chosen."""
    macro = array(weight_coding="auto", input_coding="auto", adc=Adc(bits=bits), comparator=Comparator(noise=1e-3))
    best = choice(macro)
    assert best.coding[1] == "ternary"
    chosen = macro.with_readout_range(jnp.asarray(best.full_scale))
    chosen = chosen if best.centre is None else chosen.with_readout_centre(best.centre)
    keys = jax.random.split(jax.random.key(3), 24)

    @jax.jit
    def squares(key: jax.Array) -> jax.Array:
        one, other = jax.random.split(key)
        read = chosen.multiply(coded(*best.coding), die=chosen.fabricate(one), key=other)
        return jnp.mean((read - jnp.asarray(X @ W, jnp.float32)) ** 2)

    assert best.error == pytest.approx(float(jnp.mean(jax.lax.map(squares, keys))), rel=0.2)


@pytest.mark.parametrize("second", ["none", "differential", "replica"])
def test_what_lines_switch_is_the_mean_over_their_values(second):
    """Over explicit values of lines that share their charge with the converter; a replica's line does not vary."""
    macro = SwitchedCapacitor(
        rows=ROWS, columns=3, second_line=second, readout_centre=7.3, bias_dac=BiasDac(bits=4),
        adc=SarAdc(bits=4, input_capacitance=30e-15),
    )  # fmt: skip
    sums = 2.0 * RNG.integers(0, ROWS + 1, (500, 3)) - ROWS
    profile = {"mean": sums.mean(axis=0), "square": (sums**2).mean(axis=0), "weights": np.zeros(3)}
    profile = {name: value[None, None] if name != "weights" else value[None] for name, value in profile.items()}
    code, told = IntegerCode(jnp.ones(()), 1, True), []
    choose_readout(
        macro, DenseProduct(ROWS, 3), (code, code), {("bipolar", "bipolar"): profile},
        lambda coding, switched, high: told.append((switched, high)) or 1.0,
    )  # fmt: skip
    total, high = ROWS + 15.5 + ROWS * 0.3 + 2.04 + 30, (sums + ROWS) / 2
    # Bits of 15 units, which make 7 of 7.3 counts.
    lines = {"none": [], "differential": [ROWS - high + (15 - 7) / 2], "replica": [ROWS / 2 + np.full_like(high, 7.5)]}
    wanted = sum(np.mean(one * (1 - one / total)) for one in [high + (15 + 7) / 2, *lines[second]])
    assert told == [(pytest.approx(wanted, rel=1e-5), pytest.approx(high.mean(), rel=1e-5))]


def test_sums_off_the_middle_are_centred_and_the_user_may_force_it():
    """All inputs mostly 0: bipolar digits put sums far off, so that few codes need the columns' means."""
    macro = array(adc=Adc(bits=3), comparator=Comparator(noise=0.1e-3))
    best = choice(macro)
    assert best.centre is not None
    assert "about each column's mean" in best.reason
    forced = choice(dataclasses.replace(macro, readout_centre=0.0))
    assert not np.any(forced.centre)
    assert forced.error > best.error


def test_a_calibration_chooses_and_says_why():
    net = lambda p, x: jax.nn.relu(x) @ p["w"]  # noqa: E731
    params, x = {"w": np.asarray(W, np.float32)}, np.asarray(X, np.float32)
    macro = array(weight_coding="auto", input_coding="auto", adc=Adc(bits=4))
    found = amsim.calibrate(net, params, macro, x, method={"readout": "error-energy"})
    row = found.chip.sites(x[:2])[0]
    assert row.coding == "bipolar x ternary"
    assert "least error x energy" in row.note
    assert row.note in str(found.chip.sites(x[:2]))
    ranges = found.calibration.of("w")
    assert float(ranges.readout) == pytest.approx(row.readout_range, rel=1e-2)
    # Fields of the array force a coding; what was chosen before stays what it was.
    own = dataclasses.replace(macro, weight_coding="bipolar", input_coding="unipolar")
    forced = amsim.calibrate(net, params, own, x, method={"readout": "error-energy"})
    assert forced.chip.sites(x[:2])[0].coding == "unipolar x bipolar"
    before = amsim.calibrate(net, params, dataclasses.replace(macro, input_coding="bipolar"), x)
    after = amsim.calibrate(net, params, macro, x)
    assert float(before.calibration.of("w").readout) == float(after.calibration.of("w").readout)
    with pytest.raises(ValueError, match="`method` must be one of"):
        amsim.calibrate(net, params, macro, x, method="error-energy")


def test_families_without_converters_refuse():
    with pytest.raises(ValueError, match="no converter"):
        circuits.DigitalBinary().with_readout_centre(1.0)
    with pytest.raises(ValueError, match="`readout_centre`"):
        SwitchedCapacitor(readout_centre=np.nan)
