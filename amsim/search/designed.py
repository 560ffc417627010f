"""Circuit that a search has found: its hardware, its accuracy in the search and in the check, and how it was found."""

import dataclasses
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray, PyTree

from amsim.results.units import with_prefix
from amsim.search.choices import Trial
from amsim.search.quantities import LABELS
from amsim.search.verification import Tested, chosen, tested_table
from amsim.system.accelerator import Accelerator

MOST_SETTINGS = 4
"""Most settings that a designed circuit prints."""


class InfeasibleError(ValueError):
    """No circuit inside the bounds reaches the accuracy."""


@dataclasses.dataclass(frozen=True)
class DesignedCircuit:
    """Circuit that a search has found.

    Attributes:
        accelerator: The hardware.
        params: Parameters of the network, trained or as given.
        settings: Value of each variable in the SI unit of its setting, and of each choice.
        energy: Energy per inference of the components that count, J.
        accuracy: Accuracy on the dies, reads and items of the search, which the choice flatters.
        feasible: Whether the accuracy is surely reached on fresh dies and unseen items: `check.accuracy_bound` is at
            least the limit.
        history: Dataset over `step` of `setting_value` (by setting), `energy`, `accuracy`, `smooth_accuracy` and
            `multiplier`, of the best choice; attribute `limit` is what the search aimed at, a margin above the limit.
        check: Result of `amsim.evaluate` on dies and items that the search never saw, with `accuracy_bound`; attributes
            `limit`, `confidence` and `feasible`.
        tested: Dataset over `circuit` of all circuits that were checked, in that order: `energy`, `accuracy` of the
            search, `accuracy_mean` and `accuracy_bound` of the check, `feasible`.
        evaluations: Passes over all dies and items of the search; a backward pass counts as two.
        trials: Dataset over `trial` of the choices tried, with their `energy`, `accuracy` and whether they are
            `feasible` in what the search aimed at; None without choices.
    """

    accelerator: Accelerator
    params: PyTree
    settings: dict[str, Any]
    energy: float
    accuracy: float
    feasible: bool
    history: xr.Dataset
    check: xr.Dataset
    tested: xr.Dataset
    evaluations: int
    trials: xr.Dataset | None = None

    def __repr__(self) -> str:
        bound = "surely reached on unseen items" if self.feasible else "not shown to be reached"
        named = [
            f"{path} = {value:.3g}" if isinstance(value, float) else f"{path} = {value}"
            for path, value in self.settings.items()
        ]
        found = ", ".join(named[:MOST_SETTINGS])
        more = "" if len(named) <= MOST_SETTINGS else f", {len(named) - MOST_SETTINGS} more"
        energy, accuracy = with_prefix(float(self.energy), "J"), f"{100 * float(self.accuracy):.2f} %"
        return f"DesignedCircuit({energy}, {accuracy} in the search, the limit {bound};\n  {found}{more})"


def designed_circuit(
    best: Trial,
    tested: list[Tested],
    limit: float,
    confidence: float,
    key: PRNGKeyArray,
    evaluations: int,
    trials: xr.Dataset | None,
) -> DesignedCircuit:
    """The circuit that a search and the tests at its end have found.

    Args:
        best: The best choice of the search.
        tested: Circuits that were checked.
        limit: Accuracy that they must reach.
        confidence: Confidence of the check.
        key: Key of the search.
        evaluations: Passes over all dies and items.
        trials: Table of the choices tried; None without choices.
    """
    one = chosen(tested, limit)
    feasible = one.bound >= limit
    values = dict(zip(best.search.estimate.paths, np.exp(one.point.logs).tolist(), strict=True))
    bound = xr.Variable((), one.bound, {"units": LABELS["accuracy_bound"][0], "long_name": LABELS["accuracy_bound"][1]})
    check = one.check.assign(accuracy_bound=bound)
    return DesignedCircuit(
        one.accelerator,
        best.search.params,
        values | best.choice,
        one.point.energy,
        one.point.accuracy,
        feasible,
        best.search.history(key),
        check.assign_attrs(limit=limit, confidence=confidence, feasible=int(feasible)),
        tested_table(tested, limit, confidence),
        evaluations,
        trials,
    )


def infeasible_message(accuracy: float, best: Tested) -> str:
    """Error message for a limit that no circuit reaches, of which this is the best."""
    return (
        f"Argument `accuracy` of {accuracy:g} is not reached inside the bounds: the best circuit has "
        f"{float(best.check['accuracy_mean']):.4g} on fresh dies and unseen items, {best.bound:.4g} of it for sure, "
        f"at {with_prefix(float(best.point.energy), 'J', 4)}."
    )
