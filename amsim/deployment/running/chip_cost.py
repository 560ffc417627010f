"""Sites of a chip as layers of a workload, with the activity that they had, and what they clip."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from amsim.deployment.mapping.mapper import MappedSite
from amsim.deployment.mapping.stored_weights import StoredWeight
from amsim.results.labelled import labelled
from amsim.workloads import Layer


def site_layer(
    mapped: MappedSite, weight: StoredWeight, activity: dict[str, Array], runs: Array, inferences: int
) -> Layer:
    """A site as layer of a workload.

    Args:
        mapped: The site.
        weight: Its weight, from `stored_weights`.
        activity: Averages of what its macro reports, from `report_program`.
        runs: Products that these are of.
        inferences: Inferences of the batch.
    """
    site, (work, repeats, real) = mapped.site, mapped.share(inferences)
    by_data = mapped.runs_by_data or real != 1.0
    return Layer(
        site.name,
        work,
        activity=activity | ({"runs": runs * (real / mapped.turns)} if by_data else {}),
        weights=weight.name,
        weight_parts=weight.parts,
        repeats=repeats,
        weight_slices=mapped.weight_slices,
        weights_are_activations=site.weight.data,
        input_size=site.layout.input_size,
        padding=site.layout.padding,
    )


def count_inferences(leaves: list[Any]) -> int:
    """Inferences of a batch, by the leading axis of its first array.

    Raises:
        ValueError: It has none.
    """
    shape = np.shape(leaves[0]) if leaves else ()
    if not shape or shape[0] < 1:
        raise ValueError("Argument `inputs` must have a leading axis that counts inferences, of at least 1.")
    return int(shape[0])


def with_clipping(cost: xr.Dataset, layers: tuple[Layer, ...]) -> xr.Dataset:
    """Cost of these layers with one `clipped_...` (site) for each thing that clips or saturates in any of them."""
    names = sorted({name for layer in layers for name in layer.activity if name.startswith("clipped_")})
    rows = cost.sizes["site"]
    clipped: dict[str, Any] = {}
    for name in names:
        values = [float(layer.activity.get(name, jnp.nan)) for layer in layers]
        clipped[name] = (("site",), np.array(values + [np.nan] * (rows - len(values))))
    return cost.merge(labelled(clipped, {"site": cost["site"].values}, {})).assign_attrs(cost.attrs)
