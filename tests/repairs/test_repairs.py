"""Repairs of single dies: they bring back what they should, cost what they say, and leave a healthy die alone."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import amsim
from amsim import circuits, repairs
from amsim.datasets import Split
from amsim.deployment.observation import column_means
from amsim.deployment.site_ranges import Calibration, SiteRanges
from amsim.noise.gradients import decision
from amsim.results import NoEffectWarning, notices

ROWS, HIDDEN, CLASSES = 31, 12, 4
KEYS = jax.random.split(jax.random.key(8), 4)
PARAMS = {
    "hidden": {"w": jax.random.normal(KEYS[0], (ROWS, HIDDEN)), "b": jax.random.normal(KEYS[1], (HIDDEN,))},
    "out": {"w": jax.random.normal(KEYS[2], (HIDDEN, CLASSES))},
}


def network(params: Any, inputs: jax.Array) -> jax.Array:
    sums = decision(inputs) @ decision(params["hidden"]["w"]) + params["hidden"]["b"][None]
    return decision(sums) @ decision(params["out"]["w"])


def labelled(seed: int, items: int) -> Split:
    """Items with the plain network's own answers as labels, so that the plain accuracy is 1."""
    inputs = np.where(np.random.default_rng(seed).normal(size=(items, ROWS)) >= 0, 1.0, -1.0).astype(np.float32)
    return Split(inputs, np.asarray(jnp.argmax(network(PARAMS, jnp.asarray(inputs)), axis=-1)))


SAMPLES, TEST = labelled(1, 400), labelled(2, 300)
UNTRIMMED = circuits.SwitchedCapacitor(
    rows=32, columns=16, comparator=circuits.Comparator(offset_sigma=5e-3, noise=0.4e-3, trim=None)
)
"""Offsets of 5 mV are about 9 counts here: they dominate everything else."""
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def repaired() -> repairs.Repaired:
    return amsim.repair(network, PARAMS, UNTRIMMED, SAMPLES, TEST, key=KEY, repairs=("thresholds", "trim"), dies=3)


def test_first_row_is_the_unrepaired_population(repaired: repairs.Repaired) -> None:
    plain = amsim.evaluate(network, PARAMS, UNTRIMMED, TEST, dies=3, key=KEY)
    np.testing.assert_array_equal(repaired.report["accuracy"].sel(repair="none"), plain["accuracy"])


def test_tuned_thresholds_take_back_the_offset_of_each_comparator(repaired: repairs.Repaired) -> None:
    report = repaired.report
    assert float(report["accuracy_mean"].sel(repair="none")) < 0.8
    assert float(report["gain"].sel(repair="thresholds")) > 0.1
    for chip in repaired.chips:
        assert chip.calibration is not None
        tuning = np.asarray(chip.calibration.sites["hidden"].tuning)
        offsets = np.asarray(chip.dies[0].comparator)[:HIDDEN] * 5e-3 * float(UNTRIMMED.counts_per_volt)
        # One count of step, half a count of threshold grid, and the statistics of 400 samples.
        assert np.corrcoef(tuning, -offsets)[0, 1] > 0.9
        assert np.median(np.abs(tuning + offsets)) < 2.5


def test_what_thresholds_take_is_counted(repaired: repairs.Repaired) -> None:
    taken = repaired.report.sel(repair="thresholds")
    tuning = repairs.ThresholdTuning()
    assert float(taken["inferences"]) == (tuning.steps + 1) * len(SAMPLES)
    assert float(taken["stored_bits"]) == HIDDEN * math.ceil(math.log2(2 * tuning.span + 1))
    energy = amsim.deploy(network, PARAMS, UNTRIMMED).energy(SAMPLES.inputs[:16])
    assert float(taken["repair_energy"]) == pytest.approx(float(taken["inferences"]) * float(energy), rel=1e-5, abs=0)


def test_trim_uses_the_die_s_own_draws_and_counts_its_decisions(repaired: repairs.Repaired) -> None:
    taken, trim = repaired.report.sel(repair="trim"), circuits.Trim()
    assert float(taken["decisions"]) == 16 * 8 * 64
    assert float(taken["stored_bits"]) == 16 * 8
    comparator = dataclasses.replace(UNTRIMMED.comparator, trim=trim)
    assert float(taken["repair_energy"]) == pytest.approx(16 * 8 * 64 * float(comparator.energy()), rel=1e-5, abs=0)
    new = repaired.chips[0].accelerator.macros[0]
    assert isinstance(new, circuits.SwitchedCapacitor)
    assert new.comparator == comparator


