"""Always-on audio processors in 65 nm: keyword spotting (Laika) and keyword spotting with speakers (Vocell).

Both are held out: nothing is fitted to them, and every constant below was chosen from its source before the model ran,
by someone who knew their published power. Both chips run entirely at 0.6 V and 250 kHz (recalled), where the energy law
of 65 nm is extrapolated below its 0.75 V by the square of the supply. The number of units is the smallest power of two
that meets real time; each spends per cycle
- an 8-bit multiply and a 24-bit add, 0.2 + 0.075 pJ at 45 nm and 0.9 V (facts 7.1, Horowitz), carried to 65 nm;
- the flip-flops of two operands and the sum, 40 bits, half of which toggle, with their clock pins (facts 7.3).
At 1 V that makes 0.7 pJ; synthesised units in 65 nm have 1.45 to 2 pJ with 32-bit sums (facts 7.1).
Memories follow the law of `Sram`. Their leakage is that of a low-power 65 nm SRAM with its periphery, 12 uA per megabit
at 0.5 V; its cells alone leak 2 pA (Wang et al., JSSC'08, abstract). A NAND2 leaks as much as five cells, as
everywhere.
Control is 1000 flip-flops (assumed): their clock pins and as much again of clock tree, a fifth of them toggling.
Most of each prediction is reads and leakage of SRAM. Laika is predicted at 6.9 uW; at 5.4 uW with `Sram`'s default of
10 pA per bit instead of these 26 pA (at 0.8 V); at 11.5 uW at 0.75 V, where no law is extrapolated.
Not modelled: microphone, converter, spectrum and cepstral coefficients, sigmoids, and the elementwise operations of an
LSTM (1 % of its products).
"""

import dataclasses
from typing import Any

from amsim.chips.gates import gates_at
from amsim.circuits.checks import at_least_one, integer_between
from amsim.circuits.multi_precision import MultiPrecision, PrecisionMode
from amsim.circuits.technology.between_nodes import energy_ratio
from amsim.circuits.technology.process import REFERENCE_SUPPLY, Process
from amsim.circuits.technology.sram import Sram, SramOrganisation
from amsim.circuits.technology.technology import Technology
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import KILOBYTE, PowerManagement
from amsim.system.organisation import SystolicArray
from amsim.workloads import Workload, dense, lstm_keyword_spotter

FRAME_RATE = 62.5
"""Frames per second, of 16 ms (facts 3b: 2 M multiply-accumulates per second; recalled)."""

FRAMES = 62
"""Frames per decision of `lstm_keyword_spotter`."""

SUPPLY = 0.6
"""Supply of both chips, V, recalled."""

CLOCK = 250e3
"""Clock of both chips, Hz, recalled."""

MEMORY_LEAKAGE = 12e-6 / 2**20
"""Leakage current of a memory with periphery at `RETENTION_SUPPLY`, A per bit."""

CELL_LEAKAGE = 2e-12
"""Leakage current of a memory cell at `RETENTION_SUPPLY`, A."""

RETENTION_SUPPLY = 0.5
"""Supply at which the leakage of the memories is stated, V."""

MULTIPLY_ENERGY = 0.2e-12
"""Energy of an 8-bit multiplication at 45 nm and 0.9 V, J."""

ADD_ENERGY = 24 * 0.003125e-12
"""Energy of a 24-bit addition at 45 nm and 0.9 V, J."""

REGISTER_BITS = 8 + 8 + 24
"""Flip-flops per unit: weight, input and sum."""

CONTROL_FLIP_FLOPS = 1000
"""Flip-flops of sequencer, addresses and configuration."""


def laika2018(bits: int = 8, *, supply: Any = SUPPLY, rate: Any = FRAME_RATE / FRAMES) -> Accelerator:
    """LSTM accelerator Laika of Giraldo and Verhelst (ESSCIRC'18), 65 nm; held out.

    Published: 5 uW without the cepstral coefficients (facts 3b, by a later abstract); recalled: 32 kB of weights, 4 to
    8 bit, real time, 0.6 V and 250 kHz.
    Assumed: 8 units, 1 kB of state; the network, of which only its size is known (`lstm_keyword_spotter`); idle
    memories keep their supply.
    Calibrated: none. Predicted: power, as energy per decision times the rate.

    Args:
        bits: Word length of weights and activations, 4 to 8; fewer bits toggle less.
        supply: Supply of the whole chip, V.
        rate: Decisions per second, 1/s. Default: one per 62 frames of 16 ms. None: the energy of a decision alone.

    Returns:
        The chip, as an accelerator.

    Raises:
        ValueError: A word length outside 4 to 8 bit, or a quantity out of range.
    """
    # 64-bit words: one weight per cycle for each of 8 units.
    return _processor(bits, supply, rate, units=8, weights=32.0, states=1.0)


