"""A valid call of each public function, with cheap settings: what a wrong value is put into, one at a time."""

from typing import Any

import jax
import numpy as np
import optax
import xarray as xr
from wrong_values import WRONG

import amsim
from amsim.circuits import SwitchedCapacitor


class WorkBegan(BaseException):
    """The network was called: a wrong argument got past the checks. No `except Exception` hides it."""


def network(params: Any, inputs: Any) -> Any:
    """A network that must never run."""
    raise WorkBegan


def same(params: Any, *inputs: Any) -> Any:
    """Parameters as they are."""
    raise WorkBegan


MACRO = SwitchedCapacitor(rows=4, columns=2)
PARAMS = np.ones((3, 2), np.float32)
DATA = amsim.Split(np.ones((4, 3), np.float32), np.array([0, 1, 1, 0]))
NETWORK = {"fn": network, "params": PARAMS, "hardware": MACRO, "data": DATA}
KEY = {"key": jax.random.key(0)}
FEW = {"dies": 1, "batch": 2}
LAYERS = amsim.workloads.Workload("small", (amsim.workloads.dense("dense", 4, 2),))
STATED = amsim.StatedDetector(MACRO, LAYERS, recall=0.9, false_positive_rate=0.1)
CASCADE = amsim.Cascade([amsim.Stage("watch", STATED, rate=1.0)])
DECIDING = amsim.Cascade([amsim.Stage("watch", amsim.deploy(network, PARAMS, MACRO), rate=1.0)])
SWEPT = amsim.evaluate_cascade(CASCADE, event_rate=0.1)
RANGES = {"macro.unit_capacitance": (1e-15, 2e-15)}


