"""The main job on a network and data of one's own, from Python and from the command line."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
import xarray as xr
from own_network import CLASSES, ITEMS, SIDE, items, network, onnx_file, parameters

import amsim
from amsim import chips, circuits, networks, statistics
from amsim.command_line import main
from amsim.comparison import GivenDesign, find_design, least_energy
from amsim.comparison.given_designs import default_designs, given_designs
from amsim.comparison.network_facts import network_facts
from amsim.comparison.procedure import choice_key
from amsim.datasets.given_data import given_dataset
from amsim.evaluation.scoring import roc_pseudo_values
from amsim.statistics.crossed_interval import bounded_interval, crossed_interval

DIGITAL = {"eight": circuits.DigitalBinary(weight_bits=8, input_bits=8, rows=64, columns=8)}
EXACT = {"exact": circuits.Exact()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`my.onnx` and `my.npz`."""
    found = tmp_path_factory.mktemp("own")
    onnx_file(found / "my.onnx")
    images, labels = items()
    np.savez(found / "my.npz", inputs=images, labels=labels)
    return found


@pytest.fixture(scope="module")
def result(folder):
    return amsim.compare(DIGITAL, network=folder / "my.onnx", data=folder / "my.npz", dies=2)


def test_accuracy_without_circuits_is_that_of_another_runtime(result, folder):
    runtime = pytest.importorskip("onnxruntime")
    test = given_dataset("data", folder / "my.npz").test
    session = runtime.InferenceSession(folder / "my.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": test.inputs[:, None].astype(np.float32) / 255})
    assert len(test) == ITEMS // 2 == result.sizes["item"]
    assert float(result["plain_accuracy"][0]) == np.mean(logits.argmax(axis=1) == test.labels)
    assert result.attrs["network"] == "my.onnx"
    assert result.attrs["data"] == "my.npz"


def test_a_function_is_compared_as_its_file(result):
    """Words are chosen on the same items; so all numbers are the same."""
    again = amsim.compare(DIGITAL, network=(network, parameters()), data=items(), dies=2)
    for name in ("accuracy", "item_accuracy", "plain_accuracy", "energy", "macs"):
        np.testing.assert_allclose(again[name], result[name], rtol=1e-5)
    # Two convolutions without padding, and 24 rows of the dense layer, counted by hand.
    assert int(result["macs"][0]) == 8 * 8 * 4 * 9 + 3 * 3 * 6 * 36 + 24 * CLASSES
    np.testing.assert_array_equal(result["accuracy"], np.full((1, 2), float(result["accuracy"][0, 0])))


def test_words_are_chosen_from_training_items_where_the_network_leaves_them_open():
    train = given_dataset("data", items()).train
    one = GivenDesign("eight", DIGITAL["eight"])
    arguments = (one, network, parameters(), train, choice_key(0))
    chosen = find_design(*arguments)
    assert chosen.candidate.setting == "as given"
    assert set(chosen.calibration.sites) == {"stem", "body", "head"}
    assert find_design(*arguments, calibrate=False).calibration is None


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_words_that_a_network_fixes(name):
    """The reference networks fix theirs, so that nothing is calibrated on digital designs."""
    net, params = networks.load(name)
    facts = network_facts(net, params, np.zeros((1, 28, 28), np.uint8))
    assert facts.bits == net.bits
    assert {one.bits for one in default_designs(facts)} == {net.bits}


def test_words_that_a_network_leaves_open():
    facts = network_facts(network, parameters(), items()[0])
    assert facts.bits is None
    assert facts.roles.first == ("stem",)
    assert facts.roles.last == ("head",)
    assert [one.name for one in default_designs(facts)] == [
        f"{family}-{bits}b" for bits in (4, 8) for family in ("switched-capacitor", "digital-binary", "multi-precision")
    ]


def test_designs_of_ones_own():
    accelerator = amsim.Accelerator(circuits.DigitalBinary())
    mapping = {
        "mine": circuits.DigitalBinary(),
        "whole": accelerator,
        "chip": chips.bankman2018,
        "digital-binary-4b": "digital-binary-4b",
    }
    found = given_designs("designs", mapping)
    assert [one.name for one in found] == list(mapping)
    assert found[1].accelerator() is accelerator
    # A published chip treats sites by their role.
    assert found[2].accelerator(first="stem", last="head").patterns == ("head", ".*")
    assert given_designs("designs", ["bankman2018"])[0].accelerator(last="head").patterns == ("head", ".*")
    for wrong in ({"a": 3}, {"": circuits.Exact()}, {}, {"a": "optical-1b"}):
        with pytest.raises(ValueError, match="`designs`"):
            given_designs("designs", wrong)


