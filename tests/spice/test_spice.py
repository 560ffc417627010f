"""Netlists of a die: what ngspice makes of them against closed forms and the macro itself, and every way to fail."""

import dataclasses
import json
import math
import os
import time

import jax
import numpy as np
import pytest
from spice_lines import folded_voltages, needs_ngspice, operands

from amsim import spice
from amsim.circuits import (
    BiasDac,
    Comparator,
    DigitalBinary,
    Drivers,
    Faults,
    Layout,
    Leakage,
    ResetSwitch,
    SwitchedCapacitor,
)
from amsim.spice.sequence import POINT_LIMIT
from amsim.spice.simulator import simulate as run_deck

ROWS, COLUMNS = 12, 2
BASE = {
    "rows": ROWS,
    "columns": COLUMNS,
    "mismatch_coefficient": 0.05 * math.sqrt(1e-15),
    "bias_dac": BiasDac(bits=3),
    "line_parasitic": 6e-15,
    "comparator": Comparator(noise=0.0, offset_sigma=0.0, trim=None),
    "reference_tracking": 0.0,
}
SMALL = SwitchedCapacitor(**BASE)
SLOW_DRIVERS = Drivers(resistance=3e5, spread=0.2)
SETTLED = {
    "mismatch": {},
    "layout": {"layout": Layout(linear_gradient=0.03, correlated_sigma=0.02, edge_error=0.05, dummies=False)},
    "drivers": {"drivers": Drivers(), "bottom_parasitic": 0.5e-15},
    "rail": {"drivers": Drivers(supply_resistance=1e4)},
    "stuck cells": {"faults": Faults(stuck_high=0.2, stuck_low=0.2)},
    "switch charges": {"reset": ResetSwitch(channel_capacitance=0.5e-15, spread=0.2)},
}
UNSETTLED = {
    "drivers": {"drivers": SLOW_DRIVERS, "clock": 2e9},
    "rail": {"drivers": Drivers(resistance=1.0, spread=0.0, supply_resistance=5e4), "clock": 2e9},
    "droop": {"leakage": Leakage(hold_time=2e-7, off_resistance=2e8, current=0.0), "temperature": 310.0},
    "leakage": {"leakage": Leakage(hold_time=2e-7, off_resistance=1e15, current=1e-9, spread=0.5)},
}


def largest_difference(found):
    return float(np.abs(found["line_voltage_spice"] - found["line_voltage"]).max())


# What ngspice finds.


@needs_ngspice
@pytest.mark.parametrize("effect", SETTLED)
def test_settled_lines_and_their_energy_agree(effect):
    macro = dataclasses.replace(SMALL, **SETTLED[effect])
    weights, inputs = operands(len(effect), 3, SMALL)
    codes = [5, -3]  # odd: what the comparator of an even number of rows asks for
    die = macro.fabricate(jax.random.key(3))
    found = spice.run(macro, die, weights, inputs, bias_code=codes)
    assert largest_difference(found) < 1e-9
    np.testing.assert_allclose(found["supply_energy_spice"], found["supply_energy"], rtol=1e-5)
    folded = folded_voltages(macro, die, weights, inputs, codes, found.attrs["reset_level"])
    np.testing.assert_allclose(found["line_voltage_spice"], folded, atol=1e-6)


@needs_ngspice
@pytest.mark.parametrize("effect", UNSETTLED)
def test_lines_on_their_way_agree(effect):
    macro = dataclasses.replace(SMALL, **UNSETTLED[effect])
    # One evaluation: slow drivers would not have returned the bottom plates before the next.
    weights, inputs = operands(1, 1, SMALL)
    codes = [-7, 1]
    die = macro.fabricate(jax.random.key(4))
    found = spice.run(macro, die, weights, inputs, bias_code=codes)
    assert largest_difference(found) < 1e-6
    folded = folded_voltages(macro, die, weights, inputs, codes, found.attrs["reset_level"])
    np.testing.assert_allclose(found["line_voltage_spice"], folded, atol=1e-6)


