"""Other people's trained detectors on every hardware, as a record (.json) and a table (.md) in the folder it runs in.

    cd docs/results && python ../../benchmarks/foreign_networks.py        # every detector, about an hour on two cores
    python benchmarks/foreign_networks.py pnet alexa                      # some

What the record in this folder holds is not measured again.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax

import amsim
from amsim import circuits
from amsim.foreign.published import DETECTORS, Detector, load_detector, missing_packages
from amsim.plot.style import joules

RECORD = Path("foreign_networks.json")
ADC_BITS = {4: (4, 6, 8, 10), 8: (8,)}  # by bits of the operands: eight take four times as long as four
RANGES = (1.0, 0.25)
CALIBRATED = "calibrated"
SAMPLES = {"share": 0.1, "seed": 1}  # that ranges are calibrated with
DIES = 3
HEADING = f"""# Third-party trained networks on analog and digital hardware

Made by `benchmarks/foreign_networks.py`. Area under the ROC curve, and energy per inference. Networks are deployed
as they are, without fine-tuning. Where ranges are not calibrated, each input vector is scaled to its own largest value.

- pnet, rnet, onet: the stages of MTCNN; faces of LFW and ORL against pieces of LFW's photographs and random crops of
  pictures without faces. Its training set may include people of LFW.
- silero_vad: windows of 32 ms of synthetic speech 10 dB above noise, against noise alone.
- Wake words: spoken by synthetic voices, against other words and sentences by the same voices, some of similar sound.
  No package has recordings of them. This tests the hardware, not how well the networks understand people.
- analog: switched-capacitor arrays of 256 rows and 1 fF, 0.8 V, comparator noise 0.2 mV; the first layer, whose inputs
  are raw data, on 8-bit digital units; "range" is the full scale of the ADC relative to the swing of the line, the
  same for all sites. A line of 256 rows has 257 levels, so beyond 8 bits the converter loses nothing.
- calibrated: ranges of inputs, weights and converters of each site by `amsim.calibrate` (minimum error, no labels) from
  a tenth of the items: the same faces and voices, other crops and other background noise.
- After ±: half of the 95 % interval of the mean over {DIES} dies; in brackets, where all dies are equal, that due
  to the finite number of items (Hanley and McNeil).
- Areas of pnet are of the version that draws noise by item and fits codes to the data (CHANGELOG); its energies and all
  other columns are of the version before it.
"""
"""What the table says of itself."""
SHARE = 0.5  # of the data
O_NET_SHARE = 0.2  # its windows take four times as long as R-Net's


def array(operand_bits: int, adc_bits: int, converter_range: float) -> circuits.SwitchedCapacitor:
    """The one-bit array: 256 rows, so that layers of few rows still move the line."""
    return circuits.SwitchedCapacitor(
        rows=256, columns=64, supply=0.8, comparator=circuits.Comparator(noise=0.2e-3),
        weight_bits=operand_bits, input_bits=operand_bits, adc=circuits.adc.Adc(bits=adc_bits, range=converter_range),
    )  # fmt: skip


def analog(first: str, operand_bits: int, adc_bits: int, converter_range: float) -> dict[str, Any]:
    """The array for all layers but the first, whose inputs are raw data: that one is digital."""
    first_layer = circuits.MultiPrecision(weight_bits=8, input_bits=8)
    return {f"{first}.*": first_layer, ".*": array(operand_bits, adc_bits, converter_range)}


def hardwares(first: str) -> dict[str, Any]:
    """Every hardware by its label."""
    found: dict[str, Any] = {"float": circuits.Exact()}
    for bits in (8, 4):
        found[f"digital {bits} bit"] = circuits.MultiPrecision(weight_bits=bits, input_bits=bits)
    for operand_bits in ADC_BITS:
        for adc_bits in ADC_BITS[operand_bits]:
            for converter_range in RANGES:
                label = f"analog {operand_bits} bit, ADC {adc_bits} bit, range {converter_range:g}"
                found[label] = analog(first, operand_bits, adc_bits, converter_range)
            label = f"analog {operand_bits} bit, ADC {adc_bits} bit, {CALIBRATED}"
            found[label] = analog(first, operand_bits, adc_bits, 1.0)
    return found


def measure(detector: Detector, hardware: Any, samples: Any) -> dict[str, float]:
    """Separation over dies; with samples on ranges that are calibrated with them."""
    start, score, params, calibration = time.perf_counter(), detector.score, detector.params, None
    if samples is not None:
        calibration = amsim.calibrate(score, params, hardware, samples, steps=False, batch=60).calibration
    result = amsim.evaluate_detector(
        score, params, hardware, detector.data, key=jax.random.key(0), dies=DIES, batch=60, calibration=calibration
    )
    found = {name: float(result[name]) for name in ("auc_mean", "auc_low", "auc_high", "auc_error")}
    return found | {"seconds": time.perf_counter() - start}


def energies(detector: Detector) -> dict[str, float]:
    """Energy of one inference by the label of the hardware; the activity does not depend on the converter."""
    some, found = hardwares(detector.first), {}
    for kind in ("digital 8 bit", "digital 4 bit", "analog 4 bit", "analog 8 bit"):
        labels = [label for label in some if label.startswith(kind)]
        workload = amsim.deploy(detector.score, detector.params, some[labels[-1]]).workload(detector.data.inputs[:4])
        for label in labels:
            cost = amsim.Accelerator.of(some[label]).cost(workload)
            found[label] = float(cost["energy"].sum())
    return found


def keep(record: dict[str, Any]) -> None:
    """Write what has been measured so far; the file appears whole or not at all."""
    for path, text in ((RECORD, json.dumps(record, indent=1) + "\n"), (RECORD.with_suffix(".md"), table(record))):
        part = path.with_suffix(".part")
        part.write_text(text)
        part.replace(path)


def table(record: dict[str, Any]) -> str:
    """The record in Markdown: a row for each hardware, a column for each detector."""
    rows = [label for label in hardwares("") if any(label in found for found in record.values())]
    lines = [HEADING, "| | " + " | ".join(record) + " |", "| --- |" + " --- |" * len(record)]
    for label in rows:
        lines.append(f"| {label} | " + " | ".join(_cell(found.get(label)) for found in record.values()) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    area, spread = found["auc_mean"], (found["auc_high"] - found["auc_low"]) / 2
    error = f" ± {spread:.3f}" if spread else f" (± {1.96 * found['auc_error']:.3f})"
    return f"{area:.4f}{error}" + (f", {joules(found['energy'])}" if "energy" in found else "")


def main() -> None:
    """Measure and print; each result is kept at once."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in sys.argv[1:] or DETECTORS:
        if missing_packages(name):
            print(f"{name} is left out: pip install --no-deps {' '.join(missing_packages(name))}")
            continue
        jax.clear_caches()  # Linux gives a process memory maps for some tens of thousands of kernels only
        detector = load_detector(name, share=O_NET_SHARE if name == "onet" else SHARE)
        samples = load_detector(name, **SAMPLES).data.inputs
        for label, hardware in hardwares(detector.first).items():
            if label in record.setdefault(name, {}):
                continue
            record[name][label] = found = measure(detector, hardware, samples if label.endswith(CALIBRATED) else None)
            keep(record)
            print(name, label, {key: float(f"{value:.4g}") for key, value in found.items()}, flush=True)
        if any("energy" not in found for found in record[name].values() if found is not record[name]["float"]):
            for label, energy in energies(detector).items():
                record[name][label]["energy"] = energy
            keep(record)


if __name__ == "__main__":
    main()
