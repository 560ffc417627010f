"""A cascade on data or on a stated stream: decisions, power, energy per event, latency and memory."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray

from amsim.cascade.chain import Cascade
from amsim.cascade.gating import Decisions, gated_decisions, stage_arguments
from amsim.cascade.stage import Stage, StatedDetector
from amsim.cascade.stage_cost import StageCost, paced, stage_cost
from amsim.cascade.stream import check_event_rates
from amsim.cascade.stream_result import pass_rates, remarks, stream_result, with_decisions
from amsim.circuits.checks import at_least_one, number_between, one_key, part_of
from amsim.datasets.check import LabelledData, labelled_items
from amsim.datasets.inputs import items_at
from amsim.datasets.split import Split
from amsim.deployment.chip import Chip
from amsim.deployment.front_door import deploy
from amsim.noise.random import numbered_keys
from amsim.progress import COMPILING, Progress, check_progress, reporting
from amsim.results.provenance import described, key_words, versions

COST_ITEMS = 64
"""Items whose activity a stage's cost is computed from, the first of the data."""


def evaluate_cascade(
    cascade: Cascade,
    data: LabelledData | None = None,
    *,
    event_rate: ArrayLike | Sequence[float] | None = None,
    duty_cycle: float = 1.0,
    dies: int | None = None,
    key: PRNGKeyArray | None = None,
    batch: int = 250,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Decisions of a cascade on labelled items, and its average power, energy, latency and memory over a stream.

    A stage computes only what all stages before passed. The stream has items at even intervals, as many per second as
    the first stage's `rate`, of which some are true events, each one item; a stage passes as many of either kind as it
    does in the data, or as its `StatedDetector` states. Its averages are those of `amsim.cascade.closed_form`, which
    `amsim.simulate_cascade` checks item by item.

    Args:
        cascade: The stages.
        data: Inputs, and labels of 1 for a true event and 0 for background: a `Split` or a tuple (inputs, labels).
            None where all stages state their rates.
        event_rate: True events per second, 1/s, one number or a list. None: their share in the data at the rate of the
            first stage.
        duty_cycle: Fraction of the items, and of the events among them, that the cascade looks at, evenly spread; the
            others are never seen and their events count as missed.
        dies: Number of dies of each chip that are drawn with `key`; None evaluates the chips on their own dies.
        key: Draws the reads, and the dies if asked for; None is no dynamic noise.
        batch: Items computed at once.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies).

    Returns:
        Dataset. By `stage`: the costs of `amsim.cascade.StageCost`, `threshold`, `event_pass`, `background_pass`, and
        over the stream `power` (stage, part) in W, `item_rate`, `utilisation`, `wake_up_rate`, `sleep_share`,
        `latency`, `queue`, `queue_growth`, `overload` and `energy_per_event`; in total `cascade_power`, `average_power`
        with `other_power` (other), `total_energy_per_event`, `detection_latency`, `miss_rate`, `false_alarm_rate`
        (1/s). With data `decision` (item), `reached` (item), `label` (item), `computed` (stage) and 95 % intervals.
        Also over `event_rate` where several are given, and over `die`. Attribute `remarks` names overloaded stages and
        stages that decide nothing.

    Raises:
        ValueError: No cascade, data for stages that state their rates or none for chips, labels of another kind, shapes
            that do not fit a stage, rates or counts out of range, or dies without a key; the text names the stage.
    """
    _check_settings(cascade, duty_cycle, dies, key, batch)
    check_progress(progress)
    split = checked_data(cascade, data)
    if dies is not None and split is None:
        raise ValueError(f"Argument `dies` must be None where all stages state their rates, but is {dies}.")
    if dies is not None and key is None:
        raise ValueError("Argument `key` must be given to draw dies, but is None.")
    offered = cascade.watch_rate
    if event_rate is None and split is None:
        raise ValueError("Argument `event_rate` must be events per second where no data say how many, but is None.")
    share = 0.0 if split is None else float(np.mean(split.labels))
    rates = check_event_rates(share * offered if event_rate is None else event_rate, offered)
    costs = cascade_costs(cascade, split)
    if split is None:
        stated = [(one.chip.recall, one.chip.false_positive_rate) for one in cascade.stages]
        result = stream_result(cascade, costs, [np.asarray(stated, float).T], rates, duty_cycle)
    else:
        found = _on_data(cascade, split, dies, key, batch, progress)
        labels = np.asarray(split.labels)
        passes = [pass_rates(one, labels) for one in found]
        result = stream_result(cascade, costs, passes, rates, duty_cycle)
        result = with_decisions(result, found, labels)
    result = result if dies is not None else result.isel(die=0, drop=True)
    result = result if rates.ndim else result.isel(event_rate=0)
    hardware = [stage.accelerator for stage in cascade.stages]
    return result.assign_attrs(
        **({} if key is None else {"key": key_words(key)}),
        hardware=described(hardware),
        remarks=remarks(result),
        **versions(),
    )


def _check_settings(
    cascade: Cascade, duty_cycle: float, dies: int | None, key: PRNGKeyArray | None, batch: int
) -> None:
    part_of("cascade", cascade, Cascade)
    number_between("duty_cycle", duty_cycle, 1e-9, 1.0)
    at_least_one(batch=batch)
    if key is not None:
        one_key("key", key)
    if dies is not None:
        at_least_one(dies=dies)


def _on_data(
    cascade: Cascade,
    split: Split,
    dies: int | None,
    key: PRNGKeyArray | None,
    batch: int,
    progress: bool | Progress | None,
) -> list[Decisions]:
    """Decisions on the items, those of each die."""
    found = []
    with reporting(progress) as report:
        report(COMPILING, 0, dies or 1)
        for one, read in populations(cascade, dies, key):
            found.append(gated_decisions(one, split.inputs, key=read, batch=batch))
            report("dies", len(found), dies or 1)
    return found


def cascade_costs(cascade: Cascade, data: Split | None = None) -> tuple[StageCost, ...]:
    """Costs of the stages; those of chips with the activity of the first items of the data.

    Raises:
        ValueError: As `amsim.cascade.stage_cost`; the text names the stage.
    """
    return paced_costs(cascade, [cost_on_data(stage, data) for stage in cascade.stages])


def cost_on_data(stage: Stage, data: Split | None) -> StageCost:
    """Costs of a stage wherever it stands, with the activity of the first items of the data."""
    arguments = None
    if isinstance(stage.chip, Chip):
        assert data is not None
        arguments = stage_arguments(stage, items_at(data.inputs, slice(COST_ITEMS)))
    return stage_cost(stage, arguments)


def paced_costs(cascade: Cascade, costs: Sequence[StageCost]) -> tuple[StageCost, ...]:
    """Costs of the stages at their paces; the first one takes items as they are offered.

    Raises:
        ValueError: A pace above what the stage sustains.
    """
    first, *later = zip(cascade.stages, costs, strict=True)
    return (first[1], *(paced(stage, cost) for stage, cost in later))


def checked_data(cascade: Cascade, data: Any, argument: str = "data") -> Split | None:
    """Data with labels 0 and 1, which all stages can decide on; None where all stages state their rates."""
    stating = [stage.name for stage in cascade.stages if isinstance(stage.chip, StatedDetector)]
    if data is None:
        if len(stating) < len(cascade.stages):
            name = next(stage.name for stage in cascade.stages if stage.name not in stating)
            raise ValueError(
                f"Argument `{argument}` must be labelled items for the chip of stage {name!r}, but is None."
            )
        return None
    if stating:
        raise ValueError(
            f"Argument `{argument}` must be None for a cascade whose stages state their rates, as {stating[0]!r} does; "
            "a chip of `amsim.deploy` decides on data."
        )
    split = labelled_items(argument, data)
    labels = np.asarray(split.labels)
    if labels.ndim != 1 or not np.all((labels == 0) | (labels == 1)) or len(np.unique(labels)) < 2:
        raise ValueError(
            f"Argument `{argument}` must have labels of 1 for true events and of 0 for background, one per item and at "
            "least one of each."
        )
    return Split(split.inputs, labels.astype(int))


def populations(
    cascade: Cascade, dies: int | None, key: PRNGKeyArray | None
) -> Iterator[tuple[Cascade, PRNGKeyArray | None]]:
    """The cascade on each die, with the key of its read; on its own dies where none are to be drawn."""
    if dies is None or key is None:
        yield cascade, key
        return
    die_key, read_key = jax.random.split(key)
    for one, read in zip(numbered_keys(die_key, dies), numbered_keys(read_key, dies), strict=True):
        keys = jax.random.split(one, len(cascade.stages))
        stages = [_on_die(stage, each) for stage, each in zip(cascade.stages, keys, strict=True)]
        yield dataclasses.replace(cascade, stages=tuple(stages)), read


def _on_die(stage: Stage, key: PRNGKeyArray) -> Stage:
    chip = stage.chip
    assert isinstance(chip, Chip)
    drawn = deploy(
        chip.function, chip.params, chip.accelerator, key=key, calibration=chip.calibration,
        decision_rule=chip.decision_rule,
    )  # fmt: skip
    return dataclasses.replace(stage, chip=drawn)
