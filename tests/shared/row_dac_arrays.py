"""A small array of lines with a DAC of four bits at each row, and reads of it."""

import equinox as eqx
import jax.numpy as jnp
from line_arrays import line_array

from amsim.circuits import (
    Adc,
    Comparator,
    DenseProduct,
    IntegerCode,
    Operands,
    RowDac,
    ValueRange,
)

COLUMNS = 3
BASE = line_array(
    COLUMNS,
    input_bits=4,
    comparator=Comparator(noise=0.0, offset_sigma=0.0),
    row_dac=RowDac(bits=4, mismatch=0.2),
)
# As fine as it gets, so that what is read is the line itself.
UNKNOWN, SIGNS = ValueRange(), ValueRange(-1.0, 1.0)
FINE = Adc(bits=16, range=1.0)


@eqx.filter_jit
def multiply(macro, inputs, weights, die=None, key=None, input_range=UNKNOWN, weight_range=UNKNOWN):
    operands = Operands(
        DenseProduct(*weights.shape), jnp.asarray(inputs), jnp.asarray(weights), input_range, weight_range
    )
    return macro.multiply(operands, die=die, key=key)


def code(macro, digits="bipolar"):
    """Words of the inputs as they are, offset binary: 0 is the lowest level."""
    return IntegerCode(jnp.ones(()), macro.input_bits, False, digit_set=digits)
