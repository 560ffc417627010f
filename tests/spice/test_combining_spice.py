"""Combined lines against a circuit simulator: stored voltages of its netlists, and the netlists run again.

`python tests/spice/test_combining_spice.py` writes `data/combining_cases.json` anew.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import circuits

CASE_FILE = Path(__file__).parent / "data" / "combining_cases.json"
SUPPLY, STEP, EDGE = 0.6, 1e-9, 1e-13
"""V; when the bottom plates step, and how long an edge takes, s."""


def drawn(seed, bits, spread):
    """Cells that go high and all others of lines of about 30 fF, and relative deviations, from a seed."""
    generator = np.random.default_rng(seed)
    high = generator.uniform(3e-15, 16e-15, bits)
    rest = 30e-15 * (1 + spread * generator.normal(size=bits)) - high
    return high.tolist(), rest.tolist(), (spread * generator.normal(size=2 * bits)).tolist()


def asked():
    """Inputs of every case."""
    for circuit, fields, spread in (
        ("WeightedCapacitors", {"bits": 2, "unit_capacitance": 2e-15, "node_parasitic": 1e-15}, 0.0),
        ("WeightedCapacitors", {"bits": 4, "unit_capacitance": 1e-15, "node_parasitic": 3e-15}, 0.05),
        (
            "WeightedCapacitors",
            {"bits": 3, "unit_capacitance": 2e-15, "node_parasitic": 4e-15, "resistance": 1e5, "sharing_time": 6e-11},
            0.0,
        ),
        ("TimeSharedCharge", {"bits": 2}, 0.0),
        ("TimeSharedCharge", {"bits": 4, "capacitance": 21e-15}, 0.05),
        ("TimeSharedCharge", {"bits": 3, "capacitance": 40e-15, "resistance": 1e5, "sharing_time": 2e-9}, 0.05),
        ("CapacitorLadder", {"bits": 2, "unit_capacitance": 4e-15, "node_parasitic": 0.0}, 0.0),
        ("CapacitorLadder", {"bits": 4, "unit_capacitance": 4e-15, "node_parasitic": 1e-15}, 0.05),
        ("CapacitorLadder", {"bits": 3, "unit_capacitance": 4e-15, "node_parasitic": 2e-15, "compensation": 1.0}, 0.05),
    ):
        high, rest, deviations = drawn(len(fields), fields["bits"], spread)
        yield {"circuit": circuit, "fields": fields, "high_F": high, "rest_F": rest, "deviations": deviations}


def built(given):
    """The part, its own capacitors and the lines, F."""
    part = getattr(circuits, given["circuit"])(**given["fields"])
    lines = np.add(given["high_F"], given["rest_F"])
    nominal = np.asarray(part.nominal(jnp.asarray(30e-15)), float)
    own = nominal * (1 + np.asarray(given["deviations"])[: nominal.size])
    return part, own, lines


def pulse(name, closed, opened=None):
    """Control of a switch, closed from one time to another, s."""
    corners = [(0.0, 0), (closed, 0), (closed + EDGE, 1)]
    corners += [] if opened is None else [(opened, 1), (opened + EDGE, 0)]
    return f"V{name} {name} 0 PWL({' '.join(f'{time:.12g} {level}' for time, level in corners)})"


def netlist(given):
    """Deck that prints the voltage of the combined node at its end."""
    part, own, _ = built(given)
    bits, text = part.bits, ["* combined lines", f"VUP up 0 PWL(0 0 {STEP} 0 {STEP + EDGE} {SUPPLY})"]
    end = 3 * STEP
    for j in range(bits):
        text += [f"CH{j} line{j} up {given['high_F'][j]:.12g}", f"CG{j} line{j} 0 {given['rest_F'][j]:.12g}"]
        text.append(f"RL{j} line{j} 0 1e18")
    if isinstance(part, circuits.WeightedCapacitors):
        cut, joined = 2 * STEP, 2.5 * STEP
        end = joined + EDGE / 2 + float(part.sharing_time)
        text += [
            f"CP out 0 {float(part.node_parasitic):.12g}",
            "RO out 0 1e18",
            ".model near sw vt=0.5 ron=1 roff=1e18",
        ]
        text.append(f"VNEAR hold 0 PWL(0 1 {cut} 1 {cut + EDGE} 0)")
        text.append(pulse("join", joined))
        for j in range(bits):
            text += [f"CS{j} top{j} 0 {own[j]:.12g}", f"RT{j} top{j} 0 1e18", f"SN{j} line{j} top{j} hold 0 near ON"]
            text.append(f".model far{j} sw vt=0.5 ron={float(part.resistance) / 2**j:.12g} roff=1e18")
            text.append(f"SF{j} top{j} out join 0 far{j} OFF")
            if j < bits - 1:
                text.append(f"CD{j} line{j} 0 {own[bits + j]:.12g}")
    elif isinstance(part, circuits.TimeSharedCharge):
        slot = float(part.sharing_time)
        text += [
            f"CA out 0 {own[0]:.12g}",
            "RO out 0 1e18",
            f".model far sw vt=0.5 ron={float(part.resistance):.12g} roff=1e18",
        ]
        for j in range(bits):
            closed = 2 * STEP + 1.5 * j * slot
            # Between the thresholds of both edges lies the sharing time.
            text += [pulse(f"c{j}", closed, closed + slot), f"SF{j} line{j} out c{j} 0 far OFF"]
        end = 2 * STEP + 1.5 * bits * slot
    else:
        for j in range(bits):
            text += [f"CB{j} line{j} n{j} {own[j]:.12g}", f"RN{j} n{j} 0 1e18"]
            if float(part.node_parasitic) > 0:
                text.append(f"CQ{j} n{j} 0 {float(part.node_parasitic):.12g}")
        text.append(f"CE n0 0 {own[bits]:.12g}")
        text += [f"CL{j} n{j} n{j + 1} {link:.12g}" for j, link in enumerate(own[bits + 1 :])]
    out = f"n{bits - 1}" if isinstance(part, circuits.CapacitorLadder) else "out"
    text += [".options method=gear abstol=1e-18 vntol=1e-10 reltol=1e-6 chgtol=1e-21 gmin=1e-18 pivtol=1e-24"]
    text += [f".tran {end / 4000:.12g} {end:.12g} 0 {end / 4000:.12g} uic", ".control", "set numdgt=12", "run"]
    text += [f"print v({out})[length(v({out}))-1]", "quit 0", ".endc", ".end"]
    return "\n".join(text) + "\n"


def simulated(given):
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(folder) / "deck.cir"
        deck.write_text(netlist(given))
        ran = subprocess.run(["ngspice", "-b", deck.name], cwd=folder, capture_output=True, text=True, check=False)
    line = next((one for one in ran.stdout.splitlines() if one.startswith("v(") and "=" in one), None)
    assert line is not None, ran.stdout + ran.stderr
    return float(line.split("=")[1])


def voltage(given):
    """The same by the part: steps of loaded lines by charge balance, combined."""
    part, own, lines = built(given)
    totals = lines + np.asarray(part.loads(jnp.asarray(own)))
    steps = SUPPLY * np.asarray(given["high_F"]) / totals
    return float(part.voltage(jnp.asarray(steps), jnp.asarray(totals), jnp.asarray(own)))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    found = [given | {"voltage_V": simulated(given)} for given in asked()]
    for one in found:
        print(one["circuit"], one["fields"], one["voltage_V"], voltage(one), file=sys.stderr)
    CASE_FILE.write_text(json.dumps({"simulator": "ngspice 39", "cases": found}, indent=1) + "\n")
else:
    from spice_lines import needs_ngspice

    CASES = json.loads(CASE_FILE.read_text())["cases"]
    NAMES = [f"{one['circuit']}-{one['fields']['bits']}" for one in CASES]

    @pytest.mark.parametrize("case", CASES, ids=NAMES)
    def test_combined_voltage_is_that_of_the_simulator(case):
        with jax.enable_x64(True):
            found = voltage(case)
        assert found == pytest.approx(case["voltage_V"], abs=5e-6)
        assert voltage(case) == pytest.approx(found, abs=1e-6)

    @needs_ngspice
    @pytest.mark.parametrize("case", [CASES[1], CASES[5], CASES[7]], ids=lambda case: case["circuit"])
    def test_the_simulator_still_says_so(case):
        with jax.enable_x64(True):
            assert simulated(case) == pytest.approx(case["voltage_V"], abs=1e-7)
