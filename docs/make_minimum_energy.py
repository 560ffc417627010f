"""Train the networks whose accuracies ship, and write them with the front's weights; resumable.

python docs/make_minimum_energy.py train STORE --hours 6  # of two cores for all networks; goes on where it stopped
python docs/make_minimum_energy.py tune STORE --hours 1  # through circuits that cost accuracy, where they may be front
python docs/make_minimum_energy.py ship STORE  # amsim/exploration/shipped from what STORE holds

`STORE` is a folder of this command: one file of weights and one of accuracies for each network. A network is trained as
`amsim.explore` trains it in a single round, and deployed on dies of the circuits of its default `DesignSpace`, in two
passes: first where digital circuits or comparators read it, which costs seconds, then where converters do.
"""

import argparse
import functools
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# A network trains for seconds: compiling with fewer optimisations saves more than they would.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1"

import numpy as np
import xarray as xr

import amsim
from amsim.chips.designs import FAMILIES
from amsim.evaluation.accuracy import plain_accuracy
from amsim.exploration import DesignSpace, Limits, TrainingBudget, network_grid
from amsim.exploration.dots import Costs, Dot, would_be_on_front
from amsim.exploration.hardware_points import FamilyPoints, RefusedError, family_points, family_variants
from amsim.exploration.members import Member, configuration_of
from amsim.exploration.orders import TrainingOrder, carried_out
from amsim.exploration.records import TUNED
from amsim.exploration.shipped_results import shipped_dataset, shipped_results
from amsim.exploration.training import accuracy_on_dies, divided, trained_member, tuned_name, whole_steps
from amsim.files.whole_file import write_whole_text
from amsim.networks.families import Configuration
from amsim.networks.quantised import Params
from amsim.networks.storage import load_network, save_network
from amsim.progress import nothing
from amsim.report.result_file import write_result
from amsim.results.provenance import versions

SHIPPED = Path(amsim.__file__).parent / "exploration" / "shipped"

DATA = {"speech": "spoken-digits", "images": "fashion-mnist-mini"}
STEPS = {"speech": 1200, "images": 800}
DIES = {"speech": 8, "images": 4}
SEED = 0

ANALOG = "switched-capacitor"
"""Family that reads networks of one bit by comparators and others by converters, whose ranges are chosen on data."""

BITS = (1, 2, 4, 8, 3)
CODING = {1: 4, 2: 2}
"""Maps of one input, so that few bits see it at 5 and 7 levels; more bits take it as one number."""


def grids() -> dict[str, list[Configuration]]:
    """Networks of each task, in the order of their training: each part covers word lengths and widths by itself."""
    speech: list[Configuration] = []
    for topology, depth, widths, bits in (
        ("dense", 1, (16, 64, 32, 8), BITS),
        ("temporal-convolution", 2, (16, 32, 8), BITS),
        ("gru", 1, (16, 32, 8), BITS),
        ("dense", 2, (32, 16), BITS),
        ("lstm", 1, (16,), BITS),
        ("temporal-convolution", 3, (16,), BITS),
    ):
        speech += _part("sequences", topology, depth, widths, bits, input_shape=(32, 13))
    images: list[Configuration] = []
    for topology, depths, widths, bits in (
        ("plain", (1,), (8, 16, 4, 24), BITS),
        ("depthwise-separable", (1,), (8, 16, 32), BITS[:4]),
        ("plain", (2,), (8, 16), BITS[:4]),
        ("residual", (2,), (8, 16), BITS[:4]),
        ("binary-2x2", ((4, 2, 2),), (8, 16), BITS[:4]),
        ("depthwise-separable", (2,), (8, 16), BITS[:4]),
        ("plain", (3,), (4, 8), BITS[:4]),
        ("residual", (3,), (4, 8), BITS[:4]),
        ("plain", (1,), (32,), BITS),
    ):
        for depth in depths:
            images += _part("images", topology, depth, widths, bits)
    return {"speech": speech, "images": images}


def _part(kind: str, topology: str, depth: int | tuple[int, ...], widths, bits, **common) -> list[Configuration]:
    found: list[Configuration] = []
    for width, length in itertools.product(widths, bits):
        settings = {"topology": topology, "depth": depth, "width": width, "bits": length}
        found += network_grid(kind, {}, **settings, input_maps=CODING.get(length, 1), **common)
    return found