def calls() -> dict[str, dict[str, Any]]:
    """Arguments by the name of the function."""
    deployed = amsim.deploy(network, PARAMS, MACRO)
    return {
        "Accelerator": {"macros": MACRO},
        "PowerManagement": {},
        "setting": {"hardware": MACRO, "path": "rows"},
        "with_settings": {"hardware": MACRO, "values": {}},
        "at_node": {"hardware": MACRO, "node": "28nm"},
        "what_does_not_scale": {"hardware": MACRO},
        "what_has_no_effect": {"hardware": MACRO},
        "deploy": {"fn": network, "params": PARAMS, "hardware": MACRO},
        "load_chip": {"path": "no such file", "fn": network},
        "evaluate": NETWORK | KEY | FEW,
        "evaluate_detector": NETWORK | KEY | FEW,
        "sensitivity": NETWORK | KEY | FEW,
        "unseen_dies_report": {"fn": network, "params": PARAMS, "hardware": MACRO, "test": DATA} | KEY | FEW,
        "noise_budget": {"macro": MACRO},
        "StatedDetector": {"hardware": MACRO, "workload": LAYERS, "recall": 0.9, "false_positive_rate": 0.1},
        "Stage": {"name": "watch", "chip": STATED},
        "Cascade": {"stages": CASCADE.stages},
        "evaluate_cascade": {"cascade": CASCADE, "event_rate": 0.1},
        "simulate_cascade": {"result": SWEPT, "duration": 10.0, "runs": 1} | KEY,
        "operating_point": {
            "cascade": DECIDING,
            "data": DATA,
            "miss_rate": 0.1,
            "false_alarm_rate": 1.0,
            "event_rate": 0.1,
        },
        "characterise": {"macro": MACRO, "dies": 1, "reads": 2} | KEY,
        "study": NETWORK,
        "samples": {"ranges": {"a": (0.0, 1.0)}, "count": 2},
        "points": {"values": {"a": [1.0]}},
        "only_where": {"values": [1.0], "where": {"a": 1.0}},
        "sweep": {"function": network, "axes": {"macro.unit_capacitance": [1e-15]}, "hardware": MACRO, "dies": 1} | KEY,
        "calibrate": NETWORK | FEW,
        "reestimate_statistics": {"chip": deployed, "statistics": same, "data": DATA.inputs},
        "reestimated": {"chip": deployed, "statistics": same, "data": DATA.inputs},
        "fine_tune": NETWORK | KEY | {"epochs": 1, "batch": 2, "optimiser": optax.sgd(0.1)},
        "Distillation": {"weight": 0.5},
        "HeldOut": {},
        "Optimiser": {},
        "TrainingDies": {},
        "repair": {"fn": network, "params": PARAMS, "hardware": MACRO, "samples": DATA, "test": DATA} | KEY | FEW,
        "compare": {"designs": ["digital-binary-1b"], "dies": 1, "network": "no such network"},
        "explore": {"accuracy": 0.5},
        "Limits": {"latency": 1e-3, "area": 1e-6, "power": 1e-3, "weights": 1e5, "rate": 1.0},
        "DesignSpace": {},
        "TrainingBudget": {"steps": 100},
        "inspect": {"network": "no such network"},
        "circuit_table": {"bits": (17,)},
        "design": {"name": "digital-binary-1b"},
        "design_circuit": NETWORK | KEY | {"variables": RANGES, "accuracy": 0.5, "steps": 1, "dies": 1},
        "pareto_curve": NETWORK | KEY | {"accuracies": [0.4, 0.5], "variables": RANGES},
        "SearchSpace": {"variables": RANGES},
        "CountedEnergy": {},
        "FinalCheck": {},
        "WeightTraining": {},
        "load_dataset": {"name": "fashion-mnist-mini"},
        "load_onnx": {"source": "no such file"},
        "Calibration": {},
        "SiteRanges": {},
        "Split": {"inputs": DATA.inputs, "labels": DATA.labels},
        "statistics.roc_area": {"scores": np.ones(4), "labels": DATA.labels},
        "statistics.roc_area_error": {"area": 0.5, "positives": 2, "negatives": 2},
        "statistics.yield_interval": {"passing": 1, "dies": 2},
        "statistics.dies_for_mean": {"spread": 1.0, "half_width": 0.5},
        "statistics.dies_for_yield": {"share": 0.5, "half_width": 0.1},
        "statistics.yield_at": {"values": xr.DataArray(np.ones(3), dims="die"), "limit": 1.0},
        "load_weights": {"path": "no such file"},
        "network_workload": {"fn": network, "params": PARAMS},
        "write_report": {"results": SWEPT, "path": "no folder/report.html"},
        "verdict": {"comparison": SWEPT},
        "line_values": {"macro": MACRO, "inputs": np.ones((1, 4)), "weights": np.ones((4, 2))},
        "switched_sources": {"function": network, "hardware": MACRO, "axes": {}, "dies": 1} | KEY,
        "validate": {"rungs": amsim.validation.all_rungs()[:1]},
        "compilation_cache": {"folder": "no/folder"},
    }


NOT_TRIED = {
    "from_keras": "needs Keras, tested in its room",
    "from_torch": "needs PyTorch, tested in its room",
    "Chip": "amsim.deploy and amsim.load_chip make it",
    "FineTuned": "amsim.fine_tune makes it",
    "Dataset": "parts of data are checked where the data come in",
}
"""Names of the front door without a valid call here, each with the reason."""

MADE_BY_AMSIM = {
    "calibration.Calibrated", "cascade.Averages", "cascade.Decisions", "cascade.Load", "cascade.OperatingPoint",
    "cascade.SmoothCosts", "cascade.StageCost", "cascade.StatedNumber", "characterisation.Fit", "foreign.OnnxNetwork",
    "foreign.published.Detector", "foreign.published.FaceNetwork", "foreign.published.VoiceNetwork",
    "foreign.published.WakeWordNetwork", "repairs.Effort", "repairs.Repaired", "search.DesignedCircuit",
    "statistics.MeanInterval", "system.Overhead", "system.SystemCost", "training.TrainingResult",
}  # fmt: skip
"""Results, which users read and do not make."""

