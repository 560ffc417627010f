"""A valid call of each public function behind the front door: pictures, statistics, files, networks as layers."""

import inspect
from typing import Any

import jax
import numpy as np
import xarray as xr

import amsim
from amsim import plot, workloads
from amsim.circuits import SwitchedCapacitor

MACRO = SwitchedCapacitor(rows=4, columns=2)
LAYER = workloads.dense("dense", 4, 2)
NETWORK = workloads.Workload("small", (LAYER,))
DIES = xr.DataArray(np.array([0.5, 0.75, 1.0]), dims="die", name="accuracy")
CURVE = xr.DataArray(np.array([[0.5, 0.6], [0.7, 0.9]]), {"bits": [1.0, 2.0]}, ("die", "bits"), name="accuracy")
SWEPT = xr.Dataset(
    {"accuracy": (("die", "a", "b"), np.ones((2, 2, 2)) * [[0.5, 0.6], [0.7, 0.8]])},
    {"a": [1.0, 2.0], "b": [1.0, 2.0]},
)
PRICED = SWEPT.assign(energy=(("a", "component"), [[1e-9], [2e-9]])).assign_coords(component=["mac"])
ENDS = ("mean", "low", "high")
LINES = {"macro": MACRO, "die": None, "weights": np.ones((4, 2)), "inputs": np.ones((1, 4))}
COST = xr.Dataset({"energy": (("site", "component"), np.ones((2, 1)))}, {"site": ["a", "b"], "component": ["mac"]})
COMPARED = xr.Dataset(
    {"energy": (("design", "component"), [[1e-9]])} | {f"accuracy_{end}": ("design", [0.95]) for end in ENDS},
    {"design": ["digital-binary-1b"], "component": ["mac"]},
)
READS = xr.Dataset(
    {name: (("die", "column", "count"), np.ones((1, 2, 3)) * [-4.0, 0.0, 4.0]) for name in ("count_read",)}
    | {"count_sigma": (("die", "column", "count"), np.ones((1, 2, 3)))},
    {"die": [0], "column": [0, 1], "count": [-4, 0, 4]},
)


def room_calls() -> dict[str, dict[str, Any]]:
    """Arguments by the dotted name of the function."""
    return {
        "statistics.summary": {"values": DIES},
        "statistics.bootstrap_interval": {"values": DIES, "resamples": 9},
        "statistics.paired_difference": {"values": DIES, "reference": DIES},
        "statistics.pareto_front": {"price": CURVE, "value": CURVE},
        "statistics.iso_crossing": {"values": CURVE, "target": 0.6, "axis": "bits", "resamples": 9},
        "statistics.mean_interval": {"die_values": np.ones(3)},
        "statistics.student_half_width": {"spread": 1.0, "count": 3},
        "statistics.proportion_interval": {"share": 0.5, "count": 3},
        "statistics.lower_bound": {"die_accuracies": np.ones(3), "items": 9},
        "plot.plot_sweep": {"study": CURVE.to_dataset(), "x": "bits"},
        "plot.plot_sweep_map": {"result": SWEPT, "x": "a", "y": "b"},
        "plot.plot_yield": {"result": CURVE.to_dataset(), "hue": "bits"},
        "plot.plot_pareto": {"result": PRICED},
        "plot.plot_linearity": {"transitions": np.arange(1.0, 8.0)},
        "plot.plot_die_map": {"macro": MACRO, "die": MACRO.fabricate(jax.random.key(0))},
        "plot.plot_energy_sweep": {"dataset": PRICED, "x": "a"},
        "plot.plot_noise_budget": {"budget": amsim.noise_budget(MACRO)},
        "plot.plot_energy_breakdown": {"comparison": COST},
        "chips.asilomar2017": {},
        "chips.bankman2018": {},
        "chips.binareye2018": {},
        "chips.envision2016": {},
        "chips.envision2017": {},
        "chips.jia2020": {},
        "chips.laika2018": {},
        "chips.vocell2019": {},
        "chips.valavi2019": {},
        "chips.keyword_and_speaker_network": {},
        "chips.with_word_length": {"accelerator": amsim.chips.envision2017(), "bits": 8},
        "chips.with_word_lengths": {
            "accelerator": amsim.chips.envision2017(),
            "word_lengths": {"dense": (2, 4)},
        },
        "zigzag.write": {"workload": NETWORK, "hardware": MACRO, "folder": "export"},
        "workloads.dense": {"name": "dense", "rows": 4, "columns": 2},
        "workloads.convolution": {"name": "c", "height": 8, "width": 8, "channels": 2, "filters": 2, "kernel": 3},
        "workloads.alexnet": {},
        "workloads.vgg16": {},
        "workloads.binary_image_network": {},
        "workloads.lstm_keyword_spotter": {},
        "workloads.quantised_image_network": {},
        "workloads.Workload": {"name": "small", "layers": (LAYER,)},
        "workloads.Layer": {"name": "a", "work": LAYER.work},
        "networks.load": {"name": "no such.npz"},
        "networks.load_network": {"path": "no such file"},
        "networks.save_network": {
            "path": "no folder/a.npz",
            "network": amsim.networks.NETWORKS["8-bit-fashion"],
            "params": {},
        },
        "networks.ImageNetwork": {"bits": 2, "input_maps": 2},
        "networks.ImageConfiguration": {},
        "networks.SequenceNetwork": {},
        "repairs.LastLayer": {"trainable": "dense"},
        "repairs.OffsetCorrection": {},
        "repairs.BatchStatistics": {"statistics": np.mean},
        "repairs.ThresholdTuning": {},
        "repairs.Trimming": {},
        "system.Spread": {},
        "characterisation.write_table": {"table": SWEPT, "path": "no folder/a.csv"},
        "characterisation.read_table": {"source": "no such file"},
        "characterisation.fit": {"table": "no such file", "macro": MACRO},
        "system.continuous_settings": {"hardware": MACRO},
        "system.static_settings": {"hardware": MACRO},
        "system.cost_at_points": {"hardware": MACRO, "workload": NETWORK, "values": {"macro.supply": [0.6]}},
        "system.minimum_energy_supply": {"at_supply": abs, "workload": NETWORK},
        "system.scaled_to_supply": {"accelerator": amsim.chips.envision2017()},
        "chips.c3sram2020": {},
        "chips.jia2021": {},
        "characterisation.measured_macro": {
            "table": READS,
            "evaluation_energy": 1e-12,
            "evaluation_time": 1e-9,
            "array_area": 1e-9,
            "supply": 0.6,
        },
        "characterisation.site_line_values": {
            "chip": amsim.deploy(lambda params, inputs: inputs @ params, np.ones((4, 2), np.float32), MACRO),
            "inputs": np.ones((1, 4), np.float32),
            "site": "dot_general",
        },
        "comparison.energy_at_accuracy": {"comparison": COMPARED},
        "comparison.least_energy": {"comparison": COMPARED, "limit": 0.9},
        "foreign.ItemNumbers": {},
        "foreign.published.face_split": {"size": 12},
        "foreign.published.load_detector": {"name": "no such"},
        "foreign.published.load_mtcnn": {"stage": "no such"},
        "foreign.published.load_wake_word": {"name": "no such"},
        "foreign.published.missing_packages": {"name": "no such"},
        "foreign.published.voice_split": {},
        "foreign.published.wake_word_split": {"name": "alexa"},
        "results.labelled_dataset": {"variables": {}, "coordinates": {}, "attributes": {}},
        "system.Processor": {},
        "system.SystolicArray": {},
        "training.train": {"network": amsim.networks.NETWORKS["8-bit-fashion"], "data": amsim.load_dataset()},
        "foreign.from_torch_linear": {"weight": np.ones((2, 3))},
        "foreign.from_torch_convolution": {"weight": np.ones((2, 3, 3, 3))},
    }


