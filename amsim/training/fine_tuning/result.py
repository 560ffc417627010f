"""What fine-tuning gives: parameters, history, and the report on dies that it has never met."""

import dataclasses
import json
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PyTree

from amsim.datasets.split import Split
from amsim.evaluation.unseen_dies import unseen_dies_report
from amsim.results.labelled import labelled
from amsim.training.fine_tuning.checkpoint import Progress
from amsim.training.fine_tuning.plan import Plan


@dataclasses.dataclass(frozen=True, eq=False)
class FineTuned:
    """What `amsim.fine_tune` gives.

    Attributes:
        params: Parameters: of the best epoch by validation, or of the last one without.
        history: Dataset with `loss`, `training_accuracy`, `noise_scale` and `learning_rate` (step), and with
            validation `validation_accuracy` (epoch, the first before training). Its attributes are the record as JSON.
        record: All that is needed to run it again: settings, fingerprints of data and parameters, versions.
        best_epoch: Epoch that the parameters are of.
    """

    params: PyTree
    history: xr.Dataset
    record: dict[str, Any]
    best_epoch: int
    _plan: Plan = dataclasses.field(repr=False)

    def report(
        self,
        test: Split,
        *,
        dies: int = 16,
        reads: int = 1,
        accuracy_limit: float | None = None,
        params: PyTree = None,
    ) -> xr.Dataset:
        """Accuracy on dies met in training and on fresh ones, on training items and on others.

        Of dies that were redrawn at every step the last `dies` stand for those seen; the nominal macros are the one die
        seen by a training that knows none.

        Args:
            test: Items that training has not met.
            dies: Fresh dies; also the most dies seen.
            reads: Passes over the items on each die.
            accuracy_limit: What a die must reach to count as good; None leaves the yield out.
            params: Other parameters on the same dies and reads, such as those before training; None is these.

        Returns:
            Dataset of `amsim.unseen_dies_report`.
        """
        return unseen_dies_report(
            self._plan.fn,
            self.params if params is None else params,
            self._plan.accelerator,
            test,
            key=self._plan.dies.unseen,
            train=self._plan.train,
            calibration=self._plan.calibration,
            seen=self._plan.dies.met(self.history.sizes["step"], dies),
            dies=dies,
            reads=reads,
            accuracy_limit=accuracy_limit,
        )


LABELS = {
    "step": ("1", "step of the training"),
    "epoch": ("1", "passes over the training items"),
    "loss": ("1", "training loss"),
    "training_accuracy": ("1", "accuracy on the batch of a step"),
    "validation_accuracy": ("1", "mean accuracy on items and dies that are not trained on"),
    "noise_scale": ("1", "factor of static errors and dynamic noise"),
    "learning_rate": ("1", "learning rate"),
}
"""Unit and long name of what a training returns."""


def result_of(plan: Plan, progress: Progress) -> FineTuned:
    """The result of a training that is over."""
    steps = np.arange(len(progress.history["loss"]))
    variables: dict[str, Any] = {name: (("step",), np.asarray(values)) for name, values in progress.history.items()}
    coordinates: dict[str, Any] = {"step": steps}
    if plan.validation is not None:
        variables["validation_accuracy"] = (("epoch",), np.asarray(progress.validation))
        coordinates["epoch"] = np.arange(len(progress.validation))
    record = plan.settings | {"epochs_done": progress.epoch, "best_epoch": progress.best_epoch}
    history = labelled(variables, coordinates, {"record": json.dumps(record)}, labels=LABELS)
    return FineTuned(jax.tree.map(lambda leaf: leaf, progress.best), history, record, progress.best_epoch, plan)