def turns() -> list[tuple[str, bool, slice]]:
    """Task, whether converters read, and networks, so that a run that is cut off has something of everything."""
    return [
        ("speech", False, slice(0, 10)),
        ("images", False, slice(0, 4)),
        ("speech", True, slice(0, 4)),
        ("speech", False, slice(20, 25)),
        ("images", False, slice(5, 9)),
        ("speech", False, slice(10, 20)),
        ("images", False, slice(0, 20)),
        ("images", True, slice(0, 4)),
        ("speech", False, slice(20, None)),
        ("images", False, slice(20, None)),
        ("speech", True, slice(0, None)),
        ("images", True, slice(0, None)),
    ]


def dots_of(member: Member, converters: bool) -> list[Dot]:
    """Dots of a network on the families of the default space, those that need converters or the others."""
    families = [name for name in FAMILIES if (name == ANALOG and member.configuration.bits > 1) == converters]
    return Costs([member], DesignSpace(families), Limits(), nothing).of(member)


def train(store: Path, hours: float) -> None:
    """Train and deploy what the store lacks, until the hours are over."""
    store.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 3600 * hours
    every = grids()
    data = {task: amsim.load_dataset(name) for task, name in DATA.items()}
    for task, converters, part in turns():
        for configuration in every[task][part]:
            member = Member(configuration, SEED)
            if time.monotonic() > end:
                return
            begun = time.monotonic(), time.process_time()
            if _one(store, task, member, data[task], converters):
                spent = time.monotonic() - begun[0], time.process_time() - begun[1]
                print(f"{time.strftime('%H:%M')} {task} {member.name} converters={converters} "
                      f"{spent[0]:.0f} s, {spent[1]:.0f} s of cores", flush=True)  # fmt: skip


EPOCHS = 3
"""Passes of fine-tuning through a circuit."""


def tune(store: Path, hours: float) -> None:
    """Fine-tune through analog circuits what would be on the front of its task if it lost nothing, cheapest first."""
    end = time.monotonic() + 3600 * hours
    for task, name in DATA.items():
        data = amsim.load_dataset(name)
        held = {Member(configuration_of(one["configuration"]), one["seed"]): (path, one)
                for path, one in stored(store) if one["task"] == task}  # fmt: skip
        costs = Costs(list(held), DesignSpace(), Limits(), nothing, functools.partial(_points_in, store))
        known = {(member, family, circuit): mean for member, (_, one) in held.items()
                 for family, circuit, mean, *_ in one["accuracies"]}  # fmt: skip
        reached = {place: one.energy for place, one in costs.dots.items()}
        front = [(reached[place], known[place[:3]]) for place in reached if place[:3] in known]
        for place in sorted(reached, key=reached.__getitem__):
            path, one = held[place.member]
            lost = place.family == ANALOG and place[:3] in known and one["plain"] > known[place[:3]]
            if not lost or not would_be_on_front(reached[place], one["plain"], front):
                continue
            rows = [row for row in one.get("tuned", []) if row[1] == place.circuit]
            if not rows and time.monotonic() < end:
                rows = [_tuned(path, one, costs.dots[place], data, DIES[task])]
                one["tuned"] = one.get("tuned", []) + rows
                _write(path, one)
            front += [(reached[place], row[2]) for row in rows]


def _tuned(path: Path, held: dict, dot: Dot, data, dies: int) -> list:
    """Family, circuit, mean, interval, dies and plain accuracy of a network after fine-tuning; its weights are kept."""
    begun, member = time.monotonic(), dot.place.member
    params, place = load_network(path.with_suffix(".npz"))[1], dot.place._replace(fine_tuning=EPOCHS)
    budget = TrainingBudget(held["steps"], rounds=1)
    found = carried_out(
        TrainingOrder(member, budget.steps, {place: dot.best.deployed}, budget, dies, SEED, params), data
    )
    if found is None:
        raise FloatingPointError(f"Fine-tuning of {member.name} at {place.circuit} diverges.")
    save_network(tuned_weights(path, place.circuit), member.network, found.params)
    row, plain = found.rows[place], found.plain
    before = next(mean for _, circuit, mean, *_ in held["accuracies"] if circuit == dot.place.circuit)
    print(f"{time.strftime('%H:%M')} {member.name} tuned at {dot.place.circuit}: {before:.3f} to {row[0]:.3f}, plain "
          f"{held['plain']:.3f} to {plain:.3f}, {time.monotonic() - begun:.0f} s", flush=True)  # fmt: skip
    return [dot.place.family, dot.place.circuit, *map(float, row), dies, plain]


