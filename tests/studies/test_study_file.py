"""Studies as TOML files: examples, and forms of hardware and of axes against the Python call."""

import json
import tomllib
from pathlib import Path

import jax
import jsonschema
import numpy as np
import pytest
import xarray as xr
from study_texts import ARRAY, NOISE, STUDY

import amsim
from amsim import chips, circuits
from amsim.chips.designs import design
from amsim.circuits.multi_precision import PrecisionMode
from amsim.results.provenance import described
from amsim.studies.study_file import study as study_file
from amsim.studies.study_file.axes import load_network
from amsim.studies.study_file.layout import json_schema
from amsim.studies.study_file.study import read_study

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "studies").glob("*.toml"))
TRIM = 'comparator = { trim = "none", kickback = 1e-3 }'
OTHERS = 'sites.".*" = { macro = "SwitchedCapacitor", drivers = {} }'


def definition(name):
    return json_schema()["$defs"][name]


def test_the_examples_are_there():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_right(path):
    given = read_study(path, dies=2, images=20)
    assert (given.dies, len(given.measure.data)) == (2, 20)
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(path.read_text()), schema)
    assert json.loads(json.dumps(schema)) == schema


def test_the_file_of_the_how_to_is_right(written):
    page = (EXAMPLES[0].parent.parent / "how_tos" / "03_sweep_resume_cluster.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    assert len(read_study(written(text), dies=2, images=20).axes) == 2


def test_a_file_is_the_call(written, tiny_network, monkeypatch):
    calls = []

    def record(measure, axes, **options):
        calls.append((measure, axes, options))
        return xr.Dataset({"accuracy": 0.5})

    monkeypatch.setattr(study_file, "sweep", record)
    part = "comparator = { gain = 4, trim = 'none' }\n"
    text = STUDY + "images = 20\nreads = 2\n" + ARRAY + part + NOISE
    result = read_study(written(text)).run(store="a.zarr", client="b", progress=True)
    ((measure, axes, options),) = calls
    fn, params = load_network("tiny.onnx", tiny_network)
    arrays = np.load(tiny_network / "tiny.npz")
    data = amsim.datasets.Split(arrays["inputs"][:20], arrays["labels"][:20])
    comparator = circuits.Comparator(gain=4.0, trim=None)
    macro = circuits.SwitchedCapacitor(rows=16, columns=4, comparator=comparator)
    expected = amsim.study(fn, params, macro, data, quantities=["accuracy"])
    assert measure.description == expected.description
    assert described(measure.hardware) == described(expected.hardware)
    np.testing.assert_array_equal(measure.data.inputs, data.inputs)
    np.testing.assert_array_equal(measure.data.labels, data.labels)
    outputs = [one.fn(one.params, data.inputs) for one in (measure, expected)]
    np.testing.assert_array_equal(*outputs)
    assert list(np.argmax(outputs[0], axis=1)) == list(data.labels)
    assert axes == [{"macro.comparator.noise": [1e-3, 8e-3]}]
    assert options.pop("key") == jax.random.key(4)
    assert options.pop("attributes") == {"study_file": text}
    assert options == {"dies": 3, "reads": 2, "store": "a.zarr", "client": "b", "progress": True}
    assert float(result["accuracy"]) == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('design = "switched-capacitor-2b"', lambda: design("switched-capacitor-2b").accelerator()),
        ('chip = "jia2020"\nsupply = 1.2\nweight_bits = 4', lambda: chips.jia2020(1.2, weight_bits=4)),
        (
            'chip = "bankman2018"\nsettings = { macro.comparator.noise = 1e-3, weight_memory.supply = 0.7 }',
            lambda: amsim.with_settings(
                chips.bankman2018(), {"macro.comparator.noise": 1e-3, "weight_memory.supply": 0.7}
            ),
        ),
        (
            'chip = "bankman2018"\nsettings = { macro.comparator.trim = "none", dram = "none", power.rate = "none" }',
            lambda: amsim.with_settings(
                chips.bankman2018(), {"macro.comparator.trim": None, "dram": None, "power.rate": None}
            ),
        ),
        (
            'macro = "SwitchedCapacitor"\nadc = { kind = "FlashAdc" }\nlayout = { dummies = false }\n' + TRIM,
            lambda: amsim.Accelerator(
                circuits.SwitchedCapacitor(
                    adc=circuits.FlashAdc(),
                    layout=circuits.Layout(dummies=False),
                    comparator=circuits.Comparator(trim=None, kickback=1e-3),
                )
            ),
        ),
        (
            'macro = "SwitchedCapacitor"\nreading = "lumped"',
            lambda: amsim.Accelerator(circuits.SwitchedCapacitor().lumped()),
        ),
        (
            'macro = "MultiPrecision"\nrounding = "truncate"\nmodes = [{ bits = 8, supply = 1.0 }]',
            lambda: amsim.Accelerator(
                circuits.MultiPrecision(rounding="truncate", modes=(PrecisionMode(bits=8, supply=1.0),))
            ),
        ),
        (
            'sites.first = { macro = "DigitalBinary", columns = 4 }\n' + OTHERS,
            lambda: amsim.Accelerator(
                {
                    "first": circuits.DigitalBinary(columns=4),
                    ".*": circuits.SwitchedCapacitor(drivers=circuits.Drivers()),
                }
            ),
        ),
    ],
)
def test_forms_of_hardware(written, text, expected):
    given = read_study(written(f"{STUDY}[hardware]\n{text}\n[axes]\nweight_memory.supply = [0.7]\n"))
    assert described(given.measure.hardware) == described(expected())


