"""Pareto front of a study: points that no other one beats in both of two quantities."""

import numpy as np
import xarray as xr


def pareto_front(price: xr.DataArray, value: xr.DataArray) -> xr.DataArray:
    """Pareto front: points of a study that no other one beats in price or value while being as good in the other.

    Args:
        price: What should be small, such as the energy summed over components; dies and reads are averaged.
        value: What should be large, such as the accuracy; dies and reads are averaged.

    Returns:
        Truth values over the other dimensions of both; false where one of the two is NaN, true for each of several
        points of the front that are equal.

    Raises:
        ValueError: An argument is not a DataArray.
    """
    means = []
    for name, given in (("price", price), ("value", value)):
        if not isinstance(given, xr.DataArray):
            raise ValueError(f"Argument `{name}` must be a DataArray, but is of type {type(given).__name__}.")
        means.append(given.astype(float).mean([dim for dim in ("die", "read") if dim in given.dims], skipna=False))
    cost, worth = xr.broadcast(*means)
    points = np.stack([cost.values.ravel(), -worth.values.ravel()], axis=1)
    best = np.zeros(len(points), bool)
    known = np.all(np.isfinite(points), axis=1)
    if known.any():
        # Distinct points by rising price, of equal price the best first: each must beat all before it.
        distinct, where = np.unique(points[known], axis=0, return_inverse=True)
        reached = np.concatenate([[np.inf], np.minimum.accumulate(distinct[:-1, 1])])
        best[known] = (distinct[:, 1] < reached)[where.ravel()]
    front = cost.copy(data=best.reshape(cost.shape)).rename("front")
    return front.assign_attrs(units="1", long_name="whether no other point beats it")