def tuned_weights(path: Path, circuit: str) -> Path:
    """File of the weights of a network that was fine-tuned through a circuit."""
    return path.with_name(f"{tuned_name(path.stem, circuit)}.npz")


def _points_in(store: Path, configuration: Configuration, family: str, *_: Any) -> FamilyPoints:
    """Design points that the store keeps, as `family_points` gives them."""
    found = points_of(store, Member(configuration, SEED), family)
    if isinstance(found, str):
        raise RefusedError(found)
    return found


def _one(store: Path, task: str, member: Member, data, converters: bool) -> bool:
    """Train a network, or deploy it, unless the store has that; whether there was something to do."""
    path = store / f"{task}-{member.name}.json"
    held = json.loads(path.read_text()) if path.exists() else None
    if held is not None and (held["diverged"] or held["passes"] > converters):
        return False
    budget, items = TrainingBudget(STEPS[task], rounds=1), divided(data, SEED)
    steps = whole_steps(STEPS[task], len(items[0]), budget)
    if held is None:
        try:
            params, ranking = trained_member(member, items, data, budget, steps)
        except FloatingPointError:
            _write(path, {"diverged": True})
            return True
        save_network(path.with_suffix(".npz"), member.network, params)
        plain = plain_accuracy(member.network, params, data.test)
        held = {"diverged": False, "passes": 0, "task": task, "configuration": member.text, "seed": member.seed,
                "steps": steps, "ranking": ranking, "plain": plain, "accuracies": []}  # fmt: skip
        print(f"      {member.name} trained: {plain:.3f}", flush=True)
    params = load_network(path.with_suffix(".npz"))[1]
    for wanted in (False, True)[held["passes"] : converters + 1]:
        found = dots_of(member, wanted) if member.configuration.bits > 1 or not wanted else []
        held["accuracies"] += _deployed(member, params, found, data, DIES[task])
        for family in {dot.place.family for dot in found}:
            points_of(store, member, family)
    _write(path, held | {"passes": converters + 1})
    return True


def _deployed(member: Member, params: Params, dots: Sequence[Dot], data, dies: int) -> list[list]:
    """Family, circuit, mean, interval and number of dies of each dot."""
    found = []
    for family in dict.fromkeys(dot.place.family for dot in dots):
        own = [dot for dot in dots if dot.place.family == family]
        rows = accuracy_on_dies(member.network, params, [dot.best.deployed for dot in own], data, dies, SEED)
        for dot, row in zip(own, rows, strict=True):
            count = 1 if dot.best.hardware.deterministic else dies
            found.append([family, dot.place.circuit, *map(float, row), count])
    return found


def points_of(store: Path, member: Member, family: str) -> FamilyPoints | str:
    """Design points of a network on a family, kept in the store; why it cannot run there, where that is so."""
    path = store / "points" / f"{member.configuration.name}-{family}.npz"
    if path.exists():
        with np.load(path) as file:
            held = dict(file)
        if "refused" in held:
            return str(held["refused"])
        words = {name: list(map(str, held.pop(name))) for name in ("circuits", "choices")}
        make = functools.partial(family_variants, member.configuration, family, DesignSpace())
        return FamilyPoints(**words, make=make, **held | {"macs": int(held["macs"])}, left_out={})
    path.parent.mkdir(exist_ok=True)
    try:
        found = family_points(member.configuration, family, DesignSpace(), None)
    except RefusedError as error:
        np.savez_compressed(path, refused=str(error))
        return str(error)
    names = ("circuits", "choices", "variant", "memories", "energy", "latency", "area", "fits", "keeps_rate", "macs")
    np.savez_compressed(path, **{name: getattr(found, name) for name in names})
    return found


