"""Charge-domain circuits against a circuit simulator: every case of a case file through the public functions.

The file is `tests/spice/data/spice_cases.json`, or the one that the environment variable AMSIM_SPICE_CASES names;
any file of the schema "amsim-spice-golden-1" will do. Expected values only ever meet results in the comparison.
"""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim.circuits import ChargeLine, adc
from amsim.circuits.charge.charge_line import matched_time_constant, shared_supply_time_constant
from amsim.noise import driver_sigma, ktc_charge_sigma, ktc_sigma

CASE_FILE = Path(os.environ.get("AMSIM_SPICE_CASES") or Path(__file__).parent / "data" / "spice_cases.json")


def cases():
    content = json.loads(CASE_FILE.read_text())
    assert content["schema"] == "amsim-spice-golden-1"
    return content["cases"]


CASES = cases()


def charge_line(given):
    bottoms = [given.get("c_bot_F", 0.0)] * given["n"] + [0.0] * len(given["c_bias_F"])
    return ChargeLine(
        np.concatenate([given["c_unit_F"], given["c_bias_F"]]),
        parasitic=given["c_par_F"],
        supply=given["vdd_V"],
        reset_level=given["vcm_V"],
        bottom_reset_level=given["v_bot_reset_V"],
        bottom_parasitics=bottoms,
        feedthrough_capacitance=given.get("c_feed_F", 0.0),
    )


def drives(given):
    """1 for every bottom plate that goes high: agreeing units, then bias bits that are set."""
    activations = np.asarray(given["act_batch"] if "act_batch" in given else given["act"])
    agree = activations == np.asarray(given["wgt"])
    bias = np.broadcast_to(np.asarray(given["bias_bits"], bool), (*agree.shape[:-1], len(given["bias_bits"])))
    return jnp.asarray(np.concatenate([agree, bias], axis=-1), float)


def settled(given):
    line = charge_line(given)
    found = {"v_line_V": line.settled_voltage(drives(given)), "c_total_F": line.total_capacitance}
    if "act" in given:
        found["p_sum"] = int(np.dot(given["act"], given["wgt"]))
    return found


def decision(given):
    voltages = charge_line(given).settled_voltage(drives(given))
    return {"v_line_V": voltages, "decision": np.asarray(voltages > given["v_cmp_ref_V"]).astype(int)}


def settling(given):
    line, high = charge_line(given), drives(given)
    times = jnp.asarray(given["t_eval_s"], float)
    found = {"v_settled_V": line.settled_voltage(high)}
    if given["topology"] == "matched_rc":
        branch = jnp.mean(jnp.asarray(given["r_drive_ohm"], float) * line.capacitances)
        found["tau_s"] = matched_time_constant(branch, line.parasitic, line.total_capacitance)
        return found | {"v_line_V": line.settling_matched(high, times, branch)}
    if given["topology"] == "shared_supply":
        resistance = given["r_supply_ohm"]
        found["tau_s"] = shared_supply_time_constant(resistance, line.high_capacitance(high), line.total_capacitance)
        return found | {"v_line_V": line.settling_shared_supply(high, times, jnp.asarray(resistance, float))}
    resistances = jnp.asarray(given["r_drive_ohm"], float)
    found["tau_fast_s"], found["tau_slow_s"] = line.time_constants(resistances)
    return found | {"v_line_V": jax.vmap(lambda time: line.settling(high, time, resistances))(times)}


def droop(given):
    line = charge_line(given)
    start, times = line.settled_voltage(drives(given)), jnp.asarray(given["t_hold_s"], float)
    if given["mode"] == "r_off":
        resistance = jnp.asarray(given["r_off_ohm"], float)
        tau = line.reset_time_constant(resistance)
        return {"v_settled_V": start, "tau_s": tau, "v_line_V": line.drooped_voltage(start, times, resistance)}
    return {"v_settled_V": start, "v_line_V": line.leaked_voltage(start, times, jnp.asarray(given["i_leak_A"], float))}


