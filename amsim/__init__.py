"""Networks on analog and digital multiply-accumulate circuits: accuracy, energy, latency and area together.

This is the whole front door. A name is loaded when it is first asked for, so that `import amsim` and `amsim --help`
take no time; `__init__.pyi` lists the same names for type checkers and editors.
"""

import importlib
from typing import Any

_NAMES_OF_ROOM = {
    "system": (
        "Accelerator",
        "PowerManagement",
        "at_node",
        "setting",
        "what_does_not_scale",
        "what_has_no_effect",
        "with_settings",
    ),
    "deployment": (
        "deploy",
        "Chip",
        "load_chip",
        "DeploymentError",
        "Calibration",
        "SiteRanges",
        "network_workload",
        "compilation_cache",
    ),
    "evaluation": ("evaluate", "evaluate_detector", "sensitivity", "unseen_dies_report"),
    "characterisation": ("noise_budget", "characterise", "line_values"),
    "studies": ("sweep", "study", "points", "samples", "only_where", "switched_sources"),
    "cascade": ("Cascade", "Stage", "StatedDetector", "evaluate_cascade", "simulate_cascade", "operating_point"),
    "calibration": ("calibrate", "reestimate_statistics", "reestimated"),
    "training": (
        "fine_tune",
        "FineTuned",
        "TrainingDivergedError",
        "Distillation",
        "HeldOut",
        "Optimiser",
        "TrainingDies",
    ),
    "repairs": ("repair",),
    "comparison": ("compare", "circuit_table", "design", "inspect", "verdict"),
    "exploration": ("explore", "DesignSpace", "Limits", "TrainingBudget"),
    "search": ("design_circuit", "pareto_curve", "SearchSpace", "CountedEnergy", "FinalCheck", "WeightTraining"),
    "datasets": ("load_dataset", "Split", "Dataset"),
    "foreign": ("from_keras", "from_torch", "load_onnx", "load_weights"),
    "validation": ("validate",),
    "report": ("write_report",),
}
"""Functions and classes of the front door by the room that they come from."""

_ROOMS = (
    "cascade", "characterisation", "chips", "circuits", "datasets", "exploration", "foreign", "networks", "noise",
    "plot", "recognition", "repairs", "results", "spice", "statistics", "system", "validation", "workloads", "zigzag",
)  # fmt: skip
"""Rooms that are attributes of the front door."""

_EARLIER_NAMES = {"measurement": "characterisation"}
"""Names of before, which scripts in use still have."""

_ROOM_OF = {name: room for room, names in _NAMES_OF_ROOM.items() for name in names}

__all__ = [*_ROOM_OF, *_ROOMS, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _ROOM_OF:
        value = getattr(importlib.import_module(f"amsim.{_ROOM_OF[name]}"), name)
    elif name in _ROOMS or name in _EARLIER_NAMES:
        value = importlib.import_module(f"amsim.{_EARLIER_NAMES.get(name, name)}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("amsim")
    else:
        raise AttributeError(f"module 'amsim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