def test_forms_of_axes(written):
    text = """
[axes]
macro.rows = { from = 8, to = 16, count = 3 }
macro.unit_capacitance = { from = 1e-15, to = 4e-15, count = 3, spacing = "log" }
"macro.adc" = [{ name = "ideal", kind = "Adc", bits = 4 }, { kind = "SarAdc", bits = 4 }]
macro.adc.offset_sigma = { values = [0.0, 0.5], where = { macro.adc = "SarAdc" } }
macro.drivers = ["none", { kind = "Drivers" }]
[points]
macro.supply = [0.6, 0.8]
macro.clock = [1e6, 2e6]
[samples]
count = 4
ranges = { macro.comparator.gain = { from = 1, to = 8, spacing = "log" }, macro.comparator.swing = [0.5, 0.6] }
"""
    rows, capacitance, drivers, adc, points, samples, offset = read_study(written(STUDY + ARRAY + text)).axes
    assert rows == {"macro.rows": [8, 12, 16]}
    assert all(type(one) is int for one in rows["macro.rows"])
    np.testing.assert_allclose(capacitance["macro.unit_capacitance"], [1e-15, 2e-15, 4e-15], rtol=1e-12)
    assert list(adc["macro.adc"]) == ["ideal", "SarAdc"]
    assert isinstance(adc["macro.adc"]["SarAdc"], circuits.SarAdc)
    assert offset == {"macro.adc.offset_sigma": amsim.only_where([0.0, 0.5], {"macro.adc": "SarAdc"})}
    assert drivers["macro.drivers"]["none"] is None
    assert points == amsim.points({"macro.supply": [0.6, 0.8], "macro.clock": [1e6, 2e6]})
    expected = amsim.samples(
        {"macro.comparator.gain": (1.0, 8.0), "macro.comparator.swing": [0.5, 0.6]},
        4,
        logarithmic=["macro.comparator.gain"],
    )
    assert list(samples.values) == list(expected.values)
    np.testing.assert_array_equal(samples.values["macro.comparator.gain"], expected.values["macro.comparator.gain"])


def test_none_on_an_axis_leaves_out(written):
    text = """
[axes]
macro.comparator.kickback = ["none", 1e-3, 0]
macro.supply_noise = { values = [1e-3], where = { macro.comparator.kickback = ["none", "0.001"] } }
[points]
macro.drivers = ["none", "none"]
macro.clock = [1, 2]
[samples]
count = 2
ranges = { dram = ["none"] }
"""
    kickback, points, samples, noise = read_study(written(STUDY + ARRAY + text)).axes
    assert kickback == {"macro.comparator.kickback": [None, 1e-3, 0]}
    assert points.values == {"macro.drivers": [None, None], "macro.clock": [1, 2]}
    assert samples.values == {"dram": [None, None]}
    assert noise["macro.supply_noise"].where == {"macro.comparator.kickback": ["none", "0.001"]}
    jsonschema.validate(tomllib.loads(STUDY + ARRAY + text), json_schema())
    values = definition("settings")["additionalProperties"]["anyOf"][0]
    assert {"const": "none", "type": "string"} in values["anyOf"]


def test_logarithmic_counts_stay_whole(written):
    spread = '[axes]\nmacro.columns = { from = 4, to = 16, count = 3, spacing = "log" }\n'
    (columns,) = read_study(written(STUDY + ARRAY + spread)).axes
    assert columns == {"macro.columns": [4, 8, 16]}
    assert all(type(one) is int for one in columns["macro.columns"])


def test_hardware_and_networks_as_axes(written):
    several = '[[hardware]]\nname = "one"\ndesign = "digital-binary-1b"\n[[hardware]]\nchip = "bankman2018"\n'
    study = '[study]\nimages = 20\nnetwork = "binary-fashion"\n'
    given = read_study(written(study + several))
    assert given.measure.hardware is None
    assert list(given.axes[0]["hardware"]) == ["one", "bankman2018"]
    zipped = '[points]\nnetwork = ["binary-fashion", "tiny.onnx"]\nhardware = ["one", "envision2017"]\n'
    (points,) = read_study(written("[study]\nimages = 20\n" + zipped + several)).axes
    assert list(points.values["hardware"]) == ["one", "envision2017"]
    assert [one if isinstance(one, str) else one[0] for one in points.values["network"]] == [
        "binary-fashion",
        "tiny.onnx",
    ]


def test_the_schema_gives_units():
    array = definition("SwitchedCapacitor")["properties"]
    assert array["macro"]["const"] == "SwitchedCapacitor"
    assert array["unit_capacitance"]["description"] == "C_u, in F"
    assert definition("SramCell")["properties"]["mean"]["description"] == "mean lowest supply, mu, in V"
    (cells, _none) = definition("DigitalBinary")["properties"]["weight_cells"]["oneOf"]
    assert cells == {"oneOf": [{"$ref": "#/$defs/SramCell"}]}
    assert "description" not in array["rows"]


def test_axes_keep_the_order_of_the_file(written):
    text = '[axes]\nmacro.rows = [4, 8]\nhardware = ["one"]\nnetwork = ["tiny.onnx"]\nmacro.columns = [4]\n'
    several = f'[[hardware]]\nname = "one"\n{ARRAY.partition("]")[2]}'
    axes = read_study(written(STUDY.replace('network = "tiny.onnx"', "") + several + text)).axes
    assert [list(one) for one in axes] == [["macro.rows"], ["macro.columns"], ["hardware"], ["network"]]