def reset(given):
    line, high = charge_line(given), drives(given)
    found = {"c_total_F": line.total_capacitance}
    if given["mode"] == "feedthrough":
        return found | {
            "v_line_V": line.settled_voltage(high) + line.feedthrough_step(jnp.asarray(given["dv_feed_V"], float))
        }
    resistance = jnp.asarray(given["r_reset_ohm"], float)
    after = line.after_reset(jnp.asarray(given["v_init_V"], float), jnp.asarray(given["t_reset_s"], float), resistance)
    tau = line.reset_time_constant(resistance)
    return found | {"v_after_reset_V": after, "tau_s": tau, "v_line_V": line.settled_voltage(high, after)}


def energy(given):
    line, high = charge_line(given), drives(given)
    return {
        "v_line_V": line.settled_voltage(high),
        "q_vdd_eval_C": line.supply_charge(high),
        "e_vdd_eval_J": line.supply_energy(high),
        "e_reset_rail_J": line.reset_rail_energy(high),
        "e_cycle_J": line.cycle_energy(high),
        "e_diss_eval_J": line.dissipation(high),
    }


def noise(given):
    units, parasitic, temperature = float(np.sum(given["c_unit_F"])), given["c_par_F"], given["temp_K"]
    sampled = ktc_sigma(units + parasitic, temperature)
    if given["kind"] == "reset_node":
        return {"v_noise_rms_V": sampled}
    if given["kind"] == "reset_charge":
        return {
            "v_noise_rms_V": sampled,
            "q_noise_rms_C": ktc_charge_sigma(units + parasitic, temperature),
            "v_instant_rms_V": ktc_sigma(parasitic, temperature),
        }
    drivers = driver_sigma(units, parasitic, temperature)
    return {"v_noise_rms_V": drivers, "v_sampled_plus_driver_rms_V": jnp.hypot(sampled, drivers)}


def successive_approximation(given):
    bits, reference = jnp.asarray(given["c_bits_F"], float), given["vref_V"]
    if given["topology"] == "shared_line":
        levels = adc.shared_line_levels(bits, reference, line=given["c_line_F"], comparator_offset=given["v_os_V"])
    else:
        common = {
            "dummy": given["c_dummy_F"],
            "parasitic": given["c_par_F"],
            "comparator_offset": given["v_os_V"],
        }
        if given["topology"] == "split":
            split = {"low_bits": given["n_lsb"], "bridge": given["c_bridge_F"], "low_parasitic": given["c_par_lsb_F"]}
            levels = adc.split_levels(bits, reference, **common, **split)
        else:
            levels = adc.bottom_plate_levels(bits, reference, **common)
    transitions = adc.transition_levels(levels)
    line = adc.linearity(transitions)
    return {
        "transition_levels_V": transitions,
        "lsb_fit_V": line.lsb_fit,
        "dnl_lsb": line.dnl,
        "inl_lsb": line.inl,
        "monotonic_no_missing": line.monotonic,
    }


CIRCUITS = {
    "nominal": settled,
    "mismatch": settled,
    "parasitic": settled,
    "decision": decision,
    "settling": settling,
    "droop": droop,
    "reset": reset,
    "energy": energy,
    "noise": noise,
    "sar": successive_approximation,
}


def allowed(tolerance, name, case, double):
    """Tolerance of the file; in float32 1e-5 V and 1e-4 relative, and for LSB quantities what 1e-6 V is in LSB."""
    expected = np.abs(np.asarray(case["expected"][name], float))
    absolute, relative = tolerance
    if not double:
        if name.endswith("_lsb"):
            absolute = max(absolute, 1e-6 / case["expected"]["lsb_fit_V"])
        elif name.endswith("_V"):
            absolute = max(absolute, 1e-5)
        else:
            relative = max(relative, 1e-4)
    return absolute + relative * expected


@pytest.mark.sampled(25)
@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case, double):
    with jax.enable_x64(double):
        found = {name: np.asarray(value) for name, value in CIRCUITS[case["group"]](case["inputs"]).items()}
    for name, value in case["expected"].items():
        expected = np.asarray(value)
        assert found[name].shape == expected.shape, name
        if case["tol"].get(name, "exact") == "exact":
            np.testing.assert_array_equal(found[name], expected, err_msg=name)
        else:
            error = np.abs(found[name].astype(np.float64) - expected)
            assert np.all(error <= allowed(case["tol"][name], name, case, double)), (name, found[name], expected)
