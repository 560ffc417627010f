"""A workload on an accelerator as the input files of ZigZag (PyPI `zigzag-dse`), to compare with another cost model.

ZigZag describes one array of multipliers with a hierarchy of memories and searches or takes loop orders. What is
written is amsim's own dataflow, complete: spatial unrolling, loop order, memories with amsim's energies. Files are
YAML; neither ZigZag nor a YAML package is needed to write them. Energies are in pJ a word, areas in mm^2.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amsim.circuits.checks import one_of
from amsim.circuits.contract.macro import Macro
from amsim.circuits.contract.products import ConvolutionProduct
from amsim.circuits.multi_precision import MultiPrecision
from amsim.system.accelerator import Accelerator
from amsim.workloads import Layer, Workload
from amsim.zigzag.memories import dram, register, sram
from amsim.zigzag.yaml_lines import yaml_lines

DATAFLOWS = ("weight-stationary", "output-stationary")
"""Weights stay in the cells and rows are summed on a line, or sums stay and rows of units take output positions."""

Document = list[dict[str, Any]] | dict[str, Any]


class Export(NamedTuple):
    """Files of the layers that one macro does.

    Attributes:
        macro: Index of the macro in the accelerator.
        layers: Names of its layers.
        workload: Layers as loops with word lengths.
        accelerator: Array and memories.
        mapping: Spatial unrolling and loop order of each layer.
    """

    macro: int
    layers: tuple[str, ...]
    workload: Path
    accelerator: Path
    mapping: Path


def write(workload: Workload, hardware: Any, folder: str | Path, *, dataflow: str | None = None) -> tuple[Export, ...]:
    """Write the three files of each macro that has layers, in a folder of its own.

    ZigZag knows one array and one precision a layer, hence files by macro, for one copy of it; memories that macros
    share stand whole in each set. Cells, input buffers and accumulators cost nothing there, since the energy of a MAC
    holds them: `unit_energy` is the macro's energy over its MACs, so that ZigZag's sum of them is amsim's.

    What amsim counts and these files do not: control, leakage, cycles of loading, readout and bit-serial inputs, a
    global memory. What ZigZag counts otherwise: partial sums of more than one tile pass through the activation memory;
    inputs at the border of a map without padding are fetched for fewer window rows, and an input buffer, which is
    as large as the layer that needs most, may keep more of smaller layers. DRAM is there for weights when the network's
    do not fit the weight memory, all of them then passing through it (amsim: the missing part), and for activations
    when those of a layer do not fit.

    Args:
        workload: The network.
        hardware: A macro, an `Accelerator`, or rules `{layer name pattern: macro}`; its numbers must be concrete.
        folder: Where to write; made if missing.
        dataflow: One of `DATAFLOWS`; None is that of the family: output-stationary for `MultiPrecision`,
            weight-stationary for arrays of cells.

    Returns:
        Paths, by macro.

    Raises:
        ValueError: A layer that no rule matches, a convolution that is not two-dimensional, dilated or without the
            size of its maps, an unknown dataflow, or a network that needs a DRAM where there is none.
    """
    accelerator = Accelerator.of(hardware)
    by_macro = _layers_of(workload, accelerator)
    exports = []
    for index, layers in by_macro.items():
        macro = accelerator.macros[index]
        flow = _dataflow(macro, dataflow)
        documents: dict[str, Document] = {
            "workload": workload_document(layers, macro),
            "accelerator": accelerator_document(workload, accelerator, index, dataflow=flow),
            "mapping": mapping_document(layers, macro, dataflow=flow),
        }
        place = Path(folder) / f"{index}-{type(macro).__name__}"
        place.mkdir(parents=True, exist_ok=True)
        paths = {name: place / f"{name}.yaml" for name in documents}
        for name, document in documents.items():
            paths[name].write_text("\n".join(yaml_lines(document)) + "\n", encoding="utf-8")
        exports.append(Export(index, tuple(layer.name for layer in layers), **paths))
    return tuple(exports)


def workload_document(layers: Sequence[Layer], macro: Macro) -> list[dict[str, Any]]:
    """Layers as ZigZag's loops: B, K, C, G, OY, OX, FY, FX, with the word lengths of the macro.

    Args:
        layers: Layers that the macro does, in the order they run.
        macro: The macro.

    Returns:
        One entry a layer, as `workload.yaml` holds it.
    """
    return [_layer_entry(number, layer, macro) for number, layer in enumerate(layers)]


def mapping_document(layers: Sequence[Layer], macro: Macro, *, dataflow: str | None = None) -> list[dict[str, Any]]:
    """Unrolling over columns (D1) and rows (D2) of the array and the whole loop order of each layer.

    Weight-stationary: filters on columns; window and as many whole channels as fit on rows; then positions run
    innermost, so that every weight is loaded once. Output-stationary: filters on columns, positions on rows; then the
    summed rows run innermost.

    Args:
        layers: Layers that the macro does.
        macro: The macro.
        dataflow: None is that of the family.

    Returns:
        One entry a layer and one named `default`, as `mapping.yaml` holds them.
    """
    flow = _dataflow(macro, dataflow)
    links = {"O": "O", "W": "I2", "I": "I1"}
    entries: list[dict[str, Any]] = [
        {"name": "default", "spatial_mapping": {"D1": ["K, 1"], "D2": ["C, 1"]}, "memory_operand_links": links}
    ]
    for layer in layers:
        spatial = _unrolling(layer, macro, flow)
        unrolled = {name: size for side in spatial.values() for name, size in side.items()}
        left = {name: -(-size // unrolled.get(name, 1)) for name, size in _loops(layer).items()}
        summed, places = ("FX", "FY", "C"), ("OX", "OY", "B")
        order = (*places, *summed, "K", "G") if flow == "weight-stationary" else (*summed, *places, "K", "G")
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


def accelerator_document(
    workload: Workload, accelerator: Accelerator, index: int, *, dataflow: str | None = None
) -> dict[str, Any]:
    """Array of one macro with the accelerator's memories, innermost first.

    Args:
        workload: The whole network: the weights of all its layers share the weight memory.
        accelerator: The accelerator.
        index: Of the macro.
        dataflow: None is that of the family.

    Returns:
        The content of `accelerator.yaml`.
    """
    macro, layers = accelerator.macros[index], _layers_of(workload, accelerator)[index]
    flow = _dataflow(macro, dataflow)
    columns, rows = _sides(macro)
    off_chip = _off_chip(workload, accelerator, layers, macro, flow)
    memories = _registers(layers, macro, flow, float(accelerator.activation_memory.capacity))
    memories["weight_memory"] = sram(accelerator.weight_memory, ("I2",), off_chip)
    memories["activation_memory"] = sram(accelerator.activation_memory, ("I1", "O"), off_chip)
    if off_chip:
        memories["dram"] = dram(accelerator.dram, off_chip)
    return {
        "name": f"{workload.name}-{type(macro).__name__}",
        "memories": memories,
        "operational_array": {
            "input_precision": [macro.input_bits, macro.weight_bits],
            "unit_energy": _energy_per_mac(layers, macro) * 1e12,
            "unit_area": float(macro.area) * 1e6 / (columns * rows),
            "dimensions": ["D1", "D2"],
            "sizes": [columns, rows],
        },
    }


def _layers_of(workload: Workload, accelerator: Accelerator) -> dict[int, list[Layer]]:
    """Layers by the index of their macro."""
    found: dict[int, list[Layer]] = {}
    for layer in workload.layers:
        index = accelerator.macro_for(layer.name)
        if index is None:
            raise ValueError(
                f"Argument `hardware` must have a rule for layer {layer.name!r}; its patterns are "
                f"{', '.join(accelerator.patterns)}."
            )
        found.setdefault(index, []).append(layer)
    return found


def _dataflow(macro: Macro, dataflow: str | None) -> str:
    if dataflow is None:
        return "output-stationary" if isinstance(macro, MultiPrecision) else "weight-stationary"
    one_of("dataflow", dataflow, DATAFLOWS)
    return dataflow


def _sides(macro: Macro) -> tuple[int, int]:
    """Weights that stand side by side, and rows or positions that work at once."""
    if isinstance(macro, MultiPrecision):
        return macro.columns, macro.rows * macro.mode.subwords
    # The bits of a weight stand in columns of their own.
    return max(macro.columns // macro.weight_bits, 1), macro.rows


def _sum_bits(layers: Sequence[Layer], macro: Macro) -> int:
    """Bits of a sum before it is rounded to an activation."""
    if isinstance(macro, MultiPrecision):
        return macro.accumulator_bits
    return macro.weight_bits + macro.input_bits + max(layer.work.product.rows - 1 for layer in layers).bit_length()


def _loops(layer: Layer) -> dict[str, int]:
    """Loop sizes of a layer by ZigZag's names; B counts the input vectors of a dense layer."""
    product = layer.work.product
    if not isinstance(product, ConvolutionProduct):
        return {"B": layer.work.positions, "K": product.columns, "C": product.rows}
    if len(layer.input_size) != 2 or len(product.kernel) != 2 or any(step != 1 for step in product.dilation):
        raise ValueError(
            f"Argument `workload` must have convolutions of two dimensions without dilation and with the size of "
            f"their maps, but layer {layer.name!r} has kernel {product.kernel}, dilation {product.dilation} and maps "
            f"of {layer.input_size}."
        )
    height, width = layer.output_size
    return {
        "B": 1,
        "K": product.columns // product.groups,
        "G": product.groups,
        "OX": width,
        "OY": height,
        "C": product.channels,
        "FX": product.kernel[1],
        "FY": product.kernel[0],
    }


