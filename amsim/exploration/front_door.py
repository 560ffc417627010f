"""The front door of explorations: the network and the hardware of least energy at an accuracy, chosen together."""

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
from amsim.exploration.hardware_points import check_settings, family_points
from amsim.exploration.jobs import jobs_of
from amsim.exploration.members import Member, given_configurations
from amsim.exploration.records import Place, Record, given_records, recorded_members, records_digest
from amsim.exploration.result import result_of
from amsim.exploration.rounds import Rounds
from amsim.exploration.shipped_results import shipped_data, shipped_points, shipped_results
from amsim.exploration.space import DesignSpace, Limits
from amsim.exploration.training import TrainingBudget
from amsim.files.array_content import array_content
from amsim.files.path_argument import checked_path
from amsim.files.whole_file import check_writable
from amsim.networks.families import Configuration, network_of
from amsim.progress import Progress, check_progress, reporting
from amsim.results.provenance import described, versions
from amsim.studies.front_door import check_client
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
    client: Any = None,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Find the network and the hardware of least energy per inference at given accuracies, chosen together.

    The cost of every combination of a network, a family, a supply, a circuit, a parallelism and memory sizes is that of
    `Accelerator.cost` for `amsim.network_workload`: from shapes alone, at the activity that macros assume of unknown
    data, before codes are chosen. `Chip.cost` of the trained network on data differs by that: where "auto" codes take
    other columns, where comparators decide some layers, which here cost a conversion, and by the activity of the data.
    As the cost does not depend on the training, only the design point of least energy within the limits can be the
    answer for each trained network on each circuit: a dot. The accuracy of a dot comes from records of earlier
    explorations, or from training here and deploying on dies; digital hardware, all whose dies and settings answer
    alike, has one circuit. Networks whose dots all have more energy than one that is known to reach every accuracy are
    not trained.

    With neither `networks` nor `records` nor `training` the answer is from results that ship, of "fashion-mnist-mini"
    and "spoken-digits" (docs/results/minimum_energy.md), within a minute. Their costs are kept for the default space
    without a rate, and computed for any other, which takes some seconds a network.

    Args:
        accuracy: Least mean accuracy over dies and test items, or several.
        networks: Configurations to choose among (`amsim.exploration.network_grid` makes a grid); None takes those of
            the records, or of what ships.
        data: As in `amsim.compare`: a name, file, folder, `Dataset` or arrays.
        records: Results of earlier explorations of the same data, as Datasets or files, whose accuracies count as
            known: a network is trained again only where some of its dots have none.
        space: Hardware to choose among; None is the default one.
        limits: Limits to keep; None is none.
        training: Steps that may be spent on networks with a dot within the limits that has no record; None trains
            nothing.
        dies: Dies of each circuit whose dies differ.
        seed: Fixes initial weights, orders, dies and reads.
        store: Folder of a Zarr store that takes every training as it ends (extra `studies`); the same call goes on
            where a search was interrupted, and ends with the same dots.
        weights: Folder for the weights of every network that is trained, as `amsim.networks.load_network` reads them.
        client: A `dask.distributed.Client` whose workers train (extra `distributed`), to the same dots. What the search
            turns out not to need is trained in vain.
        progress: True shows a bar with the time left; a function is called with (phase, done, all).

    Returns:
        Dataset over `dot`: `energy` (dot, component) in J, `latency`, `area`, `average_power`, `weight_bits` and `macs`
        of the design point of least energy within the limits, described by `setting`, NaN without one; mean accuracy
        with its 95 % interval, NaN where it is not known, for the reason in `remark`; its provenance (`configuration`,
        `seed`, `steps`, `fine_tuning_epochs`, `dies`, `circuit_family`, `circuit`, `source`), and `on_front`. Over
        (accuracy_target, family): `best_dot`, and `why` in words. `amsim.exploration.answer` makes sentences of it, and
        `records=` takes it.

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
    dies, seed = int(dies), int(seed)
    for name, value, kind in (("space", space, DesignSpace), ("limits", limits, Limits)):
        part_of(name, value, kind, optional=True)
    part_of("training", training, TrainingBudget, optional=True)
    space, limits = space or DesignSpace(), limits or Limits()
    check_progress(progress)
    check_client(client)
    check_settings(space)
    held = None if store is None else Store(checked_path("store", store, "the path of a folder"))
    folder = None if weights is None else checked_path("weights", weights, "the path of a folder")
    dataset, name = _data(data, training)
    items = {} if dataset is None else {"items": _items_digest(dataset)}
    shipped = records is None and networks is None and training is None and name in shipped_data()
    known = given_records("records", shipped_results(name) if shipped else records, name, items.get("items"))
    members = _members(networks, known, seed)
    if dataset is not None:
        _check_items(members, dataset)
    attributes = {
        **{part: described(one) for part, one in (("space", space), ("limits", limits), ("training", training))},
        "networks": json.dumps([[member.text, member.seed] for member in members]),
        "data": name,
        **({} if dataset is None else {"images": len(dataset.test)}),
        **items,
        "dies": dies,
        "seed": seed,
        **versions(),
    }
    with reporting(progress) as report:
        points_of = shipped_points(name, space, limits.rate) if shipped else family_points
        epochs = 0 if training is None else training.fine_tuning
        costs = Costs(members, space, limits, report, points_of, known, epochs)
        _check_limits(costs, limits)
        untrained = [one for one in members if any(place not in known for place in costs.allowed(one))]
        if training is not None and untrained:
            training.plan(len(untrained))
            if folder is not None:
                check_writable(folder, "weights")
        remarks = {place: "not trained, and no record of it" for place in costs.dots if place not in known}

        def result() -> xr.Dataset:
            return result_of(costs, known, remarks, accuracies, space.families, attributes)

        fingerprint = attributes | {"accuracies": accuracies, "records": records_digest(known)}
        rounds = None
        if training is not None and dataset is not None and untrained:
            # What the last bits of a training depend on.
            fingerprint |= {"float": str(jnp.result_type(float)), "devices": jax.local_devices()[0].device_kind}
            given = frozenset(known)
            rounds = Rounds(untrained, costs, dataset, training, accuracies, dies, seed, folder, given, client)
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


