"""Populations of dies: keys, intervals, memory-bounded batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from amsim import circuits, deploy, evaluate
from amsim.datasets import Split
from amsim.evaluation.batches import labelled_batches
from amsim.noise.gradients import decision
from amsim.statistics.intervals import mean_interval

SC = circuits.SwitchedCapacitor(rows=64, columns=16, comparator=circuits.Comparator(noise=3e-3))


def network(params, inputs):
    hidden = decision(inputs @ decision(params["hidden"]["kernel"]) + params["hidden"]["bias"][None])
    return hidden @ decision(params["out"]["kernel"])


@pytest.fixture(scope="module")
def case():
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "hidden": {
            "kernel": jax.random.normal(keys[0], (30, 40)),
            "bias": 0.5 + jnp.round(jax.random.normal(keys[1], (40,))),
        },
        "out": {"kernel": jax.random.normal(keys[2], (40, 5))},
    }
    inputs = np.asarray(jnp.sign(jax.random.normal(keys[3], (130, 30))))
    labels = np.asarray(jnp.argmax(network(params, inputs), axis=-1), np.int32)
    return params, Split(inputs, labels)


def test_equals_a_plain_loop_over_dies_and_reads(case):
    params, data = case
    result = evaluate(network, params, SC, data, dies=3, reads=2, batch=50, key=jax.random.key(7))
    die_key, read_key = jax.random.split(jax.random.key(7))
    for die in range(3):
        chip = deploy(network, params, SC, key=jax.random.fold_in(die_key, die))
        for read in range(2):
            key = jax.random.fold_in(jax.random.fold_in(read_key, die), read)
            answers = np.argmax(np.asarray(chip(data.inputs, key=jax.random.fold_in(key, 0))), axis=-1)
            expected = np.mean(answers == data.labels)
            assert float(result["accuracy"].sel(die=die, read=read)) == pytest.approx(expected, abs=1e-12)
    assert 0.3 < float(result["accuracy_mean"]) < 1
    assert len(np.unique(result["accuracy"])) > 1


def test_die_is_the_same_for_any_population_and_setting(case):
    params, data = case
    few = evaluate(network, params, SC, data, dies=2, key=jax.random.key(7))["accuracy"]
    many = evaluate(network, params, SC, data, dies=4, key=jax.random.key(7))["accuracy"]
    np.testing.assert_array_equal(few, many[:2])


def test_batch_size_changes_nothing_without_noise(case):
    params, data = case
    ideal = SC.ideal()
    results = [evaluate(network, params, ideal, data, dies=1, batch=size, key=jax.random.key(0)) for size in (7, 200)]
    assert [float(result["accuracy_mean"]) for result in results] == [1.0, 1.0]


def test_labels_may_be_short_words_but_only_one_for_each_item(case):
    inputs = np.zeros((3, 4), np.float32)
    assert labelled_batches(Split(inputs, np.array([0, 200, 3], np.uint8)), 2)[1].tolist() == [[0, 200], [3, -1]]
    with pytest.raises(ValueError, match=r"one label for each item, but its labels have shape \(3, 2\)"):
        labelled_batches(Split(inputs, np.zeros((3, 2), np.int32)), 2)


def test_population_without_spread_is_computed_once(case):
    params, data = case
    seen = []
    result = evaluate(
        network,
        params,
        circuits.DigitalBinary(),
        data,
        dies=5,
        key=jax.random.key(0),
        progress=lambda *s: seen.append(s),
    )
    np.testing.assert_array_equal(result["accuracy"], np.ones((5, 1)))
    assert float(result["accuracy_low"]) == float(result["accuracy_high"]) == 1
    assert seen == [("compiling", 0, 5), ("dies", 1, 5), ("dies", 5, 5)]


def test_interval_is_students(case):
    values = np.array([0.8, 0.9, 0.85, 0.7])
    mean, low, high = mean_interval(values)
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((values.mean(), *expected))
    assert np.isnan(mean_interval(values[:1]).low)


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [
        abs(r.mean - 0.5) < (r.high - r.low) / 2 for r in (mean_interval(rng.normal(0.5, 0.1, 6)) for _ in range(4000))
    ]
    # 95 % of 4000 with a standard deviation of 0.34 %.
    assert 0.95 - 0.014 < np.mean(hits) < 0.95 + 0.014


def test_result_is_labelled(case):
    params, data = case
    result = evaluate(network, params, SC, data, dies=2, key=jax.random.key(7))
    for name in [*result.data_vars, *result.coords]:
        assert result[name].attrs["units"]
        assert result[name].attrs["long_name"]
    assert result.attrs["items"] == 130
    assert result.attrs["key"] == [0, 7]
    assert "unit_capacitance" in result.attrs["accelerator"]


def test_errors(case):
    params, data = case
    with pytest.raises(ValueError, match="`dies` must be an integer of at least 1, but is 0"):
        evaluate(network, params, SC, data, dies=0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`data` must have at least one item"):
        evaluate(network, params, SC, data[:0], key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"`key` must be one key from jax\.random\.key"):
        evaluate(network, params, SC, data, key=jax.random.PRNGKey(0))
    with pytest.raises(ValueError, match="`hardware` must be a macro"):
        evaluate(network, params, "bankman", data, key=jax.random.key(0))
    for change, given in (
        (lambda logits: logits[:, 0], r"\(50,\)"),
        (lambda logits: logits[:, None], r"\(50, 1, 5\)"),
        (lambda logits: logits.T, r"\(5, 50\)"),
        (lambda logits: (logits, logits), "tuple"),
    ):
        with pytest.raises(ValueError, match=rf"`fn` must give logits of shape \(50, classes\).* but gives {given}"):
            evaluate(lambda p, x, f=change: f(network(p, x)), params, SC, data, batch=50, key=jax.random.key(0))
