"""Every option of every command with wrong values: one message that names it, status 2, and no work begun."""

import re
import sys

import numpy as np
import pytest
import typer
import xarray as xr

from amsim import cascade
from amsim.command_line import application
from amsim.comparison import families, inspection
from amsim.exploration import front_door as explorations
from amsim.studies import front_door
from amsim.training import reference_networks
from amsim.validation import ladder

STUDY = """
[study]
network = "tiny.onnx"
data = "tiny.npz"
[hardware]
macro = "DigitalBinary"
rows = 16
columns = 4
[axes]
macro.rows = [16, 32]
"""

COMMANDS = typer.main.get_command(application.app).commands
LONG = "x" * 300
UNWRITABLE = "/proc/x"
"""A place that the superuser cannot write to either."""

TEXTS = {"empty": "", "nul": "a\0b"}
NUMBERS = {**TEXTS, "text": "many", "nan": "nan", "infinity": "inf", "minus": "-1", "list": "1,2"}
COUNTS = {**NUMBERS, "zero": "0", "half": "1.5", "huge": str(10**31)}
SEEDS = {name: value for name, value in COUNTS.items() if name != "zero"}
WORDS = {**TEXTS, "unknown": "no such", "long": LONG, "markup": "[red]x[/red]"}
FOLDERS = {**TEXTS, "file": "a file", "inside a file": "a file/x", "unwritable": UNWRITABLE, "long": LONG}

PICTURES = {**FOLDERS, "folder": "folder.png", "ending": "x.gif", "unwritable": f"{UNWRITABLE}/x.png"}

WRONG = {
    "compare --designs": WORDS | {"comma": ",", "twice": "digital-binary-1b,digital-binary-1b"},
    "compare --network": WORDS | {"missing": "missing.npz", "folder": "folder.npz", "text": "text.npz"},
    "compare --data": WORDS | {"missing": "missing.npz", "folder": "folder.npz", "text": "text.npz", "here": "other"},
    "compare --metric": WORDS,
    "compare --accuracy": NUMBERS | {"percent": "90"},
    "compare --calibrate": {"value": "yes"},
    "compare --fine-tune": SEEDS,
    "compare --mean": {**TEXTS, "text": "many", "nan": "nan", "words": "1,x"},
    "compare --deviation": {**TEXTS, "text": "many", "nan": "nan", "words": "1,x", "zero": "0", "minus": "1,-1"},
    "compare --full-scale": {**NUMBERS, "zero": "0"},
    "compare --dies": COUNTS,
    "compare --seed": SEEDS,
    "compare --out": FOLDERS | {"taken": "taken"},
    "explore --accuracy": {**NUMBERS, "list": "0.5,x", "percent": "90", "twice": "0.5,0.5"},
    "explore --records": {**TEXTS, "missing": "missing.nc", "folder": "other", "long": LONG, "text": "text.npz"},
    "explore --family": WORDS,
    "explore --set": WORDS | {"unknown setting": "colour=1"},
    "explore --steps": COUNTS,
    "explore --fine-tune": SEEDS,
    "explore --data": WORDS | {"missing": "missing.npz", "text": "text.npz", "here": "other"},
    "explore --max-latency": {**NUMBERS, "zero": "0"},
    "explore --max-area": {**NUMBERS, "zero": "0"},
    "explore --max-power": {**NUMBERS, "zero": "0"},
    "explore --max-weights": {**NUMBERS, "zero": "0"},
    "explore --rate": {**NUMBERS, "zero": "0"},
    "explore --circuits": WORDS | {"comma": ",", "twice": "digital-binary,digital-binary"},
    "explore --copies": {**COUNTS, "list": "1,x", "twice": "2,2"},
    "explore --dies": COUNTS,
    "explore --seed": SEEDS,
    "explore --store": FOLDERS | {"other": "other"},
    "explore --out": FOLDERS | {"taken": "taken"},
    "explore --plot": PICTURES,
    "inspect network": WORDS | {"missing": "missing.npz", "folder": "folder.npz", "text": "text.npz"},
    "inspect --data": WORDS | {"missing": "missing.npz", "here": "other"},
    "inspect --hardware": WORDS,
    "sweep study": {**TEXTS, "missing": "missing.toml", "folder": "folder.npz", "long": LONG, "text": "text.npz"},
    "sweep --out": FOLDERS | {"taken": "taken", "folder": "folder.nc"},
    "sweep --store": FOLDERS | {"other": "other"},
    "sweep --workers": COUNTS,
    "sweep --scheduler": WORDS | {"protocol": "x://y:1", "number": "10**31", "port": "tcp://127.0.0.1:x"},
    "sweep --family": WORDS | {"module": "no_such_module:Macro", "class": "math:pi"},
    "sweep --dies": COUNTS,
    "sweep --images": COUNTS | {"more": "25"},
    "show result": {**TEXTS, "missing": "missing.nc", "folder": "other", "long": LONG, "text": "text.npz"},
    "compare --plot": PICTURES,
    "sweep --plot": PICTURES,
    "validate --plot": PICTURES,
    "show --plot": PICTURES,
    "show --width": WORDS | {"none": "0", "minus": "-3", "wide": "1e9", "nan": "nan"},
    "show --style": {**TEXTS, "missing": "x.mplstyle", "folder": "folder.npz", "long": LONG, "text": "text.npz"},
    "report results": {**TEXTS, "missing": "missing.nc", "folder": "other", "long": LONG, "text": "text.npz"},
    "report --out": {**FOLDERS, "folder": "folder.html", "ending": "x.pdf", "nowhere": f"{UNWRITABLE}/x.html"},
    "report --title": TEXTS,
    "show --quantity": WORDS,
    "show --along": WORDS | {"no number": "die"},
    "train network": WORDS,
    "train --data": WORDS,
    "train --set": WORDS,
    "train --epochs": COUNTS,
    "train --learning-rate": NUMBERS,
    "train --batch": COUNTS | {"more": "4001"},
    "train --seed": SEEDS,
    "train --out": FOLDERS | {"taken": "taken"},
    "cascade system": WORDS | {"missing": "missing.toml", "folder": "wake.toml", "text": "text.npz"},
    "cascade --limit": NUMBERS | {"zero": "0"},
    "cascade --simulate": NUMBERS | {"zero": "0"},
    "cascade --seed": SEEDS,
    "cascade --out": FOLDERS | {"taken": "taken"},
    "cascade --plot": PICTURES,
    "validate --out": FOLDERS | {"taken": "taken"},
}  # fmt: skip
"""Wrong values of each option or argument, each with a short name."""

