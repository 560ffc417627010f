"""Several input bits in one conversion against ngspice: levels of row DACs on a line, and lines added up in charge.

`tests/spice/data/joined_digits_cases.json` holds circuits and what ngspice found for them; with ngspice the decks run
again. `python tests/spice/test_joined_digits_spice.py` writes the file anew. No formula of the package is in a deck.
"""

import json
import math
import subprocess
import tempfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spice_lines import needs_ngspice

from amsim.circuits import (
    Adc,
    BiasDac,
    ChargeLine,
    DenseProduct,
    IntegerCode,
    Operands,
    RowDac,
    SerialAccumulation,
    SwitchedCapacitor,
    ValueRange,
)

CASE_FILE = Path(__file__).parent / "data" / "joined_digits_cases.json"
OPTIONS = ".options method=gear abstol=1e-15 vntol=1e-9 gmin=1e-18 pivtol=1e-24"
EDGE = 1e-12
PERIOD, EVALUATE, SHARE, SHARED, FALL = 10e-9, 3.5e-9, 6e-9, 9e-9, 9.5e-9
SUPPLY, RESET = 0.6, 0.3


def circuits():
    """Inputs of all cases; numbers drawn once per case."""
    found = []
    for seed, bits in enumerate((1, 2, 3, 5)):
        generator = np.random.default_rng(seed)
        found.append(
            {
                "name": f"row_dac_{bits}_bits",
                "kind": "row_dac",
                "bits": bits,
                "mismatch": 0.1,
                "draws": generator.standard_normal((8, bits)).tolist(),
                "codes": generator.integers(0, 2**bits, 8).tolist(),
                "weights": generator.choice([-1, 1], 8).tolist(),
                "c_unit_F": (1e-15 * (1 + 0.05 * generator.standard_normal(8))).tolist(),
                "r_drive_ohm": generator.uniform(2e5, 8e5, 8).tolist(),
                "c_par_F": 3e-15,
                "t_F": 0.3e-9,
            }
        )
    for seed, (digits, spread, ratio, off) in enumerate(((2, 0, 1, None), (4, 0, 1, None), (4, 0.05, 0.7, 2e6)), 10):
        generator = np.random.default_rng(seed)
        found.append(
            {
                "name": f"serial_{digits}_digits_{seed}",
                "kind": "serial",
                "codes": generator.integers(0, 2**digits, 6).tolist(),
                "digits": digits,
                "weights": generator.choice([-1, 1], 6).tolist(),
                "c_unit_F": (1e-15 * (1 + spread * generator.standard_normal(6))).tolist(),
                "c_par_F": 3e-15,
                "c_acc_F": ratio * 9e-15,
                "r_off_ohm": off,
            }
        )
    return found


def wave(name, node, levels):
    """Source of (start, level) steps."""
    points = ["0 0"]
    last = 0.0
    for start, level in levels:
        points += [f"{start:.6g} {last:.9g}", f"{start + EDGE:.9g} {level:.9g}"]
        last = level
    return f"V{name} {node} 0 PWL({' '.join(points)})"


