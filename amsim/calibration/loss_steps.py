"""Accuracy lost in each step from the plain network to a population of chips."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.calibration.batch_statistics import with_statistics_of
from amsim.calibration.quantities import LABELS
from amsim.circuits.contract.macro import Macro
from amsim.circuits.digital_binary import DigitalBinary
from amsim.circuits.exact import Exact
from amsim.datasets.inputs import Inputs
from amsim.datasets.split import Split
from amsim.deployment.front_door import deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.accuracy import correct_reads, population_keys
from amsim.evaluation.batches import labelled_batches
from amsim.progress import Progress, nothing
from amsim.results.labelled import labelled
from amsim.statistics.intervals import interval_variables, mean_interval
from amsim.system.accelerator import Accelerator

Statistics = tuple[Callable[..., PyTree], Inputs]
"""Function and inputs of `amsim.reestimate_statistics`."""


def loss_steps(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    calibration: Calibration,
    data: Split,
    key: PRNGKeyArray | None,
    dies: int,
    batch: int,
    statistics: Statistics | None,
    report: Progress = nothing,
) -> xr.Dataset:
    """Accuracy after each step, and its loss relative to the step before.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        accelerator: The hardware.
        calibration: Codes and ranges chosen for it.
        data: Labelled inputs.
        key: Draws dies and reads as `amsim.evaluate` does; None leaves out the steps that need them.
        dies: Number of dies.
        batch: Inputs computed at once.
        statistics: Function and inputs for a last step in which each die has its own batch statistics; None leaves it
            out.
        report: Called with (step, passes done, passes), as many as `count_passes`.

    Returns:
        Dataset over `step`: `accuracy_mean`, the mean of `accuracy_loss`, both with 95 % intervals over dies, and
        `accuracy` (step, die).
    """
    divided = labelled_batches(data, batch)

    passes, total = itertools.count(1), count_passes(accelerator, key, dies, statistics)

    def accuracy(
        hardware: Accelerator, choice: Calibration | None, own: PyTree, die_key: Any = None, read_keys: Any = None
    ) -> float:
        report("accuracy after each step", next(passes) - 1, total)
        right = correct_reads(fn, own, hardware, choice, die_key, read_keys, *divided)
        return float(right[0]) / len(data)

    codes = calibration.without_readout()
    plain, quantised = _with_macros(accelerator, lambda _: Exact()), _with_macros(accelerator, _coding_only)
    same = {
        "float": accuracy(plain, None, params),
        "quantise": accuracy(quantised, codes, params),
        "tile": accuracy(accelerator.ideal(), codes, params),
        "ADC": accuracy(accelerator, calibration, params),
    }
    values = {name: np.full(dies, value) for name, value in same.items()}
    deterministic = accelerator.deterministic
    if deterministic:
        values |= {"mismatch": values["ADC"], "noise": values["ADC"]}
    elif key is not None:
        die_keys, read_keys = population_keys(key, dies, 1)
        values["mismatch"] = np.array([accuracy(accelerator, calibration, params, one) for one in die_keys])
        drawn = list(zip(die_keys, read_keys, strict=True))
        values["noise"] = np.array([accuracy(accelerator, calibration, params, *keys) for keys in drawn])
    if statistics is not None and (deterministic or key is not None):
        drawn = [(None, None)] if deterministic else drawn
        own = [_reestimated_params(fn, params, accelerator, calibration, statistics, batch, die) for die, _ in drawn]
        found = [accuracy(accelerator, calibration, one, *keys) for one, keys in zip(own, drawn, strict=True)]
        values["statistics"] = np.broadcast_to(np.array(found), (dies,))
    return _dataset(values, deterministic, dies)


def count_passes(accelerator: Accelerator, key: PRNGKeyArray | None, dies: int, statistics: Any) -> int:
    """Passes over the data that `loss_steps` makes."""
    same = 4
    if accelerator.deterministic:
        return same + (statistics is not None)
    return same + (0 if key is None else 2 * dies + (0 if statistics is None else dies))


def _reestimated_params(
    fn: Callable[..., Any],
    params: PyTree,
    accelerator: Accelerator,
    calibration: Calibration,
    statistics: Statistics,
    batch: int,
    die_key: PRNGKeyArray | None,
) -> PyTree:
    chip = deploy(fn, params, accelerator, key=die_key, calibration=calibration)
    return with_statistics_of(chip, *statistics, key=None, batch=batch).params


def _dataset(values: dict[str, np.ndarray], deterministic: bool, dies: int) -> xr.Dataset:
    accuracy = np.stack(list(values.values()))
    loss = -np.diff(accuracy, axis=0, prepend=accuracy[:1])
    identical = [deterministic or name in ("float", "quantise", "tile", "ADC") for name in values]
    means = [mean_interval(row, deterministic=same) for row, same in zip(accuracy, identical, strict=True)]
    losses = [mean_interval(row, deterministic=same) for row, same in zip(loss, identical, strict=True)]
    variables: dict[str, Any] = {"accuracy": (("step", "die"), accuracy)}
    variables |= interval_variables("accuracy", means, ("step",))
    variables |= interval_variables("accuracy_loss", losses, ("step",), mean="accuracy_loss")
    return labelled(variables, {"step": list(values), "die": np.arange(dies)}, {}, labels=LABELS)


def _with_macros(accelerator: Accelerator, instead: Callable[[Macro], Macro]) -> Accelerator:
    return dataclasses.replace(accelerator, macros=tuple(map(instead, accelerator.macros)))


def _coding_only(macro: Macro) -> Macro:
    """Integer products of the codes, whatever the number of rows."""
    if macro.keeps_product:
        return macro
    return DigitalBinary(weight_bits=macro.weight_bits, input_bits=macro.input_bits)
