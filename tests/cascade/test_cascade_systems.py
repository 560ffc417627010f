"""The rebuilt systems, cascades in files and on the command line, and their pictures."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from small_cascades import stated_cascade
from typer.testing import CliRunner

import amsim
from amsim.cascade import face_cascade, highest_event_rate, voice_cascade
from amsim.cascade.stated_numbers import FACE, VOICE
from amsim.command_line.application import app
from amsim.plot import plot_cascade, plot_power_curve
from amsim.report.picture import result_picture
from amsim.report.result_file import open_result
from amsim.report.tables import result_tables
from amsim.results.labelled import labelled
from amsim.studies.cascade_file import read_cascade

MACS = {
    "face": (62.9e6, 1.007e9, 15.3e9),
    "voice": (40e3, 2e6, 70e6),
}
KILOBYTES = {"face": (17.25, 261, 10_774), "voice": (2, 64, 500)}
"""Of the talk; of recognition at a dense 6 bit (15 MB are words of 8)."""


@pytest.fixture(scope="module", params=["face", "voice"])
def system(request):
    return request.param, {"face": face_cascade, "voice": voice_cascade}[request.param]()


@pytest.mark.sampled(1)
def test_stages_have_the_work_and_memory_of_the_talk(system):
    name, cascade = system
    for stage, macs, kilobytes in zip(cascade.stages, MACS[name], KILOBYTES[name], strict=True):
        cost = stage.accelerator.cost(stage.chip.workload)
        assert float(cost["macs"].sum()) == pytest.approx(macs, rel=0.02)
        assert float(cost["stored_bits"].sum()) / 8192 == pytest.approx(kilobytes, rel=0.025)


def test_published_energies_of_the_first_stages():
    result = amsim.evaluate_cascade(face_cascade(), event_rate=0.0)
    first, second = result.inference_energy.values[:2]
    assert first == pytest.approx(0.92e-6, rel=0.1)  # BinarEye (CICC'18): 0.92 and 14.4 uJ per frame
    assert second == pytest.approx(14.4e-6, rel=0.1)
    assert not result.overload.any()


def test_every_stated_number_has_a_source():
    for numbers in (FACE, VOICE):
        for one in numbers.values():
            assert one.kind in ("published", "derived", "recalled", "assumed")
            assert len(one.source) > 10


def test_the_limit_is_met_at_the_highest_rate():
    result = amsim.evaluate_cascade(stated_cascade(other_power={"sensor": 1e-4}), event_rate=[0.0, 100.0])
    quiet, busy = result.average_power.values
    limit = (quiet + busy) / 2
    rate = highest_event_rate(result, float(limit))
    there = amsim.evaluate_cascade(stated_cascade(other_power={"sensor": 1e-4}), event_rate=rate)
    assert float(there.average_power) == pytest.approx(limit, rel=1e-6)
    assert np.isnan(highest_event_rate(result, quiet * 0.99))
    assert highest_event_rate(result, busy * 1.01) == 100.0
    assert highest_event_rate(result, float(limit), others=False) > rate
    with pytest.raises(ValueError, match="`power`"):
        highest_event_rate(result, 0.0)


@pytest.mark.usefixtures("only_drawn")
def test_picture_of_power_against_event_rate():
    cascade = stated_cascade(rate=2e6, other_power={"sensor": 1e-3})
    result = amsim.evaluate_cascade(cascade, event_rate=np.geomspace(1.0, 2e6, 9))
    ax = plot_cascade(result, limit=2e-3)
    assert ax.get_xlabel() == "true events per second (1/s)"
    assert ax.get_ylabel() == "average power"
    labels = ax.get_legend_handles_labels()[1]
    assert labels[:3] == ["all together", "first", "second"]
    assert "second overloaded" in labels
    assert "sensor" in labels
    np.testing.assert_allclose(ax.lines[0].get_ydata(), result.average_power)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), result.power.sel(stage="first").sum("part"))
    assert result_picture(result).axes
    with pytest.raises(ValueError, match="`result` must have at least two event rates above 0"):
        plot_cascade(result.isel(event_rate=[0]))


@pytest.mark.usefixtures("only_drawn")
def test_picture_of_power_against_misses():
    dims = ("arrangement", "event_rate", "miss_limit")
    values = np.arange(1.0, 7.0).reshape(2, 1, 3)
    curve = labelled(
        {"average_power": (dims, 1e-6 * values), "miss_rate": (dims, 0.1 * values / 6), "met": (dims, values < 6)},
        {"arrangement": ["two", "one"], "event_rate": [0.1], "miss_limit": [0.01, 0.02, 0.05]},
        {},
        labels=amsim.cascade.quantities.LABELS,
    )
    ax = plot_power_curve(curve)
    assert ax.get_xlabel() == "true events missed (%)"
    assert ax.get_legend_handles_labels()[1] == ["two", "one", "one, limits not met"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1e-6, 2e-6, 3e-6])
    assert result_picture(curve).axes
    with pytest.raises(ValueError, match=r"`event_rate` must be one of 0\.1, but is 3"):
        plot_power_curve(curve, event_rate=3.0)
    plt.close("all")


SMALL = """
[cascade]
event_rate = { from = 0.01, to = 10.0, count = 4 }
other_power = { "image sensor" = 45.5e-6 }
power_limit = 1e-3
[[stage]]
name = "watch"
hardware = { macro = "DigitalBinary" }
workload = "binary-image-64"
recall = 0.94
false_positive_rate = 0.06
rate = 15.0
[[stage]]
name = "identify"
hardware = { macro = "MultiPrecision", weight_bits = 4, input_bits = 4 }
workload = "lstm-keyword-spotter"
recall = 0.98
false_positive_rate = 0.02
keeps_memory = false
reload_from = "LPDDR4"
"""


ON_DATA = """
[cascade]
data = "fashion-mnist-mini"
items = 30
event_class = 8
seed = 3
[[stage]]
name = "a"
hardware = { macro = "DigitalBinary" }
network = "binary-fashion"
score = 8
rate = 5.0
"""


def test_a_file_on_the_command_line(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    arguments = ["cascade", str(tmp_path / "small.toml"), "--out", str(tmp_path), "--simulate", "20"]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "140"})
    assert shown.exit_code == 0
    for text in ("watch", "identify", "Below 1 mW on average", "closed form", "image sensor"):
        assert text in shown.output
    result = open_result(tmp_path / "small.nc")
    assert result.attrs["cascade_file"] == SMALL
    assert (tmp_path / "small.png").stat().st_size > 1000
    again = CliRunner().invoke(app, ["show", str(tmp_path / "small.nc")], env={"COLUMNS": "140"})
    assert "cascade over a stream" in again.output
    assert "average power by true events per hour" in again.output
    printed = CliRunner().invoke(app, [*arguments[:4], "--json"])
    assert json.loads(printed.output)["variables"]["average_power"]["units"] == "W"


def test_a_cascade_without_other_powers_is_shown_and_reported(tmp_path):
    """Nothing beside the chips draws power in most cascades."""
    result = amsim.evaluate_cascade(stated_cascade(), event_rate=[0.1, 1.0])
    assert "constant" not in [column.header for column in result_tables(result)[1].columns]
    assert amsim.write_report(result, tmp_path / "page.html").stat().st_size > 1000


def test_the_example_of_a_file_runs():
    result = read_cascade(Path(__file__).parents[2] / "docs" / "cascades" / "wake_up.toml").run()
    assert list(result["stage"].values) == ["watch", "identify"]
    assert result.sizes["event_rate"] == 25
    assert np.all(np.diff(result["average_power"]) > 0)


def test_data_and_networks_of_a_file(tmp_path):
    (tmp_path / "data.toml").write_text(ON_DATA)
    file = read_cascade(tmp_path / "data.toml")
    assert file.data is not None
    assert len(file.data) == 30
    labels = amsim.load_dataset("fashion-mnist-mini").test.labels[:30]
    np.testing.assert_array_equal(file.data.labels, labels == 8)
    assert file.cascade.stages[0].score == 8
    assert set(file.stream) == {"key"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("rate = 15.0", ""), "`rate` of the first stage 'watch'"),
        (("recall = 0.94", "recall = 1.5"), r"\[stage#1\].*`recall` must be finite and at least 0 and at most 1"),
        (("recall = 0.94", ""), "`recall` must be given for a `workload`"),
        (("other_power", "other_powr"), "other_powr is unknown. Did you mean 'other_power'"),
        (('"LPDDR4"', '"LPDDR9"'), "reload_from must be one of"),
        (("power_limit = 1e-3", "power_limit = -1.0"), "`power_limit` must be above 0, but is -1"),
        (("power_limit = 1e-3", "dies = 3"), "`dies` is for stages that decide on `data`"),
        (('workload = "binary-image-64"', ""), "either a `network` with weights or a `workload`"),
    ],
)
def test_mistakes_of_a_file_are_named(tmp_path, change, text):
    (tmp_path / "wrong.toml").write_text(SMALL.replace(*change))
    with pytest.raises(ValueError, match=text):
        read_cascade(tmp_path / "wrong.toml")


def test_wrong_commands_end_in_one_line():
    for arguments, text in (
        (["cascade", "faces"], "`system` must be face, voice or a file that ends in .toml, but is 'faces'"),
        (["cascade", "voice", "--simulate", "1e12"], "`--simulate` must be at most 1e.07 s, in which 10000000 items"),
        (["cascade", "a.toml", "--always-leaking"], "`--always-leaking` is for face and voice"),
    ):
        with pytest.raises(ValueError, match=text):
            CliRunner().invoke(app, arguments, catch_exceptions=False)