# --- Metrics --------------------------------------------------------------------------------------------------------


def linear(params, inputs):
    return inputs @ params


def test_errors_of_numbers_are_those_of_numpy():
    draws = np.random.default_rng(2)
    inputs, weights = draws.normal(size=(40, 5)).astype(np.float32), draws.normal(size=(5, 2)).astype(np.float32)
    targets = (inputs @ weights + draws.normal(size=(40, 2)) * 0.1).astype(np.float32)
    halves = tuple(amsim.Split(inputs[part], targets[part]) for part in (slice(20), slice(20, 40)))
    apart = (inputs @ weights - targets)[20:].astype(float)
    wanted = {
        "mean-squared-error": np.mean(apart**2),
        "relative-error": np.mean(np.linalg.norm(apart, axis=1))
        / np.sqrt(np.mean(np.sum(targets[20:] ** 2.0, axis=1))),
    }
    for metric, value in wanted.items():
        found = amsim.compare(EXACT, network=(linear, weights), data=halves, dies=1, metric=metric)
        name = metric.replace("-", "_")
        assert float(found[f"{name}_mean"][0]) == pytest.approx(value, rel=1e-4)
        assert float(found["plain_value"][0]) == pytest.approx(value, rel=1e-4)
        assert float(found[f"{name}_low"][0]) <= value <= float(found[f"{name}_high"][0])
        assert "down to" in amsim.verdict(found)


def test_roc_area_and_its_spread():
    draws = np.random.default_rng(3)
    labels = (np.arange(30) % 3 == 0).astype(np.int32)
    scores = np.round(draws.normal(size=(2, 30)) + labels, 1)
    found = roc_pseudo_values(scores, labels)
    for row, values in zip(scores, found, strict=True):
        assert values.mean() == pytest.approx(statistics.roc_area(row, labels))
        # DeLong's variance by a loop over all pairs.
        pairs = np.array([[(p > n) + 0.5 * (p == n) for n in row[labels == 0]] for p in row[labels == 1]])
        both = pairs.mean(axis=1), pairs.mean(axis=0)
        variance = sum(np.var(one) / len(one) for one in both)
        assert np.var(values) / len(values) == pytest.approx(variance)
    assert np.isnan(roc_pseudo_values(np.full((1, 30), np.nan), labels)).all()


def test_a_detector_is_compared_by_its_roc_area():
    draws = np.random.default_rng(4)
    inputs, weights = draws.normal(size=(60, 4)).astype(np.float32), draws.normal(size=(4, 1)).astype(np.float32)
    labels = (inputs @ weights)[:, 0] + draws.normal(size=60) > 0
    found = amsim.compare(EXACT, network=(linear, weights), data=(inputs, labels), dies=2, metric="auc")
    test = given_dataset("data", (inputs, labels)).test
    area = statistics.roc_area((test.inputs @ weights)[:, 0], test.labels)
    np.testing.assert_allclose(found["auc"], np.full((1, 2), area))
    assert "area under the ROC curve" in amsim.verdict(found)
    with pytest.raises(ValueError, match="`fine_tune` must be 0 with the metric auc"):
        amsim.compare(EXACT, network=(linear, weights), data=(inputs, labels), metric="auc", fine_tune=1)


def test_fine_tuning_trains_through_the_hardware():
    """From weights that are off, words of two bits included."""
    draws = np.random.default_rng(5)
    inputs, weights = draws.normal(size=(400, 8)).astype(np.float32), draws.normal(size=(8, 3)).astype(np.float32)
    labels = np.argmax(inputs @ weights, axis=1)
    off = weights + draws.normal(size=(8, 3)).astype(np.float32)
    hardware = {"two": circuits.DigitalBinary(weight_bits=2, input_bits=8, rows=8, columns=4)}
    options = {"network": (linear, off), "data": (inputs, labels), "dies": 1}
    before, after = (amsim.compare(hardware, **options, fine_tune=epochs) for epochs in (0, 60))
    assert float(before["plain_accuracy"][0]) == float(after["plain_accuracy"][0]) < 0.85
    assert float(after["accuracy_mean"][0]) > float(before["accuracy_mean"][0]) + 0.04
    assert after.attrs["fine_tuning_epochs"] == 60


