"""The reference shows the defaults and units that fields declare, read from the source."""

import importlib.util
from pathlib import Path

import pytest

griffe = pytest.importorskip("griffe", reason="the reference needs the documentation's packages")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def package():
    spec = importlib.util.spec_from_file_location("module_fields", ROOT / "docs" / "module_fields.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    extensions = griffe.load_extensions(module.ModuleFields)
    return griffe.load("amsim", search_paths=[str(ROOT)], allow_inspection=False, extensions=extensions)


def described(cls):
    sections = cls.docstring.parse("google", warnings=False)
    (found,) = (one for one in sections if one.kind is griffe.DocstringSectionKind.attributes)
    return {one.name: str(one.annotation) for one in found.value}


def test_attributes_have_symbol_and_unit(package):
    comparator = described(package["circuits.charge.comparator.Comparator"])
    assert comparator["noise"] == "Quantity, sigma_n in V"
    assert comparator["kickback"] == "Quantity | None, in V"
    assert comparator["gain"] == "Quantity, A"
    assert comparator["trim"] == "Trim | None"
    # Over several lines, with more words.
    assert described(package["circuits.technology.sram.SramCell"])["sigma"] == "Quantity, sigma in V"
    assert described(package["circuits.charge.charge_line.ChargeLine"])["capacitances"].endswith(", C_i in F")


@pytest.mark.parametrize("name", ["charge.array.CapacitorArray", "switched_capacitor.SwitchedCapacitor"])
def test_arguments_have_defaults_and_plain_types(package, name):
    arguments = {one.name: one for one in package[f"circuits.{name}"].parameters}
    assert arguments["unit_capacitance"].default == "1e-15"
    assert str(arguments["unit_capacitance"].annotation) == "Quantity"
    assert arguments["weight_bits"].default == "1"
    assert arguments["supply_noise"].default == "None"
    assert arguments["comparator"].default == "Comparator()"
