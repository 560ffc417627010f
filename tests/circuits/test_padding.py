"""Products that pad their maps themselves: the same numbers as of maps that were padded before."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import DigitalBinary, MultiPrecision, SerialAccumulation, SwitchedCapacitor
from amsim.circuits.contract.bit_slicing import accumulate, recombine, weight_digits
from amsim.circuits.contract.neuron import Neuron
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import ConvolutionProduct
from amsim.circuits.selection.codes import IntegerCode
from amsim.circuits.selection.value_range import ValueRange

PADDING = ((1, 2), (0, 1))
PRODUCT = ConvolutionProduct(kernel=(3, 2), channels=5, columns=4, strides=(2, 1), dilation=(1, 1), padding=PADDING)
KEY = jax.random.key(3)
SIGNED = ValueRange()
UNSIGNED = ValueRange(0.0)
SIGNS = ValueRange(-1.0, 1.0)
BITS = ValueRange(0.0, 1.0, 1.0)
ZERO_POINT = IntegerCode(jnp.ones(()), 3, False, zero=jnp.asarray(3.0))
Array1 = functools.partial(SwitchedCapacitor, rows=18, columns=4)  # three channels a tile: two tiles
Words = functools.partial(Array1, weight_bits=3, input_bits=3)

NUMBERS = {
    "words of an array": (Words(), SIGNED),
    "words with a zero-point": (Words(), ZERO_POINT),
    "serial accumulation": (Words(serial_accumulation=SerialAccumulation(digits=3)), SIGNED),
    "exact bits": (DigitalBinary(), BITS),
    "exact words with a zero-point": (MultiPrecision(weight_bits=3, input_bits=3), ZERO_POINT),
}


def operands(known):
    random = np.random.default_rng(0)
    inputs = random.integers(-3, 5, (2, 5, 4, 5)).astype(np.float32)
    if known in (UNSIGNED, BITS):
        inputs = np.abs(inputs)
    if known in (SIGNS, BITS):
        inputs = np.where(inputs > 1, 1, -1 if known is SIGNS else 0).astype(np.float32)
    bits = known in (SIGNS, BITS)
    weights = np.where(random.integers(0, 2, (30, 4)), 1, -1) if bits else random.integers(-4, 4, (30, 4))
    inside = Operands(PRODUCT, jnp.asarray(inputs), jnp.asarray(weights, jnp.float32), known, SIGNS if bits else SIGNED)
    padded = np.pad(inputs, ((0, 0), *PADDING, (0, 0)))
    return inside, dataclasses.replace(inside, product=PRODUCT.unpadded, inputs=jnp.asarray(padded))


@eqx.filter_jit
def read(macro, given, die, key):
    return macro.multiply(given, die=die, key=key)


@eqx.filter_jit
def everything(macro, given):
    """Numbers read, what the macro reports, and the lines that a converter meets."""
    lines = macro.line_counts(given) if isinstance(macro, SwitchedCapacitor) else jnp.zeros(())
    return macro.multiply(given), macro.report(given), lines


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_and_reports(name):
    macro, known = NUMBERS[name]
    (sums, report, lines), (want, expected, counted) = (everything(macro, one) for one in operands(known))
    assert sums.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(sums, want)
    np.testing.assert_array_equal(lines, counted)
    assert report.keys() == expected.keys()
    for entry, value in report.items():
        np.testing.assert_allclose(value, expected[entry], rtol=2e-6, err_msg=entry)


@pytest.mark.parametrize(("macro", "known"), [(Array1(), SIGNS), (Words(input_bits=2), SIGNED)], ids=["signs", "words"])
def test_a_die_with_noise(macro, known):
    die = macro.fabricate(jax.random.key(1))
    sums, want = (read(macro, one, die, KEY) for one in operands(known))
    # Where a zero leaves its cells undriven to the bit; else to the rounding of sums of unequal capacitors.
    np.testing.assert_allclose(sums, want, rtol=0, atol=0 if known is SIGNS else 1e-4 * np.max(np.abs(want)))


@pytest.mark.parametrize("known", [SIGNS, BITS])
def test_decisions(known):
    macro = SwitchedCapacitor(rows=64, columns=4)
    neuron, die = Neuron(jnp.ones((4,)), jnp.asarray([0.3, -2.1, 0.0, 5.0])), macro.fabricate(jax.random.key(1))
    margin = eqx.filter_jit(lambda given: macro.margin(given, neuron, die=die, key=KEY))
    found, want = map(margin, operands(known))
    np.testing.assert_allclose(found, want, rtol=0, atol=0 if known is SIGNS else 2e-5)


def test_slopes():
    macro, (inside, padded) = DigitalBinary(input_bits=3), operands(ZERO_POINT)
    random = np.random.default_rng(1)
    towards = jnp.asarray(random.normal(size=(2, 3, 4, 4)), jnp.float32)

    @eqx.filter_jit
    @eqx.filter_grad
    def slopes(pair, given):
        given = dataclasses.replace(given, inputs=pair[0], matrix=pair[1])
        coded = macro.coded(given)
        return jnp.sum(towards * recombine(coded, accumulate(coded, weight_digits(coded), 18, lambda one: one.sums)))

    found, want = (slopes((one.inputs, one.matrix), one) for one in (inside, padded))
    (top, bottom), (left, right) = PADDING
    cut = want[0][:, top : -bottom or None, left : -right or None]
    np.testing.assert_allclose(found[0], cut, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], want[1], rtol=1e-5, atol=1e-4)


def test_padding_of_another_form_is_refused():
    with pytest.raises(ValueError, match="`padding` must have two counts"):
        dataclasses.replace(PRODUCT, padding=((1, 1),))
    with pytest.raises(ValueError, match="`padding` must have two counts"):
        dataclasses.replace(PRODUCT, padding=((1, 1), (-1, 0)))
