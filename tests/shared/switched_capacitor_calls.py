"""Small switched-capacitor arrays, and compiled calls of their operations."""

import equinox as eqx
import jax.numpy as jnp
from hypothesis import strategies as st

from amsim.circuits import DenseProduct, Neuron, Operands, SwitchedCapacitor, ValueRange

SIGNS = ValueRange(-1.0, 1.0)
LINE_ROWS, LINES = 12, 5
SMALL = SwitchedCapacitor(rows=LINE_ROWS, columns=LINES)
IDEAL = SMALL.ideal()
SEEDS = st.integers(0, 2**32 - 1)


@eqx.filter_jit
def multiply(macro, inputs, matrix, die=None, key=None, input_range=SIGNS, weight_range=SIGNS):
    operands = Operands(DenseProduct(*matrix.shape), inputs, matrix, input_range, weight_range)
    return macro.multiply(operands, die=die, key=key)


@eqx.filter_jit
def margin(macro, inputs, matrix, slope, intercept, die=None, key=None, input_range=SIGNS, ties_up=True):
    operands = Operands(DenseProduct(*matrix.shape), inputs, matrix, input_range, SIGNS)
    return macro.margin(operands, Neuron(slope, intercept, ties_up), die=die, key=key)


@eqx.filter_jit
def decide(macro, inputs, weights, thresholds, die=None, key=None):
    return macro.decide(inputs, weights, thresholds, die=die, key=key)


@eqx.filter_jit
def report_on(macro, inputs, matrix, neuron=None):
    return macro.report(Operands(DenseProduct(*matrix.shape), inputs, matrix, SIGNS, SIGNS), neuron=neuron)


def bits_of(generator, *shape):
    return generator.choice([-1, 1], shape)


def f32(values):
    return jnp.asarray(values, jnp.float32)
