"""Cascades as tables: the stages, and the power of each at every event rate."""

from typing import Any

import numpy as np
import xarray as xr

from amsim.report.columns import right_aligned
from amsim.results.fitting_table import FittingTable
from amsim.results.units import with_prefix

ROWS = 9
"""Most event rates in a table, evenly chosen."""

HOUR = 3600.0
"""Seconds per hour, in which rates of rare events are read."""

COSTS = (
    ("inference_energy", "energy per item"),
    ("service_time", "time per item"),
    ("wake_up_energy", "per wake-up"),
    ("reload_energy", "per reload"),
    ("sleep_power", "asleep"),
    ("event_pass", "events passed"),
    ("background_pass", "others passed"),
)
"""Columns of the table of stages."""


def cascade_tables(result: xr.Dataset) -> list[FittingTable]:
    """Tables of a result of `amsim.evaluate_cascade`; of several dies the mean.

    Args:
        result: The result.
    """
    mean = result.mean("die", keep_attrs=True) if "die" in result.dims else result
    over = mean if "event_rate" in mean.dims else mean.expand_dims("event_rate")
    return [_stage_table(mean), _power_table(over)]


def cascade_lines(result: xr.Dataset, limits: dict[str, float]) -> list[str]:
    """Sentences on a result: highest event rates within a power limit, by what counts, and its remarks.

    Args:
        result: The result.
        limits: Highest rate of events in 1/s by what counts, as from `amsim.cascade.highest_event_rate`; NaN where the
            limit is never kept.
    """
    alarms = HOUR * float(result["false_alarm_rate"].max())
    lines = [f"False alarms: at most {alarms:.3g} per hour."]
    for what, rate in limits.items():
        kept = "at no event rate" if np.isnan(rate) else f"up to {HOUR * rate:.3g} events per hour"
        lines.append(f"{what}: {kept}.")
    return lines + [line for line in str(result.attrs.get("remarks", "")).splitlines() if line]


def _stage_table(result: xr.Dataset) -> FittingTable:
    table = right_aligned("stages", "stage", *(heading for _, heading in COSTS), "weights kB")
    for stage in map(str, result["stage"].values):
        one = result.sel(stage=stage)
        cells = [_number(one[name]) for name, _ in COSTS]
        table.add_row(stage, *cells, f"{float(one['stored_bits']) / 8192:.4g}")
    return table


def _number(value: xr.DataArray) -> str:
    unit = value.attrs["units"]
    return f"{100 * float(value):.3g} %" if unit == "1" else with_prefix(float(value), unit)


def _power_table(result: xr.Dataset) -> FittingTable:
    stages = [str(one) for one in result["stage"].values]
    others = "other_power" in result
    overloaded = bool((result["overload"] > 0).any())
    headings = [*stages, *(["constant"] if others else []), "total", "missed", *(["overloaded"] if overloaded else [])]
    table = right_aligned("average power by true events per hour", "events/h", *headings)
    chosen = np.unique(np.linspace(0, result.sizes["event_rate"] - 1, ROWS).round().astype(int))
    for place in chosen:
        one: Any = result.isel(event_rate=place)
        powers = [one["power"].sel(stage=stage).sum() for stage in stages]
        powers += [*([one["other_power"].sum()] if others else []), one["average_power"]]
        over = ", ".join(stage for stage in stages if float(one["overload"].sel(stage=stage)) > 0)
        missed = f"{100 * float(one['miss_rate']):.3g} %"
        cells = [*(with_prefix(float(power), "W") for power in powers), missed, *([over] if overloaded else [])]
        table.add_row(f"{HOUR * float(one['event_rate']):.3g}", *cells)
    return table
