"""What a move to another node leaves as it is, with the reason."""

from typing import Any

from amsim.circuits.adc import Adc, SarAdc
from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.capacitor_ladder import CapacitorLadder
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.drivers import Drivers
from amsim.circuits.charge.layout import Layout
from amsim.circuits.charge.leakage import Leakage
from amsim.circuits.charge.reset_switch import ResetSwitch
from amsim.circuits.charge.time_shared import TimeSharedCharge
from amsim.circuits.charge.trim import Trim
from amsim.circuits.charge.weighted_capacitors import WeightedCapacitors
from amsim.circuits.multi_precision import MultiPrecision
from amsim.circuits.technology.dram import Dram
from amsim.circuits.technology.sram import Sram, SramCell
from amsim.circuits.technology.technology import CellLibrary, Wire
from amsim.system.settings import parts

METAL = "capacitors of metal have the size that matching and layout ask for, whatever the gates"
CURRENT = "leakage is a figure of its own node: give it that of the node in use"
SWITCH = "switches of a line are sized for its capacitance, and their charge has no published law against the node"

UNSCALED: dict[type, dict[str, str]] = {
    CapacitorArray: dict.fromkeys(
        ("unit_capacitance", "mismatch_coefficient", "cell_parasitic", "line_parasitic"), METAL
    )
    | {"cell_leakage": CURRENT, "supply_noise": "the supply is given from outside"},
    BiasDac: {"lsb": METAL},
    WeightedCapacitors: dict.fromkeys(("unit_capacitance", "node_parasitic", "capacitor_density"), METAL)
    | dict.fromkeys(("resistance", "sharing_time"), SWITCH),
    TimeSharedCharge: dict.fromkeys(("capacitance", "capacitor_density"), METAL)
    | dict.fromkeys(("resistance", "sharing_time"), SWITCH),
    CapacitorLadder: dict.fromkeys(("unit_capacitance", "node_parasitic", "capacitor_density"), METAL),
    Comparator: {
        "noise": "the load that sets it is kept: kT/C does not depend on the node, its energy neither",
        "offset_sigma": "A_VT falls about as fast as the side of a gate",
        "energy_noise_product": "kT/C does not depend on the node",
        "gain": "a ratio of transistors",
        "input_capacitance": "the transistors that set the noise are kept",
        "kickback": "no published law",
    }
    | dict.fromkeys(("temperature_drift", "supply_drift"), "no published law"),
    Trim: {"range": "the trim covers the same offset"}
    | dict.fromkeys(("temperature", "supply"), "the trim was done once, where it says"),
    Drivers: {"spread": "no published law", "supply_resistance": "the rail is a wire"},
    ResetSwitch: dict.fromkeys(
        ("resistance", "feedthrough_capacitance", "clock_swing", "channel_capacitance", "overdrive"), SWITCH
    ),
    Leakage: dict.fromkeys(("current", "off_resistance"), SWITCH),
    Layout: dict.fromkeys(("linear_gradient", "quadratic_gradient", "correlated_sigma", "edge_error"), METAL),
    SarAdc: dict.fromkeys(
        ("unit_capacitance", "mismatch_coefficient", "capacitor_density", "parasitic", "input_capacitance"), METAL
    ),
    Adc: {"exponential_capacitance": "noise asks for it, whatever the gates"},
    MultiPrecision: {"unit_leakage": CURRENT},
    CellLibrary: {"nand_leakage": CURRENT},
    Sram: {"leakage": CURRENT},
    SramCell: dict.fromkeys(("mean", "sigma"), "the lowest working supply of cells is a figure of their own node"),
    Wire: dict.fromkeys(("capacitance", "resistance"), "a wire of a given geometry hardly depends on the node"),
    Dram: {"access_energy": "DRAM is another chip, made in a process of its own"},
}
"""Settings that a move to another node leaves alone, by part, with the reason."""


def what_does_not_scale(hardware: Any) -> dict[str, str]:
    """Settings of hardware that `at_node` leaves as they are though another node may change them.

    Args:
        hardware: A macro, an `Accelerator` or rules.

    Returns:
        Reason for each setting, by its path as in `amsim.setting`. A setting that is off (None) is left out.

    Raises:
        ValueError: No hardware.
    """
    found: dict[str, str] = {}
    for path, part in parts(hardware):
        for kind, reasons in UNSCALED.items():
            if isinstance(part, kind):
                given = {name: why for name, why in reasons.items() if getattr(part, name) is not None}
                found |= {f"{path}.{name}": why for name, why in given.items()}
    return found
