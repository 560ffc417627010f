"""What an exploration takes from records, measures itself, and says where an accuracy is unknown."""

import dataclasses

import jax
import numpy as np
import pytest
from explored import KILOBYTE, NETWORKS, SPACE, records, toy_data

import amsim
from amsim.exploration import TrainingBudget, orders, training
from amsim.exploration.hardware_points import family_points

DIGITAL = dataclasses.replace(SPACE, families=("digital-binary",), weight_memory=(KILOBYTE,))
COLUMNS = dataclasses.replace(DIGITAL, settings={"macro.columns": [16, 32]})
CONVERTERS = dataclasses.replace(
    DIGITAL, families=("switched-capacitor",), settings={"macro.adc.bits": [6, 8], "macro.banks.number": [16]}
)


@pytest.fixture
def measured(monkeypatch):
    """Trainings and measurements that cost nothing; the circuits of the dots that were measured, in order."""
    asked = []

    def measure(network, params, circuits, data, dies, seed):
        asked.extend(base.words for _, base in circuits)
        return [(0.5, 0.4, 0.6)] * len(circuits)

    monkeypatch.setattr(orders, "trained_member", lambda *given: ({}, 0.5))
    monkeypatch.setattr(orders, "accuracy_on_dies", measure)
    monkeypatch.setattr(orders, "plain_accuracy", lambda *given: 0.5)
    return asked


def test_a_network_is_trained_where_some_of_its_dots_have_no_record(measured):
    held = records().isel(dot=[0]).assign(circuit=("dot", ["macro.columns=32"]), dies=("dot", [5]))
    known = {"data": toy_data(), "records": held, "space": COLUMNS}
    for networks in (NETWORKS[:1], None):
        found = amsim.explore(0.95, networks, **known, training=TrainingBudget(40, rounds=1))
        assert measured == ["macro.columns=16"]
        measured.clear()
        assert found["source"].values.tolist() == ["trained here", "given record"]
        assert found["accuracy_mean"].values.tolist() == [0.5, 0.8]
        assert found["dies"].values.tolist() == [1, 5]


def test_a_diverging_training_does_not_end_the_search(measured, monkeypatch):
    def diverge(member, *given):
        if member.configuration.bits == 2:
            raise FloatingPointError
        return {}, 0.5

    monkeypatch.setattr(orders, "trained_member", diverge)
    found = amsim.explore(0.4, NETWORKS, data=toy_data(), space=DIGITAL, training=TrainingBudget(40))
    assert np.isnan(found["accuracy_mean"].values).tolist() == [True, False]
    assert found["remark"].values[0].startswith("its training diverged")


def test_what_is_unknown_is_told_apart_from_what_is_not_reached():
    known = records().isel(dot=records()["circuit"].values == "")
    found = amsim.explore([0.75, 0.89], data=toy_data(), records=known, space=SPACE)
    energy = found["energy"].sum("component").values
    for row in range(2):
        analog = energy[found["circuit_family"].values == "switched-capacitor"].min()
        digital, why = energy[int(found["best_dot"][row, 0])], str(found["why"].values[row, 1])
        times = f"takes at least {analog / digital:.3g} times the energy where its accuracy is unknown"
        assert why == (times if analog >= digital else "no accuracy is known of it")
    some = known.isel(dot=[0])
    with pytest.raises(ValueError, match=r"0.85 is not, as far as it is known; the best known within the limits is 0"):
        amsim.explore(0.85, NETWORKS, data=toy_data(), records=some, space=DIGITAL)


def test_each_setting_of_converters_is_measured_with_ranges_chosen_for_it(monkeypatch):
    measured = []

    def measure(of_items, network, params, hardware, test, key, dies, *, batch, calibration):
        measured.append((int(hardware.macros[-1].adc.bits), calibration))
        return np.ones((dies, len(test)))

    def choose(network, params, hardware, *given):
        return int(hardware.macros[-1].adc.bits)

    monkeypatch.setattr(orders, "trained_member", lambda *given: ({}, 0.5))
    monkeypatch.setattr(orders, "plain_accuracy", lambda *given: 0.5)
    monkeypatch.setattr(training, "values_on_dies", measure)
    monkeypatch.setattr(training, "chosen_calibration", choose)
    budget = TrainingBudget(40, rounds=1)
    found = amsim.explore(1.0, NETWORKS[1:], data=toy_data(), space=CONVERTERS, training=budget, dies=2)
    assert sorted(measured) == [(6, 6)] * 8 + [(8, 8)] * 8
    assert found["dies"].values.tolist() == [2] * 16


def test_settings_with_which_no_network_deploys_are_refused_before_any_training():
    space = dataclasses.replace(CONVERTERS, settings={"macro.adc": [None]})
    with pytest.raises(ValueError, match=r"one that a family can run, but: .*has a comparator readout only"):
        amsim.explore(0.5, NETWORKS[:1], data=toy_data(), space=space, training=TrainingBudget(40))


def test_energies_are_those_of_deployed_digital_networks_of_one_word_length():
    inputs = toy_data().test.inputs[:4]
    for network in NETWORKS:
        points = family_points(network, "digital-binary", DIGITAL, None)
        chip = amsim.deploy(network, network.initial_params(jax.random.key(1)), points.hardware(0))
        np.testing.assert_allclose(points.energy[0], chip.cost(inputs)["energy"].sum("site"), rtol=1e-5)


def test_records_of_other_items_are_refused():
    known = {"data": toy_data(), "space": DIGITAL}
    digital = records().isel(dot=[0, 9])
    found = amsim.explore(0.5, **known, records=digital)
    assert len(found.attrs["items"]) == 64
    amsim.explore(0.5, **known, records=found)
    for wrong in (found.assign_attrs(items="0" * 64), [found, found.assign_attrs(items="0" * 64)]):
        with pytest.raises(ValueError, match="must have records of the same items, but those of toy in a Dataset"):
            amsim.explore(0.5, **known, records=wrong)
