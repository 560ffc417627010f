"""Rungs of published chips and published network-level curves: the presets on the networks that were measured."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import xarray as xr

from amsim import chips, workloads
from amsim.circuits.contract.products import DenseProduct
from amsim.circuits.contract.work import Work
from amsim.circuits.switched_capacitor import SwitchedCapacitor
from amsim.system.accelerator import Accelerator
from amsim.system.hardware import PowerManagement
from amsim.validation.rung import Rung

CALIBRATED, PREDICTED = "calibrated on this number", "predicted"
WITHIN_CALIBRATED, WITHIN_FAMILY, WITHIN_NODES = 0.1, 0.3, 1.0
"""Tolerances: of calibrated values, of predictions inside a family and node, and a factor of two beyond."""

BANKMAN, BINAREYE = "Bankman JSSC'19 (facts 1.1)", "BinarEye CICC'18 (facts 2)"
ENVISION, FIRST_ENVISION = "Envision ISSCC'17 (facts 3)", "Envision VLSI'16, JSSC'17 (facts 3)"
VOCELL = "Vocell JSSC'20 (facts 3b)"
CHARGE_DOMAIN = "UIUC in-memory benchmark (facts 1b)"


@functools.cache
def _binary_cost(chip: str, filters: int, rate: float | None = None) -> xr.Dataset:
    """Cost per frame of the published binary network."""
    accelerator = chips.bankman2018() if chip == "bankman2018" else chips.binareye2018(filters=filters)
    accelerator = dataclasses.replace(accelerator, power=PowerManagement(rate=rate))
    return accelerator.cost(workloads.binary_image_network(filters))


def _energy(cost: xr.Dataset) -> float:
    return float(cost["energy"].sum())


def _on_chip_energy(cost: xr.Dataset) -> float:
    return _energy(cost) - float(cost["energy"].sel(component="dram").sum())


def _array_energy(cost: xr.Dataset) -> float:
    return float(cost["energy"].sel(component="mac").sum())


def _rate(cost: xr.Dataset) -> float:
    return 1.0 / float(cost["latency"].sum())


def _best_efficiency(cost: xr.Dataset) -> float:
    """Operations per joule of the most efficient site."""
    return float((2 * cost["macs"] / cost["energy"].sum("component")).max())


def _power_of_a_layer(accelerator: Accelerator, nonzero: float) -> float:
    """On-chip power, W, during a large convolution with this fraction of products without a zero operand."""
    layer = workloads.convolution("conv", 64, 64, 128, 256, 3)
    cost = accelerator.cost(workloads.Workload("layer", (layer,)).with_activity(nonzero=nonzero))
    return _on_chip_energy(cost) * _rate(cost)


def _alexnet_power(accelerator: Accelerator, frames: float) -> float:
    return frames * _on_chip_energy(accelerator.cost(workloads.alexnet()))


def _array_efficiency(accelerator: Accelerator) -> float:
    """One-bit operations per joule of the array with its readout, on random data."""
    array = accelerator.macros[-1]
    work = Work(DenseProduct(array.rows, array.columns), 1, array.rows, 1.0)
    return 2.0 * work.macs / float(array.cost(work, {}).energy)


def _evaluation_time(accelerator: Accelerator) -> float:
    """Time of one evaluation of all columns, s."""
    array = accelerator.macros[-1]
    product = DenseProduct(array.rows, array.columns)
    one, two = (array.cost(Work(product, count, count * array.rows, 1.0), {}) for count in (1, 2))
    return float(two.seconds - one.seconds)


def _published(
    name: str,
    unit: str,
    model: Callable[[], Any],
    reference: Any,
    tolerance: float,
    kind: str,
    source: str,
    **more: Any,
) -> Rung:
    return Rung(name, "published chip", unit, model, reference, tolerance, kind, source, **more)


def _bankman() -> tuple[Rung, ...]:
    def frame(rate: float | None = None) -> xr.Dataset:
        return _binary_cost("bankman2018", 256, rate)

    follows = "The published power is the energy per frame times the rate."
    return (
        _published("Bankman, frame", "J", lambda: _energy(frame()), 3.8e-6, WITHIN_CALIBRATED, CALIBRATED, BANKMAN),
        _published(
            "Bankman, share of the array", "1", lambda: _array_energy(frame()) / _energy(frame()), 0.25,
            WITHIN_CALIBRATED, CALIBRATED, BANKMAN, note="Derived from the ratios of 12.9 and 4.",
        ),
        _published(
            "Bankman, power at 237 frames/s", "W", lambda: 237.0 * _energy(frame(237.0)), 0.9e-3, WITHIN_CALIBRATED,
            CALIBRATED, BANKMAN, note=follows,
        ),
        _published("Bankman, rate", "Hz", lambda: _rate(frame()), 237.0, WITHIN_FAMILY, PREDICTED, BANKMAN),
        _published(
            "Bankman, area", "m2", lambda: frame()["area"], 6e-6, WITHIN_CALIBRATED, CALIBRATED, BANKMAN
        ),
    )  # fmt: skip


def _binareye() -> tuple[Rung, ...]:
    def frame(filters: int = 256) -> xr.Dataset:
        return _binary_cost("binareye2018", filters)

    def arrays() -> float:
        return _array_energy(frame()) / _array_energy(_binary_cost("bankman2018", 256))

    def systems() -> float:
        return _energy(frame()) / _energy(_binary_cost("bankman2018", 256))

    predicted = (WITHIN_FAMILY, PREDICTED, BINAREYE)
    peak = (
        "Peak of the chip at a working point that is not published; the model is at the supply and clock of the frame, "
        "where the paper's own 14.4 uJ are 140 TOPS/W."
    )
    bound = (
        "230 TOPS/W are 8.70 fJ per multiply-accumulate with all of the chip, so that its array has less; the model "
        "has 12.3 fJ, of the synthesised array in the other paper."
    )
    return (
        _published("BinarEye, frame of 256 maps", "J", lambda: _energy(frame()), 14.4e-6, *predicted),
        _published("BinarEye, frame of 64 maps", "J", lambda: _energy(frame(64)), 0.92e-6, *predicted),
        _published("BinarEye, rate", "Hz", lambda: _rate(frame()), 150.0, *predicted),
        _published("BinarEye, area", "m2", lambda: frame()["area"], 1.4e-6, *predicted),
        _published(
            "BinarEye, peak efficiency", "TOPS/W", lambda: 1e-12 * _best_efficiency(frame()), 230.0, WITHIN_FAMILY,
            PREDICTED, BINAREYE, note=peak,
        ),
        _published("digital over analog array", "1", arrays, 12.9, WITHIN_CALIBRATED, CALIBRATED, BANKMAN),
        _published(
            "digital over analog array, by the peak", "1", arrays, (1.0, 9.1), WITHIN_FAMILY, PREDICTED, BINAREYE,
            note=bound,
        ),
        _published(
            "digital over analog system", "1", systems, 4.0, WITHIN_CALIBRATED, CALIBRATED, BANKMAN,
            note="Follows from the energy of a frame, the share of the array and the ratio of the arrays.",
        ),
    )  # fmt: skip


@functools.cache
def _envision_on_vgg(bits: int) -> xr.Dataset:
    return chips.envision2017(bits).cost(workloads.vgg16())


def _mean_utilisation(cost: xr.Dataset) -> float:
    return float(cost["macs"].sum() / (cost["cycles"] * cost["peak_macs"]).sum())


def _on_chip_efficiency(cost: xr.Dataset) -> float:
    """Operations per joule without DRAM, as published for a network."""
    return 2 * float(cost["macs"].sum()) / _on_chip_energy(cost)


def _envision() -> tuple[Rung, ...]:
    dense = "7.6 mW with zeros skipped, which gains at most a factor of 1.6."
    fewer = "All layers at 8 bit without zeros; the chip ran fewer bits, with zeros skipped."
    old = chips.envision2016
    return (
        _published(
            "Envision, 16 bit", "W", lambda: _power_of_a_layer(chips.envision2017(16), 1.0), 0.290, WITHIN_CALIBRATED,
            CALIBRATED, ENVISION,
        ),
        _published(
            "Envision, 4 bit sparse", "W", lambda: _power_of_a_layer(chips.envision2017(4), 0.28), 7.6e-3,
            WITHIN_CALIBRATED, CALIBRATED, ENVISION, note="28 % of the products have no zero operand.",
        ),
        _published(
            "Envision, 4 bit dense", "W", lambda: _power_of_a_layer(chips.envision2017(4), 1.0), (7.6e-3, 12.2e-3),
            WITHIN_FAMILY, PREDICTED, ENVISION, note=dense,
        ),
        _published(
            "Envision, VGG-16", "TOPS/W", lambda: 1e-12 * _on_chip_efficiency(_envision_on_vgg(8)), 2.0, WITHIN_FAMILY,
            PREDICTED, ENVISION, note=fewer,
        ),
        _published(
            "Envision, utilisation on VGG-16", "1", lambda: _mean_utilisation(_envision_on_vgg(8)), 0.74,
            WITHIN_CALIBRATED, CALIBRATED, ENVISION, note="76 of 102.4 GOPS; that a full array reaches it is an input.",
        ),
        _published(
            "Envision, AlexNet at 47 frames/s", "W", lambda: _alexnet_power(chips.envision2017(8), 47.0), 44e-3,
            WITHIN_FAMILY, PREDICTED, ENVISION, note="All layers at 8 bit without zeros; the chip ran 4 to 9 bit.",
        ),
        _published(
            "Envision, AlexNet rate", "Hz", lambda: _rate(chips.envision2017(8).cost(workloads.alexnet())), 47.0,
            WITHIN_FAMILY, PREDICTED, ENVISION,
        ),
        _published(
            "Envision, area", "m2", lambda: chips.envision2017(16).area, 1.87e-6, WITHIN_CALIBRATED, CALIBRATED,
            ENVISION,
        ),
        _published(
            "first Envision, 16 bit", "W", lambda: _power_of_a_layer(old(16), 1.0) / 0.74, 0.287, WITHIN_NODES,
            PREDICTED, FIRST_ENVISION, note="40 nm; the published power is at full utilisation.",
        ),
        _published(
            "first Envision, AlexNet at 47 frames/s", "W", lambda: _alexnet_power(old(8), 47.0), 76e-3, WITHIN_NODES,
            PREDICTED, FIRST_ENVISION,
        ),
        _published(
            "first Envision, area", "m2", lambda: old(16).area, 2.4e-6, WITHIN_NODES, PREDICTED, FIRST_ENVISION,
            note="The units of the second generation scaled by area; those of the first are simpler.",
        ),
    )  # fmt: skip


def _charge_domain() -> tuple[Rung, ...]:
    presets: dict[str, tuple[Callable[[], Accelerator], float, bool]] = {
        # With the batch normalisation at each line; the convolution alone has 866.
        "Valavi 0.94 V": (chips.valavi2019, 658.0, False),
        "Jia'20 0.85 V": (chips.jia2020, 400.0, False),
        "Jia'20 1.2 V": (functools.partial(chips.jia2020, 1.2), 192.0, False),
        "Jia'21 0.8 V": (chips.jia2021, 1936.0, True),
        "C3SRAM 1 V": (chips.c3sram2020, 671.5, True),
    }

    def efficiency(chip: Callable[[], Accelerator]) -> Callable[[], float]:
        return lambda: 1e-12 * _array_efficiency(chip())

    def rung(name: str, chip: Callable[[], Accelerator], reference: float, held_out: bool) -> Rung:
        return _published(
            f"{name}, array", "TOPS/W", efficiency(chip), reference, WITHIN_NODES, PREDICTED, CHARGE_DOMAIN,
            held_out=held_out,
        )  # fmt: skip

    gated = "Input registers, bank gating and sparsity control of the chip are not in the model."
    sized = "Cells and converters of Jia'20, measured in 65 nm, with their logic scaled to 16 nm."
    slow = "Eight steps of a search at the assumed 200 MHz after settling; the paper's 50 ns may overlap them."
    return (
        *(rung(name, *preset) for name, preset in presets.items()),
        _published(
            "Jia'21, evaluation", "s", lambda: _evaluation_time(chips.jia2021()), 50e-9, WITHIN_NODES, PREDICTED,
            CHARGE_DOMAIN, held_out=True, note=slow,
        ),
        _published(
            "Jia'20 0.85 V, column without converter", "J", _column_energy, 9.7e-12, WITHIN_NODES, PREDICTED,
            "CiMLoop (facts 1b)", note=gated,
        ),
        _published(
            "C3SRAM, area", "m2", lambda: chips.c3sram2020().component_area[0], 0.081e-6, WITHIN_NODES, PREDICTED,
            CHARGE_DOMAIN, held_out=True, note="1.64 TOPS at 20.2 TOPS/mm^2.",
        ),
        _published(
            "Valavi, area", "m2", lambda: chips.valavi2019().area, 12.58e-6, WITHIN_NODES, PREDICTED, CHARGE_DOMAIN,
            note="18.87 TOPS at 1.5 TOPS/mm^2.",
        ),
        _published(
            "Jia'20, area of cells and converters", "m2", lambda: chips.jia2020().component_area[0], 3.407e-6,
            WITHIN_CALIBRATED, CALIBRATED, "CiMLoop (facts 1b)", note="2.91 and 0.497 mm^2; comparators beside them.",
        ),
        _published(
            "Jia'21, area of an array", "m2", lambda: chips.jia2021().component_area[0], 0.263e-6, WITHIN_FAMILY,
            PREDICTED, CHARGE_DOMAIN, held_out=True, note=sized,
        ),
    )  # fmt: skip


def _column_energy() -> float:
    """Energy per evaluation of a column of Jia'20 without its converter, J."""
    chip = chips.jia2020()
    array = chip.macros[-1]
    assert isinstance(array, SwitchedCapacitor)
    assert array.adc is not None
    assert array.comparator is not None
    whole = 2 * array.rows / _array_efficiency(chip)
    decision = array.comparator.energy(array.supply, array.process)
    return whole - float(array.adc.energy(array.supply, decision, array.process))