def test_a_trimmed_array_is_not_trimmed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_GIVEN", set())
    with pytest.warns(NoEffectWarning, match=r"Argument `repairs` names what changes nothing on this hardware: trim\."):
        found = amsim.repair(network, PARAMS, circuits.SwitchedCapacitor(rows=32, columns=16), SAMPLES[:20], TEST[:20],
                             key=KEY, repairs=("trim",), dies=1)  # fmt: skip
    assert float(found.report["stored_bits"].sel(repair="trim")) == 0
    assert float(found.report["gain"].sel(repair="trim")) == 0


def float_network(params: Any, inputs: jax.Array) -> jax.Array:
    return jnp.maximum(inputs @ params["hidden"]["w"], 0.0) @ params["out"]["w"]


@pytest.mark.slow  # compiles many programs
def test_offset_correction_makes_the_mean_of_each_column_ideal() -> None:
    macro = circuits.SwitchedCapacitor(
        rows=32, columns=64, weight_bits=4, input_bits=4, adc=circuits.Adc(bits=8),
        comparator=circuits.Comparator(offset_sigma=5e-3, noise=0.1e-3, trim=None),
    )  # fmt: skip
    few = SAMPLES[:100]
    found = amsim.repair(float_network, PARAMS, macro, few, TEST[:20], key=KEY, repairs=("offsets",), dies=1)
    chip, inputs = found.chips[0], jnp.asarray(few.inputs)
    assert chip.calibration is not None
    ideal = column_means(amsim.deploy(float_network, PARAMS, macro.ideal()), inputs, None)
    broken = column_means(dataclasses.replace(chip, calibration=None), inputs, jax.random.key(0))
    mended = column_means(chip, inputs, jax.random.key(0))
    for site in ("hidden", "out"):
        assert np.max(np.abs(mended[site] - ideal[site])) < 0.1 * np.max(np.abs(broken[site] - ideal[site]))


def test_a_calibrated_die_is_corrected_towards_its_own_codes() -> None:
    """On circuits without errors nothing is missing, whatever the codes are."""
    macro = circuits.SwitchedCapacitor(
        rows=32, columns=64, weight_bits=2, input_bits=2, mismatch_coefficient=0.0, temperature=0.0,
        adc=circuits.Adc(bits=10, range=1.0), comparator=circuits.Comparator(offset_sigma=0.0, noise=0.0, trim=None),
    )  # fmt: skip
    scale = circuits.IntegerCode(jnp.asarray(0.4), 2, signed=True)
    chosen = Calibration({"hidden": SiteRanges(weights=scale)})
    options = {"key": KEY, "repairs": ("offsets",), "dies": 1, "calibration": chosen}
    found = amsim.repair(float_network, PARAMS, macro, SAMPLES[:50], TEST[:20], **options)
    assert found.chips[0].calibration is not None
    np.testing.assert_allclose(found.chips[0].calibration.sites["hidden"].offset, 0.0, atol=1e-4)


def test_means_of_columns_are_those_of_the_outputs() -> None:
    chip = amsim.deploy(network, PARAMS, UNTRIMMED.ideal())
    means = column_means(chip, jnp.asarray(SAMPLES.inputs), None)
    hidden = decision(jnp.asarray(SAMPLES.inputs) @ decision(PARAMS["hidden"]["w"]) + PARAMS["hidden"]["b"][None])
    np.testing.assert_allclose(means["hidden"], np.mean(hidden, axis=0), atol=1e-6)
    np.testing.assert_allclose(means["out"], np.mean(chip(SAMPLES.inputs), axis=0), atol=1e-5)


