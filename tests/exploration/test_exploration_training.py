"""Networks that an exploration trains: within the budget, where the front is, and to the same dots after a stop."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from explored import NETWORKS, SETTINGS, SPACE, records, toy_data

import amsim
from amsim.exploration import TrainingBudget, network_grid, orders, training
from amsim.exploration.members import Member
from amsim.exploration.training import nearest_to_front, trained_member, whole_steps
from amsim.networks import load_network

DIGITAL = dataclasses.replace(SPACE, families=("digital-binary",), weight_memory=(8192.0,))


@pytest.fixture
def untrained(monkeypatch):
    """Networks that are trained by drawing their weights; the names of those that were, in order, with steps."""
    drawn = []

    def draw(member, items, data, budget, steps):
        drawn.append((member.configuration.bits, steps))
        return member.network.initial_params(jax.random.key(member.seed)), member.configuration.bits / 10

    monkeypatch.setattr(orders, "trained_member", draw)
    return drawn


def test_two_members_train_and_are_recorded(tmp_path):
    budget = TrainingBudget(200, rounds=1, batch=32)
    result = amsim.explore(1.0, NETWORKS, data=toy_data(), space=DIGITAL, training=budget, weights=tmp_path)
    assert result["steps"].values.tolist() == [100, 100]
    assert set(result["source"].values) == {"trained here"}
    network, params = load_network(tmp_path / "dense-1x4-w4a4-seed0-100steps.npz")
    test = toy_data().test
    right = np.argmax(network(params, test.inputs), axis=1) == test.labels
    assert float(result["accuracy_mean"][1]) == pytest.approx(float(right.mean()))
    assert right.mean() > 0.5


def test_a_stopped_search_ends_with_the_same_dots(tmp_path, untrained):
    arguments = {"data": toy_data(), "space": DIGITAL, "training": TrainingBudget(40, rounds=2, reduction=2)}
    straight = amsim.explore(1.0, NETWORKS, **arguments)
    assert untrained == [(2, 10), (4, 10), (4, 20)]

    def stop(phase, done, total):
        if done == 2 and phase.startswith("training"):
            raise KeyboardInterrupt

    untrained.clear()
    with pytest.raises(KeyboardInterrupt):
        amsim.explore(1.0, NETWORKS, **arguments, store=tmp_path / "s", progress=stop)
    assert untrained == [(2, 10), (4, 10)]
    resumed = amsim.explore(1.0, NETWORKS, **arguments, store=tmp_path / "s")
    assert untrained == [(2, 10), (4, 10), (4, 20)]
    assert resumed.equals(straight)
    assert amsim.explore(1.0, NETWORKS, **arguments, store=tmp_path / "s").equals(straight)
    with pytest.raises(ValueError, match=r"holds another one: .*seed is 0 there and 1 here"):
        amsim.explore(1.0, NETWORKS, **arguments, store=tmp_path / "s", seed=1)


def test_numbers_of_numpy_are_kept_and_a_store_names_what_differs(tmp_path, untrained):
    (network,) = network_grid("sequences", {"bits": [np.int64(2)]}, **SETTINGS, width=np.int64(4))
    space = dataclasses.replace(DIGITAL, settings={"macro.columns": [np.int64(16)]})
    arguments = {"space": space, "training": TrainingBudget(1, rounds=1), "store": tmp_path / "s"}
    found = amsim.explore(0.5, [network], data=toy_data(), **arguments)
    assert json.loads(found["configuration"].values[0])["width"] == 4
    assert found["steps"].values.tolist() == [1]
    assert json.loads(found.attrs["space"])["settings"] == {"macro.columns": [16]}
    data = dataclasses.replace(toy_data(), test=toy_data().train)
    with pytest.raises(ValueError, match=r"holds another one: limits is .*; images is .*; items is .* here\. Give"):
        amsim.explore(0.5, [network], data=data, **arguments, limits=amsim.Limits(area=1.0))


def test_a_network_that_cannot_win_is_not_trained(untrained):
    known = records().isel(dot=[0])
    result = amsim.explore(0.7, NETWORKS, data=toy_data(), space=DIGITAL, records=known, training=TrainingBudget(40))
    assert untrained == []
    assert np.isnan(result["accuracy_mean"][1])


def test_fronts_are_taken_off_one_after_the_other():
    energy, accuracy = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.5, 0.4, 0.7, 0.6, 0.3])
    # The front is 0 and 2; below it 1 and 3; 4 comes last.
    kept = [nearest_to_front(energy, accuracy, count).tolist() for count in (1, 2, 3, 4, 5)]
    assert kept == [[2], [0, 2], [0, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3, 4]]


def test_a_budget_is_not_exceeded():
    plan = TrainingBudget(1000, rounds=3, reduction=3).plan(10)
    assert [count for count, _ in plan] == [10, 4, 2]
    assert sum(count * steps for count, steps in plan) <= 1000
    with pytest.raises(ValueError, match="at least 30 steps for 10 networks in 3 rounds, but has 29"):
        TrainingBudget(29, rounds=3).plan(10)


@pytest.mark.parametrize(("steps", "taken"), [(1, 1), (3, 3), (4, 4), (7, 4), (9, 8)])
def test_trainings_take_the_steps_that_are_recorded(steps, taken, monkeypatch):
    asked = []

    def train(network, parts, *, epochs, batch, learning_rate, seed):
        asked.append((epochs * (len(parts.train) // batch), len(parts.train), np.unique(parts.train.labels)))
        return SimpleNamespace(params={}, record={"test_accuracy": 0.5})

    monkeypatch.setattr(training, "train", train)
    data, budget = toy_data(), TrainingBudget(100, batch=32)
    own = data.train[np.argsort(data.train.labels, kind="stable")][:130]
    trained_member(Member(NETWORKS[0], 0), (own, data.test), data, budget, steps)
    ((found, items, classes),) = asked
    assert found == taken == whole_steps(steps, len(own), budget) <= steps
    assert items == (32 * steps if steps < 4 else 130)
    # Items in the order of their classes: the first 32 are all of one.
    assert len(classes) == 3


def test_items_of_another_shape_are_refused():
    networks = network_grid("sequences", {"bits": [2]}, topology="dense")
    with pytest.raises(ValueError, match=r"must take the items of toy, of shape \(4, 3\) in 3 classes"):
        amsim.explore(0.5, networks, data=toy_data(), training=TrainingBudget(100))
