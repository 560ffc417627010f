"""Derivatives with respect to every parameter of row DACs and serial accumulation against central differences."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from amsim.circuits import (
    Adc,
    BiasDac,
    Comparator,
    DenseProduct,
    IntegerCode,
    Operands,
    RowDac,
    SerialAccumulation,
    SwitchedCapacitor,
    ValueRange,
    Work,
)
from amsim.circuits.charge.die_folding import fold_die
from amsim.circuits.contract.bit_slicing import Joining, accumulate, weight_digits

ROWS, COLUMNS, SIGNS = 6, 3, ValueRange(-1.0, 1.0)
STATIC = {
    ("row_dac", "mismatch"),
    ("serial_accumulation", "capacitor_ratio"),
    ("serial_accumulation", "mismatch_coefficient"),
    ("serial_accumulation", "off_resistance"),
    ("serial_accumulation", "sharing_cycles"),
}
DYNAMIC = {("row_dac", "noise")}
COSTS = {
    ("row_dac", "capacitance"),
    ("row_dac", "reference_efficiency"),
    ("row_dac", "bit_area"),
    ("serial_accumulation", "switch_capacitance"),
    ("serial_accumulation", "sharing_cycles"),
    ("serial_accumulation", "capacitor_density"),
    ("serial_accumulation", "capacitor_ratio"),
}


def array():
    return SwitchedCapacitor(
        rows=ROWS,
        columns=COLUMNS,
        input_bits=4,
        adc=Adc(bits=12, range=2.0),
        bias_dac=BiasDac(bits=2),
        comparator=Comparator(noise=3e-3),
        row_dac=RowDac(bits=2, mismatch=0.05, noise=5e-3, reference_efficiency=0.7),
        serial_accumulation=SerialAccumulation(
            digits=2, capacitor_ratio=1.1, mismatch_coefficient=0.1 * math.sqrt(1e-15), off_resistance=2e8
        ),
    )


def changed(macro, paths, logs):
    for (part, field), log in zip(paths, logs, strict=True):
        macro = eqx.tree_at(
            lambda one, of=(part, field): getattr(getattr(one, of[0]), of[1]),
            macro,
            replace_fn=lambda v, by=log: v * jnp.exp(by),
        )
    return macro


def in_double(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float) if eqx.is_inexact_array(leaf) else leaf, tree)


def check(function, macro, paths, floor):
    """Reverse derivatives with respect to logarithms of parameters against central differences; returns them."""
    of_logs = eqx.filter_jit(lambda logs: function(changed(macro, paths, logs)))
    slopes = eqx.filter_jit(jax.grad(lambda logs: function(changed(macro, paths, logs))))(jnp.zeros(len(paths)))
    for path, slope, step in zip(paths, slopes, 1e-4 * jnp.eye(len(paths)), strict=True):
        difference = (of_logs(step) - of_logs(-step)) / 2e-4
        np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=floor, err_msg=str(path))
        assert abs(float(slope)) > floor, path
    return slopes


def test_every_parameter_is_named():
    macro = array()
    found = {
        (part, field.name)
        for part in ("row_dac", "serial_accumulation")
        for field in dataclasses.fields(getattr(macro, part))
        if eqx.is_inexact_array(getattr(getattr(macro, part), field.name))
    }
    assert found == STATIC | DYNAMIC | COSTS


def test_what_is_read():
    """The read goes straight through the converter: its slope is that of the line before it."""
    with jax.enable_x64(True):
        macro = in_double(array())
        die = in_double(macro.fabricate(jax.random.key(0)))
        generator = np.random.default_rng(0)
        x = jnp.asarray(generator.integers(0, 16, (4, ROWS)), float)
        w, probe = jnp.asarray(generator.choice([-1.0, 1.0], (ROWS, COLUMNS))), generator.normal(size=(4, COLUMNS))
        code = IntegerCode(jnp.ones(()), 4, False)
        operands = Operands(DenseProduct(ROWS, COLUMNS), x, w, code, SIGNS)

        def line(macro):
            coded, folded = macro.coded(operands), fold_die(macro, die)
            joining = Joining(4, 2, folded.places)
            digits = weight_digits(coded)
            sums = accumulate(coded, digits, ROWS, lambda one: one.sums, cells=folded.cells, joining=joining)
            middle = folded.middle(jnp.ones(ROWS), with_bias=False)[None] + folded.offset[None]
            return jnp.sum(probe * (sums / 15 + middle)) * 7.5

        paths = sorted(STATIC)
        slopes = check(line, macro, paths, 1e-6)

        def read(logs):
            return jnp.sum(probe * changed(macro, paths, logs).multiply(operands, die=die))

        np.testing.assert_allclose(eqx.filter_jit(jax.grad(read))(jnp.zeros(len(paths))), slopes, rtol=1e-6)


def test_closed_form_of_the_error():
    with jax.enable_x64(True):
        check(lambda macro: sum(macro.error_variances().values()), in_double(array()), sorted(STATIC | DYNAMIC), 1e-9)


def test_energy_time_and_area():
    work = Work(DenseProduct(ROWS, COLUMNS), 3, 18, 1.0)

    def spent(macro):
        cost = macro.cost(work, {})
        return cost.energy / 1e-12 + cost.seconds / 1e-6 + macro.area / 1e-9

    with jax.enable_x64(True):
        check(spent, in_double(array()), sorted(COSTS), 1e-9)


def test_slopes_of_weights_and_inputs_are_those_of_the_product():
    """Digits that share a conversion pass the slope of the word on as separate ones do."""
    ideal = array().ideal()
    generator = np.random.default_rng(1)
    x = jnp.asarray(generator.integers(0, 16, (4, ROWS)), jnp.float32)
    w, probe = (
        jnp.asarray(generator.choice([-1.0, 1.0], (ROWS, COLUMNS)), jnp.float32),
        jnp.asarray(generator.normal(size=(4, COLUMNS)), jnp.float32),
    )
    code = IntegerCode(jnp.ones(()), 4, False)

    @eqx.filter_jit
    def slopes(x, w):
        def read(x, w):
            return jnp.sum(probe * ideal.multiply(Operands(DenseProduct(ROWS, COLUMNS), x, w, code, SIGNS)))

        return jax.grad(read, (0, 1))(x, w)

    of_inputs, of_weights = slopes(x, w)
    np.testing.assert_allclose(of_inputs, probe @ w.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_weights, x.T @ probe, rtol=1e-5, atol=1e-4)