@needs_ngspice
def test_nominal_line_is_the_explicit_charge_balance_with_every_bias_bit():
    macro = dataclasses.replace(SMALL, rows=8, columns=2)
    weights, inputs = operands(5, 2, macro)
    found = spice.run(macro, None, weights[:6], inputs[:, :6], bias_code=[4, -7], reset_level=0.2)
    # 4 is 3 plus the half LSB; 3 is +1, -2 and +4; rows 6 and 7 stay low.
    bias = np.array([[1, 0, 1, 1], [0, 0, 0, 0]]) @ np.array([1, 2, 4, 0.5])
    high = (inputs[:, :6, None] == weights[None, :6]).sum(1) + bias
    total = 8 + 7.5 + (8 * 0.3 + 6.0)
    np.testing.assert_allclose(found["line_voltage_spice"], 0.2 + 0.6 * high / total, atol=1e-6)
    energy = 0.6**2 * 1e-15 * high * (total - high) / total
    np.testing.assert_allclose(found["supply_energy_spice"], energy, rtol=1e-6)


@needs_ngspice
def test_an_incomplete_reset_carries_from_one_evaluation_to_the_next():
    # A few time constants of reset; the line starts at 0 V and leaks charge away in every hold.
    macro = dataclasses.replace(
        SMALL,
        reset=ResetSwitch(resistance=2e6, spread=0.2),
        leakage=Leakage(hold_time=5e-8, off_resistance=1e15, current=1e-8),
    )
    weights, inputs = operands(7, 3, SMALL)
    die = macro.fabricate(jax.random.key(5))
    kept = spice.run(macro, die, weights, inputs, start_level=0.0)
    assert largest_difference(kept) < 1e-5
    again = spice.run(macro, die, weights, inputs[1:])
    first = (kept["line_voltage_spice"].values[1:] - again["line_voltage_spice"].values)[0]
    assert np.all(np.abs(first) > 1e-4)


@needs_ngspice
def test_returning_bottom_plates_take_the_last_sum_off_the_line_before_a_slow_reset_begins():
    macro = dataclasses.replace(SMALL, reset=ResetSwitch(resistance=1e7))
    assert float(macro.nominal.reset_left) > 0.5
    weights, inputs = operands(8, 2, SMALL)
    found = spice.run(macro, None, weights, inputs)
    alone = spice.run(macro, None, weights, inputs[1:])
    np.testing.assert_allclose(found["line_voltage_spice"][1], alone["line_voltage_spice"][0], atol=1e-5)


@needs_ngspice
def test_result_is_labelled_and_the_deck_is_kept_where_asked_for(tmp_path):
    weights, inputs = operands(9, 2, SMALL)
    path = tmp_path / "Lines-1.cir"
    found = spice.run(SMALL, None, weights, inputs, path=path)
    assert found["line_voltage"].dims == ("evaluation", "column")
    assert all(found[name].attrs["units"] and found[name].attrs["long_name"] for name in found.variables)
    assert found.attrs["simulator"].startswith("ngspice-")
    assert found.attrs["deck"] == str(path)
    assert json.loads(found.attrs["macro"])["type"] == "SwitchedCapacitor"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["Lines-1.cir", "lines-1_lines.txt"]
    again = spice.run(SMALL, None, weights, inputs, path=path)
    np.testing.assert_array_equal(again["line_voltage_spice"], found["line_voltage_spice"])


@needs_ngspice
def test_a_broken_deck_is_reported_with_the_first_error(tmp_path):
    deck = tmp_path / "broken.cir"
    deck.write_text("* broken\nC1 line 0 banana{\n.tran 1 2\n.end\n")
    with pytest.raises(spice.SpiceError, match="banana"):
        simulate(deck)


# The text of a deck.


def test_deck_is_deterministic_and_says_what_each_element_is(tmp_path):
    macro = dataclasses.replace(SMALL, drivers=SLOW_DRIVERS, reset=ResetSwitch(), leakage=Leakage())
    weights, inputs = operands(10, 2, SMALL)
    die = macro.fabricate(jax.random.key(6))
    texts = [spice.write(macro, die, weights, inputs, tmp_path / name).read_text() for name in ("one.cir", "two.cir")]
    assert texts[0] == texts[1].replace("two_lines", "one_lines")
    lines = texts[0].splitlines()
    assert lines[0].startswith("* amsim: 12 rows, 2 columns, 2 evaluations")
    assert "* column 1, row 11" in lines
    assert "* column 0, bias capacitor 3" in lines
    names = [line.split()[0] for line in lines if line[0] not in "*.+" and " " in line]
    elements = [name for name in names if name[0].isupper()]
    assert len(elements) == len(set(elements))
    assert sum(name.startswith("CU") for name in elements) == COLUMNS * (ROWS + 4)
    assert not any(number in texts[0] for number in ("nan", "inf "))


