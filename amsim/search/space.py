"""Space of a circuit design: continuous settings inside bounds, and discrete choices."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from amsim.circuits.checks import part_of, truth_values
from amsim.search.choices import Choices
from amsim.system.accelerator import Accelerator
from amsim.system.settings import continuous_setting, with_settings

Variables = Mapping[str, tuple[float, float]]
"""Lowest and highest value of each continuous setting, by its path."""


@dataclasses.dataclass(frozen=True, eq=False)
class SearchSpace:
    """Settings that a search may change, by their paths as in `amsim.setting`.

    Attributes:
        variables: Lowest and highest value of each continuous setting.
        choices: Values of each static setting, such as `{"macro.adc.bits": [4, 5, 6]}`; every combination has a search
            of its own, or, where there are more than `amsim.search.choices.EXHAUSTIVE`, those that Optuna picks.
        per_site: Give each site, or layer with all its uses, a macro of its own before the search; a variable
            `macro...` then is one per macro.
            Energy, leakage and area are those of all these macros.

    Raises:
        ValueError: No variables.
    """

    variables: Variables
    choices: Choices | None = None
    per_site: bool = False

    def __post_init__(self) -> None:
        """Check that there are variables."""
        part_of("variables", self.variables, Mapping)
        part_of("choices", self.choices, Mapping, optional=True)
        truth_values(per_site=self.per_site)
        if not self.variables:
            raise ValueError("Argument `variables` must have a setting at least, but is empty.")

    @staticmethod
    def of(variables: Any) -> "SearchSpace":
        """The same space as a part, where its variables alone are given."""
        return variables if isinstance(variables, SearchSpace) else SearchSpace(variables)


def log_bounds(accelerator: Accelerator, variables: Variables) -> tuple[np.ndarray, np.ndarray]:
    """Natural logarithms of the lowest and highest values, shape (variables,) each.

    Raises:
        ValueError: A path that is not a continuous setting of this hardware, or bounds that are not in order or not
            allowed there.
    """
    for path, pair in variables.items():
        continuous_setting(accelerator, "variables", path)
        if len(pair) != 2 or not 0 < pair[0] < pair[1] < np.inf:
            raise ValueError(
                "Argument `variables` must have finite bounds (low, high) with 0 < low < high, but "
                f"{path!r} has {pair}."
            )
        for value in pair:
            with_settings(accelerator, {path: value})
    low, high = np.log(np.array(list(variables.values()), float)).T
    return low, high
