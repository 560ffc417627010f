"""Which dot of an exploration has the least energy: for its answer, its tables and its picture."""

import numpy as np
import xarray as xr

NONE = -1
"""Number of the best dot where no dot reaches an accuracy."""


def check_best_dots(result: xr.Dataset) -> None:
    """Raise ValueError unless every best dot of a result, perhaps from a file, is one of its dots or `NONE`."""
    best, dots = result["best_dot"].values, result.sizes["dot"]
    wrong = ~np.isin(best, np.arange(NONE, dots))
    if wrong.any():
        raise ValueError(
            f"Argument `result` must have best_dot from {NONE} to {dots - 1}, the numbers of its dots, but has "
            f"{best[wrong][0]}."
        )


def winner(result: xr.Dataset, row: int) -> int:
    """Number of the dot of least energy at one of the accuracies; `NONE` where none reaches it."""
    best = [int(one) for one in result["best_dot"].values[row] if one != NONE]
    energy = result["energy"].sum("component").values
    return min(best, key=lambda one: energy[one], default=NONE)