def simulated(text, stop, vectors, step):
    """Columns of ngspice: time, then the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(folder) / "deck.cir"
        lines = ["* deck", *text, OPTIONS, f".tran {step:g} {stop:g} 0 {step:g} uic", ".control", "set numdgt=15"]
        lines += ["set wr_singlescale", "run", f"wrdata out.txt {' '.join(vectors)}", "quit 0", ".endc", ".end"]
        deck.write_text("\n".join(lines) + "\n")
        subprocess.run(["ngspice", "-n", "-b", deck.name], cwd=folder, check=True, capture_output=True, timeout=120)
        return np.loadtxt(Path(folder) / "out.txt")


def levels_of(case):
    """Level of each bottom plate over the supply, element by element."""
    found = []
    for draws, code, weight in zip(case["draws"], case["codes"], case["weights"], strict=True):
        elements = [2**bit * (1 + case["mismatch"] * draw / math.sqrt(2**bit)) for bit, draw in enumerate(draws)]
        level = sum(size for bit, size in enumerate(elements) if code >> bit & 1) / sum(elements)
        found.append(level if weight > 0 else 1 - level)
    return found


def by_row_dacs(case):
    levels = [SUPPLY * level for level in levels_of(case)]
    deck, vectors = [f"CP line 0 {case['c_par_F']:g}", f".ic v(line)={RESET}"], ["v(line)"]
    for number, (level, unit, drive) in enumerate(zip(levels, case["c_unit_F"], case["r_drive_ohm"], strict=True)):
        deck += [wave(f"L{number}", f"l{number}", [(1e-9, level)]), f"FQ{number} q{number} 0 VL{number} 1"]
        deck += [f"CQ{number} q{number} 0 1p", f"R{number} l{number} b{number} {drive:.15g}"]
        deck += [f"C{number} b{number} line {unit:.15g}", f".ic v(q{number})=0 v(b{number})=0"]
        vectors.append(f"v(q{number})")
    found = simulated(deck, 30e-9, vectors, 1e-12)
    time = 1e-9 + EDGE / 2 + case["t_F"]
    return {
        "v_settled_V": float(found[-1, 1]),
        "v_line_V": float(np.interp(time, found[:, 0], found[:, 1])),
        "e_levels_J": float(np.dot(levels, found[-1, 2:]) * 1e-12),
    }


def by_sharings(case):
    count, stop = case["digits"], case["digits"] * PERIOD
    deck = [f"VCM vcm 0 {RESET}", f"VDD vdd 0 {SUPPLY}", "FQ q 0 VDD 1", "CQ q 0 1p", f"CP line 0 {case['c_par_F']:g}"]
    deck += [f"CA acc 0 {case['c_acc_F']:.15g}", f".ic v(line)={RESET} v(acc)={RESET} v(q)=0 v(vdd)={SUPPLY}"]
    deck += [".model on sw(vt=0.5 vh=0.1 ron=1000 roff=1e18)", "SR line vcm rst 0 on", "SS line acc shr 0 on"]
    starts = [number * PERIOD for number in range(count)]
    deck.append(wave("RST", "rst", [point for start in starts for point in ((start + 0.1e-9, 1), (start + 3e-9, 0))]))
    deck.append(wave("SHR", "shr", [point for start in starts for point in ((start + SHARE, 1), (start + SHARED, 0))]))
    if case["r_off_ohm"] is not None:
        holding = [((start + SHARED, 1), (start + PERIOD + SHARE, 0)) for start in starts[:-1]]
        deck.append(wave("HLD", "hld", [point for pair in holding for point in pair]))
        deck += [f"RK acc leak {case['r_off_ohm'] - 1000:.15g}", "SK leak vcm hld 0 on"]
    for number, (code, weight, unit) in enumerate(zip(case["codes"], case["weights"], case["c_unit_F"], strict=True)):
        high = [(code >> digit & 1) == (weight > 0) for digit in range(count)]
        points = [(start + EVALUATE, 1) if up else (start + FALL, 0) for start, up in zip(starts, high, strict=True)]
        falls = [(start + FALL, 0) for start, up in zip(starts, high, strict=True) if up]
        deck.append(wave(f"U{number}", f"u{number}", sorted(set(points + falls))))
        deck += [f"EN{number} n{number} 0 VOL='1-v(u{number})'", f"SH{number} b{number} vdd u{number} 0 on"]
        deck += [f"SL{number} b{number} 0 n{number} 0 on", f"C{number} b{number} line {unit:.15g}"]
        deck.append(f".ic v(b{number})=0")
    found = simulated(deck, stop, ["v(acc)", "v(q)"], 2e-12)
    ends = [start + SHARED for start in starts]
    return {
        "v_acc_V": np.interp(ends, found[:, 0], found[:, 1]).tolist(),
        "q_vdd_C": float(np.interp(stop - 0.1e-9, found[:, 0], found[:, 2]) * 1e-12),
    }


SIMULATIONS = {"row_dac": by_row_dacs, "serial": by_sharings}


def cases():
    return json.loads(CASE_FILE.read_text())["cases"] if CASE_FILE.exists() else []


CASES = cases()
ROW_DAC, SERIAL = ([case for case in CASES if case["given"]["kind"] == kind] for kind in SIMULATIONS)


def named(case):
    return case["given"]["name"]


@needs_ngspice
@pytest.mark.parametrize("case", CASES, ids=named)
def test_ngspice_finds_what_the_file_says(case):
    found = SIMULATIONS[case["given"]["kind"]](case["given"])
    for name, expected in case["expected"].items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-21, err_msg=name)


@pytest.mark.parametrize("case", ROW_DAC, ids=named)
def test_lines_of_row_dacs(case):
    given, expected = case["given"], case["expected"]
    with jax.enable_x64(True):
        dac = RowDac(bits=given["bits"], mismatch=given["mismatch"])
        level = dac.levels(np.asarray(given["codes"], float), np.asarray(given["draws"]))
        levels = jnp.where(jnp.asarray(given["weights"]) > 0, level, 1 - level)
        line = ChargeLine(given["c_unit_F"], parasitic=given["c_par_F"], supply=SUPPLY, reset_level=RESET)
        settling = line.settling(levels, jnp.asarray(given["t_F"]), jnp.asarray(given["r_drive_ohm"]))
        np.testing.assert_allclose(line.settled_voltage(levels), expected["v_settled_V"], atol=1e-6)
        np.testing.assert_allclose(settling, expected["v_line_V"], atol=5e-5)
        np.testing.assert_allclose(line.supply_energy(levels), expected["e_levels_J"], rtol=1e-4)
        # The same by the closed form of sums, each cell as many units as its capacitor has.
        units = jnp.asarray(given["c_unit_F"]) / 1e-15
        total = jnp.sum(units) + given["c_par_F"] / 1e-15
        squares = jnp.sum(units * levels**2)
        energy = dac.rail_units(jnp.sum(units * levels), squares, total) * 1e-15 * SUPPLY**2
        np.testing.assert_allclose(energy, expected["e_levels_J"], rtol=1e-4)


@pytest.mark.parametrize("case", SERIAL, ids=named)
def test_lines_added_up_in_charge(case):
    given, expected = case["given"], case["expected"]
    with jax.enable_x64(True):
        line = ChargeLine(given["c_unit_F"], parasitic=given["c_par_F"], supply=SUPPLY, reset_level=RESET)
        codes, weights = np.asarray(given["codes"]), np.asarray(given["weights"])
        bits = (codes[None] >> np.arange(given["digits"])[:, None]) & 1
        volts = line.settled_voltage(jnp.asarray((bits == 1) == (weights > 0), float)) - RESET
        ratio = given["c_acc_F"] / float(line.total_capacitance)
        for count in range(2, given["digits"] + 1):
            part = SerialAccumulation(digits=count, capacitor_ratio=ratio, off_resistance=given["r_off_ohm"])
            held = part.held(jnp.asarray(PERIOD - SHARED + SHARE), jnp.asarray(given["c_acc_F"]))
            found = RESET + part.accumulated(volts[:count], part.kept(1.0), held)
            np.testing.assert_allclose(found, expected["v_acc_V"][count - 1], atol=3e-5)


@pytest.mark.parametrize("case", SERIAL[:2], ids=named)
def test_charge_of_the_supply_is_that_of_the_report(case):
    """Of equal units, as the activity of a macro has them."""
    given = case["given"]
    rows, digits = len(given["codes"]), given["digits"]
    array = SwitchedCapacitor(
        rows=rows, columns=1, input_bits=digits, supply=SUPPLY, cell_parasitic=0.0, line_parasitic=given["c_par_F"],
        bias_dac=BiasDac(bits=1, lsb=1e-9), adc=Adc(bits=8), serial_accumulation=SerialAccumulation(digits=digits),
    )  # fmt: skip
    words = IntegerCode(jnp.ones(()), digits, False)
    x, w = jnp.asarray(given["codes"], float)[None], jnp.asarray(given["weights"], float)[:, None]
    told = eqx.filter_jit(array.report)(Operands(DenseProduct(rows, 1), x, w, words, ValueRange(-1.0, 1.0)))
    charge = float(told["switched_units"]) * 1e-15 * SUPPLY
    np.testing.assert_allclose(charge, case["expected"]["q_vdd_C"], rtol=1e-4)


if __name__ == "__main__":
    written = [{"given": given, "expected": SIMULATIONS[given["kind"]](given)} for given in circuits()]
    content = {"schema": "amsim-joined-digits-1", "simulator": "ngspice-39", "cases": written}
    CASE_FILE.write_text(json.dumps(content, indent=1) + "\n")
