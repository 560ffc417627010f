"""The main job from Python and from the command line, on few images."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import amsim
from amsim import compare, deploy, load_dataset
from amsim.chips.designs import DEFAULT_DESIGNS, design
from amsim.circuits import Exact
from amsim.command_line import main
from amsim.comparison.equal_accuracy import energy_at_accuracy, verdict
from amsim.comparison.procedure import CANDIDATES, _choice, candidates, choice_key, find_design
from amsim.comparison.quantities import LABELS
from amsim.deployment.chip import traced_chip
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.site_roles import site_roles
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


@pytest.mark.slow  # the fixture compares three designs
def test_dimensions_and_units(result):
    assert dict(result.sizes) == {"design": 3, "die": 3, "component": 8, "item": 100}
    assert list(result["component"].values) == list(COMPONENTS)
    assert result["accuracy"].dims == ("design", "die")
    assert result["energy"].dims == ("design", "component")
    for name in [*result.data_vars, *result.coords]:
        assert (result[name].attrs["units"], result[name].attrs["long_name"]) == (QUANTITIES | LABELS)[name]


@pytest.mark.slow  # the fixture compares three designs
def test_digital_families_reach_the_plain_accuracy(result):
    for name in ("digital-binary-1b", "multi-precision-4b"):
        row = result.sel(design=name)
        np.testing.assert_array_equal(row["accuracy"], np.full(3, float(row["plain_accuracy"])))
        # All dies are equal, but the images are few: the interval of a fraction of 100.
        rate = float(row["accuracy_mean"])
        half = 1.98 * np.sqrt(rate * (1 - rate) / 99)
        assert float(row["accuracy_high"]) - rate == pytest.approx(half, rel=0.01)


@pytest.mark.slow  # the fixture compares three designs
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


def made_up(names, energies, items, dies):
    accuracies = np.array(items).mean(axis=1)
    return labelled(
        {
            "energy": (("design", "component"), np.array(energies)[:, None]),
            "accuracy_mean": (("design",), accuracies),
            "accuracy": (("design", "die"), accuracies[:, None] + np.array(dies)),
            "item_accuracy": (("design", "item"), np.array(items, float)),
        },
        {"design": names, "component": ["mac"], "die": [0, 1], "item": np.arange(len(items[0]))},
        {},
        labels=LABELS,
    )


def test_verdict_follows_the_pareto_front_and_the_common_accuracy():
    """200 images; "not surely better" is right on two more than "good", "noisy" on more, but its dies differ widely."""
    names = ["a-1b", "b-1b", "a-2b", "b-2b", "a-4b", "b-4b"]
    right = [(np.arange(200) < count).astype(float) for count in (160, 150, 180, 180, 182, 190)]
    same, apart = [0.0, 0.0], [-0.03, 0.03]
    found = made_up(names, [1e-6, 2e-6, 3e-6, 9e-6, 9.5e-6, 10e-6], right, [same, same, same, same, same, apart])
    assert verdict(found) == (
        "Least energy per inference: up to 80.0 % a-1b (1 uJ), from there to 90.0 % a-2b (3 uJ). "
        "At 91.0 %, which all families reach: a 9.5 uJ (a-4b), b 10 uJ (b-4b). "
        "In accuracy, b-4b, a-1b, b-1b, a-2b, b-2b and a-4b cannot be told apart with 2 dies."
    )
    table = energy_at_accuracy(found)
    np.testing.assert_allclose(table["family_accuracy"], [0.91, 0.95])
    # One family alone has nothing to be equal to.
    assert "all families" not in verdict(found.isel(design=[0, 2]))


def test_every_family_has_as_many_candidates():
    for name in ("switched-capacitor-1b", "switched-capacitor-2b", "digital-binary-2b", "multi-precision-4b"):
        own = design(name).accelerator()
        tried = candidates(own)
        assert len(tried) == len({one.setting for one in tried}) == CANDIDATES
        for one in tried:
            assert f"{float(one.accelerator.macros[-1].operating_supply):g} V" in one.setting
            # All designs share their memories.
            assert one.accelerator.weight_memory is own.weight_memory


def test_the_choice_is_the_cheapest_that_is_as_good():
    generator = np.random.default_rng(0)
    best = generator.random(400) < 0.9
    as_good, worse = best.copy(), best.copy()
    as_good[np.flatnonzero(best)[:2]] = False
    as_good[np.flatnonzero(~best)[:1]] = True
    worse[np.flatnonzero(best)[:40]] = False
    right = np.stack([best, as_good, worse])
    assert _choice(right, np.array([3.0, 2.0, 1.0])) == 1
    assert _choice(right, np.array([1.0, 2.0, 3.0])) == 0


def test_designs_fit_networks_by_the_roles_of_their_layers(few):
    """A network of other names and a branch: the first layers are those that data feed, the last is the classifier."""

    def net(params, images):
        x = jnp.sign(jnp.asarray(images, jnp.float32).reshape(len(images), -1)[:, :64] - 100.5)
        one, other = jnp.sign(x @ jnp.sign(params["eye"])), jnp.sign(x @ jnp.sign(params["ear"]))
        return jnp.sign(one * other) @ jnp.sign(params["voice"])

    sizes = {"eye": (64, 32), "ear": (64, 32), "voice": (32, 10)}
    generator = np.random.default_rng(0)
    params = {name: generator.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    traced = traced_chip(deploy(net, params, Exact()), shapes_of((few.test.inputs[:1],)))
    roles = site_roles(traced.network)
    assert (set(roles.first), roles.last) == ({"eye", "ear"}, ("voice",))
    hardware = design("switched-capacitor-1b").accelerator(first="eye|ear", last="voice")
    table = deploy(net, params, hardware).sites(few.test.inputs[:2])
    assert {row.name: row.readout for row in table} == {"eye": "comparator", "ear": "comparator", "voice": "number"}
    assert {row.name: row.macro for row in table}["voice"] == "DigitalBinary"


def test_accuracies_are_those_of_evaluate(result, few):
    """Image by image, as one program serves the choice and the score, but with the same dies and reads."""
    net, params = amsim.networks.load("binary-fashion")
    found = find_design(design("switched-capacitor-1b"), net, params, few.train, choice_key(0))
    key = jax.random.key(0)
    want = amsim.evaluate(net, params, found.candidate.accelerator, few.test, key=key, dies=2)["accuracy"]
    np.testing.assert_array_equal(result["accuracy"].sel(design="switched-capacitor-1b")[:2], want[:, 0])
    assert str(result["chosen_setting"].sel(design="switched-capacitor-1b").values) == found.candidate.setting


def test_design_names():
    assert all(design(name).name == name for name in DEFAULT_DESIGNS)
    for name in ("switched-capacitor", "switched-capacitor-3b", "optical-1b", "1b"):
        with pytest.raises(ValueError, match="`name` must have names FAMILY-Nb"):
            design(name)


def test_errors(few, as_a_user_runs_it):
    with pytest.raises(ValueError, match="`designs` must name at least one"):
        compare([], data=few)
    with pytest.raises(ValueError, match="`designs` must not name a design twice"):
        compare(["digital-binary-1b"] * 2, data=few)
    with pytest.raises(ValueError, match="`dies` must be an integer of at least 1"):
        compare(dies=0, data=few)
    colour = dataclasses.replace(few.test, inputs=np.zeros((100, 32, 32, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"`data` has items of shape \(32, 32, 3\), which network .* does not take: .*28, 28"
    ):
        compare(["digital-binary-1b"], data=dataclasses.replace(few, test=colour))


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["amsim", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def test_command_writes_its_files(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("amsim.datasets.given_data.load_dataset", lambda name: few_images())
    code, out, err = run(
        monkeypatch,
        capsys,
        "compare",
        "--dies",
        2,
        "--designs",
        "digital-binary-1b,multi-precision-1b",
        "--out",
        tmp_path,
    )
    assert code == 0, err
    assert "multi-precision-1b" in out
    assert "Least energy per inference" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.nc", "compare.png"]
    with xr.open_dataset(tmp_path / "compare.nc", engine="h5netcdf") as written:
        assert dict(written.sizes) == {"design": 2, "die": 2, "component": 8, "item": 100}
        assert written["energy"].attrs["units"] == "J"
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def few_images():
    whole = load_dataset()
    return dataclasses.replace(whole, test=whole.test[:100])


def test_command_prints_json(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("amsim.datasets.given_data.load_dataset", lambda name: few_images())
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


def test_a_full_disk_leaves_nothing_behind_and_costs_no_result(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("amsim.datasets.given_data.load_dataset", lambda name: few_images())

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("xarray.Dataset.dump_to_store", fail)
    code, out, err = run(
        monkeypatch, capsys, "compare", "--dies", 1, "--designs", "digital-binary-1b", "--out", tmp_path
    )
    assert code == 2
    assert "No space left" in err
    assert "digital-binary-1b" in out
    assert "Written" not in out
    assert list(tmp_path.iterdir()) == []
