"""Published chips as accelerators; each docstring says what is published, what is assumed and what was calibrated."""

import dataclasses

from amsim.accelerator import Accelerator
from amsim.chips.binary import bankman2018 as bankman2018
from amsim.chips.binary import binareye2018 as binareye2018
from amsim.chips.envision import envision2016 as envision2016
from amsim.chips.envision import envision2017 as envision2017


def with_word_length(accelerator: Accelerator, bits: int) -> Accelerator:
    """The same accelerator with every macro at this word length of weights and inputs."""
    macros = tuple(dataclasses.replace(m, weight_bits=bits, input_bits=bits) for m in accelerator.macros)
    return dataclasses.replace(accelerator, macros=macros)
