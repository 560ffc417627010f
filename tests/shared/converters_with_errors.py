"""Converters of all families with large and with small errors, and a compiled conversion."""

import equinox as eqx
import jax.numpy as jnp
import pytest

from amsim.circuits.adc import FlashAdc, SarAdc, SingleSlopeAdc
from amsim.noise import MOM_FRINGE_COEFFICIENT, PESSIMISTIC_COEFFICIENT

COLUMNS = 6
# Errors large enough that levels cross and codes go missing.
ROUGH = {
    "bottom-plate": SarAdc(bits=5, mismatch_coefficient=4 * PESSIMISTIC_COEFFICIENT, offset_sigma=0.5),
    "shared-line": SarAdc(bits=5, mismatch_coefficient=4 * PESSIMISTIC_COEFFICIENT, topology="shared-line"),
    "split": SarAdc(
        bits=5,
        mismatch_coefficient=2 * PESSIMISTIC_COEFFICIENT,
        topology="split",
        low_bits=2,
        low_parasitic=1e-15,
        bridge_scale=0.75,
    ),
    "flash": FlashAdc(levels=32, offset_sigma=1.0, ladder_mismatch=0.3),
    "flash-11": FlashAdc(levels=11, offset_sigma=0.4, ladder_mismatch=0.1),
    "single-slope": SingleSlopeAdc(bits=5, gain_sigma=0.05, bow_sigma=1.0, delay_sigma=0.5),
}
# Errors of the size in practice, for first-order formulas.
FINE = {
    "bottom-plate": SarAdc(bits=5, mismatch_coefficient=6 * MOM_FRINGE_COEFFICIENT, offset_sigma=0.1),
    "shared-line": SarAdc(bits=5, mismatch_coefficient=4 * MOM_FRINGE_COEFFICIENT, topology="shared-line"),
    "split": SarAdc(
        bits=5, mismatch_coefficient=3 * MOM_FRINGE_COEFFICIENT, topology="split", low_bits=2, low_parasitic=0.2e-15
    ),
    "flash": FlashAdc(levels=11, offset_sigma=0.15, ladder_mismatch=0.1),
    "single-slope": SingleSlopeAdc(bits=5, gain_sigma=0.005, bow_sigma=0.2, delay_sigma=0.1),
}
SIGMAS = {
    SarAdc: "mismatch_coefficient",
    FlashAdc: "offset_sigma",
    SingleSlopeAdc: "bow_sigma",
}


def named(table):
    return pytest.mark.parametrize("adc", [pytest.param(adc, id=name) for name, adc in table.items()])


def in_codes(adc):
    """Rows for which one code is exactly one cell, and the middle of the range."""
    rows = float(2 * adc.levels)
    return eqx.tree_at(lambda one: one.range, adc, jnp.asarray(0.5)), rows, float(adc.levels)


@eqx.filter_jit
def convert(adc, cells, rows, die=None, key=None, **settings):
    return adc.convert(cells, rows, die=die, key=key, **settings)
