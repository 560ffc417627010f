"""What a comparison says: designs that win at some accuracy, and each family's energy at an accuracy that all reach."""

import math

import numpy as np
import xarray as xr

from amsim.comparison.quantities import LABELS
from amsim.results.labelled import labelled
from amsim.statistics.intervals import student_half_width


def verdict(comparison: xr.Dataset) -> str:
    """Sentences that name the design of least energy up to each accuracy, and each family's at the same accuracy.

    A more expensive design wins beyond the accuracy of a cheaper one only if the 95 % interval of the difference, over
    dies and the common images, lies above 0. No point is interpolated.

    Args:
        comparison: Result of `amsim.compare`.

    Returns:
        The sentences, with energies in uJ and accuracies in percent.
    """
    energy = comparison["energy"].sum("component").values
    mean = comparison["accuracy_mean"].values
    winners: list[int] = []
    for index in np.lexsort((-mean, energy)):
        if not winners or _difference(comparison, int(index), winners[-1])[0] > 0:
            winners.append(int(index))
    limits = [f"{100 * mean[index]:.1f} %" for index in winners]
    names = [f"{comparison['design'].values[i]} ({1e6 * energy[i]:.3g} uJ)" for i in winners]
    parts = [f"up to {limits[0]} {names[0]}"]
    parts += [f"from there to {up_to} {name}" for up_to, name in zip(limits[1:], names[1:], strict=True)]
    text = "Least energy per inference: " + ", ".join(parts) + "."
    found = energy_at_accuracy(comparison)
    if found.sizes["family"] < 2:
        return text
    each = [
        f"{family} {1e6 * float(row):.3g} uJ ({name})"
        for family, row, name in zip(
            found["family"].values, found["family_energy"].values, found["family_design"].values, strict=True
        )
    ]
    return f"{text} At {100 * float(found['common_accuracy']):.1f} %, which all families reach: {', '.join(each)}."


def energy_at_accuracy(comparison: xr.Dataset) -> xr.Dataset:
    """Energy of each family at the highest accuracy that all families reach.

    That accuracy is the smallest of the families' best mean accuracies. Each family is stated by its design of least
    energy whose mean accuracy is at least that: designs that were measured, none in between.

    Args:
        comparison: Result of `amsim.compare`.

    Returns:
        Dataset over family: `family_energy` (J), `family_accuracy` and `family_design`, and `common_accuracy`.
    """
    names = [str(name) for name in comparison["design"].values]
    families = [name.rpartition("-")[0] or name for name in names]
    energy = comparison["energy"].sum("component").values
    mean = comparison["accuracy_mean"].values
    distinct = list(dict.fromkeys(families))
    members = [np.array([family == one for one in families]) for family in distinct]
    common = min(float(mean[own].max()) for own in members)
    chosen = [int(np.argmin(np.where(own & (mean >= common), energy, math.inf))) for own in members]
    variables = {
        "family_energy": (("family",), energy[chosen]),
        "family_accuracy": (("family",), mean[chosen]),
        "family_design": (("family",), np.asarray([names[index] for index in chosen], str)),
        "common_accuracy": ((), np.asarray(common)),
    }
    return labelled(variables, {"family": distinct}, {}, labels=LABELS)


def _difference(comparison: xr.Dataset, one: int, other: int) -> tuple[float, float]:
    """95 % interval of the accuracy of one design less that of another, over their dies and the common images.

    Both see the same images, so that what these have in common cancels; their dies are independent.
    """
    items = comparison["item_accuracy"].transpose("design", "item").values
    dies = comparison["accuracy"].transpose("design", "die").values
    apart = items[one] - items[other]
    square = student_half_width(float(apart.std(ddof=1)), len(apart)) ** 2 if len(apart) > 1 else 0.0
    if dies.shape[1] > 1:
        spread = math.hypot(dies[one].std(ddof=1), dies[other].std(ddof=1))
        square += student_half_width(spread, dies.shape[1]) ** 2
    half = math.sqrt(square)
    return float(apart.mean()) - half, float(apart.mean()) + half
