"""The main job from Python and from the command line, on few images."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from amsim import compare, load_dataset
from amsim.command_line import main
from amsim.comparison.designs import DEFAULT_DESIGNS, design
from amsim.comparison.families import verdict
from amsim.comparison.quantities import LABELS
from amsim.results.labelled import labelled
from amsim.results.quantities import QUANTITIES
from amsim.system.hardware import COMPONENTS


@pytest.fixture(scope="module")
def few():
    whole = load_dataset()
    return dataclasses.replace(whole, test=whole.test[:100])


@pytest.fixture(scope="module")
def result(few):
    return compare(["switched-capacitor-1b", "digital-binary-1b", "multi-precision-4b"], data=few, dies=3)


def test_dimensions_and_units(result):
    assert dict(result.sizes) == {"design": 3, "die": 3, "component": 8}
    assert list(result["component"].values) == list(COMPONENTS)
    assert result["accuracy"].dims == ("design", "die")
    assert result["energy"].dims == ("design", "component")
    for name in [*result.data_vars, *result.coords]:
        assert (result[name].attrs["units"], result[name].attrs["long_name"]) == (QUANTITIES | LABELS)[name]


def test_digital_families_reach_the_plain_accuracy(result):
    for name in ("digital-binary-1b", "multi-precision-4b"):
        row = result.sel(design=name)
        np.testing.assert_array_equal(row["accuracy"], np.full(3, float(row["plain_accuracy"])))
        assert float(row["accuracy_low"]) == float(row["accuracy_high"]) == float(row["accuracy_mean"])


def test_analog_dies_differ_and_cost_less(result):
    analog, digital = result.sel(design="switched-capacitor-1b"), result.sel(design="digital-binary-1b")
    assert len(np.unique(analog["accuracy"])) > 1
    assert abs(float(analog["accuracy_mean"] - digital["accuracy_mean"])) < 0.05
    assert float(analog["energy"].sel(component="mac")) < float(digital["energy"].sel(component="mac")) / 4
    assert float(analog["area"]) > float(digital["area"])
    # Same network, same memories; the analog chip's classifier keeps its weights in a unit of its own.
    for component in ("activation_memory", "global_memory", "dram"):
        assert float(analog["energy"].sel(component=component)) == float(digital["energy"].sel(component=component))
    weights = [float(one["energy"].sel(component="weight_memory")) for one in (analog, digital)]
    assert 0.9 * weights[1] < weights[0] < weights[1]
    assert int(analog["macs"]) == int(digital["macs"])


def test_a_die_is_the_same_whatever_else_is_compared(result, few):
    alone = compare(["switched-capacitor-1b"], data=few, dies=2)
    np.testing.assert_array_equal(alone["accuracy"][0], result["accuracy"].sel(design="switched-capacitor-1b")[:2])


@pytest.mark.slow  # three programs of another network; the fixture has the three families too
def test_one_network_on_every_family(few):
    result = compare(network="2-bit-fashion", data=few, dies=1)
    assert list(result["design"].values) == ["switched-capacitor-2b", "digital-binary-2b", "multi-precision-2b"]
    exact = result["accuracy_mean"].sel(design=["digital-binary-2b", "multi-precision-2b"])
    np.testing.assert_array_equal(exact, result["plain_accuracy"][1:])


def test_verdict_follows_the_pareto_front():
    names = ["cheap", "dominated", "good", "wasteful", "not surely better"]
    comparison = labelled(
        {
            "energy": (("design", "component"), np.array([[1e-6], [2e-6], [3e-6], [9e-6], [9.5e-6]])),
            "accuracy_mean": (("design",), np.array([0.8, 0.75, 0.9, 0.9, 0.91])),
            "accuracy_low": (("design",), np.array([0.79, np.nan, 0.88, 0.9, 0.9])),
            "accuracy_high": (("design",), np.array([0.81, np.nan, 0.92, 0.9, 0.92])),
        },
        {"design": names, "component": ["mac"]},
        {},
    )
    assert verdict(comparison) == (
        "Least energy per inference: up to 80.0 % cheap (1 uJ), from there to 90.0 % good (3 uJ)."
    )


def test_design_names():
    assert all(design(name).name == name for name in DEFAULT_DESIGNS)
    for name in ("switched-capacitor", "switched-capacitor-3b", "optical-1b", "1b"):
        with pytest.raises(ValueError, match="`name` must have names FAMILY-Nb"):
            design(name)


def test_errors(few):
    with pytest.raises(ValueError, match="`designs` must name at least one"):
        compare([], data=few)
    with pytest.raises(ValueError, match="`designs` must not name a design twice"):
        compare(["digital-binary-1b"] * 2, data=few)
    with pytest.raises(ValueError, match="`dies` must be an integer of at least 1"):
        compare(dies=0, data=few)
    colour = dataclasses.replace(few.test, inputs=np.zeros((100, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="`data` must have images of 28 x 28"):
        compare(["digital-binary-1b"], data=dataclasses.replace(few, test=colour))


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["amsim", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def test_command_writes_its_files(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("amsim.comparison.families.load_dataset", lambda name: few_images())
    code, out, err = run(
        monkeypatch,
        capsys,
        "compare",
        "--dies",
        2,
        "--designs",
        "switched-capacitor-1b,digital-binary-1b",
        "--out",
        tmp_path,
    )
    assert code == 0, err
    assert "switched-capacitor-1b" in out
    assert "Least energy per inference" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.nc", "compare.png"]
    with xr.open_dataset(tmp_path / "compare.nc", engine="h5netcdf") as written:
        assert dict(written.sizes) == {"design": 2, "die": 2, "component": 8}
        assert written["energy"].attrs["units"] == "J"
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def few_images():
    whole = load_dataset()
    return dataclasses.replace(whole, test=whole.test[:100])


def test_command_prints_json(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("amsim.comparison.families.load_dataset", lambda name: few_images())
    code, out, _ = run(
        monkeypatch, capsys, "compare", "--dies", 1, "--designs", "switched-capacitor-1b", "--json", "--out", tmp_path
    )
    assert code == 0
    printed = json.loads(out)
    assert printed["variables"]["design"]["values"] == ["switched-capacitor-1b"]
    # One die tells nothing of the spread.
    assert printed["variables"]["accuracy_low"]["values"] == [None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--designs", "analog"], "`--designs` must have names FAMILY-Nb"),
        (["--data", "imagenet"], "`--data` must be one of"),
        (["--data", "cifar-10"], "CIFAR-10|cifar-10"),
        (["--network", "resnet"], "`--network` must be one of"),
        (["--network", "missing.npz"], "does not exist"),
        (["--dies", "0"], "`--dies` must be an integer of at least 1"),
        (["--seed", "-1"], "`--seed` must be an integer from 0"),
        (["--dies", "many"], "Invalid value"),
        (["--unknown"], "No such option"),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(monkeypatch, capsys, tmp_path, arguments, message):
    import re

    code, out, err = run(monkeypatch, capsys, "compare", *arguments, "--out", tmp_path)
    assert code == 2
    assert re.search(message, err), err
    assert "Traceback" not in err + out
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, err = run(monkeypatch, capsys, "compare", "--out", tmp_path / "file")
    assert code == 2
    assert "`--out` must be a folder that can be written" in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_left_behind_when_writing_fails(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("amsim.comparison.families.load_dataset", lambda name: few_images())

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("xarray.Dataset.dump_to_store", fail)
    code, _, err = run(monkeypatch, capsys, "compare", "--dies", 1, "--designs", "digital-binary-1b", "--out", tmp_path)
    assert code == 2
    assert "No space left" in err
    assert list(tmp_path.iterdir()) == []
