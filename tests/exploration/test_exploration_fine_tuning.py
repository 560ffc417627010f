"""Networks that an exploration fine-tunes through circuits: which, from what, and to the same dots after a stop."""

import dataclasses
import pickle
from concurrent.futures import Future

import jax
import numpy as np
import pytest
from explored import NETWORKS, SPACE, toy_data

import amsim
from amsim.exploration import TrainingBudget, orders, training
from amsim.networks import load_network

ANALOG = dataclasses.replace(SPACE, families=("switched-capacitor",), weight_memory=(8192.0,))
BUDGET = TrainingBudget(40, rounds=1, fine_tuning=2)


@pytest.fixture
def trainings(monkeypatch):
    """Trainings of a fixed outcome: a network loses most at the lowest supply, and fine-tuning gives most back."""
    done = []

    def train(member, items, data, budget, steps):
        done.append(f"train {member.configuration.bits}")
        return member.network.initial_params(jax.random.key(0)), 0.5

    def tune(member, params, circuit, data, epochs, seed):
        volts = circuit.hardware.macros[-1].operating_supply
        done.append(f"tune {member.configuration.bits} at {float(volts):g} V for {epochs}")
        return jax.tree.map(lambda leaf: leaf + 1, params) | {"tuned": np.zeros(1)}

    def measure(network, params, circuits, data, dies, seed):
        volts = [float(circuit.hardware.macros[-1].operating_supply) for circuit in circuits]
        means = [0.75 if "tuned" in params else 0.5 + 0.3 * (one - 0.5) for one in volts]
        return [(mean, mean - 0.1, mean + 0.1) for mean in means]

    monkeypatch.setattr(orders, "trained_member", train)
    monkeypatch.setattr(orders, "fine_tuned", tune)
    monkeypatch.setattr(orders, "accuracy_on_dies", measure)
    monkeypatch.setattr(orders, "plain_accuracy", lambda *given: 0.8)
    return done


def test_what_may_reach_the_front_is_fine_tuned_and_is_a_dot_of_its_own(trainings):
    found = amsim.explore([0.6, 0.74], NETWORKS[:1], data=toy_data(), space=ANALOG, training=BUDGET)
    # Eight circuits; the cheapest, fine-tuned, reaches all: others have more energy.
    assert trainings == ["train 2", "tune 2 at 0.5 V for 2"]
    epochs, mean = found["fine_tuning_epochs"].values, found["accuracy_mean"].values
    assert (epochs == 0).sum() == (epochs == 2).sum() == 8
    assert (np.isfinite(mean) & (epochs == 2)).sum() == 1
    best = found.isel(dot=int(found["best_dot"][1, 0]))
    assert (int(best["fine_tuning_epochs"]), float(best["accuracy_mean"])) == (2, 0.75)
    assert str(best["network"].values) == "dense-1x4-w2a2 fine-tuned"
    pair = found.isel(dot=found["circuit"].values == str(best["circuit"].values))
    np.testing.assert_array_equal(*pair["energy"].values)
    assert pair["accuracy_mean"].values.tolist() == [0.5, 0.75]
    rest = found["remark"].values[(epochs == 2) & np.isnan(mean)]
    assert {one.partition(", since ")[2] for one in rest} == {"less energy reaches every accuracy that is asked for"}
    assert "fine-tuned" in amsim.exploration.answer(found)
    again = amsim.explore([0.6, 0.74], data=toy_data(), space=ANALOG, records=found)
    known = np.isfinite(mean)
    assert again["accuracy_mean"].values[np.isfinite(again["accuracy_mean"].values)].tolist() == mean[known].tolist()
    assert again.sizes["dot"] == 9


def test_what_reaches_every_accuracy_is_not_fine_tuned(trainings):
    amsim.explore(0.45, NETWORKS[:1], data=toy_data(), space=ANALOG, training=BUDGET)
    assert trainings == ["train 2"]


