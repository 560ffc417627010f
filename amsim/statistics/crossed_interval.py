"""Mean over dies and items with an interval that holds the finite number of both."""

import math

import numpy as np
from scipy import stats

from amsim.circuits.checks import real_numbers, truth_values
from amsim.statistics.intervals import CONFIDENCE, MeanInterval, proportion_interval


def crossed_interval(values: np.ndarray, *, deterministic: bool = False) -> MeanInterval:
    r"""Mean of values of every item on every die with its 95 % interval, for new dies and new items.

    Two-way variance components: with mean squares of dies `MS_d = n s^2(die means)`, of items
    `MS_i = m s^2(item means)` and of what is left `MS_e` (m dies, n items), the variance of the mean is
    `(MS_d + MS_i - MS_e) / (m n)`, and at least what dies or items alone give. Student's t with the degrees of freedom
    of Satterthwaite.

    Args:
        values: Shape (dies, items), such as 1 for a right answer.
        deterministic: Whether all dies are equal by construction; the interval is then that of the items alone.

    Returns:
        Mean and interval; the interval is NaN for a single die of a random population, or a single item.

    Validity: dies and items drawn independently of each other, a mean close to normal.
    Source: Searle, Casella and McCulloch, Variance Components (1992), two-way crossed random model.
    """
    truth_values(deterministic=deterministic)
    values = real_numbers("values", values, (2,))
    if 0 in values.shape:
        raise ValueError(f"Argument `values` must have at least one die and item, but has shape {values.shape}.")
    dies, items = values.shape
    mean = float(values.mean())
    if items < 2 or (dies < 2 and not deterministic):
        return MeanInterval(mean, math.nan, math.nan)
    of_items = values.mean(axis=0)
    if deterministic:
        variance, freedom = of_items.var(ddof=1) / items, items - 1.0
    else:
        of_dies = values.mean(axis=1)
        left = values - of_items[None, :] - of_dies[:, None] + mean
        between = items * of_dies.var(ddof=1), dies * of_items.var(ddof=1)
        rest = float(np.sum(left**2)) / ((dies - 1) * (items - 1))
        variance, freedom = _variance(between, rest, dies, items)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(variance)
    return MeanInterval(mean, mean - half, mean + half)


def bounded_interval(values: np.ndarray, *, high: float | None = 1.0, deterministic: bool = False) -> MeanInterval:
    """`crossed_interval` of values whose mean lies from 0 to a largest value; so do the ends of the interval.

    Where all values are 0, or all the largest of 1, their spread says nothing: the interval then is the exact one of a
    fraction of as many items (`proportion_interval`).

    Args:
        values: Shape (dies, items), such as 1 for a right answer.
        high: Largest mean; None is without.
        deterministic: As in `crossed_interval`.

    Returns:
        As `crossed_interval`.
    """
    found = crossed_interval(values, deterministic=deterministic)
    if math.isnan(found.low):
        return found
    if high == 1.0 and found.mean in (0.0, 1.0) and found.low == found.high:
        low, top = proportion_interval(found.mean, values.shape[1])
        return MeanInterval(found.mean, float(low), float(top))
    return found._replace(low=max(found.low, 0.0), high=found.high if high is None else min(found.high, high))


def _variance(between: tuple[float, float], rest: float, dies: int, items: int) -> tuple[float, float]:
    """Variance of the mean, and its degrees of freedom."""
    size = dies * items
    total = max(between[0] + between[1] - rest, *between)
    squares = between[0] ** 2 / (dies - 1) + between[1] ** 2 / (items - 1) + rest**2 / ((dies - 1) * (items - 1))
    freedom = total**2 / squares if squares > 0 else float(items - 1)
    return total / size, max(freedom, 1.0)