def test_intervals_lie_between_0_and_1():
    rare = np.ones((4, 50))
    rare[:, 0] = 0
    assert crossed_interval(rare).high > 1
    found = bounded_interval(rare)
    assert 0 < found.low < found.mean < found.high == 1.0
    # All right: the exact bound of 50 of 50, (1/40)**(1/50).
    full = bounded_interval(np.ones((4, 50)))
    assert full.low == pytest.approx(0.025 ** (1 / 50))
    assert full.high == 1.0
    assert bounded_interval(np.zeros((4, 50))).low == 0.0
    assert bounded_interval(np.array([[0.1, 9.0], [0.1, 9.5]]), high=None).low == 0.0


# --- Verdict --------------------------------------------------------------------------------------------------------


def test_verdict_says_what_reaches_a_limit_and_what_cannot_be_told_apart(result):
    limited = result.assign_attrs(accuracy_limit=0.5)
    assert "Least energy at an accuracy of at least 50.00 %: eight (" in amsim.verdict(limited)
    assert least_energy(result, 0.5) == "eight"
    with pytest.raises(ValueError, match=r"No design reaches an accuracy of at least 99.90 %; the best is eight \("):
        least_energy(result, 0.999)
    two = xr.concat([result, result.assign_coords(design=["other"])], "design").assign_attrs(result.attrs)
    assert "In accuracy, eight and other cannot be told apart with 2 dies." in amsim.verdict(two)
    assert "told apart" not in amsim.verdict(result)