FLAGS = {"--quiet", "--json", "--schema", "--help", "--always-leaking"}

FIRST_WORK = [
    (families, "find_design"), (inspection, "_dataset"), (front_door, "prepare"),
    (reference_networks, "check_answers"), (ladder, "all_rungs"), (cascade, "evaluate_cascade"),
    (explorations, "Costs"),
]  # fmt: skip
"""What each command does first that takes time."""


class WorkBegan(BaseException):
    """A command that should have refused its options."""


@pytest.fixture
def place(tiny_network, tmp_path, monkeypatch):
    """A folder to work in, with things that are no results; here a command that begins its work fails."""
    (tmp_path / "a file").touch()
    (tmp_path / "text.npz").write_text("no data")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thing").touch()
    for name in ("folder.npz", "folder.nc", "folder.png", "folder.html", "wake.toml"):
        (tmp_path / name).mkdir()
    for name in ("compare.nc", "tiny.nc", "binary-fashion.npz", "validate.nc", "explore.nc", "cascade-face.nc"):
        (tmp_path / "taken" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begin(*arguments, **options):
    raise WorkBegan


@pytest.fixture
def run(place, tiny_network, monkeypatch, capsys, as_a_user_runs_it):
    """Runs a command; gives its status and what it said on standard error."""
    for module, name in FIRST_WORK:
        monkeypatch.setattr(module, name, begin)
    values = {"accuracy": (("macro.rows", "die"), np.ones((2, 2)))}
    whole = xr.Dataset(values, {"macro.rows": [16, 32], "die": [0, 1]}, {"amsim_version": "0.1", "axes": "{}"})
    whole.to_netcdf(place / "whole.nc", engine="h5netcdf")
    valid = {
        "compare": [], "sweep": [str(tiny_network / "tiny.toml")], "show": ["whole.nc"], "report": ["whole.nc"],
        "inspect": ["binary-fashion"], "validate": [], "cascade": ["face"],
        "train": ["binary-fashion", "--data", "fashion-mnist-mini"],
        "explore": ["--accuracy", "0.5", "--family", "images"],
    }  # fmt: skip
    (tiny_network / "tiny.toml").write_text(STUDY)

    def ran(case, value):
        command, name = case.split()
        given = [f"{name}={value}"] if name.startswith("--") else []
        words = valid[command] if given else [value, *valid[command][1:]]
        also = ["--plot", "p.png"] if name in ("--along", "--width", "--style") else []
        monkeypatch.setattr(sys, "argv", ["amsim", command, *words, *also, *given])
        status = application.run()
        return status, capsys.readouterr().err

    return ran


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_are_refused_at_once(case, run, place):
    before, failures = sorted(place.rglob("*")), []
    for label, value in WRONG[case].items():
        try:
            status, said = run(case, value)
        except WorkBegan:
            failures.append((label, "work began"))
            continue
        except Exception as error:
            failures.append((label, f"traceback: {type(error).__name__}: {error}"))
            continue
        if status != 2 or not names(case.split()[1], value, said):
            failures.append((label, status, said))
    assert not failures, "\n".join(map(str, failures))
    assert sorted(place.rglob("*")) == before


def names(name, value, said):
    """Whether one message names an option, or an argument without a name or its value."""
    flat = re.sub(r"[\s│]+", " ", said)
    once = len(re.findall(r"Error: |─ Error ─", said)) == 1
    if name.startswith("--"):
        return once and re.search(rf"[`']{name}[`']", flat) is not None
    return once and (f"`{name}`" in said or value[:12] in said or f"'{name.upper()}'" in said)


def test_every_option_is_tried():
    found = {
        f"{command} {parameter.opts[0]}"
        for command, one in COMMANDS.items()
        for parameter in one.params
        if parameter.opts[0] not in FLAGS
    }
    assert found == set(WRONG)
