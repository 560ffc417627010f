"""Sites of a chip as layers of a workload, with the activity that they had, and what they clip."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from amsim.deployment.mapping.mapper import MappedSite, Share
from amsim.deployment.mapping.stored_weights import StoredWeight
from amsim.results.labelled import labelled
from amsim.workloads import Layer


def site_layer(
    mapped: MappedSite,
    weight: StoredWeight,
    share: Share,
    activity: dict[str, Array],
    runs: Array,
    weight_columns: int,
) -> Layer:
    """A site as layer of a workload.

    Args:
        mapped: The site.
        weight: Its weight, from `stored_weights`.
        share: Share of one inference in it.
        activity: Averages of what its macro reports, from `report_program`.
        runs: Products that these are of.
        weight_columns: Columns side by side of a weight on its macro.
    """
    site, by_data = mapped.site, mapped.runs_by_data or share.real != 1.0
    return Layer(
        site.name,
        dataclasses.replace(share.work, weight_columns=weight_columns),
        activity=activity | ({"runs": runs * (share.real / mapped.turns)} if by_data else {}),
        weights=weight.name,
        weight_parts=weight.parts,
        repeats=share.runs,
        weight_slices=mapped.weight_slices,
        weights_are_activations=site.weight.data,
        input_size=site.layout.input_size,
        padding=site.layout.padding,
    )


def with_clipping(cost: xr.Dataset, layers: tuple[Layer, ...]) -> xr.Dataset:
    """Cost of these layers with one `clipped_...` (site) for each thing that clips or saturates in any of them."""
    names = sorted({name for layer in layers for name in layer.activity if name.startswith("clipped_")})
    rows = cost.sizes["site"]
    clipped: dict[str, Any] = {}
    for name in names:
        values = [float(layer.activity.get(name, jnp.nan)) for layer in layers]
        clipped[name] = (("site",), np.array(values + [np.nan] * (rows - len(values))))
    return cost.merge(labelled(clipped, {"site": cost["site"].values}, {})).assign_attrs(cost.attrs)
