"""The front door of explorations: the network and the hardware of least energy at an accuracy, chosen together."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from amsim.circuits.checks import integer_between, number_between, part_of, shown
from amsim.datasets.given_data import given_dataset
from amsim.datasets.load import DATASETS
from amsim.datasets.split import Dataset
from amsim.exploration.dots import Costs
from amsim.exploration.hardware_points import check_settings
from amsim.exploration.members import Configuration, Member, given_configurations, network_of
from amsim.exploration.records import Place, Record, given_records, recorded_members
from amsim.exploration.result import result_of
from amsim.exploration.rounds import Rounds, jobs_of
from amsim.exploration.space import DesignSpace, Limits
from amsim.exploration.training import TrainingBudget
from amsim.files.array_content import array_content
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import check_writable
from amsim.progress import Progress, check_progress, reporting
from amsim.results.provenance import versions
from amsim.studies.store import Store


def explore(
    accuracy: float | Sequence[float],
    networks: Sequence[Configuration] | None = None,
    *,
    data: Any = "fashion-mnist-mini",
    records: Any = None,
    space: DesignSpace | None = None,
    limits: Limits | None = None,
    training: TrainingBudget | None = None,
    dies: int = 8,
    seed: int = 0,
    store: str | Path | None = None,
    weights: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Find the network and the hardware of least energy per inference at given accuracies, chosen together.

    The cost of every combination of a network, a family, a supply, a circuit, a parallelism and memory sizes is
    computed exactly, from shapes alone. It does not depend on the training, so that of each trained network on each
    circuit only the design point of least energy within the limits can be the answer: a dot. The accuracy of a dot
    comes from records of earlier explorations, or from training here and deploying on dies; digital hardware, all
    whose dies and settings answer alike, has one circuit. Networks whose dots all have more energy than one that is
    known to reach every accuracy are not trained.

    Args:
        accuracy: Least mean accuracy over dies and test items, or several.
        networks: Configurations to choose among (`amsim.exploration.network_grid` makes a grid); None takes those of
            the records.
        data: As in `amsim.compare`: a name, file, folder, `Dataset` or arrays.
        records: Results of earlier explorations of the same data, as Datasets or files, whose accuracies count as
            known: their networks are not trained again.
        space: Hardware to choose among; None is the default one.
        limits: Limits to keep; None is none.
        training: Steps that may be spent on networks without a record; None trains nothing.
        dies: Dies of each circuit whose dies differ.
        seed: Fixes initial weights, orders, dies and reads.
        store: Folder of a Zarr store that takes every training as it ends (extra `studies`); the same call goes on
            where a search was interrupted, and ends with the same dots.
        weights: Folder for the weights of every network that is trained, as `amsim.networks.load_network` reads them.
        progress: True shows a bar with the time left; a function is called with (phase, done, all).

    Returns:
        Dataset over `dot`: `energy` (dot, component) in J, `latency`, `area`, `average_power`, `weight_bits` and `macs`
        of the design point of least energy within the limits, described by `setting`; mean accuracy with its 95 %
        interval, NaN where it is not known, for the reason in `remark`; its provenance (`configuration`, `seed`,
        `steps`, `circuit_family`, `circuit`, `source`), and `on_front`. Over (accuracy_target, family): `best_dot`, and
        `why` in words. `amsim.exploration.answer` makes sentences of it, and `records=` takes it.

    Raises:
        ValueError: Before anything is trained: an argument out of range, no networks, records or a store of something
            else, items that networks do not take, limits that no design point keeps together, and, where nothing is to
            be trained, an accuracy that no dot reaches, with the best that there is. After a training such an
            accuracy has the dot -1.
        FileNotFoundError: There is no such file.
        OSError: The store or the weights cannot be written.
    """
    accuracies = _accuracies(accuracy)
    integer_between("dies", dies, 1)
    integer_between("seed", seed, 0, 2**32 - 1)
    for name, value, kind in (("space", space, DesignSpace), ("limits", limits, Limits)):
        part_of(name, value, kind, optional=True)
    part_of("training", training, TrainingBudget, optional=True)
    space, limits = space or DesignSpace(), limits or Limits()
    check_progress(progress)
    check_settings(space)
    held = None if store is None else Store(checked_path("store", store, "the path of a folder"))
    folder = None if weights is None else checked_path("weights", weights, "the path of a folder")
    dataset, name = _data(data, training)
    known = given_records("records", records, name)
    members, untrained = _members(networks, known, seed)
    if dataset is not None:
        _check_items(untrained, dataset)
    if training is not None and untrained:
        training.plan(len(untrained))
        if folder is not None:
            check_writable(folder, "weights")
    attributes = {
        "exploration": json.dumps({"space": _plain(space), "limits": _plain(limits), "training": _plain(training)}),
        "networks": json.dumps([[member.text, member.seed] for member in members]),
        "data": name,
        **({} if dataset is None else {"images": len(dataset.test)}),
        "dies": dies,
        "seed": seed,
        **versions(),
    }
    with reporting(progress) as report:
        costs = Costs(members, space, limits, report)
        _check_limits(costs, limits)
        remarks = {place: "not trained, and no record of it" for place in costs.dots if place not in known}

        def result() -> xr.Dataset:
            return result_of(costs, known, remarks, accuracies, space.families, attributes)

        fingerprint = attributes | {"accuracies": accuracies, "records": _texts(known)}
        rounds = None
        if training is not None and dataset is not None and untrained:
            fingerprint["items"] = _digest(dataset)
            rounds = Rounds(untrained, costs, dataset, training, accuracies, dies, seed, folder)
        else:
            _check_reached(result(), accuracies)
        return _searched(rounds, known, remarks, held, fingerprint, result, report)


