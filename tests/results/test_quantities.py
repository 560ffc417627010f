"""Every result has its unit and name, once, and rooms that share a name mean the same, unless on purpose."""

import ast
import importlib
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.circuits.units import is_unit
from amsim.results.labelled import labelled
from amsim.results.provenance import described, key_words, provenance, versions
from amsim.results.quantities import QUANTITIES
from amsim.statistics import MeanInterval, interval_variables

ROOT = Path(amsim.__file__).parent
UNITS_OF_A_ROW = {
    "SI unit of the setting",
    "unit of the rung",
    "1 or unit of the rung",
    "unit of the input",
    "unit of the weight",
}
"""Units that differ from row to row, which say where they stand."""

ON_PURPOSE = {
    "step",
    "source",
    "accuracy_loss",
    "stored_bits",
    "latency",
    "part",
    "threshold",
    "utilisation",
    "average_power",
    "circuit",
    "setting",
}
"""Names that mean different things in different rooms, which never meet in one result."""


def parsed():
    """Syntax tree of each module that names quantities or labels results, by name."""
    found = {}
    for path in sorted([*ROOT.rglob("*.py"), *(ROOT / "circuits").rglob("*.py"), *(ROOT / "noise").rglob("*.py")]):
        text = path.read_text()
        if "LABELS" in text or "labelled(" in text:
            found[".".join(["amsim", *path.relative_to(ROOT).with_suffix("").parts])] = ast.parse(text)
    return found


TREES = parsed()
TABLES = {
    name: labels
    for name, tree in TREES.items()
    if any(isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "LABELS" for node in tree.body)
    and isinstance(labels := importlib.import_module(name).LABELS, dict)
}
TABLES["amsim.results.quantities"] = QUANTITIES


def test_all_rooms_are_there():
    rooms = {name.split(".")[1] for name in TABLES}
    assert rooms >= {"calibration", "characterisation", "comparison", "evaluation", "repairs", "search", "spice"}
    assert rooms >= {"results", "system", "training", "validation"}


@pytest.mark.parametrize("table", TABLES)
def test_units_are_units(table):
    for name, (unit, long_name) in TABLES[table].items():
        assert is_unit(unit) or unit in UNITS_OF_A_ROW, name
        assert long_name == long_name.strip(" ."), name
        assert long_name, name


def test_no_two_rooms_disagree():
    for name in sorted({name for labels in TABLES.values() for name in labels}):
        said = {table: labels[name] for table, labels in TABLES.items() if name in labels}
        if name in ON_PURPOSE:
            assert len(set(said.values())) > 1, f"{name} is no exception any more"
        else:
            assert len(said) == 1, f"{name} belongs into results/quantities.py or has two meanings: {said}"


def literal_names(node):
    """Names that stand in a call as keys of dictionaries."""
    dicts = [one for part in node.args[:2] for one in ast.walk(part) if isinstance(one, ast.Dict)]
    return {key.value for one in dicts for key in one.keys if isinstance(key, ast.Constant)}


def test_no_name_is_missing():
    """Names that stand in calls of `labelled`; those that are made are looked up whenever a result is."""
    checked = 0
    for module, tree in TREES.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if getattr(call.func, "id", "") != "labelled" or not call.args:
                continue
            given = [word.value for word in call.keywords if word.arg == "labels"]
            if given and getattr(given[0], "id", "") != "LABELS":
                continue  # labels of the moment
            own = importlib.import_module(module).LABELS if given else {}
            names = literal_names(call)
            assert names <= set(QUANTITIES | own), (module, names - set(QUANTITIES | own))
            checked += len(names)
    assert checked > 40


@pytest.mark.parametrize("table", [name for name in TABLES if name != "amsim.results.quantities"])
def test_no_name_is_left_over(table):
    room = ROOT.joinpath(*table.split(".")[1:-1])
    texts = "\n".join(path.read_text() for path in room.glob("*.py"))
    texts = re.sub(r"^LABELS = \{\n.*?^\}", "", texts, flags=re.DOTALL | re.MULTILINE)
    for name in TABLES[table]:
        stem = re.sub("_(mean|low|high)$", "", name)
        assert re.search(rf'"({name}|{stem})"|\b{name}\b', texts), name


def test_unknown_names_are_refused():
    with pytest.raises(KeyError, match="nothing"):
        labelled({"nothing": ((), 1.0)}, {}, {})
    found = labelled({"clipped_words": ((), 0.0), "energy": ((), 1.0)}, {}, {}, labels={"energy": ("J", "other")})
    assert found["clipped_words"].attrs == {"units": "1", "long_name": "fraction of words out of range"}
    assert found["energy"].attrs == {"units": "J", "long_name": "other"}


def test_provenance_has_what_is_given():
    macro, key = circuits.DigitalBinary(rows=8, columns=4), jax.random.key(3)
    assert provenance() == versions()
    assert set(versions()) == {"amsim_version", "jax_version"}
    found = provenance(key=key, macro=macro, calibration=None)
    assert found == {"key": [0, 3], "macro": described(macro), "calibration": "null", **versions()}
    assert json.loads(found["macro"])["type"] == "DigitalBinary"
    assert provenance(key=None)["key"] == key_words(None) == []


def test_variables_of_intervals():
    one = MeanInterval(0.5, 0.25, 0.75)
    found = interval_variables("accuracy", one)
    assert list(found) == ["accuracy_mean", "accuracy_low", "accuracy_high"]
    assert {name: float(values) for name, (_, values) in found.items()} == dict(zip(found, one, strict=True))
    several = interval_variables("gain", [[one, one], [MeanInterval(1.0, 0.0, 2.0), one]], ("a", "b"), mean="gain")
    assert list(several) == ["gain", "gain_low", "gain_high"]
    assert several["gain_low"][0] == ("a", "b")
    np.testing.assert_array_equal(several["gain_low"][1], [[0.25, 0.25], [0.0, 0.25]])