def _write(path: Path, held: dict) -> None:
    write_whole_text(path, json.dumps(held))


def ship(store: Path) -> None:
    """Write what the store holds of each task, with the weights of the front, into the package."""
    for task, name in DATA.items():
        held = [(path, one) for path, one in stored(store) if one["task"] == task]
        if not held:
            continue
        points: dict[tuple[str, str], FamilyPoints] = {}
        refused = []
        for _, one in held:
            member = Member(configuration_of(one["configuration"]), one["seed"])
            for family in FAMILIES:
                found = points_of(store, member, family)
                if isinstance(found, str):
                    refused.append([member.text, family, found])
                else:
                    points[member.text, family] = found
        budget = TrainingBudget(STEPS[task])
        attributes = {
            "data": name, "networks_planned": len(grids()[task]), "networks_trained": len(held),
            "steps": budget.steps, "learning_rate": budget.learning_rate, "batch": budget.batch, **versions(),
        }  # fmt: skip
        shipped = shipped_dataset(_records([one for _, one in held]), points, refused, attributes)
        write_result(SHIPPED / f"{name}.nc", compressed(shipped))
        shipped_results.cache_clear()
        _ship_weights(SHIPPED / name, {one["configuration"]: path for path, one in held}, name)


def _records(held: Sequence[dict]) -> xr.Dataset:
    """Accuracies as `amsim.explore` takes them."""
    rows = [(one, [*row, one["plain"], 0]) for one in held for row in one["accuracies"]]
    rows += [(one, [*row, EPOCHS]) for one in held for row in one.get("tuned", [])]
    variables = {
        "configuration": [one["configuration"] for one, _ in rows],
        "seed": [one["seed"] for one, _ in rows],
        "steps": [one["steps"] for one, _ in rows],
    }
    columns = ("circuit_family", "circuit", "accuracy_mean", "accuracy_low", "accuracy_high", "dies", "plain_accuracy")
    columns += ("fine_tuning_epochs",)
    variables |= {name: [row[place] for _, row in rows] for place, name in enumerate(columns)}
    return xr.Dataset({name: ("dot", np.asarray(values)) for name, values in variables.items()})


def compressed(result: xr.Dataset) -> xr.Dataset:
    """The same result whose numbers take less room in a file."""
    for variable in result.variables.values():
        if variable.ndim and variable.dtype.kind in "fi":
            variable.encoding |= {"zlib": True, "complevel": 9, "shuffle": True}
    return result


def _ship_weights(folder: Path, paths: dict[str, Path], data: str) -> None:
    """Weights of the networks on the front."""
    found = amsim.explore(0.0, data=data)
    front = found["on_front"].values
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    columns = [found[name].values[front] for name in ("configuration", "network", "circuit", "fine_tuning_epochs")]
    for text, name, circuit, epochs in zip(*columns, strict=True):
        path, name = paths[str(text)].with_suffix(".npz"), str(name)
        if epochs:
            path, name = tuned_weights(path, str(circuit)), tuned_name(name.removesuffix(TUNED), str(circuit))
        shutil.copyfile(path, folder / f"{name}.npz")


def stored(store: Path) -> Iterator[tuple[Path, dict]]:
    """Every trained network that a store holds."""
    for path in sorted(store.glob("*.json")):
        held = json.loads(path.read_text())
        if not held["diverged"]:
            yield path, held


def main() -> None:
    """Read the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "tune", "count", "ship"])
    parser.add_argument("store", type=Path)
    parser.add_argument("--hours", type=float, default=6.0)
    given = parser.parse_args()
    if given.what == "train":
        train(given.store, given.hours)
    if given.what == "tune":
        tune(given.store, given.hours)
    if given.what == "ship":
        ship(given.store)
    for task, every in grids().items():
        held = [one for _, one in stored(given.store) if one["task"] == task]
        print(f"{task}: {len(held)} of {len(every)} networks trained, {sum(one['passes'] > 1 for one in held)} on all")


if __name__ == "__main__":
    main()
