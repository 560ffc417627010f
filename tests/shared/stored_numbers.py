"""A study whose work is to copy four numbers, so that its store can be killed and damaged many times."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import xarray as xr

from amsim.studies.jobs import Job
from amsim.studies.program import Lanes
from amsim.studies.store import Store

LANES = Lanes(**dict.fromkeys(Lanes.__dataclass_fields__, 1))
SHAPES = {"error": np.zeros((1,), np.float32)}
PROGRAM = SimpleNamespace(lanes=LANES, count=4, calls=4, shapes=SHAPES)
JOB = object.__new__(Job)  # nothing is compiled: a store asks for sizes only
for name, value in {"number": 0, "program": PROGRAM}.items():
    object.__setattr__(JOB, name, value)
VALUES = np.arange(1, 5, dtype=np.float32)


def dataset(values: np.ndarray) -> xr.Dataset:
    return xr.Dataset({"error": ("die", values)}, {"die": np.arange(4)}, {"amsim_version": "1"})


def study(path: Path, stop: int = 4) -> xr.Dataset:
    """What a sweep does with its store, with numbers in place of work."""
    store = Store(path)
    try:
        store.begin({"key": 1}, [JOB], dataset(np.full(4, np.nan, np.float32)))
        if store.complete:
            return store.load()
        found = np.full(4, np.nan, np.float32)
        for _, number, outputs in store.parts([JOB]):
            found[number] = outputs["error"][0]
        for number in np.flatnonzero(np.isnan(found))[: max(stop, 0)]:
            found[number] = VALUES[number]
            store.add((JOB, int(number), {"error": VALUES[number : number + 1]}), lambda: dataset(found))
            store.flush()
        if stop < 4:
            store.label(dataset(found))
            return dataset(found)
        store.finish(dataset(found))
        return dataset(found)
    finally:
        store.close()
