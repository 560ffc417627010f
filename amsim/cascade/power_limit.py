"""The rate of events up to which a cascade keeps a limit on its average power."""

import math

import xarray as xr
from scipy import optimize

from amsim.cascade.closed_form import averages
from amsim.cascade.stream import load_of
from amsim.circuits.checks import number_between, part_of, truth_values


def highest_event_rate(result: xr.Dataset, power: float, *, others: bool = True) -> float:
    """Highest rate of true events at which the average power stays below a limit, 1/s.

    Args:
        result: Result of `amsim.evaluate_cascade` on one die, at any event rates; its costs and pass rates count.
        power: Limit, W.
        others: Whether the constant powers beside the chips count.

    Returns:
        The rate; NaN where even without events the power is above the limit, and the rate of the items where it never
        gets there. An overloaded stage uses no more than it can, so that a limit may be kept and events be lost.

    Raises:
        ValueError: Not such a result, over dies, or a limit that is not above 0.
    """
    part_of("result", result, xr.Dataset)
    number_between("power", power, 1e-30, float("inf"))
    truth_values(others=others)
    load = load_of(result.isel(event_rate=0) if "event_rate" in result.dims else result)
    constant = sum(load.other_power.values()) if others else 0.0

    def above(event_rate: float) -> float:
        return float(averages(load._replace(event_rate=event_rate)).power.sum()) + constant - power

    if above(0.0) > 0:
        return math.nan
    if above(load.item_rate) <= 0:
        return float(load.item_rate / result["duty_cycle"])
    return float(optimize.brentq(above, 0.0, load.item_rate) / result["duty_cycle"])
