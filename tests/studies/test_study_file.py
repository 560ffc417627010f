"""Studies as TOML files: examples, forms of hardware and axes against the Python call, all mistakes at once."""

import json
import tomllib
from pathlib import Path

import jax
import jsonschema
import numpy as np
import pytest
import xarray as xr

import amsim
from amsim import chips, circuits
from amsim.chips.designs import design
from amsim.circuits.multi_precision import PrecisionMode
from amsim.datasets.load import DATASETS
from amsim.results.provenance import described
from amsim.studies.study_file import study as study_file
from amsim.studies.study_file.axes import load_network
from amsim.studies.study_file.layout import json_schema
from amsim.studies.study_file.study import read_study

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "studies").glob("*.toml"))

STUDY = '[study]\nnetwork = "tiny.onnx"\ndata = "tiny.npz"\ndies = 3\nseed = 4\nquantities = ["accuracy"]\n'
ARRAY = '[hardware]\nmacro = "SwitchedCapacitor"\nrows = 16\ncolumns = 4\n'
NOISE = "[axes]\nmacro.comparator.noise = [1e-3, 8e-3]\n"
TRIM = 'comparator = { trim = "none", kickback = 1e-3 }'
OTHERS = 'sites.".*" = { macro = "SwitchedCapacitor", drivers = {} }'


@pytest.fixture
def written(tiny_network):
    def write(text):
        path = tiny_network / "study.toml"
        path.write_text(text)
        return path

    return write


def mistakes(path):
    with pytest.raises(ValueError, match="mistake") as refused:
        read_study(path)
    return str(refused.value)


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


def test_all_mistakes_in_one_message(written):
    said = mistakes(
        written(
            '[study]\nnetwrk = "binary-fashion"\nimages = 0\ndies = "2"\nquantities = ["acuracy"]\n'
            '[hardware]\nmacro = "SwitchedCapcitor"\n'
            '[axes]\nmacro.rows = { from = 8, to = 4, cont = 3, spacing = "logg" }\nmacro.adc.bits = []\n[smples]\n'
        )
    )
    assert said.splitlines()[0].endswith("study.toml has 10 mistakes:")
    for one in (
        "[study] netwrk is unknown. Did you mean 'network'?",
        "[study] images must be a whole number of at least 1, but is 0.",
        "[study] dies must be a whole number of at least 1, but is '2'.",
        "[study] quantities#1 must be one of 'accuracy', 'energy', 'latency', 'area', but is 'acuracy'.",
        "[hardware] macro must be one of 'DigitalBinary',",
        "Did you mean 'SwitchedCapacitor'?",
        "[axes.macro.rows] cont is unknown. Did you mean 'count'?",
        "[axes.macro.rows] count is missing; it must be a whole number of at least 2 and at most 1048576.",
        "[axes.macro.rows] spacing must be one of 'linear', 'log', but is 'logg'.",
        "[axes] macro.adc.bits must be a list with at least one value, but is an empty list.",
        "[smples] is unknown. Did you mean 'samples'? Allowed are study, hardware, axes, points, samples.",
    ):
        assert one in said


def test_all_values_that_are_not_allowed_in_one_message(written):
    said = mistakes(
        written(
            f"{STUDY}{ARRAY.replace('rows = 16', 'rows = 0')}supply = -1\nclock = 2e6\nweight_bits = 40\n"
            "comparator = { noise = -1, gain = -2, swing = 0.5, trim = { bits = 99 } }\n"
            'settings = { macro.clock = -3, macro.supply_noise = "none", weight_memory.supply = -7, power.rate = -4 }\n'
        )
    )
    assert [line.partition(", but")[0].strip() for line in said.splitlines()[1:]] == [
        "[hardware.comparator.trim] bits: Argument `bits` must be an integer from 0 to 16",
        "[hardware.comparator] noise: Argument `noise` must be finite and at least 0",
        "[hardware.comparator] gain: Argument `gain` must be finite and above 0",
        "[hardware] rows: Argument `rows` must be an integer of at least 1",
        "[hardware] supply: Argument `supply` must be finite and above 0",
        "[hardware] weight_bits: Argument `weight_bits` must be an integer from 1 to 16",
        "[hardware.settings] macro.clock: Argument `clock` must be finite and above 0",
        "[hardware.settings] weight_memory.supply: Argument `supply` must be finite and above 0",
        "[hardware.settings] power.rate: Argument `rate` must be finite and above 0",
    ]


