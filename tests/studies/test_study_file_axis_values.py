"""Values on the axes of study files: a million as fast as a few, wrong ones named at either end of a range."""

import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.studies.axes import blocks
from amsim.studies.plan import groups
from amsim.studies.study_file import axis_values
from amsim.studies.study_file.study import read_study

FILE = """
[study]
network = "tiny.onnx"
data = "tiny.npz"
[hardware]
macro = "SwitchedCapacitor"
rows = 16
columns = 4
"""
NOISE = "macro.comparator.noise"


@pytest.fixture
def written(tiny_network):
    def write(text):
        path = tiny_network / "axis_values.toml"
        path.write_text(FILE + text)
        return path

    return write


def mistakes(path):
    with pytest.raises(ValueError, match="mistake") as refused:
        read_study(path)
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


@pytest.fixture
def tries(monkeypatch):
    """Values that were tried on the hardware."""
    found, change = [], axis_values.with_settings

    def recorded(hardware, values):
        found.extend(values.values())
        return change(hardware, values)

    monkeypatch.setattr(axis_values, "with_settings", recorded)
    return found


@pytest.mark.parametrize(
    "text",
    [
        f"[axes]\n{NOISE} = {{ from = 1e-4, to = 1e-3, count = 100_000 }}\n",
        f"[samples]\ncount = 100_000\nranges = {{ {NOISE} = {{ from = 1e-4, to = 1e-3 }} }}\n",
        f"[points]\n{NOISE} = [{100_000 * '1,'}]\nmacro.rows = [{100_000 * '4,'}]\n",
    ],
    ids=["range", "samples", "points"],
)
def test_a_long_axis_is_checked_by_a_few_values(written, tries, text):
    read_study(written(text))
    assert len(tries) < 10


def test_wrong_values_are_named_at_both_ends(written, tries):
    found = mistakes(
        written(
            "[axes]\nmacro.reference_tracking = { from = -0.5, to = 1.5, count = 100_001 }\n"
            f"{NOISE} = [-2, 3e-3, -1, -1.5, 1e-3]\n"
        )
    )
    tracking = [line for line in found if line.startswith("[axes] macro.reference_tracking: ")]
    assert len(tracking) == axis_values.MOST_NAMED + 1
    assert tracking[0].endswith("but is -0.5.")
    assert tracking[-1] == "[axes] macro.reference_tracking: Further values are not allowed either."
    assert [line.rpartition(" ")[2] for line in found if line.startswith(f"[axes] {NOISE}: ")] == [
        "-2.",
        "-1.5.",
        "-1.",
    ]
    assert len(tries) < 3 * axis_values.MOST_NAMED
    above = mistakes(written("[axes]\nmacro.reference_tracking = [0.5, 1.5, 1.25]\n"))
    assert [line.rpartition(" ")[2] for line in above] == ["1.25.", "1.5."]


def test_values_of_a_setting_that_is_compiled_are_all_tried(written, tries, monkeypatch):
    monkeypatch.setattr(axis_values, "MOST_PROGRAMS", 8)
    (wrong,) = mistakes(written("[axes]\nmacro.rows = [4, 5, 6, 7.5, 8]\n"))
    assert wrong.endswith("but is 7.5.")
    assert 7.5 in tries
    many = written(f"[axes]\nmacro.rows = {{ from = 1, to = 9, count = 9 }}\n{NOISE} = [-1]\n")
    rows, noise = mistakes(many)
    assert rows == (
        "[axes] macro.rows must have at most 8 different values, since a program is compiled for each, but has 9."
    )
    assert noise.startswith(f"[axes] {NOISE}: ")
    read_study(written(f"[points]\nmacro.rows = [{9 * '4,'}]\nmacro.columns = [{9 * '4,'}]\n"))


AXES = {
    "a grid": {NOISE: [1e-3, 2e-3, 3e-3], "macro.rows": [4, 8], "macro.supply": [0.5, 0.7, 0.6]},
    "points": amsim.points({"macro.rows": [4, 8, 4, 8, 4], NOISE: [3e-3, 1e-3, 2e-3, 4e-3, 1e-3]}),
    "a condition": [
        {"macro.supply": [0.5, 0.6, 0.7, 0.8]},
        {"macro.rows": amsim.only_where([4, 8, 12], {"macro.supply": [0.6, 0.7]})},
        {"macro.drivers": {"none": None, "some": circuits.Drivers()}, NOISE: [1e-3, 2e-3, 3e-3]},
    ],
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_combinations_of_ends_are_those_of_the_whole(axes, monkeypatch):
    """What `groups` tries of the whole study: the same settings, the same ends of numbers."""
    hardware, dims, made = amsim.Accelerator.of(circuits.SwitchedCapacitor(rows=16, columns=4)), blocks(axes), []
    monkeypatch.setattr(axis_values, "groups", lambda *arguments, **options: made.extend(groups(*arguments, **options)))
    axis_values._together(dims, {NOISE, "macro.supply"}, hardware)

    def tried(group):
        ends = {path: (np.min(values), np.max(values)) for path, values in group.values.items()}
        return {str(one) for one in group.names.items()}, ends

    whole = groups(dims, hardware, networks=True)
    assert list(map(tried, made)) == list(map(tried, whole))
    assert sum(len(one.places) for one in made) < sum(len(one.places) for one in whole)
