"""A cascade over a stream: closed form against a plain loop, against events one by one, and against its limits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_cascades import load, stated_cascade

import amsim
from amsim.cascade import averages
from amsim.cascade.busy_cycle import busy_cycle
from amsim.cascade.discrete_events import simulate

SERVICE, SET_UP, SLEEP = 1, 3, 4


def looped(period, chance, service, set_up, items=30_000):
    """Items per cycle and mean wait of a stage, item by item; the standard errors too."""
    rng = np.random.default_rng(1)
    arrivals = np.cumsum(rng.geometric(chance, items)) * period
    free, cycles, waits = -1.0, 0, []
    for arrival in arrivals:
        cycles += arrival >= free
        start = arrival + set_up if arrival >= free else free
        waits.append(start - arrival)
        free = start + service
    return items / cycles, float(np.mean(waits))


@pytest.mark.parametrize(
    ("chance", "service", "set_up"),
    [(0.3, 0.51, 0.17), (0.3, 1.33, 0.41), (0.5, 1.13, 0.0), (0.05, 7.31, 2.23), (0.9, 0.83, 0.57), (1.0, 0.83, 0.57)],
)
def test_busy_cycle_equals_a_plain_loop(chance, service, set_up):
    cycle = busy_cycle(2.0, chance, 2 * service, 2 * set_up)
    items, wait = looped(2.0, chance, 2 * service, 2 * set_up)
    assert cycle.items == pytest.approx(items, rel=0.03)
    assert cycle.wait == pytest.approx(wait, rel=0.05)


def test_a_rare_stream_is_that_of_the_literature():
    """Poisson arrivals, deterministic service and set-up (Welch, Operations Research 1964): the limit of rare ticks."""
    rate, service, set_up = 0.4, 1.0, 0.7
    cycle = busy_cycle(1e-3, rate * 1e-3, service, set_up)
    assert cycle.items == pytest.approx((1 + rate * set_up) / (1 - rate * service), rel=2e-3)
    wait = rate * service**2 / (2 * (1 - rate * service))
    wait += (2 * set_up + rate * set_up**2) / (2 * (1 + rate * set_up))
    assert cycle.wait == pytest.approx(wait, rel=5e-3)


random_stage = st.tuples(
    st.floats(0.1, 10), st.floats(0.02, 0.75), st.floats(0, 20), st.floats(0.01, 3), st.floats(0, 2)
)  # fmt: skip
"""Energy, utilisation, energy per wake-up, time per wake-up, power asleep."""
share = st.floats(0.02, 0.6)
TO_WAKE = ("wake_up_rate", "queue", "sleep_share", "power")


@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.lists(random_stage, min_size=2, max_size=3), st.lists(share, min_size=6, max_size=6), st.floats(0.01, 0.5))
def test_events_one_by_one_agree_with_the_closed_form(stages, shares, event_rate):
    count = len(stages)
    # The first stage is ready for each item; what it passes on may wait at the next.
    stages[0] = (*stages[0][:SET_UP], 0.03, stages[0][SLEEP])
    empty = load(stages, np.add(shares[:count], 0.3), shares[3 : 3 + count], event_rate=event_rate)
    costs = [(one[0], one[1] / reach, *one[2:]) for one, reach in zip(stages, empty.reach, strict=False)]
    case = load(costs, empty.event_pass, empty.background_pass, event_rate=event_rate)
    expected = averages(case)
    np.testing.assert_allclose(expected.utilisation, [one[1] for one in stages])
    runs = [simulate(case, 1000.0, np.random.default_rng([7, run])) for run in range(5)]
    # What waits at a stage in the middle bunches what the next one gets, which the closed form leaves out.
    bunched = count == 3 and costs[1][SERVICE] + costs[1][SET_UP] > 1.0
    for name in ("item_rate", "utilisation", *TO_WAKE):
        found = np.stack([getattr(run, name) for run in runs])
        mean, error = found.mean(0), found.std(0, ddof=1) / np.sqrt(len(runs))
        # Five runs tell their own spread badly (Student's t at 1e-4 is 8.6); all begin with nothing waiting.
        allowed = 8.6 * error + 5e-3 * np.abs(mean) + 1e-3
        known = slice(2 if bunched and name in TO_WAKE else None)
        assert np.all(np.abs(mean - getattr(expected, name))[known] <= allowed[known]), name


def test_bunching_behind_a_waiting_stage_is_small():
    """The one approximation of the closed form: wake-ups of a third stage behind a second one with a queue."""
    costs = [(1.0, 0.5, 0.0, 0.0, 0.1), (1.0, 2.2, 1.0, 0.7, 0.1), (1.0, 1.3, 10.0, 0.4, 0.1)]
    case = load(costs, [0.4, 0.6, 1.0], [0.25, 0.5, 1.0])
    expected = averages(case)
    runs = [simulate(case, 10_000.0, np.random.default_rng([3, run])) for run in range(2)]
    assert np.mean([run.wake_up_rate[1] for run in runs]) == pytest.approx(expected.wake_up_rate[1], rel=0.02)
    assert np.mean([run.wake_up_rate[2] for run in runs]) == pytest.approx(expected.wake_up_rate[2], rel=0.2)
    assert np.mean([run.power.sum() for run in runs]) == pytest.approx(expected.power.sum(), rel=0.1)


def test_when_all_items_pass_the_energies_of_the_stages_add_up():
    costs = [(2.0, 0.2, 0.0, 0.0, 0.0), (3.0, 0.3, 0.0, 0.0, 0.0), (5.0, 0.1, 0.0, 0.0, 0.0)]
    case = load(costs, [1.0] * 3, [1.0] * 3, item_rate=0.5, event_rate=0.01)
    assert averages(case).power.sum() == pytest.approx(0.5 * (2.0 + 3.0 + 5.0))
    simulated = simulate(case, 1000.0, np.random.default_rng(0))
    assert simulated.power.sum() == pytest.approx(0.5 * (2.0 + 3.0 + 5.0), rel=1e-2)


def test_overload_is_told_with_its_queue():
    cascade = stated_cascade(rate=1e9, other_power={"sensor": 1e-3})
    result = amsim.evaluate_cascade(cascade, event_rate=10.0)
    assert bool(result.overload.sel(stage="first"))
    service = float(result.service_time.sel(stage="first"))
    growth = float(result.queue_growth.sel(stage="first"))
    assert growth == pytest.approx(1e9 - 1 / service)
    assert "'first' is overloaded" in result.remarks
    assert f"{growth:.3g} items per second" in result.remarks
    assert np.isinf(result.detection_latency)
    # What waits for ever is missed too.
    assert float(result.miss_rate) > 1 - 0.9 * 0.8

    costs = [(1.0, 2.5, 0.0, 0.0, 0.1), (1.0, 3.0, 0.0, 0.0, 0.1)]
    case = load(costs, [1.0, 1.0], [0.5, 0.5], event_rate=0.0)
    simulated, expected = simulate(case, 2000.0, np.random.default_rng(0)), averages(case)
    np.testing.assert_allclose(simulated.queue_left[0], expected.queue_growth[0] * 2000.0, rtol=1e-2)
    np.testing.assert_allclose(simulated.item_rate[1], expected.item_rate[1], rtol=5e-2)


def test_parts_of_power_by_hand():
    cascade = stated_cascade(wake_up_energy=2e-6, wake_up_latency=1e-4, retention_leakage=3e-6)
    result = amsim.evaluate_cascade(cascade, event_rate=5.0)
    one = result.sel(stage="second")
    rate = 5.0 * 0.9 + 95.0 * 0.1
    assert float(one.item_rate) == pytest.approx(rate)
    parts = one.power.to_series()
    assert parts["inference"] == pytest.approx(rate * float(one.inference_energy))
    leaked = float(one.wake_up_energy) - 2e-6
    assert leaked == pytest.approx(1e-4 * float(cascade.stages[1].accelerator.idle_leakage), rel=1e-3)
    assert parts["wake_up"] == pytest.approx(rate * float(one.wake_up_energy))
    asleep = 1 - rate * float(one.service_time + one.wake_up_time)
    assert parts["sleep"] == pytest.approx(asleep * 3e-6)
    assert float(result.miss_rate) == pytest.approx(1 - 0.9 * 0.8)
    assert float(result.false_alarm_rate) == pytest.approx(95.0 * 0.1 * 0.05)
    assert float(result.energy_per_event.sum()) == pytest.approx(float(result.cascade_power) / 5.0)


def test_lost_memory_is_reloaded_at_each_wake_up():
    dram = amsim.circuits.Dram.standard("LPDDR4")
    kept = amsim.evaluate_cascade(stated_cascade(), event_rate=5.0)
    lost = amsim.evaluate_cascade(stated_cascade(keeps_memory=False, reload_from=dram), event_rate=5.0)
    bits = float(kept.stored_bits.sel(stage="second"))
    assert bits > 0
    second = lost.sel(stage="second")
    memory = stated_cascade().stages[1].accelerator.weight_memory
    energy = bits * (float(dram.access_energy) + float(memory.write_energy(jnp.asarray(1.0))))
    assert float(second.reload_energy) == pytest.approx(energy, rel=1e-4)
    assert float(second.power.sel(part="reload")) == pytest.approx(float(second.wake_up_rate) * energy, rel=1e-4)
    assert float(second.wake_up_time) >= bits / float(dram.channel.bandwidth) * 0.999
    assert float(second.sleep_power) == 0.0 < float(kept.sleep_power.sel(stage="second"))


def test_half_the_time_half_the_power_and_twice_the_misses():
    cascade = stated_cascade()
    full, half = (amsim.evaluate_cascade(cascade, event_rate=5.0, duty_cycle=duty) for duty in (1.0, 0.5))
    inference = full.power.sel(part="inference"), half.power.sel(part="inference")
    np.testing.assert_allclose(inference[1], inference[0] / 2)
    assert 1 - float(half.miss_rate) == pytest.approx((1 - float(full.miss_rate)) / 2)
    assert float(half.false_alarm_rate) == pytest.approx(float(full.false_alarm_rate) / 2)


def test_results_are_labelled_and_simulated_as_they_stand():

    result = amsim.evaluate_cascade(stated_cascade(other_power={"sensor": 1e-3}), event_rate=[1.0, 5.0])
    for name in [*result.data_vars, *result.coords]:
        assert result[name].attrs["units"], name
        assert result[name].attrs["long_name"], name
    assert result.attrs["amsim_version"]
    assert float(result.average_power[0] - result.cascade_power[0]) == pytest.approx(1e-3)
    one = result.isel(event_rate=1)
    simulated = amsim.simulate_cascade(one, duration=50.0, runs=2, key=jax.random.key(3))
    assert float(simulated.average_power.mean()) == pytest.approx(float(one.average_power), rel=0.05)
    again = amsim.simulate_cascade(one, duration=50.0, runs=2, key=jax.random.key(3))
    assert simulated.identical(again)
    with pytest.raises(ValueError, match=r"`result` must be for one event_rate"):
        amsim.simulate_cascade(result, key=jax.random.key(0))


@pytest.mark.usefixtures("as_a_user_runs_it")
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"event_rate": 101.0}, r"`event_rate` must be at most the 100 items per second"),
        ({"event_rate": -1.0}, r"`event_rate` must be one number or a list, finite and at least 0"),
        ({"event_rate": None}, r"`event_rate` must be events per second where no data say how many"),
        ({"duty_cycle": 0.0, "event_rate": 1.0}, r"`duty_cycle`"),
        ({"data": (np.ones((2, 3)), np.arange(2)), "event_rate": 1.0}, r"`data` must be None .* as 'first' does"),
    ],
)
def test_wrong_streams_are_refused_by_name(wrong, text):
    with pytest.raises(ValueError, match=text):
        amsim.evaluate_cascade(stated_cascade(), **wrong)


def test_wrong_stages_are_refused_by_name():
    with pytest.raises(ValueError, match=r"`rate` of stage 'second' must be at most .* but is 1e\+12"):
        amsim.evaluate_cascade(stated_cascade(rate=1.0).__class__(
            [stated_cascade().stages[0], dataclasses.replace(stated_cascade().stages[1], rate=1e12)]
        ), event_rate=1.0)  # fmt: skip
    with pytest.raises(ValueError, match=r"`threshold` must be finite, but is nan"):
        dataclasses.replace(stated_cascade().stages[0], threshold=float("nan"))
    with pytest.raises(ValueError, match=r"`rate` of the first stage 'second'"):
        amsim.Cascade(stated_cascade().stages[1:])
    with pytest.raises(ValueError, match=r"`stages` must have a name of its own"):
        amsim.Cascade([stated_cascade().stages[0]] * 2)
    with pytest.raises(ValueError, match=r"`thresholds` must have one for each of 2 stages, but has 1"):
        stated_cascade().with_thresholds([0.0])


def test_a_missing_simulator_says_what_installs_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "simpy", None)
    case = load([(1.0, 0.5, 0.0, 0.0, 0.1)], [1.0], [0.5])
    with pytest.raises(ImportError, match=r"pip install 'amsim\[cascades\]'"):
        simulate(case, 1.0, np.random.default_rng(0))
