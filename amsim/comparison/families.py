"""Comparison of designs: accuracy over dies, or another metric, against the total energy of the system."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PyTree

from amsim.circuits.checks import finite_number, integer_between, one_of, truth_values
from amsim.comparison.given_designs import AnyDesign, default_designs, given_designs
from amsim.comparison.network_facts import NetworkFacts, network_facts
from amsim.comparison.procedure import BATCH, COST_IMAGES, Found, choice_key, find_design, recalibrated, tuned_params
from amsim.comparison.quantities import LABELS
from amsim.datasets.given_data import given_dataset
from amsim.datasets.inputs import first_arguments
from amsim.datasets.split import Dataset
from amsim.deployment.front_door import deploy
from amsim.deployment.mapping.mapper import DeploymentError
from amsim.evaluation.given_network import GivenNetwork, check_takes, given_network
from amsim.evaluation.item_values import plain_item_values, values_on_dies
from amsim.evaluation.scoring import SCORINGS, Scoring
from amsim.foreign.item_inputs import ItemNumbers
from amsim.progress import Progress, check_progress, in_part, reporting
from amsim.results.labelled import labelled
from amsim.results.provenance import described, provenance
from amsim.statistics.crossed_interval import bounded_interval
from amsim.statistics.intervals import interval_names
from amsim.training.losses import cross_entropy


@dataclasses.dataclass(frozen=True, eq=False)
class _Task:
    """What all designs of a comparison have in common."""

    network: GivenNetwork | None
    facts: NetworkFacts | None
    data: Dataset
    scoring: Scoring
    dies: int
    seed: int
    calibrate: bool | None
    fine_tune: int


def compare(
    designs: Sequence[str] | Mapping[str, Any] | None = None,
    *,
    network: str | Path | tuple[Callable[..., Any], PyTree] | None = None,
    data: Any = "fashion-mnist-mini",
    dies: int = 16,
    seed: int = 0,
    metric: str = "accuracy",
    accuracy: float | None = None,
    calibrate: bool | None = None,
    fine_tune: int = 0,
    numbers: ItemNumbers | None = None,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Compare designs: accuracy over dies against the energy, latency and area of the whole system.

    The settings of every design are found by one procedure that is the same for all families,
    `amsim.comparison.find_design`: sites by their role, coding, range and centre of converters of least error times
    energy, and the least energy among as many candidates for each, on the same training items. Nothing that
    is scored takes part in the choice.

    Args:
        designs: Names `FAMILY-Nb`, of families of one's own too (`amsim.circuits.register`), and of published chips
            (`amsim.chips`), or a mapping of names to these or to hardware of one's own: a macro of any family, an
            `Accelerator` or rules, which is compared as it is. None is the default set, or with `network` every family
            at its word length; at 4 and 8 bit where it leaves words open.
        network: Reference network, path of an `.onnx` (QONNX too) or `.npz` file, or a tuple (fn, params) with
            `fn(params, inputs)`, to put on every design; None gives each design the reference network of its word
            length.
        data: Name of a data set; path of an `.npz` file of `inputs` and `labels`, alone or with `train_` and `test_`
            before the names, or of a folder of pictures by class; a `Dataset`; a `Split` or a tuple (inputs, labels); a
            tuple of two splits. What comes in one part is divided: half to choose by, half to score.
        dies: Dies of each design; die `n` of a design does not depend on what else is compared.
        seed: Fixes dies and reads.
        metric: "accuracy" of classes; "auc", the area under the ROC curve of a detector with one or two outputs and
            labels of 1 and 0; "mean-squared-error"; or "relative-error", the mean distance of the outputs from the
            labels over the root mean square of the labels. Of errors, less is better.
        accuracy: Limit of the metric; the verdict then says what reaches it at the least energy.
        calibrate: Whether words of weights and inputs are chosen from training items: None does so where the network
            leaves some open. Ranges of converters are chosen unless it is False.
        fine_tune: Epochs of fine-tuning on the training items through each design's hardware, once it is chosen.
        numbers: Numbers of the inputs of an ONNX network, such as mean and deviation; None is 0 to 1 for bytes.
        progress: True shows a bar with the time left; a function is called with (phase, dies done, dies) over all
            designs.

    Returns:
        Dataset over (design, die, component, item): accuracy of each die and of each item, their mean with a 95 %
        interval that holds the finite number of both, accuracy without circuits, energy by component, latency, area
        and MACs of one inference, and the `chosen_setting` that the procedure chose. With another metric its name
        stands in place of `accuracy`, and `plain_value` and `item_value` in place of `plain_accuracy` and
        `item_accuracy`. Designs of the default set that the network does not fit are in the attribute `left_out`.

    Raises:
        ValueError: An unknown design, network, data set or metric, designs named twice, a count below 1, data or
            labels that the network or the metric do not take.
        FileNotFoundError: There is no such file.
        amsim.DeploymentError: The network does not fit a design that was named, or none of the default set.
    """
    integer_between("dies", dies, 1)
    integer_between("seed", seed, 0, 2**32 - 1)
    integer_between("fine_tune", fine_tune, 0, 2**20)
    check_progress(progress)
    scoring = _checked_scoring(metric, accuracy, calibrate, fine_tune)
    chosen = given_designs("designs", designs)
    dataset = _checked_items(given_dataset("data", data), scoring)
    given = None if network is None else given_network("network", network, numbers)
    if given is not None:
        _check_network(given, dataset, scoring)
    facts = None if given is None else _facts(given, dataset)
    task = _Task(given, facts, dataset, scoring, dies, seed, calibrate, fine_tune)
    with reporting(progress) as report:
        rows, left_out = _rows(task, default_designs(facts) if chosen is None else chosen, chosen is None, report)
    attributes = {
        "network": "" if given is None else given.name,
        "data": dataset.name,
        "images": len(dataset.test),
        "seed": seed,
        **({"metric": metric} if metric != "accuracy" else {}),
        **({} if accuracy is None else {"accuracy_limit": float(accuracy)}),
        **({"left_out": left_out} if left_out else {}),
        **({"fine_tuning_epochs": fine_tune} if fine_tune else {}),
        "accelerators": [str(row["accelerator"]) for row in rows.values()],
        **provenance(),
    }
    return _dataset(rows, task, attributes)


