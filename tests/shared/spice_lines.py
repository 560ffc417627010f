"""Operands of lines that ngspice simulates, and the voltages behind a macro's own decisions."""

import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import DenseProduct, Neuron, Operands, ValueRange
from amsim.spice.lines import in_float64

SIGNS = ValueRange(-1.0, 1.0)

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")


def operands(seed, evaluations, macro):
    """Random weights, shape (rows, columns), and inputs, shape (evaluations, rows), of -1 and +1."""
    generator = np.random.default_rng(seed)
    return generator.choice([-1, 1], (macro.rows, macro.columns)), generator.choice([-1, 1], (evaluations, macro.rows))


@eqx.filter_jit
def _counts(macro, die, x, w, codes):
    neuron = Neuron(jnp.ones(codes.size), codes * macro.bias_dac.lsb)
    return macro.margin(Operands(DenseProduct(*w.shape), x, w, SIGNS, SIGNS), neuron, die=die)


def folded_voltages(macro, die, weights, inputs, codes, reset_level):
    """Line voltage behind the macro's own decision, its reference fixed half way between all low and all high."""
    with jax.enable_x64(True):
        macro, die = in_float64(macro), in_float64(die)
        x, w = jnp.asarray(inputs, float), jnp.asarray(weights, float)
        counts = _counts(macro, die, x, w, jnp.asarray(codes, float))
        middle = macro.rows + jnp.sum(macro.bias_dac.section_units()[:-1])
        # The array expects a last evaluation, and slow drivers to keep part of it; a first one has none.
        return np.asarray(reset_level + (counts + middle) / macro.counts_per_volt - macro.nominal.drive_shift)
