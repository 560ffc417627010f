"""Sleep, wake-up, work: the cycle of a stage that takes items one after another and sleeps when none waits.

Items may come at the ticks of a clock of period T, each with the probability p (a Bernoulli stream, as of frames that a
detector passes). The first one wakes the stage, which takes D; each takes S; the stage sleeps as soon as none waits. In
one cycle it serves N items, so that it wakes `rate / E[N]` times per second. From the length of a cycle,
`E[N] T / p = D + E[N] S + E[time until the next item]`, follows

    E[N] = (D + E[R] + T (1 - p) / p) / (T / p - S)

with R the time from the end of the work to the next tick. Where D + S <= T, N = 1. Otherwise R depends on N, whose
distribution is found service by service: a queue with batch arrivals, deterministic service and set-up times (Takagi,
"Queueing Analysis", vol. 3, discrete-time systems, has the same cycle argument).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

SURVIVING = 1e-10
"""Probability of a longer cycle at which the walk through its services ends."""

LONGEST = 20_000
"""Most services walked through: of longer cycles the time to the next tick is taken as half a period."""

SAME_TIME = 1e-9
"""Ticks closer to an event than this fraction of a period fall on it, and count as after it."""


class BusyCycle(NamedTuple):
    """Means over a cycle of a stage.

    Attributes:
        items: Items served, E[N]; infinite where the stage never sleeps.
        wait: Time that an item waits until it is taken, wake-up included, s; infinite without a stationary queue.
    """

    items: float
    wait: float


def busy_cycle(period: float, chance: float, service: float, set_up: float) -> BusyCycle:
    """Cycle of a stage, see the head of this file.

    Args:
        period: T, s.
        chance: p, above 0 and at most 1.
        service: S, s, with `chance * service < period`.
        set_up: D, s.

    Returns:
        Items per cycle and mean wait. Ticks that coincide with the end of a service count as after it.
    """
    if chance * service > period * (1 + SAME_TIME):
        return BusyCycle(math.inf, math.inf)
    if set_up + service <= period * (1 + SAME_TIME):
        return BusyCycle(1.0, set_up)
    if chance * service >= period * (1 - SAME_TIME):
        return BusyCycle(math.inf, math.inf)
    return _walk(period, chance, service, set_up)


def _ticks(time: float, period: float) -> int:
    """Ticks after 0 and before a time."""
    return max(math.ceil(time / period - SAME_TIME) - 1, 0)


def _gathered(start: float, end: float, period: float, chance: float) -> float:
    """Mean of the integral over `start..end` of the items that arrive in it, s."""
    first, last = _ticks(start, period) + 1, _ticks(end, period)
    count = last - first + 1
    return chance * (count * end - period * (first + last) * count / 2) if count > 0 else 0.0


def _walk(period: float, chance: float, service: float, set_up: float) -> BusyCycle:
    """Services one after another; `waiting[q]` is the probability that q items are there and the cycle goes on."""
    waiting = np.zeros(2)
    waiting[1] = 1.0
    waiting = _joined(waiting, _ticks(set_up, period), chance)
    item_seconds = set_up + _gathered(0.0, set_up, period, chance)
    to_tick, time, surviving, number = 0.0, set_up, 1.0, 0
    while surviving > SURVIVING and number < LONGEST:
        end = time + service
        item_seconds += float(np.arange(-1, len(waiting) - 1)[1:] @ waiting[1:]) * service
        item_seconds += surviving * _gathered(time, end, period, chance)
        arrivals = _ticks(end, period) - _ticks(time, period)
        waiting = _joined(waiting[1:], arrivals, chance)
        to_tick += float(waiting[0]) * max((_ticks(end, period) + 1) * period - end, 0.0)
        waiting[0] = 0.0
        surviving, time, number = float(waiting.sum()), end, number + 1
    to_tick += surviving * period / 2
    idle = to_tick + period * (1 - chance) / chance
    items = (set_up + idle) / (period / chance - service)
    # What is left of the longest cycles has not been walked through: their wait is that of a cycle as long as it was.
    return BusyCycle(items, item_seconds / items)


def _joined(waiting: np.ndarray, ticks: int, chance: float) -> np.ndarray:
    """Distribution of the items that are there once those of some ticks have joined."""
    if ticks == 0 or chance == 0.0:
        return waiting.copy()
    joining = stats.binom.pmf(np.arange(ticks + 1), ticks, chance)
    last = np.flatnonzero(joining > 1e-16)[-1] + 1
    found = np.convolve(waiting, joining[:last])
    kept = np.flatnonzero(found > 1e-16)
    return found[: kept[-1] + 1] if len(kept) else found[:1]