def _audio() -> tuple[Rung, ...]:
    spotter, both = workloads.lstm_keyword_spotter(), chips.keyword_and_speaker_network()

    def power(accelerator: Accelerator, network: workloads.Workload) -> float:
        assert accelerator.power.rate is not None
        return _energy(accelerator.cost(network)) * float(accelerator.power.rate)

    front_end = "The published figure has the microphone interface and features in it, which are not modelled."
    rest = f"How often the chip spots and how often it only listens is not known; here it always spots. {front_end}"
    tolerance = (WITHIN_NODES, PREDICTED)
    return (
        _published(
            "Laika, keyword spotting", "W", lambda: power(chips.laika2018(), spotter), 5e-6, *tolerance,
            "Laika ESSCIRC'18 (facts 3b)", held_out=True, note="At 0.6 V, which is recalled.",
        ),
        _published(
            "Vocell, keywords and speaker", "W", lambda: power(chips.vocell2019(), both), 18.3e-6, *tolerance, VOCELL,
            held_out=True, note=front_end,
        ),
        _published(
            "Vocell, keyword spotting", "W", lambda: power(chips.vocell2019(), spotter), 16.11e-6, *tolerance, VOCELL,
            held_out=True, note=front_end,
        ),
        _published(
            "Vocell, typical", "W", lambda: power(chips.vocell2019(), spotter), 10.6e-6, *tolerance, VOCELL,
            held_out=True, note=rest,
        ),
    )  # fmt: skip


