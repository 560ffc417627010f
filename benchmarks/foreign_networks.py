"""Other people's trained detectors on every hardware: the table of docs/results/foreign_networks.md.

    python benchmarks/foreign_networks.py                    # every detector, about an hour on two cores
    python benchmarks/foreign_networks.py pnet alexa         # some
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import amsim
from amsim import circuits
from amsim.detection import evaluate_detector
from amsim.foreign.published import DETECTORS, Detector, load_detector, missing_packages

RECORD = Path("foreign_networks.json")
ADC_BITS = (4, 6, 8, 10)
RANGES = (1.0, 0.25)
DIES = 3
SHARE = 0.5  # of the data
O_NET_SHARE = 0.2  # its windows take four times as long as R-Net's


def array(operand_bits: int, adc_bits: int, converter_range: float) -> circuits.SwitchedCapacitor:
    """The one-bit array: 256 rows, so that layers of few rows still move the line."""
    return circuits.SwitchedCapacitor(
        rows=256, columns=64, supply=0.8, comparator=circuits.Comparator(noise=0.2e-3),
        weight_bits=operand_bits, input_bits=operand_bits, adc=circuits.adc.Adc(bits=adc_bits, range=converter_range),
    )  # fmt: skip


def analog(first: str, operand_bits: int, adc_bits: int, converter_range: float) -> dict[str, Any]:
    """The array for all layers but the first, whose inputs are raw data: that one is digital.

    The range is guessed, the same for all sites; `amsim.calibrate` would choose ranges from data at this place.
    """
    first_layer = circuits.MultiPrecision(weight_bits=8, input_bits=8)
    return {f"{first}.*": first_layer, ".*": array(operand_bits, adc_bits, converter_range)}


def hardwares(first: str) -> dict[str, Any]:
    """Every hardware by its label."""
    found: dict[str, Any] = {"float": circuits.Exact()}
    for bits in (8, 4):
        found[f"digital {bits} bit"] = circuits.MultiPrecision(weight_bits=bits, input_bits=bits)
    for operand_bits in (4, 8):
        for adc_bits in ADC_BITS:
            for converter_range in RANGES:
                label = f"analog {operand_bits} bit, ADC {adc_bits} bit, range {converter_range:g}"
                found[label] = analog(first, operand_bits, adc_bits, converter_range)
    return found


def measure(detector: Detector, hardware: Any) -> dict[str, float]:
    """Separation over dies."""
    start = time.perf_counter()
    result = evaluate_detector(
        detector.score, detector.params, hardware, detector.data, key=jax.random.key(0), dies=DIES, batch=60
    )
    found = {name: float(result[name]) for name in ("auc_mean", "auc_low", "auc_high", "auc_error")}
    return found | {"seconds": time.perf_counter() - start}


def energies(detector: Detector) -> dict[str, float]:
    """Energy of one inference by the label of the hardware; the activity does not depend on the converter."""
    found = {}
    for bits in (8, 4):
        for family in ("digital", "analog"):
            some = hardwares(detector.first)
            labels = [label for label in some if label.startswith(f"{family} {bits} bit")]
            chip = amsim.deploy(detector.score, detector.params, some[labels[-1]])
            workload = chip.workload(detector.data.inputs[:4])
            for label in labels:
                cost = amsim.Accelerator.of(some[label]).cost(workload)
                found[label] = float(cost["energy"].sum())
    return found


def keep(record: dict[str, Any]) -> None:
    """Write what has been measured so far; the file appears whole or not at all."""
    part = RECORD.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1))
    part.replace(RECORD)


def main() -> None:
    """Measure and print; each result is kept at once, and not measured again."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in sys.argv[1:] or DETECTORS:
        if missing_packages(name):
            print(f"{name} is left out: pip install --no-deps {' '.join(missing_packages(name))}")
            continue
        detector = load_detector(name, share=O_NET_SHARE if name == "onet" else SHARE)
        for label, hardware in hardwares(detector.first).items():
            if label in record.setdefault(name, {}):
                continue
            record[name][label] = found = measure(detector, hardware)
            keep(record)
            print(name, label, {key: float(f"{value:.4g}") for key, value in found.items()}, flush=True)
        if "energy" not in record[name]["digital 8 bit"]:
            for label, energy in energies(detector).items():
                record[name][label]["energy"] = energy
            keep(record)


if __name__ == "__main__":
    main()
