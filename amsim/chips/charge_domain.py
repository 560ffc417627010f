"""Charge-domain in-memory arrays, a capacitor in each bit cell: 65 nm (Valavi, Jia, C3SRAM) and 16 nm (Jia).

All four share one set of constants; nothing is fitted to the energy or speed of any of them. At each evaluation, a
memory cell with two more transistors and a metal capacitor above it switches
- its part of the two complementary input lines, of which one rises: 0.35 fF, as word and bit lines (facts 7.3), and a
  third more in a chain of drivers with a fan-out of four;
- its product node, where the product is high: two of the four transistors of a NAND2 of 0.7 fF (facts 7.3);
- its capacitor, in series with what stays low on the line: 1.2 fF, the one published figure (facts 1b, Jia'20).
Gates and wires are those of 28 nm at 0.9 V, scaled to node and supply by the array's process; so is the logic of the
converters, 100 fF per bit of a search and 4.2 fF per comparator of a flash (facts 6.4, 7.3), and so are comparators in
area and in the floor of their energy. Capacitors are not scaled. Area: 2.91 mm^2 for 590 kb and 1941 um^2 for a
converter, both measured in 65 nm (facts 1b, Jia'20), the only calibration.
Column lines are driven through the capacitors; cells that are charged first and then shorted would draw up to a tenth
more in total.

Published energies are those of the array with its converters at random data, 2 operations per multiply-accumulate.
"""

from typing import Any

from amsim.chips.gates import capacitance_at, gates_at
from amsim.circuits.adc import FlashAdc, SarAdc
from amsim.circuits.charge.banks import Banks
from amsim.circuits.charge.bias_dac import BiasDac
from amsim.circuits.charge.comparator import Comparator
from amsim.circuits.checks import integer_between, is_real_number, text
from amsim.circuits.digital_binary import DigitalBinary
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.circuits.technology.process import Process
from amsim.circuits.technology.sram import Sram, SramOrganisation
from amsim.system.accelerator import Accelerator
from amsim.system.organisation import SystolicArray

BIT_CELL_CAPACITOR = 1.2e-15
"""Metal capacitor of a cell, F (facts 1b, Jia'20; assumed for the others)."""

INPUT_LINE_CAPACITANCE = 0.35e-15 * 4 / 3
"""Input line with drivers, 28 nm, F per cell: word line (facts 7.3) times 1 + 1/4 + 1/16 + ... (assumed)."""

PRODUCT_NODE_CAPACITANCE = 0.35e-15
"""Product node, 28 nm, F per cell: two of the four transistors of a NAND2 (facts 7.3)."""

BIT_CELL_AREA = 1.24e-12
"""Cell with drivers, 28 nm, m^2. Calibrated: 2.91 mm^2 for 2304 x 256 cells in 65 nm (facts 1b, Jia'20) by the ratio
3.98 of areas."""

COMPARATOR_AREA = 25e-12
"""Comparator of a flash with its share of ladder and encoder in 65 nm, m^2 (assumed: C3SRAM has no room for more)."""

BIT_CELL_LEAKAGE = 13e-12
"""Leakage current per cell, A: six transistors of a memory cell leak 10 pA (facts 7.4), eight a third more."""

LINE_PARASITIC_SHARE = 0.3
"""Parasitic of the line relative to the unit capacitors on it, 1 (facts 5.2)."""

JIA_CLOCKS = {0.85: 40e6, 1.2: 100e6}
"""Clock (Hz) by published supply (V), recalled; 54 cycles per evaluation then give 0.874 and 2.185 TOPS (facts 1b)."""


class ConvertedArray(SwitchedCapacitor):
    """Array whose lines are read only by converters: thresholds are digital, and `comparator` is the converter's."""

    @property
    def decides(self) -> bool:
        """False: no line has a comparator of its own."""
        return False


