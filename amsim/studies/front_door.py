"""The front door of studies: settings x dies x reads in one labelled data set."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import PRNGKeyArray

from amsim.circuits.checks import integer_between, one_key, part_of
from amsim.files.path_argument import checked_path
from amsim.progress import COMPILING, Progress, check_progress, reporting
from amsim.results.notices import warn_once
from amsim.results.provenance import described, provenance
from amsim.studies.axes import Block, blocks
from amsim.studies.cluster import run_on_cluster
from amsim.studies.jobs import Job, population, prepare, run_here
from amsim.studies.measured import SCOPES, Measured, measured
from amsim.studies.plan import Group, groups
from amsim.studies.program import Lanes, Traced
from amsim.studies.result import Results, unmoved_axes
from amsim.studies.store import Store
from amsim.system.settings import each_path
from amsim.system.without_effect import what_has_no_effect


def sweep(
    function: Any,
    axes: Any,
    *,
    hardware: Any = None,
    key: PRNGKeyArray | None = None,
    dies: int = 16,
    reads: int = 1,
    labels: Mapping[str, tuple[str, str]] | None = None,
    attributes: Mapping[str, str] | None = None,
    store: str | Path | None = None,
    client: Any = None,
    memory_limit: int | float | None = None,
    progress: bool | Progress | None = None,
) -> xr.Dataset:
    """Measure something at every point of a study, on the same dies and reads at each.

    Continuous settings are arguments of a compiled program, so it is compiled once per combination of the others.

    Args:
        function: `amsim.study(...)`, or any function that JAX can trace: `measure(hardware)`, `(hardware, die_key)` or
            `(hardware, die_key, read_key)`, which gives a dict of arrays for one point, die and read.
        axes: `{path: values}` makes a grid; a path is one of `amsim.system.settings`, such as "macro.adc.bits", or
            "hardware" or (of a study) "network" with named values. Values are numbers, words, None, or
            `{name: anything}`; `amsim.only_where` makes an axis conditional. `amsim.points` and `amsim.samples` are one
            dimension with many paths. A list of all these is their product.
        hardware: Hardware that the settings belong to, where `function` does not have it.
        key: Draws dies and reads; die `n` and its read `m` are the same at every point, for any number of them, and
            those of `amsim.evaluate`. None is allowed where nothing depends on a die.
        dies: Number of dies.
        reads: Reads of each die.
        labels: Unit and long name of outputs that the table of results does not know.
        attributes: Further attributes of the result, such as a remark; a store need not have the same.
        store: Folder of a Zarr store that takes results as they come (extra `studies`). The same call goes on where a
            study was interrupted, and ends with the same bits.
        client: A `dask.distributed.Client` whose workers compute (extra `distributed`), with the same bits on the same
            kind of processor.
        memory_limit: Bytes that intermediate results may take; None is half of what is free.
        progress: True shows a bar with the time left; a function is called with (phase, items done, items), where
            items are points, dies and reads.

    Returns:
        Dataset over the dimensions of `axes`, then `die` and `read` where the function takes their keys, then those
        of the output itself; NaN where a conditional axis does not exist. Integers and truth values become floats. The
        attribute `without_effect` lists settings along which no result changes by a bit; where they can change none
        (`amsim.what_has_no_effect`), an `amsim.results.NoEffectWarning` says so once.

    Raises:
        ValueError: Before anything runs: an unknown path, a value that a setting does not allow, an empty axis, a
            function that takes or gives something else, no key, hardware, or store of another study, an attribute
            whose name a study uses itself.
        OSError: The store cannot be written; what it holds is kept.
    """
    integer_between("dies", dies, 1)
    integer_between("reads", reads, 1)
    if attributes is not None:
        part_of("attributes", attributes, Mapping)
    check_options(store, client, memory_limit, progress)
    thing = measured(function, hardware, labels)
    dims = blocks(axes)
    _check_calibration(function, axes)
    found = groups(dims, thing.hardware, networks=thing.takes_network)
    _check_key(thing, found, key)
    own = _attributes(thing, dims, found, key, dies, reads)
    further = _further(attributes, own)
    everyone = population(jax.random.key(0) if key is None else key, dies, reads)
    held = None if store is None else Store(store)
    layout = _stored_layout(held)
    jobs = prepare(thing, found, everyone, memory_limit=memory_limit, layout=layout)
    results = Results(thing, dims, jobs, dies, reads)
    with ExitStack() as stack:
        if held is not None:
            stack.callback(held.close)
            held.begin(_fingerprint(own, jobs), jobs, results.dataset(own | further))
            if held.complete:
                return held.load().assign_attrs(further)
        _run(thing, jobs, results, own | further, held, client, stack.enter_context(reporting(progress)))
        result = results.dataset(own | further)
        idle = unmoved_axes(result, dims)
        result = result.assign_attrs(without_effect=", ".join(idle))
        if held is not None:
            held.finish(result)
    reasons = {path: why for path in idle if (why := _why(found, path))}
    if reasons:
        listed = "; ".join(f"{path} ({why})" for path, why in reasons.items())
        warn_once(f"Argument `axes` has settings that change nothing: {listed}.")
    return result


def _why(found: Sequence[Group], path: str) -> str:
    """Reason, where a setting is known to change nothing of a chip; empty elsewhere."""
    for group in found:
        reasons = what_has_no_effect(group.hardware)
        for one in each_path(group.hardware, path) if path in {*group.names, *group.values} else ():
            if one in reasons:
                return reasons[one]
    return ""


def check_options(store: Any, client: Any, memory_limit: Any, progress: Any) -> None:
    """Raise ValueError for an option of `sweep` that is of the wrong kind."""
    number = isinstance(memory_limit, int | float) and not isinstance(memory_limit, bool)
    if memory_limit is not None and not (number and memory_limit > 0):
        raise ValueError(f"Argument `memory_limit` must be a number of bytes above 0, but is {memory_limit!r}.")
    if store is not None:
        checked_path("store", store, "the path of a folder")
    check_client(client)
    check_progress(progress)


def check_client(client: Any) -> None:
    """Raise ValueError unless it is a client of a cluster, or None."""
    if client is not None and not hasattr(client, "scheduler_info"):
        raise ValueError(f"Argument `client` must be a dask.distributed.Client, but is {client!r}.")


def _check_calibration(function: Any, axes: Any) -> None:
    """Raise where an axis would change what a calibration has fixed."""
    calibration = getattr(function, "calibration", None)
    fixed = {"adc.range", "adc.bits", "weight_bits", "input_bits"}
    swept = [path for block in blocks(axes) for path in block.choices if any(path.endswith(one) for one in fixed)]
    if calibration is not None and swept:
        raise ValueError(
            f"Argument `axes` must not change {swept[0]!r} of a study with a `calibration`, which holds codes and "
            "converter ranges for one word length and one converter."
        )


def _run(
    thing: Measured,
    jobs: Sequence[Job],
    results: Results,
    attributes: Mapping[str, Any],
    held: Store | None,
    client: Any,
    report: Progress,
) -> None:
    """Compute all calls that are not stored."""
    total = sum(job.program.calls * job.program.lanes.items for job in jobs)
    done: set[tuple[int, int]] = set()
    for job, number, outputs in () if held is None else held.parts(jobs):
        results.add(job, number, outputs)
        done.add((job.number, number))
    count = sum(jobs[job].program.lanes.items for job, _ in done)
    report(COMPILING, count, total)
    remaining = [
        (job, number) for job in jobs for number in range(job.program.calls) if (job.number, number) not in done
    ]
    calls = run_here(remaining) if client is None else run_on_cluster(client, thing, remaining, uuid.uuid4().hex)
    try:
        for one in calls:
            results.add(*one)
            if held is not None:
                held.add(one, lambda: results.dataset(attributes))
            count += one[0].program.lanes.items
            report("points", count, total)
    except KeyboardInterrupt:
        if held is not None:
            held.label(results.dataset(attributes))
        raise
    finally:
        calls.close()
        if held is not None:
            held.flush()


def _check_key(thing: Measured, found: Sequence[Group], key: Any) -> None:
    scopes = {one.scope for group in found for one in thing.measurements(group.hardware, group.network)}
    if key is not None:
        one_key("key", key)
    elif scopes - {SCOPES[0]}:
        raise ValueError("Argument `key` must be given, since what is measured depends on dies.")


def _stored_layout(held: Store | None) -> Callable[[Sequence[Traced]], Sequence[Lanes] | None]:
    def layout(traced: Sequence[Traced]) -> Sequence[Lanes] | None:
        given = None if held is None else held.layout
        # Of another study, which is refused once all of this one is known.
        return given if given is not None and len(given) == len(traced) else None

    return layout


def _attributes(
    thing: Measured, dims: Sequence[Block], found: Sequence[Group], key: Any, dies: int, reads: int
) -> dict[str, Any]:
    """Everything needed to run the study again, as numbers and text that any file format takes."""
    axes = {path: [label for label, _ in choices] for block in dims for path, choices in block.choices.items()}
    where = {block.dim: {path: list(labels) for path, labels in block.where.items()} for block in dims if block.where}
    base = thing.hardware if thing.hardware is not None else [group.hardware for group in found]
    return {
        "study": json.dumps(dict(thing.description)),
        "axes": json.dumps(axes),
        "conditions": json.dumps(where),
        **provenance(key=key, hardware=base),
        "key_kind": "" if key is None else str(jax.random.key_impl(key)),
        "dies": dies,
        "reads": reads,
    }


def _further(given: Mapping[str, str] | None, own: Mapping[str, Any]) -> dict[str, str]:
    """Attributes of a study that a user adds."""
    taken = set(given or ()) & set(own)
    if taken:
        raise ValueError(f"Argument `attributes` must not have {', '.join(sorted(taken))}, which a study says itself.")
    return dict(given or {})


def _fingerprint(attributes: Mapping[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:
    """Properties that must be equal for results to belong to one study and to be the same bit for bit."""
    devices = jax.local_devices()
    return {
        **attributes,
        "groups": [described([job.group.hardware, job.group.names, job.group.values]) for job in jobs],
        "program_and_data": [job.program.traced.fingerprint() for job in jobs],
        "float": str(jnp.result_type(float)),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
    }