def _members(networks: Any, known: Mapping[Place, Record], seed: int) -> list[Member]:
    """Networks to choose among, those of records with their own seeds."""
    recorded = recorded_members(known)
    if networks is None:
        if not recorded:
            raise ValueError(
                "Argument `networks` must be given where there are no `records`, but is None: results ship of the data "
                f"{' and '.join(shipped_data())} alone, for calls without `training`."
            )
        return recorded
    members = []
    for configuration in given_configurations("networks", networks):
        own = [member for member in recorded if member.configuration == configuration]
        members += own or [Member(configuration, seed)]
    return members


def _check_items(members: Sequence[Member], data: Dataset) -> None:
    """Raise ValueError unless all networks take the items, as those of records of the same data do."""
    shape = np.shape(data.train.inputs)[1:]
    classes = int(np.max(data.train.labels)) + 1
    for member in members:
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
    if not reach.fitting:
        raise ValueError(
            f"Argument `space` must have memories that a network fits, but none of {reach.points} design points does: "
            "add larger ones."
        )
    if not reach.possible:
        raise ValueError(
            f"Argument `limits.rate` must leave a design point, but {limits.rate:g} inferences per second are kept by "
            f"none of {reach.fitting} design points whose memories a network fits."
        )
    said = [
        f"{name} {limit:g} is kept by {reach.keeping[name]} of {reach.possible} possible design points, of which the "
        f"least has {reach.least[name]:.4g}"
        for name, limit in limits.by_quantity.items()
    ]
    raise ValueError(
        f"Argument `limits` must leave a design point, but nothing keeps all: {'; '.join(said)} (SI units)."
    )


def _check_reached(found: xr.Dataset, accuracies: Sequence[float]) -> None:
    """Raise ValueError for an accuracy that no dot within the limits reaches; the text names the best."""
    missed = [target for target, row in zip(accuracies, found["best_dot"].values, strict=True) if np.all(row < 0)]
    if not missed:
        return
    allowed = found["allowed_points"].values > 0
    mean = np.where(allowed, found["accuracy_mean"].values, np.nan)
    if not np.isfinite(mean).any():
        raise ValueError("Argument `records` must have networks of the exploration, or `training` a budget.")
    best = int(np.nanargmax(mean))
    dot = found.isel(dot=best)
    unknown = np.any(allowed & np.isnan(found["accuracy_mean"].values))
    not_reached = "is not, as far as it is known; the best known" if unknown else "is not; the best there is"
    raise ValueError(
        f"Argument `accuracy` must be reached by a network, but {missed[0]:g} {not_reached} within the "
        f"limits is {mean[best]:.4f}, of {dot['network'].item()} on {dot['circuit_family'].item()}."
    )


def _items_digest(data: Dataset) -> str:
    """Digest of all items."""
    arrays = [array for part in (data.train, data.test) for array in jax.tree.leaves((part.inputs, part.labels))]
    return hashlib.sha256(repr(list(map(array_content, arrays))).encode()).hexdigest()
