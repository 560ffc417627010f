"""Generic platform of Moons et al. (Asilomar'17): cost of a quantised network at each word length."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from amsim.circuits.checks import one_number, one_of, part_of, text
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.work import MacroCost, Work
from amsim.circuits.fields import Quantity, quantity
from amsim.circuits.multi_precision import MultiPrecision, PrecisionMode
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.dram import Dram
from amsim.circuits.technology.process import REFERENCE_SUPPLY, Process
from amsim.circuits.technology.sram import Sram, SramOrganisation
from amsim.circuits.technology.technology import Technology
from amsim.noise.checks import positive
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE
from amsim.system.organisation import Organisation, Overhead

WIDEST = 16
"""Bits at which the energy of a multiply-accumulate is stated."""

MAC_EXPONENT = 1.25
"""Exponent of the energy of a multiply-accumulate against its bits (facts 4.2, recalled)."""

BATCH_NORMALISATION = 3.0
"""Cost of batch normalisation and activation per output, in multiply-accumulates (facts 4.2, recalled)."""

PIXEL_BITS = 8
"""Bits per pixel of the image, whatever the network's word length."""

FILTERS = 16
"""Filters side by side; the source gives only the number of units."""


class GenericUnits(MultiPrecision):
    """Units of one word length that fetch each word of a site once: `E_C = E_MAC (N_c + 3 A_s)`.

    Weights are fetched once, outputs written once and as many words read (`2 E_M A_s`), whatever the tiling; reused
    words come from `LocalBuffers`. Zero operands save multiply-accumulates and nothing else.

    Attributes:
        reads_image: Whether the inputs of its sites are an image from off chip (static).
    """

    reads_image: bool = eqx.field(static=True, default=False)

    def cost(self, work: Work, activity: dict[str, Array]) -> MacroCost:
        """Cost of the units, with batch normalisation and each word fetched once."""
        tiled, outputs = super().cost(work, activity), float(work.positions * work.product.columns)
        return dataclasses.replace(
            tiled,
            energy=tiled.energy + BATCH_NORMALISATION * outputs * self.mac_energy_in_process,
            weight_bits=tiled.stored_bits,
            input_bits=tiled.output_bits,
        )


class LocalBuffers(Organisation):
    """Local buffers of weights and inputs, each word serving a row or column of the p units: `2 E_L N_c / sqrt(p)`.

    Attributes:
        read_energy: E_L, energy to read one word at 28 nm, J.
        image_energy: Energy of an image from off chip, J per bit. Counted with control.
        control_capacitance: Capacitance that control and clock switch in every cycle, F. Default 0: not in the source's
            model.
        process: Node of the buffers.
    """

    read_energy: Quantity = quantity("read_energy", unit="J", symbol="E_L")
    image_energy: Quantity = quantity("image_energy", unit="J/bit")
    control_capacitance: Quantity = quantity("control_capacitance", unit="F", symbol="C_control", default=0.0)
    process: Process = eqx.field(default_factory=Process)

    def overhead(self, macro: Macro, work: Work, cost: MacroCost, busiest: MacroCost) -> Overhead:
        """Overhead of reading the two buffers and the image."""
        reads = 2.0 * work.macs / math.sqrt(macro.rows * macro.columns)
        image = isinstance(macro, GenericUnits) and macro.reads_image
        pixels = float(work.input_words * PIXEL_BITS) if image else 0.0
        each = self.read_energy * energy_ratio(self.process, macro.operating_supply)
        return Overhead(reads * each, pixels * self.image_energy, jnp.zeros(()))

    @property
    def area(self) -> Float[Array, ""]:
        """0: buffers are part of the units."""
        return jnp.zeros(())


def asilomar2017(
    bits: int = 8,
    *,
    memory: Any = 2048 * KILOBYTE,
    mac_energy: Any = 3.7e-12,
    dram: Dram | None = None,
    image_sites: str = "a1",
) -> Accelerator:
    """Generic platform of Moons et al. (Asilomar'17, arXiv 1711.00215), 40 nm, at word length Q.

    `E = E_DRAM + E_C + E_W + E_A` with `E_C = E_MAC (N_c + 3 A_s)`, `E_W = E_M N_s + E_L N_c / sqrt(p)`,
    `E_A = 2 E_M A_s + E_L N_c / sqrt(p)` and `E_DRAM = E_D (8 s_in^2 c_in / Q + 2 f_r + w_r)` per word, where
    `E_MAC = 3.7 pJ (Q / 16)^1.25`, `E_L = E_MAC`, `E_M = 2 E_MAC` and `p = 64 * 16 / Q`: N_c multiply-accumulates, A_s
    outputs and N_s weights of all layers; w_r weights and f_r outputs do not fit on the chip.

    Published: binary and 4-bit networks are the cheapest, 2 to 10 times below 8 bit at equal accuracy (facts 4.1).
    Recalled: all equations and constants above (facts 4.2, medium confidence), and memories of 0.5 to 4 MB.
    Assumed: half of the memory for weights; 20.3 pJ per bit of DRAM, after Horowitz, since the source's own figure is
    not recalled well; 204 MHz, the clock of Envision's first generation, and its areas, which the source does not use.
    Calibrated: none. Leakage, control and stalls are not in the model. Beyond the equations, weights that come from
    DRAM are written into the on-chip memory once. The image is counted with control: there is no component for it.

    Args:
        bits: Q, 1, 2, 4, 8 or 16.
        memory: On-chip memory of weights and activations together, bits. Default 2 MB.
        mac_energy: E_MAC at 16 bit, J.
        dram: Off-chip memory. Default 20.3 pJ per bit.
        image_sites: Pattern of the sites whose input is the image; the default is that of
            `amsim.workloads.quantised_image_network`.

    Returns:
        The platform, as an accelerator.

    Raises:
        ValueError: Another word length, or a quantity out of range.
    """
    one_of("bits", str(bits), ("1", "2", "4", "8", "16"))
    text(image_sites=image_sites)
    for name, value in (("memory", memory), ("mac_energy", mac_energy)):
        one_number(name, value)
        positive(name, value)
    part_of("dram", dram, Dram, optional=True)
    outside = Dram() if dram is None else dram
    energy, process = mac_energy * (bits / WIDEST) ** MAC_EXPONENT, Process(node="40nm")
    at_28_nm = energy / energy_ratio(process, REFERENCE_SUPPLY)
    units = GenericUnits(
        rows=64 // bits,
        columns=FILTERS,
        weight_bits=bits,
        input_bits=bits,
        mac_energy=at_28_nm,
        utilisation=1.0,
        unit_area=4770e-12 * bits / WIDEST,
        unit_leakage=0.0,
        modes=(PrecisionMode(bits=bits, supply=REFERENCE_SUPPLY, clock=204e6),),
        process=process,
    )
    half = Sram(
        capacity=memory / 2,
        supply=REFERENCE_SUPPLY,
        access_energy=2 * energy / bits / process.energy_ratio(REFERENCE_SUPPLY),
        leakage=0.0,
        # A word costs the same in a memory of any size and width, read or written.
        organisation=SramOrganisation(
            word_width=units.rows * FILTERS * bits, capacity_exponent=0.0, decoding_share=0.0, write_ratio=1.0
        ),
        process=process,
    )
    return Accelerator(
        {image_sites: dataclasses.replace(units, reads_image=True), ".*": units},
        organisation=LocalBuffers(read_energy=at_28_nm, image_energy=outside.access_energy, process=process),
        weight_memory=half,
        activation_memory=half,
        dram=outside,
        technology=Technology(process=process),
    )
