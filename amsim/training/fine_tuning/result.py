"""Result of a fine-tuning: parameters, history, and the report on dies that it has never met."""

import dataclasses
import json
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PyTree

from amsim.datasets.check import LabelledData
from amsim.evaluation.unseen_dies import unseen_dies_report
from amsim.progress import Progress
from amsim.results.labelled import labelled
from amsim.results.provenance import versions
from amsim.training.fine_tuning.checkpoint import TrainingState
from amsim.training.fine_tuning.plan import Plan


@dataclasses.dataclass(frozen=True, eq=False)
class FineTuned:
    """Network after `amsim.fine_tune`.

    Attributes:
        params: Parameters: of the best epoch by validation, or of the last one without.
        history: Dataset with `loss`, `training_accuracy`, `noise_scale` and `learning_rate` (step), and with
            validation `validation_accuracy` (epoch, the first before training). Its attributes are the record as JSON
            and the versions of amsim and JAX, so that `amsim show` opens it where it is saved.
        record: All that is needed to run it again: settings, fingerprints of data and parameters, versions.
        best_epoch: Epoch that the parameters are of.
    """

    params: PyTree
    history: xr.Dataset
    record: dict[str, Any]
    best_epoch: int
    _plan: Plan = dataclasses.field(repr=False)

    def __repr__(self) -> str:
        loss = self.history["loss"].values
        last = f"loss {loss[0]:.3g} -> {loss[-1]:.3g}" if len(loss) else "no step"
        return f"FineTuned({len(loss)} steps, {last}; parameters of epoch {self.best_epoch})"

    def report(
        self,
        test: LabelledData,
        *,
        dies: int = 16,
        reads: int = 1,
        accuracy_limit: float | None = None,
        params: PyTree = None,
        progress: bool | Progress | None = None,
    ) -> xr.Dataset:
        """Accuracy on dies met in training and on fresh ones, on training items and on others.

        Of dies that were redrawn at every step the last `dies` stand for those seen; the nominal macros are the one die
        seen by a training that knows none.

        Args:
            test: Labelled items that training has not met, as `amsim.evaluate` takes them.
            dies: Fresh dies; also the most dies seen.
            reads: Passes over the items on each die.
            accuracy_limit: Accuracy that a good die reaches; None leaves the yield out.
            params: Other parameters on the same dies and reads, such as those before training; None is these.
            progress: As in `amsim.unseen_dies_report`.

        Returns:
            Dataset of `amsim.unseen_dies_report`.
        """
        exposure = self._plan.exposure
        return unseen_dies_report(
            self._plan.network,
            self.params if params is None else params,
            exposure.accelerator,
            test,
            key=exposure.dies.unseen,
            train=self._plan.items.train,
            calibration=exposure.calibration,
            seen=exposure.dies.met(self.history.sizes["step"], dies),
            dies=dies,
            reads=reads,
            accuracy_limit=accuracy_limit,
            progress=progress,
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


def result_of(plan: Plan, settings: dict[str, Any], state: TrainingState) -> FineTuned:
    """Result of a training that is over."""
    variables: dict[str, Any] = {name: (("step",), np.asarray(values)) for name, values in state.history.items()}
    coordinates: dict[str, Any] = {"step": np.arange(len(state.history["loss"]))}
    if plan.items.validation is not None:
        variables["validation_accuracy"] = (("epoch",), np.asarray(state.validation))
        coordinates["epoch"] = np.arange(len(state.validation))
    record = settings | {"epochs_done": state.epoch, "best_epoch": state.best_epoch}
    history = labelled(variables, coordinates, {"record": json.dumps(record)} | versions(), labels=LABELS)
    return FineTuned(jax.tree.map(lambda leaf: leaf, state.best), history, record, state.best_epoch, plan)