OF_ROOMS_NOT_TRIED = {
    **dict.fromkeys(MADE_BY_AMSIM, "amsim makes it"),
    "comparison.find_design": "the step of `amsim.compare` behind its checks",
    "networks.ConvolutionLayer": "a plain tuple; `ImageNetwork` checks its layers, tested in its room",
    "plot.plot_exploration": "its result is a whole search; wrong ones are tried in its room",
    "plot.paper_style": "it checks where its `with` begins, tested in its room",
    "spice.run": "tried by its path and its time limit",
    "spice.write": "tried by its macro and its path",
    "statistics.interval_variables": "shapes what a user's own intervals are",
    "system.system_cost": "`Accelerator.cost` behind its checks",
    "validation.Rung": "it checks its texts and numbers, tested in its room",
}
"""Names of rooms that no valid call here stands for, each with the reason."""

OF_NETWORKS = (
    "deploy", "evaluate", "evaluate_detector", "sensitivity", "unseen_dies_report", "study", "calibrate", "repair",
    "design_circuit", "pareto_curve",
)  # fmt: skip

BY_DESIGN = {
    **{
        ("network_workload", "params", one): "as for the others, but it has no inputs here"
        for one in ("text", "object")
    },
    ("comparison.least_energy", "limit", "negative"): "another metric may be below 0",
    ("foreign.published.voice_split", "noise", "negative"): "more noise than speech",
    ("write_report", "results", "text"): "a path, whose file is missing",
    ("explore", "records", "text"): "a path, whose file is missing",
    ("write_report", "title", "unknown"): "any text",
    **{
        (name, "params", one): "may stand beside numbers, as in a module"
        for name in OF_NETWORKS
        for one in ("text", "object")
    },
    ("Limits", "power", "number"): "a limit in watts",
    **{("load_chip", "params", one): "any numbers: only their structure is used" for one in WRONG["params"]},
    ("Stage", "name", "unknown"): "any text is a name",
    ("Stage", "threshold", "negative"): "a score may be below 0",
    ("fine_tune", "params", "text"): "may stand beside numbers; the error says that nothing can be trained",
    ("fine_tune", "params", "object"): "as above",
    ("chips.laika2018", "rate", "none"): "the energy of a decision alone",
    ("chips.vocell2019", "rate", "none"): "the energy of a decision alone",
    ("workloads.Layer", "input_size", "list"): "a layer without maps has no size",
    ("Optimiser", "trainable", "text"): "a pattern of names",
    ("Optimiser", "trainable", "function"): "chooses by name",
    ("WeightTraining", "trainable", "text"): "a pattern of names",
    ("WeightTraining", "trainable", "function"): "chooses by name",
    ("SiteRanges", "reason", "unknown"): "any text",
    ("points", "dim", "unknown"): "any text names a dimension",
    ("samples", "dim", "unknown"): "any text names a dimension",
    ("repairs.LastLayer", "trainable", "text"): "a pattern of names",
    ("repairs.LastLayer", "trainable", "function"): "chooses by name",
    ("chips.asilomar2017", "image_sites", "unknown"): "a pattern of names",
    ("chips.bankman2018", "digital_sites", "unknown"): "a pattern of names",
    ("chips.valavi2019", "digital_sites", "unknown"): "a pattern of names",
    ("chips.jia2020", "digital_sites", "unknown"): "a pattern of names",
    ("workloads.dense", "name", "unknown"): "any text is a name",
    ("workloads.dense", "weights", "unknown"): "any text is a name",
    ("workloads.convolution", "name", "unknown"): "any text is a name",
    ("workloads.convolution", "weights", "unknown"): "any text is a name",
    ("workloads.Layer", "name", "unknown"): "any text is a name",
    ("workloads.Layer", "weights", "unknown"): "any text is a name",
    ("workloads.Workload", "name", "unknown"): "any text is a name",
    ("Calibration.of", "name", "unknown"): "any site may go without a choice of its own",
    ("statistics.iso_crossing", "target", "negative"): "a target may have either sign",
    ("plot.plot_energy_sweep", "x", "unknown"): "the error names the Dataset that lacks the axis",
    ("plot.plot_yield", "limit", "negative"): "a limit may have either sign",
    ("statistics.yield_at", "limit", "negative"): "a limit may have either sign",
    ("setting", "path", "empty"): "the error names the setting that is missing, whatever argument asked for it",
    ("setting", "path", "nul"): "as above",
    ("setting", "path", "long"): "as above",
}
"""Values that are not refused, or not by the name of the argument, each with the reason."""
