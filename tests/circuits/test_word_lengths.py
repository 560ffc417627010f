"""Every word length that a family allows: more bits never read a product worse."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import chips
from amsim.circuits import DigitalBinary, Measured, MultiPrecision, SramCell, SwitchedCapacitor
from amsim.circuits.contract.bit_slicing import place_value

ROWS, LINE = 60, 32
COUNTS = np.arange(-LINE, LINE + 1)
INPUTS = jax.random.normal(jax.random.key(0), (8, ROWS))
WEIGHTS = jax.random.normal(jax.random.key(1), (ROWS, 4))
TRUE = np.asarray(INPUTS, np.float64) @ np.asarray(WEIGHTS, np.float64)
FAMILIES = {
    "switched capacitor": SwitchedCapacitor(rows=LINE, columns=8),
    "digital binary": DigitalBinary(rows=LINE, columns=8),
    "multi-precision": MultiPrecision(),
    "measured": Measured(
        COUNTS, COUNTS[None] * 1.0, np.zeros((1, COUNTS.size)), evaluation_energy=1e-12, evaluation_time=1e-9,
        array_area=1e-9, supply=0.6, rows=LINE, columns=8,
    ),
    "envision2017": chips.envision2017().macros[0],
    "envision2016": chips.envision2016().macros[0],
}  # fmt: skip


def error(macro):
    read = np.asarray(macro.matmul(INPUTS, WEIGHTS), np.float64)
    return np.sqrt(np.mean((read - TRUE) ** 2) / np.mean(TRUE**2))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("family", FAMILIES)
def test_more_bits_never_give_a_larger_error(family):
    errors = [
        error(dataclasses.replace(FAMILIES[family], weight_bits=bits, input_bits=bits)) for bits in (1, 8, 14, 15, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    # Two roundings to 2**15 steps of four sigma, and the rounding of float32.
    assert errors[-1] < 6e-5


@pytest.mark.sampled(3)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fixed", ["weight_bits", "input_bits"])
def test_more_bits_of_one_operand_never_give_a_larger_error(family, fixed):
    other = {"weight_bits": "input_bits", "input_bits": "weight_bits"}[fixed]
    macro = dataclasses.replace(FAMILIES[family], **{fixed: 16})
    errors = [error(dataclasses.replace(macro, **{other: bits})) for bits in (1, 8, 15, 16)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("bits", [1, 2, 8, 15, 16])
@pytest.mark.parametrize("rows", [1, 3, 1000, 40_000])
def test_default_accumulator_holds_any_number_of_full_scale_products(bits, rows):
    """Sums of one magnitude, the largest that words and rows can give."""
    unit = MultiPrecision(weight_bits=bits, input_bits=bits)
    inputs, weights = jnp.ones((2, rows)).at[1].set(-1.0), jnp.ones((rows, 1))
    np.testing.assert_allclose(unit.matmul(inputs, weights)[:, 0], [rows, -rows], rtol=1e-4)
    # The width that other tools are told holds it too.
    assert rows * 4.0 ** (max(bits, 2) - 1) < 2.0 ** (unit.sum_bits(rows) - 1) or bits == 1
    assert unit.sum_bits(rows) == 2 * bits + (rows - 1).bit_length()


def test_an_accumulator_of_any_width_saturates_where_it_ends():
    for width in (2, 16, 33, 48, 64):
        unit = MultiPrecision(weight_bits=16, input_bits=16, accumulator_bits=width)
        largest = (2.0 ** (width - 1) - 1) / (2.0**15 - 1) ** 2
        read = float(unit.matmul(jnp.ones((1, 1000)), jnp.ones((1000, 1)))[0, 0])
        assert read == pytest.approx(min(1000.0, largest), rel=1e-5)
        assert unit.sum_bits(1000) == width


def test_values_of_digits_are_exact():
    """Of every digit of the longest word, in both precisions: sums of them are whole numbers."""
    wanted = 2.0 ** np.arange(16)
    with jax.enable_x64(True):
        for dtype in (jnp.float32, jnp.float64):
            for compiled in (place_value, jax.jit(place_value, static_argnums=1)):
                np.testing.assert_array_equal(compiled(jnp.arange(16), dtype), wanted)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("bits", [1, 2, 13, 14, 15, 16])
def test_words_of_cells_that_never_fail_are_those_written(bits):
    macro = DigitalBinary(rows=LINE, columns=8, weight_bits=bits, weight_cells=SramCell(mean=0.1, sigma=1e-6))
    die = macro.fabricate(jax.random.key(0))
    whole = dataclasses.replace(macro, weight_cells=None)
    inputs = jnp.sign(INPUTS)
    np.testing.assert_array_equal(macro.matmul(inputs, WEIGHTS, die=die), whole.matmul(inputs, WEIGHTS))
