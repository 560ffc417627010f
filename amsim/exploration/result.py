"""The result of an exploration: every dot with its provenance, and the best of each family at each accuracy."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from amsim.exploration.dots import Costs, Dot
from amsim.exploration.quantities import LABELS
from amsim.exploration.records import Place, Record
from amsim.results.best_dots import NONE
from amsim.results.labelled import labelled
from amsim.results.provenance import described
from amsim.statistics.pareto import pareto_front
from amsim.system.hardware import COMPONENTS


def result_of(
    costs: Costs,
    records: Mapping[Place, Record],
    remarks: Mapping[Place, str],
    accuracies: Sequence[float],
    families: Sequence[str],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Labelled result of all dots.

    Args:
        costs: Dots with their cost.
        records: Accuracy of those that are known.
        remarks: Why others are not.
        accuracies: Accuracies that are asked for.
        families: Circuit families.
        attributes: What else belongs to the result.
    """
    dots = list(costs.dots.values())
    of_dots = _of_dots(dots, records, remarks)
    energy, accuracy = _allowed_energy(of_dots), of_dots["accuracy_mean"]
    of_dots["on_front"] = pareto_front(xr.DataArray(energy, dims="dot"), xr.DataArray(accuracy, dims="dot")).values
    own = np.asarray([dot.place.family for dot in dots], str)
    best = np.full((len(accuracies), len(families)), NONE)
    why = np.full(best.shape, "", object)
    for row, target in enumerate(accuracies):
        reaching = np.where(accuracy >= target, energy, np.nan)
        for column, family in enumerate(families):
            best[row, column] = _least(np.where(own == family, reaching, np.nan))
        for column, family in enumerate(families):
            why[row, column] = _why(costs, family, int(best[row, column]), _least(reaching), of_dots, own == family)
    variables: dict[str, Any] = {name: (("dot",), values) for name, values in of_dots.items()}
    variables["energy"] = (("dot", "component"), of_dots["energy"])
    variables["best_dot"] = (("accuracy_target", "family"), best)
    variables["why"] = (("accuracy_target", "family"), why.astype(str))
    coordinates = {
        "dot": np.arange(len(dots)),
        "component": list(COMPONENTS),
        "accuracy_target": np.asarray(accuracies, float),
        "family": list(families),
    }
    chosen = sorted({int(one) for one in best.ravel() if one != NONE})
    held = {
        "best_dots": chosen,
        "accelerators": [described(dots[one].best.hardware) for one in chosen],
        "refused": json.dumps([[member.name, family, text] for (member, family), text in costs.refused.items()]),
    }
    return labelled(variables, coordinates, {**attributes, **held}, labels=LABELS)


def _of_dots(
    dots: Sequence[Dot], records: Mapping[Place, Record], remarks: Mapping[Place, str]
) -> dict[str, np.ndarray]:
    """Variables over dots by name."""
    none = Record(np.nan, np.nan, np.nan, np.nan, 0, "", 0)
    held = [records.get(dot.place, none) for dot in dots]
    words = {
        "network": [dot.place.network for dot in dots],
        "configuration": [dot.place.member.text for dot in dots],
        "circuit_family": [dot.place.family for dot in dots],
        "circuit": [dot.place.circuit for dot in dots],
        "setting": [dot.best.words for dot in dots],
        "source": [one.source for one in held],
        "remark": ["" if dot.allowed else "no design point within the limits" for dot in dots],
    }
    words["remark"] = [one or remarks.get(dot.place, "") for one, dot in zip(words["remark"], dots, strict=True)]
    counts = {
        "network_bits": [dot.place.member.configuration.bits for dot in dots],
        "seed": [dot.place.member.seed for dot in dots],
        "steps": [one.steps for one in held],
        "fine_tuning_epochs": [dot.place.fine_tuning for dot in dots],
        "dies": [one.dies for one in held],
        "weight_bits": [dot.weights for dot in dots],
        "macs": [dot.macs for dot in dots],
        "points": [dot.points for dot in dots],
        "allowed_points": [dot.allowed for dot in dots],
    }
    numbers = {
        "accuracy_mean": [one.mean for one in held],
        "accuracy_low": [one.low for one in held],
        "accuracy_high": [one.high for one in held],
        "plain_accuracy": [one.plain for one in held],
        "latency": [dot.best.latency for dot in dots],
        "area": [dot.best.area for dot in dots],
        "average_power": [dot.best.power for dot in dots],
    }
    found = {name: np.asarray(values, str) for name, values in words.items()}
    found |= {name: np.asarray(values, int) for name, values in counts.items()}
    found |= {name: np.asarray(values, float) for name, values in numbers.items()}
    return found | {"energy": np.asarray([dot.best.energy for dot in dots], float).reshape(-1, len(COMPONENTS))}


def _allowed_energy(of_dots: Mapping[str, np.ndarray]) -> np.ndarray:
    """Energy of each dot, J; NaN where no design point keeps the limits."""
    return np.where(of_dots["allowed_points"] > 0, of_dots["energy"].sum(axis=1), np.nan)


def _least(energy: np.ndarray) -> int:
    """Number of the least energy; `NONE` where all are NaN."""
    return int(np.nanargmin(energy)) if np.isfinite(energy).any() else NONE


def _why(
    costs: Costs, family: str, own: int, winner: int, of_dots: Mapping[str, np.ndarray], members: np.ndarray
) -> str:
    """Why a family wins or loses at an accuracy."""
    if own != NONE:
        return "least energy" if own == winner else _dearer(of_dots["energy"][own], of_dots["energy"][winner])
    allowed = members & (of_dots["allowed_points"] > 0)
    if allowed.any():
        return _missing(of_dots, allowed, winner)
    if members.any():
        return "no design point within the limits"
    refusals = (f"cannot run these networks: {text}" for (_, name), text in costs.refused.items() if name == family)
    return next(refusals, "no network")


def _missing(of_dots: Mapping[str, np.ndarray], allowed: np.ndarray, winner: int) -> str:
    """Why no dot of a family that keeps the limits is known to reach an accuracy."""
    accuracy, energy = of_dots["accuracy_mean"], of_dots["energy"].sum(axis=1)
    known, unknown = allowed & np.isfinite(accuracy), allowed & np.isnan(accuracy)
    said = []
    if known.any():
        best = int(np.argmax(np.where(known, accuracy, -np.inf)))
        so_far = " as far as it is known" if unknown.any() else ""
        said.append(f"reaches {100 * accuracy[best]:.2f} % at most{so_far}, with {of_dots['network'][best]}")
    dearer = winner != NONE and unknown.any() and energy[unknown].min() >= energy[winner]
    if dearer:
        times = energy[unknown].min() / energy[winner]
        said.append(f"takes at least {times:.3g} times the energy where its accuracy is unknown")
    return ", and ".join(said) or "no accuracy is known of it"


def _dearer(energy: np.ndarray, least: np.ndarray) -> str:
    """How much more energy it takes, and the component that grows most."""
    more = energy - least
    most = int(np.argmax(more))
    return (
        f"{energy.sum() / least.sum():.3g} times the energy, above all by more {COMPONENTS[most].replace('_', ' ')} "
        f"(+{1e6 * more[most]:.3g} uJ; +{1e6 * more.sum():.3g} uJ in all)"
    )
