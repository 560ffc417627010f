"""Post-training deployment: codes and readout ranges chosen from sample data, and the accuracy that each step costs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.calibration.batch_statistics import with_statistics_of
from amsim.calibration.loss_steps import count_passes, loss_steps
from amsim.calibration.range_choice import CHOICE_PARTS, choose_ranges, range_methods
from amsim.circuits.checks import at_least_one, function, truth_values
from amsim.datasets.check import LabelledData, class_items, has_labels, sample_inputs
from amsim.datasets.inputs import count_items
from amsim.datasets.split import Split
from amsim.deployment.chip import Chip, check_key
from amsim.deployment.front_door import check_deployable, deploy
from amsim.deployment.site_ranges import Calibration
from amsim.evaluation.answers import check_answers
from amsim.progress import Progress, check_progress, in_part, reporting
from amsim.results.provenance import key_words, provenance


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A calibrated chip, with the ranges chosen and the accuracy that each step costs.

    Attributes:
        chip: The chip, ready to use.
        choice: Codes and ranges chosen for each site: Dataset over `site`.
        steps: Accuracy after each step and loss of accuracy by it: Dataset over `step`; None without labels.
    """

    chip: Chip
    choice: xr.Dataset
    steps: xr.Dataset | None

    def __repr__(self) -> str:
        if self.steps is None:
            return f"Calibrated({self.chip!r})"
        names, means = self.steps["step"].values, 100 * self.steps["accuracy_mean"].values
        return f"Calibrated({self.chip!r};\n  accuracy {means[0]:.2f} % {names[0]}, {means[-1]:.2f} % with {names[-1]})"

    @property
    def calibration(self) -> Calibration:
        """The choice as `amsim.deploy` and `amsim.evaluate` take it."""
        assert self.chip.calibration is not None
        return self.chip.calibration


def calibrate(
    fn: Callable[..., Any],
    params: PyTree,
    hardware: Any,
    data: Any,
    *,
    key: PRNGKeyArray | None = None,
    method: str | Mapping[str, str] = "minimum-error",
    coverage: float = 0.999,
    symmetric: bool = True,
    weights: str = "channel",
    statistics: Callable[[PyTree, Any], PyTree] | None = None,
    test: LabelledData | None = None,
    steps: bool = True,
    dies: int = 8,
    batch: int = 250,
    progress: bool | Progress | None = None,
) -> Calibrated:
    """Deploy a trained network on hardware with word ranges and converter ranges that suit sample data.

    The plain network runs over the data and each site's values are counted. Codes of inputs and weights are chosen
    from these counts, and then, with those codes, converter ranges from the values that nominal lines take. With
    `statistics` the network's batch statistics are re-estimated on the chip.

    The steps lead from the plain network to the chip: `quantise` codes the operands and computes exactly, `tile` splits
    sums over the macro's rows with an exact readout, `ADC` is the macro's own readout on the nominal die, `mismatch`
    adds dies and `noise` their reads; with `statistics` a last step re-estimates them on each die. The losses add up
    to the total loss.

    Args:
        fn: Network `fn(params, inputs)`; for steps its outputs are logits.
        params: Its parameters.
        hardware: A macro, an `Accelerator` or rules.
        data: Typical inputs: an array, shape (items, ...), or a dict of such arrays, which is one argument of `fn`; or
            labelled ones, a split such as `dataset.train[:500]` or a tuple (inputs, labels), as in `amsim.evaluate`.
        key: Draws the chip's die as in `amsim.deploy`, and the population of the steps as in `amsim.evaluate`. None is
            the nominal chip, and no steps of dies.
        method: "min-max", "percentile" or "minimum-error" (`amsim.circuits.selection.ranges.select_input_code`), for
            all or as a mapping from "inputs", "weights" and "readout"; one that is left out is "minimum-error".
        coverage: For "percentile", above 0 and at most 1.
        symmetric: Codes of inputs without a zero-point. False lets their range lie anywhere around 0.
        weights: "channel" gives each column its own scale, "tensor" one scale to all.
        statistics: As in `amsim.reestimate_statistics`; None keeps the network's own.
        test: Labelled data for the steps, as `amsim.evaluate` takes them; None takes `data` where that is labelled.
        steps: Whether to measure the steps.
        dies: Dies of the steps `mismatch` and `noise`.
        batch: Inputs computed at once; bounds the memory.
        progress: True shows a bar with the time left; a function is called with (phase, parts done, parts), where parts
            are the codes, the ranges and each pass of the steps.

    Returns:
        The chip, its choice and its steps.

    Raises:
        ValueError: No data, values not finite, an unknown method, a coverage out of range, a method for a readout that
            no macro has, or a count below 1.
        amsim.DeploymentError: The network does not fit the hardware.

    Validity: data that are typical of those computed later; values outside the ranges are clipped, which
    `chip.cost` counts.
    """
    check_progress(progress)
    methods = range_methods(method, coverage, symmetric, weights)
    at_least_one(dies=dies, batch=batch)
    truth_values(steps=steps)
    function("statistics", statistics, "(params, inputs)", optional=True)
    check_key("key", key)
    inputs, labelled = sample_inputs("data", data), _labelled(data, test, steps)
    accelerator = check_deployable(fn, params, hardware)
    if labelled is not None:
        check_answers(fn, params, batch, **{"data" if test is None else "test": labelled})
    settings = methods.settings() | provenance(accelerator=accelerator)
    found = None
    passes = 0 if labelled is None else count_passes(accelerator, key, dies, statistics)
    with reporting(progress) as report:
        part = in_part(report, "", 0, CHOICE_PARTS + passes)
        calibration, choice = choose_ranges(deploy(fn, params, accelerator), inputs, methods, batch, part)
        chip = deploy(fn, params, accelerator, key=key, calibration=calibration)
        if statistics is not None:
            chip = with_statistics_of(chip, statistics, inputs, key=None, batch=batch)
        if labelled is not None:
            again = None if statistics is None else (statistics, inputs)
            part = in_part(report, "", CHOICE_PARTS, CHOICE_PARTS + passes)
            found = loss_steps(fn, params, accelerator, calibration, labelled, key, dies, batch, again, part)
            found = found.assign_attrs(settings | {"items": len(labelled), "key": key_words(key)})
        report("done", CHOICE_PARTS + passes, CHOICE_PARTS + passes)
    return Calibrated(chip, choice.assign_attrs(settings | {"items": count_items(inputs)}), found)


def _labelled(data: Any, test: Any, steps: bool) -> Split | None:
    """Labelled items for the steps, where they are wanted and there are labels."""
    if not steps:
        return None
    if test is not None:
        return class_items("test", test)
    return class_items("data", data) if has_labels(data) else None
