"""A network before any comparison: its sites, their shapes, work and weights, and what a macro makes of them."""

import re
from typing import Any

import jax
import numpy as np
import xarray as xr

from amsim.circuits.exact import Exact
from amsim.comparison.given_designs import AnyDesign, GivenDesign, given_designs
from amsim.comparison.network_facts import facts_of
from amsim.comparison.quantities import LABELS
from amsim.datasets.given_data import given_dataset
from amsim.datasets.inputs import first_arguments
from amsim.deployment.chip import TracedChip, traced_chip
from amsim.deployment.front_door import deploy
from amsim.deployment.input_shapes import shapes_of
from amsim.deployment.mapping.mapper import DeploymentError, MappedSite
from amsim.deployment.mapping.site_table import SiteRow
from amsim.evaluation.given_network import GivenNetwork, check_takes, given_network
from amsim.foreign.item_inputs import ItemNumbers, NetworkOfItems
from amsim.networks.image_network import ImageNetwork
from amsim.networks.sequence_network import SequenceNetwork
from amsim.results.labelled import labelled
from amsim.results.provenance import versions
from amsim.system.accelerator import Accelerator


def inspect(network: Any, *, data: Any = None, hardware: Any = None, numbers: ItemNumbers | None = None) -> xr.Dataset:
    """What a network is to hardware: its products with a weight, and what stays digital and why.

    Args:
        network: Reference network, path of an `.onnx` or `.npz` file, or a tuple (fn, params), as in `amsim.compare`.
        data: Data as in `amsim.compare`, whose shape the network is looked at with; None takes the shape that the
            network itself states.
        hardware: Name of a design or of a published chip, a macro, an `Accelerator` or rules that sites are placed on;
            None places them nowhere.
        numbers: As in `amsim.compare`.

    Returns:
        Dataset over `site`: operation, shapes of input, weight and output, rows, columns, positions, MACs and weights
        of one inference. With hardware `macro`, `readout`, `tiles`, `line_rows`, and `rows_in_use`, the fraction of the
        rows of its lines that a site drives. `reason` is why a product stays digital. Attributes: `word_length` that
        the network fixes, 0 where it leaves words open, `parameters`, and `other_products`, those without a weight.

    Raises:
        ValueError: As `amsim.compare`; or no data for a network that states no shape.
        amsim.DeploymentError: The network has no product with a weight, or does not fit the hardware.
    """
    items = None if data is None else given_dataset("data", data).train.inputs
    design = None if hardware is None else _placed_on(hardware)
    given = given_network("network", network, numbers)
    inputs = _stated_inputs(given) if items is None else items
    check_takes("network" if data is None else "data", given, inputs)
    try:
        plain = traced_chip(deploy(given.function, given.params, Exact()), shapes_of(first_arguments(inputs, 1)))
    except DeploymentError as error:
        raise DeploymentError(f"Argument `network` cannot be put on hardware: {error}") from None
    facts = facts_of(plain)
    placed = None
    if design is not None:
        first, last = ("|".join(map(re.escape, names)) for names in (facts.roles.first, facts.roles.last))
        chip = deploy(given.function, given.params, design.accelerator(first=first, last=last))
        placed = traced_chip(chip, shapes_of(first_arguments(inputs, 1)))
    attributes = {
        "network": given.name,
        "hardware": hardware if isinstance(hardware, str) else "" if hardware is None else "as given",
        "word_length": 0 if facts.bits is None else facts.bits,
        "parameters": sum(int(np.size(leaf)) for leaf in jax.tree.leaves(given.params)),
        "other_products": [f"{count} x {kind}" for kind, count in plain.network.table.others.items()],
        **versions(),
    }
    return _dataset(plain, placed, attributes)


def _placed_on(hardware: Any) -> AnyDesign:
    """Design of a name, or hardware of one's own."""
    named = given_designs("hardware", [hardware]) if isinstance(hardware, str) else None
    return named[0] if named else GivenDesign("hardware", Accelerator.of(hardware))


def _stated_inputs(network: GivenNetwork) -> Any:
    """Inputs of the shape that a network states for one item."""
    function = network.function
    if isinstance(function, ImageNetwork):
        return np.zeros((1, *function.input_shape), np.uint8)
    if isinstance(function, SequenceNetwork):
        return np.zeros((1, *function.input_shape), np.float32)
    sizes = {one.name: one for one in function.network.inputs} if isinstance(function, NetworkOfItems) else {}
    open_sizes = [name for name, one in sizes.items() if one.sizes is None or None in one.sizes[1:]]
    if not sizes or open_sizes:
        which = (
            f"its inputs {', '.join(open_sizes)} have open sizes" if open_sizes else "it states no shape of its inputs"
        )
        raise ValueError(f"Argument `data` must be given with network {network.name}, since {which}, but is None.")
    shapes: dict[str, Any] = {name: (1, *(one.sizes or ())[1:]) for name, one in sizes.items()}
    arrays = {name: np.zeros(shapes[name], one.dtype) for name, one in sizes.items()}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def _dataset(plain: TracedChip, placed: TracedChip | None, attributes: dict[str, Any]) -> xr.Dataset:
    sites = {mapped.site.name: mapped for mapped in plain.sites}
    rows = {row.name: row for row in (plain if placed is None else placed).network.table}
    names = [row.name for row in plain.network.table]
    columns = [_row(sites.get(name), rows.get(name), placed is not None) for name in names]
    variables = {name: (("site",), np.array([one[name] for one in columns])) for name in columns[0]}
    return labelled(variables, {"site": names}, attributes, labels=LABELS)


def _row(mapped: MappedSite | None, row: SiteRow | None, is_placed: bool) -> dict[str, Any]:
    """Figures of one product; shapes are empty and counts 0 for what has no form that macros take."""
    found: dict[str, Any] = {"operation": "" if row is None else row.operation}
    found |= {"input_shape": "", "weight_shape": "", "output_shape": ""}
    found |= {"rows": 0, "columns": 0, "positions": 0, "macs": 0, "weights": 0}
    if mapped is not None:
        site, share = mapped.site, mapped.share(1)
        product, step = site.product, site.step
        shapes = {
            "input_shape": site.data.shape,
            "weight_shape": site.weight.shape,
            "output_shape": step.outputs[0].shape,
        }
        found |= {name: " x ".join(map(str, shape)) for name, shape in shapes.items()}
        found |= {"rows": product.rows, "columns": product.columns, "positions": share.work.positions * share.runs}
        found |= {
            "macs": share.work.macs * share.runs,
            "weights": product.rows * product.columns * mapped.weight_slices,
        }
    on_macro = is_placed and row is not None and row.on_macro
    found |= {"macro": "", "readout": "", "tiles": 0, "line_rows": 0, "rows_in_use": np.nan}
    if on_macro and row is not None:
        found |= {"macro": row.macro, "readout": row.readout, "tiles": row.tiles, "line_rows": row.line_rows or 0}
        lines = (row.tiles or 0) * (row.line_rows or 0)
        found["rows_in_use"] = (row.rows or 0) / lines if lines else np.nan
    return found | {"reason": "" if row is None else row.reason}
