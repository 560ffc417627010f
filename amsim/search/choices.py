"""Discrete choices of a circuit: every combination where they are few, an outer search by Optuna otherwise."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from amsim.results.labelled import labelled
from amsim.search.gradient_search import GradientSearch, SearchPoint
from amsim.search.quantities import LABELS
from amsim.system.accelerator import Accelerator
from amsim.system.settings import setting, static_settings, with_settings

Choices = Mapping[str, Sequence[Any]]

EXHAUSTIVE = 16
"""Largest number of combinations that are all tried; of more, this many are picked."""

SHORT_OF_LIMIT = 1000.0
"""Penalty per unit of missing accuracy, in logarithms of energy, where the limit is not reached."""


class Trial(NamedTuple):
    """One combination of choices and the best point found for it."""

    choice: dict[str, Any]
    search: GradientSearch
    point: SearchPoint


def check_choices(accelerator: Accelerator, choices: Choices | None, variables: Mapping[str, Any]) -> None:
    """Raise ValueError unless each choice names a static setting and all its values are allowed."""
    for path, values in (choices or {}).items():
        if path in variables:
            raise ValueError(f"Arguments `choices` and `variables` must not share a setting, but both have {path!r}.")
        if len(values) == 0 or len(set(values)) != len(values):
            raise ValueError(f"Argument `choices` must have different values, one at least, but {path!r} has {values}.")
        # By the values as the part keeps them: a count that the part finds itself where none is given is None before.
        kept = [setting(with_settings(accelerator, {path: value}), path) for value in values]
        if not all(isinstance(value, int | float | str) for value in kept):
            known = ", ".join(static_settings(accelerator))
            raise ValueError(f"Argument `choices` must name static settings, such as {known}, but {path!r} is not one.")


def most_trials(choices: Choices) -> int:
    """Trials that a search over these choices makes at most."""
    return min(_combinations(choices), EXHAUSTIVE)


def _combinations(choices: Choices) -> int:
    return math.prod(len(values) for values in choices.values())


def search_choices(
    search: Callable[[Mapping[str, Any]], Trial], choices: Choices, limit: float, key: PRNGKeyArray
) -> list[Trial]:
    """Trials of all combinations, or of `EXHAUSTIVE` of them that Optuna picks."""
    if _combinations(choices) <= EXHAUSTIVE:
        return [search(dict(zip(choices, values, strict=True))) for values in itertools.product(*choices.values())]
    try:
        import optuna
    except ImportError:
        raise ValueError(
            f"Argument `choices` has more than {EXHAUSTIVE} combinations, whose search needs Optuna: "
            "`pip install 'amsim[optuna]'`."
        ) from None
    trials: dict[tuple[Any, ...], Trial] = {}

    def cost(trial: Any) -> float:
        picked = tuple(values[trial.suggest_int(path, 0, len(values) - 1)] for path, values in choices.items())
        if picked not in trials:
            trials[picked] = search(dict(zip(choices, picked, strict=True)))
        point = trials[picked].point
        return math.log(point.energy) + SHORT_OF_LIMIT * max(limit - point.accuracy, 0.0)

    seed = int(np.ravel(jax.random.key_data(key))[-1])
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=EXHAUSTIVE // 2)
        optuna.create_study(sampler=sampler).optimize(cost, n_trials=EXHAUSTIVE)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return list(trials.values())


def best_trial(trials: Sequence[Trial], limit: float) -> Trial:
    """Trial of least energy that reaches the limit, else the most accurate one."""
    feasible = [trial for trial in trials if trial.point.accuracy >= limit]
    if feasible:
        return min(feasible, key=lambda trial: trial.point.energy)
    return max(trials, key=lambda trial: trial.point.accuracy)


def trial_table(trials: Sequence[Trial], limit: float) -> xr.Dataset:
    """Choices tried, as text, with the energy and accuracy found for each."""
    paths = list(trials[0].choice)
    points = [trial.point for trial in trials]
    return labelled(
        {
            "choice": (("trial", "setting"), [[str(trial.choice[path]) for path in paths] for trial in trials]),
            "energy": (("trial",), [point.energy for point in points]),
            "accuracy": (("trial",), [point.accuracy for point in points]),
            "feasible": (("trial",), [point.accuracy >= limit for point in points]),
        },
        {"trial": np.arange(len(trials)), "setting": paths},
        {"limit": limit},
        labels=LABELS,
    )
