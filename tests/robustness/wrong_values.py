"""Wrong values of each kind of argument; the kind of a parameter is told by its name and its annotation."""

import datetime
import inspect
from types import FunctionType
from typing import Any

import jax
import numpy as np
import xarray as xr

NO_NUMBERS = {
    "text": "x", "bytes": b"", "complex": 1j, "list": [], "dict": {}, "object": object(), "function": len,
    "date": datetime.date(2020, 1, 1), "nan": float("nan"), "infinity": float("inf"),
}  # fmt: skip
ONES = np.ones((4, 3), np.float32)
LABELS = np.array([0, 1, 1, 0])

NO_QUANTITIES = {
    **{name: value for name, value in NO_NUMBERS.items() if name not in ("nan", "infinity")},
    "none": None, "number as text": "1", "number as bytes": b"1", "truth": True, "numpy truth": np.True_,
    "truth array": np.array(True), "complex array": np.array(1j), "dates": np.datetime64(1, "s"),
    "span of time": np.timedelta64(1, "s"), "masked": np.ma.masked, "masked array": np.ma.array(1.0),
    "objects": np.array(None), "text array": np.array("1"), "too large": 10**400, "large": 1e39,
    "key": jax.random.key(0),
    "none in a list": [None], "ragged": [[1.0], [1.0, 2.0]],
}  # fmt: skip
"""What NumPy or JAX would take for a number, or refuse without naming the argument."""

WRONG = {
    "data": {
        **{name: value for name, value in NO_NUMBERS.items() if name not in ("nan", "infinity")},
        "number": 1,
        "one": (ONES,),
        "three": (ONES, LABELS, LABELS),
        "nan inputs": (ONES * np.nan, LABELS),
        "infinite inputs": (ONES * np.inf, LABELS),
        "complex inputs": (ONES * 1j, LABELS),
        "text inputs": (np.full((4, 3), "a"), LABELS),
        "object inputs": (np.full((4, 3), None), LABELS),
        "dates": (np.zeros((4, 3), "datetime64[s]"), LABELS),
        "masked": (np.ma.masked_array(ONES, ONES > 0), LABELS),
        "ragged": ([[1.0, 2.0], [1.0]], [0, 1]),
        "no items": (ONES[:0], LABELS[:0]),
        "labels short": (ONES, LABELS[:2]),
        "labels nan": (ONES, LABELS * np.nan),
        "labels complex": (ONES, LABELS * 1j),
        "labels text": (ONES, np.array(["a", "b", "c", "d"])),
        "labels none": (ONES, None),
        "labels ragged": (ONES, [[0], [0, 1], [1], [0]]),
    },
    "key": {**NO_NUMBERS, "number": 1, "raw": jax.random.PRNGKey(0), "batch": jax.random.split(jax.random.key(0), 2)},
    "path": {
        "number": 0, "fraction": 1.5, "empty": "", "nul": "a\0b", "long": "a" * 5000, "list": [], "dict": {},
        "object": object(), "complex": 1j, "function": len,
    },
    "function": {name: value for name, value in NO_NUMBERS.items() if name != "function"} | {"number": 1},
    "truth": {**NO_NUMBERS, "none": None, "two": 2, "one": 1, "array": np.array([True, False])},
    "count": {
        **NO_NUMBERS, "none": None, "negative": -1, "half": 1.5, "truth": True, "huge": 10**40,
        "array": np.ones(2, int),
    },
    "fraction": {**NO_NUMBERS, "none": None, "negative": -1, "truth": True, "huge": 10**400, "array": np.ones(2)},
    "names": {**{k: v for k, v in NO_NUMBERS.items() if k not in ("list", "dict", "bytes")}, "number": 1,
              "numbers": [1], "none inside": [None], "list inside": [[]]},
    "mapping": {k: v for k, v in NO_NUMBERS.items() if k not in ("dict", "list")} | {"number": 1},
    "word": {k: v for k, v in NO_NUMBERS.items() if k != "text"} | {"none": None, "number": 1, "unknown": "no such"},
    "part": NO_NUMBERS | {"number": 1},
    "table": NO_NUMBERS | {"number": 1, "none": None, "array": np.ones(3), "empty": xr.Dataset()},
    "optimiser": NO_NUMBERS | {"truth": True, "negative": -1.0, "word": "adam"},
    "which": NO_NUMBERS | {"none": None, "zero": 0, "half": 1.5, "truth": True, "huge": 10**40},
    "keys": {name: value for name, value in NO_NUMBERS.items() if name not in ("list", "dict")}
    | {"number": 1, "numbers": [1], "raw": [jax.random.PRNGKey(0)], "key": jax.random.key(0)},
    "bytes": {name: value for name, value in NO_NUMBERS.items() if name != "infinity"} | {"zero": 0, "truth": True},
    "lengths": NO_NUMBERS | {"number": 1, "zero": (0,), "half": (1.5,), "truth": (True,), "huge": (10**40,),
                            "none": None},
    "quantity": NO_QUANTITIES | {"nan": float("nan"), "infinity": float("inf"), "negative": -1},
    "array": {k: v for k, v in NO_QUANTITIES.items() if k not in ("large", "array")},
    "params": {
        "nan": ONES * np.nan, "infinite": ONES * np.inf, "nan number": float("nan"),
        "nan inside": {"a": [ONES, ONES * np.nan]},
        "text array": np.full((3, 2), "a"), "object array": np.full((3, 2), None), "dates": np.zeros(3, "M8[s]"),
        "masked": np.ma.masked_array(ONES, ONES > 0), "object": object(), "text": "x",
    },
    "method": {"number": 1, "unknown": "no such", "none": None, "list": [], "unknown name": {"no such": "min-max"},
               "unknown method": {"inputs": "no such"}, "number inside": {"inputs": 1}, "number name": {1: "min-max"}},
}  # fmt: skip
"""Wrong values by kind of argument, each with a short name."""

