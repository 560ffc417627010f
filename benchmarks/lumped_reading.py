"""Lumped reading against the exact one: accuracy over dies, fine-tuning, time; a record (.json) and a page (.md).

    cd docs/results && python ../../benchmarks/lumped_reading.py             # all that the record does not hold yet
    python benchmarks/lumped_reading.py accuracy fine-tuning speed foreign   # some

Accuracies are on the same dies and items, so that their difference has an interval much narrower than either.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import stats

import amsim
from amsim import circuits, networks
from amsim.circuits.adc import Adc
from amsim.foreign.published import load_detector, missing_packages

RECORD = Path("lumped.json")
DIES = 8
NETWORKS = {2: 400, 4: 300}
"""Test images by the word length of the reference network."""
ADC_BITS = (8, 6, 4)
DETECTORS = {"pnet": 0.1, "alexa": 0.2}
"""Share of the data of foreign networks."""
EPOCHS = 3
ROUNDS = 7


def difference(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Means over dies, and the mean of `other - one` on the same dies with half of its 95 % interval."""
    apart = other - one
    half = stats.t.ppf(0.975, len(apart) - 1) * np.std(apart, ddof=1) / np.sqrt(len(apart))
    return {
        "exact": float(one.mean()),
        "lumped": float(other.mean()),
        "difference": float(apart.mean()),
        "half": float(half),
    }


def design(bits: int, adc_bits: int) -> amsim.Accelerator:
    """The design `switched-capacitor-<bits>b`, first layer digital, with converters of so many bits."""
    accelerator = amsim.design(f"switched-capacitor-{bits}b").accelerator()
    digital, analog = accelerator.macros
    analog = dataclasses.replace(analog, adc=dataclasses.replace(analog.adc, bits=adc_bits))
    return eqx.tree_at(lambda one: one.macros, accelerator, (digital, analog))


def few_bit_array() -> dict[str, Any]:
    """The corner `converter` of `benchmarks/fine_tuning.py`."""
    array = circuits.SwitchedCapacitor(
        weight_bits=2, input_bits=2, supply=0.8, comparator=circuits.Comparator(noise=0.2e-3), adc=Adc(bits=6)
    )
    return {"conv1": circuits.DigitalBinary(columns=16, weight_bits=2, input_bits=2), ".*": array}


def accuracies(record: dict[str, Any]) -> None:
    data = amsim.load_dataset("fashion-mnist-mini").test
    for bits, items in NETWORKS.items():
        net, params = networks.load(f"{bits}-bit-fashion")
        for adc_bits in ADC_BITS:
            name = f"{bits}-bit-fashion, ADC {adc_bits} bit"
            if name in record:
                continue
            accelerator, found = design(bits, adc_bits), {}
            for reading, hardware in (("exact", accelerator), ("lumped", accelerator.lumped())):
                start = time.perf_counter()
                result = amsim.evaluate(net, params, hardware, data[:items], dies=DIES, key=jax.random.key(2))
                found[reading] = result["accuracy"].values.mean(axis=1)
                record.setdefault("seconds", {})[f"{name}, {reading}"] = time.perf_counter() - start
            chip = amsim.deploy(net, params, accelerator.lumped(), key=None)
            notes = sum("Not sound" in (row.note or "") for row in chip.sites(data.inputs[:2]))
            record[name] = difference(found["exact"], found["lumped"]) | {"items": items, "unsound": notes}
            keep(record, name)


def detectors(record: dict[str, Any]) -> None:
    for name, share in DETECTORS.items():
        if missing_packages(name):
            print(f"{name} is left out: pip install --no-deps {' '.join(missing_packages(name))}")
            continue
        label = f"{name}, 4 bit, ADC 8 bit"
        if label in record:
            continue
        detector = load_detector(name, share=share)
        macro = circuits.SwitchedCapacitor(
            rows=256, columns=64, supply=0.8, comparator=circuits.Comparator(noise=0.2e-3),
            weight_bits=4, input_bits=4, adc=Adc(bits=8),
        )  # fmt: skip
        hardware, found = (
            amsim.Accelerator.of({f"{detector.first}.*": circuits.MultiPrecision(8, 8), ".*": macro}),
            {},
        )
        for reading, one in (("exact", hardware), ("lumped", hardware.lumped())):
            result = amsim.evaluate_detector(
                detector.score, detector.params, one, detector.data, key=jax.random.key(0), dies=DIES, batch=60
            )
            found[reading] = result["auc"].values.reshape(DIES, -1).mean(axis=1)
        record[label] = difference(found["exact"], found["lumped"]) | {"items": len(detector.data.labels)}
        keep(record, label)