def _checked_scoring(metric: str, accuracy: float | None, calibrate: bool | None, fine_tune: int) -> Scoring:
    """How the metric scores, once a limit of it and what is trained for it are checked."""
    one_of("metric", metric, SCORINGS)
    scoring = SCORINGS[metric]
    if calibrate is not None:
        truth_values(calibrate=calibrate)
    if fine_tune and not scoring.trainable:
        raise ValueError(
            f"Argument `fine_tune` must be 0 with the metric {metric}, which has no loss, but is {fine_tune}."
        )
    if accuracy is not None:
        finite_number("accuracy", accuracy)
        if scoring.metric.high is not None and not 0 <= accuracy <= scoring.metric.high:
            raise ValueError(f"Argument `accuracy` must be from 0 to {scoring.metric.high:g}, but is {accuracy}.")
    return scoring


def _dataset(rows: Mapping[str, dict[str, np.ndarray]], task: _Task, attributes: dict[str, Any]) -> xr.Dataset:
    metric, first = task.scoring.metric, next(iter(rows.values()))
    stacked = {name: np.stack([row[name] for row in rows.values()]) for name in first}
    dims: dict[str, tuple[str, ...]] = dict.fromkeys(stacked, ("design",))
    dims |= {metric.name: ("design", "die"), metric.items: ("design", "item"), "energy": ("design", "component")}
    apart = ("component", "accelerator")
    variables = {name: (dims[name], values) for name, values in stacked.items() if name not in apart}
    coordinates = {
        "design": list(rows),
        "die": np.arange(task.dies),
        "item": np.arange(len(task.data.test)),
        "component": first["component"],
    }
    return labelled(variables, coordinates, attributes, labels=LABELS)


def _checked_items(data: Dataset, scoring: Scoring) -> Dataset:
    train, test = (scoring.checked("data", part) for part in (data.train, data.test))
    return dataclasses.replace(data, train=train, test=test)


def _check_network(network: GivenNetwork, data: Dataset, scoring: Scoring) -> None:
    """Raise ValueError unless a network takes the inputs of both parts and its outputs suit their labels."""
    for part in (data.train, data.test):
        outputs = check_takes("data", network, part.inputs)
        scoring.check_outputs(outputs, part, "data")


