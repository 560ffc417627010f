"""The one check of results that come back as an argument: a Dataset with the variables and dims that are needed."""

from collections.abc import Sequence
from typing import Any

import xarray as xr


def check_dataset(name: str, data: Any, variables: Sequence[str], dims: Sequence[str]) -> None:
    """Raise ValueError, naming what is missing, unless data is a Dataset with these variables and dims."""
    if not isinstance(data, xr.Dataset):
        raise ValueError(f"Argument `{name}` must be an xarray.Dataset, but is of type {type(data).__name__}.")
    for kind, wanted, found in (("variables", variables, data.data_vars), ("dims", dims, data.sizes)):
        missing = [one for one in wanted if one not in found]
        if missing:
            raise ValueError(f"Argument `{name}` must have {kind} {', '.join(wanted)}, but lacks {', '.join(missing)}.")
    empty = [dim for dim in dims if not data.sizes[dim]]
    if empty:
        raise ValueError(f"Argument `{name}` must not be empty, but has no {', '.join(empty)}.")
