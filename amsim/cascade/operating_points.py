"""Operating points: thresholds, supplies and arrangements of least power within limits, and their check."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from amsim.cascade.alternatives import Choices, arrangements
from amsim.cascade.chain import Cascade
from amsim.cascade.evaluating import checked_data, cost_on_data, evaluate_cascade, paced_costs
from amsim.cascade.gating import stage_keys, stage_scores
from amsim.cascade.quantities import LABELS
from amsim.cascade.stage import StatedDetector
from amsim.cascade.stage_cost import StageCost
from amsim.cascade.stream import check_event_rates
from amsim.cascade.threshold_search import Found, Task, judged, search_thresholds
from amsim.circuits.checks import at_least_one, number_between, one_key, part_of, real_numbers, some_items
from amsim.datasets.check import LabelledData
from amsim.datasets.split import Split
from amsim.results.labelled import labelled
from amsim.results.provenance import key_words, versions


class OperatingPoint(NamedTuple):
    """A cascade at its operating point.

    Attributes:
        cascade: The cascade with the thresholds, and the alternatives, that were chosen.
        report: Result of `amsim.evaluate_cascade` on the held-out items, with what was found on the others.
    """

    cascade: Cascade
    report: xr.Dataset


def operating_point(
    cascade: Cascade,
    data: LabelledData,
    *,
    miss_rate: float,
    false_alarm_rate: float,
    event_rate: float,
    held_out: LabelledData | None = None,
    choices: Choices | None = None,
    key: PRNGKeyArray | None = None,
    batch: int = 250,
) -> OperatingPoint:
    """Thresholds of least average power within limits on misses and false alarms, verified on held-out items.

    Args:
        cascade: Stages with chips; their thresholds do not matter.
        data: Labelled items, as in `amsim.evaluate_cascade`; half of them choose if nothing else is held out.
        miss_rate: Largest fraction of the true events that may be missed.
        false_alarm_rate: Largest number of false alarms per second, 1/s; one per hour is 1 / 3600.
        event_rate: True events per second, 1/s.
        held_out: Items that verify; None takes every other item of each kind from the data.
        choices: Alternatives of stages by name, such as one at other supplies (`stage_at_supply`), of other word
            lengths or circuits; None among them leaves the stage out. All combinations are tried.
        key: Draws the reads; None is no dynamic noise.
        batch: Items computed at once.

    Returns:
        Cascade and report. The report's `chosen_power`, `chosen_miss_rate` and `chosen_false_alarm_rate` are those on
        the items that chose, by `arrangement` for all combinations; attributes say which one was taken, whether both
        limits are met on the items that chose (`met`), and whether on those held out (`held`).

    Raises:
        ValueError: As `amsim.evaluate_cascade`, a limit out of range, or choices that are not stages of the cascade.

    Validity: limits are met on a sample. Its size bounds what can be told: with n background items no rate of false
    alarms below 1 / n of the items can be seen, which `false_alarm_high` shows.
    """
    _check_limits(miss_rate, false_alarm_rate, key, batch)
    part_of("cascade", cascade, Cascade)
    number_between("event_rate", event_rate, 0.0, float("inf"))
    choosing, verifying = _choosing_and_verifying(cascade, data, held_out)
    rate = float(check_event_rates(event_rate, cascade.watch_rate))
    table = _ScoreTable(choosing, key, batch)
    found = {
        label: (one, search_thresholds(table.task(one, rate, miss_rate, false_alarm_rate)))
        for label, one in arrangements(cascade, choices)
    }
    name = min(found, key=lambda label: found[label][1].order)
    chosen = found[name][0].with_thresholds(found[name][1].thresholds.tolist())
    report = evaluate_cascade(chosen, verifying, event_rate=rate, key=key, batch=batch)
    report = report.merge(_on_chosen({label: one for label, (_, one) in found.items()}))
    held = float(report["miss_rate"]) <= miss_rate and float(report["false_alarm_rate"]) <= false_alarm_rate
    limits = {"miss_limit": miss_rate, "false_alarm_limit": false_alarm_rate}
    met = found[name][1].excess == 0
    return OperatingPoint(chosen, report.assign_attrs(arrangement=name, met=int(met), held=int(held), **limits))


def power_curve(
    cascade: Cascade,
    data: LabelledData,
    *,
    miss_rates: ArrayLike | Sequence[float],
    false_alarm_rate: float,
    event_rate: ArrayLike | Sequence[float],
    held_out: LabelledData | None = None,
    choices: Choices | None = None,
    key: PRNGKeyArray | None = None,
    batch: int = 250,
) -> xr.Dataset:
    """Least average power against the limit on misses, for every arrangement and event rate.

    Args:
        cascade: As in `operating_point`.
        data: As in `operating_point`.
        miss_rates: Limits on the fraction of the true events that may be missed.
        false_alarm_rate: As in `operating_point`.
        event_rate: True events per second, one number or a list.
        held_out: As in `operating_point`.
        choices: As in `operating_point`; `{"first": [first, None]}` shows where one stage less is better.
        key: As in `operating_point`.
        batch: As in `operating_point`.

    Returns:
        Dataset over `arrangement`, `event_rate` and `miss_limit`: `average_power`, `miss_rate` and `false_alarm_rate`
        on held-out items at the thresholds found on the others, and `met` there.

    Raises:
        ValueError: As `operating_point`.
    """
    limits = np.atleast_1d(real_numbers("miss_rates", miss_rates, (0, 1)))
    some_items(miss_rates=limits)
    if np.any((limits < 0) | (limits > 1)):
        raise ValueError(
            f"Argument `miss_rates` must be from 0 to 1, but has {limits[(limits < 0) | (limits > 1)][0]}."
        )
    for limit in limits:
        _check_limits(float(limit), false_alarm_rate, key, batch)
    part_of("cascade", cascade, Cascade)
    choosing, verifying = _choosing_and_verifying(cascade, data, held_out)
    rates = np.atleast_1d(check_event_rates(event_rate, cascade.watch_rate))
    chosen_on, verified_on = _ScoreTable(choosing, key, batch), _ScoreTable(verifying, key, batch)
    found = dict(arrangements(cascade, choices))
    constant = sum(float(one) for one in cascade.other_power.values())
    shape = (len(found), len(rates), len(limits))
    names = ("average_power", "miss_rate", "false_alarm_rate", "met")
    values = {name: np.zeros(shape) for name in names}
    for place in np.ndindex(*shape):
        one = list(found.values())[place[0]]
        limits_here = (float(rates[place[1]]), float(limits[place[2]]), false_alarm_rate)
        best = search_thresholds(chosen_on.task(one, *limits_here))
        there = judged(verified_on.task(one, *limits_here), best.thresholds)
        numbers = (there.power + constant, there.miss_rate, there.false_alarm_rate, best.excess == 0)
        for name, number in zip(names, numbers, strict=True):
            values[name][place] = number
    dims = ("arrangement", "event_rate", "miss_limit")
    return labelled(
        {name: (dims, one.astype(bool) if name == "met" else one) for name, one in values.items()},
        {"arrangement": list(found), "event_rate": rates, "miss_limit": limits},
        {"false_alarm_limit": false_alarm_rate, **({} if key is None else {"key": key_words(key)}), **versions()},
        labels=LABELS,
    )


class _ScoreTable:
    """Scores and costs of stages on some items, each computed once for all arrangements that it is in."""

    def __init__(self, data: Split, key: PRNGKeyArray | None, batch: int):
        self.data, self.key, self.batch = data, key, batch
        self._scores: dict[str, np.ndarray] = {}
        self._costs: dict[str, StageCost] = {}

    def task(self, cascade: Cascade, event_rate: float, miss_rate: float, false_alarm_rate: float) -> Task:
        for stage, key in zip(cascade.stages, stage_keys(cascade, self.key), strict=True):
            if stage.name not in self._scores:
                everything = np.arange(len(self.data))
                found = stage_scores(stage, self.data.inputs, everything, key=key, batch=self.batch)
                self._scores[stage.name], self._costs[stage.name] = found, cost_on_data(stage, self.data)
        return Task(
            paced_costs(cascade, [self._costs[name] for name in cascade.names]),
            np.stack([self._scores[name] for name in cascade.names]),
            np.asarray(self.data.labels),
            cascade.watch_rate,
            event_rate,
            miss_rate,
            false_alarm_rate,
        )


def _check_limits(miss_rate: Any, false_alarm_rate: Any, key: Any, batch: Any) -> None:
    at_least_one(batch=batch)
    if key is not None:
        one_key("key", key)
    number_between("miss_rate", miss_rate, 0.0, 1.0)
    number_between("false_alarm_rate", false_alarm_rate, 0.0, float("inf"))


def _choosing_and_verifying(cascade: Cascade, data: LabelledData, held_out: LabelledData | None) -> tuple[Split, Split]:
    """Items that choose thresholds and items that verify them."""
    stating = [stage.name for stage in cascade.stages if isinstance(stage.chip, StatedDetector)]
    if stating:
        raise ValueError(
            "Argument `cascade` must have a chip at each stage, whose thresholds are chosen on data, but "
            f"{stating[0]!r} states its rates."
        )
    split = checked_data(cascade, data)
    assert split is not None
    if held_out is None:
        return _halves(split)
    check = checked_data(cascade, held_out, "held_out")
    assert check is not None
    return split, check


def _halves(data: Split) -> tuple[Split, Split]:
    """Every other item of each kind, so that both halves have as many of both as can be."""
    labels = np.asarray(data.labels)
    rank = np.zeros(len(labels), int)
    for kind in (0, 1):
        rank[labels == kind] = np.arange(np.sum(labels == kind))
    halves = data[np.flatnonzero(rank % 2 == 0)], data[np.flatnonzero(rank % 2 == 1)]
    if any(len(np.unique(half.labels)) < 2 for half in halves):
        raise ValueError(
            "Argument `data` must have at least two events and two background items, half of them to verify, or "
            "`held_out` be given."
        )
    return halves


def _on_chosen(found: Mapping[str, Found]) -> xr.Dataset:
    """What was found on the items that chose, for every arrangement."""
    names = {
        "chosen_power": "power",
        "chosen_miss_rate": "miss_rate",
        "chosen_false_alarm_rate": "false_alarm_rate",
        "chosen_excess": "excess",
    }
    return labelled(
        {name: (("arrangement",), [getattr(one, of) for one in found.values()]) for name, of in names.items()},
        {"arrangement": list(found)},
        {},
        labels=LABELS,
    )
