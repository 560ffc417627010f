"""What an exploration says: the design of least energy at each accuracy, why other families lost, and the tables."""

import numpy as np
import xarray as xr
from rich.table import Table

from amsim.report.columns import right_aligned
from amsim.report.comparison import narrow_component
from amsim.results.best_dots import NONE, check_best_dots, winner
from amsim.results.dataset_check import check_dataset

EXPLORED = {"dot", "accuracy_target", "family", "component", "best_dot", "why", "energy", "accuracy_mean"}
"""Dimensions and variables of an exploration."""

OF_DOTS = ("accuracy_mean", "accuracy_low", "accuracy_high", "latency", "area", "network", "circuit_family", "setting")
OF_ANSWERS = ("best_dot", "why")
"""Variables over dots, and over accuracies and families, that words and tables need besides the energy."""


def answer(result: xr.Dataset) -> str:
    """Sentences that name, for each accuracy, the design of least energy, and what kept each other family from it.

    An accuracy is reached by the mean over dies; where part of its 95 % interval lies below the accuracy, the
    sentence says so.

    Args:
        result: Result of `amsim.explore`.

    Returns:
        The sentences, with energies in uJ and accuracies in percent.

    Raises:
        ValueError: Not such a result, or one with a dot that it does not have.
    """
    _check_explored(result)
    return " ".join(_sentence(result, row) for row in range(result.sizes["accuracy_target"]))


def _check_explored(result: xr.Dataset) -> None:
    """Raise ValueError unless a result, perhaps from a file, has all that is said of it, in its place."""
    dims = dict.fromkeys(OF_DOTS, ("dot",)) | dict.fromkeys(OF_ANSWERS, ("accuracy_target", "family"))
    dims |= {"energy": ("dot", "component")}
    check_dataset("result", result, tuple(dims), ("dot", "component", "accuracy_target", "family"))
    for name, wanted in dims.items():
        if result[name].dims != wanted:
            raise ValueError(f"Argument `result` must have {name} over {wanted}, but has it over {result[name].dims}.")
    check_best_dots(result)


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
        text += " Part of its interval lies below that accuracy."
    return text + rest


def _word(dot: xr.Dataset, name: str) -> str:
    return str(dot[name].values)


def _accuracy(dot: xr.Dataset) -> str:
    mean, low, high = (100 * float(dot[name]) for name in ("accuracy_mean", "accuracy_low", "accuracy_high"))
    return f"{mean:.2f} %" if np.isnan(low) else f"{mean:.2f} % ({low:.2f} .. {high:.2f} %)"


def exploration_tables(result: xr.Dataset) -> list[Table]:
    """Tables of each accuracy: the best design of each family, its energy by component, and why it wins or loses."""
    _check_explored(result)
    found: list[Table] = []
    for row, target in enumerate(result["accuracy_target"].values):
        percent = f"{100 * target:g} %"
        best = right_aligned(
            f"least energy at {percent}, {result.attrs.get('data', 'data unknown')}",
            *("family", "network", "accuracy %", "energy uJ", "latency ms", "area mm2"),
        )
        split = right_aligned(
            f"energy at {percent}, uJ", "family", *(narrow_component(str(name)) for name in result["component"].values)
        )
        why = right_aligned(f"why at {percent}", "family", "why")
        for column, family in enumerate(result["family"].values):
            why.add_row(str(family), str(result["why"].values[row, column]))
            number = int(result["best_dot"].values[row, column])
            if number == NONE:
                continue
            dot = result.isel(dot=number)
            energies = 1e6 * np.asarray(dot["energy"].values, float)
            best.add_row(
                str(family),
                _word(dot, "network"),
                f"{100 * float(dot['accuracy_mean']):.2f}",
                f"{energies.sum():.3g}",
                f"{1e3 * float(dot['latency']):.3g}",
                f"{1e6 * float(dot['area']):.3g}",
            )
            split.add_row(str(family), *(f"{value:.2g}" if value else "0" for value in energies))
        found += [best, split, why]
    return found
