"""Layout of a study file: every table and key once, for the check and for the JSON schema."""

import functools
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter

from amsim.datasets.load import DATASETS
from amsim.files.part_classes import registered_classes
from amsim.foreign.item_inputs import ItemNumbers
from amsim.networks import NETWORKS
from amsim.studies.axes import HARDWARE, NETWORK, NONE, Points, only_where, samples
from amsim.studies.measured import QUANTITIES
from amsim.studies.study_file.hardware import LABEL, SCALAR, NamedPart, any_part, hardware_table
from amsim.studies.study_file.kinds import (
    NUMBER,
    TEXT,
    PlainSchema,
    by_form,
    by_key,
    integer,
    list_of,
    names_or_files,
    table,
    words,
)
from amsim.studies.study_file.reading import Allowed, Key

SPACINGS = ("linear", "log")

LARGEST_AXIS = 2**20
"""Most values of an axis, about as many as fit into a file when they are listed."""

LARGEST_SEED = 2**32 - 1
"""Without 64-bit numbers JAX takes larger ones modulo 2**32."""

AXIS_KEYS = ("from", "to", "count", "spacing", "values", "where")
"""Keys of a table that is an axis; a table with other keys is part of a path."""


def _axis_list(values: list[Any]) -> Any:
    """List as given; parts by name, with `none` for a part that is left out."""
    if not any(isinstance(one, NamedPart) for one in values):
        return values
    named: dict[str, Any] = {}
    for one in values:
        if not (isinstance(one, NamedPart) or one is None):
            raise ValueError(f'parts are tables or "{NONE}", but one is {one!r}.')
        name, part = (NONE, None) if one is None else (one.name, one.part)
        if name in named:
            raise ValueError(f"two parts have the name {name!r}; give each its own `name`.")
        named[name] = part
    return named


def _listed(*, values: Any, where: Mapping[str, Any] | None = None) -> Any:
    return values if where is None else only_where(values, where)


def _range(*, where: Mapping[str, Any] | None = None, **of_range: Any) -> Any:
    found = spaced_values(**of_range)
    return found if where is None else only_where(found, where)


def spaced_values(*, count: int, spacing: str = "linear", **ends: int | float) -> list[int | float]:
    """Values of a range of a file, from `from` to `to`; whole numbers where all are.

    Raises:
        ValueError: Ends in the wrong order, or not above 0 on a logarithmic range.
    """
    low, high = _ends(spacing, ends)
    values = np.geomspace(low, high, count) if spacing == "log" else np.linspace(low, high, count)
    # Values in between carry rounding errors: from 4 to 16, one is 7.999999999999999.
    whole = isinstance(low, int) and isinstance(high, int) and np.allclose(values, np.round(values), rtol=1e-12, atol=0)
    return [round(one) if whole else float(one) for one in values]


def _ends(spacing: str, ends: Mapping[str, int | float]) -> tuple[int | float, int | float]:
    low, high = ends["from"], ends["to"]
    if not low < high or (spacing == "log" and low <= 0):
        raise ValueError(f"`from` must be below `to`{' and above 0' if spacing == 'log' else ''}, but is {low}.")
    return low, high


def _sample_range(*, spacing: str = "linear", **ends: int | float) -> tuple[str, int | float, int | float]:
    return (spacing, *_ends(spacing, ends))


def _samples(*, count: int, ranges: Mapping[str, Any], seed: int = 0) -> Points:
    limits = {path: one if isinstance(one, list) else (float(one[1]), float(one[2])) for path, one in ranges.items()}
    logs = [path for path, one in ranges.items() if isinstance(one, tuple) and one[0] == "log"]
    return samples(limits, count, logarithmic=logs, seed=seed)


def _study(**given: Any) -> dict[str, Any]:
    if "images" in given and "share" in given:
        raise ValueError("`images` and `share` are two ways to give one number; give one of them.")
    return given


def _item_numbers(**given: Any) -> ItemNumbers:
    for name in ("full_scale", "deviation"):
        if np.any(np.asarray(given.get(name, 1.0)) <= 0):
            raise ValueError(f"`{name}` must be above 0, but is {given[name]}.")
    return ItemNumbers(**{name: np.asarray(value, float).tolist() for name, value in given.items()})


