"""Settings that change nothing that a chip computes or costs, each with the reason."""

from collections.abc import Callable
from typing import Any, NamedTuple

from amsim.circuits.adc import SarAdc
from amsim.circuits.charge.array import CapacitorArray
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.charge.layout import Layout
from amsim.circuits.digital_binary import DigitalBinary
from amsim.circuits.exact import Exact
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.register_file import RegisterFile
from amsim.circuits.technology.sram import Sram
from amsim.system.hardware import AcceleratorParts, PowerManagement
from amsim.system.organisation import Processor
from amsim.system.settings import parts


class Idle(NamedTuple):
    """Settings of a part that change nothing.

    Attributes:
        names: Fields of the part, or of parts in it, joined by dots.
        reason: Why, and what they are there for.
        when: Whether it is so for a given part; by default for every one.
    """

    names: tuple[str, ...]
    reason: str
    when: Callable[[Any], bool] = lambda part: True


def _trim_states(part: Comparator, name: str) -> bool:
    return part.trim is not None and getattr(part.trim, name) is not None


OTHER_GATES = "a gate that this part does not have"
DELAY = "clocks are stated: the delay of gates matters where the supply or the node is changed"
NO_BRIDGE = "only the topology 'split' has a bridge"

WITHOUT_EFFECT: dict[type, tuple[Idle, ...]] = {
    Comparator: (
        Idle(
            ("regeneration_time_constant", "integration_time", "gain", "swing"),
            "a decision is given the time that it needs: `Comparator.decision_time` and `metastability` say how long",
        ),
        Idle(("input_capacitance",), "it couples the kickback, and there is none", lambda one: one.kickback is None),
        Idle(
            ("temperature_drift",),
            "offsets drift from the temperature of their trim, which states none",
            lambda one: not _trim_states(one, "temperature"),
        ),
        Idle(
            ("supply_drift",),
            "offsets drift from the supply of their trim, which states none",
            lambda one: not _trim_states(one, "supply"),
        ),
    ),
    CapacitorArray: (
        Idle(
            ("reference_tracking",),
            "lines have nothing in common that a reference could follow, or a second line that does",
            lambda one: one.second_line != "none" or not (one.has_common_effects or one.supply_noise is not None),
        ),
    ),
    SarAdc: (
        Idle(("low_bits", "low_parasitic", "bridge_scale"), NO_BRIDGE, lambda one: one.topology != "split"),
        Idle(
            ("parasitic",),
            "a shared line is the node of the comparator, and its array states what loads it",
            lambda one: one.topology == "shared-line",
        ),
    ),
    Layout: (
        Idle(
            ("correlation_length",),
            "no error is correlated (`correlated_sigma` is 0)",
            lambda one: not one.correlated_sigma.any(),
        ),
    ),
    DigitalBinary: (
        Idle(
            (
                "technology.library.nand_capacitance",
                "technology.library.flip_flop_capacitance",
                "technology.library.clock_pin_capacitance",
            ),
            OTHER_GATES,
        ),
        Idle(("technology.library.nand_delay",), DELAY),
    ),
    Exact: (Idle(("rows", "columns", "weight_bits", "input_bits"), "the product stays as the network wrote it"),),
    Process: (Idle(("threshold_slope", "mobility_exponent"), f"{DELAY}, and that is at 300 K"),),
    Sram: (
        Idle(
            (
                "organisation.access_time",
                "organisation.time_exponent",
                "organisation.wire.resistance",
                "process.threshold",
                "process.alpha",
            ),
            "memories keep up with the clock: `Sram.latency` says whether they do",
        ),
        Idle(("cell.mean", "cell.sigma"), "no memory errs in a network: `Sram.bit_error_rate` says how often it would"),
    ),
    RegisterFile: (
        Idle(
            ("clocked", "technology.library.clock_pin_capacitance"),
            "the clock of registers is part of the control's: `RegisterFile.clock_energy` says which",
        ),
        Idle(
            (
                "technology.xor_capacitance",
                "technology.full_adder_capacitance",
                "technology.xor_area",
                "technology.full_adder_area",
            ),
            OTHER_GATES,
        ),
        Idle(("technology.library.nand_delay",), DELAY),
    ),
    Processor: (Idle(("instruction_memory.organisation.write_ratio",), "instructions are never written"),),
    PowerManagement: (Idle(("retention",), "there is no idle time without a `rate`", lambda one: one.rate is None),),
    AcceleratorParts: (
        Idle(
            (
                *(f"technology.{name}" for name in ("xor_capacitance", "nand_area", "xor_area", "flip_flop_area")),
                "technology.full_adder_area",
                *(f"technology.library.{name}" for name in ("nand_capacitance", "clock_pin_capacitance")),
                "technology.library.nand_leakage",
                *(f"technology.process.{name}" for name in ("drain_lowering", "swing", "leakage_scale")),
            ),
            "of these gates only the adders of partial sums are counted, by their energy",
        ),
        Idle(("technology.library.nand_delay",), DELAY),
        Idle(
            ("power.gated_leakage",),
            "the only macro is always in use without a `rate`",
            lambda one: one.power.rate is None and len(one.macros) == 1,
        ),
    ),
}
"""Settings that change no output, energy, time, area or leakage of a chip, by the part that has them."""


def what_has_no_effect(hardware: Any) -> dict[str, str]:
    """Settings of hardware that change nothing that a chip of it computes or costs.

    They describe parts by themselves, such as the time that a comparator needs, or need another setting beside them,
    such as a drift that needs a trim which says where it was done. `amsim.sweep` warns of an axis that is one of these.

    Args:
        hardware: A macro, an `Accelerator` or rules.

    Returns:
        Reason for each setting, by its path as in `amsim.setting`. A setting that is off (None) is left out.

    Raises:
        ValueError: No hardware.
    """
    found: dict[str, str] = {}
    for path, part in parts(hardware):
        entries = (one for kind, several in WITHOUT_EFFECT.items() if isinstance(part, kind) for one in several)
        for entry in entries:
            for name in entry.names if entry.when(part) else ():
                if _value(part, name) is not None:
                    found[f"{path}.{name}" if path else name] = entry.reason
    return found


def _value(part: Any, name: str) -> Any:
    for word in name.split("."):
        part = None if part is None else getattr(part, word)
    return part
