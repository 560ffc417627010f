"""The reference describes every public name, and links of the repository hold on the site."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import amsim
from amsim import circuits

DOCS = Path(__file__).parents[2] / "docs"
MODULES = [
    "amsim",
    "amsim.calibration",
    "amsim.cascade",
    "amsim.characterisation",
    "amsim.chips",
    "amsim.circuits",
    "amsim.circuits.adc",
    "amsim.comparison",
    "amsim.datasets",
    "amsim.deployment",
    "amsim.evaluation",
    "amsim.foreign",
    "amsim.foreign.published",
    "amsim.networks",
    "amsim.noise",
    "amsim.plot",
    "amsim.repairs",
    "amsim.results",
    "amsim.search",
    "amsim.spice",
    "amsim.statistics",
    "amsim.studies",
    "amsim.system",
    "amsim.training",
    "amsim.validation",
    "amsim.workloads",
    "amsim.zigzag",
]


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


names = sys.modules["public_names"] = loaded("public_names")  # one file of that folder imports it
reference_pages = loaded("reference_pages")
links = loaded("links")
REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
DESCRIBED = {names.origin(name) for name in names.described(REFERENCE)}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module):
    public = {name: names.origin(f"{module}.{name}") for name in names.public_names(module)}
    assert public
    packages = {name for name, origin in public.items() if names.source(origin).exists()}
    missing = {n for n, origin in public.items() if not {origin, origin.rpartition(".")[0]} & DESCRIBED} - packages
    assert not missing


def test_modules_and_names_of_the_reference_exist():
    for name in names.described(REFERENCE):
        module, _, last = name.rpartition(".")
        assert names.source(name).exists() or last in names.public_names(module), name


def test_how_the_public_names_are_found():
    """Against what an import gives."""
    found = names.public_names("amsim.circuits")
    others = {"adc", "count", "error_variances", "lumped_product", "physical", "quantity", "register", "trim_bits"}
    others |= {"accumulate", "recombine", "shared_cells", "shared_columns", "stationary_cost", "weight_digits"}
    assert set(found) == {name for name in vars(circuits) if name[0].isupper()} | others
    assert {*names.public_names("amsim"), "__version__"} == set(amsim.__all__)
    assert names.origin("amsim.repair") == "amsim.repairs.population.repair"
    assert names.origin("amsim.circuits.adc.SarAdc") == circuits.SarAdc.__module__ + ".SarAdc"


def test_links_of_the_repository_hold_on_the_site():
    pages = {"overview.md", "facts.md", "how_tos/a.md", "how_tos/b.md", "tutorials/01_x.md", "results/speed.md"}

    def linked(text, page):
        return links.linked(text, page, pages, {"amsim.circuits.ChargeLine"})

    assert linked("![x](docs/compare.png) [y](docs/facts.md#5)", "overview.md") == "![x](compare.png) [y](facts.md#5)"
    assert linked("`docs/results/speed.md` `notebooks/01_x`", "overview.md") == (
        "[`docs/results/speed.md`](results/speed.md) [`notebooks/01_x`](tutorials/01_x.md)"
    )
    assert linked("[y](b.md) [z](../../README.md#top) [w](https://w.org)", "how_tos/a.md") == (
        "[y](b.md) [z](../overview.md#top) [w](https://w.org)"
    )
    assert linked("![p](01_x/output.png) `02_y`", "tutorials/01_x.md") == "![p](01_x/output.png) `02_y`"
    name = "amsim.circuits.ChargeLine.settled_voltage"
    assert linked(f"`{name}`", "facts.md") == f"[`{name}`][{name}]"
    assert linked(f"| a | `{name}` |", "facts.md") == f"| a | [`ChargeLine.settled_voltage`][{name}] |"
    for unchanged in ("```python\n`amsim.circuits.ChargeLine`\n```", "`amsim.circuits.ChargeLines`", "`facts.md`"):
        assert linked(unchanged, "facts.md") == unchanged


def test_what_examples_import_is_in_the_reference():
    root = DOCS.parent
    pages = [root / "README.md", *(DOCS / "how_tos").glob("*.md"), *(root / "notebooks").glob("[0-9]*.py")]
    text = "\n".join(page.read_text() for page in pages)
    named = re.findall(r"\b(amsim(?:[.]\w+)*)[.](\w+)", text)
    named += [
        (module, name)
        for module, found in re.findall(r"^from (amsim[.][\w.]+) import ([\w, ]+)$", text, re.MULTILINE)
        for name in found.replace(" ", "").split(",")
    ]
    imported = {
        names.origin(f"{module}.{name}")
        for module, name in named
        if names.source(module).exists() and name in names.public_names(module)
    }
    imported = {one for one in imported if not names.source(one).exists()}
    assert {"amsim.characterisation.transfer.characterise", "amsim.circuits.technology.dram.Dram"} <= imported
    assert not {one for one in imported if not {one, one.rpartition(".")[0]} & DESCRIBED}


def test_a_reference_page_for_each_class_and_for_the_functions_of_a_heading():
    text = (DOCS / "reference" / "04_converters.md").read_text()
    found = reference_pages.divided("reference/04_converters.md", text)
    overview = found.pop("reference/04_converters.md")
    assert found["reference/04_converters/saradc.md"] == "# SarAdc\n\n::: amsim.circuits.adc.SarAdc\n"
    surveys = found["reference/04_converters/surveys_functions.md"]
    assert surveys.startswith("# Surveys: functions\n")
    assert surveys.count("\n::: ") == 3
    assert {name for page in found.values() for name in names.described(page)} == set(names.described(text))
    entries = re.findall(r"^- \[`\w+`\]\[([\w.]+)\]: \S", overview, re.MULTILINE)
    assert sorted(entries) == sorted(names.described(text))
    assert ":::" not in overview
    first = amsim.circuits.adc.SarAdc.__doc__.strip().partition("\n")[0]
    assert f"- [`SarAdc`][amsim.circuits.adc.SarAdc]: {first}\n" in overview


def test_reference_pages_with_one_name_are_refused():
    with pytest.raises(ValueError, match=r"03_x.md has two pages reference/03_x/adc.md.*amsim.circuits.adc.Adc"):
        reference_pages.divided("reference/03_x.md", "# X\n::: amsim.circuits.Adc\n::: amsim.circuits.adc.Adc\n")


@pytest.mark.parametrize(
    "words", ["ADC resolution", "16 nm", "external data", "kT/C", "yield", "netlist", "word length"]
)
def test_what_readers_search_for_is_on_a_page_of_the_start(words):
    pages = [DOCS / "index.md", *(DOCS / "how_tos").glob("*.md"), DOCS.parent / "README.md"]
    assert any(words.lower() in page.read_text().lower() for page in pages)