ENDS = {
    "from": Key(NUMBER, "first value", required=True),
    "to": Key(NUMBER, "last value", required=True),
    "spacing": Key(words(*SPACINGS), "linear by default"),
}
WHERE = Key(
    table({}, others=by_form(one=LABEL, many=list_of(LABEL)), path_ends=(), name="where"),
    "values of other axes at which this one exists",
)
RANGE = {**ENDS, "count": Key(integer(2, LARGEST_AXIS), "number of values", required=True), "where": WHERE}
NETWORKS_AND_FILES = names_or_files(NETWORKS, (".npz", ".onnx"))
NAMES = {
    NETWORK: Key(list_of(NETWORKS_AND_FILES), "reference networks, .npz or .onnx files"),
    HARDWARE: Key(list_of(TEXT), "names of [[hardware]] tables, designs or chips"),
}
BY_CHANNEL = by_form(one=NUMBER, many=list_of(NUMBER))
INPUTS = table(
    {
        "full_scale": Key(NUMBER, "number of the data that is 1 for the network; 255 for bytes, else 1"),
        "mean": Key(BY_CHANNEL, "subtracted then, one number or one for each channel"),
        "deviation": Key(BY_CHANNEL, "divided by then, one number or one for each channel"),
    },
    build=_item_numbers,
    name="inputs",
)
SHARE = Annotated[float, Field(strict=True, gt=0, le=1), Allowed("a number above 0 and at most 1")]
STUDY = table(
    {
        "network": Key(NETWORKS_AND_FILES, "reference network, .npz or .onnx file"),
        "data": Key(
            names_or_files(DATASETS, (".npz",)),
            "data set, or .npz file with labels and inputs, or arrays named as inputs of an .onnx file",
        ),
        "inputs": Key(INPUTS, "numbers of the data as floating-point inputs of an .onnx file"),
        "images": Key(integer(1), "number of items, the first of the test set; all by default"),
        "share": Key(SHARE, "share of the items, instead of their number"),
        "dies": Key(integer(1), "number of dies, 16 by default"),
        "reads": Key(integer(1), "reads per die, 1 by default"),
        "seed": Key(integer(0, LARGEST_SEED), "fixes dies and reads, 0 by default"),
        "quantities": Key(list_of(words(*QUANTITIES)), "all by default"),
        "batch": Key(integer(1), "items computed at once, 250 by default"),
    },
    build=_study,
    name="study",
)
SPREAD = by_form(many=list_of(SCALAR), table=table(ENDS, build=_sample_range, name="spread"))
SAMPLES = table(
    {
        "count": Key(integer(1, LARGEST_AXIS), "number of points", required=True),
        "seed": Key(integer(0), "fixes the points"),
        "ranges": Key(
            table({}, others=SPREAD, path_ends=AXIS_KEYS, name="ranges"),
            "range of each path, or values to choose from",
            required=True,
        ),
    },
    build=_samples,
    name="samples",
)


def _axis(values: Any) -> Any:
    """An axis: a list of such values, or a table that says which."""
    listed = {"values": Key(values, required=True), "where": WHERE}
    tables = {"from": table(RANGE, _range, name="range"), "values": table(listed, _listed, name="values")}
    return by_form(many=values, table=by_key(tables))


@functools.lru_cache(maxsize=2)
def _study_file(registered: tuple[type, ...]) -> TypeAdapter:
    values, hardware = (
        list_of(by_form(one=SCALAR, table=any_part(registered)), build=_axis_list),
        hardware_table(registered),
    )
    keys = {
        "study": Key(STUDY, "measurement", required=True),
        "hardware": Key(by_form(table=hardware, many=list_of(hardware)), "one, or several as an axis"),
        "axes": Key(
            table(NAMES, others=_axis(values), path_ends=AXIS_KEYS, name="axes"), "a grid: the values of each path"
        ),
        "points": Key(
            table(NAMES, others=values, path_ends=AXIS_KEYS, name="points"), "paths whose values change together"
        ),
        "samples": Key(SAMPLES, "points that fill ranges evenly"),
    }
    return TypeAdapter(table(keys, name="study_file"))


def study_file_type() -> TypeAdapter:
    """Everything that a study file may contain, with the classes that are registered now (`amsim.circuits.register`).

    Numbers are in SI units, paths as in `amsim.system.settings`.
    """
    return _study_file(tuple(registered_classes().values()))


def json_schema() -> dict[str, Any]:
    """JSON schema of a study file, for editors that complete and check TOML."""
    schema = study_file_type().json_schema(schema_generator=PlainSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "amsim study"}
