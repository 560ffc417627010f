"""Combined bits whose lines are shifted by their bias DACs, against explicit capacitors and reads of many dies."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combined_columns import (
    digits_of_words,
    group_counts,
    in_double,
    joined_volts,
    loads,
    nominal_own,
    words,
)

from amsim.circuits import (
    Adc,
    BiasDac,
    Comparator,
    DenseProduct,
    IntegerCode,
    Operands,
    SwitchedCapacitor,
    TimeSharedCharge,
    WeightedCapacitors,
)
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.charge.folded_line import centre_shifts
from amsim.circuits.charge.readout_choice import GROUP, line_moments, moments_of

ROWS, COLUMNS = 24, 6
RNG = np.random.default_rng(5)
X = RNG.integers(0, 4, (300, ROWS)) * (RNG.random((300, ROWS)) < 0.3)
W = RNG.integers(-2, 2, (ROWS, COLUMNS // 2))


def pair(**settings):
    base = {"rows": ROWS, "columns": COLUMNS, "weight_bits": 2, "input_bits": 2, "combining": WeightedCapacitors(2)}
    return SwitchedCapacitor(**(base | settings))


def coded(x_digits="bipolar", w_digits="bipolar"):
    codes = (
        IntegerCode(jnp.ones(()), 2, False, digit_set=x_digits),
        IntegerCode(jnp.ones(()), 2, True, digit_set=w_digits),
    )
    return Operands(DenseProduct(*W.shape), jnp.asarray(X, jnp.float32), jnp.asarray(W, jnp.float32), *codes)


@pytest.mark.parametrize("part", [WeightedCapacitors(2), TimeSharedCharge(2)], ids=lambda part: type(part).__name__)
def test_shifts_of_lines_are_combined_as_their_cells_are(part):
    """A die's groups with codes of their bias DACs, by charge balance of all capacitors; nothing else is on."""
    with jax.enable_x64(True):
        quiet = Comparator(noise=0.0, offset_sigma=0.0, trim=None)
        macro = in_double(
            pair(combining=part, input_bits=1, comparator=quiet, bias_dac=BiasDac(bits=4), mismatch_coefficient=1e-9)
        )
        centre = np.array([[-6.0, 10.0, 0.0, -14.0, 4.0, 2.0]])
        macro = dataclasses.replace(macro, readout_centre=centre)
        die = in_double(macro.fabricate(jax.random.key(0)))
        x, w = RNG.choice([-1.0, 1.0], (3, ROWS)), words(RNG, 2, ROWS, COLUMNS // 2)
        line = fold_die(macro, die)
        shifts, errors = centre_shifts(macro, line, 1, COLUMNS)
        added = line.middle(jnp.ones((1, ROWS)), with_bias=True) - line.middle(jnp.ones((1, ROWS)), with_bias=False)
        found = np.asarray(group_counts(macro, die, jnp.asarray(x), jnp.asarray(w)) + added + shifts + errors)
        levels = np.asarray(macro.bias_dac.levels(macro.bias_dac.code(jnp.asarray(centre))))[0]
        expected = explicit(macro, part, die, (1 + x[:, :, None] * digits_of_words(w, 2)[None]) / 2, levels)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(shifts[0], centre[0, ::2] + 2 * centre[0, 1::2])
    assert np.abs(np.asarray(errors)).max() > 0.1


def explicit(macro, part, die, high, levels):
    """Counts of groups above their middle, from charges of cells and bias capacitors."""
    unit, coefficient = float(macro.unit_capacitance), float(macro.mismatch_coefficient)
    sections = np.asarray(macro.bias_dac.section_units(), float)
    cells = unit * (1 + coefficient / np.sqrt(unit) * np.asarray(die.units))
    dac = unit * (sections + coefficient / np.sqrt(unit) * np.sqrt(sections) * np.asarray(die.bias))
    parasitic = ROWS * float(macro.cell_parasitic) + float(macro.line_parasitic)
    line = unit * (ROWS + sections.sum()) + parasitic + loads(part, nominal_own(part, 1.0)).mean()
    nominal = nominal_own(part, line)
    step = joined_volts(part, np.ones(2) * line, np.ones(2) * line, nominal) * unit / line / 3
    counts = []
    for group in range(COLUMNS // 2):
        sigma = np.where(nominal > 0, coefficient / np.sqrt(np.where(nominal > 0, nominal, 1.0)), 0.0)
        own = nominal * (1 + sigma * np.asarray(die.combining[group]))
        at = slice(2 * group, 2 * group + 2)
        totals = cells[:, at].sum(axis=0) + dac[at].sum(axis=1) + parasitic + loads(part, own)
        # The last section holds; bits that are half way count as half of their step.
        bias = ((1 + levels[at, :-1]) / 2 * dac[at, :-1]).sum(axis=1) + levels[at, -1] / 2 * dac[at, -1]
        charges = (high[:, :, at] * cells[None, :, at]).sum(axis=1) + bias
        counts.append([2 * joined_volts(part, one, totals, own) / step for one in charges])
    return np.array(counts).T - 3 * (ROWS + sections[:-1].sum())


def test_a_shifted_group_reads_the_same_sum():
    """Without errors the converter takes away what the bias DACs add, and its range lies around the shift."""
    macro = pair(readout_centre=2.0 * RNG.integers(-4, 5, (1, COLUMNS)))
    np.testing.assert_allclose(macro.ideal().multiply(coded()), X @ W, atol=1e-3)
    narrow = pair(adc=Adc(bits=4, range=0.3), readout_centre=np.where(np.arange(COLUMNS) % 2, 8.0, 12.0)[None])
    # Inputs of many zeros: sums of digits lie below the middle where the weights' digits are positive on average.
    moments = moments_of(line_moments(narrow, narrow.coded(coded())), "bipolar", "bipolar", GROUP)
    for place in range(2):
        sums = (2 * ((X >> place) & 1) - 1) @ (2 * W + 1)
        np.testing.assert_allclose(moments.mean[0, place], sums.mean(axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moments.variance[0, place], sums.var(axis=0), rtol=1e-3)


def choose(macro):
    profiles = {one: macro.readout_profiles(coded(*one)) for one in (("bipolar", "bipolar"),)}
    return macro.chosen_readout(coded().product, coded().input_range, coded().weight_range, profiles)


def test_the_choice_for_groups_predicts_their_error():
    """Centre and range of least error times energy, whose error is that of many reads of many dies."""
    macro = pair(adc=Adc(bits=3), comparator=Comparator(noise=0.1e-3))
    best = choose(macro)
    assert best.centre is not None
    assert best.centre.shape == (1, COLUMNS)
    held = choose(dataclasses.replace(macro, readout_centre=jnp.zeros(())))
    assert held.error > 1.1 * best.error
    chosen = macro.with_readout_range(jnp.asarray(best.full_scale)).with_readout_centre(best.centre)
    found = jax.lax.map(lambda key: squares(chosen, key), jax.random.split(jax.random.key(3), 24))
    assert best.error == pytest.approx(float(jnp.mean(found)), rel=0.2)


def squares(macro, key):
    one, other = jax.random.split(key)
    read = macro.multiply(coded(), die=macro.fabricate(one), key=other)
    return jnp.mean((read - jnp.asarray(X @ W, jnp.float32)) ** 2)