def _facts(network: GivenNetwork, data: Dataset) -> NetworkFacts:
    try:
        return network_facts(network.function, network.params, data.train.inputs)
    except DeploymentError as error:
        raise DeploymentError(f"Argument `network` cannot be put on hardware: {error}") from None


def _rows(
    task: _Task, designs: Sequence[AnyDesign], may_leave_out: bool, report: Progress
) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Figures of each design by its name, and of which designs there are none, each with the reason."""
    rows: dict[str, dict[str, np.ndarray]] = {}
    left_out: list[str] = []
    for number, one in enumerate(designs):
        part = in_part(report, one.name, number * task.dies, len(designs) * task.dies)
        try:
            rows[one.name] = _measure(one, task, part)
        except DeploymentError as error:
            if not may_leave_out or task.network is None:
                raise DeploymentError(f"Design {one.name}: {error}") from None
            left_out.append(f"{one.name}: {error}")
    if not rows:
        raise DeploymentError(f"Argument `network` must fit one of the designs, but: {' '.join(left_out)}")
    return rows, left_out


def _measure(one: AnyDesign, task: _Task, report: Progress) -> dict[str, np.ndarray]:
    data, scoring, metric = task.data, task.scoring, task.scoring.metric
    network = task.network
    if network is None:
        network = given_network("network", _reference(one))
        _check_network(network, data, scoring)
    fn, params = network.function, network.params
    key = choice_key(task.seed)
    # One batch for the choice and the score, so that they share a program.
    batch = min(BATCH, len(data.train), len(data.test))
    options: dict[str, Any] = {"calibrate": task.calibrate, "scoring": scoring, "facts": task.facts, "batch": batch}
    report("choice of settings", 0, task.dies)
    found = find_design(one, fn, params, data.train, key, **options)
    if task.fine_tune:
        report("fine-tuning", 0, task.dies)
    tuned, found = _fine_tuned(task, fn, params, found) if task.fine_tune else (params, found)
    accelerator, choice = found.candidate.accelerator, found.calibration
    key = jax.random.key(task.seed)
    options = {"batch": batch, "calibration": choice, "report": report}
    values = values_on_dies(scoring.of_items, fn, tuned, accelerator, data.test, key, task.dies, **options)
    values = scoring.settle(values, np.asarray(data.test.labels))
    plain = plain_item_values(scoring.of_items, fn, params, data.test)[None]
    high, deterministic = metric.high, accelerator.deterministic
    interval = bounded_interval(values.astype(float), high=high, deterministic=deterministic)
    chip = deploy(fn, tuned, accelerator, calibration=choice)
    cost = chip.cost(*first_arguments(data.test.inputs, COST_IMAGES))
    return {
        metric.name: values.mean(axis=1),
        metric.items: values.mean(axis=0),
        **dict(zip(interval_names(metric.name), np.asarray(interval), strict=True)),
        metric.plain: np.asarray(scoring.settle(plain, np.asarray(data.test.labels)).mean()),
        "energy": cost["energy"].sum("site").values,
        "latency": cost["latency"].sum("site").values,
        "area": cost["area"].values,
        "macs": cost["macs"].sum("site").values,
        "chosen_setting": np.asarray(found.candidate.setting, str),
        "component": cost["component"].values,
        "accelerator": np.asarray(described(accelerator), str),
    }


def _reference(one: AnyDesign) -> str:
    """Reference network of a design's word length."""
    network = getattr(one, "network", None)
    if network is None:
        raise ValueError(
            f"Argument `network` must be given with {one.name}, which has no word length to choose one by, but is None."
        )
    return network


def _fine_tuned(task: _Task, fn: Callable[..., Any], params: PyTree, found: Found) -> tuple[PyTree, Found]:
    """Parameters trained through the hardware that was found, and the choice of words and ranges that suits them."""
    train, loss = task.data.train, task.scoring.loss or cross_entropy
    hardware = found.candidate.accelerator
    tuned = tuned_params(fn, params, hardware, train, found.calibration, task.fine_tune, task.seed, loss)
    return tuned, recalibrated(found, fn, tuned, train)