def valavi2019(*, digital_sites: str = "dense") -> Accelerator:
    """Binary convolution processor of Valavi et al. (VLSI'18, JSSC'19), 65 nm.

    Published (facts 1b): 2.4 Mb in 8 x 8 tiles, 512 neurons of 3x3x512 one-bit inputs, batch normalisation and
    comparator at each line, 250 ns per evaluation at 0.94 V, 658 TOPS/W with batch normalisation (866 for the
    convolution alone), 1.5 TOPS/mm^2.
    Each of the 8 tiles of a column is a bank of 576 rows, gated where a layer needs fewer.
    Assumed: 1.2 fF per cell, 9-bit threshold DAC on the line, the default comparator; the first layer's analog inputs
    are not modelled. Sites that need a number go to a digital unit by rule. Memory beside the array: of its own size.
    Calibrated: none. Predicted: energy and area. The time is the published one.

    Args:
        digital_sites: Pattern of the sites that need a number.

    Returns:
        The chip, as an accelerator.
    """
    text(digital_sites=digital_sites)
    process, supply, clock = Process("65nm"), 0.94, 8e6
    array = SwitchedCapacitor(
        rows=4608,
        columns=512,
        adc=None,
        banks=Banks(number=8),
        clock=clock,
        load_width=512.0,
        **_cells(process, supply),
    )
    gates = gates_at(supply, process)
    digital = DigitalBinary(columns=16, supply=supply, clock=clock, technology=gates)
    return _accelerator({digital_sites: digital, ".*": array}, array, process, supply)


def jia2020(
    supply: float = 0.85, *, weight_bits: int = 1, input_bits: int = 1, digital_sites: str | None = None
) -> Accelerator:
    """Programmable in-memory processor of Jia et al. (JSSC'20), 65 nm.

    Published (facts 1b): 2304 x 256 cells of 1.2 fF, at each column an 8-bit SAR and a comparator with a 6-bit DAC,
    weights bit-parallel and inputs bit-serial, 1-8 bit; at 0.85 and 1.2 V 400 and 192 TOPS/W and 0.874 and 2.185 TOPS
    of one bit, 9.7 and 20.4 pJ per column beside 1.79 and 3.56 pJ of its SAR; 2.91 mm^2 of cells, 0.497 mm^2 of SARs.
    Of its 4 x 4 banks a layer uses as few of the 4 along a column as hold its rows.
    Assumed: DAC steps of four units, SAR of 1 fF units, 768 bits written in 20 cycles; gating of banks of columns and
    of zero inputs, and the digital data path behind the SARs (8.3 and 14.7 pJ per output, not in the TOPS/W), are left
    out.
    Calibrated: areas of cell (2.91 mm^2) and SAR (0.497 mm^2). Predicted: energies, about half of those published: the
    SAR is a quarter above, the column at 0.4 (input registers and sparsity control are not in the model). The time is
    the published one.

    Args:
        supply: 0.85 or 1.2 V, the published points.
        weight_bits: 1 to 8 bit.
        input_bits: 1 to 8 bit.
        digital_sites: Pattern of the sites that a digital unit computes beside the array, as the chip's data path and
            processor can; None puts all on the array. Which layers of the published networks did is not known. One of
            few rows, such as a first layer of 9 on a bank of 576, has a small signal: at 4 bit it loses the network
            some 13 points.

    Returns:
        The chip, as an accelerator.

    Raises:
        ValueError: Another supply, or word lengths outside 1 to 8 bit.
    """
    if not is_real_number(supply) or supply not in JIA_CLOCKS:
        raise ValueError(f"Argument `supply` must be 0.85 or 1.2 V, the published points, but is {supply}.")
    for name, bits in (("weight_bits", weight_bits), ("input_bits", input_bits)):
        integer_between(name, bits, 1, 8)
    text(digital_sites="" if digital_sites is None else digital_sites)
    process = Process("65nm")
    array = SwitchedCapacitor(
        rows=2304,
        columns=256,
        weight_bits=weight_bits,
        input_bits=input_bits,
        adc=_sar(supply),
        bias_dac=BiasDac(bits=6, lsb=4.0),
        banks=Banks(number=4),
        clock=JIA_CLOCKS[supply],
        evaluation_cycles=54.0,
        load_width=768 / 20,
        **_cells(process, supply),
    )
    if digital_sites is None:
        return _accelerator(array, array, process, supply)
    digital = DigitalBinary(
        columns=16,
        weight_bits=weight_bits,
        input_bits=input_bits,
        supply=supply,
        clock=JIA_CLOCKS[supply],
        technology=gates_at(supply, process),
    )
    return _accelerator({digital_sites: digital, ".*": array}, array, process, supply)


