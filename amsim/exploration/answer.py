"""What an exploration says: the design of least energy at each accuracy, and why the other families lost."""

import numpy as np
import xarray as xr

from amsim.circuits.checks import shown
from amsim.exploration.result import NONE


def answer(result: xr.Dataset) -> str:
    """Sentences that name, for each accuracy, the design of least energy, and what kept each other family from it.

    An accuracy is reached by the mean over dies; where its 95 % interval does not lie above the accuracy as a whole,
    the sentence says so.

    Args:
        result: Result of `amsim.explore`.

    Returns:
        The sentences, with energies in uJ and accuracies in percent.

    Raises:
        ValueError: Not such a result.
    """
    if not isinstance(result, xr.Dataset) or "best_dot" not in result:
        raise ValueError(f"Argument `result` must be a result of amsim.explore, but is {shown(result)}.")
    return " ".join(_sentence(result, row) for row in range(result.sizes["accuracy_target"]))


def winner(result: xr.Dataset, row: int) -> int:
    """Number of the dot of least energy at one of the accuracies; -1 where none reaches it."""
    best = [int(one) for one in result["best_dot"].values[row] if one != NONE]
    energy = result["energy"].sum("component").values
    return min(best, key=lambda one: energy[one], default=NONE)


def _sentence(result: xr.Dataset, row: int) -> str:
    target, first = 100 * float(result["accuracy_target"].values[row]), winner(result, row)
    losers = [
        f"{family}: {why}"
        for family, why in zip(result["family"].values, result["why"].values[row], strict=True)
        if str(why) != "least energy"
    ]
    rest = f" {'; '.join(losers)}." if losers else ""
    if first == NONE:
        return f"At {target:g} %: nothing reaches it.{rest}"
    dot = result.isel(dot=first)
    text = (
        f"At {target:g} %: {_word(dot, 'circuit_family')} with {_word(dot, 'network')} at {_word(dot, 'setting')}, "
        f"{1e6 * float(dot['energy'].sum()):.3g} uJ, with {_accuracy(dot)}, {1e3 * float(dot['latency']):.3g} ms and "
        f"{1e6 * float(dot['area']):.3g} mm2."
    )
    if float(dot["accuracy_low"]) < target / 100:
        text += " Its interval does not lie above that accuracy as a whole."
    return text + rest


def _word(dot: xr.Dataset, name: str) -> str:
    return str(dot[name].values)


def _accuracy(dot: xr.Dataset) -> str:
    mean, low, high = (100 * float(dot[name]) for name in ("accuracy_mean", "accuracy_low", "accuracy_high"))
    return f"{mean:.2f} %" if np.isnan(low) else f"{mean:.2f} % ({low:.2f} .. {high:.2f} %)"