def _layer_entry(number: int, layer: Layer, macro: Macro) -> dict[str, Any]:
    loops, product = _loops(layer), layer.work.product
    entry: dict[str, Any] = {"id": number, "name": layer.name}
    if isinstance(product, ConvolutionProduct):
        (down, across), (height, width) = product.strides, layer.input_size
        entry |= {
            "operator_type": "Conv",
            # ZigZag pads the last dimensions of the input, so its rows and columns stand last.
            "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
            "dimension_relations": [f"ix={across}*ox+1*fx", f"iy={down}*oy+1*fy"],
            "pr_loop_dims": ["IX", "IY"],
            "pr_loop_sizes": [width, height],
            "padding": [list(layer.padding[1]), list(layer.padding[0])],
        }
    else:
        entry |= {"operator_type": "Gemm", "equation": "O[b][k]+=W[k][c]*I[b][c]", "dimension_relations": []}
    return entry | {
        "loop_dims": list(loops),
        "loop_sizes": list(loops.values()),
        "operand_precision": {
            "W": macro.weight_bits,
            "I": macro.input_bits,
            "O": _sum_bits([layer], macro),
            "O_final": macro.input_bits,
        },
        # An operand from the layer itself is a constant: weights, and the input of the network.
        "operand_source": {"W": number, "I": max(number - 1, 0)},
    }