# --- Command line ---------------------------------------------------------------------------------------------------


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["amsim", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def test_the_designers_command(monkeypatch, capsys, folder, tmp_path):
    code, out, err = run(
        monkeypatch, capsys, "compare", "--network", folder / "my.onnx", "--data", folder / "my.npz",
        "--designs", "multi-precision-8b", "--dies", 2, "--out", tmp_path, "--accuracy", 0.5,
    )  # fmt: skip
    assert code == 0, err
    flat = " ".join(out.split())
    assert "my.onnx on my.npz, 30 test items, 2 dies; without circuits" in flat
    assert "multi-precision-8b" in out
    assert "Least energy at an accuracy of at least 50.00 %" in flat
    assert "share of the energy" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.nc", "compare.png"]
    code, out, err = run(
        monkeypatch, capsys, "compare", "--network", folder / "my.onnx", "--data", folder / "my.npz",
        "--designs", "multi-precision-8b", "--dies", 1, "--out", tmp_path, "--accuracy", 1.0,
    )  # fmt: skip
    assert code == 2
    assert "`--accuracy` is not reached: No design reaches an accuracy of at least 100.00 %; the best is" in err
    assert "multi-precision-8b" in out


@pytest.mark.slow  # six designs of a network that is new to the compiler
def test_all_default_designs(folder):
    found = amsim.compare(network=folder / "my.onnx", data=folder / "my.npz", dies=4)
    assert found.sizes["design"] == 6
    assert "left_out" not in found.attrs
    exact = found["accuracy_mean"].sel(design="multi-precision-8b")
    assert float(exact) == pytest.approx(float(found["plain_accuracy"][0]), abs=0.07)


def write(path, **arrays):
    np.savez(path, **arrays)
    return path


IMAGES, LABELS = items()
WRONG_DATA = {
    "text labels": ({"labels": np.array(["cat", "dog"] * (ITEMS // 2))}, "is text such as 'cat'"),
    "floats": ({"labels": LABELS.astype(float)}, "labels.astype\\(int\\)"),
    "one-hot": ({"labels": np.eye(CLASSES, dtype=int)[LABELS]}, "one-hot labels become numbers of classes"),
    "column": ({"labels": LABELS[:, None]}, "labels\\[:, 0\\]"),
    "beyond": ({"labels": LABELS + 1}, "has 3, and `fn` gives 3 logits"),
    "other shape": ({"inputs": IMAGES[:, :4]}, "has items of shape \\(4, 10\\), which network my.onnx does not take"),
    "too few": ({"labels": LABELS[:-1]}, "one entry for each of the 60"),
    "no labels": ({"labels": None}, "must hold `labels` and `inputs`"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_wrong_data_end_in_one_line(monkeypatch, capsys, folder, tmp_path, case):
    changed, message = WRONG_DATA[case]
    arrays = {name: one for name, one in ({"inputs": IMAGES, "labels": LABELS} | changed).items() if one is not None}
    data = write(tmp_path / "x.npz", **arrays)
    code, _, err = run(
        monkeypatch, capsys, "compare", "--network", folder / "my.onnx", "--data", data, "--out", tmp_path
    )
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    assert "`--data`" in err
    assert re.search(message, err), err
    assert [one.name for one in tmp_path.iterdir()] == ["x.npz"]


def test_wrong_networks_end_in_one_line(monkeypatch, capsys, folder, tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no network")
    (tmp_path / "net.pt").write_bytes(b"no network")
    wrong = {
        tmp_path / "no.onnx": "no.onnx cannot be used: ONNX file is damaged",
        tmp_path / "net.pt": "or a file that ends in .npz or .onnx",
        tmp_path / "missing.onnx": "does not exist",
        folder / "my.npz": "cannot be used",
    }
    for path, message in wrong.items():
        code, _, err = run(
            monkeypatch, capsys, "compare", "--network", path, "--data", folder / "my.npz", "--out", tmp_path
        )
        assert code == 2
        assert len(err.strip().splitlines()) == 1, err
        assert "`--network`" in err
        assert message in err, err


def test_a_missing_extra_is_named_with_its_command(monkeypatch, capsys, folder, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    code, _, err = run(
        monkeypatch, capsys, "compare", "--network", folder / "my.onnx", "--data", folder / "my.npz", "--out", tmp_path
    )
    assert code == 2
    assert "pip install 'amsim[onnx]'" in err
    assert len(err.strip().splitlines()) == 1


def test_networks_that_cannot_be_compared(as_a_user_runs_it):
    net = networks.NETWORKS["2-bit-fashion"]
    data = items()
    with pytest.raises(ValueError, match="`network` must have parameters, but is a network without weights"):
        amsim.compare(EXACT, network=net, data=data)
    with pytest.raises(ValueError, match=r"`network` cannot be put on hardware: .* has no product of a parameter"):
        amsim.compare(
            EXACT, network=(lambda params, x: x.reshape(len(x), -1)[:, :3] * 1.0, {}), data=(data[0] / 255, data[1])
        )
    with pytest.raises(ValueError, match="Design bankman: Site `stem` cannot be a decision"):
        amsim.compare({"bankman": chips.bankman2018}, network=(network, parameters()), data=data)
    with pytest.raises(ValueError, match="`network` must be given with exact"):
        amsim.compare(EXACT, data=dataclasses.replace(amsim.load_dataset()), dies=1)


# --- Inspection -----------------------------------------------------------------------------------------------------


def test_inspection_counts_by_hand(folder):
    found = amsim.inspect(folder / "my.onnx", hardware="switched-capacitor-4b")
    assert list(found["site"].values) == ["stem", "body", "head"]
    np.testing.assert_array_equal(found["rows"], [9, 36, 24])
    np.testing.assert_array_equal(found["columns"], [4, 6, CLASSES])
    np.testing.assert_array_equal(found["positions"], [64, 9, 1])
    np.testing.assert_array_equal(found["macs"], found["rows"] * found["columns"] * found["positions"])
    np.testing.assert_array_equal(found["weights"], [36, 216, 72])
    assert str(found["input_shape"][0].values) == f"1 x 1 x {SIDE} x {SIDE}"
    # The first layer is digital; lines of the array are switched in banks of 64 rows.
    assert list(found["macro"].values) == ["DigitalBinary", "SwitchedCapacitor", "SwitchedCapacitor"]
    np.testing.assert_allclose(found["rows_in_use"][1:], [36 / 64, 24 / 64])
    assert found.attrs["word_length"] == 0
    assert found.attrs["parameters"] == sum(one.size for one in parameters().values())


def test_inspection_says_what_stays_digital():
    def attention(params, x):
        scores = (x @ params) @ jax.numpy.swapaxes(x, 1, 2)
        return (scores @ x).sum(axis=1)

    x = np.ones((4, 3, 5), np.float32)
    found = amsim.inspect((attention, np.ones((5, 5), np.float32)), data=(x, np.zeros(4, int)))
    assert found.attrs["other_products"] == ["2 x product of two values that depend on data: stays digital"]
    with pytest.raises(ValueError, match="`data` must be given with network attention"):
        amsim.inspect((attention, np.ones((5, 5), np.float32)))


def test_inspect_command(monkeypatch, capsys, folder):
    code, out, err = run(monkeypatch, capsys, "inspect", folder / "my.onnx", "--macro", "digital-binary-4b")
    assert code == 0, err
    assert "2304" in out
    assert "left open by the network" in out
    assert "rows in use" in out
    code, out, _ = run(monkeypatch, capsys, "inspect", "binary-fashion", "--json")
    assert json.loads(out)["attributes"]["word_length"] == 1
    code, _, err = run(monkeypatch, capsys, "inspect", folder / "my.onnx", "--hardware", "optical")
    assert code == 2
    assert "`--hardware`" in err
