"""Units and names of settings come from the fields that hold them, of every part and of a family made here."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import chips, circuits
from amsim.circuits import Dram, Process, Sram
from amsim.circuits.fields import Quantity, count, field_label, physical, quantity
from amsim.circuits.technology.dram import DramChannel
from amsim.circuits.technology.register_file import RegisterFile
from amsim.circuits.units import NOT_GIVEN, is_unit
from amsim.system.accelerator import Accelerator, PowerManagement
from amsim.system.organisation import Processor, SystolicArray
from amsim.system.settings import continuous_settings, setting, setting_label, static_settings

UNITS = {
    field: unit
    for unit, fields in json.loads((Path(__file__).parent / "data" / "setting_units.json").read_text()).items()
    for field in fields
}
"""Unit of each setting by class and field, as it was when units were kept in one table by hand, mistakes mended."""

LONG_NAMES = {
    "SramCell.mean": "mean lowest supply",
    "SramCell.sigma": "standard deviation of the lowest supply",
    "Measured.mean": "mean read value",
    "Measured.sigma": "standard deviation of a read",
}
"""Fields whose name says too little."""

COUNTS = np.arange(-8, 9)
ALL_PARTS = {
    "drivers": circuits.Drivers(supply_resistance=1.0),
    "reset": circuits.ResetSwitch(),
    "leakage": circuits.Leakage(),
    "layout": circuits.Layout(),
    "faults": circuits.Faults(),
    "supply_noise": 1e-3,
    "comparator": circuits.Comparator(kickback=1e-3),
}
MEASURED = circuits.Measured(
    counts=COUNTS, mean=COUNTS[None] * 1.0, sigma=np.zeros((1, 17)), evaluation_energy=1e-12, evaluation_time=1e-9,
    array_area=1e-9, supply=0.6, rows=8, columns=4,
)  # fmt: skip
HARDWARE = [
    *(
        Accelerator(circuits.SwitchedCapacitor(adc=adc, **ALL_PARTS))
        for adc in (circuits.Adc(), circuits.SarAdc(), circuits.FlashAdc(), circuits.SingleSlopeAdc())
    ),
    Accelerator(
        circuits.DigitalBinary(weight_cells=circuits.SramCell()),
        organisation=SystolicArray(registers=RegisterFile()),
        global_memory=Sram(capacity=1e6, process=Process(threshold=0.35, alpha=1.4)),
        dram=Dram(channel=DramChannel(bandwidth=1e9)),
        power=PowerManagement(rate=1.0),
    ),
    Accelerator({"a": circuits.MultiPrecision(), "b": MEASURED, "c": circuits.Exact()}, organisation=Processor()),
    chips.asilomar2017(),
]


def classes():
    """Every class of circuits, system and chips that is a module."""
    found = {}
    for room in ("circuits", "system", "chips"):
        package = importlib.import_module(f"amsim.{room}")
        for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, cls in inspect.getmembers(importlib.import_module(one.name), inspect.isclass):
                if issubclass(cls, eqx.Module) and cls.__module__ == one.name:
                    found[cls.__name__] = cls
    return found


CLASSES = classes()


def is_quantity(annotation):
    return "Quantity" in (annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")) or (
        Quantity == annotation or Quantity in getattr(annotation, "__args__", ())
    )


@pytest.mark.parametrize("name", CLASSES)
def test_every_quantity_of_every_part_has_a_unit(name):
    cls = CLASSES[name]
    for field in dataclasses.fields(cls):
        if is_quantity(field.type) and not inspect.isabstract(cls):
            label = field_label(cls, field.name)
            assert label is not None, field.name
            assert is_unit(label.unit), field.name


def holders(accelerator, path):
    """Classes, the most special first, of the part that has the field at the end of a path."""
    parent = path.rpartition(".")[0]
    whole = {"": accelerator, "macro": accelerator.macros[0]}
    whole |= {f"macros.{name}": one for name, one in zip(accelerator.patterns, accelerator.macros, strict=True)}
    part = whole[parent] if parent in whole else setting(accelerator, parent)
    return [cls.__name__ for cls in type(part).__mro__]


@pytest.mark.parametrize("accelerator", HARDWARE)
def test_every_setting_has_the_label_that_it_had(accelerator):
    for path in [*continuous_settings(accelerator), *static_settings(accelerator)]:
        parent, _, name = path.removeprefix("macro.").rpartition(".")
        keys = [f"{cls}.{name}" for cls in holders(accelerator, path)]
        words = " ".join([*filter(None, [parent]), next((LONG_NAMES[key] for key in keys if key in LONG_NAMES), name)])
        expected = next(UNITS[key] for key in keys if key in UNITS)
        assert setting_label(accelerator, path) == (expected, words.replace(".", " ").replace("_", " ")), path
        assert is_unit(expected), path


def test_units_of_settings_by_name():
    """What a name says its unit is, whatever the tables say."""
    words = {"capacitance": "F", "area": "m2", "time": "s", "supply": "V", "temperature": "K", "resistance": "Ohm"}
    words |= {"clock": "Hz", "energy": "J", "parasitic": "F", "swing": "V", "leakage": "A", "bits": "bit"}
    checked = 0
    for accelerator in HARDWARE:
        for path in [*continuous_settings(accelerator), *static_settings(accelerator)]:
            name = path.rpartition(".")[2]
            for word, unit in words.items():
                if re.search(rf"(^|_){word}$", name) and name != "gated_leakage":
                    per = "m" if ".wire." in path else "bit"
                    assert setting_label(accelerator, path)[0] in (unit, f"{unit}/{per}"), path
                    checked += 1
    assert checked > 300


class Bridge(eqx.Module):
    """A part of the family below.

    Attributes:
        inductance: H.
        anything: An array without a unit.
    """

    inductance: Quantity = quantity("inductance", unit="H", long_name="bridge inductance at rest", default=1e-9)
    anything: jnp.ndarray = eqx.field(converter=jnp.asarray, default=0.0)


class Inductive(circuits.Exact):
    """A family that no table knows."""

    flux: Quantity = quantity("flux", unit="Wb", symbol="Phi", default=1e-15)
    turns: int = count(default=3)
    profile: jnp.ndarray = physical(unit="T", converter=jnp.asarray, default=0.0)
    bridge: Bridge = eqx.field(default_factory=Bridge)


def test_a_family_of_ones_own_needs_its_fields_alone():
    macro = Inductive()
    assert setting_label(macro, "macro.flux") == ("Wb", "flux")
    assert setting_label(macro, "macro.turns") == ("1", "turns")
    assert setting_label(macro, "macro.profile") == ("T", "profile")
    assert setting_label(macro, "macro.bridge") == ("1", "bridge")
    assert setting_label(macro, "macro.bridge.inductance") == ("H", "bridge bridge inductance at rest")
    assert setting_label(macro, "macro.bridge.anything") == (NOT_GIVEN, "bridge anything")
    swept = amsim.sweep(lambda hardware: {"a": hardware.flux}, {"macro.flux": [1e-15, 2e-15]}, hardware=macro)
    assert swept["macro.flux"].attrs == {"units": "Wb", "long_name": "flux"}
    with pytest.raises(ValueError, match=r"There is no setting 'macro\.fluxx'"):
        setting_label(macro, "macro.fluxx")


def test_one_path_for_two_units_says_both():
    two = Accelerator({"a": circuits.SwitchedCapacitor(), "b": Inductive()})
    assert setting_label(two, "macro.bridge.inductance")[0] == "H"
    flash = circuits.SwitchedCapacitor(adc=circuits.FlashAdc())
    other = dataclasses.replace(flash, adc=OddAdc())
    assert setting_label(Accelerator({"a": flash, "b": other}), "macro.adc.offset_sigma")[0] == "LSB or V"


class OddAdc(circuits.FlashAdc):
    """Converter that gives its offset in volts."""

    offset_sigma: Quantity = quantity("offset_sigma", unit="V", default=0.1)


def test_an_axis_takes_its_label_from_hardware_that_has_it():
    macro = circuits.SwitchedCapacitor(rows=8, columns=4)
    axes = {
        "macro.drivers": {"none": None, "slow": circuits.Drivers()},
        "macro.drivers.resistance": amsim.only_where([1e3, 2e3], {"macro.drivers": "slow"}),
    }
    result = amsim.sweep(lambda hardware: {"a": hardware.supply}, axes, hardware=macro)
    assert result["macro.drivers.resistance"].attrs == {"units": "Ohm", "long_name": "drivers resistance"}
    assert result["macro.drivers"].attrs == {"units": "1", "long_name": "drivers"}


def test_a_quantity_without_a_unit_fails_when_its_class_is_made():
    with pytest.raises(TypeError, match="unit"):

        class Forgotten(eqx.Module):
            """A part.

            Attributes:
                gain: 1.
            """

            gain: Quantity = quantity("gain", default=1.0)


@pytest.mark.parametrize("unit", ["mV", "fF", "", "volt", "V V ", "J/", "V/K/s", "1 V", "V1"])
def test_units_are_si_without_prefix(unit):
    for field in (lambda **options: quantity("gain", **options), count, physical):
        with pytest.raises(ValueError, match="`unit` must be made of SI symbols without prefixes"):
            field(unit=unit, default=1)


@pytest.mark.parametrize("unit", ["1", "V", "m2", "F^0.5", "J V2", "1/s", "A/bit", "F/m2", "V m", "Ohm/m", "kg m2/s2"])
def test_units_that_are(unit):
    assert is_unit(unit)


SPELLINGS = {
    "bit": r"[Bb]its?|[Ww]idest operand|Width|Resolution|binary-weighted capacitors|Of no effect",
    "LSB": "LSB",
    "F^0.5": r"sqrt\(F\)",
    "J V2": r"J V\^2",
    "J/bit": r"J a bit|J per bit|each bit of .*, J",
    "A/bit": "A a bit|A per bit",
    "m2/bit": r"m\^2 a bit|m\^2 per bit",
    "bit/s": "Bits a second|Bits per second",
    "1/s": "1/s",
}
"""How docstrings write units, where not as fields do."""


@pytest.mark.parametrize("name", CLASSES)
def test_docstrings_give_the_unit_that_the_field_declares(name):
    cls = CLASSES[name]
    described = dict(re.findall(r"^ {8}(\w+): ((?:.*\n)(?: {9,}.*\n)*)", cls.__doc__ or "", re.MULTILINE))
    for field, text in described.items():
        if field not in {one.name for one in dataclasses.fields(cls)} or (label := field_label(cls, field)) is None:
            continue
        if label.unit != "1":
            spelled = SPELLINGS.get(label.unit, re.escape(label.unit).replace("m2", r"m\^2"))
            assert re.search(rf"(?<!\w)({spelled})(?![\w/])", " ".join(text.split())), (field, text)
