"""Average power, load and latency of a cascade over a stream, in closed form.

A stage that items reach at the rate `lambda` spends `lambda E` on them, wakes `w = lambda / E[N]` times per second
(`amsim.cascade.busy_cycle`) and sleeps for the fraction `1 - lambda S - w D` of the time:

    P = lambda E_inference + w (E_wake-up + E_reload) + (1 - lambda S - w D) P_sleep

Where more comes than it can take, it never sleeps, passes on what it takes, and its queue grows by the rest.
Validity: items are independent, at even intervals; what passes is a Bernoulli stream at the ticks of the first stage.
Exact for the first two stages, and for a later one where no stage before it lets items wait; elsewhere queues of
earlier stages change the gaps between its items, hence its wake-ups and its wait, but not its inferences. Behind a
stage that is busy seven tenths of the time, wake-ups of the next one came out a seventh too few.
"""

import math
from typing import NamedTuple

import numpy as np

from amsim.cascade.busy_cycle import BusyCycle, busy_cycle
from amsim.cascade.stage_cost import StageCost
from amsim.cascade.stream import Load
from amsim.circuits.checks import part_of

FULL = 1 + 1e-6
"""Utilisation above which a stage is overloaded; just above 1 so that a stage at its limit survives rounding."""


class Averages(NamedTuple):
    """Averages over a long stream; arrays of shape (stages,) but for the powers, (stages, parts).

    Attributes:
        power: Average power by part, W.
        item_rate: Items that reach a stage per second, 1/s.
        utilisation: Time that the items of a second would take to compute, 1; above 1 it is overloaded.
        wake_up_rate: Wake-ups per second, 1/s.
        sleep_share: Fraction of the time asleep, 1.
        latency: Mean time from reaching a stage to its decision, s; infinite where it is overloaded.
        queue: Mean number of items that wait for a stage, 1; infinite where it is overloaded.
        queue_growth: Items per second by which its queue grows, 1/s.
    """

    power: np.ndarray
    item_rate: np.ndarray
    utilisation: np.ndarray
    wake_up_rate: np.ndarray
    sleep_share: np.ndarray
    latency: np.ndarray
    queue: np.ndarray
    queue_growth: np.ndarray


def averages(load: Load) -> Averages:
    """Averages of a cascade over a stream, see the head of this file.

    Raises:
        ValueError: No `Load`.
    """
    part_of("load", load, Load)
    period, reach = 1.0 / load.item_rate, load.reach
    # Fraction of the items that reach a stage of those at the ticks: an overloaded stage passes on at its own pace.
    found = []
    chance = 1.0
    for number, cost in enumerate(load.costs):
        row = _stage_averages(cost, period, chance)
        found.append(row)
        if row.queue_growth > 0:
            period, chance = cost.service_time, 1.0
        passed = reach[number + 1] / reach[number] if reach[number] > 0 else 0.0
        chance *= passed
    return Averages(*(np.asarray(column, float) for column in zip(*found, strict=True)))


def _stage_averages(cost: StageCost, period: float, chance: float) -> Averages:
    rate = chance / period
    use = rate * cost.service_time
    if use > FULL:
        served = 1.0 / cost.service_time
        powers = np.array([served * cost.inference_energy, 0.0, 0.0, 0.0])
        return _as_row(powers, rate, use, 0.0, 0.0, math.inf, math.inf, rate - served)
    cycle = BusyCycle(1.0, cost.wake_up_time)
    if chance > 0:
        cycle = busy_cycle(period, min(chance, 1.0), cost.service_time, cost.wake_up_time)
    wakes = rate / cycle.items
    asleep = max(1.0 - use - wakes * cost.wake_up_time, 0.0)
    each = (cost.inference_energy, cost.wake_up_energy, cost.reload_energy, cost.sleep_power)
    powers = np.array([rate, wakes, wakes, asleep]) * each
    latency = cycle.wait + cost.service_time
    return _as_row(powers, rate, use, wakes, asleep, latency, rate * cycle.wait, 0.0)


def _as_row(*values: np.ndarray | float) -> Averages:
    """Averages of one stage, arrays without axes but for the powers."""
    return Averages(*map(np.asarray, values))
