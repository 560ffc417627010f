"""Thresholds of least average power within limits on misses and false alarms, on the scores of given items.

A smooth objective first: the logarithm of `amsim.cascade.relaxed_power` and quadratic penalties of what is above its
limit, by L-BFGS with gradients of JAX, at ever narrower thresholds and from several starts. Then exact coordinate
search on hard decisions: each threshold in turn takes the best of the places between two scores, and any two of them
together where no one alone improves.
"""

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import optimize

from amsim.cascade.closed_form import FULL
from amsim.cascade.relaxation import SmoothCosts, relaxed_power, soft_reach
from amsim.cascade.stage_cost import StageCost

WIDTHS = (0.5, 0.15, 0.05)
"""Widths of the soft thresholds, one search after another, in standard deviations of a stage's scores."""

STARTS = (0.0, 0.3, 0.6, 0.9)
"""Starts: thresholds at these fractions of the limit on misses, as quantiles of the events' scores of every stage."""

PENALTY = 30.0
"""Weight of the squared excess of misses and false alarms, relative to their limits, beside the logarithm of power."""

PLACES = 400
"""Most places between two scores that a threshold is tried at."""

PAIRED = 60
"""Most places of each of two thresholds that are moved at once."""

ROUNDS = 20
"""Most rounds of the exact search."""


class Task(NamedTuple):
    """What thresholds are chosen for.

    Attributes:
        costs: Costs of the stages.
        scores: Scores of every stage on every item, shape (stages, items).
        labels: 1 for a true event, 0 for background, shape (items,).
        item_rate: Items per second that the first stage takes.
        event_rate: True events per second among them.
        miss_rate: Limit on the fraction of the events that are missed.
        false_alarm_rate: Limit on the false alarms per second.
    """

    costs: tuple[StageCost, ...]
    scores: Float[np.ndarray, "stages items"]
    labels: Int[np.ndarray, " items"]
    item_rate: float
    event_rate: float
    miss_rate: float
    false_alarm_rate: float

    @property
    def background_rate(self) -> float:
        """Background items per second."""
        return self.item_rate - self.event_rate


class Found(NamedTuple):
    """Thresholds and what they do on the items that they were chosen on.

    Attributes:
        thresholds: Thresholds, shape (stages,).
        power: Average power of the stages, W.
        miss_rate: Fraction of the events that are missed.
        false_alarm_rate: False alarms per second.
        excess: How far the limits are missed, 0 where they are met.
    """

    thresholds: np.ndarray
    power: float
    miss_rate: float
    false_alarm_rate: float
    excess: float

    @property
    def order(self) -> tuple[float, float]:
        """Less is better: limits first, then power."""
        return self.excess, self.power


def search_thresholds(task: Task) -> Found:
    """Thresholds of least power within the limits, or those that come closest to them; see the head of this file."""
    center, spread = task.scores.mean(axis=1), np.maximum(task.scores.std(axis=1), 1e-9)
    found = [judged(task, one * spread + center) for one in _smooth_candidates(task, center, spread)]
    found.sort(key=_order)
    return min((_polished(task, one) for one in found[:2]), key=_order)


def judged(task: Task, thresholds: np.ndarray) -> Found:
    """Hard decisions at these thresholds."""
    return judge_several(task, np.asarray(thresholds, float)[None])[0]


def judge_several(task: Task, thresholds: np.ndarray) -> list[Found]:
    """Hard decisions at several sets of thresholds, shape (sets, stages)."""
    passing = task.scores[None] > thresholds[:, :, None]
    reach = np.concatenate([np.ones_like(passing[:, :1]), np.logical_and.accumulate(passing, axis=1)], axis=1)
    events, background = reach[:, :, task.labels == 1].mean(2), reach[:, :, task.labels == 0].mean(2)
    rates = (task.event_rate * events + task.background_rate * background)[:, :-1]
    each, service, awake, sleeping = (
        np.array([column(one) for one in task.costs])
        for column in (
            lambda one: one.inference_energy + one.wake_up_energy + one.reload_energy,
            lambda one: one.service_time,
            lambda one: one.service_time + one.wake_up_time,
            lambda one: one.sleep_power,
        )
    )
    power = np.sum(rates * each + np.maximum(1 - rates * awake, 0) * sleeping, axis=1)
    misses, alarms = 1 - events[:, -1], task.background_rate * background[:, -1]
    excess = np.maximum(misses - task.miss_rate, 0) + np.maximum(alarms - task.false_alarm_rate, 0) / max(
        task.background_rate, 1e-30
    )
    # An overloaded stage leaves events waiting for ever.
    excess = excess + np.maximum(np.max(rates * service, axis=1) - FULL, 0)
    rows = zip(thresholds, power, misses, alarms, excess, strict=True)
    return [Found(one, *map(float, numbers)) for one, *numbers in rows]