def _searched(
    rounds: Rounds | None,
    known: dict[Place, Record],
    remarks: dict[Place, str],
    held: Store | None,
    fingerprint: Mapping[str, Any],
    result: Callable[[], xr.Dataset],
    report: Progress,
) -> xr.Dataset:
    """Result after all rounds, of which a store keeps every training."""
    jobs = [] if rounds is None else jobs_of(rounds.members, rounds.budget.rounds, rounds.costs)
    if held is None:
        for _ in () if rounds is None else rounds.run(jobs, known, remarks, {}, report):
            pass
        return result()
    with ExitStack() as stack:
        stack.callback(held.close)
        held.begin(fingerprint, jobs, result())
        if held.complete:
            return held.load()
        stored = {job.number: outputs for job, _, outputs in held.parts(jobs)}
        try:
            for one in () if rounds is None else rounds.run(jobs, known, remarks, stored, report):
                held.add(one, result)
        finally:
            held.flush()
        held.finish(result())
        return result()


def _accuracies(accuracy: Any) -> list[float]:
    several = accuracy if isinstance(accuracy, list | tuple | np.ndarray) else [accuracy]
    if len(several) == 0:
        raise ValueError("Argument `accuracy` must be at least one accuracy, but is empty.")
    for one in several:
        number_between("accuracy", one, 0.0, 1.0)
    found = [float(one) for one in several]
    if len(set(found)) < len(found):
        raise ValueError(f"Argument `accuracy` must have different accuracies, but is {shown(accuracy)}.")
    return sorted(found)


def _data(data: Any, training: TrainingBudget | None) -> tuple[Dataset | None, str]:
    """The data where something is trained, and its name."""
    if training is None and isinstance(data, str) and data in DATASETS:
        return None, data
    dataset = given_dataset("data", data)
    return dataset, dataset.name


def _members(networks: Any, known: Mapping[Place, Record], seed: int) -> tuple[list[Member], list[Member]]:
    """Networks to choose among, those of records with their own seeds, and those of no record."""
    recorded = recorded_members(known)
    if networks is None:
        if not recorded:
            raise ValueError("Argument `networks` must be given where there are no `records`, but is None.")
        return recorded, []
    members, untrained = [], []
    for configuration in given_configurations("networks", networks):
        own = [member for member in recorded if member.configuration == configuration]
        if not own:
            own = [Member(configuration, seed)]
            untrained += own
        members += own
    return members, untrained


def _check_items(untrained: Sequence[Member], data: Dataset) -> None:
    """Raise ValueError unless networks that are to be trained take the items."""
    shape = np.shape(data.train.inputs)[1:]
    classes = int(np.max(data.train.labels)) + 1
    for member in untrained:
        network = network_of(member.configuration)
        if tuple(network.input_shape) != shape or network.classes < classes:
            raise ValueError(
                f"Argument `networks` must take the items of {data.name}, of shape {shape} in {classes} classes, but "
                f"{member.configuration.name} takes {tuple(network.input_shape)} in {network.classes} classes."
            )


def _check_limits(costs: Costs, limits: Limits) -> None:
    """Raise ValueError where no design point keeps all limits."""
    if any(dot.allowed for dot in costs.dots.values()):
        return
    if not costs.dots:
        reasons = dict.fromkeys(costs.refused.values())
        raise ValueError(f"Argument `networks` must have one that a family can run, but: {' '.join(reasons)}")
    reach = costs.reach
    said = [
        f"{name} {limit:g} is kept by {reach.keeping[name]} of {reach.points} design points, of which the least has "
        f"{reach.least[name]:.4g}"
        for name, limit in limits.by_quantity.items()
    ]
    said += [] if said else [f"none of {reach.points} fits its memories at that rate"]
    raise ValueError(
        f"Argument `limits` must leave a design point, but nothing keeps all: {'; '.join(said)} (SI units)."
    )


def _check_reached(found: xr.Dataset, accuracies: Sequence[float]) -> None:
    """Raise ValueError for an accuracy that no dot within the limits reaches; the text names the best."""
    missed = [target for target, row in zip(accuracies, found["best_dot"].values, strict=True) if np.all(row < 0)]
    if not missed:
        return
    mean = np.where(found["allowed_points"].values > 0, found["accuracy_mean"].values, np.nan)
    if not np.isfinite(mean).any():
        raise ValueError("Argument `records` must have networks of the exploration, or `training` a budget.")
    best = int(np.nanargmax(mean))
    dot = found.isel(dot=best)
    raise ValueError(
        f"Argument `accuracy` must be reached by a network, but {missed[0]:g} is not; the best there is within the "
        f"limits is {mean[best]:.4f}, of {dot['network'].item()} on {dot['circuit_family'].item()}."
    )


def _plain(part: Any) -> Any:
    return None if part is None else dataclasses.asdict(part)


def _texts(known: Mapping[Place, Record]) -> str:
    """Digest of all records."""
    rows = [[place.member.text, place.member.seed, *place[1:], *map(repr, one[:-1])] for place, one in known.items()]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _digest(data: Dataset) -> str:
    """Digest of all items, and of what else results depend on bit for bit."""
    arrays = [array for part in (data.train, data.test) for array in jax.tree.leaves((part.inputs, part.labels))]
    held = [str(jnp.result_type(float)), jax.local_devices()[0].device_kind, *map(array_content, arrays)]
    return hashlib.sha256(repr(held).encode()).hexdigest()
