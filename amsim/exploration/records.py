"""Accuracy of trained networks on dies, known from earlier explorations."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from amsim.circuits.checks import shown
from amsim.exploration.members import Member, configuration_of
from amsim.report.result_file import open_result

NUMBERS = ("accuracy_mean", "accuracy_low", "accuracy_high", "plain_accuracy", "steps")
TEXTS = ("configuration", "circuit_family", "circuit", "seed")

TUNED = " fine-tuned"
"""What the name of a network ends with that was fine-tuned through a circuit."""

UNNAMED = "a Dataset"
"""Name of a record that is no file."""


class Place(NamedTuple):
    """What an accuracy belongs to.

    Attributes:
        member: The trained network.
        family: Circuit family that it was deployed on.
        circuit: Settings that its accuracy depends on, in words; empty where it depends on none.
        fine_tuning: Epochs that it was fine-tuned through the circuit after its training.
    """

    member: Member
    family: str
    circuit: str
    fine_tuning: int = 0

    @property
    def network(self) -> str:
        """Name of the network in tables and pictures."""
        return f"{self.member.configuration.name}{TUNED if self.fine_tuning else ''}"


class Record(NamedTuple):
    """Accuracy of a trained network on dies of a circuit.

    Attributes:
        mean: Mean over dies and items.
        low: Lower end of its 95 % interval, NaN without one.
        high: Upper end.
        plain: Accuracy without circuits.
        steps: Steps of training.
        source: Where it is from.
        dies: Dies of the mean; 0 where that is not known.
    """

    mean: float
    low: float
    high: float
    plain: float
    steps: int
    source: str
    dies: int


def given_records(argument: str, records: Any, data: str, items: str | None) -> dict[Place, Record]:
    """Accuracies by their place, from results of explorations; of two for one place that of more steps, or the later.

    Args:
        argument: Name of the argument, for messages.
        records: A result of `amsim.explore`, the path of its file or store, or a list of these; None is none.
        data: Name of the data set that they have to be of.
        items: Digest of its items; None where they are not loaded. Records that were made without data have none.

    Raises:
        ValueError: Something else, a file that is no such result, or one of other data or other items.
        FileNotFoundError: There is no such file.
    """
    if records is None:
        return {}
    found: dict[Place, Record] = {}
    several = records if isinstance(records, list | tuple) else [records]
    for one in several:
        name, dataset = opened_record(argument, one)
        if dataset.attrs.get("data") != data:
            raise ValueError(
                f"Argument `{argument}` must have records of the data {data}, but {name} is of "
                f"{dataset.attrs.get('data', 'unknown data')}."
            )
        own = dataset.attrs.get("items")
        if None not in (own, items) and own != items:
            raise ValueError(
                f"Argument `{argument}` must have records of the same items, but those of {data} in {name} differ from "
                "the others of that name."
            )
        items = items or own
        for place, record in _records(argument, name, dataset):
            if place not in found or record.steps >= found[place].steps:
                found[place] = record
    return found


def recorded_members(records: Iterable[Place]) -> list[Member]:
    """Different trained networks of records, in their order."""
    return list(dict.fromkeys(place.member for place in records))


def records_digest(records: Mapping[Place, Record]) -> str:
    """Digest of all records, whatever files they are from."""
    rows = [
        [place.member.text, place.member.seed, *place[1:], *map(repr, one._replace(source=""))]
        for place, one in records.items()
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def opened_record(argument: str, one: Any) -> tuple[str, xr.Dataset]:
    """Name of a record for messages, and its content; the errors of `given_records`."""
    if isinstance(one, xr.Dataset):
        name, dataset = UNNAMED, one
    elif isinstance(one, str | os.PathLike) and str(one):
        name, dataset = str(one), _read(argument, Path(one))
    else:
        raise ValueError(
            f"Argument `{argument}` must be results of amsim.explore, as Datasets or the paths of their files, but is "
            f"{shown(one)}."
        )
    missing = [name for name in (*NUMBERS, *TEXTS) if name not in dataset.variables]
    if missing or any(dataset[name].dims != ("dot",) for name in (*NUMBERS, *TEXTS)):
        raise ValueError(
            f"Argument `{argument}` must be results of amsim.explore, but {name} has no {', '.join(missing) or 'dots'}."
        )
    return name, dataset


def _read(argument: str, path: Path) -> xr.Dataset:
    try:
        return open_result(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"Argument `{argument}` must name files that exist, but {path} does not.") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"Argument `{argument}` cannot be used: {error}") from None


def _records(argument: str, name: str, dataset: xr.Dataset) -> Iterable[tuple[Place, Record]]:
    numbers: Sequence[np.ndarray] = [dataset[one].values.astype(float) for one in NUMBERS]
    texts = [dataset[one].values for one in TEXTS]
    source = "given record" if name == UNNAMED else name
    none = np.zeros(dataset.sizes["dot"], int)
    counts = [dataset[one].values if one in dataset.variables else none for one in ("dies", "fine_tuning_epochs")]
    rows = (zip(*columns, strict=True) for columns in (numbers, texts, counts))
    for row, words, (dies, epochs) in zip(*rows, strict=True):
        mean, low, high, plain, steps = map(float, row)
        if not np.isfinite(mean):
            continue  # a design whose accuracy was not measured
        if not 0 <= mean <= 1:
            raise ValueError(f"Argument `{argument}` must have accuracies from 0 to 1, but {name} has {mean:g}.")
        text, family, circuit, seed = words
        try:
            member = Member(configuration_of(str(text)), int(seed))
        except ValueError as error:
            raise ValueError(f"Argument `{argument}` cannot be used: of {name} {error}") from None
        place = Place(member, str(family), str(circuit), int(epochs))
        yield place, Record(mean, low, high, plain, int(steps), source, int(dies))
