"""Accuracy on dies and items met in training, beside dies and items never met."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, number_between, one_key, shown
from amsim.datasets.check import LabelledData, class_items
from amsim.deployment.front_door import check_deployable
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.accuracy import accuracy_on_dies
from amsim.evaluation.answers import check_answers
from amsim.evaluation.quantities import LABELS
from amsim.noise.random import numbered_keys
from amsim.progress import Progress, check_progress, in_part, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.statistics.intervals import MeanInterval, interval_variables, mean_interval, yield_interval


def unseen_dies_report(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    test: LabelledData,
    *,
    key: PRNGKeyArray,
    train: LabelledData | None = None,
    seen: Sequence[PRNGKeyArray | None] = (),
    dies: int = 16,
    reads: int = 1,
    accuracy_limit: float | None = None,
    calibration: Calibration | None = None,
    batch: int = 250,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Accuracy by dies (seen or unseen in training) and by items (of the training or the test data).

    A die is judged by its mean over reads. Where dies and reads do not differ, one die stands for all.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        test: Labelled items that training has not met, as `amsim.evaluate` takes them.
        key: Draws the unseen dies and all reads; die `n` is the same for any number of dies and any parameters.
        train: Items that training has met; None leaves them out.
        seen: Keys of the dies that training has met, as `amsim.deploy` takes them; None is the nominal macros.
        dies: Number of unseen dies.
        reads: Passes over the items on each die.
        accuracy_limit: Accuracy that a good die reaches, 0 to 1; None leaves the yield out.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`.
        batch: Inputs computed at once; bounds the memory and changes nothing else, as in `amsim.evaluate`.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies) over all parts
            and data.

    Returns:
        Dataset with `accuracy` (part, data, die, read), NaN where a part has fewer dies, its mean over dies with the
        95 % interval of that mean, `accuracy_worst`, and with a limit the `yield` with its exact 95 % interval, all
        (part, data).

    Raises:
        ValueError: No items or others than `amsim.evaluate` takes, a count below 1, a limit outside 0..1, or a key
            that is not typed.
        amsim.DeploymentError: The network does not fit the hardware.
    """
    check_progress(progress)
    at_least_one(dies=dies, reads=reads, batch=batch)
    one_key("key", key)
    if not isinstance(seen, Sequence) or isinstance(seen, str | bytes):
        raise ValueError(f"Argument `seen` must be a list of keys of dies, but is {shown(seen)}.")
    for die in seen:
        if die is not None:
            one_key("seen", die)
    if accuracy_limit is not None:
        number_between("accuracy_limit", accuracy_limit, 0.0, 1.0)
    given = {"test": test} if train is None else {"train": train, "test": test}
    splits = {name: class_items(name, items) for name, items in given.items()}
    accelerator = check_deployable(fn, params, hardware, calibration=calibration)
    check_answers(fn, params, batch, **splits)
    die_key, read_key = jax.random.split(key)
    parts: dict[str, list[PRNGKeyArray | None]] = {"seen": list(seen)} if seen else {}
    parts["unseen"] = list(numbered_keys(die_key, dies))
    most = max(map(len, parts.values()))
    accuracy = np.full((len(parts), len(splits), most, reads), np.nan)
    total, done = len(splits) * sum(map(len, parts.values())), 0
    with reporting(progress) as report:
        for row, (part, keys) in enumerate(parts.items()):
            stream = jax.random.fold_in(read_key, 0 if part == "unseen" else 1)
            read_keys = jax.vmap(lambda one: numbered_keys(one, reads))(numbered_keys(stream, len(keys)))
            for column, (name, split) in enumerate(splits.items()):
                found = accuracy_on_dies(
                    fn, params, accelerator, split, keys, read_keys, calibration=calibration, batch=batch,
                    report=in_part(report, f"{part} dies, {name}", done, total),
                )  # fmt: skip
                accuracy[row, column, : len(keys)] = found
                done += len(keys)
    deterministic = accelerator.deterministic
    return labelled(
        {"accuracy": (("part", "data", "die", "read"), accuracy)} | _summary(accuracy, deterministic, accuracy_limit),
        {"part": list(parts), "data": list(splits), "die": np.arange(most), "read": np.arange(reads)},
        {
            "items": [len(split) for split in splits.values()],
            **provenance(key=key, accelerator=accelerator, calibration=calibration),
        }
        | ({} if accuracy_limit is None else {"accuracy_limit": float(accuracy_limit)}),
        labels=LABELS,
    )


def _summary(accuracy: np.ndarray, deterministic: bool, limit: float | None) -> dict[str, Any]:
    """Mean, worst die and yield of each part and data; missing dies are NaN."""
    dims = ("part", "data")
    by_die = [[each[~np.isnan(each)] for each in row] for row in accuracy.mean(axis=3)]
    means = [[mean_interval(each, deterministic=deterministic) for each in row] for row in by_die]
    found = interval_variables("accuracy", means, dims)
    found["accuracy_worst"] = (dims, np.array([[each.min() for each in row] for row in by_die]))
    if limit is None:
        return found
    good = [[_yield(each, limit, deterministic) for each in row] for row in by_die]
    return found | interval_variables("yield", good, dims, mean="yield")


def _yield(by_die: np.ndarray, limit: float, deterministic: bool) -> MeanInterval:
    passing = int(np.sum(by_die >= limit))
    if deterministic:
        return MeanInterval(*[float(passing > 0)] * 3)
    return yield_interval(passing, len(by_die))
