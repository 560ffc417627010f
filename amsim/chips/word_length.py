"""A chip at another word length."""

import dataclasses

from amsim.circuits.checks import integer_between, part_of
from amsim.system.accelerator import Accelerator


def with_word_length(accelerator: Accelerator, bits: int) -> Accelerator:
    """The same accelerator with every macro at this word length of weights and inputs.

    Args:
        accelerator: The hardware.
        bits: Word length, as its macros allow.

    Returns:
        The hardware, otherwise unchanged.

    Raises:
        ValueError: A macro has no such word length.
    """
    part_of("accelerator", accelerator, Accelerator)
    integer_between("bits", bits, 1, 16)
    macros = tuple(dataclasses.replace(m, weight_bits=bits, input_bits=bits) for m in accelerator.macros)
    return dataclasses.replace(accelerator, macros=macros)
