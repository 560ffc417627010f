"""Combined bit columns against explicit capacitors in NumPy, exact products, moments and costs by hand."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combined_columns import digits_of_words, explicit_counts, group_counts, in_double, of_weights, words
from switched_capacitor_calls import multiply

from amsim.circuits import (
    Adc,
    BiasDac,
    CapacitorLadder,
    Comparator,
    SwitchedCapacitor,
    TimeSharedCharge,
    ValueRange,
    WeightedCapacitors,
)

ROWS, BITS = 13, 3
CIRCUITS = {
    "weighted": WeightedCapacitors(BITS, unit_capacitance=3e-15, node_parasitic=2e-15, sharing_time=3e-12, resistance=2e3),
    "time shared": TimeSharedCharge(BITS, capacitance=19e-15, sharing_time=30e-12, resistance=2e3),
    "ladder": CapacitorLadder(BITS, unit_capacitance=4e-15, node_parasitic=1.5e-15, compensation=0.3),
}
BASE = SwitchedCapacitor(
    rows=ROWS,
    columns=2 * BITS,
    weight_bits=BITS,
    mismatch_coefficient=0.05 * math.sqrt(1e-15),
    # Next to nothing: it holds no capacitor of its own in a read of numbers.
    bias_dac=BiasDac(bits=1, lsb=1e-6),
    line_parasitic=6e-15,
    comparator=Comparator(noise=0.0, offset_sigma=3e-3, trim=None),
)


def signs(generator, *shape):
    return generator.choice([-1.0, 1.0], shape)


@pytest.mark.parametrize("second_line", ["none", "differential", "replica"])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_values_are_those_of_explicit_capacitors(circuit, second_line):
    generator = np.random.default_rng(0)
    x, w = signs(generator, 6, ROWS), words(generator, BITS, ROWS, 2)
    with jax.enable_x64(True):
        macro = in_double(dataclasses.replace(BASE, combining=CIRCUITS[circuit], second_line=second_line))
        die = macro.fabricate(jax.random.key(1))
        found = np.asarray(group_counts(macro, die, jnp.asarray(x), jnp.asarray(w)))
        high = (1 + x[:, :, None] * digits_of_words(w, BITS)[None]) / 2
        full = ROWS * (2**BITS - 1)
        first = explicit_counts(macro, die.units, high, die.combining)
        offset = 3e-3 * np.asarray(die.comparator)[::BITS] * float(macro.counts_per_volt)
        if second_line == "none":
            # The level half way follows what the sharing leaves of the swing, as a nominal group has it.
            nothing = np.zeros_like(die.units), np.ones_like(high), np.zeros_like(die.combining)
            expected = first - explicit_counts(macro, *nothing)[0] / 2
            assert (abs(explicit_counts(macro, *nothing)[0] - 2 * full) > 1e-3).any() == (circuit != "ladder")
        else:
            beside = 1 - high if second_line == "differential" else np.full_like(high, 0.5)
            expected = first - explicit_counts(macro, die.second.units, beside, die.second.combining)
            expected = expected / 2 if second_line == "differential" else expected
    np.testing.assert_allclose(found, expected + offset, rtol=1e-7, atol=1e-5)


CODINGS = [
    ("bipolar", 2, 2), ("bipolar", 4, 2), ("bipolar", 8, 4), ("ternary", 3, 2), ("ternary", 5, 2), ("auto", 4, 3),
    ("auto", 4, 2), ("auto", 5, 5),
]  # fmt: skip


@pytest.mark.parametrize("kind", [WeightedCapacitors, TimeSharedCharge, CapacitorLadder])
@pytest.mark.parametrize(("coding", "bits", "combined"), CODINGS)
def test_ideal_circuits_give_the_exact_product(kind, coding, bits, combined):
    array = SwitchedCapacitor(
        rows=40, columns=4 * combined, weight_bits=bits, input_bits=3, weight_coding=coding, combining=kind(combined)
    ).ideal()
    generator = np.random.default_rng(0)
    largest = 2 ** (bits - 1) - 1
    lowest = -largest - (coding == "bipolar" or combined == bits)
    x, w = generator.integers(-4, 4, (8, 70)).astype(np.float32), generator.integers(lowest, largest + 1, (70, 3))
    known = ValueRange(-4.0, 3.0, 1.0), ValueRange(float(lowest), float(largest), 1.0)
    found = multiply(array, x, jnp.asarray(w, jnp.float32), input_range=known[0], weight_range=known[1])
    np.testing.assert_allclose(found, x @ w, rtol=1e-6)
