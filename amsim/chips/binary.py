"""Binary image processors in 28 nm: mixed-signal (Bankman) and digital (BinarEye)."""

from amsim.circuits.checks import one_of, text
from amsim.circuits.digital_binary import DigitalBinary
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.system.accelerator import Accelerator
from amsim.system.organisation import Spread


def bankman2018(*, digital_sites: str = "dense") -> Accelerator:
    """Mixed-signal binary processor of Bankman et al. (ISSCC'18, JSSC'19), 28 nm.

    Published: 64 x 1024 weight-stationary switched-capacitor neurons with a 9-bit bias section and a comparator,
    neurons at 0.6 V and memory at 0.8 V, 328 kB of SRAM, 6 mm^2, 3.8 uJ and 237 frames/s on its CIFAR-10 network.
    Each neuron is a differential pair of lines (recalled, facts 1.2).
    Assumed: 1 fF units, comparator noise and offset, SRAM energy law, leakage (see each default).
    Calibrated: cell logic on the 0.958 uJ derived for the array, 1.66 fF beside the capacitors of both lines, control
    on the 3.8 uJ, cell area on the 6 mm^2 (facts 1.1). The classifier runs on a digital binary unit at the same supply.

    Args:
        digital_sites: Pattern of the sites that need a number and go to the digital unit.

    Returns:
        The chip, as an accelerator.
    """
    text(digital_sites=digital_sites)
    array = SwitchedCapacitor(adc=None, second_line="differential", cell_capacitance=1.662e-15)
    classifier = DigitalBinary(columns=16, supply=0.6, clock=10e6)
    return Accelerator({digital_sites: classifier, ".*": array}, dram=None)


def binareye2018(*, filters: int = 256) -> Accelerator:
    """Digital binary processor BinarEye of Moons et al. (CICC'18), 28 nm.

    Published: 64 neurons of 2x2 kernels with weights in local flip-flops, which compute one position of 256-channel
    maps, two of 128 or four of 64 channels at a time; 14.4 uJ and 150 frames/s on Bankman's CIFAR-10 network,
    0.92 uJ at 64 channels, 1.4 mm^2.
    Assumed: supply 0.66 V, 6 MHz at that point, memories as Bankman's.
    Calibrated: the array's overhead on 12.3 fJ per MAC (facts 1.1); control is Bankman's. Area is predicted.

    Args:
        filters: Maps per layer: 64, 128 or 256.

    Returns:
        The chip, as an accelerator.

    Raises:
        ValueError: Another number of maps.
    """
    one_of("filters", str(filters), ("64", "128", "256"))
    neurons = DigitalBinary(rows=4 * filters)
    return Accelerator(neurons, spreads=Spread(256 // filters, "pixels"), dram=None)
