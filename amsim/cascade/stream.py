"""The stream that a cascade meets, and all that its average power follows from, as plain numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from amsim.cascade.stage_cost import StageCost
from amsim.circuits.checks import part_of, real, shown

COSTS = (
    "inference_energy", "service_time", "wake_up_energy", "reload_energy", "wake_up_time", "sleep_power",
    "stored_bits", "memory_bits",
)  # fmt: skip
"""Costs of a stage in results, the fields of `StageCost`."""

PARTS = ("inference", "wake_up", "reload", "sleep")
"""Parts of a stage's power."""


class Load(NamedTuple):
    """A cascade as its average power sees it.

    Attributes:
        names: Names of the stages.
        costs: Costs of the stages.
        event_pass: Fraction of the true events at each stage that it passes, shape (stages,).
        background_pass: The same of the background items, shape (stages,).
        item_rate: Items per second that the first stage takes, evenly spaced.
        event_rate: True events per second among them, each one item.
        other_power: Constant powers by name, W.
    """

    names: tuple[str, ...]
    costs: tuple[StageCost, ...]
    event_pass: np.ndarray
    background_pass: np.ndarray
    item_rate: float
    event_rate: float
    other_power: Mapping[str, float]

    @property
    def event_share(self) -> float:
        """Fraction of the items that are true events."""
        return self.event_rate / self.item_rate

    @property
    def reach(self) -> np.ndarray:
        """Probability that an item reaches each stage, and passes the last one; shape (stages + 1,)."""
        share = self.event_share
        events, background = (
            np.concatenate([[1.0], np.cumprod(rates)]) for rates in (self.event_pass, self.background_pass)
        )
        return share * events + (1 - share) * background


def load_of(result: xr.Dataset) -> Load:
    """Load of a result of `amsim.evaluate_cascade` for one die and one event rate.

    Args:
        result: The result.

    Raises:
        ValueError: Not such a result, or one over several dies or event rates.
    """
    part_of("result", result, xr.Dataset)
    needed = (*COSTS, "event_pass", "background_pass", "offered_rate", "event_rate", "duty_cycle")
    missing = [name for name in needed if name not in result]
    if missing or "stage" not in result.dims:
        raise ValueError(
            f"Argument `result` must be one of `amsim.evaluate_cascade`, but lacks {', '.join(missing) or 'stages'}."
        )
    several = [dim for dim in ("die", "event_rate") if dim in result.dims]
    if several:
        raise ValueError(
            f"Argument `result` must be for one {' and one '.join(several)}, such as `result.isel({several[0]}=0)`, "
            f"but has {', '.join(str(result.sizes[dim]) for dim in several)}."
        )
    costs = [StageCost(*(float(result[name].isel(stage=k)) for name in COSTS)) for k in range(result.sizes["stage"])]
    names = [str(name) for name in result["stage"].values]
    others = (
        {}
        if "other" not in result.coords
        else dict(zip(map(str, result["other"].values), result["other_power"].values.tolist(), strict=True))
    )
    return Load(
        tuple(names), tuple(costs), result["event_pass"].values, result["background_pass"].values,
        float(result["offered_rate"]), float(result["event_rate"] * result["duty_cycle"]), others,
    )  # fmt: skip


def check_event_rates(event_rate: Any, item_rate: float) -> np.ndarray:
    """Event rates as an array without or with one axis.

    Raises:
        ValueError: Not numbers of at least 0, or more events than items.
    """
    rates = np.asarray(real("event_rate", event_rate), float)
    wrong = rates[~(np.isfinite(rates) & (rates >= 0))]
    if rates.ndim > 1 or not rates.size or wrong.size:
        found = f"has {wrong[0]:g}" if wrong.size and rates.ndim else f"is {shown(event_rate)}"
        raise ValueError(f"Argument `event_rate` must be one number or a list, finite and at least 0, but {found}.")
    if np.max(rates) > item_rate * (1 + 1e-9):
        raise ValueError(
            f"Argument `event_rate` must be at most the {item_rate:g} items per second of the first stage, each event "
            f"being one item, but is {np.max(rates):g}."
        )
    return rates
