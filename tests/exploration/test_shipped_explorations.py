"""Explorations that ship: their front, their costs against those of today, and answers without records."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

import amsim
from amsim.chips.designs import FAMILIES
from amsim.evaluation.accuracy import plain_accuracy
from amsim.exploration import DesignSpace, Limits, shipped_network
from amsim.exploration.dots import Costs
from amsim.exploration.hardware_points import family_points
from amsim.exploration.members import Member, configuration_of
from amsim.exploration.shipped_results import shipped_data, shipped_points, shipped_results
from amsim.exploration.training import accuracy_on_dies
from amsim.progress import nothing

FOLDER = Path(amsim.__file__).parent / "exploration" / "shipped"
LARGEST_WEIGHTS = 3 * 2**20


def refuse(*given):
    raise AssertionError("a cost was computed")


@pytest.fixture
def no_cost(monkeypatch):
    """Nothing may compute a cost: answers come from what ships alone."""
    monkeypatch.setattr("amsim.exploration.hardware_points._points", refuse)


@pytest.fixture(scope="module", params=shipped_data())
def answered(request):
    return amsim.explore(0.0, data=request.param)


def test_no_shipped_point_lies_beyond_the_front(answered):
    energy, accuracy = answered["energy"].sum("component").values, answered["accuracy_mean"].values
    front = np.flatnonzero(answered["on_front"].values)
    assert len(front) > 1
    known = np.flatnonzero(np.isfinite(accuracy) & (answered["allowed_points"].values > 0))
    for one in known:
        beaten = (energy[front] <= energy[one]) & (accuracy[front] >= accuracy[one])
        assert beaten.any()
        better = beaten & ((energy[front] < energy[one]) | (accuracy[front] > accuracy[one]))
        assert (one in front) == (not better.any())


def test_without_records_the_answer_is_from_what_ships(answered, no_cost):
    data = answered.attrs["data"]
    best = float(answered["accuracy_mean"].max())
    found = amsim.explore(best, data=data)
    assert found.sizes["dot"] == answered.sizes["dot"]
    assert (found["best_dot"].values >= 0).any()


def test_limits_are_kept_among_what_ships(answered, no_cost):
    data, areas = answered.attrs["data"], answered["area"].values
    limit = float(np.nanmedian(areas))
    found = amsim.explore(0.0, data=data, limits=amsim.Limits(area=limit))
    assert 0 < int(found["allowed_points"].sum()) < int(answered["allowed_points"].sum())
    assert np.nanmax(found["area"].values) <= limit


def test_an_accuracy_that_no_network_reaches_names_the_best(answered, no_cost):
    best = answered["accuracy_mean"].max()
    with pytest.raises(ValueError, match=f"must be reached by a network, but 1 is not.* is {float(best):.4f}, of "):
        amsim.explore(1.0, data=answered.attrs["data"])


def _of_front(answered):
    """Network of most accuracy on the front: its dot, the function and its parameters."""
    dots = answered.isel(dot=answered["on_front"].values)
    dot = dots.isel(dot=int(np.argmax(dots["accuracy_mean"].values)))
    return dot, *shipped_network(answered.attrs["data"], str(dot["network"].values))


def test_weights_of_the_front_have_the_accuracy_of_their_record(answered):
    dot, network, params = _of_front(answered)
    test = amsim.load_dataset(answered.attrs["data"]).test
    assert plain_accuracy(network, params, test) == pytest.approx(float(dot["plain_accuracy"]), abs=1.5 / len(test))


def _costs(points):
    """Cost by supply and comparators in words and memories."""
    columns = (points.variant, points.memories, points.energy, points.latency, points.area)
    rows = zip(*columns, strict=True)
    return {(points.choices[one], *sizes): [*energy, *rest] for one, sizes, energy, *rest in rows}


def _check_costs(data, configuration, family):
    shipped = _costs(shipped_points(data, DesignSpace(), None)(configuration, family, DesignSpace(), None))
    today = _costs(family_points(configuration, family, DesignSpace(), None))
    assert shipped.keys() == today.keys()
    for one, numbers in today.items():
        np.testing.assert_allclose(shipped[one], numbers, rtol=1e-4, err_msg=str(one))


def test_costs_that_ship_are_those_of_today(answered):
    smallest = answered.isel(dot=int(np.argmin(answered["macs"].values)))
    configuration = configuration_of(str(smallest["configuration"].values))
    _check_costs(answered.attrs["data"], configuration, "digital-binary")


@pytest.mark.slow  # compiles the cost of several networks on every family
def test_every_family_has_the_costs_of_today(answered):
    held = shipped_results(answered.attrs["data"])
    for pair in np.linspace(0, held.sizes["pair"] - 1, 5).astype(int):
        one = held.isel(pair=pair)
        configuration = configuration_of(str(one["pair_configuration"].values))
        _check_costs(answered.attrs["data"], configuration, str(one["pair_family"].values))


@pytest.mark.slow  # deploys networks on dies of every circuit of every family, each a program of its own
def test_dots_of_the_front_are_measured_again(answered):
    data = amsim.load_dataset(answered.attrs["data"])
    dot, network, params = _of_front(answered)
    member = Member(configuration_of(str(dot["configuration"].values)), int(dot["seed"]))
    points_of = shipped_points(answered.attrs["data"], DesignSpace(), None)
    costs = Costs([member], DesignSpace(), Limits(), nothing, points_of)
    own = answered.isel(dot=answered["network"].values == str(dot["network"].values))
    record = {
        (str(family), str(circuit)): (float(mean), int(dies))
        for family, circuit, mean, dies in zip(
            own["circuit_family"].values, own["circuit"].values, own["accuracy_mean"].values, own["dies"].values,
            strict=True,
        )
    }  # fmt: skip
    for family in FAMILIES:
        dots = [one for one in costs.of(member) if one.place.family == family]
        dots = [one for one in dots if np.isfinite(record[family, one.place.circuit][0])][:1]
        for one in dots:
            mean, dies = record[family, one.place.circuit]
            row = accuracy_on_dies(network, params, [one.best.deployed], data, dies, member.seed)[0]
            assert row[0] == pytest.approx(mean, abs=0.01)


def test_wheels_hold_what_ships():
    root = Path(amsim.__file__).parents[1]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    held = {path for pattern in patterns["amsim.exploration"] for path in FOLDER.parent.glob(pattern)}
    assert held == {path for path in FOLDER.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in held if path.suffix == ".npz") < LARGEST_WEIGHTS


def test_weights_ship_for_networks_on_the_front_alone():
    with pytest.raises(ValueError, match=r"`data` must be one of fashion-mnist-mini, spoken-digits"):
        shipped_network("mnist", "dense-1x16-w4a4")
    with pytest.raises(ValueError, match=r"`network` must be one of .*w4a4"):
        shipped_network("spoken-digits", "dense-1x3-w16a16")
