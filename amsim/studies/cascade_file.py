"""Cascades as files: TOML that describes stages and a stream becomes the call `amsim.evaluate_cascade(...)`."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from pydantic import TypeAdapter

from amsim.cascade import Cascade, Stage, StatedDetector, evaluate_cascade
from amsim.circuits.technology.dram import Dram
from amsim.datasets.load import DATASETS, load_dataset
from amsim.datasets.split import Split
from amsim.deployment.front_door import deploy
from amsim.files.part_classes import registered_classes
from amsim.files.path_argument import checked_path
from amsim.studies.study_file.axes import load_network
from amsim.studies.study_file.hardware import hardware_table
from amsim.studies.study_file.kinds import (
    NUMBER,
    TEXT,
    TRUTH,
    by_form,
    integer,
    list_of,
    table,
    words,
)
from amsim.studies.study_file.layout import LARGEST_AXIS, LARGEST_SEED, NETWORKS_AND_FILES, SPACINGS, spaced_values
from amsim.studies.study_file.reading import Key, raise_mistakes, read
from amsim.studies.study_file.study import read_document
from amsim.workloads import Workload, alexnet, binary_image_network, lstm_keyword_spotter, vgg16

WORKLOADS: dict[str, Callable[[], Workload]] = {
    "binary-image-64": functools.partial(binary_image_network, 64),
    "binary-image-128": functools.partial(binary_image_network, 128),
    "binary-image-256": functools.partial(binary_image_network, 256),
    "alexnet": alexnet,
    "vgg16": vgg16,
    "lstm-keyword-spotter": lstm_keyword_spotter,
}
"""Networks without weights that a stage with stated rates may have, by name."""

MEMORIES = ("DDR3", "DDR4", "LPDDR4", "HBM2")
"""Memories that lost weights may be reloaded from (`amsim.circuits.Dram.standard`)."""


@dataclasses.dataclass(frozen=True, eq=False)
class FileCascade:
    """A cascade and its stream as a file describes them.

    Attributes:
        path: The file.
        cascade: The stages.
        data: Labelled items, or None where the stages state their rates.
        stream: Further arguments of `amsim.evaluate_cascade`.
        power_limit: Limit on the average power, W, or None.
        text: Content of the file.
    """

    path: Path
    cascade: Cascade
    data: Split | None
    stream: Mapping[str, Any]
    power_limit: float | None
    text: str

    def run(self) -> xr.Dataset:
        """Result of `amsim.evaluate_cascade`, with the file's text as the attribute `cascade_file`.

        Raises:
            ValueError: Settings that do not go together; the text names the file.
        """
        try:
            return evaluate_cascade(self.cascade, self.data, **self.stream).assign_attrs(cascade_file=self.text)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


def read_cascade(path: str | Path) -> FileCascade:
    """Read a cascade from a TOML file and check it as a whole.

    Args:
        path: The file; paths in it are relative to its folder. `docs/cascades/wake_up.toml` is an example.

    Raises:
        ValueError: A file that is not TOML or has mistakes; the message lists them with table, key and what is allowed.
        OSError: The file, or one that it names, cannot be read.
    """
    path = checked_path("path", path)
    text, document = read_document(path)
    mistakes: list[str] = []
    content = read(_file_type(), document, mistakes)
    stages = [] if mistakes else _stages(content["stage"], path.parent, mistakes)
    raise_mistakes(path, mistakes)
    given = {"seed": 0} | content["cascade"]
    try:
        cascade = Cascade(stages, other_power=given.get("other_power"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    data = _data(given) if "data" in given else None
    stream = {name: given[name] for name in ("event_rate", "duty_cycle", "dies") if name in given}
    if data is not None:
        stream["key"] = jax.random.key(given["seed"])
    return FileCascade(path, cascade, data, stream, given.get("power_limit"), text)


def _rates(**of_range: Any) -> list[int | float]:
    return spaced_values(**({"spacing": "log"} | of_range))


def _stream(**given: Any) -> dict[str, Any]:
    if "data" in given and "event_class" not in given:
        raise ValueError("`event_class` must be the class of the true events where `data` are given.")
    of_data = [name for name in ("dies", "items", "event_class") if name in given and "data" not in given]
    if of_data:
        raise ValueError(f"`{of_data[0]}` is for stages that decide on `data`, which are not given.")
    if not given.get("power_limit", 1.0) > 0:
        raise ValueError(f"`power_limit` must be above 0, but is {given['power_limit']:g}.")
    for name, value in given.get("other_power", {}).items():
        if value < 0:
            raise ValueError(f"`other_power` must be at least 0, but is {value:g} for {name!r}.")
    return given


def _data(given: Mapping[str, Any]) -> Split:
    """The first items of the test set; the class of events is 1, all others 0."""
    whole = load_dataset(given["data"]).test
    part = whole[: given.get("items", len(whole))]
    return Split(part.inputs, (np.asarray(part.labels) == given["event_class"]).astype(int))


EVENT_RATE = by_form(
    one=NUMBER,
    many=list_of(NUMBER),
    table=table(
        {
            "from": Key(NUMBER, "first rate", required=True),
            "to": Key(NUMBER, "last rate", required=True),
            "count": Key(integer(2, LARGEST_AXIS), "number of rates", required=True),
            "spacing": Key(words(*SPACINGS), "log by default"),
        },
        build=_rates,
        name="rates",
    ),
)
STREAM = table(
    {
        "event_rate": Key(EVENT_RATE, "true events per second"),
        "duty_cycle": Key(NUMBER, "fraction of the items that is looked at, 1 by default"),
        "data": Key(words(*DATASETS), "data set, where stages have networks"),
        "items": Key(integer(2), "number of items, the first of the test set; all by default"),
        "event_class": Key(integer(0), "class of the true events"),
        "dies": Key(integer(1), "number of dies; without it, one of each chip"),
        "seed": Key(integer(0, LARGEST_SEED), "fixes dies and reads, 0 by default"),
        "other_power": Key(table({}, others=NUMBER, name="powers"), "constant powers by name, in W"),
        "power_limit": Key(NUMBER, "limit on the average power, in W"),
    },
    build=_stream,
    name="stream",
)
QUANTITIES = {
    "threshold": "smallest score that passes",
    "rate": "items per second: offered to the first stage, the pace of a later one",
    "wake_up_energy": "energy per wake-up, in J",
    "wake_up_latency": "time per wake-up, in s",
    "retention_leakage": "power asleep, in W",
}
STATED = ("recall", "false_positive_rate")


def _stages(tables: list[dict[str, Any]], folder: Path, mistakes: list[str]) -> list[Stage]:
    """Stages of their tables; keys that do not go together are told at the stage."""
    found = []
    for number, given in enumerate(tables, 1):
        try:
            found.append(_stage(folder, **given))
        except ValueError as error:
            mistakes.append(f"[stage#{number}]: {error}")
    return found


def _stage(folder: Path, **given: Any) -> Stage:
    """A stage from the keys of its table."""
    _, accelerator = given.pop("hardware")
    if ("network" in given) == ("workload" in given):
        raise ValueError("a stage must have either a `network` with weights or a `workload` with stated rates.")
    missing = [name for name in STATED if "workload" in given and name not in given]
    if missing:
        raise ValueError(f"`{missing[0]}` must be given for a `workload`, which cannot decide on data.")
    stated = {name: given.pop(name) for name in STATED if name in given}
    if "network" in given:
        if stated:
            raise ValueError(f"`{next(iter(stated))}` is for a `workload`; a `network` decides on data.")
        key = jax.random.key(given.pop("die_seed", 0))
        chip: Any = deploy(*load_network(given.pop("network"), folder), accelerator, key=key)
    else:
        given.pop("die_seed", None)
        workload: Workload = WORKLOADS[given.pop("workload")]()
        chip = StatedDetector(accelerator, workload, **stated)
    if "reload_from" in given:
        given["reload_from"] = Dram.standard(given["reload_from"])
    return Stage(given.pop("name"), chip, **given)


def _file_type() -> TypeAdapter:
    """Everything that a cascade file may contain; numbers are in SI units."""
    stage = table(
        {
            "name": Key(TEXT, "name in results", required=True),
            "hardware": Key(hardware_table(tuple(registered_classes().values())), "as in a study file", required=True),
            "network": Key(NETWORKS_AND_FILES, "reference network, .npz or .onnx file"),
            "workload": Key(words(*WORKLOADS), "network without weights, whose rates are stated"),
            **{name: Key(NUMBER, f"stated {name}") for name in STATED},
            "score": Key(integer(0), "class whose margin is the score"),
            **{name: Key(NUMBER, meaning) for name, meaning in QUANTITIES.items()},
            "keeps_memory": Key(TRUTH, "whether memories keep their data asleep"),
            "reload_from": Key(words(*MEMORIES), "memory that lost weights come from"),
            "die_seed": Key(integer(0, LARGEST_SEED), "fixes the die of the chip, 0 by default"),
        },
        name="stage",
    )
    keys = {
        "cascade": Key(STREAM, "the stream", required=True),
        "stage": Key(list_of(stage), "the stages in order", required=True),
    }
    return TypeAdapter(table(keys, name="cascade_file"))
