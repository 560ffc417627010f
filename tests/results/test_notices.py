"""What is asked for and changes nothing is said once, and where the user looks."""

import dataclasses
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits
from amsim.datasets import Split
from amsim.results import NoEffectWarning, notices
from amsim.results.notices import warn_once


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(notices, "_GIVEN", set())


GENERATOR = np.random.default_rng(0)
PARAMS = {
    "first": GENERATOR.choice([-1.0, 1.0], (16, 8)).astype(np.float32),
    "last": GENERATOR.choice([-1.0, 1.0], (8, 3)).astype(np.float32),
}
INPUTS = GENERATOR.choice([-1.0, 1.0], (12, 16)).astype(np.float32)


def network(params, inputs):
    return jnp.sign(inputs @ jnp.sign(params["first"]) + 0.5) @ jnp.sign(params["last"])


DATA = Split(INPUTS, np.argmax(np.asarray(network(PARAMS, INPUTS)), axis=1).astype(np.int32))
ARRAY = circuits.SwitchedCapacitor(rows=16, columns=8, comparator=circuits.Comparator(offset_sigma=5e-3))


def test_a_text_is_said_once_and_not_of_a_line_of_amsim():
    with pytest.warns(NoEffectWarning, match="nothing changes") as said:
        warn_once("nothing changes")
    # The caller's, or here that of the run-time type checks around every function.
    assert not said[0].filename.startswith(str(Path(amsim.__file__).parent))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_once("nothing changes")


def test_site_table_says_what_no_setting_shows():
    """A trim that is on by default, and a site that a macro with comparators reads as a number."""
    chip = amsim.deploy(network, PARAMS, ARRAY)
    table = chip.sites(INPUTS)
    assert [row.readout for row in table] == ["comparator", "number"]
    assert [row.note for row in table] == [
        None,
        "read as a number, not decided by the comparators: its result is returned as a number.",
    ]
    (remark,) = table.remarks
    # A grid of 0.25 mV, and 64 decisions of 0.4 mV noise each: sqrt(0.25^2 / 12 + pi / 2 * 0.4^2 / 64).
    left = np.sqrt(0.25**2 / 12 + np.pi / 2 * 0.4**2 / 64)
    assert remark == (
        f"Offsets of 5 mV are trimmed to {left:.2g} mV by `comparator.trim` of 8 bits; without it (None) they stay."
    )
    assert str(table).endswith(remark)
    untrimmed = dataclasses.replace(ARRAY, comparator=circuits.Comparator(offset_sigma=5e-3, trim=None))
    assert amsim.deploy(network, PARAMS, untrimmed).sites(INPUTS).remarks == ()
    rules = {"last": circuits.DigitalBinary(), ".*": ARRAY}
    assert amsim.deploy(network, PARAMS, rules).sites(INPUTS).remarks == (f".*: {remark}",)
    found = amsim.evaluate(network, PARAMS, ARRAY, DATA, key=jax.random.key(0), dies=1)
    assert found.attrs["remarks"] == remark


def test_a_decision_rule_without_a_decision_is_said():
    several = circuits.SwitchedCapacitor(rows=16, columns=8, weight_bits=2, input_bits=2)
    chip = amsim.deploy(network, PARAMS, several, decision_rule="physical")
    assert chip.sites(INPUTS).remarks[-1] == (
        "The decision rule 'physical' changes nothing: no site is decided by a comparator."
    )


