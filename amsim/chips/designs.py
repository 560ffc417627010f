"""Hardware by family and word length, before a comparison chooses its settings, with a network to match."""

import dataclasses
import re
from typing import Any

import equinox as eqx

from amsim.chips.binary import bankman2018, binareye2018
from amsim.chips.envision import envision2017
from amsim.chips.word_length import with_word_length
from amsim.circuits.adc import Adc
from amsim.circuits.charge.banks import Banks
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.checks import integer_between, part_of, shown
from amsim.circuits.contract.macro import Macro
from amsim.circuits.digital_binary import DigitalBinary
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.circuits.technology.dram import Dram
from amsim.files.part_classes import registered_class, registered_names
from amsim.networks.registry import NETWORKS
from amsim.system.accelerator import Accelerator

FAMILIES = ("switched-capacitor", "digital-binary", "multi-precision")
WORD_LENGTHS = (1, 2, 4, 8)
LONGEST_WORD = 16
DEFAULT_DESIGNS = (
    "switched-capacitor-1b",
    "digital-binary-1b",
    "switched-capacitor-2b",
    "multi-precision-2b",
    "multi-precision-4b",
    "multi-precision-8b",
)


@dataclasses.dataclass(frozen=True)
class Design:
    """One circuit family at one word length.

    All designs have the same memories, those of Bankman's chip (261.5 kB for weights, 64 kB for activations), so that
    they differ by their circuits alone; with more than one bit a DRAM takes what does not fit.

    A family of one's own (`amsim.circuits.register`) is its class at that word length, every other setting its default,
    for all layers, with the memories and the control of the digital binary chip.

    Attributes:
        family: One of `FAMILIES`, or the name of a registered class.
        bits: Word length of weights and activations.

    Raises:
        ValueError: An unknown family, or a word length that is none.
    """

    family: str
    bits: int

    def __post_init__(self) -> None:
        """Check family and word length."""
        if not isinstance(self.family, str) or not (self.family in FAMILIES or is_family(self.family)):
            raise ValueError(
                f"Argument `family` must be one of {', '.join(FAMILIES)} or registered (`amsim.circuits.register`: "
                f"{registered_names()}), but is {shown(self.family)}."
            )
        integer_between("bits", self.bits, 1, LONGEST_WORD)

    @property
    def name(self) -> str:
        """Name from family and word length, such as `multi-precision-4b`."""
        return f"{self.family}-{self.bits}b"

    @property
    def network(self) -> str:
        """Reference network of this word length."""
        return "binary-fashion" if self.bits == 1 else f"{self.bits}-bit-fashion"

    def accelerator(self, *, first: str | None = None, last: str | None = None) -> Accelerator:
        """Hardware of the design.

        A one-bit switched-capacitor design is the published chip (comparators, last layer digital). More bits are
        read by 8-bit ADCs, with weights side by side and inputs bit by bit; since the noise of all slices adds up, the
        array runs at 0.8 V with comparators of 0.2 mV, on lines as long as the layer in banks of 64 rows, and the
        converters' full scale is a quarter of the swing unless a calibration chooses (`amsim.compare` does). The first
        layer, whose few rows on a long line give the smallest signal, is digital.

        Args:
            first: Pattern of the sites that the data feed; None is the first layer of the reference network.
            last: Pattern of the sites whose results are the outputs; None is its last layer.
        """
        layers = NETWORKS[self.network].layer_names if self.network in NETWORKS else (".*", ".*")
        first, last = first or layers[0], last or layers[-1]
        if self.family == "switched-capacitor":
            if self.bits == 1:
                return bankman2018(digital_sites=last)
            array = SwitchedCapacitor(
                weight_bits=self.bits,
                input_bits=self.bits,
                weight_coding="auto",
                input_coding="auto",
                supply=0.8,
                comparator=Comparator(noise=0.2e-3),
                adc=Adc(bits=8, range=0.25),
                banks=Banks(number=16),
            )
            digital = DigitalBinary(columns=16, weight_bits=self.bits, input_bits=self.bits, clock=10e6)
            return Accelerator({first: digital, ".*": array})
        if self.family == "digital-binary":
            chip = with_word_length(binareye2018(), self.bits)
            # The published chip has no DRAM, since its networks fit.
            return chip if self.bits == 1 else dataclasses.replace(chip, dram=Dram())
        if self.family not in FAMILIES:
            return self._of_one_s_own()
        envision, common = envision2017(self.bits), binareye2018()
        return eqx.tree_at(
            lambda a: (a.weight_memory, a.activation_memory),
            envision,
            (common.weight_memory, common.activation_memory),
        )

    def _of_one_s_own(self) -> Accelerator:
        kind: Any = registered_class(self.family)
        macro, common = kind(weight_bits=self.bits, input_bits=self.bits), binareye2018()
        control = common.organisation.at_supply(macro.operating_supply)
        # As the other designs: a network of more bits may not fit on chip.
        return dataclasses.replace(
            common, macros=(macro,), organisation=control, dram=None if self.bits == 1 else Dram()
        )


def design(name: str) -> Design:
    """Design with a name such as `switched-capacitor-1b`.

    Args:
        name: `FAMILY-Nb`, such as `switched-capacitor-1b`; of a registered class its name alone stands for the word
            length of its defaults.

    Returns:
        The design, whose `accelerator()` is its hardware.

    Raises:
        ValueError: The name is not `FAMILY-Nb` with a known family and word length.
    """
    return named_design("name", name)


def named_design(argument: str, name: Any) -> Design:
    """Design of a name; an error speaks of the argument."""
    part_of(argument, name, str)
    match = re.fullmatch(r"(.+)-(\d+)b", name if not is_family(name) else f"{name}-{_word_length(name)}b")
    if match and int(match[2]) in WORD_LENGTHS and (match[1] in FAMILIES or is_family(match[1])):
        return Design(match[1], int(match[2]))
    families, lengths = ", ".join(FAMILIES), ", ".join(map(str, WORD_LENGTHS))
    raise ValueError(
        f"Argument `{argument}` must have names FAMILY-Nb with FAMILY one of {families} or registered "
        f"(`amsim.circuits.register`: {registered_names()}) and N one of {lengths}, such as {DEFAULT_DESIGNS[0]}, but "
        f"has {name!r}."
    )


def _word_length(family: str) -> int:
    """Word length of a registered family's defaults; 0 where weights and inputs differ, so that it has to be given."""
    kind = registered_class(family)
    lengths = {getattr(kind, name, 0) for name in ("weight_bits", "input_bits")}
    return lengths.pop() if len(lengths) == 1 else 0


def is_family(name: str) -> bool:
    """Whether a registered class of this name is a circuit family."""
    kind = registered_class(name) if name.isidentifier() else None
    return kind is not None and issubclass(kind, Macro)
