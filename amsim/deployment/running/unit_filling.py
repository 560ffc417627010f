"""How sites fill the units of their macros, for the table of sites: the loops chosen, and the utilisation."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from amsim.deployment.mapping.mapper import MappedProgram
from amsim.deployment.mapping.site_table import SiteRow, SiteTable
from amsim.deployment.mapping.stored_weights import stored_weights
from amsim.deployment.running.chip_cost import site_layer
from amsim.deployment.running.inferences import Shares, batch_of
from amsim.deployment.site_ranges import Calibration
from amsim.system.accelerator import Accelerator
from amsim.system.cost import filled_units
from amsim.workloads import Layer


def with_filled_units(
    table: SiteTable,
    network: MappedProgram,
    names: Sequence[str],
    accelerator: Accelerator,
    calibration: Calibration,
    inputs: tuple[Any, ...],
) -> SiteTable:
    """The table with the loops that fill the units of each site and their utilisation, where macros have the choice.

    Args:
        table: Sites of the network.
        network: The mapped program.
        names: Names of its parameters.
        accelerator: The hardware.
        calibration: Codes of its sites.
        inputs: Inputs of the network or their shapes; the first axis counts inferences. Where it counts something else,
            and for sites that run as often as data say, nothing is filled in.
    """
    if not any(accelerator.organisation.unrollings(macro) for macro in accelerator.macros):
        return table
    try:
        shares = Shares(network, len(names), batch_of(inputs, 0))
    except ValueError:
        # The cost, which needs it, says which axis of the inputs would count inferences.
        return table
    weights = stored_weights(network, list(names))
    layers = []
    for mapped, weight in zip(network.sites, weights, strict=True):
        share, code = shares.of(mapped), calibration.of(mapped.site.name).weights
        if mapped.runs_by_data or share.real != 1.0:
            continue
        columns = mapped.weight_columns(accelerator.macros[mapped.macro], code)
        layers.append(site_layer(mapped, weight, share, {}, jnp.ones(()), columns))
    return _filled(table, accelerator, layers)


def _filled(table: SiteTable, accelerator: Accelerator, layers: Sequence[Layer]) -> SiteTable:
    found = {layer.name: filled for layer, filled in zip(layers, filled_units(accelerator, layers), strict=True)}

    def with_filling(row: SiteRow) -> SiteRow:
        filled = found.get(row.name) if row.on_macro else None
        if filled is None:
            return row
        return row._replace(unrolling=filled[0].label, utilisation=float(f"{filled[1]:.3g}"))

    return table.with_rows(map(with_filling, table))