def _smooth_candidates(task: Task, center: np.ndarray, spread: np.ndarray) -> list[np.ndarray]:
    """Thresholds in standard deviations that the smooth search passes through."""
    scaled = (task.scores - center[:, None]) / spread[:, None]
    objective = _objective(
        SmoothCosts.of(task.costs), jnp.asarray(scaled, float), jnp.asarray(task.labels, float),
        jnp.asarray([task.item_rate, task.event_rate / task.item_rate, task.miss_rate, task.false_alarm_rate], float),
    )  # fmt: skip
    found = []
    for share in STARTS:
        # At the least score, rounding could put an event on the wrong side.
        place = np.quantile(scaled[:, task.labels == 1], share * task.miss_rate, axis=1) - 1e-3
        for width in WIDTHS:
            bounds = [(float(one.min()) - 1, float(one.max()) + 1) for one in scaled]
            answer = optimize.minimize(
                lambda at, width=width: _as_float64(objective(jnp.asarray(at, float), jnp.asarray(width, float))),
                place, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60},
            )  # fmt: skip
            found += [place, answer.x]
            place = answer.x
    return found


def _objective(costs: SmoothCosts, scores: Array, labels: Array, numbers: Array):
    """Value and gradient of the smooth objective as a function of thresholds and their width."""
    return jax.jit(partial(jax.value_and_grad(_penalised_power, argnums=4), costs, scores, labels, numbers))


def _penalised_power(
    costs: SmoothCosts, scores: Array, labels: Array, numbers: Array, thresholds: Array, width: Array
) -> Array:
    item_rate, share, miss_limit, alarm_limit = jnp.unstack(numbers)
    reach = soft_reach(scores, thresholds, jnp.full_like(thresholds, width))
    power = relaxed_power(costs, reach, labels, item_rate=item_rate, event_share=share)
    misses = 1 - jnp.sum(reach[-1] * labels) / jnp.sum(labels)
    background = jnp.sum(1 - labels)
    alarms = item_rate * (1 - share) * jnp.sum(reach[-1] * (1 - labels)) / background
    # Half an item is what a sample can tell.
    finest = item_rate * (1 - share) * 0.5 / background
    over = jnp.maximum(misses - miss_limit, 0) / jnp.maximum(miss_limit, 0.5 / jnp.sum(labels))
    above = jnp.maximum(alarms - alarm_limit, 0) / jnp.maximum(alarm_limit, finest)
    return jnp.log(power) + PENALTY * (over**2 + jnp.log1p(above) ** 2)


def _as_float64(answer: tuple[Array, Array]) -> tuple[float, np.ndarray]:
    return float(answer[0]), np.asarray(answer[1], np.float64)


def _polished(task: Task, start: Found) -> Found:
    """Exact search along one threshold after another."""
    places, coarse = ([_places(one, most) for one in task.scores] for most in (PLACES, PAIRED))
    best = start
    for _ in range(ROUNDS):
        before = best.order
        for stage, tried in enumerate(places):
            best = _best_along(task, best, stage, tried)
        if best.order == before:
            # Limits that one threshold alone cannot keep: two at once.
            for first, second in itertools.permutations(range(len(places)), 2):
                for place in coarse[first]:
                    moved = best.thresholds.copy()
                    moved[first] = place
                    best = min(best, _best_along(task, judged(task, moved), second, coarse[second]), key=_order)
        if best.order == before:
            break
    return best


def _best_along(task: Task, start: Found, stage: int, places: np.ndarray) -> Found:
    """The best of several places of one threshold, and of where it is."""
    several = np.repeat(start.thresholds[None], len(places), axis=0)
    several[:, stage] = places
    return min([start, *judge_several(task, several)], key=_order)


def _order(found: Found) -> tuple[float, float]:
    return found.order


def _places(scores: np.ndarray, most: int) -> np.ndarray:
    """Places between two neighbouring scores, and one below all of them; of many, an even choice by rank."""
    ordered = np.unique(scores)
    between = np.concatenate([[ordered[0] - 1.0], (ordered[1:] + ordered[:-1]) / 2])
    if len(between) <= most:
        return between
    return between[np.unique(np.linspace(0, len(between) - 1, most).round().astype(int))]