def vocell2019(bits: int = 8, *, supply: Any = SUPPLY, rate: Any = FRAME_RATE / FRAMES) -> Accelerator:
    """Keyword and speaker SoC Vocell of Giraldo et al. (VLSI'19, JSSC'20), 65 nm, without its front end; held out.

    Published (facts 3b): 105 kB of SRAM, 16.11 uW when it spots keywords, 18.3 uW at worst, 10.6 uW typical, all with
    microphone interface and cepstral coefficients, which no source at hand separates. Laika needs 5 uW for the LSTM, so
    that these and the leakage of another 73 kB are 11 uW. Typical use is below 16.11 uW, so the spotter must then idle.
    Recalled: 0.6 V and 250 kHz.
    Assumed: 32 units, 103 kB of weights in four banks and 2 kB of states; the speaker's model of
    `keyword_and_speaker_network`.
    Calibrated: none. Predicted: power of the digital part, as energy per decision times the rate.

    Args:
        bits: Word length of weights and activations, 4 to 8; fewer bits toggle less.
        supply: Supply of the whole chip, V.
        rate: Decisions per second, 1/s. Default: one per 62 frames of 16 ms. None: the energy of a decision alone.

    Returns:
        The chip, as an accelerator.

    Raises:
        ValueError: A word length outside 4 to 8 bit, or a quantity out of range.
    """
    return _processor(bits, supply, rate, units=32, weights=103.0, states=2.0)


def keyword_and_speaker_network(features: int = 20, mixtures: int = 1024, frames: int = FRAMES) -> Workload:
    """Worst-case load of Vocell: `lstm_keyword_spotter` and, at every frame, Gaussian mixtures of a speaker.

    The exponent of a Gaussian with a diagonal covariance is the product of its two parameters per feature with the
    feature and its square: `2 features * mixtures` multiply-accumulates per frame, each with a parameter of its own.
    Defaults are assumed: 40 kB of parameters are what remains of 105 kB after the 64 kB that the audio cascade gives to
    keywords (facts 3b); its own speaker stage, 70 M multiply-accumulates per second and 500 kB, does not fit this chip.

    Args:
        features: Features per frame.
        mixtures: Gaussians.
        frames: Frames per decision.

    Returns:
        Its layers, without activity.

    Raises:
        ValueError: A count below 1.
    """
    at_least_one(features=features, mixtures=mixtures)
    spotter = lstm_keyword_spotter(frames=frames)
    speaker = dataclasses.replace(dense("speaker.mixtures", 2 * features, mixtures), repeats=frames)
    return Workload("keyword-and-speaker", (*spotter.layers, speaker))


def _processor(bits: int, supply: Any, rate: Any, *, units: int, weights: float, states: float) -> Accelerator:
    """Units with a weight memory that supplies one weight per unit and cycle; memories in kB."""
    integer_between("bits", bits, 4, 8)
    process = Process(node="65nm", extrapolate=True)
    gates = Technology(process=process)

    def memory(kilobytes: float, banks: int) -> Sram:
        return Sram(
            capacity=kilobytes * KILOBYTE,
            supply=supply,
            leakage=MEMORY_LEAKAGE / process.leakage_ratio(RETENTION_SUPPLY),
            organisation=SramOrganisation(banks=banks),
            process=process,
        )

    return Accelerator(
        _units(gates, supply, bits, units),
        organisation=SystolicArray(control_capacitance=_control_capacitance(supply)),
        weight_memory=memory(weights, units // 8),
        activation_memory=memory(states, 1),
        dram=None,
        technology=gates_at(supply, process),
        power=PowerManagement(rate=rate),
    )


def _units(gates: Technology, supply: Any, bits: int, units: int) -> MultiPrecision:
    """Units side by side, one output each."""
    scale = gates.process.energy_ratio(supply) / Process(node="45nm").energy_ratio(REFERENCE_SUPPLY)
    clocked = gates.switching_energy(gates.library.clock_pin_capacitance, supply)
    registers = REGISTER_BITS * (0.5 * gates.energy("flip_flop", supply) + clocked)
    # A NAND2 per partial product, a full adder for each but the first row of them and for each bit of the sum.
    area = 64 * gates.nand_area + (56 + 24) * gates.full_adder_area + REGISTER_BITS * gates.flip_flop_area
    nand_leakage = 5 * CELL_LEAKAGE / gates.process.leakage_ratio(RETENTION_SUPPLY)
    return MultiPrecision(
        rows=1,
        columns=units,
        weight_bits=bits,
        input_bits=bits,
        accumulator_bits=24,
        mac_energy=((MULTIPLY_ENERGY + ADD_ENERGY) * scale + registers) / energy_ratio(gates.process, supply),
        utilisation=1.0,
        unit_area=area,
        unit_leakage=nand_leakage * area / gates.nand_area,
        modes=(PrecisionMode(bits=8, supply=supply, clock=CLOCK),),
        process=gates.process,
    )


def _control_capacitance(supply: Any) -> Any:
    """Capacitance at 28 nm whose `C V^2` is the energy per cycle of the control's flip-flops, F."""
    library = gates_at(supply, Process()).library
    return CONTROL_FLIP_FLOPS * (2 * library.clock_pin_capacitance + 0.2 * library.flip_flop_capacitance)