def test_all_values_of_axes_that_are_not_allowed_in_one_message(written):
    parts = '"macro.adc" = [{ kind = "SarAdc" }, { kind = "Adc" }]\n'
    inside = 'macro.adc.offset_sigma = { values = [0.5, -0.5], where = { "macro.adc" = "SarAdc" } }\n'
    said = mistakes(
        written(
            f"{STUDY}{ARRAY}[axes]\nmacro.supply = [0.5, -1, -2]\n{parts}{inside}"
            "macro.rows = { values = [8, 0], where = { macro.supply = 0.5 } }\n"
            '[points]\nmacro.clock = [1e6, "none"]\nmacro.unit_capacitance = [1e-15, 2e-15]\n'
            '[samples]\ncount = 2\nranges = { power = ["none"], macro.temperature = { from = 300, to = 310 } }\n'
        )
    )
    assert [line.partition(": ")[0].strip() for line in said.splitlines()[1:]] == [
        *2 * ["[axes] macro.supply"],
        "[axes] macro.rows",
        "[points] macro.clock",
        "[samples.ranges] power",
    ]
    with pytest.raises(ValueError, match=r"study.toml: .*'macro.adc.offset_sigma' allows. .* at least 0, but is -0.5"):
        read_study(written(f"{STUDY}{ARRAY}[axes]\n{parts}{inside}")).run()


def test_a_value_that_another_axis_allows_is_no_mistake(written):
    driven, axis = (
        f"{STUDY}{ARRAY}cell_parasitic = 0\ndrivers = {{}}\n[axes]\n",
        "macro.line_parasitic = [0.0, 1e-15]\n",
    )
    assert "[axes] macro.line_parasitic: " in mistakes(written(driven + axis))
    read = read_study(written(f'{driven}macro.drivers = ["none"]\n{axis}'))
    assert [list(one) for one in read.axes] == [["macro.drivers"], ["macro.line_parasitic"]]


def test_values_that_are_refused_only_together_are_one_mistake(written):
    both = '[hardware]\nmacro = "SwitchedCapacitor"\ncomparator = "none"\nadc = { kind = "SarAdc", bits = 4 }\n'
    said = mistakes(written(STUDY + both + "clock = -1\n" + NOISE))
    assert said.count("\n") == 2
    assert "[hardware] clock: Argument `clock` must be" in said
    assert "[hardware] comparator: Argument `comparator` must be given: the ADC decides with it" in said
    said = mistakes(written(STUDY + '[hardware]\nchip = "jia2020"\nsupply = 1.0\n' + NOISE))
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ARRAY + NOISE, "[study] is missing"),
        (STUDY + NOISE, "[hardware] is missing"),
        ("[study]\n" + ARRAY + NOISE, "[study] network is missing"),
        (STUDY.replace("tiny.onnx", "binary-fasion") + ARRAY + NOISE, "Did you mean 'binary-fashion'?"),
        (STUDY.replace("tiny.npz", "imagenet") + ARRAY + NOISE, "[study] data must be one of 'fashion-mnist-mini',"),
        (STUDY + ARRAY, "must have at least one axis"),
        (STUDY + "share = 0.5\nimages = 3\n" + ARRAY + NOISE, "`images` and `share`"),
        (STUDY + "share = 1.5\n" + ARRAY + NOISE, "[study] share must be a number above 0 and at most 1"),
        (
            STUDY + ARRAY + "unit_capacitance = -1e-15\n" + NOISE,
            "[hardware] unit_capacitance: Argument `unit_cap",
        ),
        (STUDY + ARRAY + "unit_capacitance = nan\n" + NOISE, "[hardware] unit_capacitance must be a finite number"),
        (STUDY + ARRAY + "unit_capacitance = true\n" + NOISE, "[hardware] unit_capacitance must be a finite number"),
        (STUDY + ARRAY + "adc = { bits = 4 }\n" + NOISE, "[hardware.adc] kind is missing; it must be one of 'Adc'"),
        (
            STUDY + ARRAY + 'adc = { kind = "SarAdc", bits = 4.5 }\n' + NOISE,
            "[hardware.adc] bits must be a whole number",
        ),
        (STUDY + ARRAY + 'settings = { macro.supply = "none" }\n' + NOISE, "give 'macro.supply' a value: it cannot be"),
        (STUDY + ARRAY + 'settings = { power = "none" }\n' + NOISE, "give 'power' a value: it cannot be left out"),
        (STUDY + ARRAY + 'settings = { macro.supply = "" }\n' + NOISE, "a text or true or false, but is ''"),
        (STUDY + ARRAY + "drivers = 3\n" + NOISE, "[hardware] drivers must be a table with `kind` or 'none'"),
        (STUDY + '[hardware]\ndesign = "optical-1b"\n' + NOISE, "[hardware] design must be one of 'switched-"),
        (STUDY + '[hardware]\nchip = "bankman2018"\nsupply = 1\n' + NOISE, "[hardware] supply is unknown"),
        (STUDY + '[hardware]\nchip = "jia2020"\nsupply = 1.0\n' + NOISE, "`supply` must be 0.85 or 1.2 V"),
        (STUDY + "[hardware]\nrows = 4\n" + NOISE, "must have exactly one of design, chip, macro, sites, but has rows"),
        (STUDY + ARRAY + "settings = { macro.adcc.bits = 4 }\n" + NOISE, "Did you mean 'macro.adc.bits'"),
        (STUDY + ARRAY + "[axes]\nmacro.adc.bitz = [4]\n", "[axes] macro.adc.bitz: There is no setting"),
        (STUDY + ARRAY + "[axes]\nmacro.rows = 4\n", "[axes] macro.rows must be a list"),
        (STUDY + ARRAY + '[axes]\nmacro.adc = ["x", { kind = "Adc" }]\n', 'parts are tables or "none"'),
        (STUDY + ARRAY + '[axes]\nmacro.adc = [{ kind = "Adc" }, { kind = "Adc" }]\n', "two parts have the name 'Adc'"),
        (STUDY + ARRAY + "[axes]\nmacro.supply = { from = 0.8, to = 0.6, count = 2 }\n", "`from` must be below `to`"),
        (STUDY + ARRAY + "[points]\nmacro.supply = [0.6]\nmacro.rows = [4, 8]\n", "equally many values"),
        (STUDY + ARRAY + "[axes]\nmacro.supply = { values = [0.6], where = { macro.rows = 4 } }\n", "before"),
        (STUDY + '[axes]\nhardware = ["optical-1b"]\n', "has a mistake:\n  [axes] hardware must have names among"),
        (STUDY.replace("seed = 4", f"seed = {2**32}") + ARRAY + NOISE, f"at least 0 and at most {2**32 - 1}, but is"),
        (STUDY + '[[hardware]]\nchip = "jia2021"\n[[hardware]]\nchip = "jia2021"\n', "'jia2021' occurs twice"),
    ],
)
def test_a_mistake_names_its_place(written, text, said):
    assert said in mistakes(written(text))


