"""Banks of a line: a gated line is a shorter line, in its reads, its errors and its cost."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line_arrays import signs
from switched_capacitor_calls import SIGNS

from amsim.circuits import (
    Adc,
    Banks,
    BiasDac,
    Comparator,
    DenseProduct,
    Drivers,
    Leakage,
    Neuron,
    Operands,
    ResetSwitch,
    SwitchedCapacitor,
)
from amsim.circuits.contract.products import ConvolutionProduct
from amsim.circuits.contract.work import Work

LONG = SwitchedCapacitor(
    rows=48,
    columns=4,
    mismatch_coefficient=0.05 * 1e-15**0.5,
    comparator=Comparator(noise=2e-3, offset_sigma=3e-3),
    bias_dac=BiasDac(bits=3),
    banks=Banks(number=4, off_capacitance=0.0),
)
EFFECTS = {
    "capacitors": {},
    "time": {"drivers": Drivers(spread=0.2), "reset": ResetSwitch(), "leakage": Leakage(hold_time=1e-7)},
}


def shorter(array: SwitchedCapacitor, rows: int) -> SwitchedCapacitor:
    return dataclasses.replace(array, rows=rows, banks=None)


def of_first_rows(die, rows: int):
    """The die that a shorter line has of the same capacitors."""
    return jax.tree.map(lambda draws: draws[:rows] if draws.shape == (LONG.rows, LONG.columns) else draws, die)


@eqx.filter_jit
def read_in_every_way(array, x, w, die, key, rows):
    """Products, margins and closed forms of errors, in one program."""
    operands = Operands(DenseProduct(*w.shape), x, w, SIGNS, SIGNS)
    neuron = Neuron(jnp.ones(4), jnp.zeros(4))
    return (
        array.matmul(x, w, die=die, key=key),
        array.margin(operands, neuron, die=die),
        array.error_variances(rows=rows),
    )


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("effects", "rows", "line"),
    [
        ("capacitors", 5, 12),
        ("capacitors", 12, 12),
        ("capacitors", 13, 24),
        ("capacitors", 48, 48),
        ("time", 13, 24),
    ],
)
def test_a_gated_line_is_a_line_of_the_banks_in_use(effects, rows, line):
    array = dataclasses.replace(LONG, **EFFECTS[effects])
    short, die = shorter(array, line), eqx.filter_jit(SwitchedCapacitor.fabricate)(array, jax.random.key(1))
    operands = jnp.asarray(signs(0, 20, rows)), jnp.asarray(signs(1, rows, 4))
    found = read_in_every_way(array, *operands, die, jax.random.key(2), rows)
    expected = read_in_every_way(short, *operands, of_first_rows(die, line), jax.random.key(2), rows)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert array.for_rows(rows).line_rows == line


def test_open_switches_lengthen_the_line_by_what_they_leave_on_it():
    array = dataclasses.replace(LONG, banks=Banks(number=4, off_capacitance=2e-15))
    longer = dataclasses.replace(shorter(LONG, 12), line_parasitic=LONG.line_parasitic + 3 * 2e-15)
    np.testing.assert_allclose(array.for_rows(7).total_units, longer.total_units, rtol=1e-6)
    np.testing.assert_allclose(array.for_rows(48).total_units, shorter(LONG, 48).total_units, rtol=1e-6)


def test_cost_is_that_of_the_shorter_line_with_its_gates():
    work, gate = Work(DenseProduct(10, 4), 3, 30, 1.0), 1e-15
    array = dataclasses.replace(LONG, banks=Banks(number=4, off_capacitance=0.0, gate_capacitance=gate))
    found, short = array.cost(work, {}), shorter(LONG, 12).cost(work, {})
    gates = 4 * 4 * gate * float(LONG.supply) ** 2
    np.testing.assert_allclose(found.energy, short.energy + gates, rtol=1e-6)
    np.testing.assert_allclose(found.compute_cycles, short.compute_cycles)
    # Weights of other layers stay in the banks that are off.
    assert found.occupancy == pytest.approx(short.occupancy / 4)
    switches = 4 * 4 * float(array.banks.switch_area)
    np.testing.assert_allclose(float(array.area) - float(shorter(LONG, 48).area), switches, rtol=1e-2)


@pytest.mark.sampled
@pytest.mark.parametrize("rows", [48, 64, 100, 1000])
@pytest.mark.parametrize("number", [1, 3, 16])
def test_tiles_stay_as_few_and_are_even(rows, number):
    """A product takes no more tiles than on the whole line, and no bank that all of them could do without."""
    array = dataclasses.replace(LONG, banks=Banks(number=number))
    for product in (DenseProduct(rows, 2), ConvolutionProduct((3, 3), max(rows // 9, 1), 2, (1, 1), (1, 1))):
        used = array.for_product(product)
        assert used.tiles(product) == product.tiles(48) == array.tiles(product)
        fewer = used.line_rows - 48 // number
        assert fewer < product.row_block or product.tiles(fewer) > product.tiles(48)


def test_a_choice_of_banks_stands():
    forced = dataclasses.replace(LONG, banks=Banks(number=4, in_use=2))
    assert forced.for_rows(3) is forced
    assert forced.line_rows == 24
    assert forced.tiles(DenseProduct(30, 4)) == 2
    x, w = signs(0, 8, 30), signs(1, 30, 4)
    quiet = dataclasses.replace(forced.ideal(), adc=Adc(bits=8))
    np.testing.assert_allclose(quiet.matmul(x, w), x @ w, atol=1e-4)
    with pytest.raises(ValueError, match="30 rows does not fit a line of 24 rows"):
        forced.check_neuron(DenseProduct(30, 4))
    with pytest.raises(ValueError, match="`rows` must be an integer from 1 to 24"):
        forced.error_variances(rows=25)
    assert forced.error_variances().keys() == forced.error_variances(rows=24).keys()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"banks": Banks(number=5)}, "must divide the 48 rows of a line evenly, but has 5"),
        ({"banks": 4}, "banks"),
    ],
)
def test_wrong_banks_of_an_array(given, text, as_a_user_runs_it):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(LONG, **given)


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ("number", {"number": 0}),
        ("number", {"number": 1.5}),
        ("in_use", {"number": 2, "in_use": 3}),
        ("in_use", {"number": 2, "in_use": 0}),
    ],
)
def test_wrong_banks(wrong, given):
    with pytest.raises(ValueError, match=wrong):
        Banks(**given)
