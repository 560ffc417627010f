"""The support matrix of the documentation against the derivatives that the code gives."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import Accelerator
from amsim.circuits import (
    Adc,
    Banks,
    CapacitorLadder,
    Comparator,
    DenseProduct,
    DigitalBinary,
    Drivers,
    Faults,
    Layout,
    Leakage,
    MultiPrecision,
    ResetSwitch,
    RowDac,
    SerialAccumulation,
    SramCell,
    SwitchedCapacitor,
    TimeSharedCharge,
    Trim,
    WeightedCapacitors,
    Work,
)
from amsim.circuits.adc import SarAdc
from amsim.system import settings, what_has_no_effect

PAGE = (Path(__file__).parents[2] / "docs" / "support_matrix.md").read_text()
QUANTITIES = ("product", "energy", "time", "area", "leakage")
# Away from where an effect is too small for float32 or has the derivative 0, as leakage against its law at 300 K.
FAMILIES = {
    "Switched-capacitor": SwitchedCapacitor(
        rows=24,
        columns=8,
        temperature=310.0,
        banks=Banks(number=12),
        comparator=Comparator(
            kickback=1e-3, trim=Trim(temperature=300.0, supply=0.62), temperature_drift=1e-4, supply_drift=2e-2
        ),
        adc=SarAdc(bits=3, topology="split", low_bits=1, low_parasitic=1e-15, input_capacitance=20e-15),
        drivers=Drivers(resistance=1e7, supply_resistance=1e6),
        reset=ResetSwitch(resistance=1e6),
        leakage=Leakage(),
        supply_noise=1e-3,
        layout=Layout(0.01, 0.01, 0.01, 2.0, 0.01, dummies=False),
        faults=Faults(stuck_high=0.1, stuck_low=0.1, dead_column=0.1),
    ),
    **{
        section: SwitchedCapacitor(rows=24, columns=8, weight_bits=2, combining=combining)
        for section, combining in (
            ("Bits combined before one conversion", WeightedCapacitors(sharing_time=2e-12)),
            ("Bits combined by time-shared charge", TimeSharedCharge(capacitance=40e-15, sharing_time=1e-11)),
            ("Bits combined by a C-2C ladder", CapacitorLadder(compensation=0.5)),
        )
    },
    "Input bits that share a conversion": SwitchedCapacitor(
        rows=24,
        columns=8,
        input_bits=4,
        adc=Adc(bits=6),
        row_dac=RowDac(bits=2, mismatch=0.05, noise=5e-3),
        serial_accumulation=SerialAccumulation(digits=2, mismatch_coefficient=1e-8, off_resistance=1e9),
    ),
    "Digital binary": DigitalBinary(rows=24, columns=8, weight_cells=SramCell(mean=0.6)),
    "Multi-precision": MultiPrecision(weight_bits=4, input_bits=4),
}
PARTS = {"Input bits that share a conversion": ("macro.row_dac.", "macro.serial_accumulation.")}
"""Families whose table lists the settings of these parts alone."""

TEMPERATURE = 310.0


def table(family):
    """For each row of a family's table: its effect, its settings and its entry for each quantity."""
    section = re.split(r"^## ", PAGE.split(f"## {family}\n")[1], flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert tuple(rows[0][2:7]) == QUANTITIES
    return [(row[0], re.findall(r"`([\w.]+)`", row[1]), row[2:7]) for row in rows[2:]]


def changed(macro, values):
    return settings.with_numbers(Accelerator.of(macro), values).macros[0]


def product(values, macro, die):
    """One number that depends on all of a read."""
    generator = np.random.default_rng(0)
    inputs, weights, probe = (jnp.asarray(generator.normal(size=size), float) for size in ((3, 20), (20, 3), (3, 3)))
    return jnp.sum(probe * changed(macro, values).matmul(inputs, weights, die=die, key=jax.random.key(2)))


def spent(values, macro):
    """Energy, time, area and leakage."""
    hardware = changed(macro, values)
    cost = hardware.cost(Work(DenseProduct(20, 3), 1, 20, 1.0), {})
    found = cost.energy, cost.seconds, hardware.area, hardware.leakage_power(jnp.asarray(TEMPERATURE))
    found = jnp.stack([jnp.asarray(x, float) for x in found])
    return found, found


@pytest.mark.sampled(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_support_matrix(family):
    macro, rows = FAMILIES[family], table(family)
    own = "macro.combining." if family.startswith("Bits combined") else ""
    paths = [path for path in settings.continuous_settings(macro) if path.startswith(own)]
    values = {path: jnp.asarray(settings.setting(macro, path), float) for path in paths}
    die = macro.fabricate(jax.random.key(1))
    read = jax.jit(jax.value_and_grad(lambda values: product(values, macro, die)))
    use = jax.jit(jax.jacrev(lambda values: spent(values, macro), has_aux=True))

    def measured(values):
        (value, slope), (slopes, others) = read(values), use(values)
        return np.append(value, others), {path: np.append(slope[path], slopes[path]) for path in values}

    before, slopes = measured(values)
    named = set()
    for effect, parts, entries in rows:
        of = [[path for path in values if f"{path}.".startswith(f"macro.{part}.")] for part in parts]
        assert all(of), (effect, parts)
        paths = [path for part in of for path in part]
        assert not named & set(paths), effect
        named |= set(paths)
        # So far that what depends by jumps has jumped; supplies stay inside the window of the delay law.
        far, _ = measured(values | {path: (0.9 if path.endswith("supply") else 1e-3) * values[path] for path in paths})
        for place, (quantity, entry) in enumerate(zip(QUANTITIES, entries, strict=True)):
            slope = any(slopes[path][place] != 0 for path in paths)
            expected = "yes" if slope else "-" if far[place] == before[place] else "steps"
            assert entry == expected, (effect, quantity)
    assert named == {path for path in values if path.startswith(PARTS.get(family, "macro."))}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_changes_nothing_is_listed(family):
    """With its reason, and nothing else: rows of the table above, which derivatives hold."""
    macro, own = FAMILIES[family], "macro.combining." if family.startswith("Bits combined") else "macro."
    values, still = settings.continuous_settings(macro), set()
    for _, parts, entries in table(family):
        if set(entries) == {"-"}:
            still |= {path for path in values for part in parts if f"{path}.".startswith(f"macro.{part}.")}
    listed = {path for path in what_has_no_effect(macro) if path in values and path.startswith(PARTS.get(family, own))}
    assert still == listed
