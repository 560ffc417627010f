"""Workload of a network from shapes alone, before it has weights or data."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import PyTree

from amsim.circuits.checks import function
from amsim.circuits.exact import Exact
from amsim.deployment.chip import chip_of, traced_chip
from amsim.deployment.front_door import params_on_device
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.mapper import DeploymentError
from amsim.deployment.mapping.stored_weights import stored_weights
from amsim.deployment.running.chip_cost import site_layer
from amsim.deployment.running.inferences import Shares, batch_of
from amsim.system.accelerator import Accelerator
from amsim.workloads import Workload


def network_workload(fn: Callable[..., Any], params: PyTree, *inputs: Any, in_axes: Any = 0) -> Workload:
    """Workload of one inference of a network, from shapes alone: nothing is computed and no weight is needed.

    It counts as `Chip.workload` of the deployed network does, and its cost on any accelerator has the activity that
    macros assume where nothing is known of the data.

    Args:
        fn: Network `fn(params, *inputs)`, as `amsim.deploy` takes it.
        params: Parameters, or their shapes as from `jax.eval_shape(network.initial_params, key)`.
        *inputs: A batch as the network takes it, or its shapes (`jax.ShapeDtypeStruct`).
        in_axes: Which axis of each input counts inferences, as in `Chip.cost`.

    Returns:
        Its layers, by the names of its sites.

    Raises:
        ValueError: As `amsim.deploy` and `Chip.cost`, or a site that runs as often as data decide.
        amsim.DeploymentError: The network has no product with a weight.
    """
    function("fn", fn, "(params, *inputs)")
    params, shapes = params_on_device(params), shapes_of(inputs)
    hardware = Accelerator.of(Exact())
    traced = traced_chip(chip_of(fn, params, hardware, (None,), None), shapes)
    if not traced.sites:
        raise DeploymentError("The network has no product with a weight, so that it has no workload.")
    for mapped in traced.sites:
        if mapped.runs_by_data:
            raise ValueError(
                f"Argument `fn` must run each site a number of times that shapes decide, but data decide for site "
                f"{mapped.site.name!r}; `chip.workload(inputs)` counts its runs on inputs."
            )
    shares = Shares(traced.network, len(traced.leaves), batch_of(shapes, in_axes))
    weights = stored_weights(traced.network, traced.names)
    layers = (
        site_layer(mapped, weight, shares.of(mapped), {}, jnp.asarray(float(mapped.turns)), 1)
        for mapped, weight in zip(traced.sites, weights, strict=True)
    )
    # A macro counts the columns of its own digits.
    plain = (dataclasses.replace(layer, work=dataclasses.replace(layer.work, weight_columns=None)) for layer in layers)
    return Workload(getattr(fn, "__name__", type(fn).__name__), tuple(plain))