def test_files_that_cannot_be_used(written, tiny_network, monkeypatch):
    def refuse(*arguments, **options):
        raise ValueError("what only shows when it runs")

    with pytest.raises(ValueError, match=r"study.toml is not a TOML file: .*line 1"):
        read_study(written("[study\n"))
    with pytest.raises(ValueError, match=r"study.toml cannot be read: a whole number in it has too many digits"):
        read_study(written(f"[study]\nseed = {5000 * '9'}"))
    with pytest.raises(ValueError, match=r"study.toml cannot be read: .* nested too deeply"):
        read_study(written("a = " + 2000 * "[" + 2000 * "]"))
    with pytest.raises(FileNotFoundError):
        read_study(tiny_network / "missing.toml")
    with pytest.raises(FileNotFoundError, match=r"missing.npz does not exist"):
        read_study(written(STUDY.replace("tiny.npz", "missing.npz") + ARRAY + NOISE))
    with pytest.raises(ValueError, match=r"images must be at most 24, which is what tiny.npz has, but is 25"):
        read_study(written(STUDY + "images = 25\n" + ARRAY + NOISE))
    monkeypatch.setattr(study_file, "sweep", refuse)
    with pytest.raises(ValueError, match=r"study.toml: what only shows when it runs"):
        read_study(written(STUDY + ARRAY + NOISE)).run()


def test_the_schema_gives_units():
    array = definition("SwitchedCapacitor")["properties"]
    assert array["macro"]["const"] == "SwitchedCapacitor"
    assert array["unit_capacitance"]["description"] == "C_u, in F"
    assert definition("SramCell")["properties"]["mean"]["description"] == "mean lowest supply, mu, in V"
    (cells, _none) = definition("DigitalBinary")["properties"]["weight_cells"]["oneOf"]
    assert cells == {"oneOf": [{"$ref": "#/$defs/SramCell"}]}
    assert "description" not in array["rows"]


