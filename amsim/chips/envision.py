"""Envision, the precision-scalable image processor, and its predecessor."""

from amsim.circuits.checks import integer_between
from amsim.circuits.multi_precision import MultiPrecision, PrecisionMode
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.register_file import RegisterFile
from amsim.circuits.technology.sram import Sram, SramOrganisation
from amsim.circuits.technology.technology import Technology
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE
from amsim.system.organisation import Processor


def envision2017(bits: int = 8) -> Accelerator:
    """Precision-scalable processor Envision of Moons et al. (ISSCC'17), 28 nm FDSOI.

    Published: 256 units of 1x16, 2x8 or 4x4 bit, 76 GOPS at every precision, 290 mW at 16 bit, 7.6 mW at 4 bit sparse,
    128 kB of SRAM in 64 macros, 1.87 mm^2, AlexNet at 47 frames/s and 44 mW.
    Assumed: supplies and capacitance ratios of the modes; SRAM at 0.8 V, half for weights; the defaults of `Processor`,
    which fills the units with pixels, filters or input channels, site by site.
    Calibrated: control on the 290 mW, energy of a MAC on the 7.6 mW with 28 % of the products without a zero, unit area
    on the 1.87 mm^2 (facts 3). AlexNet is predicted.

    Args:
        bits: Word length of weights and activations, 1 to 16.

    Returns:
        The chip, as an accelerator.
    """
    integer_between("bits", bits, 1, 16)
    units = MultiPrecision(weight_bits=bits, input_bits=bits)
    memory = Sram(capacity=64 * KILOBYTE, organisation=_banks())
    return Accelerator(
        units, organisation=_processor(units, Technology()), weight_memory=memory, activation_memory=memory
    )


def envision2016(bits: int = 8) -> Accelerator:
    """First generation of Envision by Moons and Verhelst (VLSI'16, JSSC'17), 40 nm low-power CMOS.

    Published: 256 units of 1 to 16 bit that gate unused bits and lower their supply, without subwords; 102
    GOPS at 204 MHz and 1.1 V, 25 to 287 mW, AlexNet at 47 frames/s and 76 mW, 2.4 mm^2 (facts 3).
    Assumed: supplies and capacitance ratios of the modes (k1, k2 of facts 3, recalled); 3.7 pJ per MAC at 16 bit, the
    anchor of the Asilomar'17 model (facts 4.2); memories and control of the second generation, in 40 nm.
    Calibrated: none. All figures are predicted.

    Args:
        bits: Word length of weights and activations, 1 to 16.

    Returns:
        The chip, as an accelerator.
    """
    integer_between("bits", bits, 1, 16)
    process = Process(node="40nm")
    modes = tuple(
        PrecisionMode(bits=width, supply=1.1 / lower, clock=204e6, capacitance_ratio=1 / fewer)
        for width, lower, fewer in ((4, 1.2, 12.5), (8, 1.1, 3.5), (12, 1.02, 1.4), (16, 1.0, 1.0))
    )
    units = MultiPrecision(
        weight_bits=bits,
        input_bits=bits,
        modes=modes,
        mac_energy=3.7e-12 / energy_ratio(process, 1.1),
        process=process,
    )
    memory = Sram(capacity=64 * KILOBYTE, organisation=_banks(), supply=1.1, process=process)
    gates = Technology(process=process)
    return Accelerator(
        units,
        organisation=_processor(units, gates),
        weight_memory=memory,
        activation_memory=memory,
        technology=gates,
    )


def _processor(units: MultiPrecision, technology: Technology) -> Processor:
    """Processor around the units, at the supply of their mode."""
    supply = units.operating_supply
    instructions = Sram(capacity=16 * KILOBYTE, supply=supply, process=technology.process)
    return Processor(instruction_memory=instructions, registers=RegisterFile(supply=supply, technology=technology))


def _banks() -> SramOrganisation:
    """Half of the 64 macros of 2 kB (facts 3), for weights or activations."""
    return SramOrganisation(word_width=16, banks=32)
