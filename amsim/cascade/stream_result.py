"""A cascade over streams as a labelled Dataset: averages, misses, false alarms, and what to be told of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from amsim.cascade.chain import Cascade
from amsim.cascade.closed_form import Averages, averages
from amsim.cascade.gating import Decisions
from amsim.cascade.quantities import LABELS
from amsim.cascade.stage_cost import StageCost
from amsim.cascade.stream import COSTS, PARTS, Load
from amsim.results.labelled import labelled
from amsim.statistics.intervals import proportion_interval


def pass_rates(decisions: Decisions, labels: np.ndarray) -> np.ndarray:
    """Fractions of the events, and of the background, at each stage that it passes, shape (2, stages).

    A stage that no such item reached passes none of them in the data; as a rate it is 0.
    """
    reached = np.concatenate([np.ones_like(decisions.passed[:1]), decisions.passed[:-1]])
    found = np.zeros((2, len(reached)))
    for row, kind in enumerate((labels == 1, labels == 0)):
        counts, passing = reached[:, kind].sum(1), decisions.passed[:, kind].sum(1)
        found[row] = np.divide(passing, counts, out=np.zeros(len(counts)), where=counts > 0)
    return found


def stream_result(
    cascade: Cascade,
    costs: Sequence[StageCost],
    passes: Sequence[np.ndarray],
    event_rates: np.ndarray,
    duty_cycle: float,
) -> xr.Dataset:
    """Averages over the stream for every die and event rate.

    Args:
        cascade: The cascade.
        costs: Costs of its stages.
        passes: Pass rates of each die, as from `pass_rates`.
        event_rates: True events per second, seen or not.
        duty_cycle: Fraction of the items that are looked at.

    Returns:
        Dataset over `die`, `event_rate`, `stage` and `part`, without provenance.
    """
    rates, others = np.atleast_1d(event_rates), {name: float(one) for name, one in cascade.other_power.items()}
    item_rate = cascade.watch_rate * duty_cycle
    loads = [
        [
            Load(tuple(cascade.names), tuple(costs), one[0], one[1], item_rate, rate * duty_cycle, others)
            for rate in rates
        ]
        for one in passes
    ]
    found = [[averages(load) for load in row] for row in loads]
    dims = ("die", "event_rate")
    by_stage: dict[str, Any] = {
        name: ((*dims, "stage"), np.stack([[getattr(one, name) for one in row] for row in found]))
        for name in Averages._fields
        if name != "power"
    }
    power = np.stack([[one.power for one in row] for row in found])
    cascade_power = power.sum((2, 3))
    with np.errstate(divide="ignore"):
        per_event = power.sum(3) / rates[:, None]
        total_per_event = (cascade_power + sum(others.values())) / rates
    events, background = (np.stack([one[kind] for one in passes]) for kind in (0, 1))
    seen = np.prod(events, axis=1)[:, None] * _share_served(by_stage)
    alarms = np.prod(background, axis=1)[:, None] * _share_served(by_stage) * (item_rate - rates * duty_cycle)
    variables: dict[str, Any] = {
        "power": ((*dims, "stage", "part"), power),
        "cascade_power": (dims, cascade_power),
        "average_power": (dims, cascade_power + sum(others.values())),
        **by_stage,
        "overload": ((*dims, "stage"), by_stage["queue_growth"][1] > 0),
        "energy_per_event": ((*dims, "stage"), per_event),
        "total_energy_per_event": (dims, total_per_event),
        "detection_latency": (dims, by_stage["latency"][1].sum(2)),
        "event_pass": (("die", "stage"), events),
        "background_pass": (("die", "stage"), background),
        "miss_rate": (dims, 1.0 - duty_cycle * seen),
        "false_alarm_rate": (dims, alarms),
        "offered_rate": ((), item_rate),
        "duty_cycle": ((), duty_cycle),
        "threshold": (("stage",), np.asarray(cascade.thresholds, float)),
        **{name: (("stage",), [getattr(one, name) for one in costs]) for name in COSTS},
    }
    coordinates: dict[str, Any] = {
        "die": np.arange(len(passes)), "event_rate": rates, "stage": cascade.names, "part": list(PARTS),
    }  # fmt: skip
    if others:
        coordinates["other"] = list(others)
        variables["other_power"] = (("other",), list(others.values()))
    return labelled(variables, coordinates, {}, labels=LABELS)


def _share_served(by_stage: dict[str, Any]) -> np.ndarray:
    """Fraction of the items that no overloaded stage leaves waiting for ever, shape (dies, event rates)."""
    growth, rate = by_stage["queue_growth"][1], by_stage["item_rate"][1]
    left = np.divide(growth, rate, out=np.zeros_like(growth), where=rate > 0)
    return np.prod(1.0 - left, axis=2)


def with_decisions(result: xr.Dataset, decisions: Sequence[Decisions], labels: np.ndarray) -> xr.Dataset:
    """The result with the decisions on each die, and what the number of items leaves open.

    Args:
        result: As from `stream_result`.
        decisions: Of each die.
        labels: 1 for a true event, 0 for background.
    """
    events, background = int(labels.sum()), int((labels == 0).sum())
    last = np.stack([one.passed[-1] for one in decisions])
    found = np.stack([[last_of[labels == kind].mean() for kind in (1, 0)] for last_of in last])
    misses = np.stack(proportion_interval(1 - found[:, 0], events))
    alarms = np.stack(proportion_interval(found[:, 1], background))
    rate = float(result["offered_rate"])
    seen = result["event_rate"].values * float(result["duty_cycle"])
    added = labelled(
        {
            "decision": (("die", "item"), last),
            "reached": (("die", "item"), np.stack([np.isfinite(one.scores).sum(0) for one in decisions])),
            "computed": (("die", "stage"), np.stack([one.computed for one in decisions])),
            "label": (("item",), labels),
            "miss_low": (("die",), misses[0]),
            "miss_high": (("die",), misses[1]),
            "false_alarm_high": (("die", "event_rate"), alarms[1][:, None] * (rate - seen)),
        },
        {"item": np.arange(len(labels))},
        {},
        labels=LABELS,
    )
    return result.merge(added).assign_attrs(items=len(labels), events=events)


def remarks(result: xr.Dataset) -> str:
    """Overloaded stages, each with its queue, and stages that decide nothing; one line each."""
    lines = []
    for stage in map(str, result["stage"].values):
        one = result.sel(stage=stage)
        if bool(one["overload"].any()):
            growth, use = float(one["queue_growth"].max()), float(one["utilisation"].max())
            lines.append(
                f"Stage {stage!r} is overloaded: it would have to compute for {use:.3g} s per second, and its queue "
                f"grows by up to {growth:.3g} items per second."
            )
        passing = [float(one[name].min()) for name in ("event_pass", "background_pass")]
        stopping = [float(one[name].max()) for name in ("event_pass", "background_pass")]
        if min(passing) == 1.0:
            lines.append(f"Stage {stage!r} passes every item.")
        if max(stopping) == 0.0:
            lines.append(f"Stage {stage!r} passes no item.")
    return "\n".join(lines)