def test_noise_budget_of_a_site_is_that_of_its_readout():
    chip = amsim.deploy(network, PARAMS, ARRAY)
    with pytest.raises(ValueError, match="Argument `inputs` must be given"):
        amsim.noise_budget(chip)
    chip(INPUTS)
    first, last = (amsim.noise_budget(chip, site=name) for name in ("first", "last"))
    assert (first.attrs["readout"], first.attrs["rows"]) == ("comparator", 16)
    assert (last.attrs["readout"], last.attrs["rows"]) == ("adc", 8)
    assert "quantisation" not in first["source"]
    assert "quantisation" in last["source"]
    want = amsim.noise_budget(ARRAY, readout="comparator")
    np.testing.assert_array_equal(first["variance"], want["variance"])
    for given, text in (
        ({}, "`site` must be one of first, last, but is None"),
        ({"site": "middle"}, "`site` must be one of first, last, but is 'middle'"),
        ({"site": "first", "readout": "adc"}, "`readout` must be 'comparator' or None, which reads site 'first'"),
    ):
        with pytest.raises(ValueError, match=text):
            amsim.noise_budget(chip, **given)
    with pytest.raises(ValueError, match="`site` must be None for a macro"):
        amsim.noise_budget(ARRAY, site="first")
    # The range that a calibration chose is the one that is used.
    ranges = amsim.SiteRanges(readout=0.5)
    narrow = amsim.deploy(network, PARAMS, ARRAY, calibration=amsim.Calibration({"last": ranges}))
    narrow(INPUTS)
    chosen = amsim.noise_budget(narrow, site="last")
    half = amsim.noise_budget(dataclasses.replace(ARRAY, adc=circuits.Adc(range=0.5)), rows=8, readout="adc")
    np.testing.assert_array_equal(chosen["variance"], half["variance"])


def test_a_repair_that_finds_nothing_to_repair():
    digital = circuits.DigitalBinary(rows=16, columns=8)
    options = {"key": jax.random.key(0), "dies": 1}
    with pytest.warns(NoEffectWarning, match=r"Argument `repairs` names what changes nothing .*: trim, thresholds\."):
        asked = amsim.repair(network, PARAMS, digital, DATA, DATA, repairs=["trim", "thresholds"], **options)
    assert asked.report.attrs["without_effect"] == "trim, thresholds"


def test_a_scale_of_errors_that_are_not_there():
    digital = circuits.DigitalBinary(rows=16, columns=8)
    options = {"key": jax.random.key(0), "epochs": 1, "batch": 4}
    with pytest.warns(NoEffectWarning, match="Argument `noise` changes nothing"):
        amsim.fine_tune(network, PARAMS, digital, DATA, dies=amsim.TrainingDies(noise=2.0), **options)
    with pytest.warns(NoEffectWarning, match="Argument `decision_rule` changes nothing: no macro decides"):
        amsim.fine_tune(network, PARAMS, digital, DATA, decision_rule="tanh", **options)


def test_an_axis_along_which_nothing_changes():
    def measure(hardware):
        return {"area": hardware.area}

    axes = {"macro.comparator.gain": [4.0, 5.0], "macro.rows": [16, 32], "macro.clock": [1e6, 2e6]}
    labels = {"area": ("m2", "area")}
    reason = r"macro.comparator.gain \(a decision is given the time that it needs.*\)\."
    with pytest.warns(NoEffectWarning, match=r"settings that change nothing: " + reason):
        found = amsim.sweep(measure, axes, hardware=ARRAY, labels=labels)
    assert found.attrs["without_effect"] == "macro.comparator.gain, macro.clock"


def test_a_coverage_that_no_method_uses_is_refused():
    with pytest.raises(ValueError, match=r"`coverage` must be 0.999 unless a method is 'percentile', .* but is 0.9"):
        amsim.calibrate(network, PARAMS, ARRAY, INPUTS, method="minimum-error", coverage=0.9)


@pytest.mark.parametrize(
    ("hardware", "changes"),
    [
        (ARRAY, {"macro.comparator.kickback": 1e-3}),
        (ARRAY, {"macro.comparator.trim.temperature": 300.0}),
        (ARRAY, {"macro.comparator.trim.supply": 0.6}),
        (dataclasses.replace(ARRAY, adc=circuits.SarAdc(bits=6)), {"macro.adc.topology": "split"}),
        (
            dataclasses.replace(ARRAY, adc=circuits.SarAdc(bits=6, topology="shared-line")),
            {"macro.adc.topology": "split"},
        ),
        (dataclasses.replace(ARRAY, layout=circuits.Layout()), {"macro.layout.correlated_sigma": 0.01}),
        (amsim.Accelerator(ARRAY), {"power.rate": 100.0}),
    ],
)
def test_settings_that_need_another_are_listed_without_it(hardware, changes):
    before, after = (amsim.what_has_no_effect(one) for one in (hardware, amsim.with_settings(hardware, changes)))
    assert set(after) < set(before)
