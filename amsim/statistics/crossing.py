"""Point of an axis at which the mean over dies reaches a target."""

from typing import Any

import numpy as np
import xarray as xr
from scipy import optimize

from amsim.circuits.checks import finite_number, integer_between, text, truth_values
from amsim.results.labelled import labelled
from amsim.statistics.dies import by_die
from amsim.statistics.intervals import CONFIDENCE, check_confidence


def iso_crossing(
    values: xr.DataArray,
    target: float,
    axis: str,
    *,
    logarithmic: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = 999,
    seed: int = 0,
) -> xr.Dataset:
    """Point of an axis at which the mean over dies reaches a target, with a percentile bootstrap interval over dies.

    A monotone curve is fitted to the means by least squares (isotonic regression) and read off by linear
    interpolation; each resample of the dies gives a crossing of its own.

    Args:
        values: Over `axis` and `die`, and `read` where it is read several times, and nothing else.
        target: In the unit of the values.
        axis: Name of the axis, with increasing numbers.
        logarithmic: Interpolate in the logarithm of the axis.
        confidence: Of the interval.
        resamples: Resamples of the dies.
        seed: Seed of the resamples.

    Returns:
        `crossing`, `low`, `high` in the unit of the axis, NaN where the target is not reached, and `reached`, the share
        of resamples that reach it: below 1, the interval is that of those which do.

    Raises:
        ValueError: Other dimensions, fewer than two points, values that are not finite, an axis that does not increase,
            or is not above 0 where logarithmic.

    Validity: means that change in one direction along the axis; an end of the axis is a crossing only where
        the target is met exactly.
    """
    dies = by_die(values)
    finite_number("target", target)
    text(axis=axis)
    truth_values(logarithmic=logarithmic)
    if set(dies.dims) != {axis, "die"}:
        raise ValueError(
            f"Argument `values` must be over `axis` {axis!r} and 'die' alone, but is over {dies.dims}; select."
        )
    at, curves = np.asarray(dies[axis], float), dies.transpose("die", axis).values.astype(float)
    if len(at) < 2 or not np.all(np.diff(at) > 0) or (logarithmic and at[0] <= 0):
        allowed = "two increasing numbers" + (" above 0" if logarithmic else "")
        raise ValueError(f"Argument `axis` must have at least {allowed}, but {axis!r} is {at.tolist()}.")
    if not np.all(np.isfinite(curves)):
        raise ValueError("Argument `values` must be finite, but has NaN or infinite values.")
    check_confidence(confidence)
    integer_between("resamples", resamples, 1)
    integer_between("seed", seed, 0)
    places = np.log(at) if logarithmic else at
    rises = bool(curves.mean(axis=0)[-1] >= curves.mean(axis=0)[0])
    chosen = np.random.default_rng(seed).integers(len(curves), size=(resamples, len(curves)))
    means = np.concatenate([curves.mean(axis=0)[None], curves[chosen].mean(axis=1)])
    found = np.array([_crossing(places, mean, target, rises) for mean in means])
    found = np.exp(found) if logarithmic else found
    again = found[1:][np.isfinite(found[1:])]
    ends = np.quantile(again, [(1 - confidence) / 2, (1 + confidence) / 2]) if len(again) else (np.nan, np.nan)
    unit = str(dies[axis].attrs.get("units", "1"))
    percent = f"{100 * confidence:g} %"
    labels = {
        "crossing": (unit, f"{axis} at which {values.attrs.get('long_name', values.name)} is {target:g}"),
        "low": (unit, f"lower end of its {percent} interval"),
        "high": (unit, f"upper end of its {percent} interval"),
        "reached": ("1", "share of resamples that reach the target"),
    }
    numbers = {"crossing": found[0], "low": ends[0], "high": ends[1], "reached": len(again) / resamples}
    scalars: dict[str, Any] = {name: ((), float(value)) for name, value in numbers.items()}
    return labelled(
        scalars, {}, {"target": target, "resamples": resamples, "seed": seed, "confidence": confidence}, labels=labels
    )


def _crossing(places: np.ndarray, mean: np.ndarray, target: float, rises: bool) -> float:
    fitted = optimize.isotonic_regression(mean, increasing=rises).x
    ordered, at = (fitted, places) if rises else (fitted[::-1], places[::-1])
    if not ordered[0] <= target <= ordered[-1]:
        return float("nan")
    index = int(np.searchsorted(ordered, target, side="left"))
    if index == 0 or ordered[index] == target:
        return float(at[index])
    share = (target - ordered[index - 1]) / (ordered[index] - ordered[index - 1])
    return float(at[index - 1] + share * (at[index] - at[index - 1]))
