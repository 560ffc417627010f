"""Results of a study as one labelled data set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from amsim.circuits.units import NOT_GIVEN
from amsim.results.labelled import labelled
from amsim.results.quantities import QUANTITIES
from amsim.studies.axes import HARDWARE, NETWORK, Block
from amsim.studies.jobs import Job, Outputs
from amsim.studies.measured import Measured
from amsim.studies.store_lock import GROUP
from amsim.system.settings import setting_label

POPULATION = {"point": (), "die": ("die",), "read": ("die", "read")}
"""Dimensions of a result beside those of the study, by scope."""


class Results:
    """Results of a study so far."""

    def __init__(self, measured: Measured, dims: Sequence[Block], jobs: Sequence[Job], dies: int, reads: int) -> None:
        """Allocate arrays for all results.

        Raises:
            ValueError: An output does not have the same shape at all points, or its name is taken, is not allowed in
                files, or is only in the labels.
        """
        self._measured, self._dims = measured, dims
        self._sizes = {"die": dies, "read": reads}
        self._values = {job.number: _empty(job) for job in jobs}
        self._jobs = jobs
        self._variables = _variables(measured, dims, jobs)
        _check_names(measured, dims, self._variables)

    def add(self, job: Job, number: int, outputs: Outputs) -> None:
        """Store the results of one call."""
        items = job.program.lanes.items
        stop = min((number + 1) * items, job.program.count)
        for name, values in outputs.items():
            self._values[job.number][name][number * items : stop] = values[: stop - number * items]

    def dataset(self, attributes: Mapping[str, Any]) -> xr.Dataset:
        """All results by setting, die and read; NaN where a point does not exist or is not computed yet."""
        shape = tuple(block.size for block in self._dims)
        variables = {}
        for name, (dims, inner) in self._variables.items():
            whole = tuple(self._sizes[dim] for dim in dims if dim in self._sizes) + inner
            held = [job for job in self._jobs if name in job.program.traced.shapes]
            dtype = np.result_type(*(job.program.traced.shapes[name].dtype for job in held))
            values = np.full((int(np.prod(shape)), *whole), np.nan, dtype)
            for job in held:
                values[job.group.places] = _by_point(job, self._values[job.number][name], whole, len(inner))
            if name in self._measured.shares:
                values = _exact_share(values, self._measured.shares[name])
            variables[name] = (dims, values.reshape(*shape, *whole))
        return self._labelled(variables, attributes)

    def _labelled(self, variables: Mapping[str, Any], attributes: Mapping[str, Any]) -> xr.Dataset:
        used = {dim for dims, _ in variables.values() for dim in dims}
        inner = {dim: values for dim, values in self._measured.coordinates.items() if dim in used}
        people = {dim: np.arange(size) for dim, size in self._sizes.items() if dim in used}
        coordinates: dict[str, Any] = {**inner, **people}
        labels = {name: QUANTITIES[name] for name in (*inner, *people)}
        for block in self._dims:
            if block.dim not in block.choices:
                coordinates[block.dim] = np.arange(block.size)
                labels[block.dim] = ("1", "point")
            for path, choices in block.choices.items():
                coordinates[path] = ((block.dim,), _coordinate([label for label, _ in choices], bool(block.where)))
                labels[path] = self._label(path)
        outputs = self._measured.outputs
        labels |= {name: outputs.get(name, (NOT_GIVEN, name.replace("_", " "))) for name in variables}
        return labelled(variables, coordinates, attributes, labels=labels)

    def _label(self, path: str) -> tuple[str, str]:
        """Unit and long name of an axis, from the hardware of a point at which its setting exists."""
        if path in (NETWORK, HARDWARE):
            return "1", path
        groups = (job.group for job in self._jobs)
        return setting_label(next(one.hardware for one in groups if path in one.names or path in one.values), path)


def unmoved_axes(result: xr.Dataset, dims: Sequence[Block]) -> list[str]:
    """Settings of a study along which nothing that was measured changes, not by a bit.

    Args:
        result: Complete results.
        dims: Dimensions of the study; of those with several settings none may move anything.
    """
    found = []
    for block in dims:
        settings = [path for path in block.choices if path not in (NETWORK, HARDWARE)]
        if len(settings) == len(block.choices) and block.count > 1:
            along = (one for one in result.data_vars.values() if block.dim in one.dims)
            if not any(_differs(one.transpose(block.dim, ...).values[: block.count]) for one in along):
                found += settings
    return found


def _differs(values: np.ndarray) -> bool:
    """Whether entries along the first axis differ, where both exist."""
    first = values[:1]
    return bool(np.any((values != first) & (values == values) & (first == first)))


def _empty(job: Job) -> dict[str, np.ndarray]:
    reads = job.program.population.read_keys.shape[1]
    shapes = job.program.traced.shapes
    return {name: np.full((job.program.count, reads, *one.shape), np.nan, one.dtype) for name, one in shapes.items()}


def _by_point(job: Job, values: np.ndarray, whole: tuple[int, ...], inner: int) -> np.ndarray:
    """Results of a job with the axes (point, die, read) that its scope has; repeated where they do not differ."""
    dies, reads = job.program.population.read_keys.shape[:2]
    by_point = values.reshape(-1, dies, reads, *values.shape[2:])
    axes = len(whole) - inner
    chosen: tuple[Any, ...] = (slice(None),) * (1 + axes) + (0,) * (2 - axes)
    by_point = by_point[chosen]
    return np.broadcast_to(by_point, (len(by_point), *whole))


def _exact_share(rounded: np.ndarray, items: int) -> np.ndarray:
    """The fraction of so many items that was rounded to the precision of the program, as `amsim.evaluate` has it.

    Exact up to 8 million items, from which on float32 does not tell neighbouring fractions apart.
    """
    return np.rint(rounded.astype(float) * items) / items


def _variables(
    measured: Measured, dims: Sequence[Block], jobs: Sequence[Job]
) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
    """Dimensions of every output, and its shape at one point, die and read."""
    found: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    outer = tuple(block.dim for block in dims)
    for job in jobs:
        for name, one in job.program.traced.shapes.items():
            own = measured.inner_dims.get(name, tuple(f"{name}_{axis}" for axis in range(len(one.shape))))
            entry = ((*outer, *POPULATION[job.program.traced.scope], *own), one.shape)
            if found.setdefault(name, entry) != entry:
                raise ValueError(
                    f"Argument `function` must give {name!r} the same shape at every point, but gives {found[name][1]} "
                    f"and, with {dict(job.group.names)}, {one.shape}."
                )
    return found


def _check_names(measured: Measured, dims: Sequence[Block], variables: Mapping[str, Any]) -> None:
    """Raise ValueError unless every name is unambiguous and allowed in files."""
    settings = {path for block in dims for path in (block.dim, *block.choices)}
    taken = settings | {dim for own, _ in variables.values() for dim in own} | {"die", "read"}
    for name in variables:
        if name in taken:
            raise ValueError(f"Argument `function` must not name an output {name!r}, which is a dimension.")
    for argument, names in (("axes", settings), ("function", variables)):
        for name in names:
            if not name or "/" in name or name.startswith((".", "__")) or name == GROUP:
                raise ValueError(
                    f"Argument `{argument}` must have names that are allowed in files, neither empty nor {GROUP!r}, "
                    f"without '/', '.' or '__' in front, but has {name!r}. A '/' in the pattern of a rule may be "
                    "written as '.'."
                )
    unknown = sorted(set(getattr(measured, "labels", ())) - set(variables))
    if unknown:
        raise ValueError(f"Argument `labels` must be of the outputs {', '.join(variables)}, but has {unknown[0]!r}.")


def _coordinate(labels: list[Any], conditional: bool) -> np.ndarray:
    if isinstance(labels[0], str):
        return np.array([*labels, ""] if conditional else labels)
    return np.array([*labels, np.nan], float) if conditional else np.array(labels)
