"""Envision, the precision-scalable image processor."""

from amsim.accelerator import Accelerator
from amsim.circuits.memories import Sram
from amsim.circuits.multi_precision import MultiPrecision

ENVISION_CONTROL_CAPACITANCE = 0.95e-9
"""F. Calibrated: what remains of Envision's 290 mW after its units and memories; a programmable processor."""


def envision2017(bits: int = 8) -> Accelerator:
    """Precision-scalable processor Envision of Moons et al. (ISSCC'17), 28 nm FDSOI.

    Published: 256 units of 1x16, 2x8 or 4x4 bit, 76 GOPS at every precision, 290 mW at 16 bit, 7.6 mW at 4 bit
    sparse, 128 kB of SRAM, 1.87 mm^2.
    Assumed: supplies and capacitance ratios of the modes, and 2.2 pJ of the 7.6 pJ a 16-bit MAC for the units.
    Calibrated: control on the 290 mW, unit area on the 1.87 mm^2 (facts 3).

    Args:
        bits: Word length of weights and activations, 1 to 16.
    """
    units = MultiPrecision(weight_bits=bits, input_bits=bits)
    return Accelerator(
        units,
        weight_memory=Sram(capacity=8 * 96.0 * 1024),
        activation_memory=Sram(capacity=8 * 32.0 * 1024),
        control_capacitance=ENVISION_CONTROL_CAPACITANCE,
    )