def test_a_stopped_fine_tuning_ends_with_the_same_dots(trainings, tmp_path):
    arguments = {"data": toy_data(), "space": ANALOG, "training": BUDGET}
    straight = amsim.explore(0.85, NETWORKS, **arguments)
    wanted = list(trainings)
    assert [one for one in wanted if one.startswith("train")] == ["train 2", "train 4"]
    assert len(wanted) > 3

    def stop(phase, done, total):
        if phase.startswith("fine-tuning") and len(trainings) == 3:
            raise KeyboardInterrupt

    trainings.clear()
    with pytest.raises(KeyboardInterrupt):
        amsim.explore(0.85, NETWORKS, **arguments, store=tmp_path / "s", progress=stop)
    trainings.clear()
    resumed = amsim.explore(0.85, NETWORKS, **arguments, store=tmp_path / "s")
    assert resumed.equals(straight)
    # The store keeps no weights: a network is trained again where it is to be fine-tuned.
    assert [one for one in trainings if one.startswith("tune")] == wanted[3:]


def test_a_diverging_fine_tuning_does_not_end_the_search(trainings, monkeypatch):
    def diverge(*given):
        raise FloatingPointError

    monkeypatch.setattr(orders, "fine_tuned", diverge)
    found = amsim.explore(0.7, NETWORKS[:1], data=toy_data(), space=ANALOG, training=BUDGET)
    assert "its fine-tuning diverged" in found["remark"].values


class Threads:
    """Client that computes at once, in this process, and counts what was given to it and what was dropped."""

    def __init__(self):
        self.given, self.dropped = [], 0

    def scheduler_info(self, n_workers=5):
        return {"workers": {}}

    def submit(self, function, *arguments, **options):
        self.given.append(function.__name__)
        arguments = [one.result() if isinstance(one, Future) else one for one in arguments]
        future = Future()
        future.set_result(function(*pickle.loads(pickle.dumps(arguments))))
        return future

    def cancel(self, futures):
        self.dropped += len(futures)


@pytest.mark.parametrize("accuracies", [[0.6, 0.74], [0.85]])
def test_workers_train_to_the_same_dots(trainings, accuracies):
    arguments = {"data": toy_data(), "space": ANALOG, "training": dataclasses.replace(BUDGET, rounds=2)}
    here = amsim.explore(accuracies, NETWORKS, **arguments)
    needed, client = len(trainings), Threads()
    there = amsim.explore(accuracies, NETWORKS, **arguments, client=client)
    assert there.equals(here)
    assert there.attrs == here.attrs
    # Workers begin before it is known that the cheapest suffices.
    assert len(trainings) - needed >= needed
    assert client.dropped == 1 + len(client.given) - 1 - needed


def test_what_is_no_client_is_refused():
    with pytest.raises(ValueError, match=r"`client` must be a dask.distributed.Client, but is 'here'"):
        amsim.explore(0.5, NETWORKS, data=toy_data(), client="here")


@pytest.mark.slow  # fine-tunes through eight circuits
def test_fine_tuned_weights_are_those_of_their_dots(tmp_path):
    """Without stand-ins, on cells that differ so much that all circuits lose."""
    space = dataclasses.replace(ANALOG, settings={"macro.mismatch_coefficient": [1e-8]})
    budget = TrainingBudget(200, rounds=1, batch=32, fine_tuning=40)
    found = amsim.explore(1.0, NETWORKS[:1], data=toy_data(), space=space, training=budget, dies=4, weights=tmp_path)
    test, tuned = toy_data().test, found.isel(dot=found["fine_tuning_epochs"].values == 40)
    measured = tuned.isel(dot=np.isfinite(tuned["accuracy_mean"].values))
    assert measured.sizes["dot"] > 0
    for circuit, plain in zip(measured["circuit"].values, measured["plain_accuracy"].values, strict=True):
        name = training.tuned_name("dense-1x4-w2a2-seed0-100steps-switched-capacitor", str(circuit))
        path = tmp_path / f"{name}.npz"
        network, params = load_network(path)
        right = np.argmax(network(params, test.inputs), axis=1) == test.labels
        assert float(plain) == pytest.approx(float(right.mean()))
    # What fine-tuning is for.
    before = found["accuracy_mean"].values[found["fine_tuning_epochs"].values == 0]
    assert measured["accuracy_mean"].values.mean() > before.mean()