def jia2021() -> Accelerator:
    """One array of the scalable in-memory processor of Jia et al. (ISSCC'21), 16 nm; held out.

    Published (facts 1b): 1152 x 256 cells with an 8-bit converter at each column, 50 ns per evaluation and 1936
    TOPS/W of one bit (0.52 fJ per operation, 1.19 pJ per column) at 0.8 V; 44.94 TOPS/mm^2 (UIUC benchmark table).
    Assumed: capacitors, circuits and banks of 576 rows of Jia'20 without its comparator, 200 MHz, one row written per
    cycle. The chip
    has 16 such arrays; this is one.
    Calibrated: none. Predicted: energy, area, and the time by which conversion exceeds half an evaluation.

    Returns:
        The chip, as an accelerator.
    """
    process, supply = Process("16nm"), 0.8
    array = ConvertedArray(
        rows=1152,
        columns=256,
        adc=_sar(supply),
        bias_dac=_no_bias_dac(),
        banks=Banks(number=2),
        clock=200e6,
        evaluation_cycles=10.0,
        **_cells(process, supply),
    )
    return _accelerator(array, array, process, supply)


def c3sram2020() -> Accelerator:
    """Capacitive-coupling memory macro C3SRAM of Jiang et al. (JSSC'20), 65 nm; held out.

    Published (facts 1b): 256 x 64 cells with an 11-level flash converter at each column, 20 ns per evaluation and 671.5
    TOPS/W (1.49 fJ per operation, 762 fJ per column) at 1 V, 20.2 TOPS/mm^2; noise of a line 0.97 and offset of a
    converter 0.89 in sums of -1 and +1.
    Assumed: 1.2 fF per cell; all noise of the line comes from its comparators; steps of 13 sums, so that 11 levels
    cover four standard deviations of random sums (16); 25 um^2 per comparator of the flash in 65 nm; one row written
    per cycle; memories, which the macro alone does not have.
    Calibrated: none. Predicted: energy and area. The time is the published one.

    Returns:
        The chip, as an accelerator.
    """
    process, supply, rows, levels, step = Process("65nm"), 1.0, 256, 11, 13.0
    sum_on_line = supply / (2 * rows * (1 + LINE_PARASITIC_SHARE))
    flash = {
        "logic_capacitance": capacitance_at(supply, FlashAdc().logic_capacitance),
        "comparator_area": COMPARATOR_AREA / process.area_ratio,
    }
    array = ConvertedArray(
        rows=rows,
        columns=64,
        comparator=Comparator(noise=0.97 * sum_on_line, offset_sigma=0.0),
        adc=FlashAdc(levels=levels, range=levels * step / (2 * rows), offset_sigma=0.89 / step, **flash),
        bias_dac=_no_bias_dac(),
        clock=50e6,
        evaluation_cycles=1.0,
        load_width=64.0,
        **_cells(process, supply),
    )
    return _accelerator(array, array, process, supply)


def _cells(process: Process, supply: float) -> dict[str, Any]:
    """Settings common to all arrays of a node and supply."""
    return {
        "supply": supply,
        "unit_capacitance": BIT_CELL_CAPACITOR,
        "cell_parasitic": LINE_PARASITIC_SHARE * BIT_CELL_CAPACITOR,
        "cell_capacitance": capacitance_at(supply, INPUT_LINE_CAPACITANCE),
        "bottom_parasitic": capacitance_at(supply, PRODUCT_NODE_CAPACITANCE),
        "cell_area": BIT_CELL_AREA,
        "cell_leakage": BIT_CELL_LEAKAGE,
        "process": process,
    }


def _no_bias_dac() -> BiasDac:
    """Stand-in for a line without a threshold DAC: a DAC of a thousandth of a unit."""
    return BiasDac(bits=1, lsb=1e-3)


def _sar(supply: float) -> SarAdc:
    return SarAdc(bits=8, linear_capacitance=capacitance_at(supply, SarAdc().linear_capacitance))


def _accelerator(rules: Any, array: SwitchedCapacitor, process: Process, supply: float) -> Accelerator:
    """Array with a weight memory of its own size, two image buffers of 32 kB and Bankman's control, at one node."""

    def memory(bits: float, banks: int) -> Sram:
        words = SramOrganisation(word_width=256, banks=banks)
        return Sram(capacity=bits, supply=supply, process=process, organisation=words)

    control = capacitance_at(supply, SystolicArray().control_capacitance)
    return Accelerator(
        rules,
        organisation=SystolicArray(control_capacitance=control),
        weight_memory=memory(float(array.rows * array.columns), 1),
        activation_memory=memory(2 * 8 * 32.0 * 1024, 2),
        technology=gates_at(supply, process),
    )