def test_unit_capacitors_carry_the_mismatch_of_the_die(tmp_path):
    weights, inputs = operands(11, 1, SMALL)
    die = SMALL.fabricate(jax.random.key(7))
    text = spice.write(SMALL, die, weights, inputs, tmp_path / "deck.cir").read_text()
    written = {line.split()[0]: float(line.split()[3]) for line in text.splitlines() if line.startswith("CU")}
    for column in range(COLUMNS):
        for row in range(ROWS):
            expected = 1e-15 * (1 + 0.05 * float(die.units[row, column]))
            assert written[f"CU{column}_{row}"] == pytest.approx(expected, rel=1e-6)
        expected = 4e-15 * (1 + 0.05 / 2 * float(die.bias[column, 2]))
        assert written[f"CU{column}_bias2"] == pytest.approx(expected, rel=1e-6)


# Arguments.

WEIGHTS, INPUTS = operands(12, 2, SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"macro": DigitalBinary()}, "`macro` must be a SwitchedCapacitor"),
        ({"die": 3}, "`die` must be a die"),
        ({"die": dataclasses.replace(SMALL, rows=13).fabricate(jax.random.key(0))}, "13 rows"),
        ({"weights": np.ones(12)}, "`weights` must have shape"),
        ({"weights": np.ones((13, 2))}, r"at most \(12, 2\)"),
        ({"weights": np.ones((12, 3))}, r"at most \(12, 2\)"),
        ({"weights": np.zeros((12, 2))}, "`weights` must be -1 or"),
        ({"inputs": np.ones((2, 11))}, r"`inputs` must have shape \(evaluations, 12\)"),
        ({"inputs": np.ones((0, 12))}, "one each at least"),
        ({"inputs": np.full((2, 12), np.nan)}, "`inputs` must be -1 or"),
        ({"bias_code": [8, 0]}, "from -7 to 7"),
        ({"bias_code": [1.5, 0.0]}, "`bias_code` must be integers"),
        ({"bias_code": [1, 2, 3]}, "`bias_code` must be integers"),
        ({"reset_level": math.inf}, "`reset_level` must be a finite number"),
        ({"start_level": "low"}, "`start_level` must be a finite number"),
        ({"path": "missing/deck.cir"}, "existing folder"),
        ({"path": "a b.cir"}, "file name of letters"),
        ({"path": "."}, "is a folder"),
        (
            {
                "macro": dataclasses.replace(SMALL, columns=10),
                "weights": np.ones((12, 10)),
                "inputs": np.ones((2500, 12)),
            },
            "at most 5000000 values to write",
        ),
        ({"macro": dataclasses.replace(SMALL, leakage=Leakage(hold_time=1e-12))}, f"at most {POINT_LIMIT}"),
    ],
)
def test_wrong_arguments_are_refused_by_name(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    given = {"macro": SMALL, "die": None, "weights": WEIGHTS, "inputs": INPUTS, "path": "deck.cir"} | change
    write = getattr(spice.write, "__wrapped__", spice.write)
    with pytest.raises(ValueError, match=message):
        write(**given)
    assert not list(tmp_path.iterdir())


def test_too_many_elements_and_dead_columns_are_refused(tmp_path):
    large = SwitchedCapacitor()
    with pytest.raises(ValueError, match="at most 20000 elements, but 64 columns"):
        spice.write(large, None, np.ones((1024, 64)), np.ones((1, 1024)), tmp_path / "deck.cir")
    dead = dataclasses.replace(SMALL, faults=Faults(dead_column=1.0))
    with pytest.raises(ValueError, match="column 0 is dead"):
        spice.write(dead, dead.fabricate(jax.random.key(0)), WEIGHTS, INPUTS, tmp_path / "deck.cir")
    with pytest.raises(ValueError, match="`timeout` must be above 0"):
        spice.run(SMALL, None, WEIGHTS, INPUTS, timeout=0.0)


# A simulator that fails, in the place of ngspice.


def simulate(deck, stop=1.0, vectors=1, timeout=20.0):
    return run_deck(deck, "out.txt", stop, vectors, timeout)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a shell script in the place of ngspice and gives a deck to run."""

    def install(script):
        program = tmp_path / "bin" / "ngspice"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        deck = tmp_path / "deck.cir"
        deck.write_text("* deck\n")
        return deck

    return install


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo Note: hello; echo 'Error: no such model banana'; exit 1", "status 1: Error: no such model banana"),
        ("exit 3", "status 3: it said nothing"),
        ("kill -9 $$", "status -9"),
        ("echo 'doAnalyses: TRAN: Timestep too small'; exit 0", "wrote no out.txt: doAnalyses: TRAN: Timestep"),
        ("touch out.txt", "wrote no out.txt"),
        (
            "printf 'time v\\n0 1\\n0.5 2\\n' >out.txt; echo 'Timestep too small'",
            "stopped at 0.5 s: Timestep too small",
        ),
        ("printf 'time v\\n0 1\\n1 nan\\n' >out.txt", "finite numbers only"),
        ("printf 'time v\\n0 1\\n1 banana\\n' >out.txt", "numbers only"),
        ("printf 'time v\\n0 1\\n' >out.txt", "2 lines of 2 numbers at least, but has 1 of 2"),
        ("printf 'time v w\\n0 1 2\\n1 2 3\\n' >out.txt", "has 2 of 3"),
    ],
)
def test_a_simulator_that_fails_is_reported(fake, script, message):
    with pytest.raises(spice.SpiceError, match=message):
        simulate(fake(script))


def test_an_older_output_is_never_taken_for_a_new_one(fake):
    deck = fake("exit 0")
    (deck.parent / "out.txt").write_text("time v\n0 1\n1 2\n")
    with pytest.raises(spice.SpiceError, match=r"wrote no out\.txt"):
        simulate(deck)


def test_a_simulator_that_hangs_is_ended_with_all_it_started(fake):
    deck = fake("sleep 60 & echo $! >child; wait")
    begin = time.monotonic()
    with pytest.raises(spice.SpiceError, match=r"must end within 0\.5 s"):
        simulate(deck, timeout=0.5)
    assert time.monotonic() - begin < 10
    child = int((deck.parent / "child").read_text())
    for _ in range(50):
        if not running(child):
            return
        time.sleep(0.1)
    pytest.fail("the simulator's child is still running")


def running(process):
    try:
        os.kill(process, 0)
        # One that has ended but was not collected yet still takes a signal.
        with open(f"/proc/{process}/stat") as status:  # noqa: PTH123
            return status.read().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_missing_simulator_says_what_to_install_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(spice.SpiceError, match="apt install ngspice"):
        spice.run(SMALL, None, WEIGHTS, INPUTS, path=tmp_path / "deck.cir")
    assert not list(tmp_path.iterdir())


@needs_ngspice
def test_slow_drivers_keep_part_of_the_last_evaluation():
    """The charges that drivers have not taken back in reset act on the next evaluation as the array says."""
    branch = 3e-10
    macro = SwitchedCapacitor(
        rows=12,
        columns=2,
        mismatch_coefficient=0.0,
        bias_dac=BiasDac(bits=3),
        drivers=Drivers(resistance=branch / 1e-15, spread=0.0),
        line_parasitic=10e-15,
        clock=2e9,
    )
    inputs, weights = np.ones((2, 12)), np.ones((12, 2))
    inputs[1, :8], weights[:3, 1] = -1, -1
    found = spice.run(macro, None, weights, inputs)["line_voltage_spice"].values - float(macro.supply) / 2
    share = float(macro.supply) / float(macro.total_units) * float(macro.nominal.gain)
    high = (inputs @ weights + 12) / 2
    np.testing.assert_allclose(found[0], share * high[0], atol=2e-5)
    missing = share * high[1] - found[1]
    np.testing.assert_allclose(missing, float(macro.nominal.drive_left) * share * high[0], rtol=0.01)
    assert missing.min() > 5e-3