def _narrower_words() -> float:
    """Energy ratio of 8 bit to 4 bit on the same network, on a processor with its DRAM."""
    network = workloads.quantised_image_network((2, 3, 3), (64, 128, 128))
    return _energy(chips.envision2017(8).cost(network)) / _energy(chips.envision2017(4).cost(network))


def _curves() -> tuple[Rung, ...]:
    def narrower() -> float:
        return _energy(_binary_cost("binareye2018", 256)) / _energy(_binary_cost("binareye2018", 64))

    def precision() -> float:
        return _power_of_a_layer(chips.envision2017(16), 1.0) / _power_of_a_layer(chips.envision2017(4), 0.28)

    return (
        Rung(
            "BinarEye, 256 over 64 maps", "published curve", "1", narrower, 15.65, WITHIN_FAMILY, PREDICTED,
            BINAREYE, note="16 times the multiply-accumulates.",
        ),
        Rung(
            "Envision, 8 bit over 4 bit", "published curve", "1", _narrower_words, (2.0, 10.0), 0.0, PREDICTED,
            "Moons Asilomar'17 (facts 4.1)", note="At equal network; the published range is at equal accuracy.",
        ),
        Rung(
            "Envision, 16 bit over 4 bit sparse", "published curve", "1", precision, 38.2, WITHIN_CALIBRATED,
            CALIBRATED, ENVISION,
        ),
    )  # fmt: skip


def chip_rungs() -> tuple[Rung, ...]:
    """Energy, rate and area of the presets against published values of their chips, and curves over networks."""
    return (*_bankman(), *_binareye(), *_envision(), *_charge_domain(), *_audio(), *_curves())
