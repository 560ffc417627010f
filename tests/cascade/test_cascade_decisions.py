"""A cascade on data: gating, its smooth form, and operating points."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_cascades import labelled_inputs, small_cascade, small_chip

import amsim
from amsim.cascade import Stage, all_scores, gated_decisions, power_curve, relaxed_power, soft_reach, stage_at_supply
from amsim.cascade.evaluating import cascade_costs
from amsim.cascade.relaxation import SmoothCosts
from amsim.cascade.threshold_search import Task, judge_several, search_thresholds
from amsim.datasets import Split

INPUTS, LABELS = labelled_inputs()
BATCH = 40


@pytest.fixture(scope="module")
def cascade():
    return small_cascade()


@pytest.fixture(scope="module")
def scores(cascade):
    return all_scores(cascade, INPUTS, batch=BATCH)


@pytest.fixture(scope="module")
def result(cascade):
    return amsim.evaluate_cascade(cascade, (INPUTS, LABELS), batch=BATCH)


def test_a_later_stage_sees_only_what_was_passed(cascade, scores):
    """Counted by the network itself: each item that it computes reports its number."""
    seen = []

    def counted(inputs):
        seen.append(np.asarray(inputs[:, 0]))
        return inputs

    second = dataclasses.replace(cascade.stages[1], inputs=counted)
    found = gated_decisions(amsim.Cascade([cascade.stages[0], second]), INPUTS, batch=BATCH)
    passing = scores[0] > 0.05
    assert 20 < passing.sum() < 100
    assert set(np.concatenate(seen)) == set(INPUTS[passing, 0])
    assert found.computed.tolist() == [len(INPUTS), passing.sum()]
    np.testing.assert_array_equal(np.isfinite(found.scores[1]), passing)
    np.testing.assert_allclose(found.scores[1, passing], scores[1, passing], rtol=1e-6)
    np.testing.assert_array_equal(found.passed[1], passing & (scores[1] > 2.03))


def test_where_nothing_passes_nothing_more_is_computed(cascade):
    found = gated_decisions(cascade.with_thresholds([1e6, 0.0]), INPUTS, batch=BATCH)
    assert found.computed.tolist() == [len(INPUTS), 0]
    assert not found.passed.any()
    result = amsim.evaluate_cascade(cascade.with_thresholds([1e6, 0.0]), (INPUTS, LABELS), event_rate=1.0, batch=BATCH)
    assert "'watch' passes no item" in result.remarks
    assert float(result.miss_rate) == 1.0


def test_energy_when_all_pass_is_the_sum_of_the_chips(cascade):
    passing = cascade.with_thresholds([-1e6, -1e6])
    result = amsim.evaluate_cascade(passing, (INPUTS, LABELS), batch=BATCH)
    chips = sum(float(stage.chip.cost(INPUTS[:64])["energy"].sum()) for stage in cascade.stages)
    assert float(result.power.sel(part="inference").sum()) == pytest.approx(100.0 * chips, rel=1e-6)
    assert result.computed.values.tolist() == [len(INPUTS)] * 2
    assert "'watch' passes every item" in result.remarks


def test_result_counts_what_was_decided(result, scores):
    first, both = scores[0] > 0.05, (scores[0] > 0.05) & (scores[1] > 2.03)
    events = LABELS == 1
    np.testing.assert_array_equal(result.decision, both)
    np.testing.assert_array_equal(result.reached, 1 + first)
    assert result.event_pass.values.tolist() == pytest.approx(
        [first[events].mean(), both[events].sum() / first[events].sum()]
    )
    assert float(result.miss_rate) == pytest.approx(1 - both[events].mean())
    assert float(result.miss_low) <= float(result.miss_rate) <= float(result.miss_high)
    assert float(result.event_rate) == pytest.approx(100.0 * LABELS.mean())
    assert float(result.false_alarm_rate) == pytest.approx(100.0 * (both & ~events).sum() / len(LABELS))
    assert float(result.false_alarm_rate) <= float(result.false_alarm_high)


def test_dies_are_a_dimension():
    analog = amsim.circuits.SwitchedCapacitor(rows=16, columns=4, weight_bits=2, input_bits=2)
    stage = Stage("watch", dataclasses.replace(small_chip(), accelerator=amsim.Accelerator(analog)), rate=10.0)
    result = amsim.evaluate_cascade(
        amsim.Cascade([stage]), (INPUTS, LABELS), dies=2, event_rate=[0.1, 1.0], key=jax.random.key(0), batch=BATCH
    )
    assert result.decision.dims == ("die", "item")
    assert result.power.dims == ("die", "event_rate", "stage", "part")
    assert not np.array_equal(result.decision[0], result.decision[1])
    with pytest.raises(ValueError, match="`key` must be given to draw dies"):
        amsim.evaluate_cascade(amsim.Cascade([stage]), (INPUTS, LABELS), dies=2)


def test_soft_gating_becomes_hard(cascade, scores):
    thresholds = [2.03, 0.55]
    soft = np.asarray(soft_reach(jnp.asarray(scores), jnp.asarray(thresholds), jnp.full(2, 1e-4)))
    first, second = scores > np.array(thresholds)[:, None]
    assert np.any(second & ~first)
    hard = np.stack([np.ones(len(LABELS)), first, first & second])
    np.testing.assert_allclose(soft, hard, atol=1e-6)
    costs = SmoothCosts.of(cascade_costs(cascade, Split(INPUTS, LABELS)))
    power = relaxed_power(
        costs, jnp.asarray(hard, jnp.float32), jnp.asarray(LABELS, jnp.float32),
        item_rate=jnp.asarray(100.0), event_share=jnp.asarray(float(LABELS.mean()), jnp.float32),
    )  # fmt: skip
    result = amsim.evaluate_cascade(cascade.with_thresholds(thresholds), (INPUTS, LABELS), batch=BATCH)
    assert float(power) == pytest.approx(float(result.cascade_power), rel=1e-5)


def test_derivative_with_respect_to_thresholds(cascade, scores):
    costs = cascade_costs(cascade, Split(INPUTS, LABELS))

    @jax.jit
    def power(thresholds):
        reach = soft_reach(jnp.asarray(scores), thresholds, jnp.asarray([0.5, 0.7]))
        stream = {"item_rate": jnp.asarray(100.0), "event_share": jnp.asarray(0.3)}
        return relaxed_power(SmoothCosts.of(costs), reach, jnp.asarray(LABELS, float), **stream)

    place, step = np.array([0.3, 1.8]), 1e-5
    with jax.enable_x64(True):
        slope = np.asarray(jax.grad(power)(jnp.asarray(place)))
        ends = [[float(power(jnp.asarray(place + sign * one))) for sign in (1, -1)] for one in step * np.eye(2)]
    for number in range(2):
        # The threshold of the last stage changes decisions and no power.
        assert slope[number] == pytest.approx((ends[number][0] - ends[number][1]) / (2 * step), rel=1e-4, abs=1e-15)
    assert slope[0] < 0


def task(cascade, scores, **limits):
    costs = cascade_costs(cascade, Split(INPUTS, LABELS))
    given = {"miss_rate": 0.1, "false_alarm_rate": 30.0} | limits
    return Task(costs, scores, LABELS, 100.0, 5.0, *given.values())


def test_search_finds_the_least_power_of_a_grid(cascade, scores):
    case = task(cascade, scores)
    grids = [np.concatenate([[one.min() - 1], (np.sort(one)[1:] + np.sort(one)[:-1]) / 2]) for one in scores]
    both = np.stack(np.meshgrid(*grids), axis=-1).reshape(-1, 2)
    best = min(judge_several(case, both), key=lambda one: one.order)
    found = search_thresholds(case)
    assert best.excess == 0.0
    assert found.excess == 0.0
    assert found.power <= best.power * 1.02
    assert found.miss_rate <= 0.1
    assert found.false_alarm_rate <= 30.0


def test_operating_point_is_checked_on_held_out_items(cascade):
    inputs, labels = labelled_inputs(160, seed=5)
    point = amsim.operating_point(
        cascade, (inputs, labels), miss_rate=0.2, false_alarm_rate=30.0, event_rate=1.0, batch=BATCH,
        choices={"watch": [cascade.stages[0], None]},
    )  # fmt: skip
    report = point.report
    assert report.sizes["item"] == 80
    assert report.arrangement.values.tolist() == ["watch + identify", "identify"]
    assert report.attrs["arrangement"] in report.arrangement.values
    assert report.attrs["met"] == int(report.chosen_excess.sel(arrangement=report.attrs["arrangement"]) == 0)
    assert report.attrs["held"] == int(report.miss_rate <= 0.2 and report.false_alarm_rate <= 30.0)
    assert point.cascade.stages[0].rate == 100.0
    kept = report.chosen_power.where(report.chosen_excess == report.chosen_excess.min())
    assert float(kept.sel(arrangement=report.attrs["arrangement"])) == float(kept.min())


def test_one_stage_beats_two_where_all_items_are_events(cascade):
    """A first stage that stops nothing only adds its own energy."""
    stages = [dataclasses.replace(one, retention_leakage=0.0) for one in cascade.stages]
    pair = dataclasses.replace(cascade, stages=tuple(stages))
    curve = power_curve(
        pair, (INPUTS, LABELS), miss_rates=[0.02, 0.3], false_alarm_rate=80.0, event_rate=[1.0, 100.0],
        choices={"watch": [stages[0], None]}, batch=BATCH,
    )  # fmt: skip
    assert curve.average_power.dims == ("arrangement", "event_rate", "miss_limit")
    assert curve.met.all()
    power = curve.average_power.isel(miss_limit=0)
    best = power.arrangement.values[power.argmin("arrangement").values].tolist()
    assert best == ["watch + identify", "identify"]


def test_a_stage_at_another_supply_keeps_its_die(cascade):
    stage = stage_at_supply(cascade.stages[0], 0.6)
    assert stage.name == "watch at 0.6 V"
    costs = [
        cascade_costs(amsim.Cascade([dataclasses.replace(one, rate=1.0)]), Split(INPUTS, LABELS))[0]
        for one in (cascade.stages[0], stage)
    ]
    assert costs[1].inference_energy < costs[0].inference_energy
    assert costs[1].service_time > costs[0].service_time


@pytest.mark.usefixtures("as_a_user_runs_it")
def test_data_that_do_not_fit_are_refused_by_name(cascade):
    with pytest.raises(ValueError, match=r"`data` does not fit stage 'watch', .* shape \(40, 5\)"):
        gated_decisions(cascade, INPUTS[:, :5], batch=BATCH)
    several = dataclasses.replace(cascade.stages[0], chip=small_chip(columns=3))
    with pytest.raises(ValueError, match=r"`score` of stage 'watch' must give one score per item"):
        gated_decisions(amsim.Cascade([several]), INPUTS, batch=BATCH)
    wrong = dataclasses.replace(several, score=3)
    with pytest.raises(ValueError, match=r"`score` of stage 'watch' must be a class of logits"):
        gated_decisions(amsim.Cascade([wrong]), INPUTS, batch=BATCH)
    with pytest.raises(ValueError, match=r"`data` must be labelled items for the chip of stage 'watch'"):
        amsim.evaluate_cascade(cascade, event_rate=1.0)
    for labels in (np.zeros(len(LABELS), int), LABELS + 1):
        with pytest.raises(ValueError, match="labels of 1 for true events and of 0 for background"):
            amsim.evaluate_cascade(cascade, (INPUTS, labels))
    with pytest.raises(ValueError, match=r"`miss_rate` must be a number from 0 to 1"):
        amsim.operating_point(cascade, (INPUTS, LABELS), miss_rate=2.0, false_alarm_rate=1.0, event_rate=1.0)
    with pytest.raises(ValueError, match=r"`choices` must be one of identify, watch"):
        amsim.operating_point(
            cascade, (INPUTS, LABELS), miss_rate=0.2, false_alarm_rate=1.0, event_rate=1.0, choices={"wach": [None]}
        )


def test_a_margin_is_that_of_a_class():
    logits = jnp.asarray([[1.0, 3.0, 2.0], [0.0, -1.0, 4.0]])
    stage = Stage("one", small_chip(columns=3), score=1)
    np.testing.assert_allclose(stage.scores(logits), [1.0, -5.0])
