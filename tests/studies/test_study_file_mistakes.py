"""Mistakes of a study file: all of them in one message, each with its place and what is allowed."""

import tomllib

import jsonschema
import pytest
from study_texts import ARRAY, NOISE, STUDY

from amsim.datasets.load import DATASETS
from amsim.studies.study_file import study as study_file
from amsim.studies.study_file.layout import json_schema
from amsim.studies.study_file.study import read_study


def mistakes(path):
    with pytest.raises(ValueError, match="mistake") as refused:
        read_study(path)
    return str(refused.value)


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
