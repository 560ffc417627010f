"""Unrolling over the array and loop order of each layer: the content of ZigZag's `mapping.yaml`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from amsim.circuits.checks import one_of
from amsim.circuits.contract.dataflow import DATAFLOWS, Dataflow, Unrolling
from amsim.circuits.contract.macro import Macro
from amsim.workloads import Layer
from amsim.zigzag.workload_file import loop_sizes


def mapping_document(
    layers: Sequence[Layer],
    macro: Macro,
    *,
    dataflow: str | None = None,
    ways: Mapping[str, Unrolling] | None = None,
) -> list[dict[str, Any]]:
    """Unrolling over columns (D1) and rows (D2) of the array, and the complete loop order, of each layer.

    Weight-stationary: filters on columns, the window and as many whole channels as fit on rows; positions run
    innermost, so that every weight is loaded once. Output-stationary: filters on columns, positions on rows, or what
    the way to fill the units says; the summed rows run innermost.

    Args:
        layers: Layers that run on the macro.
        macro: The macro.
        dataflow: None is that of the family.
        ways: Way in which the units of a layer are filled, by its name; the macro's own where it is not in there.

    Returns:
        One entry per layer and one named `default`, as in `mapping.yaml`.
    """
    flow = dataflow_of(macro, dataflow)
    links = {"O": "O", "W": "I2", "I": "I1"}
    entries: list[dict[str, Any]] = [
        {"name": "default", "spatial_mapping": {"D1": ["K, 1"], "D2": ["C, 1"]}, "memory_operand_links": links}
    ]
    for layer in layers:
        spatial = unrolling(layer, flow, (ways or {}).get(layer.name), macro.rows)
        unrolled: dict[str, int] = {}
        for name, size in ((name, size) for side in spatial.values() for name, size in side.items()):
            unrolled[name] = unrolled.get(name, 1) * size
        left = {name: -(-size // unrolled.get(name, 1)) for name, size in loop_sizes(layer).items()}
        summed, places = ("FX", "FY", "C"), ("OX", "OY", "B")
        order = (*places, *summed, "K", "G") if flow.kind == "weight-stationary" else (*summed, *places, "K", "G")
        entries.append(
            {
                "name": layer.name,
                "spatial_mapping": {
                    side: [f"{name}, {size}" for name, size in loops.items()] for side, loops in spatial.items()
                },
                "temporal_ordering": [[name, left[name]] for name in order if left.get(name, 1) > 1],
                "memory_operand_links": links,
            }
        )
    return entries


def dataflow_of(macro: Macro, kind: str | None) -> Dataflow:
    """Dataflow of a macro, or of the kind that is given; raises ValueError for an unknown one."""
    if kind is None:
        return macro.dataflow
    one_of("dataflow", kind, DATAFLOWS)
    return macro.dataflow._replace(kind=kind)


def unrolling(
    layer: Layer, flow: Dataflow, way: Unrolling | None = None, unit_rows: int = 1
) -> dict[str, dict[str, int]]:
    """Loops on the columns (D1) and the rows (D2) of the array.

    Args:
        layer: The layer.
        flow: Dataflow and size of the array; its rows include the subwords of a unit.
        way: Way in which its units are filled; None is positions on rows.
        unit_rows: Rows of units.
    """
    loops, rows = loop_sizes(layer), flow.rows
    filters = {"K": min(loops["K"], flow.columns)}
    if flow.kind == "weight-stationary":
        channels = layer.work.product.tile_blocks(rows)
        summed = {"C": channels} | {name: loops[name] for name in ("FX", "FY") if name in loops}
        if math.prod(filters.values()) * math.prod(summed.values()) == math.prod(loops.values()):
            # ZigZag 3.9 cannot report a layer without a loop in time; its inputs stay in their buffer all the same.
            side, name = (filters, "K") if loops["K"] > 1 else (summed, "C")
            side[name] = -(-side[name] // 2)
        return {"D1": filters, "D2": summed}
    at_once = {"pixels": rows, "output channels": flow.columns, "input channels": 1}
    if way is not None:
        at_once = way.side_by_side(unit_rows, flow.columns, rows // unit_rows)
    inner, outer = ("OX", "OY") if "OX" in loops else ("B", None)
    side = {inner: min(loops[inner], at_once["pixels"])}
    if outer is not None:
        side[outer] = max(min(loops[outer], at_once["pixels"] // side[inner]), 1)
    more = {"K": at_once["output channels"] // flow.columns, "C": at_once["input channels"]}
    left = {"K": -(-loops["K"] // filters["K"]), "C": loops["C"]}
    side |= {name: min(left[name], size) for name, size in more.items() if size > 1}
    return {"D1": filters, "D2": side}
