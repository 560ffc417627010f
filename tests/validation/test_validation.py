"""The ladder of trust: its declarations, how hits and misses are told apart, and the command."""

import io
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from scipy import constants, stats

import amsim
from amsim.command_line import main
from amsim.validation import KINDS, LEVELS, Rung, all_rungs
from amsim.validation.ladder import LABELS
from amsim.validation.tables import level_tables, misses, summary

WHOLE = all_rungs()
CASES = json.loads((Path(__file__).parents[1] / "spice" / "data" / "spice_cases.json").read_text())["cases"]


def rung(name="made up", value=2.0, **fields):
    """A rung whose model gives this value; with the reference 2 and a tenth it is met."""
    plain = {"level": "closed form", "unit": "V", "reference": 2.0, "tolerance": 0.1, "kind": "derived"}
    return Rung(name=name, model=lambda: value, **(plain | {"source": "by hand"} | fields))


FEW = (
    rung("hit"),
    rung("miss", 3.0, kind="predicted", note="A factor of 1.5 was put in."),
    rung("nothing", 0.0, unit="1", reference=0.0, tolerance=0.0, absolute=True, level="digital exactness"),
    rung("off", 2.6, kind="calibrated on this number", level="published chip"),
    rung("far", 9.0, kind="predicted", level="published chip", held_out=True, unit="TOPS/W"),
    rung("near", 2.1, kind="predicted", level="published chip", held_out=True, unit="J"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The whole ladder, as the command writes it."""
    folder = tmp_path_factory.mktemp("ladder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["amsim", "validate", "--out", str(folder)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    with xr.open_dataset(folder / "validate.nc", engine="h5netcdf") as written:
        return written.load()


def printed(tables, width=80):
    console = Console(width=width, file=io.StringIO())
    for table in tables:
        console.print(table)
    return console.file.getvalue()


# The ladder itself.


FACTS = (Path(__file__).parents[2] / "docs" / "facts.md").read_text()


@pytest.mark.parametrize("one", WHOLE, ids=[one.name for one in WHOLE])
def test_declaration_is_complete(one):
    assert one.level in LEVELS
    assert one.kind in KINDS
    assert one.unit.strip() == one.unit != ""
    assert one.source.strip() == one.source != ""
    assert callable(one.model)
    # A published or calibrated figure may be missed; what is derived or exact may hardly differ.
    assert one.absolute or one.tolerance <= (1.0 if one.kind == "predicted" else 0.1)
    # "facts 5.1" must be a section of the facts that come with the package.
    for section in re.findall(r"facts ([\w.]+)", one.source):
        assert re.search(rf"(^## {section[0]} )|(\*\*{section}\*\*)", FACTS, re.MULTILINE), section


def test_names_are_unique_and_levels_rise():
    assert len({one.name for one in WHOLE}) == len(WHOLE)
    places = [LEVELS.index(one.level) for one in WHOLE]
    assert places == sorted(places)
    assert set(LEVELS[:4]) <= {one.level for one in WHOLE}


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("kT/C noise of 1 fF", math.sqrt(constants.k * 300 / 1e-15)),
        ("kT/C noise of 1535 fF", math.sqrt(constants.k * 300 / 1535e-15)),
        ("least energy, 8-bit sample", 12 * constants.k * 300 * 4**8),
        ("line step of one cell", 0.6 / 1535),
        ("mismatch of 1024 cells, in cells", 32 * 0.0085),
        ("charge-redistribution energy", 1024e-15 * 0.36 / 4),
        ("XNOR and popcount, a MAC, 0.9 V", (1.05e-15 + 2036 / 1024 * 4.2e-15) * 0.81),
        ("full adder at 28 nm, 0.9 V", 4.2e-15 * 0.81),
        ("column conversion, 8 bit, 0.9 V", (100e-15 * 8 + 1e-18 * 4**8) * 0.81),
        ("65nm at 1 V over 45nm at 0.9 V", (3.755 - 4.398 + 1.975) / (1.018 * 0.81 - 0.3107 * 0.9 + 0.1539)),
        ("effective bits, 0.5 LSB of noise", 8 - math.log2(1 + 12 * 0.25) / 2),
        ("DNL, MSB half a unit too large", 1.5 / (62.5 / 62) - 1),
        ("right decisions one sigma away", stats.norm.cdf(1)),
    ],
)
def test_references_worked_out_again(name, reference):
    """Against typing errors: the figure of the ladder is the formula's, to the digits that it has."""
    one = next(one for one in WHOLE if one.name == name)
    assert one.reference == pytest.approx(reference, rel=0.01, abs=0)


def test_circuit_simulator_figures_are_the_recorded_ones():
    recorded = {case["id"]: case for case in CASES}
    rungs = [one for one in WHOLE if "case P-" in one.source]
    assert len(rungs) >= 5
    for one in rungs:
        case = recorded[one.source.split("case ")[1]]
        if case["group"] == "sar":
            middle = case["expected"]["transition_levels_V"][7]
            half = case["ngspice"]["bracket_half_width_lsb"] * case["expected"]["lsb_fit_V"]
            assert case["ngspice"]["transitions_bracketed"] == case["ngspice"]["transitions_checked"]
            assert one.reference == pytest.approx((middle - half, middle + half), abs=1e-7)
        else:
            found = [number for value in case["ngspice"].values() for number in np.atleast_1d(value)]
            assert one.reference in found, one.name


# Running it.


def check_dataset(report):
    names = ["reference", "reference_low", "reference_high", "ratio", "tolerance", "absolute", "within", "unit"]
    assert set(report.data_vars) == {"model", *names, "level", "kind", "held_out", "source", "note"}
    assert list(report.dims) == ["rung"]
    for name in [*report.data_vars, *report.coords]:
        assert report[name].dims == ("rung",)
        assert (report[name].attrs["units"], report[name].attrs["long_name"]) == LABELS[name]
    assert report["within"].dtype == report["held_out"].dtype == bool
    assert report["model"].dtype == np.float64
    finite = report.isel(rung=report["reference"].values != 0)
    np.testing.assert_allclose(finite["ratio"], finite["model"] / finite["reference"])
    assert np.all(np.isnan(report["ratio"].values[report["reference"].values == 0]))


def check_lower_rungs_are_met(report):
    lower = report.isel(rung=np.isin(report["level"].values, LEVELS[:4]))
    assert list(lower["rung"].values[~lower["within"].values]) == []
    exact = report.isel(rung=report["level"].values == "digital exactness")
    np.testing.assert_array_equal(exact["model"], 0)


def check_every_miss_has_its_reason(report):
    assert all(report["note"].values[~report["within"].values])


def check_live_rungs_are_there_or_said_to_be_absent(report):
    live = {one.name for one in WHOLE if one.source == "ngspice as installed"}
    assert live
    if shutil.which("ngspice"):
        assert live <= set(report["rung"].values)
        assert report.attrs["absent"] == ""
    else:
        assert not live & set(report["rung"].values)
        assert all(name in report.attrs["absent"] for name in live)


def test_without_a_circuit_simulator(monkeypatch):
    monkeypatch.setenv("PATH", "")
    live = [one for one in WHOLE if one.source == "ngspice as installed"]
    found = amsim.validate([*live, rung()])
    assert list(found["rung"].values) == ["made up"]
    assert "live array: worst line: The program `ngspice` must be installed" in found.attrs["absent"]


def test_a_wrong_reference_shows_as_a_miss():
    found = amsim.validate(FEW)
    assert list(found["within"].values) == [True, False, True, False, False, True]
    np.testing.assert_allclose(found["ratio"], [1, 1.5, np.nan, 1.3, 4.5, 1.05])
    assert summary(found) == (
        "3 of 6 rungs within tolerance; 2 predicted missed: miss, far; 1 calibrated missed: off; "
        "of 3 predicted 1 within; of 2 held out 1 within."
    )
    assert misses(found) == [
        "miss (predicted): 3 V for 2 V. A factor of 1.5 was put in.",
        "off (calibrated on this number): 2.6 V for 2 V. No reason is known.",
        "far (predicted, held out): 9 TOPS/W for 2 TOPS/W. No reason is known.",
    ]
    tables = level_tables(found)
    assert [str(table.title) for table in tables] == [
        "closed form: 1 of 2 within tolerance",
        "digital exactness: 1 of 1 within tolerance",
        "published chip: 1 of 3 within tolerance",
    ]
    assert printed(tables).count("MISS") == 3
    assert summary(amsim.validate(FEW[:1])) == "1 of 1 rungs within tolerance."


@pytest.mark.parametrize("name", [one.name for one in WHOLE if one.level == "closed form"][::6])
def test_a_rung_of_the_ladder_can_be_missed(name):
    """The same model against twice its reference."""
    one = next(one for one in WHOLE if one.name == name)
    assert one.within(float(one.model()))
    assert not one.within(2 * float(one.model()))
    assert not one.within(0.5 * float(one.model()))


@pytest.mark.parametrize(
    ("fields", "value", "within", "ratio"),
    [
        ({}, 2.2 - 1e-9, True, 1.1),
        ({}, 1.8 - 1e-6, False, 0.9),
        ({"absolute": True}, 2.15, False, 1.075),
        ({"absolute": True}, 2.09, True, 1.045),
        ({"reference": (2.0, 4.0), "tolerance": 0.0}, 2.9, True, 1.45),
        ({"reference": (2.0, 4.0), "tolerance": 0.0}, 3.1, True, 0.775),
        ({"reference": (2.0, 4.0), "tolerance": 0.0}, 4.1, False, 1.025),
        ({"reference": (2.0, 4.0)}, 4.1, True, 1.025),
        ({"reference": (2.0, 4.0)}, 1.7, False, 0.85),
        ({"reference": -2.0}, -2.1, True, 1.05),
        ({"reference": -2.0}, -2.3, False, 1.15),
        ({}, math.nan, False, math.nan),
        ({}, math.inf, False, math.inf),
    ],
)
def test_within_and_ratio(fields, value, within, ratio):
    found = amsim.validate([rung(value=value, **fields)])
    assert found["within"].item() is within
    np.testing.assert_allclose(found["ratio"].item(), ratio, rtol=1e-6)


def test_a_range_shows_both_ends():
    found = amsim.validate([rung(value=3.3e-13, unit="J", reference=(1e-13, 3e-13), tolerance=0.0)])
    assert (found["reference_low"].item(), found["reference_high"].item()) == (1e-13, 3e-13)
    assert found["reference"].item() == 3e-13
    assert misses(found)[0].startswith("made up (derived): 330 fJ for 100 fJ .. 300 fJ.")


def test_progress_is_told():
    told = []
    amsim.validate(FEW, progress=lambda *step: told.append(step))
    assert told[0] == ("closed form", 0, 6)
    assert told[-1] == ("done", 6, 6)
    assert [done for _, done, _ in told] == list(range(7))


def test_wrong_declarations(as_a_user_runs_it):
    for fields, words in (
        ({"name": " "}, "`name` of a rung must not be empty"),
        ({"source": ""}, "`source` of a rung must not be empty, but is for 'made up'"),
        ({"unit": ""}, "`unit` of a rung must not be empty"),
        ({"level": "closed forms"}, "`level` must be one of .*but is 'closed forms'. Did you mean 'closed form'"),
        ({"kind": "guessed"}, "`kind` must be one of .*but is 'guessed'"),
        ({"reference": math.nan}, "`reference` of 'made up' must be finite"),
        ({"reference": (2.0, 1.0)}, r"a range must rise, but is \(2.0, 1.0\)"),
        ({"tolerance": -0.1}, "`tolerance` of 'made up' must be finite and at least 0, but is -0.1"),
        ({"tolerance": math.inf}, "`tolerance` of 'made up' must be finite"),
        ({"reference": 0.0}, "`absolute` of 'made up' must be True"),
        ({"reference": (-1.0, 1.0)}, "`absolute` of 'made up' must be True"),
    ):
        with pytest.raises(ValueError, match=words):
            rung(**fields)


def test_wrong_ladders():
    with pytest.raises(ValueError, match="`rungs` must have at least one rung and each name once, but is empty"):
        amsim.validate([])
    with pytest.raises(ValueError, match="but names made up twice"):
        amsim.validate([rung(), rung("other"), rung()])


# The command.


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("amsim.validation.ladder.all_rungs", lambda: FEW)
    monkeypatch.setattr("sys.argv", ["amsim", "validate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def check_tables_of_the_whole_ladder_fit_80_columns(report):
    text = printed(level_tables(report), width=200)
    assert max(map(len, text.splitlines())) <= 80
    for name in report["rung"].values:
        assert str(name).split()[0] in text
    # Nothing is cut off.
    assert "…" not in printed(level_tables(report))


@pytest.mark.slow  # every rung of the ladder: minutes, for one process
def test_the_whole_ladder(report):
    check_dataset(report)
    check_lower_rungs_are_met(report)
    check_every_miss_has_its_reason(report)
    check_live_rungs_are_there_or_said_to_be_absent(report)
    check_tables_of_the_whole_ladder_fit_80_columns(report)


def test_command_prints_tables_and_misses(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(monkeypatch, capsys)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    flat = " ".join(out.split())
    assert "closed form: 1 of 2 within tolerance" in flat
    assert flat.count("MISS") == 3
    assert "Misses: - miss (predicted): 3 V for 2 V. A factor of 1.5 was put in." in flat
    assert "3 of 6 rungs within tolerance; 2 predicted missed: miss, far;" in flat
    assert list(tmp_path.iterdir()) == []


def test_command_prints_json(monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "--json")
    assert code == 0
    variables = json.loads(out)["variables"]
    assert variables["rung"]["values"] == [one.name for one in FEW]
    assert variables["within"]["values"] == [True, False, True, False, False, True]
    # The ratio to 0 has no number.
    assert variables["ratio"]["values"][2] is None
    assert variables["source"]["values"][0] == "by hand"


def test_command_writes_its_file(monkeypatch, capsys, tmp_path):
    code, out, _ = run(monkeypatch, capsys, "--out", tmp_path / "new")
    assert code == 0
    assert "validate.nc" in out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["validate.nc"]
    with xr.open_dataset(tmp_path / "new" / "validate.nc", engine="h5netcdf") as written:
        assert list(written["rung"].values) == [one.name for one in FEW]
        np.testing.assert_array_equal(written["within"], [True, False, True, False, False, True])
        assert written["within"].dtype == bool
        assert written["unit"].values[4] == "TOPS/W"
        assert written.attrs["absent"] == ""


def test_nothing_is_written_where_it_cannot(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("amsim.validation.ladder.validate", lambda **_: pytest.fail("worked before it looked"))
    code, out, err = run(monkeypatch, capsys, "--out", tmp_path / "file")
    assert code == 2
    assert "`--out` must be a folder that can be written" in err
    assert "Traceback" not in out + err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_left_behind_when_writing_fails(monkeypatch, capsys, tmp_path):
    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("xarray.Dataset.dump_to_store", fail)
    code, _, err = run(monkeypatch, capsys, "--out", tmp_path)
    assert code == 2
    assert "No space left" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "message"), [(["--unknown"], "No such option"), (["chips"], "unexpected extra")])
def test_mistakes_end_with_status_2(monkeypatch, capsys, arguments, message):
    code, _, err = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert message in err


def test_command_says_what_is_left_out(monkeypatch, capsys):
    live = next(one for one in WHOLE if one.source == "ngspice as installed")
    monkeypatch.setattr("amsim.validation.ladder.all_rungs", lambda: (live, *FEW))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", ["amsim", "validate"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "Left out: - live array: worst line: The program `ngspice` must be" in " ".join(
        capsys.readouterr().out.split()
    )
