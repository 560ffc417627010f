"""A valid call of each public function of cascades, and of what compares and draws their results."""

from typing import Any

import numpy as np
import xarray as xr
from calls_of_rooms import MACRO
from valid_calls import CASCADE, DATA, DECIDING, STATED, SWEPT

import amsim
from amsim.cascade.stream import load_of

LIMITS = {"miss_rates": [0.1], "false_alarm_rate": 1.0, "event_rate": 0.1}
LOAD = load_of(SWEPT)
DRAWN = ("average_power", "miss_rate", "met")
OVER_RATES = amsim.evaluate_cascade(CASCADE, event_rate=[0.1, 0.2])
CURVE = xr.Dataset(
    {name: (("arrangement", "event_rate", "miss_limit"), np.ones((1, 1, 2))) for name in DRAWN},
    {"arrangement": ["watch"], "event_rate": [0.1], "miss_limit": [0.1, 0.2]},
)


def cascade_calls() -> dict[str, dict[str, Any]]:
    """Arguments by the dotted name of the function."""
    return {
        "cascade.gated_decisions": {"cascade": DECIDING, "inputs": DATA.inputs},
        "cascade.all_scores": {"cascade": DECIDING, "inputs": DATA.inputs},
        "cascade.power_curve": {"cascade": DECIDING, "data": DATA} | LIMITS,
        "cascade.highest_event_rate": {"result": SWEPT, "power": 1e-3},
        "cascade.stage_at_supply": {"stage": amsim.Stage("watch", STATED), "supply": 0.6},
        "cascade.arrangements": {"cascade": CASCADE, "choices": None},
        "cascade.averages": {"load": LOAD},
        "cascade.soft_reach": {
            "scores": np.ones((1, 4)),
            "thresholds": np.zeros(1),
            "temperature": np.ones(1),
        },
        "cascade.relaxed_power": {
            "costs": amsim.cascade.SmoothCosts.of(LOAD.costs),
            "reach": np.ones((2, 4)),
            "labels": np.array([0.0, 1.0, 1.0, 0.0]),
            "item_rate": 1.0,
            "event_share": 0.1,
        },
        "cascade.face_cascade": {},
        "cascade.voice_cascade": {},
        "plot.plot_cascade": {"result": OVER_RATES},
        "plot.plot_power_curve": {"curve": CURVE},
        "comparison.Design": {"family": "digital-binary", "bits": 1},
        "comparison.GivenDesign": {"name": "mine", "hardware": MACRO},
    }


CASCADES_BY_DESIGN = {
    ("cascade.highest_event_rate", "power", "number"): "any power is a limit",
    ("comparison.GivenDesign", "name", "unknown"): "any text is a name",
}
"""Values that are not refused, each with the reason."""