def test_tuning_and_offset_act_in_counts_and_in_units_of_the_product() -> None:
    quiet = dataclasses.replace(UNTRIMMED.ideal(), adc=circuits.Adc(bits=8, range=1.0))
    offset = jnp.arange(CLASSES, dtype=float)
    tuned = amsim.deploy(
        network, PARAMS, quiet,
        calibration=Calibration(
            {"hidden": SiteRanges(tuning=jnp.full((HIDDEN,), 4.0)), "out": SiteRanges(offset=offset)}
        ),
    )  # fmt: skip
    shifted = {"hidden": PARAMS["hidden"] | {"b": PARAMS["hidden"]["b"] + 4.0}, "out": PARAMS["out"]}
    want = network(shifted, jnp.asarray(TEST.inputs)) + offset[None]
    np.testing.assert_allclose(tuned(TEST.inputs), want, atol=1e-5)


@pytest.mark.slow  # three programs; statistics are measured in the tests of calibration, and repaired in those of data
def test_statistics_are_measured_on_the_die() -> None:
    def normalised(params: Any, inputs: jax.Array) -> jax.Array:
        sums = inputs @ params["w"]
        return (sums - params["mean"][None]) @ params["out"]

    def statistics(params: Any, inputs: jax.Array) -> Any:
        return params | {"mean": jnp.mean(inputs @ params["w"], axis=0)}

    params = {"w": PARAMS["hidden"]["w"], "mean": jnp.zeros(HIDDEN), "out": PARAMS["out"]["w"]}
    macro = circuits.SwitchedCapacitor(rows=32, columns=64, weight_bits=4, input_bits=4, adc=circuits.Adc(bits=8))
    named = (("statistics", repairs.BatchStatistics(statistics)),)
    found = amsim.repair(normalised, params, macro, SAMPLES[:100], TEST[:20], key=KEY, repairs=named, dies=1)
    taken = found.report.sel(repair="statistics")
    assert (float(taken["inferences"]), float(taken["stored_bits"])) == (100, 32 * HIDDEN)
    assert np.any(np.asarray(found.chips[0].params["mean"]) != 0)


@pytest.mark.slow  # trains each die
def test_the_last_layer_learns_its_die() -> None:
    noisy = circuits.SwitchedCapacitor(
        rows=32, columns=64, weight_bits=4, input_bits=4, adc=circuits.Adc(bits=8),
        comparator=circuits.Comparator(offset_sigma=1e-3, noise=0.1e-3, trim=None),
    )  # fmt: skip
    named = (("last layer", repairs.LastLayer("out.*", epochs=40, learning_rate=0.01)),)
    sample_labels = np.asarray(jnp.argmax(float_network(PARAMS, jnp.asarray(SAMPLES.inputs)), axis=-1))
    test_labels = np.asarray(jnp.argmax(float_network(PARAMS, jnp.asarray(TEST.inputs)), axis=-1))
    splits = Split(SAMPLES.inputs, sample_labels), Split(TEST.inputs, test_labels)
    found = amsim.repair(float_network, PARAMS, noisy, *splits, key=KEY, repairs=named, dies=2, batch=100)
    taken = found.report.sel(repair="last layer")
    assert float(taken["gain"]) > 0.05
    assert (float(taken["inferences"]), float(taken["stored_bits"])) == (40 * 400, 8 * HIDDEN * CLASSES)
    np.testing.assert_array_equal(found.chips[0].params["hidden"]["w"], PARAMS["hidden"]["w"])
    assert np.any(found.chips[0].params["out"]["w"] != found.chips[1].params["out"]["w"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"repairs": ("trimm",)}, r"`repairs` must be one of offsets, thresholds, trim, but is 'trimm'.*'trim'"),
        ({"repairs": ("trim", "trim")}, "`repairs` must have different names"),
        ({"repairs": (("mine", 3),)}, "with a repair each, but has 'mine' with 3"),
        ({"dies": 0}, "`dies` must be"),
        ({"samples": SAMPLES[:0]}, "`samples` must have at least one item"),
        ({"test": TEST[:0]}, "`test` must have at least one item"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], text: str) -> None:
    arguments = {"samples": SAMPLES, "test": TEST, "key": KEY} | change
    with pytest.raises(ValueError, match=text):
        amsim.repair(network, PARAMS, UNTRIMMED, arguments.pop("samples"), arguments.pop("test"), **arguments)


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="`steps` must be"):
        repairs.ThresholdTuning(steps=0)
    with pytest.raises(ValueError, match="`span` must be above 0"):
        repairs.ThresholdTuning(span=0.0)
    with pytest.raises(ValueError, match="`word` must be"):
        repairs.OffsetCorrection(word=0)
