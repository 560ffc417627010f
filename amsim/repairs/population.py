"""Repairs of a population of dies, one after another, with the accuracy gained and the effort spent by each."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, PRNGKeyArray, PyTree

from amsim.circuits.checks import at_least_one, one_key, one_of, shown
from amsim.datasets.check import LabelledData, class_items
from amsim.deployment.chip import Chip
from amsim.deployment.front_door import deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.accuracy import DIES, population_keys, right_answers
from amsim.evaluation.answers import check_answers
from amsim.evaluation.batches import LabelledBatches, labelled_batches
from amsim.progress import COMPILING, Progress, check_progress, reporting
from amsim.repairs.bench import Bench, Effort
from amsim.repairs.kinds import REPAIRS, Repair
from amsim.results.labelled import labelled
from amsim.results.notices import warn_once
from amsim.results.provenance import provenance
from amsim.statistics.intervals import interval_variables, mean_interval

DEFAULT_REPAIRS = tuple(REPAIRS)

LABELS = {
    "repair": ("1", "repair, on top of those before it"),
    "gain": ("1", "accuracy gained over the repair before, mean over dies"),
    "gain_low": ("1", "lower end of the 95 % interval of the gain"),
    "gain_high": ("1", "upper end of the 95 % interval of the gain"),
    "inferences": ("1", "inferences that a repair runs on a die"),
    "decisions": ("1", "decisions of single comparators that a repair takes on a die"),
    "repair_energy": ("J", "energy of a repair on a die"),
    "stored_bits": ("bit", "bits that a repair keeps for a die"),
}
"""Unit and long name of what a report of repairs has."""


@dataclasses.dataclass(frozen=True)
class Repaired:
    """Dies after their repairs.

    Attributes:
        chips: The repaired chips, one per die.
        report: Dataset over `repair`, the first of which is "none".
    """

    chips: tuple[Chip, ...]
    report: xr.Dataset

    def __repr__(self) -> str:
        before, *_, after = 100 * self.report["accuracy_mean"].values
        last = self.report["repair"].values[-1]
        return f"Repaired({len(self.chips)} dies; accuracy {before:.2f} % before, {after:.2f} % after {last})"


def repair(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    samples: LabelledData,
    test: LabelledData,
    *,
    key: PRNGKeyArray,
    repairs: Sequence[Any] = DEFAULT_REPAIRS,
    dies: int = 8,
    reads: int = 1,
    batch: int = 250,
    calibration: Calibration | None = None,
    progress: bool | Progress | None = None,
) -> Repaired:
    """Repair dies by measurements on them, with the accuracy gained and the effort spent by each repair.

    Repairs follow one another in the order given, each on the result of those before it. Dies, reads and test data
    are the same throughout, so that gains are compared die by die. The dies and reads are those of
    `amsim.evaluate(..., key=key)`.

    Args:
        fn: Network `fn(params, inputs) -> logits`.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        samples: Labelled samples that the dies are measured with, as `amsim.evaluate` takes them.
        test: Labelled items that they are scored on, other than `samples`.
        key: Draws dies, reads and the noise of the measurements.
        repairs: Names of `amsim.repairs.REPAIRS` ("trim", "thresholds", "offsets"), or pairs of a name of your own and
            a repair, such as `("last layer", amsim.repairs.LastLayer("dense.*"))`.
        dies: Number of dies.
        reads: Passes over the test data on each die.
        batch: Items computed at once. It bounds the memory; noise is drawn by item.
        calibration: Codes and readout ranges by site, as in `amsim.deploy`.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies).

    Returns:
        The chips, and a Dataset over `repair` with `accuracy` (repair, die), its mean and 95 % interval, `gain` and its
        interval over the repair before (paired by die), and the cost of the repair on one die:
        `stored_bits`, `inferences`, `decisions` and `repair_energy` (J). The attribute `without_effect` names repairs
        that found nothing to repair on any die, such as a trim that is not finer than the present one; where they were
        asked for, an `amsim.results.NoEffectWarning` says so.

    Raises:
        ValueError: No data or others than `amsim.evaluate` takes, no dies, an unknown or repeated repair, or a key
            that is not typed.
        amsim.DeploymentError: The network does not fit the hardware.
    """
    at_least_one(dies=dies, reads=reads, batch=batch)
    one_key("key", key)
    check_progress(progress)
    samples, test = class_items("samples", samples), class_items("test", test)
    chosen = _by_name(repairs)
    nominal = deploy(fn, params, hardware, calibration=calibration)
    check_answers(fn, params, batch, samples=samples, test=test)
    codes = None if calibration is None else calibration.without_readout()
    ideal = deploy(fn, params, nominal.accelerator.ideal(), calibration=codes)
    die_keys, read_keys = population_keys(key, dies, reads)
    measuring_key = jax.random.split(key, 3)[2]
    divided = labelled_batches(test, batch)
    accuracy = np.zeros((len(chosen) + 1, dies, reads))
    efforts: list[list[Effort]] = []
    chips: list[Chip] = []
    with reporting(progress) as report:
        report(COMPILING, 0, dies)
        for die in range(dies):
            chip = deploy(fn, params, nominal.accelerator, key=die_keys[die], calibration=calibration)
            bench = Bench(ideal, samples, min(batch, len(samples)), jax.random.fold_in(measuring_key, die))
            accuracy[0, die] = _accuracy(chip, read_keys[die], divided, len(test))
            efforts.append([Effort()])
            for row, one in enumerate(chosen.values(), 1):
                chip, effort = one(chip, bench)
                accuracy[row, die] = _accuracy(chip, read_keys[die], divided, len(test))
                efforts[-1].append(effort)
            chips.append(chip)
            report(DIES, die + 1, dies)
    idle = [name for row, name in enumerate(chosen, 1) if all(of_die[row] == Effort() for of_die in efforts)]
    if idle and repairs is not DEFAULT_REPAIRS:
        warn_once(f"Argument `repairs` names what changes nothing on this hardware: {', '.join(idle)}.")
    attributes = {
        "samples": len(samples),
        "items": len(test),
        **provenance(key=key, accelerator=nominal.accelerator),
        "repairs": [str(one) for one in chosen.values()],
        "without_effect": ", ".join(idle),
    }
    return Repaired(tuple(chips), _report(["none", *chosen], accuracy, efforts, attributes))


def _by_name(repairs: Sequence[Any]) -> dict[str, Repair]:
    found: dict[str, Repair] = {}
    if not isinstance(repairs, Iterable) or isinstance(repairs, str | bytes | Mapping):
        raise ValueError(f"Argument `repairs` must be a list of repairs, but is {shown(repairs)}.")
    for one in repairs:
        if isinstance(one, str):
            one_of("repairs", one, REPAIRS)
            one = (one, REPAIRS[one]())
        if not isinstance(one, tuple | list) or len(one) != 2 or not isinstance(one[0], str):
            raise ValueError(f"Argument `repairs` must have names or tuples (name, repair), but has {shown(one)}.")
        name, kind = one
        if name in found or name == "none" or not callable(kind):
            raise ValueError(
                f"Argument `repairs` must have different names with a repair each, but has {name!r} with {kind!r}."
            )
        found[name] = kind
    return found


def _accuracy(chip: Chip, read_keys: Array, divided: LabelledBatches, items: int) -> np.ndarray:
    return np.asarray(right_answers(chip, read_keys, *divided)) / items


def _report(
    names: list[str], accuracy: np.ndarray, efforts: list[list[Effort]], attributes: dict[str, Any]
) -> xr.Dataset:
    by_die = accuracy.mean(axis=2)
    gain = np.diff(by_die, axis=0, prepend=by_die[:1])
    means, gains = [mean_interval(row) for row in by_die], [mean_interval(row) for row in gain]
    variables: dict[str, Any] = {"accuracy": (("repair", "die", "read"), accuracy)}
    variables |= interval_variables("accuracy", means, ("repair",))
    variables |= interval_variables("gain", gains, ("repair",), mean="gain")
    for field in ("stored_bits", "inferences", "decisions", "energy"):
        values = np.array([[getattr(one, field) for one in die] for die in efforts], float)
        variables["repair_energy" if field == "energy" else field] = (("repair",), values.mean(axis=0))
    dies, reads = accuracy.shape[1:]
    return labelled(
        variables, {"repair": names, "die": np.arange(dies), "read": np.arange(reads)}, attributes, labels=LABELS
    )
