"""Explorations against brute force, and their front, words, tables and picture."""

import dataclasses
import io

import numpy as np
import pytest
from explored import KILOBYTE, NETWORKS, SPACE, known_accuracy, records, toy_data
from rich.console import Console
from typer.testing import CliRunner

import amsim
from amsim.chips import with_word_lengths
from amsim.chips.designs import Design
from amsim.command_line.application import app
from amsim.comparison.procedure import at_supply, candidates
from amsim.exploration import answer
from amsim.exploration.members import workload_of
from amsim.report.picture import result_picture
from amsim.report.result_file import write_result
from amsim.report.tables import result_tables

TARGETS = (0.75, 0.84, 0.89)


@pytest.fixture(scope="module")
def explored():
    return amsim.explore(TARGETS, data=toy_data(), records=records(), space=SPACE)


@pytest.fixture(scope="module")
def points():
    """Every design point as a plain loop finds it: bits, family, accuracy, energy, latency and area."""
    found = []
    for network in NETWORKS:
        workload = workload_of(network)
        for family in SPACE.families:
            own = Design(family, network.bits).accelerator(first="hidden1", last="dense")
            for candidate in candidates(with_word_lengths(own, network.word_lengths)):
                for size in SPACE.weight_memory:
                    settings = {"weight_memory.capacity": size, "activation_memory.capacity": KILOBYTE}
                    cost = amsim.with_settings(candidate.accelerator, settings).cost(workload)
                    analog = candidate.setting if family == "switched-capacitor" else ""
                    numbers = [float(cost[name].sum()) for name in ("energy", "latency", "area")]
                    found.append((network.bits, family, known_accuracy(network.bits, analog), *numbers))
    return found


@pytest.mark.parametrize("target", range(len(TARGETS)))
def test_the_answer_is_that_of_brute_force(explored, points, target):
    for family, number in zip(explored["family"].values, explored["best_dot"].values[target], strict=True):
        reaching = [one for one in points if one[1] == family and one[2] >= TARGETS[target]]
        if not reaching:
            assert number == -1
            continue
        best, dot = min(reaching, key=lambda one: one[3]), explored.isel(dot=int(number))
        np.testing.assert_allclose(
            [float(dot["energy"].sum()), float(dot["latency"]), float(dot["area"])], best[3:], rtol=1e-5
        )
        assert int(dot["network_bits"]) == best[0]


def test_the_answer_within_limits_is_that_of_brute_force(points):
    latency, area = np.quantile([one[4] for one in points], 0.4), np.quantile([one[5] for one in points], 0.7)
    limits = amsim.Limits(latency=float(latency), area=float(area))
    found = amsim.explore(0.75, data=toy_data(), records=records(), space=SPACE, limits=limits)
    kept = [one for one in points if one[4] <= latency and one[5] <= area]
    assert 0 < len(kept) < len(points)
    assert int(found["allowed_points"].sum()) == len(kept)
    least = min(one[3] for one in kept if one[2] >= 0.75)
    best = [int(one) for one in found["best_dot"].values[0] if one >= 0]
    assert min(float(found["energy"][one].sum()) for one in best) == pytest.approx(least, rel=1e-5)


def test_no_dot_lies_beyond_the_front(explored):
    energy, accuracy = explored["energy"].sum("component").values, explored["accuracy_mean"].values
    for one in range(explored.sizes["dot"]):
        beaten = (energy <= energy[one]) & (accuracy >= accuracy[one])
        beaten &= (energy < energy[one]) | (accuracy > accuracy[one])
        assert bool(explored["on_front"][one]) == (not beaten.any())


def test_each_dot_says_where_it_is_from(explored):
    assert set(explored["source"].values) == {"given record"}
    again = amsim.explore(TARGETS, data=toy_data(), records=explored, space=SPACE)
    assert again.drop_attrs().equals(explored.drop_attrs())


def test_the_losers_are_explained(explored):
    text = answer(explored)
    first, last = text.partition("At 84 %")[0], text.partition("At 89 %")[2]
    assert first.startswith("At 75 %: ")
    assert "times the energy, above all by more" in first
    assert "switched-capacitor: reaches 88.00 % at most" in last


def test_a_result_has_tables_and_a_picture(explored):
    console = Console(record=True, width=120, file=io.StringIO())
    for table in result_tables(explored):
        console.print(table)
    text = console.export_text()
    assert "energy at 75 %, uJ" in text
    assert text.count("dense-1x4-w4a4") >= 1
    axes = result_picture(explored).axes[0]
    drawn = {tuple(point) for line in axes.lines for point in np.asarray(line.get_xydata()).tolist()}
    energy = explored["energy"].sum("component").values
    for place in zip(energy, 100 * explored["accuracy_mean"].values, strict=True):
        assert any(np.allclose(place, point, rtol=1e-9, atol=0) for point in drawn)
    assert axes.get_xlabel() == "energy per inference (J)"


def test_a_setting_of_the_circuit_is_another_circuit():
    settings = {"macro.columns": [16, 32]}
    space = dataclasses.replace(SPACE, families=("digital-binary",), copies=(2,), settings=settings)
    held = records().isel(dot=[0]).assign(circuit=("dot", ["macro.columns=32"]))
    found = amsim.explore(0.1, NETWORKS[:1], data=toy_data(), records=held, space=space)
    assert found["circuit"].values.tolist() == ["macro.columns=16", "macro.columns=32"]
    assert found["remark"].values.tolist() == ["not trained, and no record of it", ""]
    assert found["points"].values.tolist() == [16, 16]
    own = Design("digital-binary", 2).accelerator(first="hidden1", last="dense")
    own = with_word_lengths(own, NETWORKS[0].word_lengths)
    spreads = tuple(dataclasses.replace(one, count=2) for one in own.spreads)
    for number, columns in enumerate((16, 32)):
        volts = float(str(found["setting"].values[number]).partition(" V")[0])
        wide = dataclasses.replace(at_supply(own, volts), spreads=spreads)
        memories = {"weight_memory.capacity": KILOBYTE, "activation_memory.capacity": KILOBYTE}
        cost = amsim.with_settings(wide, {"macro.columns": columns} | memories).cost(workload_of(NETWORKS[0]))
        dot = found.isel(dot=number)
        for name in ("energy", "latency", "area"):
            assert float(dot[name].sum()) == pytest.approx(float(cost[name].sum()), rel=1e-5)


def test_the_command_prints_and_writes_the_answer(tmp_path, monkeypatch):
    write_result(tmp_path / "records.nc", records("fashion-mnist-mini"))
    monkeypatch.chdir(tmp_path)
    options = ["--accuracy", "0.75", "--records", "records.nc", "--circuits", "digital-binary", "-q"]
    ended = CliRunner().invoke(app, ["explore", *options, "--max-latency", "5e-3"])
    assert ended.exit_code == 0, ended.output
    assert "At 75 %: digital-binary with dense-1x4-w2a2" in ended.output
    assert (tmp_path / "explore.nc").exists()
    assert (tmp_path / "explore.png").exists()
    shown = CliRunner().invoke(app, ["show", "explore.nc"])
    assert "exploration of networks and hardware" in shown.output
    # The data of the record are those that are explored, and errors speak of options.
    write_result(tmp_path / "records.nc", records("spoken-digits"))
    ended = CliRunner().invoke(app, ["explore", *options])
    assert ended.exit_code == 0, ended.output
    ended = CliRunner().invoke(app, ["explore", "--accuracy", "0.75", "-q"])
    assert "Argument `--family` must be given where there are no" in str(ended.exception)
