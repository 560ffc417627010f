"""Results as labelled data: a unit and a long name on every variable and coordinate."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from amsim.results.quantities import QUANTITIES


def labelled(
    variables: Mapping[str, tuple[Sequence[str], Any]],
    coordinates: Mapping[str, Any],
    attributes: Mapping[str, Any],
    *,
    labels: Mapping[str, tuple[str, str]] | None = None,
) -> xr.Dataset:
    """Dataset with `units` and `long_name` on every variable and coordinate.

    Args:
        variables: Dimensions and values by name.
        coordinates: Values by name.
        attributes: Of the whole.
        labels: Unit and long name of what is not in `QUANTITIES` or is something else here: quantities of a room, the
            settings of a study.

    Returns:
        The Dataset.

    Raises:
        KeyError: A name has no entry in either and is not a `clipped_...` of a macro's own.
        ValueError: Something else than values by name.
    """
    given = {} if labels is None else labels
    parts = {"variables": variables, "coordinates": coordinates, "attributes": attributes, "labels": given}
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise ValueError(f"Argument `{name}` must have values by name, but is of type {type(part).__name__}.")
    dataset = xr.Dataset(
        {name: (tuple(dims), values) for name, (dims, values) in variables.items()},
        coords=dict(coordinates),
        attrs=dict(attributes),
    )
    for name in [*dataset.data_vars, *dataset.coords]:
        units, long_name = given[str(name)] if name in given else _units_and_name(str(name))
        dataset[name].attrs |= {"units": units, "long_name": long_name}
    return dataset


def _units_and_name(name: str) -> tuple[str, str]:
    if name in QUANTITIES:
        return QUANTITIES[name]
    if not name.startswith("clipped_"):
        raise KeyError(f"{name} has no unit and long name; give them as `labels[{name!r}]`")
    return "1", f"fraction of {name.removeprefix('clipped_')} out of range"