def _unrolling(layer: Layer, macro: Macro, flow: str) -> dict[str, dict[str, int]]:
    """Loops on the columns (D1) and the rows (D2) of the array."""
    loops, (columns, rows) = _loops(layer), _sides(macro)
    filters = {"K": min(loops["K"], columns)}
    if flow == "weight-stationary":
        channels = layer.work.product.tile_blocks(rows)
        summed = {"C": channels} | {name: loops[name] for name in ("FX", "FY") if name in loops}
        if math.prod(filters.values()) * math.prod(summed.values()) == math.prod(loops.values()):
            # ZigZag 3.9 cannot report a layer without a loop in time; its inputs stay in their buffer all the same.
            side, name = (filters, "K") if loops["K"] > 1 else (summed, "C")
            side[name] = -(-side[name] // 2)
        return {"D1": filters, "D2": summed}
    inner, outer = ("OX", "OY") if "OX" in loops else ("B", None)
    positions = {inner: min(loops[inner], rows)}
    if outer is not None:
        positions[outer] = max(min(loops[outer], rows // positions[inner]), 1)
    return {"D1": filters, "D2": positions}


def _registers(layers: Sequence[Layer], macro: Macro, flow: str, activation_capacity: float) -> dict[str, Any]:
    """Cells, input buffer and accumulators; free, since the energy of a MAC holds them."""
    _, rows = _sides(macro)
    weights, inputs, sums = macro.weight_bits, macro.input_bits, _sum_bits(layers, macro)
    buffer = max(_buffered_words(layer, macro, flow) for layer in layers) * inputs
    # ZigZag wants each memory to hold what the ones below it hold; outputs need room beside.
    buffer = min(buffer, int(activation_capacity) // 2)
    stationary = flow == "weight-stationary"
    return {
        "cells": register(weights, weights, ("I2",), () if stationary else ("D2",)),
        "input_buffer": register(buffer, max(buffer, rows * inputs), ("I1",), ("D1", "D2")),
        "accumulators": register(sums, sums, ("O",), ("D2",) if stationary else ()),
    }


def _buffered_words(layer: Layer, macro: Macro, flow: str) -> int:
    """Inputs that stay while the window slides along the last axis once."""
    product, loops = layer.work.product, _loops(layer)
    if flow == "output-stationary":
        at_once = _unrolling(layer, macro, flow)["D2"]
        if not isinstance(product, ConvolutionProduct):
            return at_once["B"]
        return at_once["OY"] * ((at_once["OX"] - 1) * product.strides[1] + loops["FX"])
    if not isinstance(product, ConvolutionProduct):
        return product.rows
    return product.channels * loops["FY"] * (layer.input_size[1] + sum(layer.padding[1]))


def _off_chip(
    workload: Workload, accelerator: Accelerator, layers: Sequence[Layer], macro: Macro, flow: str
) -> list[str]:
    """Operands that do not fit on the chip."""
    stored: dict[str, int] = {}
    for index, others in _layers_of(workload, accelerator).items():
        for layer in others:
            stored[layer.weights] = layer.weight_words * accelerator.macros[index].weight_bits
    found, moved = [], []
    for layer in layers:
        split = flow == "weight-stationary" and layer.work.product.tiles(_sides(macro)[1]) > 1
        output_bits = _sum_bits([layer], macro) if split else macro.input_bits
        moved.append(layer.work.input_words * macro.input_bits + layer.output_words * output_bits)
    if max(moved) > float(accelerator.activation_memory.capacity):
        found += ["I1", "O"]
    if sum(stored.values()) > float(accelerator.weight_memory.capacity):
        found.append("I2")
    return found


def _energy_per_mac(layers: Sequence[Layer], macro: Macro) -> float:
    """Energy of the macro over all its layers, by their MACs, J."""
    energy = math.fsum(float(macro.cost(layer.work, layer.activity).energy) for layer in layers)
    return energy / sum(layer.macs for layer in layers)