WRONG["numbers"] = {name: value for name, value in WRONG["array"].items() if "truth" not in name}
"""Truth values may stand for 0 and 1 in arrays."""

DATA_NAMES = {"data", "test", "samples", "train", "validation", "items"}
HARDWARE_PARTS = {
    "hardware", "macro", "macros", "calibration", "technology", "organisation", "weight_memory", "activation_memory",
    "global_memory", "dram", "power", "workload", "accelerator", "chip", "spreads", "work", "trim", "process", "layers",
}  # fmt: skip
PATHS = {"path", "folder", "store", "checkpoint", "source"}
FUNCTIONS = {"fn", "progress", "loss", "statistics", "constrain", "each_epoch", "statistic", "at_supply"}
NAMES = {
    "sources", "components", "quantities", "patterns", "trainable", "designs", "repairs", "parameters", "names",
    "sizes",
    "temperatures", "kept", "effects",
}  # fmt: skip

KINDS = {
    "key": "key", "ax": "part", "optimiser": "optimiser", "rule": "optimiser", "seen": "keys", "memory_limit": "bytes",
    "client": "part", "which": "which", "params": "params", "method": "method", "network": "word", "axes": "mapping",
    "sites": "mapping", "activity": "mapping", "input_size": "lengths", "filters": "lengths", "tuning": "array",
    "offset": "array", "weight": "array", "die_values": "array", "scores": "array", "accuracies": "array",
    "quantiles": "array", "counts": "lengths", "cascade": "part", "stage": "part", "load": "part", "costs": "part",
    "held_out": "data", "miss_rates": "numbers", "event_rate": "numbers", "inputs": "numbers", "results": "part",
    "rungs": "part", "registers": "part", "instruction_memory": "part", "mean": "numbers", "deviation": "numbers",
    "function": "function", "evaluation_energy": "quantity", "evaluation_time": "quantity", "array_area": "quantity",
    "table": "table", "input_shape": "lengths", "transitions": "array",
}  # fmt: skip

OF_EXPLORATIONS = ("DesignSpace", "Limits", "TrainingBudget", "ImageConfiguration")
"""Types in annotations of arguments that are parts, or lists of them."""


def kind_of(parameter: inspect.Parameter) -> str | None:
    """Kind of argument that a parameter takes; None where the harness has no list of wrong values."""
    name, annotation = parameter.name, str(parameter.annotation)
    if parameter.annotation is int:
        return "count"
    for names, kind in (
        (DATA_NAMES, "data"), (HARDWARE_PARTS, "part"), (PATHS, "path"), (FUNCTIONS, "function"), (NAMES, "names"),
    ):  # fmt: skip
        if name in names:
            return kind
    if name in KINDS:
        return KINDS[name]
    if parameter.annotation in (xr.Dataset, xr.DataArray):
        return "table"
    if name == "dies" and "str" in annotation:
        return "which"
    if name == "bits" and parameter.annotation is Any:
        return "lengths"
    if parameter.annotation is Any and isinstance(parameter.default, float):
        return "quantity"
    if any(one in annotation for one in OF_EXPLORATIONS) or name == "records":
        return "part"
    if name == "weights" and "Path" in annotation:
        return "path"
    if name == "accuracy" and "Sequence" in annotation:
        return "fraction"
    if "Float[" in annotation or "Real[" in annotation:
        return "numbers"
    if isinstance(parameter.annotation, type):
        return {bool: "truth", int: "count", float: "fraction", str: "word"}.get(parameter.annotation)
    if annotation.startswith("collections.abc.Mapping"):
        return "mapping"
    return {"int | None": "count", "float | None": "fraction", "str | None": "word"}.get(annotation)


def wrong_values(parameter: inspect.Parameter, kind: str | None = None) -> dict[str, Any]:
    """Wrong values for a parameter, of a kind or else of that which it tells, by their short names; no default."""
    found = dict(WRONG.get(kind or kind_of(parameter) or "", {}))
    if parameter.default is None:
        found.pop("none", None)
    if isinstance(parameter.default, FunctionType):
        found.pop("function", None)
    return found