def test_a_value_of_another_type_is_not_turned_into_one(written):
    said = mistakes(
        written(
            '[study]\nnetwork = "tiny.onnx"\ndata = 3\nimages = true\ndies = 1.0\nreads = "3"\nseed = nan\n'
            f"batch = {10**40}\nshare = true\nquantities = 'accuracy'\n"
            '[hardware]\nmacro = "SwitchedCapacitor"\nsupply = true\ntemperature = "300"\nclock = -inf\n'
            f"rows = {10**40}\nunit_capacitance = {hex(10**400)}\ncolumns = 4.0\nlayout = {{ dummies = 1 }}\nadc = []\n"
            f"[axes]\nmacro.rows = {{ from = 1, to = 4, count = {10**40} }}\nmacro.supply = [0.5, inf, 2024-01-01]\n"
            'macro.clock = { values = [1e6], where = [1] }\n"macro.adc" = { kind = "SarAdc" }\n"<x>" = { values = 1 }\n'
            "[samples]\ncount = 4\nseed = -1\nranges = 3\n"
        )
    )
    number = "must be a finite number in SI units, but is"
    value = "must be 'none' or a finite number in SI units or a text or true or false or a table with `kind`, but is"
    expected = f"""
  [study] data must be one of {", ".join(map(repr, DATASETS))}, or a file that ends in .npz, but is 3.
  [study] images must be a whole number of at least 1, but is true.
  [study] dies must be a whole number of at least 1, but is 1.0.
  [study] reads must be a whole number of at least 1, but is '3'.
  [study] seed must be a whole number of at least 0 and at most 4294967295, but is nan.
  [study] batch must be at most 2147483647, but is an integer of 133 bits.
  [study] share must be a number above 0 and at most 1, but is true.
  [study] quantities must be a list with at least one value, but is 'accuracy'.
  [hardware] supply {number} true.
  [hardware] temperature {number} '300'.
  [hardware] clock {number} -inf.
  [hardware] rows must be at most 2147483647, but is an integer of 133 bits.
  [hardware] unit_capacitance {number} an integer of 1329 bits.
  [hardware] columns must be a whole number, but is 4.0.
  [hardware.layout] dummies must be true or false, but is 1.
  [hardware] adc must be a table with `kind` or 'none', but is an empty list.
  [axes.macro.rows] count must be a whole number of at least 2 and at most 1048576, but is an integer of 133 bits.
  [axes] macro.supply#2 {value} inf.
  [axes] macro.supply#3 {value} of type date.
  [axes.macro.clock] where must be a table, but is a list.
  [axes] macro.adc.kind must be a list, each {value.removeprefix("must be ").removesuffix(", but is")} or a table with \
`from` or `values`, but is 'SarAdc'.
  [axes.<x>] values must be a list with at least one value, but is 1.
  [samples] seed must be a whole number of at least 0, but is -1.
  [samples] ranges must be a table, but is 3."""
    assert said.partition(":")[2] == expected


def test_mistakes_of_shape_and_of_physics_are_told_together_in_the_order_of_the_file(written):
    said = mistakes(
        written(
            f"{STUDY}[hardware]\nclock = -1\nrows = true\nmacro = 'SwitchedCapacitor'\nsupply = 0\nrow = 3\n"
            "comparator = { gain = 'x', noise = -1, swing = -1 }\n[axes]\nmacro.supply = { to = 1 }\nmacro.rows = 'x'\n"
        )
    )
    assert [" ".join(line.split()[:2]) for line in said.splitlines()[1:]] == [
        "[hardware] rows",
        "[hardware] row",
        "[hardware.comparator] gain",
        "[hardware.comparator] noise:",
        "[hardware.comparator] swing:",
        "[hardware] clock:",
        "[hardware] supply:",
        "[axes] macro.supply",
        "[axes] macro.rows",
    ]


def test_axes_keep_the_order_of_the_file(written):
    text = '[axes]\nmacro.rows = [4, 8]\nhardware = ["one"]\nnetwork = ["tiny.onnx"]\nmacro.columns = [4]\n'
    several = f'[[hardware]]\nname = "one"\n{ARRAY.partition("]")[2]}'
    axes = read_study(written(STUDY.replace('network = "tiny.onnx"', "") + several + text)).axes
    assert [list(one) for one in axes] == [["macro.rows"], ["macro.columns"], ["hardware"], ["network"]]


def test_the_schema_finds_what_the_check_finds(written):
    schema = json_schema()
    for wrong in (
        "[study]\nnetwrk = 1\n",
        STUDY + "[hardware]\nmacro = 'Analog'\n",
        STUDY + "[hardware]\nname = 'x'\n",
        STUDY + "reads = 0\n",
        STUDY + ARRAY + "adc = { bits = 4 }\n",
        STUDY + ARRAY + "[axes]\n'macro.rows' = 3\n",
        STUDY + ARRAY + "[samples]\ncount = 2\n",
    ):
        mistakes(written(wrong))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(wrong), schema)
