"""Detectors over dies: ROC area, its error, and scores that a plain loop gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from amsim import calibrate, circuits, deploy, evaluate_detector
from amsim.datasets import Split
from amsim.noise.random import numbered_keys
from amsim.statistics.intervals import roc_area, roc_area_error

SC = circuits.SwitchedCapacitor(rows=32, columns=8, weight_bits=2, input_bits=2)


def score(params, inputs):
    return (jnp.tanh(inputs @ params["hidden"]) @ params["out"]).reshape(-1)


@pytest.fixture(scope="module")
def case():
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"hidden": jax.random.normal(keys[0], (20, 8)), "out": jax.random.normal(keys[1], (8, 1))}
    inputs = np.asarray(jax.random.normal(keys[2], (70, 20)))
    labels = np.asarray(score(params, inputs) > 0.5).astype(np.int32)
    return params, Split(inputs, labels)


def test_area_counts_pairs_in_order():
    draws = np.random.default_rng(0)
    scores, labels = draws.integers(0, 6, 40).astype(float), draws.integers(0, 2, 40)
    above = [1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[labels == 1] for n in scores[labels == 0]]
    assert roc_area(scores, labels) == pytest.approx(np.mean(above), rel=1e-12)
    assert roc_area(labels.astype(float), labels) == 1.0
    assert roc_area(np.zeros(40), labels) == 0.5


def test_error_is_that_of_the_published_example():
    # Hanley and McNeil 1982: 51 abnormal and 58 normal images, area 0.893, standard error 0.032.
    assert roc_area_error(0.893, 51, 58) == pytest.approx(0.032, abs=6e-4)
    assert roc_area_error(1.0, 5, 5) == 0.0


def test_error_is_the_spread_of_repeated_draws():
    draws = np.random.default_rng(1)
    areas = []
    for _ in range(600):
        scores = np.concatenate([draws.exponential(3.0, 40), draws.exponential(1.0, 60)])
        areas.append(roc_area(scores, np.repeat([1, 0], [40, 60])))
    # Of exponential scores, where the area is 3 / (3 + 1).
    assert np.mean(areas) == pytest.approx(0.75, abs=0.01)
    assert np.std(areas) == pytest.approx(roc_area_error(0.75, 40, 60), rel=0.1)


def test_equals_a_plain_loop_over_dies(case):
    params, data = case
    result = evaluate_detector(score, params, SC, data, dies=2, batch=35, key=jax.random.key(7))
    die_key, read_key = jax.random.split(jax.random.key(7))
    for die in range(2):
        chip = deploy(score, params, SC, key=numbered_keys(die_key, 2)[die])
        key = numbered_keys(read_key, 2)[die]
        scores = np.asarray(chip(data.inputs, key=jax.random.fold_in(key, 0)))
        np.testing.assert_allclose(result["score"][die], scores, rtol=1e-4, atol=1e-5)
        assert float(result["auc"][die]) == pytest.approx(roc_area(scores, data.labels), abs=2e-3)
    assert float(result["auc_low"]) < float(result["auc_mean"]) < float(result["auc_high"])
    assert result["auc"].attrs == {"units": "1", "long_name": "area under the ROC curve"}


def test_calibrated_ranges_are_those_of_the_calibrated_chip(case):
    params, data = case
    macro = circuits.DigitalBinary(weight_bits=3, input_bits=3)
    calibrated = calibrate(score, params, macro, data.inputs[:20], method="percentile", coverage=0.9)
    scores = [
        evaluate_detector(score, params, macro, data, dies=1, key=jax.random.key(0), calibration=one)["score"][0]
        for one in (calibrated.calibration, None)
    ]
    np.testing.assert_allclose(scores[0], calibrated.chip(data.inputs), rtol=1e-5, atol=1e-6)
    assert not np.allclose(scores[0], scores[1], atol=0.01)


def test_items_without_a_label_are_left_out_and_equal_dies_are_computed_once(case):
    params, data = case
    labels = data.labels.copy()
    labels[::3] = -1
    result = evaluate_detector(
        score, params, circuits.Exact(), Split(data.inputs, labels), dies=3, key=jax.random.key(0)
    )
    assert result.sizes == {"die": 3, "item": int(np.sum(labels >= 0))}
    assert np.all(result["auc"] == 1)
    assert float(result["auc_low"]) == float(result["auc_high"]) == 1


def test_bad_input(case):
    params, data = case
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="labels of 1 and of 0"):
        evaluate_detector(score, params, SC, Split(data.inputs, np.ones(70, np.int32)), key=key)
    with pytest.raises(ValueError, match="labels of 1 and of 0"):
        evaluate_detector(score, params, SC, Split(data.inputs, data.labels + 1), key=key)
    with pytest.raises(ValueError, match="`dies`"):
        evaluate_detector(score, params, SC, data, key=key, dies=0)
    with pytest.raises(ValueError, match="scores of the labels' shape"):
        evaluate_detector(lambda p, x: x @ p["hidden"], params, circuits.Exact(), data, key=key)