def write_deck(macro: Any, path: str) -> Any:
    """Write a deck; its levels would be compiled for, and are tried in their room."""
    return amsim.spice.write(**LINES | {"macro": macro}, path=path)


def run_deck(path: str, timeout: float) -> Any:
    """Run a deck; what it shares with `spice.write` is tried there."""
    return amsim.spice.run(**LINES, path=path, timeout=timeout)


def bound_calls() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Methods of what amsim makes, each with its arguments, by a name of its own."""
    chip = amsim.deploy(lambda params, inputs: inputs @ params, np.ones((3, 2), np.float32), MACRO)
    tables = {name: getattr(plot, name) for name in TABLES_ALONE}
    return {name: (FirstOnly(function), {}) for name, function in tables.items()} | {
        "spice.write": (write_deck, {"macro": MACRO, "path": "lines.cir"}),
        "spice.run": (run_deck, {"path": "no folder/a.cir", "timeout": 1.0}),
        "Chip.save": (chip.save, {"path": "no folder/a"}),
        "Accelerator.cost": (amsim.Accelerator(MACRO).cost, {"workload": NETWORK}),
        "Accelerator.of": (amsim.Accelerator.of, {"hardware": MACRO}),
        "Calibration.of": (amsim.Calibration().of, {"name": "dense"}),
        "Calibration.only": (amsim.Calibration().only, {"names": ["dense"]}),
    }


TABLES_ALONE = (
    "plot_transfer_curve", "plot_error_histogram", "plot_line_values", "plot_roofline", "plot_utilisation",
    "plot_sensitivity", "plot_switched_sources", "plot_validation", "plot_comparison", "plot_accuracy_energy",
    "plot_circuit_table",
)  # fmt: skip
"""Pictures whose table takes long to make: only wrong tables are tried."""


class FirstOnly:
    """A function of its first parameter alone."""

    def __init__(self, function: Any):
        self.function = function
        parameters = inspect.signature(function).parameters
        self.__signature__ = inspect.Signature([next(iter(parameters.values()))])

    def __call__(self, **table: Any) -> Any:
        return self.function(**table)
