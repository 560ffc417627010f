"""Detection on hardware: scores and ROC area of a binary decision over a population of dies."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, one_key
from amsim.datasets.check import LabelledData, labelled_items
from amsim.datasets.inputs import Inputs, arrays_of, network_arguments
from amsim.deployment.compilation import compiled
from amsim.deployment.front_door import check_deployable, deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.accuracy import DIES
from amsim.evaluation.batches import batch_key, equal_batches, on_device
from amsim.evaluation.quantities import LABELS
from amsim.noise.random import numbered_keys
from amsim.progress import COMPILING, Progress, check_progress, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance
from amsim.statistics.intervals import interval_variables, mean_interval, roc_area, roc_area_error
from amsim.system.accelerator import Accelerator


def evaluate_detector(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: LabelledData,
    *,
    key: PRNGKeyArray,
    dies: int = 16,
    batch: int = 100,
    calibration: Calibration | None = None,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Scores of a detector on many dies, and how well they separate positive from negative items.

    Accuracy at one threshold says little about a detector, whose threshold is chosen later; the area under the ROC
    curve is the probability that a positive item scores above a negative one, at any threshold.

    Args:
        fn: Detector `fn(params, inputs) -> scores`, one or several per item of the batch, of the same shape as the
            labels: larger means more likely.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Inputs, and labels of 1 for positive and 0 for negative; items labelled -1 are left out. A `Split` or a
            tuple (inputs, labels), as in `amsim.evaluate`.
        key: Draws dies and reads; die `n` is the same for any number of dies and any other setting.
        dies: Number of dies, each read once.
        batch: Inputs computed at once; bounds the memory and changes nothing else, as in `amsim.evaluate`.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`: `amsim.calibrate(...).calibration`.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies).

    Returns:
        Dataset with `score` and `label` (die, item), `auc` (die), its mean with the 95 % interval over dies
        (`auc_mean`, `auc_low`, `auc_high`), and `auc_error`, the standard error that the finite number of items gives
        the mean (Hanley and McNeil).

    Raises:
        ValueError: No positive or no negative item, inputs that are not finite, a count below 1, a key that is not
            typed, or hardware of another type.
        amsim.DeploymentError: The network does not fit the hardware.
    """
    check_progress(progress)
    at_least_one(dies=dies, batch=batch)
    one_key("key", key)
    data = labelled_items("data", data)
    labels = data.labels
    taken = labels >= 0
    positives, negatives = _count_classes(labels)
    accelerator = check_deployable(fn, params, hardware, calibration=calibration)
    die_keys, read_keys = (numbered_keys(one, dies) for one in jax.random.split(key))
    deterministic = accelerator.deterministic
    inputs = equal_batches(data.inputs, batch)
    scores = []
    with reporting(progress) as report:
        report(COMPILING, 0, dies)
        for die in range(1 if deterministic else dies):
            found = np.asarray(_scores(fn, params, accelerator, calibration, die_keys[die], read_keys[die], inputs))
            found = found.reshape(-1, *found.shape[2:])[: len(data)]
            if found.shape != labels.shape:
                raise ValueError(
                    f"Argument `fn` must return scores of the labels' shape {labels.shape}, but has {found.shape}."
                )
            scores.append(found[taken])
            report(DIES, dies if deterministic else die + 1, dies)
    score = np.stack(scores * dies if deterministic else scores)
    truth = labels[taken]
    # A die that gives NaN tells nothing apart.
    areas = np.array([math.nan if np.isnan(one).any() else roc_area(one, truth) for one in score])
    interval = mean_interval(areas, deterministic=deterministic)
    error = math.nan if math.isnan(interval.mean) else roc_area_error(interval.mean, positives, negatives)
    return labelled(
        {
            "score": (("die", "item"), score),
            "label": (("item",), truth),
            "auc": (("die",), areas),
            **interval_variables("auc", interval._replace(high=min(interval.high, 1.0))),
            "auc_error": ((), error),
        },
        {"die": np.arange(dies), "item": np.arange(len(truth))},
        {
            "items": len(data),
            **provenance(key=key, accelerator=accelerator, calibration=calibration),
        },
        labels=LABELS,
    )


def _count_classes(labels: np.ndarray) -> tuple[int, int]:
    positives, negatives = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if not positives or not negatives or positives + negatives != np.sum(labels >= 0):
        raise ValueError("Argument `data` must have labels of 1 and of 0 (-1 is left out), and at least one of each.")
    return positives, negatives


@compiled(lambda fn, *_: fn)
def _scores(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    calibration: Calibration | None,
    die_key: PRNGKeyArray,
    read_key: PRNGKeyArray,
    inputs: Inputs,
) -> Array:
    chip = deploy(fn, params, accelerator, key=die_key, calibration=calibration).prepared()

    count, items = next(np.shape(array)[:2] for _, array in arrays_of(inputs))

    def one_batch(batch: tuple[Array, Inputs]) -> Array:
        number, batch_inputs = batch
        return chip(*network_arguments(batch_inputs), key=batch_key(read_key, number * items, items, count * items))

    return jax.lax.map(one_batch, (jnp.arange(count), on_device(inputs)))