def fine_tuning(record: dict[str, Any]) -> None:
    """The converter's corner of `benchmarks/fine_tuning.py`, through either reading, scored on the exact one."""
    name = "2-bit-fashion on 1024 rows, ADC 6 bit"
    if name in record:
        return
    data = amsim.load_dataset("fashion-mnist-mini")
    net, params = networks.load("2-bit-fashion")
    accelerator = amsim.Accelerator.of(few_bit_array())
    test, key = data.test[:400], jax.random.key(3)
    found: dict[str, Any] = {}
    plain = float(np.mean(np.argmax(np.asarray(jax.jit(net)(params, test.inputs)), axis=1) == test.labels))

    def score(params: Any) -> np.ndarray:
        result = amsim.evaluate(net, params, accelerator, test, dies=DIES, key=jax.random.key(9))
        return result["accuracy"].values.mean(axis=1)

    before = score(params)
    for reading, hardware in (("exact", accelerator), ("lumped", accelerator.lumped())):
        start = time.perf_counter()
        tuned = amsim.fine_tune(
            net, params, hardware, data.train, key=key, epochs=EPOCHS, optimiser=6e-3, loss=amsim.Distillation(0.7)
        )
        found[f"{reading}_seconds"] = time.perf_counter() - start
        found[reading] = score(tuned.params)
    record[name] = difference(found["exact"], found["lumped"]) | {
        "plain": plain,
        "before": float(before.mean()),
        **{f"{one}_seconds": found[f"{one}_seconds"] for one in ("exact", "lumped")},
        "items": 400,
    }
    keep(record, name)


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def ratios(functions: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Medians of interleaved rounds over that of the first function."""
    for function in functions.values():
        seconds(function)
    rounds = [[seconds(function) for function in functions.values()] for _ in range(ROUNDS)]
    medians = np.median(np.array(rounds), axis=0)
    return {name: float(one / medians[0]) for name, one in zip(functions, medians, strict=True)}


def speed(record: dict[str, Any]) -> None:
    for weight_bits in (1, 8):
        name = f"512x512, batch 256, inputs of 8 bit, weights of {weight_bits} bit, two tiles"
        if name not in record:
            record[name] = _product_speed(weight_bits)
            keep(record, name)
    for bits in (2, 4):
        _network_speed(record, bits)


def _product_speed(weight_bits: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.integers(0, 256, (256, 512)), jnp.float32)
    top = max(2 ** (weight_bits - 1) - 1, 1)
    w = jnp.asarray(generator.choice([-1, 1], (512, 512)) * generator.integers(1, top + 1, (512, 512)), jnp.float32)
    macro = circuits.SwitchedCapacitor(rows=256, columns=64, weight_bits=weight_bits, input_bits=8, adc=Adc(bits=6))
    ranges = circuits.ValueRange(0.0, 255.0), circuits.ValueRange(-float(top), float(top))
    die, key = macro.prepare(macro.fabricate(jax.random.key(0))), jax.random.key(1)

    @eqx.filter_jit
    def multiply(macro: Any, die: Any, x: Any, w: Any, key: Any) -> Any:
        operands = circuits.Operands(circuits.DenseProduct(512, 512), x, w, *ranges)
        return macro.multiply(operands, die=die, key=key)

    return ratios(
        {
            "plain": partial(jax.jit(jnp.matmul), x, w),
            "exact": partial(multiply, macro, die, x, w, key),
            "lumped": partial(multiply, macro.lumped(), die, x, w, key),
        }
    )


def _network_speed(record: dict[str, Any], bits: int) -> None:
    data = amsim.load_dataset("fashion-mnist-mini")
    images, labels = jnp.asarray(data.train.inputs[:64]), jnp.asarray(data.train.labels[:64])
    net, params = networks.load(f"{bits}-bit-fashion")
    accelerator = design(bits, 8)
    die_key, read_key = jax.random.split(jax.random.key(0))

    def through(hardware: Any, params: Any, images: Any) -> Any:
        return amsim.deploy(net, params, hardware, key=die_key)(images, key=read_key)

    def step(apply: Any, params: Any, images: Any) -> Any:
        def loss(params: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(apply(params, images), labels).mean()

        return jax.tree.map(lambda one, slope: one - 1e-3 * slope, params, jax.grad(loss)(params))

    forward = {
        "plain": net,
        "exact": partial(through, accelerator),
        "lumped": partial(through, accelerator.lumped()),
    }
    steps = {label: partial(step, one) for label, one in forward.items()}
    for kind, functions in (("training step", steps), ("inference", forward)):
        name = f"{kind} of {bits}-bit-fashion, batch 64"
        if name not in record:
            compiled = {label: eqx.filter_jit(one) for label, one in functions.items()}
            record[name] = ratios({label: partial(one, params, images) for label, one in compiled.items()})
            keep(record, name)


HEADING = f"""# The lumped reading

Made by `benchmarks/lumped_reading.py`. A lumped reading makes one product of all slices of a product, with the static
errors of the die in its weights and one Gaussian number of noise for each result (`Macro.lumped`). The hardware is that
of the designs `switched-capacitor-2b` and `-4b` of `amsim compare`, first layer digital, with converters of the bits
stated. Both readings are of the same {DIES} dies and items; after ± stands half of the 95 % interval over dies of the
difference.
"""
ACCURACY = """## Accuracy

| network | items | exact | lumped | difference, points | sites said to be unsound |
| --- | --- | --- | --- | --- | --- |"""
FOREIGN = "Of pnet and alexa it is the area under the ROC curve; their arrays have 256 rows and full-scale converters."
MISSING = "Not measured yet: `python benchmarks/lumped_reading.py {}`."
TIME = """## Time

Ratios to plain float32 JAX, medians of interleaved rounds in one run on a busy machine of two cores.

| work | exact | lumped |
| --- | --- | --- |"""


def page(record: dict[str, Any]) -> str:
    """The record in Markdown."""
    lines = [HEADING, ACCURACY]
    tuned = {name: one for name, one in record.items() if "before" in one}
    for name, one in record.items():
        if "difference" in one and name not in tuned:
            lines.append(
                f"| {name} | {one['items']} | {100 * one['exact']:.1f} % | {100 * one['lumped']:.1f} % | "
                f"{100 * one['difference']:+.2f} ± {100 * one['half']:.2f} | {one.get('unsound', '')} |"
            )
    foreign = any(name.split(",")[0] in DETECTORS for name in record)
    lines += ["", FOREIGN if foreign else MISSING.format("foreign"), "", "## Fine-tuning", ""]
    lines += [_tuned_text(name, one) for name, one in tuned.items()] or [MISSING.format("fine-tuning")]
    lines += ["", TIME]
    lines += [
        f"| {name} | {one['exact']:.1f} | {one['lumped']:.2f} |"
        for name, one in record.items()
        if set(one) == {"plain", "exact", "lumped"}
    ]
    return "\n".join(lines) + "\n"


def _tuned_text(name: str, one: dict[str, float]) -> str:
    lost = one["plain"] - one["before"]
    gained = {reading: 100 * (one[reading] - one["before"]) / lost for reading in ("exact", "lumped")}
    each = [
        f"through the {reading} one {100 * one[reading]:.1f} % ({gained[reading]:.0f} % of the loss recovered, "
        f"{one[f'{reading}_seconds']:.0f} s)"
        for reading in ("exact", "lumped")
    ]
    return (
        f"{name}, first layer digital, {EPOCHS} epochs, dies redrawn; scored on {one['items']:.0f} test images with "
        "the "
        f"exact reading of {DIES} dies that training has not met: {100 * one['plain']:.1f} % without circuits, "
        f"{100 * one['before']:.1f} % before, {each[0]}, {each[1]}; difference "
        f"{100 * one['difference']:+.2f} ± {100 * one['half']:.2f} points."
    )


def keep(record: dict[str, Any], name: str) -> None:
    """Write what has been measured so far."""
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    RECORD.with_suffix(".md").write_text(page(record))
    print(name, record[name], flush=True)


PARTS = {"speed": speed, "accuracy": accuracies, "fine-tuning": fine_tuning, "foreign": detectors}


def main() -> None:
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for part in sys.argv[1:] or PARTS:
        PARTS[part](record)


if __name__ == "__main__":
    main()
